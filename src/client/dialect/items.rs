//! The words of the responses API in those of chat completions.
//!
//! In: a request. Out: the same, calls of tools and their results as messages, parts and fields under
//! the names that chats have for them. Invariant: what chats have no name for is refused; what the API's own store calls an item (`id`) and how
//! far it came (`status`) says nothing to a model and stays behind.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::NoForm;
use super::part::{only, unknown};
use super::prompt::says;
use crate::request::{Content, Message, Request, Words};

/// The same for whoever keeps the request: what of it has no such words, else.
pub fn to_chat_words(request: &Request) -> Result<Request, String> {
    let refused = |it: NoForm| format!("`{}` has no form in chat completions: {}", it.part, it.why);
    in_chat_words(request).map(Cow::into_owned).map_err(refused)
}

/// The request in the words of chat completions.
pub(super) fn in_chat_words(request: &Request) -> Result<Cow<'_, Request>, NoForm> {
    let has_items = request.messages.iter().any(|message| message.content == Content::Item);
    if request.words == Words::Chat && !has_items {
        return Ok(Cow::Borrowed(request));
    }
    let mut chat = request.clone();
    chat.messages = as_chat(&request.messages)?.into_owned();
    if request.words != Words::Chat {
        chat.words = Words::Chat;
        for (position, message) in chat.messages.iter_mut().enumerate() {
            if let Content::Parts(parts) = &mut message.content {
                for (number, part) in parts.iter_mut().enumerate() {
                    chat_part(part, &format!("messages/{position}/content/{number}"))?;
                }
            }
        }
        chat.recorded = fields(&request.recorded)?;
    }
    Ok(Cow::Owned(chat))
}

/// The fields beside the messages.
fn fields(recorded: &Map<String, Value>) -> Result<Map<String, Value>, NoForm> {
    let mut chat = Map::new();
    for (name, value) in recorded {
        let refused = |why: &str| NoForm::of(name, why);
        match (name.as_str(), value) {
            ("tools", Value::Array(tools)) => {
                let tools = tools.iter().map(|tool| wrapped(tool, "tools"));
                chat.insert(name.clone(), tools.collect::<Result<Value, _>>()?);
            }
            ("tool_choice", Value::Object(_)) => {
                chat.insert(name.clone(), wrapped(value, "tool_choice")?);
            }
            ("text", Value::Object(text)) => {
                for (part, value) in text {
                    match (part.as_str(), value) {
                        ("format", Value::Object(format)) => {
                            chat.insert("response_format".into(), nested(format));
                        }
                        ("verbosity", _) => drop(chat.insert(part.clone(), value.clone())),
                        _ if !says(value) => {}
                        _ => return Err(refused("it has a format and a verbosity of texts")),
                    }
                }
            }
            ("reasoning", Value::Object(reasoning)) => {
                for (part, value) in reasoning {
                    match part.as_str() {
                        "effort" => drop(chat.insert("reasoning_effort".into(), value.clone())),
                        _ if !says(value) => {}
                        _ => return Err(refused("it has an effort of reasoning alone")),
                    }
                }
            }
            _ => drop(chat.insert(name.clone(), value.clone())),
        }
    }
    Ok(chat)
}

/// A function that lies flat, as chats wrap it; one that is wrapped already stays.
fn wrapped(tool: &Value, name: &str) -> Result<Value, NoForm> {
    let fields = tool.as_object().filter(|_| tool["type"] == "function");
    let fields = fields.ok_or_else(|| NoForm::of(name, "it takes functions alone"))?;
    if fields.contains_key("function") {
        return Ok(tool.clone());
    }
    let function: Map<String, Value> =
        fields.clone().into_iter().filter(|(key, _)| key != "type").collect();
    Ok(json!({"type": "function", "function": function}))
}

/// A format, whose schema lies flat, as chats nest it.
fn nested(format: &Map<String, Value>) -> Value {
    if format.get("type").is_none_or(|kind| kind != "json_schema") {
        return format.clone().into();
    }
    let schema: Map<String, Value> =
        format.clone().into_iter().filter(|(key, _)| key != "type").collect();
    json!({"type": "json_schema", "json_schema": schema})
}

/// A part under the name that chats have for it.
fn chat_part(part: &mut Value, at: &str) -> Result<(), NoForm> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    let chat = match (kind, &part["text"], &part["image_url"]) {
        ("input_text" | "output_text", Value::String(text), _) => {
            only(part, &["type", "text"], at)?;
            json!({"type": "text", "text": text})
        }
        ("input_image", _, Value::String(url)) => {
            only(part, &["type", "image_url", "detail"], at)?;
            let mut image = json!({ "url": url });
            if let Some(detail) = part.get("detail") {
                image["detail"] = detail.clone();
            }
            json!({"type": "image_url", "image_url": image})
        }
        ("input_file", ..) => {
            only(part, &["type", "file_id", "file_data", "filename"], at)?;
            let fields = part.as_object().into_iter().flatten();
            let file: Map<String, Value> = fields
                .filter(|(key, _)| *key != "type")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            json!({"type": "file", "file": file})
        }
        ("input_text" | "output_text" | "input_image", ..) => return Err(unknown(kind, at)),
        _ => return Ok(()),
    };
    *part = chat;
    Ok(())
}

/// The messages as a chat.
fn as_chat(messages: &[Message]) -> Result<Cow<'_, [Message]>, NoForm> {
    if messages.iter().all(|message| message.content != Content::Item) {
        return Ok(Cow::Borrowed(messages));
    }
    let mut chat: Vec<Message> = Vec::with_capacity(messages.len());
    for (position, message) in messages.iter().enumerate() {
        if message.content != Content::Item {
            chat.push(message.clone());
            continue;
        }
        let at = format!("messages/{position}");
        let item = Value::Object(message.more.clone());
        match item["type"].as_str() {
            Some("function_call") => {
                only(&item, &["type", "id", "status", "call_id", "name", "arguments"], &at)?;
                let function = json!({"name": item["name"], "arguments": item["arguments"]});
                let call = json!({"id": item["call_id"], "type": "function", "function": function});
                // Calls that follow each other, or words, are of one answer.
                let last = chat.last_mut().filter(|last| last.role == "assistant");
                let calls = last.map(|last| last.more.entry("tool_calls").or_insert(json!([])));
                if let Some(Value::Array(calls)) = calls {
                    calls.push(call);
                } else {
                    let mut answer = Message::text("assistant", "");
                    answer.content = Content::Null;
                    answer.more.insert("tool_calls".into(), json!([call]));
                    chat.push(answer);
                }
            }
            Some("function_call_output") => {
                only(&item, &["type", "id", "status", "call_id", "output"], &at)?;
                let Some(output) = item["output"].as_str() else {
                    return Err(NoForm::of(
                        format!("{at}/output"),
                        "it takes results that are text",
                    ));
                };
                let mut result = Message::text("tool", output);
                result.more.insert("tool_call_id".into(), item["call_id"].clone());
                chat.push(result);
            }
            other => {
                let kind = other.unwrap_or("unknown");
                return Err(NoForm::of(at, format!("it takes no item of type {kind}")));
            }
        }
    }
    Ok(Cow::Owned(chat))
}
