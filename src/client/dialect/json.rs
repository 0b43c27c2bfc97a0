//! Any JSON endpoint: a body from the plan, and pointers to what its answers say.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: nothing is read but what the plan points to; a pointer that leads nowhere is absent,
//! not zero.

use serde_json::{Map, Value};

use super::beside::{self, COMPLETIONS, Form, Forms};
use super::body::Body;
use super::cumulative::Lean;
use super::lenient::count;
use super::prompt::{no_ids, prompt};
use super::{Catalogue, DecodeError, Deltas, Dialect, HttpRequest, NoForm, Usage, error_text};
use crate::client::framing::Framing;
use crate::plan::{JsonAnswer, JsonApi, TextPart, names, text_parts};
use crate::request::{Content, Message, Request};

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
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        let body = Body::of(request);
        let body = if let Some(template) = &self.api.body {
            let filling = Filling::of(template, request, model)?;
            let mut body = if filling.takes_chat {
                let beside = request.recorded.iter().filter(|(name, _)| !filling.takes(name));
                beside.fold(body, |body, (key, value)| body.set(key, value.clone()))
            } else if filling.takes("tools") {
                beside::lay(body, request, &WITH_TOOLS)?
            } else {
                beside::lay(body, request, &FORMS)?
            };
            for (key, value) in template {
                body = match filling.value(value)? {
                    Some(value) if !value.is_null() => body.set(key, value),
                    // What the plan leaves out is not sent, whoever would set it.
                    _ if value.is_null() => body.unset(key),
                    _ => body,
                };
            }
            body
        } else {
            let named = !model.is_empty() && self.api.model.is_some();
            beside::lay(body, request, &FORMS)?
                .set_some("model", named.then_some(model))
                .set("prompt", prompt(request.messages.iter().enumerate())?.text()?)
                .limit(&["max_tokens"], request.max_tokens)
                .set_some("temperature", request.temperature)
                .set_some(
                    "stream",
                    (self.api.answer != JsonAnswer::Whole).then_some(request.stream),
                )
        };
        let path = self.api.path.trim_start_matches('/').to_owned();
        Ok(HttpRequest { path: path.into(), body: body.finish() })
    }

    fn calls_base(&self) -> bool {
        self.api.path.trim_matches('/').is_empty()
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::None
    }

    fn needs_model(&self) -> bool {
        match &self.api.body {
            Some(body) => names(&Value::Object(body.clone()), "model"),
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

/// Forms of a body without a place for messages. What one API alone has may be this one's own.
const FORMS: Forms = Forms { own: &OWN, ..COMPLETIONS };

/// Forms of a body that has a place for tools.
const WITH_TOOLS: Forms = Forms {
    own: &{
        let [a, b, c, d, e] = OWN;
        [a, b, c, d, e, ("tools", Form::By("tools", |_| Ok(None)))]
    },
    ..COMPLETIONS
};

const OWN: [(&str, Form); 5] = [
    ("options", Form::As("options")),
    ("parameters", Form::As("parameters")),
    ("sampling_params", Form::As("sampling_params")),
    ("stop_sequences", Form::As("stop_sequences")),
    ("system", Form::As("system")),
];

/// What fills the plan's body.
struct Filling<'f> {
    template: &'f Map<String, Value>,
    request: &'f Request,
    model: &'f str,
    /// Whether it has a place for messages.
    takes_chat: bool,
}

impl<'f> Filling<'f> {
    /// For a body that has a place for what `request` says.
    fn of(
        template: &'f Map<String, Value>,
        request: &'f Request,
        model: &'f str,
    ) -> Result<Self, NoForm> {
        let mut filling = Self { template, request, model, takes_chat: false };
        filling.takes_chat = filling.takes("messages");
        let has_text = filling.takes_chat || filling.takes("prompt");
        let takes_ids = filling.takes("input_ids");
        let has_place = has_text || takes_ids && filling.ids().is_some();
        if !has_place {
            let why = if takes_ids {
                "its body has a place for token ids and none for text"
            } else {
                "its `json.body` has no `{{ prompt }}` or `{{ messages }}`"
            };
            return Err(NoForm::of("prompt", why));
        }
        Ok(filling)
    }

    /// Whether the body has a place for it.
    fn takes(&self, placeholder: &str) -> bool {
        self.template.values().any(|value| names(value, placeholder))
    }

    /// The token ids that stand for the prompt.
    fn ids(&self) -> Option<&[u64]> {
        match self.request.messages.as_slice() {
            [Message { content: Content::Ids(ids), .. }] => Some(ids),
            _ => None,
        }
    }

    /// A value of the plan's body with its placeholders filled in. A text that is a placeholder and
    /// nothing else becomes the value itself, or nothing where there is none; a field that is null is
    /// not sent. Data is inserted, never read again.
    fn value(&self, template: &Value) -> Result<Option<Value>, NoForm> {
        Ok(Some(match template {
            Value::String(text) => match text_parts(text).as_slice() {
                [TextPart::Placeholder(name)] => return self.asked(name),
                parts => {
                    let mut filled = String::new();
                    for part in parts {
                        match part {
                            TextPart::Words(words) => filled.push_str(words),
                            TextPart::Placeholder(name) => {
                                let value = self.asked(name)?;
                                filled.push_str(&value.as_ref().map(word).unwrap_or_default());
                            }
                        }
                    }
                    filled.into()
                }
            },
            Value::Array(items) => {
                let filled = items.iter().map(|item| self.value(item));
                filled.filter_map(Result::transpose).collect::<Result<Value, _>>()?
            }
            Value::Object(fields) => {
                let mut filled = Map::new();
                for (key, item) in fields.iter().filter(|(_, item)| !item.is_null()) {
                    if let Some(value) = self.value(item)? {
                        filled.insert(key.clone(), value);
                    }
                }
                filled.into()
            }
            other => other.clone(),
        }))
    }

    /// What a placeholder stands for, one of [`PLACEHOLDERS`](crate::plan::PLACEHOLDERS).
    fn asked(&self, name: &str) -> Result<Option<Value>, NoForm> {
        let request = self.request;
        // Ids have a place of their own where the body has one.
        let has_ids = self.ids().filter(|_| self.takes("input_ids"));
        Ok(match name {
            "prompt" | "messages" if has_ids.is_some() => None,
            "prompt" => Some(prompt(request.messages.iter().enumerate())?.text()?),
            "messages" => Some(chat(&request.messages)?),
            "input_ids" => has_ids.map(Value::from),
            "tools" => request.beside("tools").cloned(),
            "model" => (!self.model.is_empty()).then(|| self.model.into()),
            "max_tokens" => request.max_tokens.map(Value::from),
            "temperature" => request.temperature.map(Value::from),
            "stream" => Some(super::stream_field(request).into()),
            _ => None,
        })
    }
}

/// Messages as they are written.
fn chat(messages: &[Message]) -> Result<Value, NoForm> {
    no_ids(messages)?;
    Ok(serde_json::json!(messages))
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
