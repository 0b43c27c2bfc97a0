//! `SGLang`'s own `/generate`: the text so far in every event, counts beside it.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: text is told once, whether the server repeats it (its default) or not
//! (`--stream-output`); an aborted request is an error.

use serde::Deserialize;
use serde_json::Value;

use super::beside::{self, Form, Forms, as_it_is};
use super::body::Body;
use super::cumulative::Lean;
use super::lenient::{Count, Lenient, Text, fault, object};
use super::prompt::{Prompt, prompt};
use super::{DecodeError, Deltas, Dialect, HttpRequest, NoForm, Place, Usage};
use crate::record::ServerTimings;
use crate::request::Request;

/// The dialect of `POST /generate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sglang;

/// What it calls fields of chat completions.
const FORMS: Forms = Forms {
    within: Some("sampling_params"),
    same: &[
        "stop",
        "top_p",
        "top_k",
        "min_p",
        "logit_bias",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "min_new_tokens",
        "stop_token_ids",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "no_stop_trim",
        "json_schema",
        "regex",
        "ebnf",
        "custom_params",
    ],
    own: &[
        ("sampling_params", Form::By("sampling_params", as_it_is)),
        ("seed", Form::As("sampling_seed")),
        ("min_tokens", Form::As("min_new_tokens")),
        ("ignore_eos", Form::As("ignore_eos")),
    ],
};

impl Dialect for Sglang {
    fn encode_chat(&self, request: &Request, _model: &str) -> Result<HttpRequest, NoForm> {
        let asked = match prompt(request.messages.iter().enumerate())? {
            Prompt::Text(text) => ("text", Value::from(text)),
            Prompt::Ids(ids) => ("input_ids", ids.into()),
        };
        let body = Body::of(request)
            .set(asked.0, asked.1)
            .options(
                "sampling_params",
                [
                    (
                        request.limit_name.among(&["max_new_tokens"]),
                        request.max_tokens.map(Value::from),
                    ),
                    ("temperature", request.temperature.map(Value::from)),
                ],
            )
            .set("stream", request.stream);
        let body = beside::lay(body, request, &FORMS)?.finish();
        Ok(HttpRequest { path: "generate".into(), body })
    }

    fn place(&self) -> Place {
        Place::Root
    }

    fn needs_model(&self) -> bool {
        false
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let event: Event<'_> = object(json)?;
        let new = out.memory.content.news(&event.text.0, Lean::Repeats);
        out.content.push_str(new);
        event.read(out);
        Ok(())
    }

    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let whole: Event<'_> = object(json)?;
        out.content.push_str(&whole.text.0);
        whole.read(out);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow)]
    text: Text<'a>,
    #[serde(default)]
    meta_info: Lenient<MetaInfo>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct MetaInfo {
    #[serde(default)]
    id: Lenient<String>,
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    cached_tokens: Count,
    /// `{"type": "length", "length": 8}`, in old versions a word, null until the end.
    #[serde(default)]
    finish_reason: Option<Value>,
    /// Seconds, at the end.
    #[serde(default)]
    e2e_latency: Lenient<f64>,
}

impl Event<'_> {
    fn read(self, out: &mut Deltas) {
        out.error = fault(self.error.as_ref());
        let Some(meta) = self.meta_info.0 else { return };
        if out.id.is_none() {
            out.id = meta.id.0;
        }
        let usage = Usage {
            input_tokens: meta.prompt_tokens.0,
            output_tokens: meta.completion_tokens.0,
            cached_tokens: meta.cached_tokens.0,
            reasoning_tokens: None,
        };
        out.usage = usage.known();
        out.timings = meta.e2e_latency.0.map(|seconds| ServerTimings {
            total_ms: Some(seconds * 1000.0),
            ..ServerTimings::default()
        });
        let Some(reason) = meta.finish_reason else { return };
        let word = reason.as_str().or_else(|| reason.get("type")?.as_str());
        if word == Some("abort") {
            let message = reason.get("message").and_then(Value::as_str);
            out.error = Some(format!("aborted: {}", message.unwrap_or("no reason given")));
        }
        out.finish_reason = word.map(str::to_owned);
    }
}
