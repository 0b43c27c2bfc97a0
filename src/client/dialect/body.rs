//! Request bodies: the dialect's own fields with the plan's extra fields over them.
//!
//! In: a [`Request`] and the dialect's names. Out: JSON. Invariant: an extra field of the plan is
//! sent as it is and wins over ours; in objects that hold a dialect's options, field by field.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::request::{Message, Request};

/// A body being put together.
pub(super) struct Body<'a> {
    extra: &'a Map<String, Value>,
    fields: Map<String, Value>,
}

impl<'a> Body<'a> {
    /// An empty body, over which the extra fields of `request` will go.
    pub fn of(request: &'a Request) -> Self {
        Self { extra: &request.body, fields: Map::new() }
    }

    /// Adds a field.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.into(), value.into());
        self
    }

    /// Adds a field that is known.
    pub fn set_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// Adds an object of those options that are known, unless none is.
    pub fn options<const N: usize>(self, key: &str, known: [(&str, Option<Value>); N]) -> Self {
        let known: Map<String, Value> =
            known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        if known.is_empty() { self } else { self.set(key, known) }
    }

    /// The JSON.
    pub fn finish(mut self) -> Bytes {
        for (key, value) in self.extra {
            match (self.fields.get_mut(key), value) {
                (Some(Value::Object(ours)), Value::Object(theirs)) => ours.extend(theirs.clone()),
                _ => drop(self.fields.insert(key.clone(), value.clone())),
            }
        }
        // Writing JSON values into memory has no way to fail.
        serde_json::to_vec(&self.fields).unwrap_or_default().into()
    }
}

/// The messages as chat APIs take them.
pub(super) fn messages<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Value {
    messages
        .into_iter()
        .map(|message| serde_json::json!({"role": message.role, "content": message.content}))
        .collect()
}

/// The messages as one prompt, for APIs without roles: their texts with a blank line between them.
/// No chat template is applied; who wants one writes it into the plan.
pub(super) fn prompt<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Cow<'m, str> {
    let mut texts = messages.into_iter().map(|message| message.content.as_str());
    let mut all = Cow::Borrowed(texts.next().unwrap_or_default());
    for text in texts {
        let all = all.to_mut();
        all.push_str("\n\n");
        all.push_str(text);
    }
    all
}

/// Whether a message is an instruction that some APIs want apart from the conversation.
pub(super) fn is_system(message: &Message) -> bool {
    matches!(message.role.as_str(), "system" | "developer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn extra_fields_win_and_options_merge_field_by_field() {
        let extra = json!({"prompt": "theirs", "options": {"num_predict": 9, "num_ctx": 4096}, "ignore_eos": true});
        let request = Request {
            index: 0,
            messages: Vec::new(),
            max_tokens: None,
            temperature: None,
            stream: true,
            session: None,
            body: extra.as_object().unwrap().clone(),
        };
        let body = Body::of(&request)
            .set("prompt", "ours")
            .set_some("absent", None::<u64>)
            .options(
                "options",
                [("num_predict", Some(1.into())), ("temperature", Some(0.5.into()))],
            )
            .options("empty", [("nothing", None)])
            .finish();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({
                "prompt": "theirs",
                "options": {"num_predict": 9, "temperature": 0.5, "num_ctx": 4096},
                "ignore_eos": true,
            })
        );
    }

    #[test]
    fn texts_of_a_conversation_make_one_prompt_without_roles() {
        let message = |content: &str| Message { role: "user".into(), content: content.into() };
        assert_eq!(prompt(&[]), "");
        assert!(matches!(prompt(&[message("a")]), Cow::Borrowed("a")));
        assert_eq!(prompt(&[message("a"), message("b")]), "a\n\nb");
    }
}
