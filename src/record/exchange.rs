//! One request and its answer: as the client saw them, and as the log keeps them.
//!
//! In: an [`Exchange`] from the client. Out: a [`Record`], which adds who asked, when it was due and
//! what was counted. Invariants: absent is not zero; a stamp is when bytes arrived, before anything
//! was made of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{ErrorInfo, Outcome, OutcomeKind};

/// The flag of a request that was sent twice because its kept connection was closed under it.
pub const STALE_REUSE_RESENT: &str = "stale_reuse_resent";

/// The flag of an answer that came whole and not as a stream.
pub const NOT_STREAMED: &str = "not_streamed";
/// Flag of a complete answer in which there was no text, though its usage counts tokens.
pub const NO_TEXT: &str = "no_text";
/// The flag of an answer with counts that can't be, such as more cached tokens than the prompt has; they
/// are left out.
pub const IMPOSSIBLE_USAGE: &str = "impossible_usage";
/// The flag of a stream over TLS or a proxy, where chunks of one read are told by how close they came.
pub const READS_HIDDEN: &str = "reads_hidden";

/// One quantity of tokens as every source knows it. Absent is not zero.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct TokenCounts {
    /// The server's `usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<u64>,
    /// The endpoint's `tokenizer`: the texts of the messages, without the chat template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<u64>,
    /// Token-bearing stream events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// Four characters per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<u64>,
}

impl TokenCounts {
    /// Tokens that somebody counted: the server, else the endpoint's tokenizer. Events are no tokens,
    /// and an estimate is no count.
    pub fn counted(&self) -> Option<u64> {
        self.server.or(self.tokenizer)
    }

    /// The most trustworthy count and the name of its source: server, tokenizer, events, estimate.
    pub fn best(&self) -> Option<(u64, &'static str)> {
        [
            (self.server, "server"),
            (self.tokenizer, "tokenizer"),
            (self.events, "events"),
            (self.estimate, "estimate"),
        ]
        .into_iter()
        .find_map(|(count, source)| count.map(|count| (count, source)))
    }
}

/// Whether a prompt was served from the server's prefix cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheState {
    /// (Almost) nothing came from the cache.
    Cold,
    /// (Almost) everything that can be cached came from the cache.
    Warm,
    /// Part of the prompt came from the cache, or requests of a stage disagree.
    Mixed,
    /// The server gave no sign.
    Unknown,
}

impl std::fmt::Display for CacheState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::Mixed => "mixed",
            Self::Unknown => "unknown",
        })
    }
}

/// The server's own account of one request (llama.cpp `timings` and the like).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerTimings {
    /// Prompt tokens taken from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_n: Option<u64>,
    /// Prompt tokens that were computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_n: Option<u64>,
    /// Milliseconds of prefill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_ms: Option<f64>,
    /// Generated tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_n: Option<u64>,
    /// Milliseconds of decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_ms: Option<f64>,
    /// Milliseconds of prefill and decoding together, by servers that don't tell them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_ms: Option<f64>,
    /// Milliseconds in the server's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<f64>,
    /// Milliseconds of loading the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_ms: Option<f64>,
    /// Milliseconds in the server, from the request to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<f64>,
}

/// The connection a request went over.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Connection {
    /// True when it was already open; then `connected_ns` is absent.
    pub reused: bool,
    /// Its far end, where the host's name stands for several addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// One request and its answer as the client saw them; times are nanoseconds of the run's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// When the request was handed to the connection.
    pub sent_ns: u64,
    /// When a new connection was begun, where that was before the request was sent.
    pub connecting_ns: Option<u64>,
    /// When a new connection was ready; `None` when an open one was reused.
    pub connected_ns: Option<u64>,
    /// When the response headers arrived.
    pub headers_ns: Option<u64>,
    /// Arrival of the first SSE event, whatever it held.
    pub first_event_ns: Option<u64>,
    /// Arrival of the first non-empty content, reasoning or tool-call delta.
    pub first_token_ns: Option<u64>,
    /// Arrival of the first non-reasoning delta.
    pub first_content_ns: Option<u64>,
    /// Arrival of the last token-bearing event.
    pub last_token_ns: Option<u64>,
    /// Arrival of the usage.
    pub usage_ns: Option<u64>,
    /// When the exchange was over, however it ended.
    pub end_ns: u64,
    /// Arrival of every token-bearing event, of each choice in it where several were asked for.
    pub token_ns: Vec<u64>,
    /// The choice that each of `token_ns` belongs to; empty where one was asked for.
    pub choices: Vec<u8>,
    /// How it ended.
    pub outcome: Outcome,
    /// One line for people when `outcome` is an error.
    pub error_message: Option<String>,
    /// The first 4 KiB received, for errors.
    pub raw: Option<String>,
    /// The response's status line, once there was one.
    pub http_status: Option<u16>,
    /// Prompt tokens from `usage`.
    pub input_tokens: Option<u64>,
    /// Generated tokens from `usage`.
    pub output_tokens: Option<u64>,
    /// Reasoning tokens from `usage`, where reported.
    pub reasoning_tokens: Option<u64>,
    /// Prompt tokens served from cache; absent is not zero.
    pub cached_tokens: Option<u64>,
    /// The server's own timings.
    pub timings: Option<ServerTimings>,
    /// Why the server stopped (`stop`, `length`, …).
    pub finish_reason: Option<String>,
    /// The model that the server says answered.
    pub model: Option<String>,
    /// That model, where it is another than was asked for.
    pub other_model: Option<String>,
    /// The server's own id of the answer.
    pub response_id: Option<String>,
    /// True when the request went over an open connection.
    pub reused: bool,
    /// The connection's far end, where the host's name stands for several addresses.
    pub address: Option<IpAddr>,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Remarks that do not make it an error, such as `no_done` or `lossy_utf8`.
    pub flags: Vec<Cow<'static, str>>,
    /// What the server counted that can't be, and is left out above.
    pub impossible: ImpossibleCounts,
    /// The generated text (content and reasoning), kept for counting; it is not written to the log.
    pub text: String,
    /// Byte of `text` at which its content begins; reasoning stands before it.
    pub content_from: Option<usize>,
    /// Byte of `text` at which the content of the first choice ends, where several were asked for.
    pub first_content_to: Option<usize>,
    /// Why the server stopped the first choice, where it tells choices apart.
    pub first_finish_reason: Option<String>,
}

/// Counts that can't be, by name, as the server said them; [`u64::MAX`] stands for what is no count at
/// all (negative, broken, past all counting).
pub type ImpossibleCounts = BTreeMap<Cow<'static, str>, u64>;

impl Exchange {
    /// Whether its kept connection died under it at once, so that it was sent again.
    pub fn was_resent(&self) -> bool {
        was_resent(&self.flags)
    }
}

fn was_resent(flags: &[Cow<'static, str>]) -> bool {
    flags.iter().any(|flag| flag == STALE_REUSE_RESENT)
}

/// The `end` line: the one terminal record of a planned request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, such as `model=a,docs=8`; absent without a matrix.
    pub cell: Option<String>,
    /// Level of a ladder or ramp (its rate or concurrency); absent elsewhere.
    pub rung: Option<f64>,
    /// The request's number within its stage (and rung), from 0.
    pub index: u64,
    /// Unique id, also sent as `X-Request-Id`.
    pub request_id: String,
    /// Fingerprint of the messages; equal prompts have equal hashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_hash: Option<String>,
    /// The conversation that it is a turn of, as the dataset or log names it; absent, too, where the
    /// request was never made because the run ended long before it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it was to be sent; absent when it never became due.
    pub due_ns: Option<u64>,
    /// When it was sent; absent when it never was.
    pub sent_ns: Option<u64>,
    /// When a new connection was begun, where that was before the request was sent: those of a
    /// closed loop's first requests are opened ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connecting_ns: Option<u64>,
    /// When a new connection was ready; absent when one was reused.
    pub connected_ns: Option<u64>,
    /// When the response headers arrived.
    pub headers_ns: Option<u64>,
    /// Arrival of the first stream event, whatever it held.
    pub first_event_ns: Option<u64>,
    /// Arrival of the first content, reasoning or tool-call delta.
    pub first_token_ns: Option<u64>,
    /// Arrival of the first non-reasoning delta.
    pub first_content_ns: Option<u64>,
    /// Arrival of the last token-bearing event.
    pub last_token_ns: Option<u64>,
    /// Arrival of the usage.
    pub usage_ns: Option<u64>,
    /// When the exchange was over; absent when it was never sent.
    pub end_ns: Option<u64>,
    /// Arrival of every token-bearing event, taken before parsing; of each choice in it where several
    /// were asked for (`n: 2`). Events that one read of the socket brought have one stamp.
    pub token_ns: Vec<u64>,
    /// The choice that each of `token_ns` belongs to; absent where one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<u8>,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Status of the HTTP response, once there was one.
    pub http_status: Option<u16>,
    /// What went wrong, when something did.
    pub error: Option<ErrorInfo>,
    /// Prompt tokens by source.
    pub input_tokens: TokenCounts,
    /// Generated tokens by source.
    pub output_tokens: TokenCounts,
    /// Reasoning tokens as the server counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Prompt tokens served from the cache; absent is not zero.
    pub cached_tokens: Option<u64>,
    /// Cold, warm, mixed or unknown.
    pub cache: CacheState,
    /// Why the server stopped.
    pub finish_reason: Option<String>,
    /// The model that was asked for, where it is the row's and not the endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_model: Option<String>,
    /// The model that answered, where the server names another than was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_model: Option<String>,
    /// The server's own id of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// The server's own timings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<ServerTimings>,
    /// The connection it went over.
    pub connection: Connection,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Remarks that do not make it an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Cow<'static, str>>,
    /// Counts of the server that can't be and are left out above, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub impossible: ImpossibleCounts,
}

impl Record {
    /// Stands in `choices` for a token that the server gives to a choice that was not asked for.
    pub const NOBODYS: u8 = u8::MAX;

    /// When all of the answer was there: its last token, or the end of one that came whole.
    pub fn answered_ns(&self) -> Option<u64> {
        let is_whole = || self.flags.iter().any(|flag| flag == NOT_STREAMED);
        self.last_token_ns.or_else(|| self.end_ns.filter(|_| is_whole()))
    }

    /// Nanoseconds between neighbouring token-bearing events of one choice.
    pub fn token_gaps(&self) -> impl Iterator<Item = u64> {
        (1..self.token_ns.len()).filter_map(|at| {
            let before = match self.choices.get(at) {
                None => at - 1,
                Some(&Self::NOBODYS) => return None,
                Some(choice) => self.choices[..at].iter().rposition(|it| it == choice)?,
            };
            self.token_ns[at].checked_sub(self.token_ns[before])
        })
    }

    /// Nanoseconds from the first to the last token of each choice, summed, and the number of
    /// choices that said anything.
    pub fn decoding(&self) -> Option<(u64, u64)> {
        if self.choices.is_empty() {
            let span = self.last_token_ns?.checked_sub(self.first_token_ns?)?;
            return Some((span, 1));
        }
        if self.choices.contains(&Self::NOBODYS) {
            return None;
        }
        let firsts = (0..self.choices.len())
            .filter(|at| !self.choices[..*at].contains(&self.choices[*at]))
            .count();
        Some((self.token_gaps().sum(), firsts as u64))
    }

    /// Tokens of reasoning that the server counts and did not stream: the first event was content.
    pub fn hidden_reasoning(&self) -> u64 {
        let is_hidden =
            self.first_content_ns.is_some() && self.first_content_ns == self.first_token_ns;
        self.reasoning_tokens.filter(|_| is_hidden).unwrap_or(0)
    }

    /// Whether its kept connection died under it at once, so that it was sent again.
    pub fn was_resent(&self) -> bool {
        was_resent(&self.flags)
    }

    /// Whether a streamed answer came all at once: several events, or one that holds all of a longer
    /// answer, faster than any server generates and right at the end of the answer. Something held
    /// the stream back, so its first token came when the last one did.
    pub fn came_in_one_piece(&self) -> bool {
        /// Nanoseconds from token to token that no server is faster than: 10,000 tokens a second.
        const FASTEST: u64 = 100_000;
        /// So many tokens in one event are a whole answer; a speculative step has fewer.
        const ALL: u64 = 16;
        let (Some(sent), Some(first), Some(last)) =
            (self.sent_ns, self.first_token_ns, self.last_token_ns)
        else {
            return false;
        };
        let (took, all) = (last.saturating_sub(first), last.saturating_sub(sent));
        match self.token_ns.len() as u64 {
            0 => false,
            1 => self.output_tokens.server >= Some(ALL),
            events => took <= FASTEST * (events - 1) && took <= all / 10,
        }
    }
}
