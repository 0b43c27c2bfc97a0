//! Ollama's own API: one JSON object per line, counts and durations on the last.
//!
//! In: a [`Request`], or a line or body. Out: the JSON to POST, or [`Deltas`]. Invariant: only
//! `done: true` ends an answer. The durations are the server's own, in nanoseconds there and in
//! milliseconds here.

mod ask;

use serde::Deserialize;
use serde_json::Value;

use super::beside;
use super::body::Body;
use super::lenient::{Count, Lenient, List, Nested, Text, fault, object};
use super::part::leading_system;
use super::prompt::prompt;
use super::{Catalogue, DecodeError, Deltas, Dialect, HttpRequest, NoForm, Place, Usage};
use crate::client::framing::Framing;
use crate::record::ServerTimings;
use crate::request::Request;

/// The dialects of `POST /api/chat` and `POST /api/generate`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ollama {
    Chat,
    Generate,
}

impl Dialect for Ollama {
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        let body = Body::of(request).set("model", model);
        let (path, forms, body) = match self {
            Self::Chat => {
                let messages = ask::messages(&request.messages)?;
                ("api/chat", &ask::CHAT_FORMS, body.set("messages", messages))
            }
            Self::Generate => {
                let leading = leading_system(&request.messages)?;
                let numbered = || request.messages.iter().enumerate();
                let system = (leading > 0).then(|| prompt(numbered().take(leading))?.text());
                let asked = prompt(numbered().skip(leading))?.text()?;
                let body = body.set("prompt", asked).set_some("system", system.transpose()?);
                ("api/generate", &ask::FORMS, body)
            }
        };
        let body = body.set("stream", request.stream).options(
            "options",
            [
                (request.limit_name.among(&["num_predict"]), request.max_tokens.map(Value::from)),
                ("temperature", request.temperature.map(Value::from)),
            ],
        );
        let body = beside::lay(body, request, forms)?.finish();
        Ok(HttpRequest { path: path.into(), body })
    }

    fn place(&self) -> Place {
        Place::Root
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::OllamaTags
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        object::<Line<'_>>(json)?.read(out);
        Ok(())
    }

    fn framing(&self) -> Framing {
        Framing::Ndjson
    }
}

/// A line of either API, or a whole answer.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default, borrow)]
    model: Text<'a>,
    #[serde(default, borrow)]
    response: Text<'a>,
    #[serde(default, borrow)]
    thinking: Text<'a>,
    #[serde(default, borrow)]
    message: Nested<Message<'a>>,
    #[serde(default)]
    done: Lenient<bool>,
    #[serde(default, borrow)]
    done_reason: Text<'a>,
    #[serde(default)]
    prompt_eval_count: Count,
    #[serde(default)]
    eval_count: Count,
    #[serde(default)]
    total_duration: Lenient<f64>,
    #[serde(default)]
    load_duration: Lenient<f64>,
    #[serde(default)]
    prompt_eval_duration: Lenient<f64>,
    #[serde(default)]
    eval_duration: Lenient<f64>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    content: Text<'a>,
    #[serde(default, borrow)]
    thinking: Text<'a>,
    #[serde(default)]
    tool_calls: List<ToolCall>,
}

#[derive(Deserialize)]
struct ToolCall {
    #[serde(default)]
    function: Lenient<Function>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    name: String,
    /// An object, not text as in `OpenAI`'s API.
    #[serde(default)]
    arguments: Value,
}

impl Line<'_> {
    fn read(self, out: &mut Deltas) {
        out.error = fault(self.error.as_ref());
        out.model = self.model.some();
        out.content.push_str(&self.response.0);
        out.reasoning.push_str(&self.thinking.0);
        if let Some(message) = &self.message.0 {
            out.content.push_str(&message.content.0);
            out.reasoning.push_str(&message.thinking.0);
            for function in message.tool_calls.0.iter().filter_map(|call| call.function.0.as_ref())
            {
                out.content.push_str(&function.name);
                match &function.arguments {
                    Value::Null => {}
                    Value::String(arguments) => out.content.push_str(arguments),
                    arguments => out.content.push_str(&arguments.to_string()),
                }
            }
        }
        out.done = self.done.0.unwrap_or(false);
        out.finish_reason = self.done_reason.some();
        let usage = Usage {
            // What of it was cached is not said; older servers leave the cached part out.
            input_tokens: self.prompt_eval_count.0,
            output_tokens: self.eval_count.0,
            ..Usage::default()
        };
        out.usage = usage.known();
        let ms = |ns: &Lenient<f64>| ns.0.map(|ns| ns / 1e6);
        let timings = ServerTimings {
            prompt_ms: ms(&self.prompt_eval_duration),
            predicted_n: self.eval_count.0,
            predicted_ms: ms(&self.eval_duration),
            load_ms: ms(&self.load_duration),
            total_ms: ms(&self.total_duration),
            ..ServerTimings::default()
        };
        out.timings = (timings != ServerTimings::default()).then_some(timings);
    }
}
