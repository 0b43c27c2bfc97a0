//! Items of the responses API in the words of chat completions.
//!
//! In: messages, some of them items. Out: the same, calls of tools and their results as messages.
//! Invariant: an item that is neither is refused; what the API's own store calls an item (`id`) and how
//! far it came (`status`) says nothing to a model and stays behind.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::NoForm;
use super::part::only;
use crate::request::{Content, Message};

/// The messages as a chat.
pub(super) fn as_chat(messages: &[Message]) -> Result<Cow<'_, [Message]>, NoForm> {
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
