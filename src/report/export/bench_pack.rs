//! The `OpenAI` bench pack's files: `requests_cX.csv`, `summary_cX.json`, `summary_all.csv`,
//! `requests_all.csv`, `overall_summary.json`.
//!
//! In: a run with stages that say how many requests may be under way. Out: a pair of files per level, in
//! seconds, under its definitions; each curve by itself where a run has several.

use serde_json::{Map, Value, json};

use super::figures::{Stats, error_text, fields, input, output, sample, stats};
use super::stage::{Curve, curves};
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::BENCH_PACK;
use crate::record::{OutcomeKind, Record};

/// In the order of the pack, which sorts them.
const HEADER: [&str; 9] = [
    "completion_tokens",
    "concurrency",
    "error",
    "latency",
    "prompt_tokens",
    "req_id",
    "status",
    "total_tokens",
    "ttft",
];

/// A pair of files per level, and three for all; a folder for each curve where there are several.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let curves = curves(evidence, |stage| stage.target_rate().is_none() && stage.users().is_some());
    if curves.is_empty() {
        return Err(
            "no stage of the run has a concurrency (`concurrency_ramp`, or `concurrency` of \
                    another stage)"
                .into(),
        );
    }
    let mut files = Vec::new();
    for curve in &curves {
        let of = curve_files(curve)?.into_iter();
        files
            .extend(of.map(|file| File { name: format!("{}{}", curve.folder, file.name), ..file }));
    }
    Ok(files)
}

fn curve_files(curve: &Curve<'_>) -> Result<Vec<File>, String> {
    let levels = || curve.stages.iter().map(|stage| (*stage, stage.users().unwrap_or(1)));
    let (mut files, mut summaries, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (stage, level) in levels() {
        // Two stages of one level (a matrix, or two ramps) need two names.
        let name = match names.iter().filter(|known| **known == level).count() {
            0 => format!("c{level}"),
            _ => format!("c{level}_{}", stage.slug()),
        };
        names.push(level);
        let rows = ended(stage).map(|record| row(record, level));
        files.push(File::csv(format!("requests_{name}.csv"), &HEADER, rows)?);
        let summary = summary(stage, level);
        files.push(File::json(format!("summary_{name}.json"), &Value::Object(summary.clone()))?);
        summaries.push(summary);
    }
    let all =
        levels().flat_map(|(stage, level)| ended(stage).map(move |record| row(record, level)));
    files.push(File::csv("requests_all.csv", &HEADER, all)?);
    if let Some(first) = summaries.first() {
        let header: Vec<&str> = first.keys().map(String::as_str).collect();
        let cell = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
        let rows = summaries.iter().map(|summary| summary.values().map(cell).collect());
        files.push(File::csv("summary_all.csv", &header, rows)?);
    }
    files.push(File::json("overall_summary.json", &overall(&summaries))?);
    Ok(files)
}

/// The requests that it knows of: answered or failed.
fn ended(stage: &StageEvidence) -> impl Iterator<Item = &Record> {
    let is_it = |record: &&Record| {
        record.sent_ns.is_some() && (record.outcome == OutcomeKind::Ok || record.outcome.is_error())
    };
    stage.records.iter().filter(is_it)
}

fn row(record: &Record, level: u64) -> Vec<String> {
    let is_ok = record.outcome == OutcomeKind::Ok;
    let show = |value: Option<String>| value.unwrap_or_default();
    let (input, output) = (input(record).filter(|_| is_ok), output(record).filter(|_| is_ok));
    let total = input.zip(output).map(|(input, output)| input + output);
    let figure = |name| show(sample(&BENCH_PACK, name, record).map(|it| it.to_string()));
    vec![
        show(output.map(|it| it.to_string())),
        level.to_string(),
        show(record.error.as_ref().map(error_text)),
        figure("latency"),
        show(input.map(|it| it.to_string())),
        record.index.to_string(),
        show(record.http_status.map(|it| it.to_string())),
        show(total.map(|it| it.to_string())),
        figure("ttft"),
    ]
}

fn summary(stage: &StageEvidence, level: u64) -> Map<String, Value> {
    let sums = stage.sums();
    let latency = stats(&BENCH_PACK, "latency", &stage.records);
    let ttft = stats(&BENCH_PACK, "ttft", stage.ok());
    let of = |stats: &Option<Stats>, take: fn(&Stats) -> f64| stats.as_ref().map(take);
    let requests = ended(stage).count();
    fields(json!({
        "concurrency": level,
        "requests": requests,
        "success": sums.ok,
        "error_rate": 1.0 - sums.ok as f64 / requests.max(1) as f64,
        "elapsed_sec": stage.seconds(),
        "qps": BENCH_PACK.total("qps", &sums),
        "latency_avg": of(&latency, |stats| stats.mean),
        "latency_p50": of(&latency, |stats| stats.percentile(50.0)),
        "latency_p95": of(&latency, |stats| stats.percentile(95.0)),
        "latency_p99": of(&latency, |stats| stats.percentile(99.0)),
        "ttft_avg": of(&ttft, |stats| stats.mean),
        "ttft_p99": of(&ttft, |stats| stats.percentile(99.0)),
        "total_completion_tokens": sums.output,
        "total_gen_time_sec": sums.generating_s,
        "tps_tokens_per_sec": BENCH_PACK.total("tps", &sums),
    }))
}

fn overall(summaries: &[Map<String, Value>]) -> Value {
    let number = |summary: &Map<String, Value>, name: &str| summary.get(name)?.as_f64();
    let best = summaries
        .iter()
        .filter_map(|summary| Some((number(summary, "qps")?, summary.get("concurrency")?)))
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    let p99 = summaries.iter().filter_map(|summary| number(summary, "latency_p99"));
    let at = best.map(|(_, level)| level.clone());
    json!({
        "best_qps": best.map(|(qps, _)| qps),
        "best_qps_at_concurrency": at,
        "min_p99_latency": p99.min_by(f64::total_cmp),
        "saturation_hint": at,
    })
}
