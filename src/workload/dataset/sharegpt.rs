//! `ShareGPT`: `[{id, conversations: [{from, value}]}]`, also with `{role, content}` turns, a `system`
//! prompt and `tools` beside them; and chats whose turns stand in `conversation`.
//!
//! In: an entry; some dumps hold entries as JSON *text*, which is read as the entry it spells. Out:
//! one row per conversation. Invariant: turns keep their order; a role that nobody knows is an error
//! and never sent, and a field that belongs to no message or request is named among what is not sent.

use serde_json::{Value, json};

use super::beside::beside;
use super::field::{describe, first, first_named, name_of, object};
use super::messages::{self, with_messages, with_system};
use super::row::{Expected, Row};
use crate::request::Message;

/// Whether an entry looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    let spelled = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let entry = spelled.as_ref().unwrap_or(value);
    ["conversations", "conversation"]
        .iter()
        .any(|name| entry.get(name).and_then(|turns| turns.get(0)).is_some_and(Value::is_object))
        || entry.get("conversations").is_some_and(Value::is_array)
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
    let found = first_named(entry, &["conversations", "conversation"]);
    let Some((holder, Value::Array(turns))) = found else {
        let found = entry.get("conversations").map_or("none".to_owned(), describe);
        return Err(Expected::new("an array of turns in `conversations`", found));
    };
    if turns.is_empty() {
        return Err(Expected::new("at least one turn in `conversations`", "an empty array"));
    }
    let mut messages: Vec<Value> = Vec::with_capacity(turns.len());
    let mut left_out = Vec::new();
    for (position, turn) in turns.iter().enumerate() {
        let message = message(turn, position, messages.last(), &mut left_out)?;
        messages.push(message);
    }
    let messages = Value::Array(messages);
    let mut row = with_messages(&messages, "conversations")?;
    for name in &left_out {
        row.leave_out(name);
    }
    let system = first_named(entry, &["system", "system_prompt"]);
    let mut taken = vec![holder, system.map_or("", |(name, _)| name), "tools"];
    let mut hash = None;
    if first(entry, &["id", "conversation_id"]).is_none() {
        hash = name_of(entry, &["conversation_hash"])?;
        taken.push("conversation_hash");
    }
    // Its time is that of a conversation, and none at which a request was sent.
    beside(&mut row, entry, &taken, None)?;
    match system {
        Some((name, Value::String(text))) if !text.is_empty() => {
            // A conversation that has a system message of its own keeps that.
            let own = messages.get(0).filter(|first| first["role"] == "system");
            match own {
                Some(own) if own["content"] != *text => row.leave_out(name),
                _ => {
                    with_system(&mut row, Message::text("system", text), name);
                }
            }
        }
        None | Some((_, Value::String(_))) => {}
        Some((_, other)) => return Err(Expected::new("text in `system`", describe(other))),
    }
    if let Some(written) = first(entry, &["tools"]) {
        row.body.extend(tools(written)?.map(|tools| ("tools".to_owned(), tools)));
    }
    row.id = row.id.or_else(|| row.session.clone()).or(hash);
    row.session = row.session.or_else(|| row.id.clone());
    row.fields = value.clone();
    Ok(row)
}

/// A turn as a message, after `before`; what of it belongs to no message goes to `left_out`.
fn message(
    turn: &Value,
    position: usize,
    before: Option<&Value>,
    left_out: &mut Vec<String>,
) -> Result<Value, Expected> {
    let part = |names: [&str; 2]| names.iter().find_map(|name| turn.get(*name));
    let role = part(["from", "role"]).and_then(Value::as_str);
    let calls_tools = ["tool_calls", "function_call"]
        .iter()
        .any(|name| turn[*name].is_object() || turn[*name].is_array());
    let content = part(["value", "content"]).filter(|it| it.is_string() || it.is_array());
    let content = content.or_else(|| calls_tools.then_some(&Value::Null));
    let (Some(role), Some(content)) = (role, content) else {
        return Err(Expected::new(
            format!("{{from, value}} or {{role, content}} in `conversations/{position}`"),
            describe(turn),
        ));
    };
    let role = match role.to_lowercase().as_str() {
        "human" | "user" | "prompter" => "user",
        "gpt" | "chatgpt" | "bard" | "bing" | "claude" | "assistant" | "model" | "bot" => {
            "assistant"
        }
        "system" => "system",
        "developer" => "developer",
        "function_call" => {
            let spelled = content.as_str().and_then(|text| serde_json::from_str(text).ok());
            match call(spelled.as_ref(), position) {
                Some(call) => return Ok(call),
                None => "assistant",
            }
        }
        "observation" | "tool" | "function" => "tool",
        other => {
            return Err(Expected::new(
                format!(
                    "a role such as `human`, `gpt`, `system` or `observation` in `conversations/{position}`"
                ),
                format!("`{other}`"),
            ));
        }
    };
    let taken = ["from", "role", "value", "content"];
    let mut message = messages::turn(turn, &taken, (role, content), left_out);
    if let Some(id) = before.and_then(|call| call.pointer("/tool_calls/0/id"))
        && role == "tool"
        && message.get("tool_call_id").is_none()
    {
        message["tool_call_id"] = id.clone();
    }
    Ok(message)
}

/// `{name, arguments}` as an answer that calls this tool.
fn call(spelled: Option<&Value>, position: usize) -> Option<Value> {
    let (name, arguments) = (spelled?.get("name")?.as_str()?, spelled?.get("arguments")?);
    let arguments = arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned);
    let function = json!({ "name": name, "arguments": arguments });
    let id = format!("call_{position}");
    let calls = json!([{ "id": id, "type": "function", "function": function }]);
    Some(json!({ "role": "assistant", "content": null, "tool_calls": calls }))
}

/// Tools as chat completions name them, from a list of functions or JSON text that spells one.
fn tools(value: &Value) -> Result<Option<Value>, Expected> {
    let spelled = match value {
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
    };
    let Value::Array(tools) = spelled else {
        return Err(Expected::new("a list of functions in `tools`", describe(value)));
    };
    let tool = |tool: Value| match tool.get("function") {
        Some(_) => tool,
        None => json!({ "type": "function", "function": tool }),
    };
    Ok((!tools.is_empty()).then(|| tools.into_iter().map(tool).collect()))
}
