//! Triton's generate extension, over TensorRT-LLM or vLLM: `text_output`, in pieces or repeated.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: the stream has no end mark; the body's clean end is the end. Fields lie flat: Triton
//! takes what is no input tensor as a parameter.

use serde::Deserialize;
use serde_json::Value;

use super::beside::{self, Form, Forms};
use super::body::Body;
use super::cumulative::Lean;
use super::lenient::{Count, Text, fault, object};
use super::prompt::prompt;
use super::{Catalogue, DecodeError, Deltas, Dialect, HttpRequest, NoForm, Place, Usage};
use crate::request::Request;

/// The dialect of `POST /v2/models/MODEL/generate_stream` and `…/generate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Triton;

/// What it calls fields of chat completions.
const FORMS: Forms = Forms {
    within: None,
    same: &["top_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty"],
    own: &[("stop", Form::ListAs("stop_words")), ("seed", Form::As("random_seed"))],
};

impl Dialect for Triton {
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        let body = Body::of(request)
            .set("text_input", prompt(request.messages.iter().enumerate())?.text()?)
            .limit(&["max_tokens"], request.max_tokens)
            .set_some("temperature", request.temperature)
            .set("stream", request.stream);
        let body = beside::lay(body, request, &FORMS)?.finish();
        let verb = if self.streams(request) { "generate_stream" } else { "generate" };
        let path = format!("v2/models/{model}/{verb}").into();
        Ok(HttpRequest { path, body })
    }

    fn place(&self) -> Place {
        Place::Root
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::TritonV2
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let event: Event<'_> = object(json)?;
        let new = out.memory.content.news(&event.text_output.0, Lean::Pieces);
        out.content.push_str(new);
        event.read(out);
        Ok(())
    }

    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let whole: Event<'_> = object(json)?;
        out.content.push_str(&whole.text_output.0);
        whole.read(out);
        Ok(())
    }

    fn marks_end(&self) -> bool {
        false
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow)]
    text_output: Text<'a>,
    #[serde(default, borrow)]
    model_name: Text<'a>,
    /// The vLLM backend's, when the request asks for it (`return_finish_reason`).
    #[serde(default, borrow)]
    finish_reason: Text<'a>,
    #[serde(default)]
    num_input_tokens: Count,
    #[serde(default)]
    num_output_tokens: Count,
    #[serde(default)]
    error: Option<Value>,
}

impl Event<'_> {
    fn read(&self, out: &mut Deltas) {
        out.error = fault(self.error.as_ref());
        out.model = self.model_name.some();
        // Python's word for no reason yet.
        out.finish_reason = self.finish_reason.some().filter(|reason| reason != "None");
        let usage = Usage {
            input_tokens: self.num_input_tokens.0,
            output_tokens: self.num_output_tokens.0,
            ..Usage::default()
        };
        out.usage = usage.known();
    }
}
