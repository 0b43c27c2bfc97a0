//! llama.cpp's own `/completion`: text and token ids, its timings on the last event.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: `stop: true` ends an answer. Cached tokens come from the timings: the field
//! `tokens_cached` counts what is in the cache *afterwards*.

use serde::Deserialize;
use serde_json::Value;

use super::beside::{self, Form, Forms};
use super::body::Body;
use super::lenient::{Count, Lenient, Text, fault, object};
use super::prompt::prompt;
use super::{DecodeError, Deltas, Dialect, HttpRequest, NoForm, Place, Usage};
use crate::record::ServerTimings;
use crate::request::Request;

/// The dialect of `POST /completion`.
#[derive(Debug, Clone, Copy)]
pub(super) struct LlamacppCompletion;

/// What it calls fields of chat completions.
const FORMS: Forms = Forms {
    within: None,
    same: &[
        "seed",
        "top_p",
        "top_k",
        "min_p",
        "logit_bias",
        "presence_penalty",
        "frequency_penalty",
    ],
    own: &[("stop", Form::ListAs("stop")), ("repetition_penalty", Form::As("repeat_penalty"))],
};

impl Dialect for LlamacppCompletion {
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        let body = Body::of(request)
            .set("model", model)
            .set("prompt", prompt(request.messages.iter().enumerate())?.text_or_ids())
            .limit(&["n_predict", "max_tokens"], request.max_tokens)
            .set_some("temperature", request.temperature)
            .set("stream", request.stream);
        let body = beside::lay(body, request, &FORMS)?.finish();
        Ok(HttpRequest { path: "completion".into(), body })
    }

    fn place(&self) -> Place {
        Place::Root
    }

    fn needs_model(&self) -> bool {
        false
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        object::<Event<'_>>(json)?.read(out);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow)]
    content: Text<'a>,
    #[serde(default)]
    stop: Lenient<bool>,
    #[serde(default, borrow)]
    model: Text<'a>,
    #[serde(default)]
    tokens_predicted: Count,
    #[serde(default)]
    tokens_evaluated: Count,
    #[serde(default)]
    timings: Lenient<ServerTimings>,
    #[serde(default, borrow)]
    stop_type: Text<'a>,
    // Older servers say it in three fields.
    #[serde(default)]
    stopped_eos: Lenient<bool>,
    #[serde(default)]
    stopped_limit: Lenient<bool>,
    #[serde(default)]
    stopped_word: Lenient<bool>,
    #[serde(default)]
    error: Option<Value>,
}

impl Event<'_> {
    fn read(self, out: &mut Deltas) {
        out.error = fault(self.error.as_ref());
        out.content.push_str(&self.content.0);
        out.model = self.model.some();
        out.timings = self.timings.0;
        let usage = Usage {
            input_tokens: self.tokens_evaluated.0,
            output_tokens: self.tokens_predicted.0,
            cached_tokens: out.timings.and_then(|timings| timings.cache_n),
            reasoning_tokens: None,
        };
        out.usage = usage.known();
        out.done = self.stop.0.unwrap_or(false);
        if out.done {
            let old = [
                (&self.stopped_eos, "eos"),
                (&self.stopped_limit, "limit"),
                (&self.stopped_word, "word"),
            ];
            let old = old.into_iter().find(|(stopped, _)| stopped.0 == Some(true));
            let old = old.map(|(_, word)| word.to_owned());
            out.finish_reason = self.stop_type.some().or(old);
        }
    }
}
