//! `ShareGPT`: `[{id, conversations: [{from, value}]}]`, also with `{role, content}` turns.
//!
//! In: an entry; some dumps hold entries as JSON *text*, which is read as the entry it spells. Out:
//! one row per conversation. Invariant: turns keep their order; a system turn stays in front.

use serde_json::Value;

use super::field::{describe, name_of, object};
use super::row::{Expected, Row, RowPrompt};
use crate::request::Message;

/// Whether an entry looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    let spelled = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let entry = spelled.as_ref().unwrap_or(value);
    entry.get("conversations").is_some_and(Value::is_array)
}

/// Reads one entry.
pub(super) fn row(value: &Value) -> Result<Row, Expected> {
    if let Value::String(text) = value {
        let entry: Value = serde_json::from_str(text).map_err(|error| {
            Expected::new("an entry, or JSON text that spells one", format!("text: {error}"))
        })?;
        if entry.is_string() {
            return Err(Expected::new("an entry", "text within text"));
        }
        return row(&entry);
    }
    let entry = object(value, "an entry {conversations: […]}")?;
    let Some(Value::Array(turns)) = entry.get("conversations") else {
        let found = entry.get("conversations").map_or("none".to_owned(), describe);
        return Err(Expected::new("an array of turns in `conversations`", found));
    };
    if turns.is_empty() {
        return Err(Expected::new("at least one turn in `conversations`", "an empty array"));
    }
    let messages = turns
        .iter()
        .enumerate()
        .map(|(position, turn)| message(turn, position))
        .collect::<Result<_, _>>()?;
    let mut row = Row::new(RowPrompt::Messages(messages));
    row.id = name_of(entry, &["id", "conversation_id"])?;
    row.session.clone_from(&row.id);
    row.model = name_of(entry, &["model"])?;
    row.fields = value.clone();
    Ok(row)
}

fn message(turn: &Value, position: usize) -> Result<Message, Expected> {
    let text =
        |names: [&str; 2]| names.iter().find_map(|name| turn.get(*name)).and_then(Value::as_str);
    let (Some(role), Some(content)) = (text(["from", "role"]), text(["value", "content"])) else {
        return Err(Expected::new(
            format!("{{from, value}} or {{role, content}} in `conversations/{position}`"),
            describe(turn),
        ));
    };
    let role = match role {
        "human" | "user" => "user",
        "gpt" | "chatgpt" | "bard" | "bing" | "assistant" => "assistant",
        other => other,
    };
    Ok(Message::text(role, content))
}
