//! Text Generation Inference's own API: one token per event, the whole text with the last.
//!
//! In: a [`Request`], or the bytes of an event, a body, or headers. Out: the JSON to POST, or
//! [`Deltas`]. Invariant: special tokens (`</s>`) are no text; the event with `generated_text`
//! ends a stream and its text, already told, counts for nothing.

use serde::Deserialize;
use serde_json::Value;

use super::beside::{self, Form, Forms, as_it_is};
use super::body::Body;
use super::lenient::{Count, Lenient, Nested, Text, fault, object};
use super::prompt::prompt;
use super::{Catalogue, DecodeError, Deltas, Dialect, HttpRequest, NoForm, Place, Usage};
use crate::record::ServerTimings;
use crate::request::Request;

/// The dialect of `POST /generate_stream` and `POST /generate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tgi;

/// What it calls fields of chat completions.
const FORMS: Forms = Forms {
    within: Some("parameters"),
    same: &[
        "seed",
        "best_of",
        "top_p",
        "top_k",
        "frequency_penalty",
        "repetition_penalty",
        "typical_p",
        "do_sample",
        "top_n_tokens",
        "truncate",
        "watermark",
        "return_full_text",
        "decoder_input_details",
        "details",
        "grammar",
        "adapter_id",
    ],
    own: &[("stop", Form::ListAs("stop")), ("parameters", Form::By("parameters", as_it_is))],
};

impl Dialect for Tgi {
    fn encode_chat(&self, request: &Request, _model: &str) -> Result<HttpRequest, NoForm> {
        // The API refuses a temperature of 0; greedy decoding is spelled `do_sample: false`.
        let greedy = request.temperature.filter(|temperature| *temperature <= 0.0);
        let warm = request.temperature.filter(|temperature| *temperature > 0.0);
        let body = Body::of(request)
            .set("inputs", prompt(request.messages.iter().enumerate())?.text()?)
            .options(
                "parameters",
                [
                    (
                        request.limit_name.among(&["max_new_tokens"]),
                        request.max_tokens.map(Value::from),
                    ),
                    ("temperature", warm.map(Value::from)),
                    ("do_sample", greedy.map(|_| false.into())),
                    // Without it the answer says neither why it ended nor how long it is.
                    ("details", Some(true.into())),
                ],
            );
        let body = beside::lay(body, request, &FORMS)?.finish();
        let path = if self.streams(request) { "generate_stream" } else { "generate" };
        Ok(HttpRequest { path: path.into(), body })
    }

    fn place(&self) -> Place {
        Place::Root
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::TgiInfo
    }

    fn needs_model(&self) -> bool {
        false
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let event: Event<'_> = object(json)?;
        out.error = failure(event.error.as_ref(), &event.error_type);
        if let Some(token) = event.token.0
            && !token.special.0.unwrap_or(false)
        {
            out.content.push_str(&token.text.0);
        }
        out.done = event.generated_text.is_some() || event.details.0.is_some();
        if let Some(details) = event.details.0 {
            details.read(out);
        }
        Ok(())
    }

    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let json = json.trim_ascii();
        // The route `/` of the same server answers with a list of one.
        let json = json.strip_prefix(b"[").and_then(|list| list.strip_suffix(b"]")).unwrap_or(json);
        let whole: Event<'_> = object(json)?;
        out.error = failure(whole.error.as_ref(), &whole.error_type);
        if let Some(text) = whole.generated_text {
            out.content.push_str(&text);
        }
        if let Some(details) = whole.details.0 {
            details.read(out);
        }
        Ok(())
    }

    fn decode_headers(&self, header: &dyn Fn(&'static str) -> Option<String>, out: &mut Deltas) {
        let ms = |name| header(name)?.trim().parse::<f64>().ok();
        let count = |name| header(name)?.trim().parse::<u64>().ok();
        let timings = ServerTimings {
            predicted_n: count("x-generated-tokens"),
            queue_ms: ms("x-queue-time"),
            inference_ms: ms("x-inference-time"),
            total_ms: ms("x-total-time"),
            ..out.timings.unwrap_or_default()
        };
        out.timings = (timings != ServerTimings::default()).then_some(timings);
        let usage = out.usage.unwrap_or_default();
        let usage = Usage {
            input_tokens: usage.input_tokens.or_else(|| count("x-prompt-tokens")),
            output_tokens: usage.output_tokens.or_else(|| count("x-generated-tokens")),
            ..usage
        };
        out.usage = usage.known();
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow)]
    token: Nested<Token<'a>>,
    #[serde(default)]
    generated_text: Option<String>,
    #[serde(default)]
    details: Lenient<Details>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default, borrow)]
    error_type: Text<'a>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(default, borrow)]
    text: Text<'a>,
    #[serde(default)]
    special: Lenient<bool>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    finish_reason: Lenient<String>,
    #[serde(default)]
    generated_tokens: Count,
    #[serde(default)]
    input_length: Count,
    /// The prompt's tokens, when `decoder_input_details` asks for them.
    #[serde(default)]
    prefill: Lenient<Vec<Value>>,
}

impl Details {
    fn read(self, out: &mut Deltas) {
        out.finish_reason = self.finish_reason.0;
        let prefill = self.prefill.0.filter(|tokens| !tokens.is_empty());
        let usage = Usage {
            input_tokens: self.input_length.0.or(prefill.map(|tokens| tokens.len() as u64)),
            output_tokens: self.generated_tokens.0,
            ..Usage::default()
        };
        out.usage = usage.known();
    }
}

fn failure(error: Option<&Value>, kind: &Text<'_>) -> Option<String> {
    let said = fault(error)?;
    Some(if kind.0.is_empty() { said } else { format!("{said} ({})", kind.0) })
}
