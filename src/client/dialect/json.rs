//! Any JSON endpoint: a body from the plan, and pointers to what its answers say.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: nothing is read but what the plan points to; a pointer that leads nowhere is absent,
//! not zero.

use serde_json::Value;

use super::body::{Body, messages, prompt};
use super::cumulative::Lean;
use super::lenient::count;
use super::{DecodeError, Deltas, Dialect, HttpRequest, Place, Usage, error_text};
use crate::client::framing::Framing;
use crate::plan::{JsonAnswer, JsonApi, TextPart, text_parts};
use crate::request::Request;

/// The dialect that a plan describes.
#[derive(Debug, Clone)]
pub(super) struct Json {
    api: JsonApi,
}

impl Json {
    pub fn new(api: &JsonApi) -> Self {
        Self { api: api.clone() }
    }

    fn read(&self, json: &[u8], out: &mut Deltas, streamed: bool) -> Result<(), DecodeError> {
        let api = &self.api;
        let value: Value =
            serde_json::from_slice(json).map_err(|error| DecodeError(error.to_string()))?;
        out.error = at(&value, api.error.as_ref()).filter(|it| truth(it)).map(error_text);
        let repeats = streamed && api.cumulative;
        if let Some(said) = at(&value, Some(&api.text)) {
            push(said, &mut out.content, repeats.then_some(&mut out.memory.content));
        }
        if let Some(said) = at(&value, api.reasoning.as_ref()) {
            push(said, &mut out.reasoning, repeats.then_some(&mut out.memory.reasoning));
        }
        out.finish_reason = at(&value, api.finish_reason.as_ref()).filter(|it| truth(it)).map(word);
        out.model = at(&value, api.model.as_ref()).filter(|it| truth(it)).map(word);
        out.done = at(&value, api.done.as_ref()).is_some_and(truth);
        let cached = at(&value, api.cached.as_ref());
        out.cached = cached.and_then(Value::as_bool);
        let number = |value: &Value| value.as_number().map(count);
        let count = |pointer: Option<&String>| at(&value, pointer).and_then(number);
        let usage = Usage {
            input_tokens: count(api.input_tokens.as_ref()),
            output_tokens: count(api.output_tokens.as_ref()),
            cached_tokens: cached.and_then(number),
            reasoning_tokens: count(api.reasoning_tokens.as_ref()),
        };
        out.usage = usage.known();
        Ok(())
    }
}

impl Dialect for Json {
    fn encode(&self, request: &Request, model: &str) -> HttpRequest {
        let body = Body::of(request);
        let body = if let Some(template) = &self.api.body {
            let filled = template
                .iter()
                .filter_map(|(key, value)| Some((key.as_str(), fill(value, request, model)?)));
            filled.fold(body, |body, (key, value)| body.set(key, value))
        } else {
            let named = !model.is_empty() && self.api.model.is_some();
            body.set_some("model", named.then_some(model))
                .set("prompt", prompt(&request.messages))
                .limit(&["max_tokens"], request.max_tokens)
                .set_some("temperature", request.temperature)
                .set_some(
                    "stream",
                    (self.api.answer != JsonAnswer::Whole).then_some(request.stream),
                )
        };
        let path = self.api.path.trim_start_matches('/').to_owned();
        HttpRequest { place: Place::Base, path: path.into(), body: body.finish() }
    }

    fn calls_base(&self) -> bool {
        self.api.path.trim_matches('/').is_empty()
    }

    fn needs_model(&self) -> bool {
        match &self.api.body {
            Some(body) => says_model(&Value::Object(body.clone())),
            None => self.api.model.is_some(),
        }
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        self.read(json, out, true)
    }

    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        self.read(json, out, false)
    }

    fn streams(&self, request: &Request) -> bool {
        self.api.answer != JsonAnswer::Whole && super::stream_field(request)
    }

    fn framing(&self) -> Framing {
        match self.api.answer {
            JsonAnswer::Whole | JsonAnswer::Sse => Framing::Sse,
            JsonAnswer::Ndjson => Framing::Ndjson,
        }
    }

    /// Only when the plan says what the end looks like; a `[DONE]` is understood all the same.
    fn marks_end(&self) -> bool {
        self.api.done.is_some() || self.api.finish_reason.is_some()
    }
}

/// Whether some text of the body stands for the model.
fn says_model(template: &Value) -> bool {
    match template {
        Value::String(text) => text_parts(text).contains(&TextPart::Placeholder("model")),
        Value::Array(items) => items.iter().any(says_model),
        Value::Object(fields) => fields.values().any(says_model),
        _ => false,
    }
}

/// A value of the plan's body with its placeholders filled in. A text that is a placeholder and
/// nothing else becomes the value itself, or nothing where there is none. Data is inserted, never
/// read again.
fn fill(template: &Value, request: &Request, model: &str) -> Option<Value> {
    Some(match template {
        Value::String(text) => match text_parts(text).as_slice() {
            [TextPart::Placeholder(name)] => asked(name, request, model)?,
            parts => parts
                .iter()
                .map(|part| match part {
                    TextPart::Words(words) => (*words).to_owned(),
                    TextPart::Placeholder(name) => {
                        asked(name, request, model).as_ref().map(word).unwrap_or_default()
                    }
                })
                .collect::<String>()
                .into(),
        },
        Value::Array(items) => items.iter().filter_map(|item| fill(item, request, model)).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(key, item)| Some((key.clone(), fill(item, request, model)?)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    })
}

/// What a placeholder stands for, one of [`PLACEHOLDERS`](crate::plan::PLACEHOLDERS).
fn asked(name: &str, request: &Request, model: &str) -> Option<Value> {
    match name {
        "prompt" => Some(prompt(&request.messages).into()),
        "messages" => Some(messages(&request.messages)),
        "model" => (!model.is_empty()).then(|| model.into()),
        "max_tokens" => request.max_tokens.map(Value::from),
        "temperature" => request.temperature.map(Value::from),
        "stream" => Some(super::stream_field(request).into()),
        _ => None,
    }
}

fn at<'v>(value: &'v Value, pointer: Option<&String>) -> Option<&'v Value> {
    value.pointer(pointer?).filter(|value| !value.is_null())
}

/// Whether a value says something: not false, not empty, not zero.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Object(_) => true,
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn push(said: &Value, out: &mut String, memory: Option<&mut super::cumulative::Cumulative>) {
    match said {
        Value::String(text) => {
            out.push_str(memory.map_or(text, |memory| memory.news(text, Lean::Repeats)));
        }
        // A list of pieces, as some servers give for several candidates or parts.
        Value::Array(parts) => {
            parts.iter().filter_map(Value::as_str).for_each(|text| out.push_str(text));
        }
        _ => {}
    }
}
