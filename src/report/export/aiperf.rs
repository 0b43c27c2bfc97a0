//! `AIPerf`: `profile_export_aiperf.json` (schema 1.5) and `profile_export.jsonl` for each stage.
//!
//! In: a run. Out: its metrics under its definitions, times in milliseconds, and the load that was
//! asked for in the words of its phases.

use serde_json::{Map, Value, json};

use super::figures::{Stats, counted, fields, input, number, sample, stats};
use super::stage::Asked;
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::AIPERF;
use crate::record::{ArrivalLine, OutcomeKind, Record};

/// The percentiles of its metrics; genai-perf has those from the fourth on.
pub(super) const PERCENTS: [(&str, f64); 9] = [
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
    let (from, to) = stage.span();
    let sums = stage.sums();
    let mut out = fields(json!({
        "schema_version": "1.5",
        "aiperf_version": format!("runner {}", evidence.run.runner_version),
        "benchmark_id": format!("{}/{}", evidence.run.run_id, stage.slug()),
        "start_time": evidence.wall(from),
        "end_time": evidence.wall(to),
        "was_cancelled": stage.incomplete().next().is_some(),
    }));
    for (name, unit) in METRICS {
        insert(&mut out, name, unit, stats(&AIPERF, name, stage.ok()));
    }
    insert(&mut out, "input_sequence_length", "tokens", counted(stage.ok(), input));
    let per_user = Stats::of(stage.ok().filter_map(per_user));
    insert(&mut out, "output_token_throughput_per_user", "tokens/sec/user", per_user);
    let mut one = |name: &str, unit: &str, value: Value| {
        out.insert(name.to_owned(), json!({ "unit": unit, "avg": value }));
    };
    let total = |name| json!(AIPERF.total(name, &sums).unwrap_or(0.0));
    one("output_token_throughput", "tokens/sec", total("output_token_throughput"));
    one("request_throughput", "requests/sec", total("request_throughput"));
    one("request_count", "requests", json!(sums.ok));
    one("error_request_count", "requests", json!(stage.failed().count()));
    one("benchmark_duration", "sec", json!(stage.seconds()));
    out.insert("input_config".to_owned(), input_config(evidence, stage));
    out.insert(
        "run_info".to_owned(),
        json!({
            "run_id": evidence.run.run_id,
            "simulated": evidence.run.simulated,
            "insecure": evidence.run.insecure,
        }),
    );
    out.insert("telemetry_data".to_owned(), Value::Null);
    out.insert("error_summary".to_owned(), errors(stage));
    Value::Object(out)
}

/// Those that its definitions give, with their units.
const METRICS: [(&str, &str); 4] = [
    ("time_to_first_token", "ms"),
    ("inter_token_latency", "ms"),
    ("request_latency", "ms"),
    ("output_sequence_length", "tokens"),
];

/// Tokens per second after the first.
fn per_user(record: &Record) -> Option<f64> {
    let gap = sample(&AIPERF, "inter_token_latency", record)?;
    (gap > 0.0).then(|| 1000.0 / gap)
}

/// A metric with all its figures; left out without numbers.
fn insert(out: &mut Map<String, Value>, name: &str, unit: &str, stats: Option<Stats>) {
    let Some(stats) = stats else { return };
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

/// Where requests went and in what form; genai-perf, whose heir it is, has the same words.
pub(super) fn endpoint(evidence: &Evidence, stage: &StageEvidence) -> Value {
    const TYPES: &[(&str, &str)] = &[
        ("openai-chat", "chat"),
        ("openai-completions", "completions"),
        ("openai-responses", "responses"),
        ("tgi", "huggingface_generate"),
        ("triton", "generate"),
    ];
    json!({
        "type": stage.api(TYPES),
        "streaming": evidence.prompt(stage, "stream") != false,
        "urls": [evidence.url(stage)],
    })
}

/// What was asked for, in the shape of its configuration (0.13).
fn input_config(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let (kind, more) = match stage.asked() {
        Asked::Users(users) => ("concurrency", json!({ "concurrency": users })),
        Asked::Rate(rate, ArrivalLine::Poisson) => ("poisson", json!({ "rate": rate })),
        Asked::Rate(rate, ArrivalLine::Gamma { burstiness }) => {
            ("gamma", json!({ "rate": rate, "smoothness": burstiness }))
        }
        // Bursts are even arrivals of several at once, for which it has no word.
        Asked::Rate(rate, _) => ("constant", json!({ "rate": rate })),
        Asked::Schedule => ("fixed_schedule", json!({})),
    };
    let mut phase = fields(json!({
        "name": "profiling",
        "type": kind,
        "requests": stage.records.len(),
    }));
    // A rate with a limit on requests under way.
    phase.extend(stage.users().map(|users| ("concurrency".to_owned(), json!(users))));
    phase.extend(fields(more));
    json!({
        "models": [stage.model()],
        "endpoint": endpoint(evidence, stage),
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
    let mut metrics = Map::new();
    let mut put = |name: &str, value: Option<Value>, unit: &str| {
        if let Some(value) = value {
            metrics.insert(name.to_owned(), json!({ "value": value, "unit": unit }));
        }
    };
    for (name, unit) in METRICS {
        let value = sample(&AIPERF, name, record);
        let value = value.map(|it| if unit == "tokens" { number(it) } else { json!(it) });
        put(name, value, unit);
    }
    if record.outcome == OutcomeKind::Ok {
        put("input_sequence_length", input(record).map(|it| json!(it)), "tokens");
        let speed = per_user(record).map(|it| json!(it));
        put("output_token_throughput_per_user", speed, "tokens/sec/user");
        let gaps = AIPERF.samples("inter_chunk_latency", record);
        put("inter_chunk_latency", Some(json!(gaps)), "ms");
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
