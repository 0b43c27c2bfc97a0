//! `GuideLLM`: `benchmarks.json` with a benchmark per stage.
//!
//! In: a run. Out: its metrics under its formulas: time per output token counts from the start of the
//! request (last token - sent) / n, inter token latency is (last - first) / (n - 1); each metric stands
//! there for successful, incomplete, errored and all requests.

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
        "config": {
            "target": evidence.stages.first().map(|stage| evidence.url(stage)),
            "model": evidence.stages.first().map(StageEvidence::model),
            "random_seed": evidence.run.seed,
            "profile": evidence.run.plan,
        },
        "benchmarks": evidence.stages.iter().map(|it| benchmark(evidence, it)).collect::<Vec<_>>(),
    });
    Ok(vec![File::json("benchmarks.json", &document)?])
}

fn benchmark(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let ok = stage.ok();
    let seconds = stage.seconds();
    let (errored, incomplete) = (stage.failed().count(), stage.incomplete().count());
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let busy: f64 = ok.iter().map(RESPONSE).sum();
    let (input, output) = (sum(&ok, INPUT), sum(&ok, OUTPUT));
    let totals = json!({
        "successful": ok.len(),
        "incomplete": incomplete,
        "errored": errored,
        "total": stage.records.len(),
    });
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
    let taken: [(&str, Take<Option<f64>>); 7] = [
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
    let strategy = match (stage.target_rate(), stage.concurrency()) {
        (Some(rate), _) => json!({ "type_": "constant", "rate": rate }),
        (None, Some(streams)) => json!({ "type_": "concurrent", "streams": streams }),
        (None, None) => json!({ "type_": "synchronous" }),
    };
    json!({
        "type_": "generative_benchmark",
        "config": { "run_id": evidence.run.run_id, "label": stage.slug(), "strategy": strategy },
        "scheduler_state": {
            "start_time": epoch(evidence, stage.start.at_ns),
            "end_time": epoch(evidence, stage.ended_ns),
            "created_requests": stage.records.len(),
            "successful_requests": ok.len(),
            "errored_requests": errored,
            "cancelled_requests": incomplete,
        },
        "scheduler_metrics": {
            "start_time": epoch(evidence, stage.start.at_ns),
            "end_time": epoch(evidence, stage.ended_ns),
            "requests_made": totals,
        },
        "metrics": metrics,
        "start_time": epoch(evidence, stage.start.at_ns),
        "end_time": epoch(evidence, stage.ended_ns),
        "duration": seconds,
        "requests": requests(evidence, stage, &ok),
    })
}

/// The statistics of successful requests; nothing was measured of the others.
fn summary(numbers: impl IntoIterator<Item = f64>) -> Value {
    let of = match Stats::of(numbers) {
        Some(stats) => json!({
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
        }),
        None => Value::Null,
    };
    json!({ "successful": of, "incomplete": null, "errored": null, "total": of })
}

fn requests(evidence: &Evidence, stage: &StageEvidence, ok: &[Sample<'_>]) -> Value {
    let good = ok.iter().map(|sample| {
        json!({
            "request_id": sample.record.request_id,
            "prompt_tokens": sample.input(),
            "output_tokens": sample.output(),
            "request_latency": sample.response(),
            "time_to_first_token_ms": sample.ttft().map(|it| it * 1000.0),
            "inter_token_latency_ms": sample.tpot().map(|it| it * 1000.0),
            "request_start_time": sample.record.sent_ns.map(|ns| epoch(evidence, ns)),
            "request_end_time": epoch(evidence, sample.end_ns),
        })
    });
    let bad = stage.failed().map(|record| {
        let why = record.error.as_ref().map(|error| format!("{}: {}", error.class, error.message));
        json!({ "request_id": record.request_id, "error": why })
    });
    let cut = stage.incomplete().map(|record| json!({ "request_id": record.request_id }));
    json!({
        "successful": good.collect::<Vec<_>>(),
        "incomplete": cut.collect::<Vec<_>>(),
        "errored": bad.collect::<Vec<_>>(),
    })
}

/// Seconds since 1970.
fn epoch(evidence: &Evidence, ns: u64) -> f64 {
    evidence.wall_ns(ns) as f64 / 1e9
}
