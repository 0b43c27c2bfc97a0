//! One file per API: the same two functions, encode a request and decode an event.

use crate::record::ServerTimings;
use crate::request::Request;

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
