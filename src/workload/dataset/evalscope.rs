//! evalscope workload traces: `{body, timestamp, headers?, request_id?, completion_tokens?}`.
//!
//! In: a line; `body` is an object or JSON text, `timestamp` seconds or a calendar stamp. Out: one
//! row. Invariant: recorded headers (they may hold keys) are never sent.

use serde_json::Value;

use super::beside::beside;
use super::field::{object, required, time};
use super::messages;
use super::row::{Expected, Row};
use super::scale::Scale;

/// Whether a line looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    let has_body = value.get("body").is_some_and(|body| body.is_object() || body.is_string());
    has_body && value.get("timestamp").is_some()
}

/// Reads one line.
pub(super) fn row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    let line = object(value, "an object {body, timestamp}")?;
    let recorded = required(line, "body", "a request body")?;
    let spelled: Option<Value> = match recorded {
        Value::String(text) => Some(serde_json::from_str(text).map_err(|error| {
            Expected::new("a request body, or JSON text that spells one, in `body`", {
                format!("text: {error}")
            })
        })?),
        _ => None,
    };
    let body = object(spelled.as_ref().unwrap_or(recorded), "a request body in `body`")?;
    let mut row = messages::body(body, "body")?;
    row.timestamp_ns = time(required(line, "timestamp", "a time")?, "timestamp", scale)?;
    beside(&mut row, line, &["body"], Some(scale))?;
    row.fields = value.clone();
    if let Some(fields) = row.fields.as_object_mut() {
        fields.shift_remove("headers");
    }
    Ok(row)
}
