//! One message of a chat, as it was written.
//!
//! In: a role, content, and whatever else a row has. Out: the same, whole. Invariant: written out in
//! the words of chat completions ([`serde::Serialize`]) it is the message that was read; plain text is
//! a text and no tree.

use std::slice;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

/// One message of a chat.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `system`, `user`, `assistant` or any role the endpoint knows.
    pub role: String,
    /// What it says, templates already rendered.
    pub content: Content,
    /// Every other field that it came with: `name`, `tool_calls`, `tool_call_id`, …
    pub more: Map<String, Value>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// Parts, each as it was written: text, images, sound, files, and what nobody here knows.
    Parts(Vec<Value>),
    /// Token ids in place of text.
    Ids(Vec<u64>),
    /// `null`.
    Null,
    /// Nothing: the field is missing, as in answers that only call tools.
    Absent,
    /// It is no message but another item of the responses API (`function_call`, `reasoning`, …): the
    /// fields beside are all there is of it, and the role is that of who would say it.
    Item,
}

impl Message {
    /// A message of plain text.
    pub fn text(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), content: Content::Text(text.into()), more: Map::new() }
    }

    /// A user's message of token ids.
    pub fn ids(ids: Vec<u64>) -> Self {
        Self { role: "user".into(), content: Content::Ids(ids), more: Map::new() }
    }

    /// Its text, where it is text and nothing else.
    pub fn plain(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) if self.more.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Its texts: the content, or the parts that are text.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (text, parts): (Option<&str>, &[Value]) = match &self.content {
            Content::Text(text) => (Some(text), &[]),
            Content::Parts(parts) => (None, parts),
            Content::Item => (self.more.get("output").and_then(Value::as_str), &[]),
            Content::Ids(_) | Content::Null | Content::Absent => (None, &[]),
        };
        text.into_iter().chain(parts.iter().filter_map(text_of))
    }

    /// Its texts as one.
    pub fn said(&self) -> String {
        self.texts().collect()
    }

    /// Its text, where it says nothing else in any field: parts of nothing but text are one.
    pub fn only_text(&self) -> Option<String> {
        let is_bare = |part: &Value| {
            let mut fields = part.as_object().into_iter().flatten();
            fields.all(|(name, _)| matches!(name.as_str(), "type" | "text"))
        };
        let is_bare = match &self.content {
            Content::Parts(parts) => parts.iter().all(is_bare),
            _ => true,
        };
        let is_alone = is_bare && self.is_text() && self.more.values().all(Value::is_null);
        is_alone.then(|| self.said())
    }

    /// Whether all that a model reads of it is its texts.
    pub fn is_text(&self) -> bool {
        let content = match &self.content {
            Content::Text(_) | Content::Null | Content::Absent => true,
            Content::Parts(parts) => parts.iter().all(|part| text_of(part).is_some()),
            Content::Ids(_) | Content::Item => false,
        };
        content && !self.calls_tools()
    }

    /// Whether it calls tools, so that results which name its calls may follow; or is another item that
    /// no answer can stand for.
    pub fn calls_tools(&self) -> bool {
        let says = |name: &str| match self.more.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::Array(calls)) => !calls.is_empty(),
            Some(_) => true,
        };
        let parts: &[Value] = match &self.content {
            Content::Parts(parts) => parts,
            _ => slice::from_ref(&Value::Null),
        };
        let is_call = |part: &Value| part.get("type").and_then(Value::as_str) == Some("tool_use");
        self.content == Content::Item
            || says("tool_calls")
            || says("function_call")
            || parts.iter().any(is_call)
    }

    /// Whether it is token ids.
    pub fn is_ids(&self) -> bool {
        matches!(self.content, Content::Ids(_))
    }

    /// Puts a line in front of its first text; as a part of its own before parts without text.
    /// `false` when it has no place for text.
    pub fn open_with(&mut self, line: &str) -> bool {
        let open = |text: &mut String| text.insert_str(0, &format!("{line}\n"));
        match &mut self.content {
            Content::Text(text) => open(text),
            Content::Parts(parts) => {
                let first = parts.iter().position(|part| text_of(part).is_some());
                let place = first.and_then(|first| match &mut parts[first] {
                    text @ Value::String(_) => Some(text),
                    part => part.get_mut("text"),
                });
                match place {
                    Some(Value::String(text)) => open(text),
                    _ => parts.insert(0, serde_json::json!({ "type": "text", "text": line })),
                }
            }
            Content::Ids(_) | Content::Null | Content::Absent | Content::Item => return false,
        }
        true
    }
}

/// The text of a part: of type `text`, of one that other APIs call so (`input_text`, `output_text`),
/// or without a type. Bare strings are text, too.
pub fn text_of(part: &Value) -> Option<&str> {
    if let Value::String(text) = part {
        return Some(text);
    }
    let is_text = match part.get("type") {
        None => true,
        Some(kind) => matches!(kind.as_str(), Some("text" | "input_text" | "output_text")),
    };
    part.get("text").and_then(Value::as_str).filter(|_| is_text)
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.content != Content::Item {
            map.serialize_entry("role", &self.role)?;
        }
        match &self.content {
            Content::Text(text) => map.serialize_entry("content", text)?,
            Content::Parts(parts) => map.serialize_entry("content", parts)?,
            Content::Ids(ids) => map.serialize_entry("content", ids)?,
            Content::Null => map.serialize_entry("content", &())?,
            Content::Absent | Content::Item => {}
        }
        for (name, value) in &self.more {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(parts: Value) -> Message {
        let Value::Array(parts) = parts else { panic!("parts are an array") };
        Message { content: Content::Parts(parts), ..Message::text("user", "") }
    }

    #[test]
    fn a_line_goes_before_the_first_text_of_parts_too() {
        let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
        let mut message = parts(json!([image, {"type": "text", "text": "q", "cache_control": {}}]));
        assert!(message.open_with("[n]"));
        let opened = json!([image, {"type": "text", "text": "[n]\nq", "cache_control": {}}]);
        assert_eq!(message, parts(opened));

        let mut message = parts(json!([image]));
        assert!(message.open_with("[n]"));
        assert_eq!(message, parts(json!([{"type": "text", "text": "[n]"}, image])));
        assert!(!Message::ids(vec![1, 2]).open_with("[n]"));
    }

    #[test]
    fn calls_and_images_are_more_than_text() {
        assert!(Message::text("user", "a").is_text());
        assert!(parts(json!([{"type": "text", "text": "a"}, "b"])).is_text());
        assert!(!parts(json!([{"type": "image_url", "text": "a"}])).is_text());
        let mut call = Message::text("assistant", "");
        call.more.insert("tool_calls".into(), json!([]));
        assert!(call.is_text() && !call.calls_tools());
        call.more.insert("tool_calls".into(), json!([{"id": "c"}]));
        assert!(!call.is_text() && call.calls_tools());
    }
}
