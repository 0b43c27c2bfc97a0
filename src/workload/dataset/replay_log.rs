//! The fourth seed's replay logs, in both forms.
//!
//! In: log lines (`2024-01-01T10:00:01Z {"message": "[Log chat request] {…}"}`), or the
//! desensitised JSONL in which token ids stand for text. Out: one row per logged chat request.
//! Invariant: other log lines are no rows and no errors; a line that says it logs a chat request
//! and holds none is malformed.

use serde_json::Value;

use super::beside::beside;
use super::field::{describe, ids, name_of, object, required, time};
use super::messages;
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;

const TAG: &str = "[Log chat request]";

/// Characters of `2024-01-01T10:00:01Z`.
const STAMP: usize = 20;

/// Whether a line begins with a calendar stamp as these logs have it.
pub(super) fn recognises(line: &str) -> bool {
    stamp(line).is_some()
}

/// `NNNN-NN-NNTNN:NN:NNZ` at the beginning of a line.
fn stamp(line: &str) -> Option<&str> {
    let stamp = line.get(..STAMP)?;
    let fits = stamp.bytes().zip(b"dddd-dd-ddTdd:dd:ddZ").all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        mark => byte == *mark,
    });
    fits.then_some(stamp)
}

/// Reads one log line; `None` when it logs something else.
pub(super) fn row(line: &str) -> Result<Option<Row>, Expected> {
    if !line.contains(TAG) {
        return Ok(None);
    }
    let stamp = stamp(line).ok_or_else(|| {
        let head = super::unit::excerpt(line.as_bytes());
        Expected::new("a stamp such as `2024-01-01T10:00:01Z` before a chat request", head)
    })?;
    let stamp = Value::String(stamp.to_owned());
    let request = request(line)?;
    let logged = object(&request, "a logged request {conversationId, body}")?;
    let body = required(logged, "body", "a request body")?;
    let body = object(body, "a request body in `body`")?;
    let mut row = messages::body(body, "body")?;
    row.timestamp_ns = time(&stamp, "the line's stamp", Scale::NANOSECONDS)?;
    row.session = name_of(logged, &["conversationId"])?;
    row.id = name_of(logged, &["requestId"])?;
    let taken = ["conversationId", "requestId", "body"];
    beside(&mut row, logged, &taken, None)?;
    row.fields = request;
    Ok(Some(row))
}

/// The request of a line: the last JSON object whose `message` carries the tag, and what follows
/// the tag there; else the object that follows the tag in the line itself.
fn request(line: &str) -> Result<Value, Expected> {
    let wrong = |reason: String| Expected::new(format!("JSON after `{TAG}`"), reason);
    let mut from = line.find('{');
    while let Some(start) = from {
        let mut values = serde_json::Deserializer::from_str(&line[start..]).into_iter::<Value>();
        if let Some(Ok(outer)) = values.next()
            && let Some(message) = outer.get("message").and_then(Value::as_str)
            && let Some((_, logged)) = message.split_once(TAG)
        {
            return serde_json::from_str(logged.trim()).map_err(|error| wrong(error.to_string()));
        }
        // Text such as `{worker 3}` may stand before the object that is looked for.
        from = line[start + 1..].find('{').map(|next| start + 1 + next);
        if line[..start].contains(TAG) {
            break;
        }
    }
    let logged = line.split_once(TAG).map_or("", |(_, logged)| logged).trim();
    let mut values = serde_json::Deserializer::from_str(logged).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(wrong(error.to_string())),
        None => Err(wrong("nothing".into())),
    }
}

/// Whether a value looks like a line of the desensitised form.
pub(super) fn recognises_tokens(value: &Value) -> bool {
    value.pointer("/messages/0/content/0").is_some_and(Value::is_u64)
}

/// Reads one line of the desensitised form.
pub(super) fn token_row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    let entry = object(value, "an object {timestamp, conversation_id, messages}")?;
    let list = required(entry, "messages", "messages of token ids")?;
    let list = list
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or_else(|| Expected::new("messages of token ids in `messages`", describe(list)))?;
    let mut messages = Vec::with_capacity(list.len());
    for (position, message) in list.iter().enumerate() {
        let name = format!("messages/{position}");
        let fields = object(message, &format!("{{role, content}} in `{name}`"))?;
        let role = required(fields, "role", "a role")?.as_str().unwrap_or("user").to_owned();
        let content = required(fields, "content", "token ids")?;
        messages.push((role, ids(content, &format!("{name}/content"))?));
    }
    let mut row = Row::new(RowPrompt::TokenIds(messages));
    beside(&mut row, entry, &["messages"], Some(scale))?;
    row.fields = value.clone();
    Ok(row)
}
