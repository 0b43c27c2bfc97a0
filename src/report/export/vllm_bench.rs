//! `vllm bench serve --save-result --save-detailed`: one JSON file per stage.
//!
//! In: a run. Out: its fields with its definitions: a chunk with only a role is its first token, and
//! failed requests stand in the lists with zeros and in no statistic. Its `burstiness` is the shape of
//! gamma arrivals: 1 is Poisson, infinity even spacing, null what no shape tells. Texts are not kept, so
//! `generated_texts` are empty.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::figures::{Stats, input, lateness, output, stats};
use super::stage::Asked;
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::VLLM;
use crate::record::{ArrivalLine, OutcomeKind, Record};

/// What it calls APIs that other names stand for here.
const BACKENDS: &[(&str, &str)] = &[
    ("openai-completions", "openai"),
    ("triton", "tensorrt-llm"),
    ("llamacpp-completion", "llama.cpp"),
];

/// One file per stage.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let of = |stage| {
        File::json(format!("{}.json", StageEvidence::slug(stage)), &document(evidence, stage))
    };
    evidence.stages.iter().map(of).collect()
}

fn document(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let sums = stage.sums();
    let total = |name| json!(VLLM.total(name, &sums).unwrap_or(0.0));
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("date", json!(evidence.wall(stage.span().0)));
    set("endpoint_type", stage.api(BACKENDS));
    set("backend", stage.api(BACKENDS));
    set("label", json!(format!("runner {}", stage.slug())));
    set("model_id", json!(stage.model()));
    set("tokenizer_id", json!(stage.model()));
    set("num_prompts", json!(stage.records.len()));
    let rate = match stage.asked() {
        Asked::Rate(rate, _) => json!(rate),
        Asked::Users(_) => json!("inf"),
        Asked::Schedule => Value::Null,
    };
    set("request_rate", rate);
    set("burstiness", burstiness(stage));
    set("max_concurrency", json!(stage.users()));
    set("duration", json!(stage.seconds()));
    set("completed", json!(sums.ok));
    set("failed", json!(stage.records.len() as u64 - sums.ok));
    set("total_input_tokens", json!(sums.input));
    set("total_output_tokens", json!(sums.output));
    set("request_throughput", total("request_throughput"));
    set("request_goodput", Value::Null);
    set("output_throughput", total("output_throughput"));
    set("total_token_throughput", total("total_token_throughput"));
    set("input_lens", each(stage, |record| json!(input(record)), &json!(0)));
    set("output_lens", each(stage, |record| json!(output(record)), &json!(0)));
    set("ttfts", each(stage, |record| json!(in_seconds("ttft_ms", record).first()), &json!(0.0)));
    set("itls", each(stage, |record| json!(in_seconds("itl_ms", record)), &json!([])));
    set(
        "latencies",
        each(stage, |record| json!(in_seconds("e2el_ms", record).first()), &json!(0.0)),
    );
    let starts = stage.records.iter().map(|record| record.sent_ns.map(|ns| ns as f64 / 1e9));
    set("start_times", starts.collect());
    set("queue_times", stage.records.iter().map(lateness).collect());
    set("generated_texts", stage.records.iter().map(|_| "").collect());
    let errors = stage.records.iter().map(|record| match &record.error {
        Some(error) => error.message.as_str(),
        None => "",
    });
    set("errors", errors.collect());
    set("max_output_tokens_per_s", json!(busiest_second(stage)));
    set("max_concurrent_requests", json!(most_at_once(stage)));
    for name in ["ttft", "tpot", "itl", "e2el"] {
        let of_all = stats(&VLLM, &format!("{name}_ms"), stage.ok());
        let figure = |take: fn(&Stats) -> f64| json!(of_all.as_ref().map_or(0.0, take));
        set(&format!("mean_{name}_ms"), figure(|stats| stats.mean));
        set(&format!("median_{name}_ms"), figure(|stats| stats.percentile(50.0)));
        set(&format!("std_{name}_ms"), figure(|stats| stats.std));
        set(&format!("p99_{name}_ms"), figure(|stats| stats.percentile(99.0)));
    }
    Value::Object(fields)
}

/// How regular arrivals were to be. Where answers decide, it is the tool's default.
fn burstiness(stage: &StageEvidence) -> Value {
    match stage.asked() {
        Asked::Users(_) | Asked::Rate(_, ArrivalLine::Poisson) => json!(1.0),
        Asked::Rate(_, ArrivalLine::Gamma { burstiness }) => json!(burstiness),
        Asked::Rate(_, ArrivalLine::Constant) => json!("inf"),
        Asked::Rate(_, ArrivalLine::Burst { .. } | ArrivalLine::Log) | Asked::Schedule => {
            Value::Null
        }
    }
}

/// A figure in seconds, as its lists have them.
fn in_seconds(name: &str, record: &Record) -> Vec<f64> {
    VLLM.samples(name, record).into_iter().map(|ms| ms / 1000.0).collect()
}

/// A value for each request in order; `failed` for one without a complete answer.
fn each(stage: &StageEvidence, take: fn(&Record) -> Value, failed: &Value) -> Value {
    let of = |record: &Record| match record.outcome {
        OutcomeKind::Ok => take(record),
        _ => failed.clone(),
    };
    stage.records.iter().map(of).collect()
}

/// Most token-bearing events within a second of the run.
fn busiest_second(stage: &StageEvidence) -> u64 {
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    for ns in stage.ok().flat_map(|record| &record.token_ns) {
        *seconds.entry(ns / 1_000_000_000).or_default() += 1;
    }
    seconds.into_values().max().unwrap_or(0)
}

/// Most requests under way at one moment.
fn most_at_once(stage: &StageEvidence) -> i64 {
    let spans = stage.records.iter().filter_map(|record| Some((record.sent_ns?, record.end_ns?)));
    // At equal times an end goes before a start.
    let mut moments: Vec<(u64, i64)> =
        spans.flat_map(|(sent, end)| [(sent, 1), (end, -1)]).collect();
    moments.sort_unstable();
    let mut now = 0;
    moments.into_iter().fold(0, |most, (_, change)| {
        now += change;
        most.max(now)
    })
}
