//! `inference-perf`: `summary_lifecycle_metrics.json`, and a `stage_N_lifecycle_metrics.json` each.
//!
//! In: a run. Out: its metrics under its definitions, in seconds. Reasoning is no content to it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::figures::{Stats, counted, fields, input, lateness, stats};
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::{INFERENCE_PERF, Sums};
use crate::record::Record;

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
    let ok = || stages.iter().flat_map(|stage| stage.ok());
    let records = || stages.iter().flat_map(|stage| &stage.records);
    // Time between stages is nobody's.
    let seconds: f64 = stages.iter().map(|stage| stage.seconds()).sum();
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let sums = Sums::of(records());
    let mut load = fields(json!({
        "count": records().count(),
        "schedule_delay": figures(Stats::of(records().filter_map(lateness))),
        "send_duration": seconds,
        "achieved_rate": rate(sums.sent as f64),
    }));
    if let [stage] = stages {
        load.insert("requested_rate".to_owned(), json!(stage.target_rate()));
        load.insert("concurrency".to_owned(), json!(stage.users()));
    }
    let latency: serde_json::Map<String, Value> = LATENCIES
        .iter()
        .map(|name| ((*name).to_owned(), figures(stats(&INFERENCE_PERF, name, ok()))))
        .collect();
    let mut labels: BTreeMap<&str, u64> = BTreeMap::new();
    for error in records().filter_map(|record| record.error.as_ref()) {
        *labels.entry(&error.class).or_default() += 1;
    }
    let failed = stages.iter().map(|stage| stage.failed().count()).sum::<usize>();
    let output =
        |record: &Record| record.output_tokens.tokenizer.or(record.output_tokens.best()?.0.into());
    json!({
        "load_summary": load,
        "successes": {
            "count": sums.ok,
            "latency": latency,
            "throughput": {
                "input_tokens_per_sec": rate(sums.input as f64),
                "output_tokens_per_sec": rate(sums.retokenized as f64),
                "total_tokens_per_sec": rate((sums.input + sums.retokenized) as f64),
                "requests_per_sec": rate(sums.ok as f64),
            },
            "prompt_len": figures(counted(ok(), input)),
            "output_len": figures(counted(ok(), output)),
        },
        "failures": { "count": failed, "by_label": labels },
    })
}

/// Its latencies, by the names of its definitions.
const LATENCIES: [&str; 5] = [
    "request_latency",
    "normalized_time_per_output_token",
    "time_per_output_token",
    "time_to_first_token",
    "inter_token_latency",
];

fn figures(stats: Option<Stats>) -> Value {
    let Some(stats) = stats else { return Value::Null };
    let mut out = fields(json!({ "mean": stats.mean, "min": stats.min() }));
    out.extend(stats.percentiles(&PERCENTS));
    out.insert("max".to_owned(), json!(stats.max()));
    Value::Object(out)
}
