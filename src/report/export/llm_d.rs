//! llm-d Benchmark Report v0.2: `benchmark_report_v0.2_STAGE.json`.
//!
//! In: a run. Out: one report per stage with the keys of its JSON schema and no others (it forbids
//! unknown ones); seconds, tokens, and its names of units. Its latencies have the names of
//! inference-perf, which it runs, and so that tool's definitions. Of the serving stack only the
//! endpoint is known, so the stack is left out.

use serde_json::{Value, json};

use super::figures::{Stats, counted, fields, input, output, stats};
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::INFERENCE_PERF;

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
    let sums = stage.sums();
    let (from, to) = stage.span();
    let seconds = stage.seconds();
    let rate = |count: u64, units: &str| json!({ "units": units, "mean": sums.per_second(count).unwrap_or(0.0) });
    let lengths = [counted(stage.ok(), input), counted(stage.ok(), output)];
    let [input, output] = &lengths;
    let mean = |stats: &Option<Stats>| stats.as_ref().map_or(0.0, |stats| stats.mean);
    let latency =
        |name: &str, units| statistic(units, stats(&INFERENCE_PERF, name, stage.ok()).as_ref());
    let mut load = fields(json!({
        "tool": "runner",
        "tool_version": evidence.run.runner_version,
        "parallelism": 1,
        "source": "unknown",
        "stage": number,
        "input_seq_len": { "distribution": "other", "value": mean(input) },
        "output_seq_len": { "distribution": "other", "value": mean(output) },
    }));
    load.extend(stage.target_rate().map(|rate| ("rate_qps".to_owned(), json!(rate))));
    load.extend(
        stage
            .users()
            .filter(|users| *users >= 1)
            .map(|users| ("concurrency".to_owned(), json!(users))),
    );
    without_nulls(json!({
        "version": "0.2",
        "run": {
            "uid": format!("{}-{}", evidence.run.run_id, stage.slug()),
            "eid": evidence.run.run_id,
            "description": format!("runner: plan {}, stage {}", evidence.run.plan, stage.slug()),
            "keywords": [stage.start.kind],
            "time": {
                "start": evidence.wall(from),
                "end": evidence.wall(to),
                "duration": format!("PT{seconds}S"),
            },
        },
        "scenario": {
            "load": {
                "metadata": { "schema_version": "0.0.1", "cfg_id": evidence.run.plan_hash },
                "standardized": load,
                "native": { "args": {}, "envars": {}, "config": evidence.beside.plan },
            },
        },
        "results": {
            "request_performance": {
                "aggregate": {
                    "requests": {
                        "total": stage.records.len(),
                        "failures": stage.failed().count(),
                        "incomplete": stage.incomplete().count(),
                        "input_length": statistic("count", input.as_ref()),
                        "output_length": statistic("count", output.as_ref()),
                    },
                    "latency": {
                        "time_to_first_token": latency("time_to_first_token", "s"),
                        "normalized_time_per_output_token":
                            latency("normalized_time_per_output_token", "s/token"),
                        "time_per_output_token": latency("time_per_output_token", "s/token"),
                        "inter_token_latency": latency("inter_token_latency", "s/token"),
                        "request_latency": latency("request_latency", "s"),
                    },
                    "throughput": {
                        "input_token_rate": rate(sums.input, "tokens/s"),
                        "output_token_rate": rate(sums.output, "tokens/s"),
                        "total_token_rate": rate(sums.input + sums.output, "tokens/s"),
                        "request_rate": rate(sums.ok, "queries/s"),
                    },
                },
            },
        },
    }))
}

fn statistic(units: &str, stats: Option<&Stats>) -> Value {
    let Some(stats) = stats else { return Value::Null };
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
