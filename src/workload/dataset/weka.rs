//! Weka agent traces: one request `{id, t, in, out, hash_ids}` per line, or one session per file or
//! line: `{id, block_size, hash_id_scope, requests: [{t, in, out, hash_ids, …}]}`, in which a
//! sub-agent is an entry with `requests` of its own.
//!
//! In: a request or a session. Out: one row per request. Invariant: times count from the session's
//! start; a sub-agent is a session of its own, and local block ids mean something within the
//! trace they stand in only.

use serde_json::{Map, Value};

use super::beside::beside;
use super::field::{count_of, describe, ids, name_of, object, required, required_count, time_of};
use super::messages::blocks;
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;

/// What a request of a trace has. `stop` is why its answer ended, and no field of a request.
const COLUMNS: [&str; 11] = [
    "t",
    "in",
    "out",
    "hash_ids",
    "think_time",
    "type",
    "input_types",
    "output_types",
    "stop",
    "api_time",
    "ttft",
];

/// Tokens of a block where the trace does not say.
const BLOCK_TOKENS: u64 = 64;

/// Whether a value looks like a request or session of these.
pub(super) fn recognises(value: &Value) -> bool {
    let is_request = |value: &Value| {
        let has = |name: &str| value.get(name).is_some();
        has("t") && has("in") && has("out")
    };
    is_request(value)
        || value
            .get("requests")
            .and_then(Value::as_array)
            .and_then(|requests| requests.first())
            .is_some_and(|first| is_request(first) || first.get("requests").is_some())
}

/// What the requests of a session share.
struct Session {
    id: Option<String>,
    scope: Option<String>,
    block_tokens: u64,
    scale: Scale,
    start_ns: u64,
}

/// Reads a request or a session.
pub(super) fn rows(value: &Value, scale: Scale, out: &mut Vec<Row>) -> Result<(), Expected> {
    let entry = object(value, "a request {t, in, out, hash_ids}, or a session of `requests`")?;
    let id = name_of(entry, &["id"])?;
    let is_local = entry.get("hash_id_scope").and_then(Value::as_str) == Some("local");
    let session = Session {
        scope: if is_local { id.clone() } else { None },
        id,
        block_tokens: scale.block_tokens(count_of(entry, &["block_size"])?, BLOCK_TOKENS),
        scale,
        start_ns: 0,
    };
    if entry.contains_key("requests") {
        session.requests(entry, out)
    } else {
        out.push(session.request(value)?);
        Ok(())
    }
}

impl Session {
    fn requests(&self, entry: &Map<String, Value>, out: &mut Vec<Row>) -> Result<(), Expected> {
        let requests = match required(entry, "requests", "an array of requests")? {
            Value::Array(requests) => requests,
            other => return Err(Expected::new("an array in `requests`", describe(other))),
        };
        for (position, request) in requests.iter().enumerate() {
            if let Some(inner) = request.as_object().filter(|inner| inner.contains_key("requests"))
            {
                self.sub_agent(inner, position).requests_of(inner, out)?;
            } else {
                out.push(self.request(request)?);
            }
        }
        Ok(())
    }

    /// Times within a sub-agent count from its start, unless they are later than it already.
    fn requests_of(self, entry: &Map<String, Value>, out: &mut Vec<Row>) -> Result<(), Expected> {
        let spawned = time_of(entry, &["t"], self.scale)?.unwrap_or(0);
        let first = match entry.get("requests").and_then(|requests| requests.get(0)) {
            Some(Value::Object(first)) => time_of(first, &["t"], self.scale)?.unwrap_or(0),
            _ => return Ok(()),
        };
        let offset_ns = if first < spawned { spawned } else { 0 };
        let start_ns = self.start_ns.saturating_add(offset_ns);
        Self { start_ns, ..self }.requests(entry, out)
    }

    fn sub_agent(&self, entry: &Map<String, Value>, position: usize) -> Self {
        let name = name_of(entry, &["agent_id"]).ok().flatten();
        let name = name.unwrap_or_else(|| format!("agent-{position}"));
        Self {
            id: self.id.as_ref().map(|id| format!("{id}/{name}")),
            scope: self.scope.clone(),
            block_tokens: self.block_tokens,
            scale: self.scale,
            start_ns: self.start_ns,
        }
    }

    fn request(&self, value: &Value) -> Result<Row, Expected> {
        let request = object(value, "a request {t, in, out, hash_ids}")?;
        let tokens = required_count(request, &["in"])?;
        let mut row = match request.get("hash_ids").filter(|list| !list.is_null()) {
            Some(list) => {
                let list = ids(list, "hash_ids")?;
                let scope = self.scope.clone();
                Row::new(RowPrompt::Blocks(blocks(list, self.block_tokens, tokens, scope)?))
            }
            None => Row::new(RowPrompt::Length(tokens)),
        };
        row.output_tokens = Some(required_count(request, &["out"])?);
        row.timestamp_ns =
            time_of(request, &["t"], self.scale)?.map(|ns| ns.saturating_add(self.start_ns));
        row.delay_ns = time_of(request, &["think_time"], self.scale)?;
        row.session.clone_from(&self.id);
        row.model = name_of(request, &["model"])?;
        beside(&mut row, request, &COLUMNS, Some(self.scale))?;
        row.fields = value.clone();
        Ok(row)
    }
}
