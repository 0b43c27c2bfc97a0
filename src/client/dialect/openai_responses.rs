//! `OpenAI` responses: typed events, told apart by the JSON's own `type`.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: text counts when its delta comes; the `done` events that repeat it count for
//! nothing. Only `completed`, `incomplete` and `failed` end a response.

mod ask;

use serde::Deserialize;
use serde_json::Value;

use super::beside;
use super::body::Body;
use super::lenient::{Count, Lenient, List, Nested, Text, fault, object};
use super::{DecodeError, Deltas, Dialect, HttpRequest, NoForm, Usage};
use crate::record::ServerTimings;
use crate::request::{Request, Words};

/// The dialect of `POST responses`.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenaiResponses;

impl Dialect for OpenaiResponses {
    fn encode(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        let instructs = request.words == Words::Responses { instructs: true };
        let (instructions, input) = match request.messages.split_first() {
            Some((first, input)) if instructs && first.plain().is_some() => (first.plain(), input),
            _ => (None, request.messages.as_slice()),
        };
        let body = Body::of(request)
            .set("model", model)
            .set_some("instructions", instructions)
            .set("input", ask::items(input)?)
            .limit(&["max_output_tokens"], request.max_tokens)
            .set_some("temperature", request.temperature)
            .set("stream", request.stream);
        let body = beside::lay(body, request, &ask::FORMS)?.finish();
        Ok(HttpRequest { path: "responses".into(), body })
    }

    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        self.encode(request, model)
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        object::<Event<'_>>(json)?.read(out);
        Ok(())
    }

    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let response: Response<'_> = object(json)?;
        for item in &response.output.0 {
            item.read(out);
        }
        out.timings = response.timings.0;
        response.end(out);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(default, borrow)]
    delta: Text<'a>,
    #[serde(default, borrow)]
    item: Nested<Item<'a>>,
    #[serde(default, borrow)]
    response: Nested<Response<'a>>,
    /// llama.cpp's, beside the response.
    #[serde(default)]
    timings: Lenient<ServerTimings>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    code: Option<Value>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default, borrow)]
    status: Text<'a>,
    #[serde(default, borrow)]
    id: Text<'a>,
    #[serde(default, borrow)]
    model: Text<'a>,
    #[serde(default, borrow)]
    output: List<Item<'a>>,
    #[serde(default)]
    usage: Lenient<WireUsage>,
    #[serde(default)]
    timings: Lenient<ServerTimings>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    incomplete_details: Lenient<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    arguments: Text<'a>,
    #[serde(default, borrow)]
    input: Text<'a>,
    #[serde(default, borrow)]
    content: List<Part<'a>>,
    #[serde(default, borrow)]
    summary: Text<'a>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(default, borrow)]
    text: Text<'a>,
    #[serde(default, borrow)]
    refusal: Text<'a>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    input_tokens_details: Lenient<InputDetails>,
    #[serde(default)]
    output_tokens_details: Lenient<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Count,
}

#[derive(Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Count,
}

impl Event<'_> {
    fn read(self, out: &mut Deltas) {
        let kind = self.kind.0.strip_prefix("response.").unwrap_or(&self.kind.0);
        match kind {
            "reasoning_text.delta"
            | "reasoning_summary_text.delta"
            | "reasoning.delta"
            | "reasoning_summary.delta" => out.reasoning.push_str(&self.delta.0),
            "output_text.delta"
            | "refusal.delta"
            | "function_call_arguments.delta"
            | "mcp_call_arguments.delta"
            | "custom_tool_call_input.delta"
            | "code_interpreter_call_code.delta" => out.content.push_str(&self.delta.0),
            // The name of a tool was generated, but has no delta of its own.
            "output_item.added" => {
                if let Some(item) = self.item.0.filter(Item::is_call) {
                    out.content.push_str(&item.name.0);
                }
            }
            "completed" | "incomplete" | "failed" | "cancelled" => {
                out.done = true;
                if let Some(response) = self.response.0 {
                    out.timings = self.timings.0.or(response.timings.0);
                    response.end(out);
                }
                if matches!(kind, "failed" | "cancelled") && out.error.is_none() {
                    out.error = Some(format!("the response {kind}"));
                }
            }
            "error" => {
                let error = self.error.or_else(|| {
                    Some(serde_json::json!({"message": self.message?, "code": self.code}))
                });
                out.error = fault(error.as_ref()).or_else(|| Some("an error without words".into()));
            }
            _ => {
                out.error = fault(self.error.as_ref());
                out.model = self.response.0.and_then(|response| response.model.some());
            }
        }
    }
}

impl Response<'_> {
    /// What stands at a response's end. Its finish reason is why it is incomplete, else its status.
    fn end(self, out: &mut Deltas) {
        out.error = fault(self.error.as_ref()).or_else(|| {
            matches!(&*self.status.0, "failed" | "cancelled")
                .then(|| format!("the response is {}", self.status.0))
        });
        out.model = self.model.some();
        out.identify(&self.id);
        out.usage = self.usage.0.as_ref().and_then(WireUsage::read);
        let incomplete = self.incomplete_details.0.and_then(|details| details.reason);
        out.finish_reason = incomplete.or_else(|| self.status.some());
    }
}

impl Item<'_> {
    fn is_call(&self) -> bool {
        self.kind.0.ends_with("_call")
    }

    fn read(&self, out: &mut Deltas) {
        if self.is_call() {
            for text in [&self.name, &self.arguments, &self.input] {
                out.content.push_str(&text.0);
            }
        }
        let reasoning = self.kind.0 == "reasoning";
        for part in &self.content.0 {
            let text = if reasoning { &mut out.reasoning } else { &mut out.content };
            text.push_str(&part.text.0);
            text.push_str(&part.refusal.0);
        }
        out.reasoning.push_str(&self.summary.0);
    }
}

impl WireUsage {
    fn read(&self) -> Option<Usage> {
        let input = self.input_tokens_details.0.as_ref();
        let output = self.output_tokens_details.0.as_ref();
        let usage = Usage {
            input_tokens: self.input_tokens.0,
            output_tokens: self.output_tokens.0,
            cached_tokens: input.and_then(|details| details.cached_tokens.0),
            reasoning_tokens: output.and_then(|details| details.reasoning_tokens.0),
        };
        usage.known()
    }
}
