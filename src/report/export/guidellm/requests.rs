//! The single requests of a benchmark in `GuideLLM`'s file.
//!
//! In: a stage. Out: its requests by how they ended, each with the moments at which it was sent and
//! answered (seconds since 1970) and its tokens. Invariant: latencies are in no field of its model but
//! follow from the moments; those that its older readers look for stand beside them.

use serde_json::{Value, json};

use super::epoch;
use crate::metrics::definitions::GUIDELLM;
use crate::record::Record;
use crate::report::export::figures::{input, output, sample};
use crate::report::export::{Evidence, StageEvidence};

/// The requests of a stage.
pub(super) fn of(evidence: &Evidence, stage: &StageEvidence) -> Value {
    let good = stage.ok().map(|record| {
        let figure = |name| json!(sample(&GUIDELLM, name, record));
        let mut request = request(evidence, record, "completed");
        request["input_metrics"]["text_tokens"] = json!(input(record));
        request["output_metrics"]["text_tokens"] = json!(output(record));
        for (name, value) in [
            ("prompt_tokens", json!(input(record))),
            ("output_tokens", json!(output(record))),
            ("request_latency", figure("request_latency")),
            ("time_to_first_token_ms", figure("time_to_first_token_ms")),
            ("inter_token_latency_ms", figure("inter_token_latency_ms")),
            ("request_start_time", request["info"]["timings"]["request_start"].clone()),
            ("request_end_time", request["info"]["timings"]["request_end"].clone()),
        ] {
            request[name] = value;
        }
        request
    });
    let bad = stage.failed().map(|record| {
        let why = record.error.as_ref().map(|error| &error.message);
        let mut request = request(evidence, record, "errored");
        request["info"]["error"] = json!(why);
        request["error"] = json!(why);
        request
    });
    let cut = stage.incomplete().map(|record| request(evidence, record, "cancelled"));
    json!({
        "successful": good.collect::<Vec<_>>(),
        "incomplete": cut.collect::<Vec<_>>(),
        "errored": bad.collect::<Vec<_>>(),
    })
}

fn request(evidence: &Evidence, record: &Record, status: &str) -> Value {
    let at = |ns: Option<u64>| ns.map(|ns| epoch(evidence, ns));
    let first_event = record.first_event_ns.or(record.first_token_ns);
    json!({
        "type_": "generative_request_stats",
        "request_id": record.request_id,
        "info": {
            "request_id": record.request_id,
            "status": status,
            "timings": {
                "targeted_start": at(record.due_ns),
                "request_start": at(record.sent_ns),
                "resolve_start": at(record.sent_ns),
                "first_request_iteration": at(first_event),
                "first_token_iteration": at(record.first_token_ns),
                "first_output_token_iteration": at(record.first_content_ns),
                "last_token_iteration": at(record.last_token_ns),
                "last_request_iteration": at(record.usage_ns.or(record.last_token_ns)),
                "request_iterations": record.token_ns.len(),
                "token_iterations": record.token_ns.len(),
                "request_end": at(record.end_ns),
                "resolve_end": at(record.end_ns),
            },
        },
        "input_metrics": {},
        "output_metrics": {},
    })
}
