//! `AIPerf`: `profile_export_aiperf.json` (schema 1.5) and `profile_export.jsonl` for each stage.
//!
//! In: a run. Out: its metrics under its formulas: request latency ends at the last content, inter
//! token latency is (latency - TTFT) / (tokens - 1) of each request. Times in milliseconds.

use serde_json::{Map, Value, json};

use super::figures::{INPUT, OUTPUT, Sample, Stats, TPOT, TTFT, Take, fields, sum};
use super::{Evidence, File, StageEvidence};
use crate::record::{OutcomeKind, Record};

const PERCENTS: [(&str, f64); 9] = [
    ("p1", 1.0),
    ("p5", 5.0),
    ("p10", 10.0),
    ("p25", 25.0),
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
];

/// Two files per stage.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    for stage in &evidence.stages {
        let slug = stage.slug();
        let document = document(evidence, stage);
        files.push(File::json(format!("{slug}/profile_export_aiperf.json"), &document)?);
        // What was never sent has no place in it: a start is required.
        let sent = stage.records.iter().filter(|record| record.sent_ns.is_some());
        let lines = sent.map(|record| line(evidence, record));
        files.push(File::json_lines(format!("{slug}/profile_export.jsonl"), lines));
    }
    Ok(files)
}

fn document(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let ok = stage.ok();
    let seconds = stage.seconds();
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let mut out = fields(json!({
        "schema_version": "1.5",
        "aiperf_version": format!("runner {}", evidence.run.runner_version),
        "benchmark_id": format!("{}/{}", evidence.run.run_id, stage.slug()),
        "start_time": evidence.wall(stage.start.at_ns),
        "end_time": evidence.wall(stage.ended_ns),
        "was_cancelled": stage.incomplete().next().is_some(),
    }));
    let times: [(&str, Take<Option<f64>>); 3] = [
        ("time_to_first_token", TTFT),
        ("inter_token_latency", TPOT),
        ("request_latency", |sample| Some(sample.e2e())),
    ];
    for (name, take) in times {
        insert(&mut out, name, "ms", ok.iter().filter_map(take).map(|seconds| seconds * 1000.0));
    }
    let per_user = ok.iter().filter_map(TPOT).filter(|tpot| *tpot > 0.0).map(f64::recip);
    insert(&mut out, "output_token_throughput_per_user", "tokens/sec/user", per_user);
    let tokens: [(&str, Take<Option<u64>>); 2] =
        [("output_sequence_length", OUTPUT), ("input_sequence_length", INPUT)];
    for (name, take) in tokens {
        insert(&mut out, name, "tokens", ok.iter().filter_map(take).map(|count| count as f64));
    }
    let mut one = |name: &str, unit: &str, value: f64| {
        out.insert(name.to_owned(), json!({ "unit": unit, "avg": value }));
    };
    one("output_token_throughput", "tokens/sec", rate(sum(&ok, OUTPUT) as f64));
    one("request_throughput", "requests/sec", rate(ok.len() as f64));
    one("request_count", "requests", ok.len() as f64);
    one("error_request_count", "requests", stage.failed().count() as f64);
    one("benchmark_duration", "sec", seconds);
    out.insert("input_config".to_owned(), input_config(evidence, stage));
    out.insert(
        "run_info".to_owned(),
        json!({ "run_id": evidence.run.run_id, "simulated": evidence.run.simulated }),
    );
    out.insert("telemetry_data".to_owned(), Value::Null);
    out.insert("error_summary".to_owned(), errors(stage));
    Value::Object(out)
}

/// A metric with all its figures; left out without numbers.
fn insert(
    out: &mut Map<String, Value>,
    name: &str,
    unit: &str,
    numbers: impl Iterator<Item = f64>,
) {
    let Some(stats) = Stats::of(numbers) else { return };
    let mut metric = fields(json!({ "unit": unit, "avg": stats.mean }));
    metric.extend(stats.percentiles(&PERCENTS));
    metric.extend(fields(json!({
        "min": stats.min(),
        "max": stats.max(),
        "std": stats.std,
        "count": stats.count(),
        "sum": stats.sum,
    })));
    out.insert(name.to_owned(), Value::Object(metric));
}

/// What was asked for, in the shape of its configuration (0.13).
fn input_config(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let requests = stage.records.len();
    let phase = match (stage.target_rate(), stage.concurrency()) {
        (Some(rate), _) => {
            json!({ "name": "profiling", "type": "constant", "rate": rate, "requests": requests })
        }
        (None, users) => json!({
            "name": "profiling",
            "type": "concurrency",
            "concurrency": users.unwrap_or(1.0),
            "requests": requests,
        }),
    };
    json!({
        "models": [stage.model()],
        "endpoint": { "type": "chat", "streaming": true, "urls": [evidence.url(stage)] },
        "datasets": [{ "name": evidence.run.plan, "type": "synthetic" }],
        "phases": [phase],
    })
}

fn errors(stage: &StageEvidence) -> Value {
    let mut counts: Vec<(&str, &Record, u64)> = Vec::new();
    for record in stage.failed() {
        let Some(error) = &record.error else { continue };
        match counts.iter_mut().find(|(class, ..)| *class == error.class) {
            Some((_, _, count)) => *count += 1,
            None => counts.push((&error.class, record, 1)),
        }
    }
    let of = |(_, record, count)| json!({ "error_details": error(record), "count": count });
    counts.into_iter().map(of).collect()
}

fn error(record: &Record) -> Value {
    match &record.error {
        None => Value::Null,
        Some(error) => json!({
            "code": record.http_status,
            "type": error.class,
            "message": error.message,
        }),
    }
}

fn line(evidence: &Evidence, record: &Record) -> Value {
    let wall =
        |ns: Option<u64>| ns.map(|ns| i64::try_from(evidence.wall_ns(ns)).unwrap_or(i64::MAX));
    let sample = Sample::of(record);
    let mut metrics = Map::new();
    let mut put = |name: &str, value: Option<f64>, unit: &str| {
        if let Some(value) = value {
            metrics.insert(name.to_owned(), json!({ "value": value, "unit": unit }));
        }
    };
    if let Some(sample) = &sample {
        put("time_to_first_token", sample.ttft().map(|it| it * 1000.0), "ms");
        put("inter_token_latency", sample.tpot().map(|it| it * 1000.0), "ms");
        put("request_latency", Some(sample.e2e() * 1000.0), "ms");
        put("output_sequence_length", sample.output().map(|it| it as f64), "tokens");
        put("input_sequence_length", sample.input().map(|it| it as f64), "tokens");
        let per_user = sample.tpot().filter(|tpot| *tpot > 0.0).map(f64::recip);
        put("output_token_throughput_per_user", per_user, "tokens/sec/user");
        let gaps: Vec<f64> = sample.gaps().into_iter().map(|gap| gap * 1000.0).collect();
        metrics.insert("inter_chunk_latency".to_owned(), json!({ "value": gaps, "unit": "ms" }));
    }
    json!({
        "metadata": {
            "session_num": record.index,
            "x_request_id": record.request_id,
            "x_correlation_id": record.session.as_ref().unwrap_or(&record.request_id),
            "conversation_id": record.session.as_ref().or(record.prompt_hash.as_ref()),
            "turn_index": record.session.is_none().then_some(0),
            "request_start_ns": wall(record.sent_ns),
            "request_ack_ns": wall(record.headers_ns),
            "request_end_ns": wall(record.end_ns),
            "worker_id": "runner",
            "record_processor_id": "runner",
            "benchmark_phase": "profiling",
            "was_cancelled": record.outcome == OutcomeKind::Cancelled,
        },
        "metrics": metrics,
        "error": error(record),
    })
}
