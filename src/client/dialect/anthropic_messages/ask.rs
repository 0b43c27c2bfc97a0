//! Messages and tools as Anthropic's API writes them.
//!
//! In: a request's messages and what its row says beside them. Out: the system prompt, the turns, and
//! forms of fields. Invariant: blocks in the API's own words pass as they are; results of tools that
//! follow each other are one turn, as the API asks.

use serde_json::{Map, Value, json};

use super::super::NoForm;
use super::super::beside::{Form, Forms, function};
use super::super::part::{Part, calls, data_url, only, unknown};
use super::super::prompt::nothing_more;
use crate::request::{Content, Message};

/// What it calls fields of chat completions.
pub(super) const FORMS: Forms = Forms {
    within: None,
    same: &[
        "top_p",
        "top_k",
        "metadata",
        "service_tier",
        "system",
        "stop_sequences",
        "container",
        "mcp_servers",
        "context_management",
        "output_config",
        "output_format",
        "inference_geo",
    ],
    own: &[
        ("tools", Form::By("tools", tools)),
        ("tool_choice", Form::By("tool_choice", choice)),
        ("parallel_tool_calls", Form::By("tool_choice", parallel)),
        ("stop", Form::ListAs("stop_sequences")),
        ("user", Form::In("metadata", "user_id")),
    ],
};

/// Types of its own blocks, beside text and results of its server's tools.
const BLOCKS: [&str; 10] = [
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "server_tool_use",
    "mcp_tool_use",
    "container_upload",
];

/// The system prompt: one text, or blocks where its messages hold more than text.
pub(super) fn system(messages: &[Message]) -> Result<Option<Value>, NoForm> {
    let plain: Option<Vec<&str>> = messages.iter().map(Message::plain).collect();
    if let Some(texts) = plain {
        return Ok((!texts.is_empty()).then(|| texts.join("\n\n").into()));
    }
    let mut blocks = Vec::new();
    for (position, message) in messages.iter().enumerate() {
        nothing_more(message, &[]).map_err(|name| no_field(position, name))?;
        blocks.extend(blocks_of(message, position)?);
    }
    Ok(Some(blocks.into()))
}

/// The turns of the messages behind the first `skipped`.
pub(super) fn turns(messages: &[Message], skipped: usize) -> Result<Vec<Value>, NoForm> {
    let mut turns: Vec<Value> = Vec::with_capacity(messages.len());
    let mut follows_result = false;
    for (position, message) in messages.iter().enumerate().skip(skipped) {
        let is_result = message.role == "tool";
        let known = if is_result { "tool_call_id" } else { "tool_calls" };
        nothing_more(message, &[known]).map_err(|name| no_field(position, name))?;
        if message.role == "function" {
            return Err(NoForm::of(
                format!("messages/{position}/role"),
                "it takes results of tools, by their ids",
            ));
        }
        let calls = calls(message, position)?;
        if is_result {
            let Some(id) = message.more.get("tool_call_id") else {
                return Err(NoForm::of(format!("messages/{position}"), "the result names no call"));
            };
            let content = content(message, position)?;
            let result = json!({"type": "tool_result", "tool_use_id": id, "content": content});
            let last = turns.last_mut().filter(|_| follows_result);
            match last.and_then(|turn| turn["content"].as_array_mut()) {
                Some(results) => results.push(result),
                None => turns.push(json!({"role": "user", "content": [result]})),
            }
        } else if calls.is_empty() {
            turns.push(json!({"role": message.role, "content": content(message, position)?}));
        } else {
            let mut blocks = blocks_of(message, position)?;
            for call in calls {
                let input = call.object(&format!("messages/{position}/tool_calls"))?;
                let (id, name) = (call.id, call.name);
                blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
            }
            turns.push(json!({"role": message.role, "content": blocks}));
        }
        follows_result = is_result;
    }
    Ok(turns)
}

fn no_field(position: usize, name: &str) -> NoForm {
    NoForm::of(format!("messages/{position}/{name}"), "it has no such field")
}

/// A text where the message is text, else blocks.
fn content(message: &Message, position: usize) -> Result<Value, NoForm> {
    match &message.content {
        Content::Text(text) => Ok(text.as_str().into()),
        Content::Null | Content::Absent => Ok("".into()),
        Content::Parts(_) | Content::Ids(_) | Content::Item => {
            Ok(blocks_of(message, position)?.into())
        }
    }
}

/// Blocks of a message; none where it says nothing.
fn blocks_of(message: &Message, position: usize) -> Result<Vec<Value>, NoForm> {
    let at = format!("messages/{position}/content");
    match &message.content {
        Content::Text(text) if text.is_empty() => Ok(Vec::new()),
        Content::Text(text) => Ok(vec![json!({"type": "text", "text": text})]),
        Content::Null | Content::Absent => Ok(Vec::new()),
        Content::Ids(_) | Content::Item => Err(NoForm::of(at, "it takes no token ids")),
        Content::Parts(parts) => {
            let numbered = parts.iter().enumerate();
            numbered.map(|(number, part)| block(part, &format!("{at}/{number}"))).collect()
        }
    }
}

fn block(part: &Value, at: &str) -> Result<Value, NoForm> {
    let mut own = match Part::of(part) {
        Part::Text(text) => {
            only(part, &["type", "text", "cache_control", "citations"], at)?;
            json!({"type": "text", "text": text})
        }
        Part::Image(url, detail) => {
            only(part, &["type", "image_url", "detail", "cache_control"], at)?;
            if detail.is_some_and(|detail| detail != "auto") {
                return Err(NoForm::of(at, "it knows no detail of images"));
            }
            let source = match data_url(url) {
                Some((kind, data)) => json!({"type": "base64", "media_type": kind, "data": data}),
                None => json!({"type": "url", "url": url}),
            };
            json!({"type": "image", "source": source})
        }
        Part::File(_) => return Err(unknown("file", at)),
        Part::Other(kind) if BLOCKS.contains(&kind) || kind.ends_with("_tool_result") => {
            return Ok(part.clone());
        }
        Part::Other(kind) => return Err(unknown(kind, at)),
    };
    for name in ["cache_control", "citations"] {
        if let Some(value) = part.get(name) {
            own[name] = value.clone();
        }
    }
    Ok(own)
}

/// Tools lie flat here, and their parameters are called input.
fn tools(tools: &Value) -> Result<Option<Value>, &'static str> {
    let tools = tools.as_array().ok_or("it takes a list")?;
    let flat = |tool: &Value| {
        let Some(function) = function(tool) else {
            let is_own = tool.get("function").is_none();
            return is_own.then(|| tool.clone()).ok_or("it takes functions without other fields");
        };
        let mut own = Map::new();
        for (name, value) in function {
            match name.as_str() {
                "name" | "description" => drop(own.insert(name.clone(), value.clone())),
                "parameters" => drop(own.insert("input_schema".into(), value.clone())),
                "strict" if value != &Value::Bool(true) => {}
                _ => return Err("its tools have a name, a description and parameters"),
            }
        }
        own.entry("input_schema").or_insert(json!({"type": "object"}));
        Ok(own.into())
    };
    Ok(Some(tools.iter().map(flat).collect::<Result<Value, _>>()?))
}

fn choice(choice: &Value) -> Result<Option<Value>, &'static str> {
    Ok(Some(match choice.as_str() {
        Some("auto") => json!({"type": "auto"}),
        Some("required") => json!({"type": "any"}),
        Some("none") => json!({"type": "none"}),
        Some(_) => return Err("it takes auto, required, none or a function"),
        None => match function(choice).and_then(|function| function.get("name")) {
            Some(name) => json!({"type": "tool", "name": name}),
            None => choice.clone(),
        },
    }))
}

/// Laid over the choice, which says of itself that it is automatic where the row says none.
fn parallel(parallel: &Value) -> Result<Option<Value>, &'static str> {
    match parallel {
        Value::Bool(true) => Ok(None),
        Value::Bool(false) => Ok(Some(json!({"disable_parallel_tool_use": true}))),
        _ => Err("it takes true or false"),
    }
}
