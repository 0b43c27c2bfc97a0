//! The third seed's samples: `[{prompt_content, cut_chat_history: [{role, content}]}]`.
//!
//! In: a sample. Out: one row: the system message from `prompt_content`, then the turns. Invariant:
//! system turns within the history are skipped, and fields beside the two are ignored.

use serde_json::Value;

use super::field::{describe, name_of, object, required};
use super::row::{Expected, Row, RowPrompt};
use crate::request::Message;

/// Whether a sample looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    value.get("cut_chat_history").is_some() && value.get("prompt_content").is_some()
}

/// Reads one sample.
pub(super) fn row(value: &Value) -> Result<Row, Expected> {
    let sample = object(value, "a sample {prompt_content, cut_chat_history}")?;
    let system = match required(sample, "prompt_content", "a system prompt")? {
        Value::String(text) => text.clone(),
        other => return Err(Expected::new("text in `prompt_content`", describe(other))),
    };
    let turns = match required(sample, "cut_chat_history", "an array of turns")? {
        Value::Array(turns) => turns,
        other => return Err(Expected::new("an array in `cut_chat_history`", describe(other))),
    };
    let mut messages = vec![Message::text("system", system)];
    for (position, turn) in turns.iter().enumerate() {
        let text = |name: &str| turn.get(name).and_then(Value::as_str);
        let (Some(role), Some(content)) = (text("role"), text("content")) else {
            return Err(Expected::new(
                format!("{{role, content}} in `cut_chat_history/{position}`"),
                describe(turn),
            ));
        };
        if role != "system" {
            messages.push(Message::text(role, content));
        }
    }
    let mut row = Row::new(RowPrompt::Messages(messages));
    row.id = name_of(sample, &["id"])?;
    row.fields = value.clone();
    Ok(row)
}
