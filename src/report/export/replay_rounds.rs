//! The chat replay benchmark's records: `rounds.jsonl`, a line per round, and `requests.csv`.
//!
//! In: a run. Out: rounds of a minute of sending, as its `--round-duration 60` makes them, with its
//! field names; seconds, and tokens per second for throughput. A stage that lasts less is one round.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::figures::{INPUT, OUTPUT, RESPONSE, Sample, Stats, TPOT, TTFT, fields, sum};
use super::{Evidence, File, StageEvidence};
use crate::record::Record;

/// How long a round sends, in nanoseconds.
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
    let rows = evidence.stages.iter().flat_map(|stage| {
        stage.ok().into_iter().map(|sample| row(evidence, &sample)).collect::<Vec<_>>()
    });
    Ok(vec![File::json_lines("rounds.jsonl", rounds), File::csv("requests.csv", &HEADER, rows)?])
}

/// The rounds of a stage, by when their requests were sent.
fn rounds(stage: &StageEvidence) -> Vec<Value> {
    let mut rounds: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
    for record in &stage.records {
        if let Some(sent) = record.sent_ns {
            let round = sent.saturating_sub(stage.start.at_ns) / ROUND_NS;
            rounds.entry(round).or_default().push(record);
        }
    }
    let last = rounds.len().saturating_sub(1);
    rounds
        .into_values()
        .enumerate()
        .map(|(number, records)| {
            // The last round is as long as it sent; the others are full.
            let began = stage.start.at_ns + ROUND_NS * number as u64;
            let until = stage.ended_ns.min(began + ROUND_NS);
            let full = ROUND_NS as f64 / 1e9;
            let seconds =
                if number < last { full } else { until.saturating_sub(began) as f64 / 1e9 };
            round(stage, &records, seconds)
        })
        .collect()
}

fn round(stage: &StageEvidence, records: &[&Record], seconds: f64) -> Value {
    let ok: Vec<Sample<'_>> = records.iter().filter_map(|record| Sample::of(record)).collect();
    let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    let (input, output) = (sum(&ok, INPUT), sum(&ok, OUTPUT));
    let speed = ok.iter().filter_map(|sample| {
        let seconds = sample.response();
        (seconds > 0.0).then_some(sample.output()? as f64 / seconds)
    });
    let mut exceptions: BTreeMap<&str, u64> = BTreeMap::new();
    for error in records.iter().filter_map(|record| record.error.as_ref()) {
        *exceptions.entry(&error.class).or_default() += 1;
    }
    json!({
        "target_qps": stage.target_rate(),
        "actual_qps": rate(records.len() as f64),
        "success_rate": 100.0 * ok.len() as f64 / records.len().max(1) as f64,
        "input_tokens": input,
        "output_tokens": output,
        "model": stage.model(),
        "input_tokens_per_minute": rate(input as f64) * 60.0,
        "output_tokens_per_minute": rate(output as f64) * 60.0,
        "Latency": figures("s", ok.iter().map(RESPONSE)),
        "Throughput": figures("tokens/s", speed),
        "TTFT": figures("s", ok.iter().filter_map(TTFT)),
        "TPOT": figures("s", ok.iter().filter_map(TPOT)),
        "exceptions": exceptions,
    })
}

fn figures(unit: &str, numbers: impl Iterator<Item = f64>) -> Value {
    let Some(stats) = Stats::of(numbers) else { return Value::Null };
    let mut out = fields(json!({ "unit": unit, "min": stats.min() }));
    out.extend(stats.percentiles(&PERCENTS));
    out.insert("max".to_owned(), json!(stats.max()));
    Value::Object(out)
}

fn row(evidence: &Evidence, sample: &Sample<'_>) -> Vec<String> {
    let show = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
    let record = sample.record;
    let wall = |ns: Option<u64>| show(ns.map(|ns| evidence.wall_ns(ns) as f64 / 1e9));
    vec![
        record.request_id.clone(),
        record.session.clone().unwrap_or_default(),
        wall(record.sent_ns),
        wall(record.first_token_ns),
        sample.response().to_string(),
        show(sample.input().map(|it| it as f64)),
        show(sample.output().map(|it| it as f64)),
        show(sample.ttft()),
        show(sample.tpot()),
    ]
}
