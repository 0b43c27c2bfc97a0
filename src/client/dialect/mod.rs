//! One file per API: the same two functions, encode a request and decode an event.

mod lenient;
pub mod openai_chat;

use serde_json::Value;

use crate::plan::Api;
use crate::record::ServerTimings;
use crate::request::Request;

/// The dialect that an endpoint's `api` names.
pub fn of(api: Api) -> &'static dyn Dialect {
    match api {
        Api::OpenaiChat => &openai_chat::OpenaiChat,
    }
}

/// Whether the answer to `request` will be a stream: its own `stream` field, unless an extra body
/// field says otherwise.
pub fn streams(request: &Request) -> bool {
    request.body.get("stream").and_then(Value::as_bool).unwrap_or(request.stream)
}

/// What to POST.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRequest {
    /// Path to append to the endpoint's base URL, such as `chat/completions`.
    pub path: &'static str,
    /// The JSON body.
    pub body: bytes::Bytes,
}

/// What one event said. An event may hold several of these, or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deltas {
    /// Generated content (tool-call arguments included).
    pub content: String,
    /// Reasoning text.
    pub reasoning: String,
    /// Why the server stopped.
    pub finish_reason: Option<String>,
    /// Token usage.
    pub usage: Option<Usage>,
    /// The server's own timings.
    pub timings: Option<ServerTimings>,
    /// The model that answers.
    pub model: Option<String>,
    /// The dialect's own end mark (`[DONE]`).
    pub done: bool,
    /// An error inside the stream.
    pub error: Option<String>,
}

impl Deltas {
    /// Empties it for the next event and keeps its buffers.
    pub fn clear(&mut self) {
        let (mut content, mut reasoning) =
            (std::mem::take(&mut self.content), std::mem::take(&mut self.reasoning));
        content.clear();
        reasoning.clear();
        *self = Self { content, reasoning, ..Self::default() };
    }
}

/// Token counts of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input_tokens: Option<u64>,
    /// Generated tokens.
    pub output_tokens: Option<u64>,
    /// Prompt tokens from the cache; absent is not zero.
    pub cached_tokens: Option<u64>,
    /// Reasoning tokens among the generated ones.
    pub reasoning_tokens: Option<u64>,
}

/// The event was not what the dialect promises.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// One API's spelling of requests and answers.
pub trait Dialect: Send + Sync {
    /// The HTTP request for `request`, asking for `model`.
    fn encode(&self, request: &Request, model: &str) -> HttpRequest;
    /// Reads one stream event (the joined `data:` lines) into `out`, which is cleared first.
    fn decode(&self, event: &[u8], out: &mut Deltas) -> Result<(), DecodeError>;
    /// Reads a whole body of an answer that was not streamed.
    fn decode_body(&self, body: &[u8], out: &mut Deltas) -> Result<(), DecodeError>;
}

/// One line out of an error object: its message with type and code, or the object itself.
pub fn error_text(error: &Value) -> String {
    let Some(message) = error.get("message").and_then(Value::as_str) else {
        return error.as_str().map_or_else(|| error.to_string(), str::to_owned);
    };
    let details: Vec<String> = ["type", "code"]
        .iter()
        .filter_map(|key| match error.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    if details.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", details.join(", "))
    }
}

/// What a body says went wrong, in one line: its JSON `error`, `message` or `detail`, else the
/// first words of its text. `None` when it is empty.
pub fn body_message(body: &[u8]) -> Option<String> {
    const WORDS: usize = 30;
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let said = json.as_ref().and_then(|json| {
        let part = ["error", "message", "detail"].iter().find_map(|key| json.get(key))?;
        (!part.is_null()).then(|| error_text(part))
    });
    let said = said.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        text.split_whitespace().take(WORDS).collect::<Vec<_>>().join(" ")
    });
    (!said.is_empty()).then_some(said)
}
