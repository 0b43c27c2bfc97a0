//! `vllm bench serve --save-result --save-detailed`: one JSON file per stage.
//!
//! In: a run. Out: its fields with its formulas: TPOT is (latency - TTFT) / (n - 1), ITL the gaps of
//! all chunks pooled, failed requests stand in the lists with zeros and in no statistic. Texts are not
//! kept, so `generated_texts` are empty.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::figures::{GAPS, INPUT, OUTPUT, Sample, Stats, sum};
use super::{Evidence, File, StageEvidence};

/// One file per stage.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let of = |stage| {
        File::json(format!("{}.json", StageEvidence::slug(stage)), &document(evidence, stage))
    };
    evidence.stages.iter().map(of).collect()
}

fn document(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let ok = stage.ok();
    let (input, output) = (sum(&ok, INPUT), sum(&ok, OUTPUT));
    let seconds = stage.seconds();
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("date", json!(evidence.wall(stage.start.at_ns)));
    set("endpoint_type", json!("openai-chat"));
    set("backend", json!("openai-chat"));
    set("label", json!(format!("runner {}", stage.slug())));
    set("model_id", json!(stage.model()));
    set("tokenizer_id", json!(stage.model()));
    set("num_prompts", json!(stage.records.len()));
    set("request_rate", stage.target_rate().map_or(json!("inf"), |rate| json!(rate)));
    set("burstiness", json!(1.0));
    set("max_concurrency", json!(stage.concurrency()));
    set("duration", json!(seconds));
    set("completed", json!(ok.len()));
    set("failed", json!(stage.records.len() - ok.len()));
    set("total_input_tokens", json!(input));
    set("total_output_tokens", json!(output));
    set("request_throughput", json!(rate(ok.len() as f64)));
    set("request_goodput", Value::Null);
    set("output_throughput", json!(rate(output as f64)));
    set("total_token_throughput", json!(rate((input + output) as f64)));
    set("input_lens", each(stage, |sample| json!(sample.input()), &json!(0)));
    set("output_lens", each(stage, |sample| json!(sample.output()), &json!(0)));
    set("ttfts", each(stage, |sample| json!(sample.ttft()), &json!(0.0)));
    set("itls", each(stage, |sample| json!(sample.gaps()), &json!([])));
    set("latencies", each(stage, |sample| json!(sample.e2e()), &json!(0.0)));
    let starts = stage.records.iter().map(|record| record.sent_ns.map(|ns| ns as f64 / 1e9));
    set("start_times", starts.collect());
    let waits = stage
        .records
        .iter()
        .map(|record| Some(record.sent_ns?.saturating_sub(record.due_ns?) as f64 / 1e9));
    set("queue_times", waits.collect());
    set("generated_texts", stage.records.iter().map(|_| "").collect());
    let errors = stage.records.iter().map(|record| match &record.error {
        Some(error) => format!("{}: {}", error.class, error.message),
        None => String::new(),
    });
    set("errors", errors.collect());
    set("max_output_tokens_per_s", json!(busiest_second(&ok)));
    set("max_concurrent_requests", json!(most_at_once(stage)));
    let ms = |take: &dyn Fn(&Sample<'_>) -> Vec<f64>| {
        Stats::of(ok.iter().flat_map(take).map(|seconds| seconds * 1000.0))
    };
    let of_each = [
        ("ttft", ms(&|sample| sample.ttft().into_iter().collect())),
        ("tpot", ms(&|sample| sample.tpot().into_iter().collect())),
        ("itl", ms(&GAPS)),
        ("e2el", ms(&|sample| vec![sample.e2e()])),
    ];
    for (name, stats) in of_each {
        let figure = |take: fn(&Stats) -> f64| json!(stats.as_ref().map_or(0.0, take));
        set(&format!("mean_{name}_ms"), figure(|stats| stats.mean));
        set(&format!("median_{name}_ms"), figure(|stats| stats.percentile(50.0)));
        set(&format!("std_{name}_ms"), figure(|stats| stats.std));
        set(&format!("p99_{name}_ms"), figure(|stats| stats.percentile(99.0)));
    }
    Value::Object(fields)
}

/// A value for each request in order; `failed` for one without a complete answer.
fn each(stage: &StageEvidence, take: fn(&Sample<'_>) -> Value, failed: &Value) -> Value {
    let of = |record| Sample::of(record).as_ref().map_or_else(|| failed.clone(), take);
    stage.records.iter().map(of).collect()
}

/// Most token-bearing events within a second of the run.
fn busiest_second(ok: &[Sample<'_>]) -> u64 {
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    for ns in ok.iter().flat_map(|sample| &sample.record.token_ns) {
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
