//! The simulator's side of each dialect: what a request asks, and what bytes answer it.
//!
//! In: a request's path and body; then pieces of text and the counts of a finished answer. Out: an
//! [`Ask`]; then the bytes of a body, streamed or whole. Invariant: pure functions of what goes in;
//! nothing is shared with the client's side, so that each checks the other.
//!
//! To answer: [`api_of`] the path, [`Ask::read`] the body, then a [`Writer`]: `open`, `piece` for
//! each token, `close` (or `error` in its place); or `whole`. HTTP framing is the caller's.

mod anthropic;
mod ask;
mod json;
mod llamacpp;
mod ollama;
mod openai_completions;
mod openai_responses;
mod sglang;
mod tgi;
mod triton;

use std::time::Duration;

use serde_json::{Value, json};

pub use self::ask::{Ask, AskError};
use crate::plan::Api;

/// The API served at a path, and whether the path itself asks for a stream (TGI and Triton).
/// `OpenAI` chat is not among them; a `json` endpoint may be anywhere.
pub fn api_of(path: &str) -> Option<(Api, Option<bool>)> {
    let triton = path.strip_prefix("/v2/models/").and_then(|rest| rest.rsplit_once('/'));
    Some(match (path, triton) {
        ("/v1/completions", _) => (Api::OpenaiCompletions, None),
        ("/v1/responses", _) => (Api::OpenaiResponses, None),
        ("/v1/messages", _) => (Api::AnthropicMessages, None),
        ("/api/chat", _) => (Api::OllamaChat, None),
        ("/api/generate", _) => (Api::OllamaGenerate, None),
        ("/generate_stream", _) => (Api::Tgi, Some(true)),
        ("/completion", _) => (Api::LlamacppCompletion, None),
        (_, Some((_, "generate_stream"))) => (Api::Triton, Some(true)),
        (_, Some((_, "generate"))) => (Api::Triton, Some(false)),
        _ => return None,
    })
}

/// The API of a body posted to `/generate`, a path that three servers share: TGI says `inputs`,
/// `SGLang` `text` or `input_ids`, and the rest is the plain JSON of [`JsonApi`](crate::plan::JsonApi)'s default.
pub fn generate_api(body: &Value) -> (Api, Option<bool>) {
    if body.get("inputs").is_some() {
        (Api::Tgi, Some(false))
    } else if body.get("text").is_some() || body.get("input_ids").is_some() {
        (Api::Sglang, None)
    } else {
        (Api::Json(Box::default()), None)
    }
}

/// The body of a refusal, in the API's words.
pub fn refusal(api: &Api, status: u16, kind: &str, message: &str) -> Value {
    match api {
        Api::AnthropicMessages => {
            json!({"type": "error", "error": {"type": kind, "message": message}})
        }
        Api::OllamaChat | Api::OllamaGenerate | Api::Triton => json!({"error": message}),
        Api::Tgi => json!({"error": message, "error_type": kind}),
        Api::Json(api) => json::refusal(api, message),
        _ => json!({"error": {
            "message": message, "type": kind, "param": null, "code": status,
        }}),
    }
}

/// What is the same in every event of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The answer's id.
    pub id: String,
    /// The model that answers.
    pub model: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Whether a stream was asked to end with usage, where an API leaves that to the client.
    pub include_usage: bool,
}

/// What is known when an answer ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Prompt tokens from the cache; `None` when the server does not report them.
    pub cached_tokens: Option<u64>,
    /// Generated tokens.
    pub output_tokens: u64,
    /// Whether the request's limit ended the answer.
    pub cut: bool,
    /// Time in the queue.
    pub queue: Duration,
    /// Time of prefill.
    pub prefill: Duration,
    /// Time of decoding.
    pub decode: Duration,
}

impl Totals {
    /// Prompt tokens that were computed.
    fn computed(&self) -> u64 {
        self.prompt_tokens.saturating_sub(self.cached_tokens.unwrap_or(0))
    }

    /// From the request to the end.
    fn total(&self) -> Duration {
        self.queue + self.prefill + self.decode
    }
}

/// A piece of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text for the reader.
    Content(&'a str),
    /// Reasoning; APIs that have no place for it put it into the text.
    Reasoning(&'a str),
}

impl<'a> Piece<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Content(text) | Self::Reasoning(text) => text,
        }
    }
}

/// Writes one answer in one API's way.
#[derive(Debug)]
pub struct Writer {
    api: Api,
    identity: Identity,
    /// Everything written so far: several APIs repeat it.
    content: String,
    reasoning: String,
    /// Pieces written so far.
    pieces: u64,
    /// The open block, in APIs that have blocks: its number and whether it reasons.
    block: Option<(u64, bool)>,
}

impl Writer {
    /// A writer in the way of `api`. `OpenAI` chat is written elsewhere in the simulator; here it
    /// comes out as completions.
    pub fn new(api: Api, identity: Identity) -> Self {
        let (content, reasoning) = (String::new(), String::new());
        Self { api, identity, content, reasoning, pieces: 0, block: None }
    }

    /// The content type of a stream, or of a whole answer.
    pub fn content_type(&self, stream: bool) -> &'static str {
        match &self.api {
            _ if !stream => "application/json",
            Api::OllamaChat | Api::OllamaGenerate => "application/x-ndjson",
            Api::Json(api) => json::content_type(api),
            _ => "text/event-stream",
        }
    }

    /// Headers of a whole answer, beside its type and length.
    pub fn headers(&self, totals: &Totals) -> Vec<(&'static str, String)> {
        match self.api {
            Api::Tgi => tgi::headers(totals),
            _ => Vec::new(),
        }
    }

    /// What comes before the first token. `totals` knows the prompt; nothing was generated yet.
    pub fn open(&mut self, totals: &Totals, out: &mut Vec<u8>) {
        match self.api {
            Api::OpenaiResponses => openai_responses::open(self, out),
            Api::AnthropicMessages => anthropic::open(self, totals, out),
            _ => {}
        }
    }

    /// One piece, usually a token. `so_far` holds the counts up to and with it.
    pub fn piece(&mut self, piece: Piece<'_>, so_far: &Totals, out: &mut Vec<u8>) {
        match piece {
            Piece::Content(text) => self.content.push_str(text),
            Piece::Reasoning(text) => self.reasoning.push_str(text),
        }
        match &self.api {
            Api::OpenaiChat | Api::OpenaiCompletions => {
                openai_completions::piece(self, piece, out);
            }
            Api::OpenaiResponses => openai_responses::piece(self, piece, out),
            Api::AnthropicMessages => anthropic::piece(self, piece, out),
            Api::OllamaChat | Api::OllamaGenerate => ollama::piece(self, piece, out),
            Api::Tgi => tgi::piece(self, piece, out),
            Api::Triton => triton::piece(self, piece, out),
            Api::Sglang => sglang::piece(self, so_far, out),
            Api::LlamacppCompletion => llamacpp::piece(self, piece, so_far, out),
            Api::Json(api) => json::piece(self, api, piece, out),
        }
        self.pieces += 1;
    }

    /// What comes after the last token: reasons, usage, timings, end marks.
    pub fn close(&mut self, totals: &Totals, out: &mut Vec<u8>) {
        match &self.api {
            Api::OpenaiChat | Api::OpenaiCompletions => {
                openai_completions::close(self, totals, out);
            }
            Api::OpenaiResponses => openai_responses::close(self, totals, out),
            Api::AnthropicMessages => anthropic::close(self, totals, out),
            Api::OllamaChat | Api::OllamaGenerate => ollama::close(self, totals, out),
            Api::Tgi => tgi::close(self, totals, out),
            Api::Triton => {}
            Api::Sglang => sglang::close(self, totals, out),
            Api::LlamacppCompletion => llamacpp::close(self, totals, out),
            Api::Json(api) => json::close(self, api, totals, out),
        }
    }

    /// An error inside a stream that had begun well.
    pub fn error(&self, message: &str, out: &mut Vec<u8>) {
        match &self.api {
            Api::OpenaiResponses => openai_responses::error(message, out),
            Api::AnthropicMessages => anthropic::error(message, out),
            Api::OllamaChat | Api::OllamaGenerate => ollama::error(message, out),
            Api::Tgi => tgi::error(message, out),
            Api::Triton => triton::error(message, out),
            Api::Json(api) => json::error(api, message, out),
            Api::OpenaiChat | Api::OpenaiCompletions | Api::Sglang | Api::LlamacppCompletion => {
                let error = json!({"message": message, "type": "server_error", "code": 500});
                event(&json!({"error": error}), out);
            }
        }
    }

    /// The body of an answer that is not streamed, of all pieces so far.
    pub fn whole(&self, totals: &Totals) -> Vec<u8> {
        let value = match &self.api {
            Api::OpenaiChat | Api::OpenaiCompletions => openai_completions::whole(self, totals),
            Api::OpenaiResponses => openai_responses::whole(self, totals),
            Api::AnthropicMessages => anthropic::whole(self, totals),
            Api::OllamaChat | Api::OllamaGenerate => ollama::whole(self, totals),
            Api::Tgi => tgi::whole(self, totals),
            Api::Triton => triton::whole(self),
            Api::Sglang => sglang::whole(self, totals),
            Api::LlamacppCompletion => llamacpp::whole(self, totals),
            Api::Json(api) => json::whole(self, api, totals),
        };
        value.to_string().into_bytes()
    }

    /// Takes a piece without writing it, for an answer that is not streamed.
    pub fn keep(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Content(text) => self.content.push_str(text),
            Piece::Reasoning(text) => self.reasoning.push_str(text),
        }
        self.pieces += 1;
    }
}

/// `data: VALUE` and a blank line.
fn event(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("data: {value}\n\n").as_bytes());
}

/// An event with a name, as its `type` says it.
fn named_event(value: &Value, out: &mut Vec<u8>) {
    let name = value.get("type").and_then(Value::as_str).unwrap_or("message");
    out.extend_from_slice(format!("event: {name}\n").as_bytes());
    event(value, out);
}

/// `data: [DONE]`.
fn done(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: [DONE]\n\n");
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
