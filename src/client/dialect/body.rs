//! Request bodies: the dialect's own fields with the plan's extra fields over them.
//!
//! In: a [`Request`] and the dialect's names. Out: JSON. Invariant: an extra field of the plan is
//! sent as it is and wins over ours; in objects that hold a dialect's options, field by field.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::request::{Request, take_out};

/// A body being put together.
pub(super) struct Body<'a> {
    request: &'a Request,
    fields: Map<String, Value>,
}

impl<'a> Body<'a> {
    /// An empty body, over which the extra fields of `request` will go.
    pub fn of(request: &'a Request) -> Self {
        Self { request, fields: Map::new() }
    }

    /// Adds a field.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.into(), value.into());
        self
    }

    /// Takes a field out again, whoever set it.
    pub fn unset(mut self, key: &str) -> Self {
        self.fields.shift_remove(key);
        self
    }

    /// Adds the upper bound of generated tokens, for an API that has these names for it: under one of
    /// them, and only one.
    pub fn limit(self, names: &[&str], most: Option<u64>) -> Self {
        let request = self.request;
        if names.iter().any(|name| request.body.contains_key(*name)) {
            return self;
        }
        self.set_some(request.limit_name.among(names), most)
    }

    /// Adds a field; an object is laid over the one that is there.
    pub fn lay(mut self, key: &str, value: Value) -> Self {
        match (self.fields.get_mut(key), value) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => ours.extend(theirs),
            (_, value) => drop(self.fields.insert(key.into(), value)),
        }
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

    /// The JSON, without what the plan says is not sent.
    pub fn finish(mut self) -> Bytes {
        for (key, value) in &self.request.body {
            self = self.lay(key, value.clone());
        }
        for path in &self.request.without {
            take_out(&mut self.fields, path);
        }
        // Writing JSON values into memory has no way to fail.
        serde_json::to_vec(&self.fields).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::LimitName;
    use serde_json::json;

    #[test]
    fn extra_fields_win_and_options_merge_field_by_field() {
        let extra = json!({"prompt": "theirs", "options": {"num_predict": 9, "num_ctx": 4096}, "ignore_eos": true});
        let request = Request {
            stream: true,
            body: extra.as_object().unwrap().clone(),
            without: vec!["unwanted".into(), "options/temperature".into()],
            ..Request::default()
        };
        let body = Body::of(&request)
            .set("prompt", "ours")
            .set_some("absent", None::<u64>)
            .set("unwanted", 1)
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
                "options": {"num_predict": 9, "num_ctx": 4096},
                "ignore_eos": true,
            })
        );
    }

    #[test]
    fn the_bound_of_tokens_has_one_name() {
        const NAMES: [&str; 2] = ["max_tokens", "max_completion_tokens"];
        let sent = |limit_name: LimitName, extra: Value| {
            let body = extra.as_object().unwrap().clone();
            let request = Request { limit_name, body, ..Request::default() };
            let body = Body::of(&request).limit(&NAMES, Some(9)).finish();
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        for (name, body, right) in [
            (LimitName::Api, json!({}), json!({"max_tokens": 9})),
            (
                LimitName::Row("max_completion_tokens"),
                json!({}),
                json!({"max_completion_tokens": 9}),
            ),
            // A name of another API.
            (LimitName::Row("max_output_tokens"), json!({}), json!({"max_tokens": 9})),
            (LimitName::Plan("limit".into()), json!({}), json!({"limit": 9})),
            (
                LimitName::Api,
                json!({"max_completion_tokens": 4}),
                json!({"max_completion_tokens": 4}),
            ),
        ] {
            assert_eq!(sent(name, body), right);
        }
    }
}
