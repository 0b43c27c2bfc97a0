//! `GuideLLM`: `benchmarks.json` with a benchmark per stage.
//!
//! In: a run. Out: its metrics under its formulas: time per output token counts from the start of the
//! request (last token - sent) / n, inter token latency is (last - first) / (n - 1); each metric stands
//! there for successful, incomplete, errored and all requests. Invariant: its own model (0.8) reads the
//! file; what was not measured has no samples, as it writes that itself: a count of 0.

mod requests;

use serde_json::{Map, Value, json};

use super::figures::{INPUT, OUTPUT, RESPONSE, Sample, Stats, Take, sum};
use super::{Evidence, File, StageEvidence};

const PERCENTS: [(&str, f64); 11] = [
    ("p001", 0.1),
    ("p01", 1.0),
    ("p05", 5.0),
    ("p10", 10.0),
    ("p25", 25.0),
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p999", 99.9),
];

/// One file.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let version = &evidence.run.runner_version;
    let document = json!({
        "metadata": {
            "version": 2,
            "guidellm_version": format!("runner {version}"),
            "python_version": "none",
            "platform": std::env::consts::OS,
        },
        "config": { "spec": spec(evidence) },
        "benchmarks": evidence
            .stages
            .iter()
            .enumerate()
            .map(|(index, stage)| benchmark(evidence, stage, index))
            .collect::<Vec<_>>(),
    });
    Ok(vec![File::json("benchmarks.json", &document)?])
}

/// What was asked for, as far as there are words for it: its texts stand there by their length alone.
fn spec(evidence: &Evidence) -> Value {
    let of = |take: fn(&Sample<'_>) -> Option<u64>| {
        let counts = evidence.stages.iter().flat_map(StageEvidence::ok);
        let counts = counts.filter_map(|sample| take(&sample)).map(|count| count as f64);
        Stats::of(counts).map_or(1.0, |stats| stats.mean.round().max(1.0))
    };
    json!({
        "backend": backend(evidence, evidence.stages.first()),
        "profile": { "kind": "synchronous" },
        "data": [{
            "kind": "synthetic_text",
            "prompt_tokens": of(INPUT),
            "output_tokens": of(OUTPUT),
        }],
    })
}

/// Where requests went.
fn backend(evidence: &Evidence, stage: Option<&StageEvidence>) -> Value {
    json!({
        "kind": "openai_http",
        "target": stage.map_or("", |stage| evidence.url(stage)),
        "model": stage.map(StageEvidence::model),
    })
}

fn benchmark(evidence: &Evidence, stage: &StageEvidence, index: usize) -> Value {
    let ok = stage.ok();
    let seconds = stage.seconds();
    let (errored, incomplete) = (stage.failed().count(), stage.incomplete().count());
    let totals = json!({
        "successful": ok.len(),
        "incomplete": incomplete,
        "errored": errored,
        "total": stage.records.len(),
    });
    let metrics = metrics(stage, &ok, &totals);
    let strategy = match (stage.target_rate(), stage.concurrency()) {
        (Some(rate), _) => json!({ "type_": "constant", "rate": rate }),
        (None, Some(streams)) => json!({ "type_": "concurrent", "streams": streams }),
        (None, None) => json!({ "type_": "synchronous" }),
    };
    json!({
        "type_": "generative_benchmark",
        "config": {
            "run_id": evidence.run.run_id,
            "run_index": index,
            "label": stage.slug(),
            "strategy": strategy,
            "constraints": {},
            "profile": { "plan": evidence.run.plan, "stage": stage.slug() },
            "requests": {},
            "backend": backend(evidence, Some(stage)),
            "environment": {},
        },
        "scheduler_state": {
            "start_time": epoch(evidence, stage.start.at_ns),
            "end_time": epoch(evidence, stage.ended_ns),
            "created_requests": stage.records.len(),
            "successful_requests": ok.len(),
            "errored_requests": errored,
            "cancelled_requests": incomplete,
        },
        "scheduler_metrics": scheduler(evidence, stage, &ok, &totals),
        "metrics": metrics,
        "start_time": epoch(evidence, stage.start.at_ns),
        "end_time": epoch(evidence, stage.ended_ns),
        "duration": seconds,
        "requests": requests::of(evidence, stage, &ok),
    })
}

/// Every metric of a stage.
fn metrics(stage: &StageEvidence, ok: &[Sample<'_>], totals: &Value) -> Map<String, Value> {
    let seconds = stage.seconds();
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let busy: f64 = ok.iter().map(RESPONSE).sum();
    let (input, output) = (sum(ok, INPUT), sum(ok, OUTPUT));
    let mut metrics = Map::new();
    metrics.insert("request_totals".to_owned(), totals.clone());
    // One figure of a whole stage stands where the tool has a distribution over time.
    for (name, value) in [
        ("requests_per_second", rate(ok.len() as f64)),
        ("request_concurrency", rate(busy)),
        ("output_tokens_per_second", rate(output as f64)),
        ("prompt_tokens_per_second", rate(input as f64)),
        ("tokens_per_second", rate((input + output) as f64)),
    ] {
        metrics.insert(name.to_owned(), summary([value]));
    }
    let taken: [(&str, Take<Option<f64>>); 9] = [
        ("total_token_count", |sample| Some((sample.input()? + sample.output()?) as f64)),
        ("request_streaming_iterations_count", |sample| Some(sample.record.token_ns.len() as f64)),
        ("request_latency", |sample| Some(sample.response())),
        ("prompt_token_count", |sample| sample.input().map(|it| it as f64)),
        ("output_token_count", |sample| sample.output().map(|it| it as f64)),
        ("time_to_first_token_ms", |sample| sample.ttft().map(|it| it * 1000.0)),
        ("time_to_first_output_token_ms", |sample| {
            let record = sample.record;
            let ns = record.first_content_ns?.checked_sub(record.sent_ns?)?;
            Some(ns as f64 / 1e6)
        }),
        ("time_per_output_token_ms", |sample| {
            let tokens = sample.output().filter(|tokens| *tokens > 0)?;
            Some(sample.e2e() * 1000.0 / tokens as f64)
        }),
        ("inter_token_latency_ms", |sample| sample.tpot().map(|it| it * 1000.0)),
    ];
    for (name, take) in taken {
        metrics.insert(name.to_owned(), summary(ok.iter().filter_map(take)));
    }
    let per_event = |sample: &Sample| {
        let events = sample.record.token_ns.len();
        (events > 0).then_some(sample.output()? as f64 / events as f64)
    };
    for name in ["output_tokens_per_iteration", "iter_tokens_per_iteration"] {
        metrics.insert(name.to_owned(), summary(ok.iter().filter_map(per_event)));
    }
    // Of websockets, of which there are none.
    for name in ["time_to_last_round_trip_ms", "avg_round_trip_time_ms"] {
        metrics.insert(name.to_owned(), summary([]));
    }
    for (name, parts) in MODALITIES {
        let none: Map<String, Value> =
            parts.iter().map(|part| ((*part).to_owned(), Value::Null)).collect();
        metrics.insert(name.to_owned(), none.into());
    }
    metrics
}

/// Kinds of content with their parts; of none but text there is any, and tokens are counted above.
const MODALITIES: [(&str, &[&str]); 5] = [
    ("text", &["tokens", "words", "characters"]),
    ("image", &["tokens", "images", "pixels", "bytes"]),
    ("video", &["tokens", "frames", "seconds", "bytes"]),
    ("audio", &["tokens", "samples", "seconds", "bytes"]),
    ("tool_call", &["tokens", "mixed_tokens", "count"]),
];

/// How the scheduler did: in seconds, and on average where so named.
fn scheduler(
    evidence: &Evidence,
    stage: &StageEvidence,
    ok: &[Sample<'_>],
    totals: &Value,
) -> Value {
    let (start, end) = (epoch(evidence, stage.start.at_ns), epoch(evidence, stage.ended_ns));
    let first = stage.records.iter().filter_map(|record| record.sent_ns).min();
    let last = stage.records.iter().filter_map(|record| record.end_ns).max();
    let first = first.map_or(start, |ns| epoch(evidence, ns));
    let last = last.map_or(end, |ns| epoch(evidence, ns));
    let mean =
        |numbers: &mut dyn Iterator<Item = f64>| Stats::of(numbers).map_or(0.0, |stats| stats.mean);
    let late =
        mean(&mut stage.records.iter().filter_map(|record| {
            Some(record.sent_ns?.saturating_sub(record.due_ns?) as f64 / 1e9)
        }));
    let took = mean(&mut ok.iter().map(RESPONSE));
    json!({
        "start_time": start,
        "request_start_time": first,
        "measure_start_time": first,
        "measure_end_time": last,
        "request_end_time": last,
        "end_time": end,
        "requests_made": totals,
        "queued_time_avg": 0.0,
        "resolve_start_delay_avg": late,
        "resolve_targeted_start_delay_avg": late,
        "request_start_delay_avg": 0.0,
        "request_targeted_start_delay_avg": late,
        "request_time_avg": took,
        "resolve_end_delay_avg": 0.0,
        "resolve_time_avg": took,
        "finalized_delay_avg": 0.0,
        "processed_delay_avg": 0.0,
    })
}

/// The statistics of successful requests; nothing was measured of the others.
fn summary(numbers: impl IntoIterator<Item = f64>) -> Value {
    let of = distribution(Stats::of(numbers).as_ref());
    let none = distribution(None);
    json!({ "successful": of, "incomplete": none, "errored": none, "total": of })
}

/// Without samples every figure is 0, and so is the count.
fn distribution(stats: Option<&Stats>) -> Value {
    let Some(stats) = stats else {
        let percentiles: Map<String, Value> =
            PERCENTS.iter().map(|(name, _)| ((*name).to_owned(), json!(0.0))).collect();
        return json!({
            "mean": 0.0, "median": 0.0, "mode": 0.0, "variance": 0.0, "std_dev": 0.0, "min": 0.0,
            "max": 0.0, "count": 0, "total_sum": 0.0, "percentiles": percentiles,
        });
    };
    json!({
        "mean": stats.mean,
        "median": stats.percentile(50.0),
        "mode": stats.mode(),
        "variance": stats.std.powi(2),
        "std_dev": stats.std,
        "min": stats.min(),
        "max": stats.max(),
        "count": stats.count(),
        "total_sum": stats.sum,
        "percentiles": stats.percentiles(&PERCENTS),
    })
}

/// Seconds since 1970.
fn epoch(evidence: &Evidence, ns: u64) -> f64 {
    evidence.wall_ns(ns) as f64 / 1e9
}
