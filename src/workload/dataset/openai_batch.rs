//! `OpenAI` batch input: `{custom_id, method, url, body}` per line.
//!
//! In: a line. Out: the row its `body` asks. Invariant: the line's `url` only says which API the
//! body was written for; where a request goes is the plan's alone to say.

use serde_json::Value;

use super::beside::beside;
use super::field::{describe, name_of, object, required};
use super::messages;
use super::row::{Expected, Row};
use super::scale::Scale;

/// Whether a line looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    value.get("custom_id").is_some() && value.get("body").is_some_and(Value::is_object)
}

/// Reads one line.
pub(super) fn row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    let line = object(value, "a line {custom_id, method, url, body}")?;
    let body = required(line, "body", "a request body")?;
    if let Some(url) = line.get("url") {
        let url = url.as_str().ok_or_else(|| Expected::new("a path in `url`", describe(url)))?;
        if url.contains("embeddings") || url.contains("moderations") {
            return Err(Expected::new("a request that generates text", excerpt_of(url)));
        }
    }
    let mut row = messages::body(object(body, "a request body in `body`")?, "body")?;
    row.id = name_of(line, &["custom_id"])?;
    beside(&mut row, line, &["custom_id", "method", "url", "body"], Some(scale))?;
    row.fields = value.clone();
    Ok(row)
}

fn excerpt_of(url: &str) -> String {
    super::unit::excerpt(url.as_bytes())
}
