//! The third seed's samples: `[{prompt_content, cut_chat_history: [{role, content}]}]`.
//!
//! In: a sample. Out: one row: the system message from `prompt_content`, where there is one, then the
//! turns. Invariant: system turns within the history are skipped, and fields beside the two are
//! ignored.

use serde_json::{Value, json};

use super::field::{describe, first, name_of, object, required};
use super::messages::with_messages;
use super::row::{Expected, Row};

/// Whether a sample looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    value.get("cut_chat_history").is_some()
}

/// Reads one sample.
pub(super) fn row(value: &Value) -> Result<Row, Expected> {
    let sample = object(value, "a sample {prompt_content, cut_chat_history}")?;
    let turns = match required(sample, "cut_chat_history", "an array of turns")? {
        Value::Array(turns) => turns,
        other => return Err(Expected::new("an array in `cut_chat_history`", describe(other))),
    };
    let mut messages = match first(sample, &["prompt_content"]) {
        None => Vec::new(),
        Some(Value::String(text)) => vec![json!({ "role": "system", "content": text })],
        Some(other) => return Err(Expected::new("text in `prompt_content`", describe(other))),
    };
    for (position, turn) in turns.iter().enumerate() {
        let text = |name: &str| turn.get(name).and_then(Value::as_str);
        let (Some(role), Some(content)) = (text("role"), text("content")) else {
            return Err(Expected::new(
                format!("{{role, content}} in `cut_chat_history/{position}`"),
                describe(turn),
            ));
        };
        if role != "system" {
            messages.push(json!({ "role": role, "content": content }));
        }
    }
    let mut row = with_messages(&Value::Array(messages), "cut_chat_history")?;
    row.id = name_of(sample, &["id"])?;
    row.fields = value.clone();
    Ok(row)
}
