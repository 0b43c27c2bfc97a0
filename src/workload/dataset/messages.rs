//! Rows that hold a prompt as APIs take it: `messages`, `prompt`, `text`.
//!
//! In: an object of JSONL, JSON or CSV, an array of messages (the fifth seed's prompt files), or a
//! recorded request body. Out: one row. Invariant: what `dataset convert` writes is read back the
//! same.

use serde_json::{Map, Value, json};

use super::beside::beside;
use super::field::{
    self, LIMIT_NAMES, count_of, describe, first, first_named, ids, limit_of, name_of, object,
};
use super::row::{Blocks, Expected, Row, RowPrompt};
use super::scale::Scale;
use crate::request::{Content, Message, Words, fields, text_of};

/// Tokens of a block where a row has `hash_ids` and no `block_size`.
const BLOCK_TOKENS: u64 = 512;

/// Whether a value looks like messages, or an object of them.
pub(super) fn recognises(value: &Value) -> bool {
    is_messages(value) || value.get("messages").is_some_and(is_messages)
}

/// Whether a value is an array that begins with a message.
pub(super) fn is_messages(value: &Value) -> bool {
    value.get(0).is_some_and(is_message)
}

/// Whether a value is one message.
pub(super) fn is_message(value: &Value) -> bool {
    value.get("role").is_some() && value.get("content").is_some()
}

/// Reads an object with `messages`, or an array of messages.
pub(super) fn row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    if value.is_array() {
        let mut row = with_messages(value, "")?;
        row.fields = value.clone();
        return Ok(row);
    }
    let entry = object(value, "an object with `messages`, or an array of messages")?;
    let row = any(value, scale)?;
    if row.prompt == RowPrompt::Fields {
        let found = format!("the fields {}", field::names_of(entry));
        return Err(Expected::new("messages in `messages`", found));
    }
    Ok(row)
}

/// Reads any object: what is known by name becomes the row's, the rest is for templates.
pub(super) fn any(value: &Value, scale: Scale) -> Result<Row, Expected> {
    if let Value::String(prompt) = value {
        return text(prompt.clone());
    }
    let entry = object(value, "an object, or a text that is a prompt")?;
    let (taken, mut row) = match prompt(entry)? {
        Some(found) => found,
        None => ("", Row::new(length(entry, scale)?)),
    };
    let inner = entry.get("body").and_then(Value::as_object);
    let body = if inner.is_some() { "body" } else { "" };
    // What the body says is what was sent, and goes over what stands about it.
    if let Some(inner) = inner {
        recorded(&mut row, inner, |_, _| false)?;
    }
    let is_lifted = entry.get("system").is_some_and(|system| lift(&mut row, system));
    let system = if is_lifted { "system" } else { "" };
    beside(&mut row, entry, &[taken, body, system], Some(scale))?;
    row.fields = value.clone();
    Ok(row)
}

/// A turn of a recorded chat as a message of `role` that says `content`: with what else of it belongs
/// to a message; the names of the rest, but for those that were `taken`, go to `left_out`.
pub(super) fn turn(
    turn: &Value,
    taken: &[&str],
    (role, content): (&str, &Value),
    left_out: &mut Vec<String>,
) -> Value {
    let mut message = json!({ "role": role, "content": content });
    for (name, value) in turn.as_object().into_iter().flatten().filter(|(_, it)| !it.is_null()) {
        if fields::is_of_message(name) {
            message[name] = value.clone();
        } else if !taken.contains(&name.as_str()) {
            left_out.push(format!("{name} of turns"));
        }
    }
    message
}

/// The row that an object's prompt makes, and the field that it stands in.
fn prompt(entry: &Map<String, Value>) -> Result<Option<(&'static str, Row)>, Expected> {
    let Some((name, value)) = first_named(entry, &["messages", "prompt", "text"]) else {
        return Ok(None);
    };
    let row = match value {
        messages if name == "messages" || is_messages(messages) => with_messages(messages, name)?,
        Value::String(text) if !text.is_empty() => Row::new(RowPrompt::Text(text.clone())),
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_u64) => {
            Row::new(RowPrompt::Ids(ids(value, name)?))
        }
        _ => return Ok(None),
    };
    Ok(Some((name, row)))
}

fn length(entry: &Map<String, Value>, scale: Scale) -> Result<RowPrompt, Expected> {
    let tokens = count_of(entry, &["input_length", "input_tokens", "prompt_tokens"])?;
    match (first(entry, &["hash_ids"]), tokens) {
        (Some(list), tokens) => {
            let list = ids(list, "hash_ids")?;
            let block_tokens = scale.block_tokens(count_of(entry, &["block_size"])?, BLOCK_TOKENS);
            let tokens = tokens.unwrap_or(block_tokens.saturating_mul(list.len() as u64));
            let scope = name_of(entry, &["hash_scope"])?;
            blocks(list, block_tokens, tokens, scope).map(RowPrompt::Blocks)
        }
        (None, Some(tokens)) => Ok(RowPrompt::Length(tokens)),
        (None, None) => Ok(RowPrompt::Fields),
    }
}

/// Blocks that cover a prompt of `tokens` tokens.
pub(super) fn blocks(
    ids: Vec<u64>,
    block_tokens: u64,
    tokens: u64,
    scope: Option<String>,
) -> Result<Blocks, Expected> {
    if block_tokens == 0 {
        return Err(Expected::new("a block size above 0", "0"));
    }
    let covered = (ids.len() as u64).saturating_mul(block_tokens);
    if covered.saturating_sub(tokens) >= block_tokens && !ids.is_empty() {
        return Err(Expected::new(
            format!("at most {} ids for {tokens} tokens", tokens.div_ceil(block_tokens)),
            format!("{} ids of {block_tokens} tokens each", ids.len()),
        ));
    }
    Ok(Blocks { ids, block_tokens, tokens, scope })
}

/// A row of recorded messages.
pub(super) fn with_messages(value: &Value, name: &str) -> Result<Row, Expected> {
    Ok(Row::new(RowPrompt::Messages(field::messages(value, name)?)))
}

/// Reads a recorded request body: chat, completions or responses.
pub(super) fn body(body: &Map<String, Value>, name: &str) -> Result<Row, Expected> {
    let mut prompts = ["messages", "prompt", "input"]
        .into_iter()
        .filter_map(|prompt| Some((prompt, body.get(prompt).filter(|value| !value.is_null())?)));
    let (own, mut row) = match prompts.next() {
        Some((own, Value::String(text))) => (own, Row::new(RowPrompt::Text(text.clone()))),
        Some((own, list @ Value::Array(items)))
            if items.iter().all(Value::is_u64) && !items.is_empty() =>
        {
            (own, Row::new(RowPrompt::Ids(ids(list, &format!("{name}/{own}"))?)))
        }
        Some((own, Value::Array(items)))
            if !items.is_empty() && items.iter().all(Value::is_string) =>
        {
            let [Value::String(text)] = items.as_slice() else {
                let found = format!("several prompts in one row: an array of {}", items.len());
                return Err(Expected::new(format!("one prompt in `{name}/{own}`"), found));
            };
            (own, Row::new(RowPrompt::Text(text.clone())))
        }
        Some((own, list)) => (own, with_messages(list, &format!("{name}/{own}"))?),
        None => {
            return Err(Expected::new(
                format!("`messages`, `prompt` or `input` in `{name}`"),
                format!("the fields {}", field::names_of(body)),
            ));
        }
    };
    prompts.for_each(|(other, _)| row.leave_out(other));
    // The responses API keeps the system prompt apart.
    let system = body.get("instructions").filter(|system| own == "input" && system.is_string());
    recorded(&mut row, body, |key, value| {
        matches!(key, "messages" | "prompt" | "input")
            || system == Some(value) && key == "instructions"
    })?;
    let mut instructs = false;
    if let Some(Value::String(system)) = system {
        instructs = with_system(&mut row, Message::text("system", system), "instructions");
    }
    if own == "input" {
        row.words = Words::Responses { instructs };
    }
    Ok(row)
}

/// Takes the fields of a recorded body but for those that were `taken`.
fn recorded(
    row: &mut Row,
    body: &Map<String, Value>,
    taken: impl Fn(&str, &Value) -> bool,
) -> Result<(), Expected> {
    row.limit(limit_of(body)?);
    row.model = name_of(body, &["model"])?;
    for (key, value) in body.iter().filter(|(key, value)| !taken(key, value)) {
        match key.as_str() {
            "model" => {}
            "system" if lift(row, value) => {}
            name if LIMIT_NAMES.contains(&name) => {
                if row.max_tokens_field != Some(name) && !value.is_null() {
                    row.leave_out(name);
                }
            }
            _ => row.request_field(key, value),
        }
    }
    Ok(())
}

/// Puts `system`, which the row has as `name`, before all that it says, unless it opens with this very
/// message. Token ids have no place for it. Says whether it put it there.
pub(super) fn with_system(row: &mut Row, system: Message, name: &str) -> bool {
    match &mut row.prompt {
        RowPrompt::Messages(messages) if messages.first() == Some(&system) => return false,
        RowPrompt::Messages(messages) => messages.insert(0, system),
        RowPrompt::Text(text) => {
            let asked = Message::text("user", std::mem::take(text));
            row.prompt = RowPrompt::Messages(vec![system, asked]);
        }
        _ => {
            row.leave_out(name);
            return false;
        }
    }
    true
}

/// Puts a `system` that stands beside a prompt, a text or parts of text, before all that it says. `false`
/// where it has no place, or another opens the messages.
fn lift(row: &mut Row, value: &Value) -> bool {
    let content = match value {
        Value::String(text) if !text.is_empty() => Content::Text(text.clone()),
        Value::Array(parts) if parts.iter().all(|part| text_of(part).is_some()) => {
            Content::Parts(parts.clone())
        }
        _ => return false,
    };
    let system = Message { content, ..Message::text("system", "") };
    let has_place = match &row.prompt {
        RowPrompt::Messages(messages) => messages.first().is_none_or(|first| {
            *first == system || !matches!(first.role.as_str(), "system" | "developer")
        }),
        prompt => matches!(prompt, RowPrompt::Text(_)),
    };
    if has_place {
        with_system(row, system, "system");
    }
    has_place
}

/// Text as a row: a file or a line.
pub(super) fn text(text: String) -> Result<Row, Expected> {
    if text.trim().is_empty() {
        return Err(Expected::new("text", "nothing but blanks"));
    }
    let mut fields = Map::new();
    fields.insert("text".into(), Value::String(text.clone()));
    let mut row = Row::new(RowPrompt::Text(text));
    row.fields = Value::Object(fields);
    Ok(row)
}

/// What a part of a row was expected to be.
pub(super) fn not_text(value: &Value) -> Expected {
    Expected::new("a line of text", describe(value))
}
