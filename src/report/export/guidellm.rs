//! `GuideLLM`: `benchmarks.json` with a benchmark per stage.
//!
//! In: a run. Out: its metrics under its definitions; each stands there for successful, incomplete,
//! errored and all requests. Invariant: its own model (0.8) reads the file; what was not measured has no
//! samples, as it writes that itself: a count of 0. Arrivals that it has no word for stand there as the
//! nearest it has, and the label says what they were.

mod requests;

use serde_json::{Map, Value, json};

use super::figures::{Stats, counted, input, lateness, number, output, stats};
use super::stage::Asked;
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::GUIDELLM;
use crate::record::{ArrivalLine, Record};

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
    let of = |take: fn(&Record) -> Option<u64>| {
        let counts = counted(evidence.stages.iter().flat_map(StageEvidence::ok), take);
        number(counts.map_or(1.0, |stats| stats.mean.round().max(1.0)))
    };
    let kind = evidence.stages.first().map(|stage| strategy(stage).0["type_"].clone());
    json!({
        "backend": backend(evidence, evidence.stages.first()),
        "profile": { "kind": kind },
        "data": [{
            "kind": "synthetic_text",
            "prompt_tokens": of(input),
            "output_tokens": of(output),
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
    let sums = stage.sums();
    let (errored, incomplete) = (stage.failed().count(), stage.incomplete().count());
    let totals = json!({
        "successful": sums.ok,
        "incomplete": incomplete,
        "errored": errored,
        "total": stage.records.len(),
    });
    let (strategy, label) = strategy(stage);
    let (from, to) = stage.span();
    let (from, to) = (epoch(evidence, from), epoch(evidence, to));
    json!({
        "type_": "generative_benchmark",
        "config": {
            "run_id": evidence.run.run_id,
            "run_index": index,
            "label": label,
            "strategy": strategy,
            "constraints": {},
            "profile": { "plan": evidence.run.plan, "stage": stage.slug() },
            "requests": {},
            "backend": backend(evidence, Some(stage)),
            "environment": {},
        },
        "scheduler_state": {
            "start_time": from,
            "end_time": to,
            "created_requests": stage.records.len(),
            "successful_requests": sums.ok,
            "errored_requests": errored,
            "cancelled_requests": incomplete,
        },
        "scheduler_metrics": scheduler(evidence, stage, &totals),
        "metrics": metrics(stage, &totals),
        "start_time": from,
        "end_time": to,
        "duration": stage.seconds(),
        "requests": requests::of(evidence, stage),
    })
}

/// The load that was asked for, and a name for the stage that says what the strategy can't.
fn strategy(stage: &StageEvidence) -> (Value, String) {
    let slug = stage.slug();
    let named = |what: String| format!("{slug} ({what})");
    match stage.asked() {
        Asked::Users(1) => (json!({ "type_": "synchronous" }), slug.to_owned()),
        Asked::Users(streams) => {
            (json!({ "type_": "concurrent", "streams": streams }), slug.to_owned())
        }
        Asked::Rate(rate, arrival) => {
            let even = json!({ "type_": "constant", "rate": rate });
            let random = json!({ "type_": "poisson", "rate": rate });
            match arrival {
                ArrivalLine::Constant => (even, slug.to_owned()),
                ArrivalLine::Poisson => (random, slug.to_owned()),
                ArrivalLine::Gamma { burstiness } => {
                    (random, named(format!("gamma arrivals, burstiness {burstiness}")))
                }
                ArrivalLine::Burst { size } => (even, named(format!("bursts of {size}"))),
                ArrivalLine::Log => (random, named("at the times of a log".to_owned())),
            }
        }
        Asked::Schedule => (json!({ "type_": "throughput" }), named("at planned times".to_owned())),
    }
}

/// Every metric of a stage.
fn metrics(stage: &StageEvidence, totals: &Value) -> Map<String, Value> {
    let sums = stage.sums();
    let rate = |count: u64| sums.per_second(count).unwrap_or(0.0);
    let busy: f64 = stage.ok().flat_map(|it| GUIDELLM.samples("request_latency", it)).sum();
    let mut metrics = Map::new();
    metrics.insert("request_totals".to_owned(), totals.clone());
    // One figure of a whole stage stands where the tool has a distribution over time.
    for (name, value) in [
        ("requests_per_second", rate(sums.ok)),
        ("request_concurrency", sums.elapsed_s().map_or(0.0, |seconds| busy / seconds)),
        ("output_tokens_per_second", rate(sums.output)),
        ("prompt_tokens_per_second", rate(sums.input)),
        ("tokens_per_second", rate(sums.input + sums.output)),
    ] {
        metrics.insert(name.to_owned(), summary(Stats::of([value]).as_ref()));
    }
    for name in [
        "request_latency",
        "time_to_first_token_ms",
        "time_to_first_output_token_ms",
        "time_per_output_token_ms",
        "inter_token_latency_ms",
    ] {
        metrics.insert(name.to_owned(), summary(stats(&GUIDELLM, name, stage.ok()).as_ref()));
    }
    let events = |record: &Record| record.token_ns.len();
    let all = |record: &Record| Some(input(record)? + output(record)?);
    for (name, stats) in [
        ("total_token_count", counted(stage.ok(), all)),
        ("prompt_token_count", counted(stage.ok(), input)),
        ("output_token_count", counted(stage.ok(), output)),
        (
            "request_streaming_iterations_count",
            counted(stage.ok(), |record| Some(record.token_ns.len() as u64)),
        ),
    ] {
        metrics.insert(name.to_owned(), summary(stats.as_ref()));
    }
    let per_event = |record: &Record| {
        (events(record) > 0).then_some(output(record)? as f64 / events(record) as f64)
    };
    for name in ["output_tokens_per_iteration", "iter_tokens_per_iteration"] {
        metrics
            .insert(name.to_owned(), summary(Stats::of(stage.ok().filter_map(per_event)).as_ref()));
    }
    // Of websockets, of which there are none.
    for name in ["time_to_last_round_trip_ms", "avg_round_trip_time_ms"] {
        metrics.insert(name.to_owned(), summary(None));
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
fn scheduler(evidence: &Evidence, stage: &StageEvidence, totals: &Value) -> Value {
    let (start, end) = stage.span();
    let (start, end) = (epoch(evidence, start), epoch(evidence, end));
    let mean = |stats: Option<Stats>| stats.map_or(0.0, |stats| stats.mean);
    let late = mean(Stats::of(stage.records.iter().filter_map(lateness)));
    let took = mean(stats(&GUIDELLM, "request_latency", stage.ok()));
    json!({
        "start_time": start,
        "request_start_time": start,
        "measure_start_time": start,
        "measure_end_time": end,
        "request_end_time": end,
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
fn summary(stats: Option<&Stats>) -> Value {
    let of = distribution(stats);
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
