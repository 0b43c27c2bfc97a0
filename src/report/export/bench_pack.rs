//! The `OpenAI` bench pack's files: `requests_cX.csv`, `summary_cX.json`, `summary_all.csv`,
//! `requests_all.csv`, `overall_summary.json`.
//!
//! In: a run. Out: a pair of files per level of concurrency, in seconds, under its formulas: QPS is
//! answers over the stage's wall time, TPS the sum of tokens over the sum of (latency - TTFT).

use serde_json::{Map, Value, json};

use super::figures::{OUTPUT, RESPONSE, Sample, Stats, TTFT, fields};
use super::{Evidence, File, StageEvidence};
use crate::record::Record;

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

/// A pair of files per level, and three for all.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let levels = || evidence.stages.iter().map(|stage| (stage, level(stage)));
    let (mut files, mut summaries, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (stage, level) in levels() {
        // Two stages of one level (a matrix, or two ramps) need two names.
        let name = match names.iter().filter(|known| **known == level.to_bits()).count() {
            0 => format!("c{level}"),
            _ => format!("c{level}_{}", stage.slug()),
        };
        names.push(level.to_bits());
        let rows = stage.records.iter().map(|record| row(record, level));
        files.push(File::csv(format!("requests_{name}.csv"), &HEADER, rows)?);
        let summary = summary(stage, level);
        files.push(File::json(format!("summary_{name}.json"), &Value::Object(summary.clone()))?);
        summaries.push(summary);
    }
    let all = levels()
        .flat_map(|(stage, level)| stage.records.iter().map(move |record| row(record, level)));
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

/// Requests under way at a time; one where nothing says otherwise.
fn level(stage: &StageEvidence) -> f64 {
    stage.concurrency().unwrap_or(1.0)
}

fn row(record: &Record, level: f64) -> Vec<String> {
    let sample = Sample::of(record);
    let show = |value: Option<String>| value.unwrap_or_default();
    let input = sample.and_then(|sample| sample.input());
    let output = sample.and_then(|sample| sample.output());
    let total = input.zip(output).map(|(input, output)| input + output);
    let latency = record.end_ns.zip(record.sent_ns);
    let latency = latency.map(|(end, sent)| end.saturating_sub(sent) as f64 / 1e9);
    let error = record.error.as_ref().map(|error| match record.http_status {
        Some(status) if status != 200 => format!("HTTP {status}: {}", error.message),
        _ => format!("EXC: {}", error.message),
    });
    vec![
        show(output.map(|it| it.to_string())),
        level.to_string(),
        show(error),
        show(latency.map(|it| it.to_string())),
        show(input.map(|it| it.to_string())),
        record.index.to_string(),
        show(record.http_status.map(|it| it.to_string())),
        show(total.map(|it| it.to_string())),
        show(sample.and_then(|sample| sample.ttft()).map(|it| it.to_string())),
    ]
}

fn summary(stage: &StageEvidence, level: f64) -> Map<String, Value> {
    let ok = stage.ok();
    let seconds = stage.seconds();
    let latency = Stats::of(ok.iter().map(RESPONSE));
    let ttft = Stats::of(ok.iter().filter_map(TTFT));
    let tokens: u64 = ok.iter().filter_map(OUTPUT).sum();
    let generating: f64 =
        ok.iter().map(|sample| sample.response() - sample.ttft().unwrap_or(0.0)).sum();
    let of = |stats: &Option<Stats>, take: fn(&Stats) -> f64| stats.as_ref().map(take);
    let sent = stage.records.len();
    fields(json!({
        "concurrency": level,
        "requests": sent,
        "success": ok.len(),
        "error_rate": 1.0 - ok.len() as f64 / sent.max(1) as f64,
        "elapsed_sec": seconds,
        "qps": (seconds > 0.0).then(|| ok.len() as f64 / seconds),
        "latency_avg": of(&latency, |stats| stats.mean),
        "latency_p50": of(&latency, |stats| stats.percentile(50.0)),
        "latency_p95": of(&latency, |stats| stats.percentile(95.0)),
        "latency_p99": of(&latency, |stats| stats.percentile(99.0)),
        "ttft_avg": of(&ttft, |stats| stats.mean),
        "ttft_p99": of(&ttft, |stats| stats.percentile(99.0)),
        "total_completion_tokens": tokens,
        "total_gen_time_sec": generating,
        "tps_tokens_per_sec": (generating > 0.0).then(|| tokens as f64 / generating),
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
