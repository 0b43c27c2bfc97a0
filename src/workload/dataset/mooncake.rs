//! Mooncake traces: `{timestamp (ms), input_length, output_length, hash_ids}` per line, with the
//! fields that later tools added: `session_id, delay (ms), text_input, messages, payload`.
//!
//! In: a line. Out: one row. Invariant: text, where a line has it, stands before its lengths.

use serde_json::{Map, Value};

use super::beside::beside;
use super::field::{
    LIMIT_NAMES, count_of, describe, first, first_named, ids, object, required_count, time_of,
};
use super::messages::{blocks, body, with_messages};
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;

/// Tokens of a block.
pub(super) const BLOCK_TOKENS: u64 = 512;

/// Whether a line looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    let has = |name: &str| value.get(name).is_some();
    (has("input_length") && (has("output_length") || has("hash_ids")))
        || (has("text_input") && (has("session_id") || has("output_length")))
}

/// Reads one line.
pub(super) fn row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    let line = object(value, "an object {timestamp, input_length, output_length, hash_ids}")?;
    let said = first_named(line, &["payload", "messages", "text_input"]);
    let mut row = match said {
        Some(("payload", payload)) => {
            body(object(payload, "a request body in `payload`")?, "payload")?
        }
        Some(("messages", messages)) => with_messages(messages, "messages")?,
        Some((_, Value::String(text))) if !text.is_empty() => {
            Row::new(RowPrompt::Text(text.clone()))
        }
        Some((_, other)) => return Err(Expected::new("text in `text_input`", describe(other))),
        None => {
            let tokens = required_count(line, &["input_length"])?;
            match first(line, &["hash_ids"]) {
                Some(list) => {
                    let list = ids(list, "hash_ids")?;
                    let size = scale.block_tokens(count_of(line, &["block_size"])?, BLOCK_TOKENS);
                    Row::new(RowPrompt::Blocks(blocks(list, size, tokens, None)?))
                }
                None => Row::new(RowPrompt::Length(tokens)),
            }
        }
    };
    let mut taken = vec![said.map_or("", |(name, _)| name), "delay"];
    if let Some(Value::Object(extra)) = first(line, &["extra"]) {
        let is_of_row = |name: &str| name == "model" || LIMIT_NAMES.contains(&name);
        let (own, more): (Map<_, _>, Map<_, _>) =
            extra.clone().into_iter().partition(|(name, _)| is_of_row(name));
        beside(&mut row, &own, &[], None)?;
        more.iter().for_each(|(name, value)| row.request_field(name, value));
        taken.push("extra");
    }
    row.delay_ns = time_of(line, &["delay"], scale)?;
    beside(&mut row, line, &taken, Some(scale))?;
    row.fields = value.clone();
    Ok(row)
}
