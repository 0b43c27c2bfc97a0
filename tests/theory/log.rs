//! Drawn requests → the lines of a run, as a runner would have written them.

use runner::metrics::compare::evidence::{Collector, Evidence};
use runner::metrics::summary::{RunEnd, RunState};
use runner::record::{Line, Record};
use serde_json::{Value, json};

/// When a request was due, was sent and was answered, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub due: u64,
    pub sent: u64,
    pub end: u64,
}

/// A finished run of one stage, `s`, with these requests. `start` is what its first line says beside
/// what every one does.
pub fn run(id: &str, requests: &[Asked], start: Value) -> Evidence {
    let mut collector = Collector::new(&["ttft", "e2e"]);
    lines(id, requests, start, |line| collector.line(line));
    collector.finish(id.to_owned(), None, &RunEnd::new(RunState::Finished))
}

/// The lines of such a run.
pub fn lines(id: &str, requests: &[Asked], start: Value, mut take: impl FnMut(&Line)) {
    take(&line(json!({
        "type": "run", "record_version": 1, "run_id": id, "plan": "p", "plan_hash": "0",
        "started_at": "2026-01-01T00:00:00Z", "seed": 1, "simulated": false,
        "runner_version": "0"
    })));
    let mut first = json!({
        "type": "stage_start", "stage": "s", "kind": "load", "endpoint": "e", "model": "m",
        "planned": requests.len(), "reported": true, "at_ns": 0
    });
    let (Value::Object(first_keys), Value::Object(start)) = (&mut first, start) else {
        panic!("keys of a stage's first line");
    };
    first_keys.extend(start);
    take(&line(first));
    let pattern = record();
    let mut last = 0;
    for (index, asked) in requests.iter().enumerate() {
        last = last.max(asked.end);
        let request_id = format!("{id}-{index}");
        let record = Record { request_id, ..ended(&pattern, index, asked) };
        take(&Line::End(Box::new(record)));
    }
    take(&line(json!({
        "type": "stage_end", "stage": "s", "state": "completed", "planned": requests.len(),
        "at_ns": last + 1
    })));
}

/// A line of the log.
pub fn line(value: Value) -> Line {
    serde_json::from_value(value).expect("a line of the log")
}

/// An answer of one token, without its times.
pub fn record() -> Record {
    let record = line(json!({
        "type": "end", "stage": "s", "index": 0, "request_id": "r", "outcome": "ok",
        "http_status": 200, "input_tokens": { "server": 10 }, "output_tokens": { "server": 1 },
        "cache": "unknown", "connection": { "reused": true }, "bytes_in": 1, "token_ns": []
    }));
    let Line::End(record) = record else { panic!("a record") };
    *record
}

/// The record of a request of that number.
pub fn ended(pattern: &Record, index: usize, asked: &Asked) -> Record {
    let end = Some(asked.end);
    Record {
        index: index as u64,
        due_ns: Some(asked.due),
        sent_ns: Some(asked.sent),
        headers_ns: end,
        first_event_ns: end,
        first_token_ns: end,
        first_content_ns: end,
        last_token_ns: end,
        end_ns: end,
        token_ns: vec![asked.end],
        ..pattern.clone()
    }
}
