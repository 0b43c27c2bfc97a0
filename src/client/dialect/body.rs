//! Request bodies: the dialect's own fields with the plan's extra fields over them.
//!
//! In: a [`Request`] and the dialect's names. Out: JSON. Invariant: an extra field of the plan is
//! sent as it is and wins over ours; in objects that hold a dialect's options, field by field. A field
//! of the row wins over nothing: one that says otherwise than what is there is refused.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::NoForm;
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

    /// Adds a field of the row, an object beside what its object already has. What the body says
    /// otherwise, of its own or by the plan, is refused: one of the two would be gone.
    pub fn lay(mut self, key: &str, value: Value) -> Result<Self, NoForm> {
        if let Some(other) = self.request.body.get(key) {
            agree(key, other, &value, "`prompt.body` says otherwise")?;
        }
        match self.fields.get_mut(key) {
            None => drop(self.fields.insert(key.into(), value)),
            Some(ours) => {
                agree(key, ours, &value, "the body says otherwise already")?;
                merge(ours, value);
            }
        }
        Ok(self)
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
            match self.fields.get_mut(key) {
                Some(ours) => merge(ours, value.clone()),
                None => drop(self.fields.insert(key.clone(), value.clone())),
            }
        }
        for path in &self.request.without {
            take_out(&mut self.fields, path);
        }
        // Writing JSON values into memory has no way to fail.
        serde_json::to_vec(&self.fields).unwrap_or_default().into()
    }
}

/// Lays `theirs` over `ours`: objects field by field.
fn merge(ours: &mut Value, theirs: Value) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => ours.extend(theirs),
        (ours, theirs) => *ours = theirs,
    }
}

/// Refuses a `value` of which something stands otherwise in `other`, by its path.
fn agree(key: &str, other: &Value, value: &Value, why: &str) -> Result<(), NoForm> {
    match (other, value) {
        _ if other == value => Ok(()),
        (Value::Object(other), Value::Object(fields)) => {
            let same = |(name, value): (&String, &Value)| {
                other.get(name).is_none_or(|other| other == value)
            };
            match fields.iter().find(|field| !same(*field)) {
                None => Ok(()),
                Some((name, _)) => Err(NoForm::of(format!("{key}/{name}"), why)),
            }
        }
        _ => Err(NoForm::of(key, why)),
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
    fn what_a_row_says_replaces_nothing_that_says_otherwise() {
        let plan = json!({"seed": 4, "options": {"top_k": 3}});
        let request = Request { body: plan.as_object().unwrap().clone(), ..Request::default() };
        let body = || {
            Body::of(&request).set("stop", json!(["a"])).options("options", [("n", Some(1.into()))])
        };
        for (key, value, refused) in [
            ("stop", json!(["b"]), Some("stop")),
            ("stop", json!(["a"]), None),
            ("options", json!({"n": 2}), Some("options/n")),
            ("options", json!({"top_k": 9}), Some("options/top_k")),
            ("options", json!({"n": 1, "m": 2}), None),
            ("options", json!("none"), Some("options")),
            ("seed", json!(5), Some("seed")),
            ("other", json!(5), None),
        ] {
            let part = body().lay(key, value).err().map(|no_form| no_form.part);
            assert_eq!(part.as_deref(), refused, "{key}");
        }
        let sent = body().lay("options", json!({"m": 2})).unwrap().finish();
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent["options"], json!({"n": 1, "m": 2, "top_k": 3}));
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
