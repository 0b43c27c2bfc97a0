//! The chat replay benchmark's records: `rounds.jsonl`, a line per round, and `requests.csv`.
//!
//! In: a run. Out: its field names, units and formulas. A round is a round of the stage, else a window of
//! it (`window:`), else a minute, as `--round-duration` has it; requests count in the round in which they
//! were sent (`actual_qps`), answers in that in which they ended (all else). Its `tpot` of single requests
//! is all the time after the first token, and its `total_time` the moment of the end. Unlike the tool,
//! the last round is written, too, when it is short.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::figures::{Stats, counted, fields, input, output, sample, stats};
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::CHAT_REPLAY;
use crate::record::{OutcomeKind, Record};

/// How long a round is, in nanoseconds, unless the plan says otherwise.
const ROUND_NS: u64 = 60_000_000_000;

const HEADER: [&str; 9] = [
    "request_id",
    "conversation_id",
    "send_time",
    "ttft_time",
    "total_time",
    "tokens_in",
    "tokens_out",
    "ttft",
    "tpot",
];

const PERCENTS: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0)];

/// Two files.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let rounds = evidence.stages.iter().flat_map(rounds);
    let rows =
        evidence.stages.iter().flat_map(StageEvidence::ok).map(|record| row(evidence, record));
    Ok(vec![File::json_lines("rounds.jsonl", rounds), File::csv("requests.csv", &HEADER, rows)?])
}

/// The rounds of a stage, one after the other.
fn rounds(stage: &StageEvidence) -> Vec<Value> {
    let (began, ended) = stage.span();
    let bounds = if stage.rounds.is_empty() {
        let load = stage.start.load.as_deref();
        let window = load.and_then(|load| load.window_ms).map_or(ROUND_NS, nanoseconds);
        let count = ended.saturating_sub(began).div_ceil(window).max(1);
        let bound = |number| began + window * number;
        (0..count).map(|number| (bound(number), bound(number + 1).min(ended))).collect()
    } else {
        stage.rounds.clone()
    };
    let last = bounds.len().saturating_sub(1);
    let round = |(number, (from, to)): (usize, (u64, u64))| {
        // What comes after the last round is of it.
        let within = |at: u64| at >= from && (at < to || number == last);
        let sent = stage.records.iter().filter(|record| record.sent_ns.is_some_and(within));
        let done = |record: &&Record| {
            let counts = record.outcome == OutcomeKind::Ok || record.outcome.is_error();
            counts && record.sent_ns.is_some() && record.end_ns.is_some_and(within)
        };
        let done: Vec<&Record> = stage.records.iter().filter(done).collect();
        line(stage, sent.count(), &done, to.saturating_sub(from) as f64 / 1e9)
    };
    bounds.into_iter().enumerate().map(round).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length from the plan, more than 0; the cast saturates"
)]
fn nanoseconds(ms: f64) -> u64 {
    ((ms * 1e6) as u64).max(1)
}

fn line(stage: &StageEvidence, sent: usize, done: &[&Record], seconds: f64) -> Value {
    let ok = || done.iter().copied().filter(|record| record.outcome == OutcomeKind::Ok);
    let answers = ok().count();
    let per_second = |count: f64, seconds: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let mut out = fields(json!({}));
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    if let Some(rate) = stage.target_rate() {
        put("target_qps", json!(rate));
    }
    put("actual_qps", json!(per_second(sent as f64, seconds)));
    put("success_rate", json!(100.0 * answers as f64 / done.len().max(1) as f64));
    let counts = [counted(ok(), input), counted(ok(), output)];
    let [input, output] = &counts;
    put("input_tokens", mean(input.as_ref()));
    put("output_tokens", mean(output.as_ref()));
    put("model", json!(stage.model()));
    // At a rate it takes the time that so many answers should take, where that is shorter.
    let due = stage.target_rate().map_or(seconds, |rate| answers as f64 / rate);
    let per_minute = |tokens: &Option<Stats>| {
        let sum = tokens.as_ref().map_or(0.0, |stats| stats.sum);
        per_second(sum, seconds.min(due)) * 60.0
    };
    let minutes = [per_minute(input), per_minute(output)];
    put("input_tokens_per_minute", json!(minutes[0]));
    put("output_tokens_per_minute", json!(minutes[1]));
    let of = |name| stats(&CHAT_REPLAY, name, ok());
    for (name, unit, stats) in [
        ("Latency", "s", of("Latency")),
        ("Throughput", "tokens/s", of("Throughput")),
        ("TTFT", "s", of("TTFT")),
        ("TPOT", "ms", of("TPOT")),
        ("Input Tokens per Minute", "tokens/min", Stats::of([minutes[0]])),
        ("Output Tokens per Minute", "tokens/min", Stats::of([minutes[1]])),
    ] {
        if let Some(stats) = stats.filter(|_| answers > 0) {
            put(name, figures(unit, &stats));
        }
    }
    let mut exceptions: BTreeMap<&str, u64> = BTreeMap::new();
    for error in done.iter().filter_map(|record| record.error.as_ref()) {
        *exceptions.entry(&error.message).or_default() += 1;
    }
    if !exceptions.is_empty() {
        put("exceptions", json!(exceptions));
    }
    out.into()
}

/// The whole part of a mean, as Python's `int` cuts it; 0 of nothing.
#[expect(clippy::cast_possible_truncation, reason = "tokens of a request; the cast saturates")]
fn mean(stats: Option<&Stats>) -> Value {
    json!(stats.map_or(0, |stats| stats.mean as i64))
}

fn figures(unit: &str, stats: &Stats) -> Value {
    let mut out = fields(json!({ "unit": unit, "min": stats.min() }));
    out.extend(stats.percentiles(&PERCENTS));
    out.insert("max".to_owned(), json!(stats.max()));
    Value::Object(out)
}

fn row(evidence: &Evidence, record: &Record) -> Vec<String> {
    let show = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
    let count = |value: Option<u64>| value.map(|it| it.to_string()).unwrap_or_default();
    let wall = |ns: Option<u64>| show(ns.map(|ns| evidence.wall_ns(ns) as f64 / 1e9));
    let ttft = sample(&CHAT_REPLAY, "TTFT", record);
    let latency = sample(&CHAT_REPLAY, "Latency", record);
    vec![
        record.request_id.clone(),
        record.session.clone().unwrap_or_default(),
        wall(record.sent_ns),
        wall(record.first_content_ns),
        wall(record.end_ns),
        count(input(record)),
        count(output(record)),
        show(ttft),
        show(latency.zip(ttft).map(|(latency, ttft)| latency - ttft)),
    ]
}
