//! `inference-perf`: `summary_lifecycle_metrics.json`, and a `stage_N_lifecycle_metrics.json` each.
//!
//! In: a run. Out: its metrics under its formulas, in seconds: latency ends with the body, normalized
//! time per output token is latency / n, time per output token (latency - TTFT) / (n - 1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::figures::{GAPS, INPUT, OUTPUT, Sample, Stats, Take, fields, sum};
use super::{Evidence, File, StageEvidence};

const PERCENTS: [(&str, f64); 11] = [
    ("p0.1", 0.1),
    ("p1", 1.0),
    ("p5", 5.0),
    ("p10", 10.0),
    ("p25", 25.0),
    ("median", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
];

/// One file per stage and one for all.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let all: Vec<&StageEvidence> = evidence.stages.iter().collect();
    let mut files = vec![File::json("summary_lifecycle_metrics.json", &document(&all))?];
    for (number, stage) in evidence.stages.iter().enumerate() {
        let name = format!("stage_{number}_lifecycle_metrics.json");
        files.push(File::json(name, &document(&[stage]))?);
    }
    Ok(files)
}

fn document(stages: &[&StageEvidence]) -> Value {
    let ok: Vec<Sample<'_>> = stages.iter().flat_map(|stage| stage.ok()).collect();
    let records = || stages.iter().flat_map(|stage| &stage.records);
    let seconds: f64 = stages.iter().map(|stage| stage.seconds()).sum();
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let (input, output) = (sum(&ok, INPUT) as f64, sum(&ok, OUTPUT) as f64);
    let delays = records()
        .filter_map(|record| Some(record.sent_ns?.saturating_sub(record.due_ns?) as f64 / 1e9));
    let mut load = fields(json!({
        "count": records().count(),
        "schedule_delay": stats(delays),
        "send_duration": seconds,
        "achieved_rate": rate(records().filter(|record| record.sent_ns.is_some()).count() as f64),
    }));
    if let [stage] = stages {
        load.insert("requested_rate".to_owned(), json!(stage.target_rate()));
        load.insert("concurrency".to_owned(), json!(stage.concurrency()));
    }
    let latency: [(&str, Take<Vec<f64>>); 5] = [
        ("request_latency", |sample| vec![sample.response()]),
        ("normalized_time_per_output_token", |sample| {
            let tokens = sample.output().filter(|tokens| *tokens > 0);
            tokens.map(|tokens| sample.response() / tokens as f64).into_iter().collect()
        }),
        ("time_per_output_token", |sample| sample.tpot().into_iter().collect()),
        ("time_to_first_token", |sample| sample.ttft().into_iter().collect()),
        ("inter_token_latency", GAPS),
    ];
    let latency: serde_json::Map<String, Value> = latency
        .into_iter()
        .map(|(name, take)| (name.to_owned(), stats(ok.iter().flat_map(take))))
        .collect();
    let mut labels: BTreeMap<&str, u64> = BTreeMap::new();
    for error in records().filter_map(|record| record.error.as_ref()) {
        *labels.entry(&error.class).or_default() += 1;
    }
    let failed = stages.iter().map(|stage| stage.failed().count()).sum::<usize>();
    let length = |take: fn(&Sample<'_>) -> Option<u64>| {
        stats(ok.iter().filter_map(take).map(|count| count as f64))
    };
    json!({
        "load_summary": load,
        "successes": {
            "count": ok.len(),
            "latency": latency,
            "throughput": {
                "input_tokens_per_sec": rate(input),
                "output_tokens_per_sec": rate(output),
                "total_tokens_per_sec": rate(input + output),
                "requests_per_sec": rate(ok.len() as f64),
            },
            "prompt_len": length(INPUT),
            "output_len": length(OUTPUT),
        },
        "failures": { "count": failed, "by_label": labels },
    })
}

fn stats(numbers: impl Iterator<Item = f64>) -> Value {
    let Some(stats) = Stats::of(numbers) else { return Value::Null };
    let mut out = fields(json!({ "mean": stats.mean, "min": stats.min() }));
    out.extend(stats.percentiles(&PERCENTS));
    out.insert("max".to_owned(), json!(stats.max()));
    Value::Object(out)
}
