//! llm-d Benchmark Report v0.2: `benchmark_report_v0.2_STAGE.json`.
//!
//! In: a run. Out: one report per stage with the keys of its JSON schema and no others (it forbids
//! unknown ones); seconds, tokens, and its names of units. Of the serving stack only the endpoint is
//! known, so the stack is left out.

use serde_json::{Value, json};

use super::figures::{GAPS, INPUT, OUTPUT, RESPONSE, Sample, Stats, TPOT, TTFT, fields, sum};
use super::{Evidence, File, StageEvidence};

const PERCENTS: [(&str, f64); 11] = [
    ("p0p1", 0.1),
    ("p1", 1.0),
    ("p5", 5.0),
    ("p10", 10.0),
    ("p25", 25.0),
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p99p9", 99.9),
];

/// One file per stage.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let of = |(number, stage): (usize, &StageEvidence)| {
        let name = format!("benchmark_report_v0.2_{}.json", stage.slug());
        File::json(name, &document(evidence, stage, number))
    };
    evidence.stages.iter().enumerate().map(of).collect()
}

fn document(evidence: &Evidence, stage: &StageEvidence, number: usize) -> Value {
    let ok = stage.ok();
    let seconds = stage.seconds();
    let rate = |count: f64, units: &str| json!({ "units": units, "mean": if seconds > 0.0 { count / seconds } else { 0.0 } });
    let (input, output) = (sum(&ok, INPUT) as f64, sum(&ok, OUTPUT) as f64);
    let count = |take: fn(&Sample<'_>) -> Option<u64>| {
        statistic("count", ok.iter().filter_map(take).map(|count| count as f64))
    };
    let per_token = |tokens: Option<u64>, seconds: f64| {
        tokens.filter(|tokens| *tokens > 0).map(|tokens| seconds / tokens as f64)
    };
    let normalized = ok.iter().filter_map(|sample| per_token(sample.output(), sample.response()));
    let mut load = fields(json!({
        "tool": "runner",
        "tool_version": evidence.run.runner_version,
        "parallelism": 1,
        "source": "unknown",
        "stage": number,
        "input_seq_len": { "distribution": "other", "value": mean(&ok, INPUT) },
        "output_seq_len": { "distribution": "other", "value": mean(&ok, OUTPUT) },
    }));
    load.extend(stage.target_rate().map(|rate| ("rate_qps".to_owned(), json!(rate))));
    load.extend(concurrency(stage).map(|users| ("concurrency".to_owned(), json!(users))));
    without_nulls(json!({
        "version": "0.2",
        "run": {
            "uid": format!("{}-{}", evidence.run.run_id, stage.slug()),
            "eid": evidence.run.run_id,
            "description": format!("runner: plan {}, stage {}", evidence.run.plan, stage.slug()),
            "keywords": [stage.start.kind],
            "time": {
                "start": evidence.wall(stage.start.at_ns),
                "end": evidence.wall(stage.ended_ns),
                "duration": format!("PT{seconds}S"),
            },
        },
        "scenario": {
            "load": {
                "metadata": { "schema_version": "0.0.1", "cfg_id": evidence.run.plan_hash },
                "standardized": load,
                "native": { "args": {}, "envars": {}, "config": evidence.plan },
            },
        },
        "results": {
            "request_performance": {
                "aggregate": {
                    "requests": {
                        "total": stage.records.len(),
                        "failures": stage.failed().count(),
                        "incomplete": stage.incomplete().count(),
                        "input_length": count(INPUT),
                        "output_length": count(OUTPUT),
                    },
                    "latency": {
                        "time_to_first_token": statistic("s", ok.iter().filter_map(TTFT)),
                        "normalized_time_per_output_token": statistic("s/token", normalized),
                        "time_per_output_token":
                            statistic("s/token", ok.iter().filter_map(TPOT)),
                        "inter_token_latency":
                            statistic("s/token", ok.iter().flat_map(GAPS)),
                        "request_latency": statistic("s", ok.iter().map(RESPONSE)),
                    },
                    "throughput": {
                        "input_token_rate": rate(input, "tokens/s"),
                        "output_token_rate": rate(output, "tokens/s"),
                        "total_token_rate": rate(input + output, "tokens/s"),
                        "request_rate": rate(ok.len() as f64, "queries/s"),
                    },
                },
            },
        },
    }))
}

/// A whole number, as the format asks.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of users from the plan, at least 1"
)]
fn concurrency(stage: &StageEvidence) -> Option<u64> {
    stage.concurrency().filter(|users| *users >= 1.0).map(|users| users as u64)
}

fn mean(ok: &[Sample<'_>], take: fn(&Sample<'_>) -> Option<u64>) -> f64 {
    let counts = ok.iter().filter_map(take).map(|count| count as f64);
    Stats::of(counts).map_or(0.0, |stats| stats.mean)
}

fn statistic(units: &str, numbers: impl Iterator<Item = f64>) -> Value {
    let Some(stats) = Stats::of(numbers) else { return Value::Null };
    let mut out = fields(json!({
        "units": units,
        "mean": stats.mean,
        "mode": stats.mode(),
        "stddev": stats.std,
        "min": stats.min(),
    }));
    out.extend(stats.percentiles(&PERCENTS));
    out.insert("max".to_owned(), json!(stats.max()));
    Value::Object(out)
}

/// What is not known is left out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}
