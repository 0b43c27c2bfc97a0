//! One file per API: the same functions, encode a request and decode an event or a body.
//!
//! In: a [`Request`], or what a server sent. Out: an [`HttpRequest`], or [`Deltas`]. Invariant: a
//! dialect is the same for all requests of an endpoint; what it must remember of one answer lives
//! in that answer's [`Deltas`], so that dialects are shared and nothing is locked.
//!
//! `prompt` makes one text of messages, `items` a chat of another API's items, `beside` says what a row has beside them, `refused` what can't be
//! said. `lenient` reads JSON that is not as promised, `body` lays the plan's extra fields over ours,
//! `cumulative` finds what is new in text that repeats itself, `mould` reads events that are like the
//! last one but for their text.

mod anthropic_messages;
mod beside;
mod body;
mod cumulative;
mod items;
mod json;
mod lenient;
mod llamacpp;
mod mould;
mod ollama;
pub mod openai_chat;
mod openai_completions;
mod openai_responses;
mod openai_usage;
mod part;
mod prompt;
mod refused;
mod sglang;
mod tgi;
mod triton;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

pub use self::items::to_chat_words;
use self::lenient::{Said, said};
pub use self::refused::{NoForm, Refused};
use super::framing::Framing;
use crate::plan::Api;
use crate::record::ServerTimings;
use crate::request::Request;

/// The dialect that an endpoint's `api` names.
pub fn of(api: &Api) -> Arc<dyn Dialect> {
    match api {
        Api::OpenaiChat => Arc::new(openai_chat::OpenaiChat),
        Api::OpenaiCompletions => Arc::new(openai_completions::OpenaiCompletions),
        Api::OpenaiResponses => Arc::new(openai_responses::OpenaiResponses),
        Api::AnthropicMessages => Arc::new(anthropic_messages::AnthropicMessages),
        Api::OllamaChat => Arc::new(ollama::Ollama::Chat),
        Api::OllamaGenerate => Arc::new(ollama::Ollama::Generate),
        Api::Tgi => Arc::new(tgi::Tgi),
        Api::Triton => Arc::new(triton::Triton),
        Api::Sglang => Arc::new(sglang::Sglang),
        Api::LlamacppCompletion => Arc::new(llamacpp::LlamacppCompletion),
        Api::Json(api) => Arc::new(json::Json::new(api)),
    }
}

/// A request's own `stream` field, unless an extra body field says otherwise.
pub fn stream_field(request: &Request) -> bool {
    request.body.get("stream").and_then(Value::as_bool).unwrap_or(request.stream)
}

/// Where a dialect's paths start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the endpoint's base URL (usually `…/v1`).
    Base,
    /// At the server's root: the base URL without its trailing `/v1`.
    Root,
}

/// Where the servers of an API say what they serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catalogue {
    /// `GET /models`, as `OpenAI` has it.
    Models,
    /// `GET /api/tags` of Ollama.
    OllamaTags,
    /// `GET /info` of TGI.
    TgiInfo,
    /// `GET /v2` of Triton.
    TritonV2,
    /// None is known: the URL that requests go to is all there is.
    None,
}

/// What to POST.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRequest {
    /// The path, such as `chat/completions`; the place itself when empty.
    pub path: Cow<'static, str>,
    /// The JSON body.
    pub body: Bytes,
}

/// What one event said. An event may hold several of these, or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deltas {
    /// Generated content (tool-call arguments included).
    pub content: String,
    /// Reasoning text.
    pub reasoning: String,
    /// Which of several choices said it, a bit for each; of those beyond the 128th, none.
    pub choices: u128,
    /// What each said in turn: which choice, and how many bytes of content and of reasoning. Empty where
    /// all of it is one choice's.
    pub parts: Vec<(Option<u64>, usize, usize)>,
    /// How many of them came to their end.
    pub finishes: u32,
    /// Why the server stopped.
    pub finish_reason: Option<String>,
    /// Why it stopped the first of several choices.
    pub first_finish_reason: Option<String>,
    /// Token usage.
    pub usage: Option<Usage>,
    /// The server's own timings.
    pub timings: Option<ServerTimings>,
    /// The model that answers.
    pub model: Option<String>,
    /// The server's id of the answer, as the first event that has one says it.
    pub id: Option<String>,
    /// The dialect's own end mark (`[DONE]`).
    pub done: bool,
    /// An error inside the stream.
    pub error: Option<String>,
    /// Whether the answer came from a cache, by a server that does not say how much of it.
    pub cached: Option<bool>,
    memory: Memory,
}

/// What a dialect must remember from event to event of one answer.
#[derive(Debug, Clone, Default, PartialEq)]
struct Memory {
    content: cumulative::Cumulative,
    reasoning: cumulative::Cumulative,
    prompt: anthropic_messages::PromptParts,
    mould: mould::Mould,
}

impl Deltas {
    /// Empties it for the next event of the same answer: buffers, memory and the names of model and
    /// answer, which every event repeats, stay.
    pub fn clear(&mut self) {
        let Self {
            content,
            reasoning,
            choices,
            parts,
            finishes,
            finish_reason,
            first_finish_reason,
            usage,
            timings,
            model: _,
            id: _,
            done,
            error,
            cached,
            memory: _,
        } = self;
        content.clear();
        reasoning.clear();
        parts.clear();
        (*choices, *finishes) = (0, 0);
        (*finish_reason, *first_finish_reason, *error) = (None, None, None);
        (*usage, *timings) = (None, None);
        (*done, *cached) = (false, None);
    }

    /// Takes the answer's id, if there is one and it is the first.
    fn identify(&mut self, id: &lenient::Text<'_>) {
        if self.id.is_none() {
            self.id = id.some();
        }
    }

    /// Takes why the server stopped one of an answer's choices; that it gave one up stays.
    fn stopped(&mut self, index: Option<u64>, reason: Option<String>) {
        if reason.is_some() && index.unwrap_or(0) == 0 {
            self.first_finish_reason.clone_from(&reason);
        }
        let is_given_up = self.finish_reason.as_deref().is_some_and(super::ending::is_given_up);
        self.finish_reason = reason.filter(|_| !is_given_up).or(self.finish_reason.take());
    }

    /// Reads an event that is like an earlier one but for its text; `false` when it is not.
    fn moulded(&mut self, event: &[u8]) -> bool {
        self.choices = self.memory.mould.choices();
        match self.memory.mould.text(event) {
            Some(mould::Plain::Content(text)) => self.content.push_str(text),
            Some(mould::Plain::Reasoning(text)) => self.reasoning.push_str(text),
            None => {
                self.choices = 0;
                return false;
            }
        }
        true
    }

    /// Notes what the choice at `index` said between `before` (lengths of content and reasoning) and
    /// now, and whether it came to its end.
    fn choice(&mut self, index: Option<u64>, before: (usize, usize), finishes: bool) {
        let (content, reasoning) = (self.content.len() - before.0, self.reasoning.len() - before.1);
        if content + reasoning > 0 {
            self.parts.push((index, content, reasoning));
            let shift = u32::try_from(index.unwrap_or(0)).unwrap_or(u32::MAX);
            self.choices |= 1_u128.checked_shl(shift).unwrap_or(0);
        }
        self.finishes += u32::from(finishes);
    }

    /// Remembers an event whose `content` and `reasoning`, as they stand in it, may be all it says.
    fn learn(&mut self, event: &[u8], content: &str, reasoning: &str) {
        let is_text_alone = self.finish_reason.is_none()
            && self.usage.is_none()
            && self.timings.is_none()
            && !self.done
            && self.error.is_none()
            && self.cached.is_none();
        if !is_text_alone {
            return;
        }
        if !content.is_empty() && self.reasoning.is_empty() && self.content.len() == content.len() {
            self.memory.mould.learn(event, mould::Plain::Content(content), self.choices);
        } else if !reasoning.is_empty()
            && self.content.is_empty()
            && self.reasoning.len() == reasoning.len()
        {
            self.memory.mould.learn(event, mould::Plain::Reasoning(reasoning), self.choices);
        }
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

impl Usage {
    /// The counts, if there is one at all.
    fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// The event was not what the dialect promises.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// One API's spelling of requests and answers.
pub trait Dialect: Send + Sync {
    /// The HTTP request for `request`, asking for `model`: all of it, or what of it can't be said.
    fn encode(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        self.encode_chat(&*items::in_chat_words(request)?, model)
    }
    /// The same for a request that is in the words of chat completions.
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm>;
    /// Where its paths start.
    fn place(&self) -> Place {
        Place::Base
    }
    /// Where its servers say what they serve.
    fn catalogue(&self) -> Catalogue {
        Catalogue::Models
    }
    /// Reads the JSON of a stream event into `out`, which is cleared.
    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError>;
    /// Reads the JSON of a whole answer into `out`, which is cleared; it may look like an event.
    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        self.read_event(json, out)
    }

    /// Reads one stream event (the joined `data:` lines, or a line of NDJSON) into `out`, which is
    /// cleared first. All events of an answer go into the same `out`, and no other answer's.
    fn decode(&self, event: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        out.clear();
        match said(event) {
            Said::Nothing => Ok(()),
            Said::Done => {
                out.done = true;
                Ok(())
            }
            Said::Json(json) if out.moulded(json) => Ok(()),
            Said::Json(json) => self.read_event(json, out),
        }
    }

    /// Reads a whole body of an answer that was not streamed.
    fn decode_body(&self, body: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        out.clear();
        self.read_whole(body, out)?;
        out.done = true;
        Ok(())
    }

    /// Adds to `out` what the response's headers say; called after `decode_body`.
    fn decode_headers(&self, _header: &dyn Fn(&'static str) -> Option<String>, _out: &mut Deltas) {}

    /// Whether the answer to `request` will be a stream.
    fn streams(&self, request: &Request) -> bool {
        stream_field(request)
    }

    /// How a streamed answer is cut into events.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// Whether a complete stream shows its end by a mark or a finish reason. Where it does not, a
    /// clean end of the body is the end.
    fn marks_end(&self) -> bool {
        true
    }

    /// Whether the endpoint's URL is itself what is called, and not where the API begins.
    fn calls_base(&self) -> bool {
        false
    }

    /// Headers that every request of this API carries, beside those of the endpoint.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Whether a request must name its model.
    fn needs_model(&self) -> bool {
        true
    }

    /// Whether events say which of several choices they are of.
    fn tells_choices(&self) -> bool {
        false
    }

    /// The header that takes the API key by itself; `None` for `Authorization: Bearer`.
    fn key_header(&self) -> Option<&'static str> {
        None
    }
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
