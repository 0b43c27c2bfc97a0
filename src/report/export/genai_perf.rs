//! `genai-perf`: `profile_export_genai_perf.json` and the raw `profile_export.json` for each stage.
//!
//! In: a run. Out: its metrics under its formulas, times in milliseconds; wall-clock nanoseconds in
//! the raw file. Texts are not kept, so each response stands there as its time with an empty text.

use serde_json::{Map, Value, json};

use super::figures::{OUTPUT, Stats, Take, fields, sum};
use super::{Evidence, File, StageEvidence};

const PERCENTS: [(&str, f64); 6] =
    [("p25", 25.0), ("p50", 50.0), ("p75", 75.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0)];

/// Two files per stage.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    for stage in &evidence.stages {
        let slug = stage.slug();
        let document = document(evidence, stage);
        files.push(File::json(format!("{slug}/profile_export_genai_perf.json"), &document)?);
        files.push(File::json(format!("{slug}/profile_export.json"), &raw(evidence, stage))?);
    }
    Ok(files)
}

fn document(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let ok = stage.ok();
    let seconds = stage.seconds();
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let mut out = Map::new();
    let one = |unit: &str, value: f64| json!({ "unit": unit, "avg": value });
    out.insert("request_throughput".to_owned(), one("requests/sec", rate(ok.len() as f64)));
    let metrics: [(&str, &str, Take<Option<f64>>); 6] = [
        ("request_latency", "ms", |sample| Some(sample.e2e() * 1000.0)),
        ("time_to_first_token", "ms", |sample| sample.ttft().map(|it| it * 1000.0)),
        ("inter_token_latency", "ms", |sample| sample.tpot().map(|it| it * 1000.0)),
        ("output_token_throughput_per_user", "tokens/sec", |sample| {
            sample.tpot().filter(|tpot| *tpot > 0.0).map(f64::recip)
        }),
        ("output_sequence_length", "tokens", |sample| sample.output().map(|it| it as f64)),
        ("input_sequence_length", "tokens", |sample| sample.input().map(|it| it as f64)),
    ];
    for (name, unit, take) in metrics {
        let Some(stats) = Stats::of(ok.iter().filter_map(take)) else { continue };
        let mut metric = fields(json!({ "unit": unit, "avg": stats.mean }));
        metric.extend(stats.percentiles(&PERCENTS));
        metric.extend(fields(json!({ "min": stats.min(), "max": stats.max(), "std": stats.std })));
        out.insert(name.to_owned(), Value::Object(metric));
    }
    let output = sum(&ok, OUTPUT) as f64;
    out.insert("output_token_throughput".to_owned(), one("tokens/sec", rate(output)));
    out.insert("request_count".to_owned(), one("count", ok.len() as f64));
    out.insert("input_config".to_owned(), input_config(evidence, stage));
    Value::Object(out)
}

fn raw(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let wall = |ns: u64| i64::try_from(evidence.wall_ns(ns)).unwrap_or(i64::MAX);
    let requests: Vec<Value> = stage
        .ok()
        .iter()
        .map(|sample| {
            let stamps: Vec<i64> = sample.record.token_ns.iter().map(|ns| wall(*ns)).collect();
            json!({
                "timestamp": sample.record.sent_ns.map(wall),
                "request_inputs": {
                    "delay": 0,
                    "session_id": sample.record.request_id,
                    "payload": "",
                },
                "response_outputs": stamps.iter().map(|_| json!({ "response": "" })).collect::<Vec<_>>(),
                "response_timestamps": stamps,
            })
        })
        .collect();
    let (mode, value) = match (stage.target_rate(), stage.concurrency()) {
        (Some(rate), _) => ("request_rate", rate),
        (None, Some(concurrency)) => ("concurrency", concurrency),
        (None, None) => ("concurrency", 1.0),
    };
    json!({
        "service_kind": "openai",
        "endpoint": "v1/chat/completions",
        "experiments": [{
            "experiment": { "mode": mode, "value": value },
            "requests": requests,
            "window_boundaries": [wall(stage.start.at_ns), wall(stage.ended_ns)],
        }],
        "version": format!("runner {}", evidence.run.runner_version),
    })
}

/// What was asked for, as far as both tools have words for it.
fn input_config(evidence: &Evidence, stage: &StageEvidence) -> Value {
    json!({
        "endpoint": {
            "model_names": [stage.model()],
            "type": "chat",
            "streaming": true,
            "urls": [evidence.url(stage)],
        },
        "loadgen": {
            "request_rate": stage.target_rate(),
            "concurrency": stage.concurrency(),
            "request_count": stage.records.len(),
        },
        "input": { "random_seed": evidence.run.seed },
    })
}
