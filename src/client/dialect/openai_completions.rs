//! `OpenAI` completions: a prompt without roles, `choices[].text`.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: usage counts wherever it stands: in a chunk of its own (vLLM) or on the finish chunk
//! (llama.cpp, asked for or not).

use serde::Deserialize;
use serde_json::Value;

use super::beside::{self, COMPLETIONS, Form, Forms};
use super::body::Body;
use super::lenient::{Lenient, List, Nested, Text, object};
use super::openai_usage::{WireUsage, failure};
use super::prompt::prompt;
use super::{DecodeError, Deltas, Dialect, HttpRequest, NoForm};
use crate::record::ServerTimings;
use crate::request::Request;

/// What it calls fields of chat completions.
const FORMS: Forms = Forms {
    own: &[
        ("logprobs", Form::By("logprobs", how_many)),
        ("response_format", Form::As("response_format")),
        ("service_tier", Form::As("service_tier")),
    ],
    ..COMPLETIONS
};

/// Here it is a number.
fn how_many(logprobs: &Value) -> Result<Option<Value>, &'static str> {
    match logprobs {
        Value::Number(_) => Ok(Some(logprobs.clone())),
        _ => Err("here it is a number, and in chats true or false"),
    }
}

/// The dialect of `POST completions`.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenaiCompletions;

impl Dialect for OpenaiCompletions {
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        let usage = self.streams(request).then_some(Value::Bool(true));
        let body = Body::of(request)
            .set("model", model)
            .set("prompt", prompt(request.messages.iter().enumerate())?.text_or_ids())
            .limit(&["max_tokens"], request.max_tokens)
            .set_some("temperature", request.temperature)
            .set("stream", request.stream)
            .options("stream_options", [("include_usage", usage)]);
        let body = beside::lay(body, request, &FORMS)?.finish();
        Ok(HttpRequest { path: "completions".into(), body })
    }

    fn tells_choices(&self) -> bool {
        true
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let chunk: Chunk<'_> = object(json)?;
        let text = chunk.choices.0.first().map_or("", |choice| choice.text.in_place());
        chunk.read(out);
        out.learn(json, text, "");
        Ok(())
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: List<Choice<'a>>,
    #[serde(default)]
    usage: Nested<WireUsage>,
    #[serde(default)]
    timings: Lenient<ServerTimings>,
    #[serde(default, borrow)]
    model: Text<'a>,
    #[serde(default, borrow)]
    id: Text<'a>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default, borrow)]
    object: Text<'a>,
    #[serde(default)]
    message: Option<Value>,
}

/// Its `index` counts where several were asked for: a mock counts it up with every token.
#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Lenient<u64>,
    #[serde(default, borrow)]
    text: Text<'a>,
    #[serde(default, borrow)]
    reasoning_content: Text<'a>,
    #[serde(default, borrow)]
    reasoning: Text<'a>,
    #[serde(default, borrow)]
    finish_reason: Text<'a>,
}

impl Chunk<'_> {
    fn read(self, out: &mut Deltas) {
        out.error = failure(self.error.as_ref(), &self.object, self.message.as_ref());
        out.model = self.model.some();
        out.identify(&self.id);
        out.usage = self.usage.0.as_ref().and_then(WireUsage::read);
        out.timings = self.timings.0.or_else(|| self.usage.0.as_ref()?.timings());
        for choice in self.choices.0 {
            let before = (out.content.len(), out.reasoning.len());
            out.content.push_str(&choice.text.0);
            let names = [&choice.reasoning_content, &choice.reasoning];
            if let Some(text) = names.into_iter().find(|text| !text.0.is_empty()) {
                out.reasoning.push_str(&text.0);
            }
            let finish = choice.finish_reason.some();
            out.choice(choice.index.0, before, finish.is_some());
            out.stopped(choice.index.0, finish);
        }
    }
}
