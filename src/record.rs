//! What came back: the raw stamps of every exchange and the lines of the record log.
//!
//! In: a finished [`Exchange`] from the client. Out: [`Line`]s, written one per row to
//! `records-000001.jsonl`. Invariant: the log alone is enough to rebuild every number of a run, and
//! every planned request has exactly one `end` line (or is counted as lost in flight).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::plan::Threshold;

/// Version of the record log's format, in its first line.
pub const RECORD_VERSION: u32 = 1;

/// The run's monotonic clock: every `_ns` field counts nanoseconds from its start.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    start: Instant,
}

impl RunClock {
    /// A clock whose zero is now.
    pub fn start_now() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds from the start of the run to `at` (0 for anything earlier).
    pub fn ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Nanoseconds from the start of the run to this moment.
    pub fn now_ns(&self) -> u64 {
        self.ns(Instant::now())
    }

    /// The instant that lies `ns` nanoseconds after the start of the run.
    pub fn at(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }
}

/// Where a request ended, by the limit that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The TCP (and TLS) connection was not made in time.
    Connect,
    /// Connected, but no response headers in time.
    Headers,
    /// Headers came, but no first token in time.
    FirstToken,
    /// A gap between bytes was longer than allowed.
    Idle,
    /// The whole exchange took too long.
    Total,
}

/// How one planned request ended. A failed request is data, never an `Err` up the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A complete answer.
    Ok,
    /// An HTTP status other than 2xx.
    Http(u16),
    /// One of the five limits was hit.
    Timeout(Phase),
    /// No connection: `refused`, `dns`, `tls`, `reset`, `fd_limit`, `no_local_port`, `other`.
    Connect(&'static str),
    /// The stream broke: `truncated`, `incomplete_body`, `reset`, `error_event`, `stale_reuse`.
    Stream(&'static str),
    /// The bytes were not what the dialect promises: `json`, `content_type`, `empty`,
    /// `event_too_large`, `redirect`, `http`.
    Protocol(&'static str),
    /// Cut by the run's end or by an interrupt after it was sent.
    Cancelled,
    /// Due, but so late that policy forbade sending it.
    DroppedLate,
    /// Planned, but the stage ended before it was due.
    NeverStarted,
}

impl Outcome {
    /// The coarse kind, as the record's `outcome` field says it.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Ok => OutcomeKind::Ok,
            Self::Http(_) => OutcomeKind::Http,
            Self::Timeout(_) => OutcomeKind::Timeout,
            Self::Connect(_) => OutcomeKind::Connect,
            Self::Stream(_) => OutcomeKind::Stream,
            Self::Protocol(_) => OutcomeKind::Protocol,
            Self::Cancelled => OutcomeKind::Cancelled,
            Self::DroppedLate => OutcomeKind::DroppedLate,
            Self::NeverStarted => OutcomeKind::NeverStarted,
        }
    }

    /// The stable error class, such as `http.503` or `timeout.first_token`; `None` unless the
    /// request counts as an error.
    pub fn class(&self) -> Option<String> {
        let class = match self {
            Self::Http(status) => format!("http.{status}"),
            Self::Timeout(phase) => format!(
                "timeout.{}",
                match phase {
                    Phase::Connect => "connect",
                    Phase::Headers => "headers",
                    Phase::FirstToken => "first_token",
                    Phase::Idle => "idle",
                    Phase::Total => "total",
                }
            ),
            Self::Connect(kind) => format!("connect.{kind}"),
            Self::Stream(kind) => format!("stream.{kind}"),
            Self::Protocol(kind) => format!("protocol.{kind}"),
            Self::Ok | Self::Cancelled | Self::DroppedLate | Self::NeverStarted => return None,
        };
        Some(class)
    }
}

/// The record's `outcome` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// A complete answer.
    Ok,
    /// An HTTP status other than 2xx.
    Http,
    /// One of the five time limits was hit.
    Timeout,
    /// No connection could be made.
    Connect,
    /// The stream broke before its end.
    Stream,
    /// The bytes were not what the dialect promises.
    Protocol,
    /// Cut by the run's end or an interrupt after it was sent.
    Cancelled,
    /// Due, but too late to be sent.
    DroppedLate,
    /// The stage ended before it was due.
    NeverStarted,
}

impl OutcomeKind {
    /// Whether it counts under `errors` in the identity
    /// `planned = ok + errors + cancelled + dropped_late + lost_in_flight + never_started`.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Http | Self::Timeout | Self::Connect | Self::Stream | Self::Protocol)
    }
}

/// What went wrong, in one class and one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ErrorInfo {
    /// Stable class, such as `http.503` or `stream.truncated`.
    pub class: String,
    /// One line for people; secrets are redacted.
    pub message: String,
    /// The first 4 KiB of what the server sent, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

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
}

/// One request and its answer as the client saw them; times are nanoseconds of the [`RunClock`].
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// When the request was handed to the connection.
    pub sent_ns: u64,
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
    /// Arrival of every token-bearing event.
    pub token_ns: Vec<u64>,
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
    /// True when the request went over an open connection.
    pub reused: bool,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Remarks that do not make it an error, such as `no_done` or `lossy_utf8`.
    pub flags: Vec<Cow<'static, str>>,
    /// The generated text (content and reasoning), kept for counting; it is not written to the log.
    pub text: String,
    /// Byte of `text` at which its content begins; reasoning stands before it.
    pub content_from: Option<usize>,
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
    /// The conversation that it is a turn of, as the dataset or log names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it was to be sent; absent when it never became due.
    pub due_ns: Option<u64>,
    /// When it was sent; absent when it never was.
    pub sent_ns: Option<u64>,
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
    /// Arrival of every token-bearing event, taken before parsing.
    pub token_ns: Vec<u64>,
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
}

/// Names a request before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StartLine {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// The request's number within its stage (and rung).
    pub index: u64,
    /// When it was to be sent.
    pub due_ns: u64,
    /// When it was handed to the client.
    pub sent_ns: u64,
}

/// The log's first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunLine {
    /// [`RECORD_VERSION`].
    pub record_version: u32,
    /// The run's id, also the name of its directory.
    pub run_id: String,
    /// The plan's name.
    pub plan: String,
    /// SHA-256 of the plan's text.
    pub plan_hash: String,
    /// Wall clock at the start, RFC 3339.
    pub started_at: String,
    /// The seed in force.
    pub seed: u64,
    /// True when any endpoint is the embedded simulator.
    pub simulated: bool,
    /// The tool's version.
    pub runner_version: String,
}

/// What a stage is about to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageStart {
    /// Id of the stage.
    pub stage: String,
    /// Its kind, such as `cold`.
    pub kind: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// Name or URL of the endpoint.
    pub endpoint: String,
    /// The model asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Requests it will send; each gets one `end` line.
    pub planned: u64,
    /// The cache state its requests are meant to meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects: Option<CacheState>,
    /// False when the stage is left out of reports (`record: false`).
    pub reported: bool,
    /// What its schedule asks for, in stages of load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadLine>,
    /// What is judged at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// When it started.
    pub at_ns: u64,
}

/// What the schedule of a stage (or rung) of load asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadLine {
    /// Requests per second, when the clock decides and not the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_rate: Option<f64>,
    /// 99th percentile of `schedule_lag`, in milliseconds, above which the generator was the
    /// bottleneck and the numbers say nothing of the endpoint; absent where waiting is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lag_ms: Option<f64>,
    /// Length of the stretches that have statistics of their own, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<f64>,
    /// The search that this is a probe of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchLine>,
}

/// A probe of a search, and all that decides what the search does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SearchLine {
    /// The probe's number within its search, from 0.
    pub probe: u64,
    /// True when concurrencies are searched, in whole numbers; else rates.
    pub whole: bool,
    /// The first level.
    pub from: f64,
    /// The highest level that may be probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// Relative width of the final bracket.
    pub tolerance: f64,
    /// Agreeing probes wanted at either end of it.
    pub confirmations: u64,
    /// Most probes.
    pub max_probes: u64,
    /// Most requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u64>,
    /// The level that the run must find to pass; absent when nothing is asked of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Where the search stands in the plan, `file:line:column`.
    pub location: String,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// Everything planned was sent.
    Completed,
    /// It could not go on; later requests never started.
    Failed,
    /// A signal ended it.
    Interrupted,
    /// A stage it needs did not complete.
    Skipped,
}

/// A stage's last line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageEnd {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// How it ended.
    pub state: StageState,
    /// Why, unless it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Requests that it came to plan, where answers or time decide how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// True when an `abort` check ended the probe of a search: it has failed, the search goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aborted: bool,
    /// CPU time of this process, on all cores, since the stage's `stage_start`, where the system
    /// says. The embedded simulator's is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// When it ended.
    pub at_ns: u64,
}

/// Whether a flush is known to have emptied the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlushState {
    /// A prompt that was warm before is cold after.
    Proven,
    /// The server gives no sign either way.
    Unproven,
    /// A prompt that was warm before is still (partly) warm, or no method could be used.
    Failed,
}

/// One attempt to flush.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FlushAttempt {
    /// What was done, such as `vllm POST /reset_prefix_cache` or `traffic 10 × 25000 tokens`.
    pub method: String,
    /// Whether the server took it.
    pub accepted: bool,
    /// What the server answered, in one line.
    pub detail: String,
    /// The canary's state afterwards.
    pub after: CacheState,
    /// The canary's cached tokens afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// The canary's TTFT afterwards, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
}

/// The evidence of a flush stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FlushLine {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Proven, unproven or failed.
    pub state: FlushState,
    /// The canary's state before (it was sent twice, so warm where a cache works).
    pub before: CacheState,
    /// The canary's prompt tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The canary's cached tokens before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// The canary's TTFT when it was new, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_cold_ms: Option<f64>,
    /// The canary's TTFT when it was repeated, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_warm_ms: Option<f64>,
    /// Everything that was tried, in order.
    pub attempts: Vec<FlushAttempt>,
    /// The conclusion in one sentence.
    pub summary: String,
    /// When it was known.
    pub at_ns: u64,
}

/// What the server said of itself at one moment: a reading of its Prometheus page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerLine {
    /// Name or URL of the endpoint.
    pub endpoint: String,
    /// When it was read.
    pub at_ns: u64,
    /// What only grows, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, f64>,
    /// What goes up and down, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gauges: BTreeMap<String, f64>,
    /// Why it could not be read, when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One line of the record log. `type` stands first in each, then `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The log's first line.
    Run(RunLine),
    /// A stage begins.
    StageStart(StageStart),
    /// A request is about to be sent.
    Start(StartLine),
    /// A request's terminal record.
    End(Box<Record>),
    /// The evidence of a flush.
    Flush(FlushLine),
    /// The server's own account at one moment.
    Server(ServerLine),
    /// A stage is over.
    StageEnd(StageEnd),
}

/// The way from stages to the recorder: bounded, so that a slow disk slows the run's bookkeeping
/// and never its memory.
#[derive(Debug, Clone)]
pub struct RecordSender {
    parcels: tokio::sync::mpsc::Sender<Parcel>,
}

/// What goes to the recorder.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every parcel is a line")]
pub enum Parcel {
    /// A line to be recorded.
    Line(Line),
    /// To be answered once all that was sent before is recorded.
    Mark(tokio::sync::oneshot::Sender<()>),
}

/// The recorder's end of the channel.
pub type RecordReceiver = tokio::sync::mpsc::Receiver<Parcel>;

impl RecordSender {
    /// A channel that holds up to `capacity` lines.
    pub fn channel(capacity: usize) -> (Self, RecordReceiver) {
        let (parcels, receiver) = tokio::sync::mpsc::channel(capacity);
        (Self { parcels }, receiver)
    }

    /// Hands one line to the recorder; waits while the queue is full. A recorder that is gone has
    /// already reported why, so the line is dropped.
    pub async fn send(&self, line: Line) {
        let _gone = self.parcels.send(Parcel::Line(line)).await;
    }

    /// Waits until every line sent before is recorded, and judged where it ended a stage.
    pub async fn caught_up(&self) {
        let (mark, answered) = tokio::sync::oneshot::channel();
        if self.parcels.send(Parcel::Mark(mark)).await.is_ok() {
            let _gone = answered.await;
        }
    }
}
