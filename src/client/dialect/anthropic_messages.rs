//! Anthropic messages: blocks that open, grow and close, and usage in two places.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: the prompt is the sum of its three parts (new, written to the cache, read from it);
//! usage is cumulative, so the later event wins, part by part.

mod ask;

use serde::Deserialize;
use serde_json::Value;

use super::beside;
use super::body::Body;
use super::lenient::{Count, Lenient, List, Nested, Text, fault, object};
use super::part::leading_system;
use super::{DecodeError, Deltas, Dialect, HttpRequest, NoForm, Usage};
use crate::plan::ANTHROPIC_MAX_TOKENS;
use crate::request::Request;

/// The dialect of `POST messages`.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnthropicMessages;

impl Dialect for AnthropicMessages {
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        let messages = &request.messages;
        let leading = leading_system(messages)?;
        let system = ask::system(&messages[..leading])?;
        let turns = ask::turns(messages, leading)?;
        let body = Body::of(request)
            .set("model", model)
            .set_some("system", system)
            .set("messages", turns)
            .limit(&["max_tokens"], Some(request.max_tokens.unwrap_or(ANTHROPIC_MAX_TOKENS)))
            .set_some("temperature", request.temperature)
            .set("stream", request.stream);
        // A choice that the row leaves open is automatic.
        let recorded = |name| request.recorded.get(name);
        let is_open = recorded("parallel_tool_calls") == Some(&Value::Bool(false))
            && recorded("tool_choice").is_none();
        let open = is_open.then(|| serde_json::json!({"type": "auto"}));
        let body = body.set_some("tool_choice", open);
        let body = beside::lay(body, request, &ask::FORMS)?.finish();
        Ok(HttpRequest { path: "messages".into(), body })
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        object::<Event<'_>>(json)?.read(out);
        Ok(())
    }

    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        object::<Message<'_>>(json)?.read(out);
        Ok(())
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn key_header(&self) -> Option<&'static str> {
        Some("x-api-key")
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(default, borrow)]
    message: Nested<Message<'a>>,
    #[serde(default, borrow)]
    content_block: Nested<Block<'a>>,
    #[serde(default, borrow)]
    delta: Nested<Block<'a>>,
    #[serde(default)]
    usage: Lenient<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    id: Text<'a>,
    #[serde(default, borrow)]
    model: Text<'a>,
    #[serde(default, borrow)]
    content: List<Block<'a>>,
    #[serde(default, borrow)]
    stop_reason: Text<'a>,
    #[serde(default)]
    usage: Lenient<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

/// A block, its opening or a delta to it: text under the name of its type. Signatures, citations
/// and redacted thinking are nothing that was generated for the reader.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(default, borrow)]
    text: Text<'a>,
    #[serde(default, borrow)]
    thinking: Text<'a>,
    /// A tool's name, when its block opens.
    #[serde(default, borrow)]
    name: Text<'a>,
    /// Pieces of a tool's arguments.
    #[serde(default, borrow)]
    partial_json: Text<'a>,
    /// A tool's arguments, whole (empty when its block opens).
    #[serde(default)]
    input: Option<Value>,
    #[serde(default, borrow)]
    stop_reason: Text<'a>,
}

impl Event<'_> {
    fn read(self, out: &mut Deltas) {
        match &*self.kind.0 {
            "message_stop" => out.done = true,
            "error" => {
                let said = fault(self.error.as_ref());
                out.error = said.or_else(|| Some("an error without words".into()));
                return;
            }
            _ => out.error = fault(self.error.as_ref()),
        }
        if let Some(message) = self.message.0 {
            message.read(out);
        }
        for block in [self.content_block.0, self.delta.0].into_iter().flatten() {
            block.read(out);
        }
        if let Some(usage) = &self.usage.0 {
            usage.read(out);
        }
    }
}

impl Message<'_> {
    fn read(&self, out: &mut Deltas) {
        out.error = fault(self.error.as_ref());
        out.model = self.model.some();
        out.identify(&self.id);
        out.finish_reason = self.stop_reason.some();
        for block in &self.content.0 {
            block.read(out);
        }
        if let Some(usage) = &self.usage.0 {
            usage.read(out);
        }
    }
}

impl Block<'_> {
    fn read(&self, out: &mut Deltas) {
        for text in [&self.name, &self.text, &self.partial_json] {
            out.content.push_str(&text.0);
        }
        if let Some(Value::Object(input)) = self.input.as_ref().filter(|_| !self.name.0.is_empty())
            && !input.is_empty()
        {
            // Writing JSON values into memory has no way to fail.
            out.content.push_str(&serde_json::to_string(input).unwrap_or_default());
        }
        out.reasoning.push_str(&self.thinking.0);
        out.finish_reason = self.stop_reason.some().or(out.finish_reason.take());
    }
}

/// The parts of the prompt as the latest events told them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PromptParts {
    new: Option<u64>,
    written: Option<u64>,
    read: Option<u64>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default, rename = "input_tokens")]
    new: Count,
    #[serde(default, rename = "cache_creation_input_tokens")]
    written: Count,
    #[serde(default, rename = "cache_read_input_tokens")]
    read: Count,
    #[serde(default, rename = "output_tokens")]
    generated: Count,
}

impl WireUsage {
    fn read(&self, out: &mut Deltas) {
        let parts = &mut out.memory.prompt;
        parts.new = self.new.0.or(parts.new);
        parts.written = self.written.0.or(parts.written);
        parts.read = self.read.0.or(parts.read);
        let cached = [parts.written, parts.read].into_iter().flatten();
        let usage = Usage {
            input_tokens: parts.new.map(|new| cached.fold(new, u64::saturating_add)),
            output_tokens: self.generated.0,
            cached_tokens: parts.read,
            reasoning_tokens: None,
        };
        out.usage = usage.known();
    }
}
