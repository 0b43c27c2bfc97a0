//! Messages as one prompt, for APIs without roles.
//!
//! In: a request's messages. Out: their texts with a blank line between them, or token ids. No chat
//! template is applied; who wants one writes it into the plan. Invariant: what is not text is refused.

use std::borrow::Cow;

use serde_json::Value;

use super::NoForm;
use crate::request::{Content, Message, text_of};

/// What an API without roles is asked.
#[derive(Debug, PartialEq)]
pub(super) enum Prompt<'m> {
    /// A text.
    Text(Cow<'m, str>),
    /// Token ids.
    Ids(&'m [u64]),
}

impl Prompt<'_> {
    /// The text; token ids are refused.
    pub fn text(self) -> Result<Value, NoForm> {
        match self {
            Prompt::Text(text) => Ok(text.into()),
            Prompt::Ids(_) => Err(NoForm::of("prompt", "it takes no token ids")),
        }
    }

    /// The text, or the list of token ids.
    pub fn text_or_ids(self) -> Value {
        match self {
            Prompt::Text(text) => text.into(),
            Prompt::Ids(ids) => ids.into(),
        }
    }
}

/// The messages as one prompt. They are numbered as they stand in the request.
pub(super) fn prompt<'m>(
    messages: impl IntoIterator<Item = (usize, &'m Message)>,
) -> Result<Prompt<'m>, NoForm> {
    let mut all: Option<Cow<'m, str>> = None;
    let mut messages = messages.into_iter().peekable();
    while let Some((position, message)) = messages.next() {
        let at = format_args!("messages/{position}");
        if message.content != Content::Item {
            nothing_more(message, &[]).map_err(|name| {
                NoForm::of(format!("{at}/{name}"), "it takes text alone, without such fields")
            })?;
        }
        let text = match &message.content {
            Content::Text(text) => Cow::Borrowed(text.as_str()),
            Content::Parts(parts) => Cow::Owned(joined(parts, position)?),
            Content::Null | Content::Absent => Cow::Borrowed(""),
            Content::Item => return Err(NoForm::of(at.to_string(), "it takes text alone")),
            Content::Ids(ids) if all.is_none() && messages.peek().is_none() => {
                return Ok(Prompt::Ids(ids));
            }
            Content::Ids(_) => {
                return Err(NoForm::of(format!("{at}/content"), "token ids stand alone"));
            }
        };
        match &mut all {
            None => all = Some(text),
            Some(all) => {
                let all = all.to_mut();
                all.push_str("\n\n");
                all.push_str(&text);
            }
        }
    }
    Ok(Prompt::Text(all.unwrap_or_default()))
}

/// Parts of text as one.
pub(super) fn joined(parts: &[Value], position: usize) -> Result<String, NoForm> {
    let mut text = String::new();
    for (number, part) in parts.iter().enumerate() {
        let at = format_args!("messages/{position}/content/{number}");
        let Some(words) = text_of(part) else {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("unknown");
            return Err(NoForm::of(at.to_string(), format!("it takes no part of type {kind}")));
        };
        text.push_str(words);
        let fields = part.as_object().into_iter().flatten();
        let mut others = fields.filter(|(key, _)| !matches!(key.as_str(), "type" | "text"));
        if let Some((name, _)) = others.find(|(_, value)| says(value)) {
            return Err(NoForm::of(format!("{at}/{name}"), "it takes text alone"));
        }
    }
    Ok(text)
}

/// Whether a message has no fields that say something, but for those of `known`; else the first.
pub(super) fn nothing_more<'m>(message: &'m Message, known: &[&str]) -> Result<(), &'m str> {
    let more = message.more.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    match more.into_iter().find(|(_, value)| says(value)) {
        Some((name, _)) => Err(name),
        None => Ok(()),
    }
}

/// Refuses token ids in chats.
pub(super) fn no_ids(messages: &[Message]) -> Result<(), NoForm> {
    match messages.iter().position(Message::is_ids) {
        None => Ok(()),
        Some(position) => {
            Err(NoForm::of(format!("messages/{position}/content"), "it takes no token ids"))
        }
    }
}

/// Whether a value says something: records have `null` and empty lists where nothing was.
pub(super) fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// Whether a message is an instruction that some APIs want apart from the conversation.
pub(super) fn is_system(message: &Message) -> bool {
    matches!(message.role.as_str(), "system" | "developer")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(messages: &[Message]) -> Result<Value, NoForm> {
        prompt(messages.iter().enumerate()).map(Prompt::text_or_ids)
    }

    fn parts(parts: Value) -> Message {
        let Value::Array(parts) = parts else { panic!("parts are an array") };
        Message { content: Content::Parts(parts), ..Message::text("user", "") }
    }

    #[test]
    fn texts_of_a_conversation_make_one_prompt_without_roles() {
        let message = |content: &str| Message::text("user", content);
        assert_eq!(said(&[]), Ok(json!("")));
        let one = [message("a")];
        let borrowed = prompt(one.iter().enumerate());
        assert_eq!(borrowed, Ok(Prompt::Text(Cow::Borrowed("a"))));
        assert_eq!(said(&[message("a"), message("b")]), Ok(json!("a\n\nb")));
        let texts = parts(json!([{"type": "text", "text": "x"}, "y"]));
        assert_eq!(said(&[message("a"), texts]), Ok(json!("a\n\nxy")));
        assert_eq!(said(&[Message::ids(vec![1, 2])]), Ok(json!([1, 2])));
    }

    #[test]
    fn what_is_not_text_is_refused_by_its_place() {
        let mut call = Message::text("assistant", "");
        call.more.insert("tool_calls".into(), json!([{"id": "c"}]));
        let part = |refused: Result<Value, NoForm>| refused.unwrap_err().part;
        assert_eq!(part(said(&[Message::text("user", "a"), call])), "messages/1/tool_calls");
        let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
        assert_eq!(part(said(&[parts(json!([image]))])), "messages/0/content/0");
        let cached = json!({"type": "text", "text": "a", "cache_control": {}});
        assert_eq!(part(said(&[parts(json!([cached]))])), "messages/0/content/0/cache_control");
        let mixed = [Message::text("system", "s"), Message::ids(vec![1])];
        assert_eq!(part(said(&mixed)), "messages/1/content");
    }
}
