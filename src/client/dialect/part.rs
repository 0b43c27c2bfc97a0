//! Parts of messages as chat completions write them, and tool calls.
//!
//! In: a part or a message. Out: what it holds, for dialects that say it in other words. Invariant: a
//! view: whatever it does not show is told by name, so that nothing is lost between two spellings.

use serde_json::{Map, Value};

use super::NoForm;
use super::prompt::says;
use crate::request::{Message, text_of};

/// What a part holds.
pub(super) enum Part<'p> {
    /// Text.
    Text(&'p str),
    /// An image: its URL, and how closely it is to be looked at.
    Image(&'p str, Option<&'p str>),
    /// A file: `file_id`, or `file_data` and `filename`.
    File(&'p Map<String, Value>),
    /// Something else, by the type that it names.
    Other(&'p str),
}

impl<'p> Part<'p> {
    /// What `part` holds.
    pub fn of(part: &'p Value) -> Self {
        if let Some(text) = text_of(part) {
            return Self::Text(text);
        }
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let text = |value: Option<&'p Value>| value.and_then(Value::as_str);
        match (kind, part.get("image_url"), part.get("file")) {
            ("image_url" | "input_image", Some(Value::String(url)), _) => {
                Self::Image(url, text(part.get("detail")))
            }
            ("image_url", Some(Value::Object(image)), _) => match text(image.get("url")) {
                Some(url) if has_only(image, &["url", "detail"]).is_ok() => {
                    Self::Image(url, text(image.get("detail")))
                }
                _ => Self::Other(kind),
            },
            ("file", _, Some(Value::Object(file))) => Self::File(file),
            _ => Self::Other(kind),
        }
    }
}

/// Refuses a part at `at` that says something in other fields than those of `known`.
pub(super) fn only(part: &Value, known: &[&str], at: &str) -> Result<(), NoForm> {
    let Some(fields) = part.as_object() else { return Ok(()) };
    has_only(fields, known)
        .map_err(|name| NoForm::of(format!("{at}/{name}"), "it has no such field"))
}

fn has_only<'m>(fields: &'m Map<String, Value>, known: &[&str]) -> Result<(), &'m str> {
    match fields.iter().find(|(name, value)| !known.contains(&name.as_str()) && says(value)) {
        Some((name, _)) => Err(name),
        None => Ok(()),
    }
}

/// A part that an API has no form for.
pub(super) fn unknown(kind: &str, at: &str) -> NoForm {
    let kind = if kind.is_empty() { "unknown" } else { kind };
    NoForm::of(at, format!("it takes no part of type {kind}"))
}

/// The media type and base64 of a `data:` URL.
pub(super) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    Some((head.strip_suffix(";base64")?, data))
}

/// A call of a function.
pub(super) struct Call<'m> {
    pub id: &'m Value,
    pub name: &'m Value,
    /// JSON, as text.
    pub arguments: &'m Value,
}

impl Call<'_> {
    /// The arguments as the object that they spell.
    pub fn object(&self, at: &str) -> Result<Value, NoForm> {
        let spelled = match self.arguments {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => Some(other.clone()),
        };
        let object = spelled.filter(Value::is_object);
        object.ok_or_else(|| NoForm::of(at, "here its arguments must be a JSON object"))
    }
}

/// The calls in a message's `tool_calls`; those that are no plain calls of functions are refused.
pub(super) fn calls(message: &Message, position: usize) -> Result<Vec<Call<'_>>, NoForm> {
    let calls = match message.more.get("tool_calls") {
        Some(Value::Array(calls)) => calls.as_slice(),
        _ => &[],
    };
    let mut found = Vec::with_capacity(calls.len());
    for (number, call) in calls.iter().enumerate() {
        let at = format!("messages/{position}/tool_calls/{number}");
        only(call, &["id", "type", "function", "index"], &at)?;
        let is_function = call.get("type").is_none_or(|kind| kind == "function");
        let function = call.get("function").filter(|_| is_function);
        let Some((id, function)) = call.get("id").zip(function) else {
            return Err(NoForm::of(at, "it takes calls of functions, with their ids"));
        };
        only(function, &["name", "arguments"], &at)?;
        found.push(Call { id, name: &function["name"], arguments: &function["arguments"] });
    }
    Ok(found)
}

/// Messages of instructions that stand before all others, and how many; one that stands later is
/// refused, since it would have to be moved.
pub(super) fn leading_system(messages: &[Message]) -> Result<usize, NoForm> {
    let is_system = super::prompt::is_system;
    let leading = messages.iter().take_while(|message| is_system(message)).count();
    match messages[leading..].iter().position(is_system) {
        None => Ok(leading),
        Some(later) => Err(NoForm::of(
            format!("messages/{}/role", leading + later),
            "here instructions stand before the conversation",
        )),
    }
}
