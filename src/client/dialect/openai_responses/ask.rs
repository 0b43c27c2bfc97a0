//! Messages and tools as the responses API writes them.
//!
//! In: a request's messages and what its row says beside them. Out: input items, and forms of fields.
//! Invariant: parts and items in the API's own words pass as they are.

use serde_json::{Map, Value, json};

use super::super::NoForm;
use super::super::beside::{Form, Forms, function};
use super::super::part::{Part, calls, only, unknown};
use super::super::prompt::nothing_more;
use crate::request::{Content, Message};

/// What it calls fields of chat completions.
pub(super) const FORMS: Forms = Forms {
    within: None,
    same: &[
        "parallel_tool_calls",
        "top_p",
        "top_logprobs",
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "include",
        "previous_response_id",
        "conversation",
        "truncation",
        "background",
        "max_tool_calls",
        "context_management",
        "instructions",
    ],
    own: &[
        ("tools", Form::By("tools", tools)),
        ("tool_choice", Form::By("tool_choice", choice)),
        ("response_format", Form::By("text", format)),
        ("reasoning_effort", Form::In("reasoning", "effort")),
        ("verbosity", Form::In("text", "verbosity")),
    ],
};

/// What an answer of the API itself has beside: its id and its state.
const OWN: [&str; 2] = ["id", "status"];

/// The messages as items.
pub(super) fn items(messages: &[Message]) -> Result<Vec<Value>, NoForm> {
    let mut items = Vec::with_capacity(messages.len());
    for (position, message) in messages.iter().enumerate() {
        let at = format!("messages/{position}");
        if message.role == "function" {
            return Err(NoForm::of(
                format!("{at}/role"),
                "it takes results of tools, by their ids",
            ));
        }
        if message.content == Content::Item {
            items.push(message.more.clone().into());
            continue;
        }
        let known: &[&str] = match message.role.as_str() {
            "tool" => &["tool_call_id"],
            _ => &["tool_calls", OWN[0], OWN[1]],
        };
        nothing_more(message, known)
            .map_err(|name| NoForm::of(format!("{at}/{name}"), "it has no such field"))?;
        let calls = calls(message, position)?;
        let content = match &message.content {
            Content::Text(text) => Some(text.as_str().into()),
            Content::Parts(parts) => Some(
                parts
                    .iter()
                    .enumerate()
                    .map(|(number, it)| part(it, &message.role, &format!("{at}/content/{number}")))
                    .collect::<Result<Vec<_>, _>>()?
                    .into(),
            ),
            Content::Ids(_) | Content::Item => {
                return Err(NoForm::of(format!("{at}/content"), "it takes no token ids"));
            }
            Content::Null | Content::Absent => calls.is_empty().then(|| json!("")),
        };
        if message.role == "tool" {
            let Some(id) = message.more.get("tool_call_id") else {
                return Err(NoForm::of(at, "the result names no call"));
            };
            let result = json!({"type": "function_call_output", "call_id": id, "output": content});
            items.push(result);
            continue;
        }
        if let Some(content) = content {
            let mut item = json!({"role": message.role, "content": content});
            for name in OWN {
                if let Some(value) = message.more.get(name) {
                    item[name] = value.clone();
                }
            }
            items.push(item);
        }
        items.extend(calls.iter().map(|call| {
            json!({"type": "function_call", "call_id": call.id, "name": call.name,
                "arguments": call.arguments})
        }));
    }
    Ok(items)
}

fn part(part: &Value, role: &str, at: &str) -> Result<Value, NoForm> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    if matches!(kind, "input_text" | "output_text" | "input_image" | "input_file" | "refusal") {
        return Ok(part.clone());
    }
    match Part::of(part) {
        Part::Text(text) => {
            only(part, &["type", "text"], at)?;
            let kind = if role == "assistant" { "output_text" } else { "input_text" };
            Ok(json!({"type": kind, "text": text}))
        }
        Part::Image(url, detail) => {
            only(part, &["type", "image_url"], at)?;
            let detail = detail.unwrap_or("auto");
            Ok(json!({"type": "input_image", "image_url": url, "detail": detail}))
        }
        Part::File(file) => {
            only(part, &["type", "file"], at)?;
            let mut own = Map::new();
            own.insert("type".into(), "input_file".into());
            own.extend(file.clone());
            Ok(own.into())
        }
        Part::Other(kind) => Err(unknown(kind, at)),
    }
}

/// Tools lie flat here. Those of functions are strict here unless they say otherwise, and in chats they
/// are not.
fn tools(tools: &Value) -> Result<Option<Value>, &'static str> {
    let tools = tools.as_array().ok_or("it takes a list")?;
    let flat = |tool: &Value| match function(tool) {
        Some(function) => {
            let mut own = Map::new();
            own.insert("type".into(), "function".into());
            own.extend(function.clone());
            own.entry("strict").or_insert(false.into());
            Ok(own.into())
        }
        None if tool.get("function").is_some() => Err("it takes functions without other fields"),
        None => Ok(tool.clone()),
    };
    Ok(Some(tools.iter().map(flat).collect::<Result<Value, _>>()?))
}

fn choice(choice: &Value) -> Result<Option<Value>, &'static str> {
    match function(choice).and_then(|function| function.get("name")) {
        Some(name) => Ok(Some(json!({"type": "function", "name": name}))),
        None if choice.is_string() || choice.get("function").is_none() => Ok(Some(choice.clone())),
        None => Err("it takes a function by its name, without other fields"),
    }
}

/// A schema lies flat, too.
fn format(format: &Value) -> Result<Option<Value>, &'static str> {
    let mut own = Map::new();
    for (name, value) in format.as_object().ok_or("it takes an object")? {
        match (name.as_str(), value) {
            ("json_schema", Value::Object(schema)) => own.extend(schema.clone()),
            _ => drop(own.insert(name.clone(), value.clone())),
        }
    }
    Ok(Some(json!({ "format": own })))
}
