//! `genai-perf`: `profile_export_genai_perf.json` and the raw `profile_export.json` for each stage.
//!
//! In: a run. Out: its metrics under its definitions, times in milliseconds; wall-clock nanoseconds in
//! the raw file. Texts are not kept, so each response stands there as its time with an empty text.

use serde_json::{Map, Value, json};

use super::aiperf::{PERCENTS, endpoint};
use super::figures::{Stats, counted, fields, input, sample, stats};
use super::stage::Asked;
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::GENAI_PERF;
use crate::record::{ArrivalLine, Record};

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
    let sums = stage.sums();
    let mut out = Map::new();
    let one = |unit: &str, value: Value| json!({ "unit": unit, "avg": value });
    let total = |name| json!(GENAI_PERF.total(name, &sums).unwrap_or(0.0));
    out.insert("request_throughput".to_owned(), one("requests/sec", total("request_throughput")));
    let per_user = |record: &Record| {
        let gap = sample(&GENAI_PERF, "inter_token_latency", record)?;
        (gap > 0.0).then(|| 1000.0 / gap)
    };
    let of = |name| stats(&GENAI_PERF, name, stage.ok());
    let per_user = Stats::of(stage.ok().filter_map(per_user));
    for (name, unit, stats) in [
        ("request_latency", "ms", of("request_latency")),
        ("time_to_first_token", "ms", of("time_to_first_token")),
        ("inter_token_latency", "ms", of("inter_token_latency")),
        ("output_token_throughput_per_user", "tokens/sec", per_user),
        ("output_sequence_length", "tokens", of("output_sequence_length")),
        ("input_sequence_length", "tokens", counted(stage.ok(), input)),
    ] {
        let Some(stats) = stats else { continue };
        let mut metric = fields(json!({ "unit": unit, "avg": stats.mean }));
        metric.extend(stats.percentiles(&PERCENTS[3..]));
        metric.extend(fields(json!({ "min": stats.min(), "max": stats.max(), "std": stats.std })));
        out.insert(name.to_owned(), Value::Object(metric));
    }
    let output = total("output_token_throughput");
    out.insert("output_token_throughput".to_owned(), one("tokens/sec", output));
    out.insert("request_count".to_owned(), one("count", json!(sums.ok)));
    out.insert("input_config".to_owned(), input_config(evidence, stage));
    Value::Object(out)
}

fn raw(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let wall = |ns: u64| i64::try_from(evidence.wall_ns(ns)).unwrap_or(i64::MAX);
    let requests: Vec<Value> = stage
        .ok()
        .map(|record| {
            let stamps: Vec<i64> = record.token_ns.iter().map(|ns| wall(*ns)).collect();
            json!({
                "timestamp": record.sent_ns.map(wall),
                "request_inputs": {
                    "delay": 0,
                    "session_id": record.request_id,
                    "payload": "",
                },
                "response_outputs": stamps.iter().map(|_| json!({ "response": "" })).collect::<Vec<_>>(),
                "response_timestamps": stamps,
            })
        })
        .collect();
    let (mode, value) = match stage.asked() {
        Asked::Users(users) => ("concurrency", json!(users)),
        Asked::Rate(rate, _) => ("request_rate", json!(rate)),
        Asked::Schedule => ("custom", json!(0)),
    };
    let (from, to) = stage.span();
    json!({
        "service_kind": "openai",
        "endpoint": path(evidence.url(stage)),
        "experiments": [{
            "experiment": { "mode": mode, "value": value },
            "requests": requests,
            "window_boundaries": [wall(from), wall(to)],
        }],
        "version": format!("runner {}", evidence.run.runner_version),
    })
}

/// The path of a URL, as the tool writes it; null where none is known, as for a simulator.
fn path(url: &str) -> Value {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    path.map_or(Value::Null, |(_, path)| path.into())
}

/// What was asked for, as far as both tools have words for it.
fn input_config(evidence: &Evidence, stage: &StageEvidence) -> Value {
    // The two that it knows; others have none.
    let distribution = match stage.asked() {
        Asked::Rate(_, ArrivalLine::Constant) => Some("constant"),
        Asked::Rate(_, ArrivalLine::Poisson) => Some("poisson"),
        Asked::Rate(..) | Asked::Users(_) | Asked::Schedule => None,
    };
    let mut endpoint = fields(endpoint(evidence, stage));
    endpoint.insert("model_names".to_owned(), json!([stage.model()]));
    json!({
        "endpoint": endpoint,
        "loadgen": {
            "request_rate": stage.target_rate(),
            "concurrency": stage.users(),
            "request_distribution": distribution,
            "request_count": stage.records.len(),
        },
        "input": { "random_seed": evidence.run.seed },
    })
}
