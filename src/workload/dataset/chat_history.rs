//! The third seed's samples: `[{prompt_content, cut_chat_history: [{role, content}]}]`.
//!
//! In: a sample. Out: one row: the system message from `prompt_content`, where there is one, then the
//! turns. Invariant: system turns within the history are skipped, as that tool does, and named among
//! what is not sent; so are fields beside the two that belong to no request.

use serde_json::{Value, json};

use super::beside::beside;
use super::field::{describe, first, object, required};
use super::messages::{turn, with_messages};
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
    let mut left_out = Vec::new();
    for (position, written) in turns.iter().enumerate() {
        let role = written.get("role").and_then(Value::as_str);
        let content = written.get("content").filter(|it| it.is_string() || it.is_array());
        match (role, content) {
            (Some("system"), Some(_)) => left_out.push("system turns of the history".to_owned()),
            (Some(role), Some(content)) => {
                let taken = ["role", "content"];
                messages.push(turn(written, &taken, (role, content), &mut left_out));
            }
            _ => {
                return Err(Expected::new(
                    format!("{{role, content}} in `cut_chat_history/{position}`"),
                    describe(written),
                ));
            }
        }
    }
    let mut row = with_messages(&Value::Array(messages), "cut_chat_history")?;
    for name in &left_out {
        row.leave_out(name);
    }
    beside(&mut row, sample, &["prompt_content", "cut_chat_history"], None)?;
    row.fields = value.clone();
    Ok(row)
}
