//! Drawn requests → the lines of a run, as a runner would have written them.

use runner::metrics::compare::evidence::{Collector, Evidence};
use runner::metrics::summary::{RunEnd, RunState};
use runner::record::Line;
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
    let mut line = |value: Value| {
        let line: Line = serde_json::from_value(value).expect("a line of the log");
        collector.line(&line);
    };
    line(json!({
        "type": "run", "record_version": 1, "run_id": id, "plan": "p", "plan_hash": "0",
        "started_at": "2026-01-01T00:00:00Z", "seed": 1, "simulated": false,
        "runner_version": "0"
    }));
    let mut first = json!({
        "type": "stage_start", "stage": "s", "kind": "load", "endpoint": "e", "model": "m",
        "planned": requests.len(), "reported": true, "at_ns": 0
    });
    let (Value::Object(first_keys), Value::Object(start)) = (&mut first, start) else {
        panic!("keys of a stage's first line");
    };
    first_keys.extend(start);
    line(first);
    let mut last = 0;
    for (index, Asked { due, sent, end }) in requests.iter().enumerate() {
        last = last.max(*end);
        line(json!({
            "type": "end", "stage": "s", "index": index, "request_id": format!("{id}-{index}"),
            "due_ns": due, "sent_ns": sent, "headers_ns": end, "first_event_ns": end,
            "first_token_ns": end, "first_content_ns": end, "last_token_ns": end, "end_ns": end,
            "token_ns": [end], "outcome": "ok", "http_status": 200,
            "input_tokens": { "server": 10 }, "output_tokens": { "server": 1 },
            "cache": "unknown", "connection": { "reused": true }, "bytes_in": 1
        }));
    }
    line(json!({
        "type": "stage_end", "stage": "s", "state": "completed", "planned": requests.len(),
        "at_ns": last + 1
    }));
    collector.finish(id.to_owned(), None, &RunEnd::new(RunState::Finished))
}
