//! How a request ended.
//!
//! In: what the client saw of an exchange's end. Out: an [`Outcome`], and its words in the log.
//! Invariant: every outcome has one kind, and every error one stable class.

use serde::{Deserialize, Serialize};

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

/// Classes of errors that are this machine's: it had no file descriptor or no local port left.
pub const LOCAL_CLASSES: [&str; 2] = ["connect.fd_limit", "connect.no_local_port"];

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
    /// The stream broke: `truncated`, `incomplete_body`, `reset`, `error_event`, `stale_reuse`; it went
    /// on beyond any answer to what was asked: `too_long`; or the server says that it gave the answer up:
    /// `aborted`.
    Stream(&'static str),
    /// The bytes were not what the dialect promises: `json`, `content_type`, `empty`,
    /// `event_too_large`, `redirect`, `http`; or another model answered: `model`.
    Protocol(&'static str),
    /// It could not be made (a template failed, or the API has no form for it), so it was never sent.
    Unmade,
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
            Self::Unmade => OutcomeKind::Unmade,
            Self::Cancelled => OutcomeKind::Cancelled,
            Self::DroppedLate => OutcomeKind::DroppedLate,
            Self::NeverStarted => OutcomeKind::NeverStarted,
        }
    }

    /// Whether this machine, and not the endpoint, is why there was no connection.
    pub fn is_local(&self) -> bool {
        self.class().is_some_and(|class| LOCAL_CLASSES.contains(&class.as_str()))
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
            Self::Unmade => "request.unmade".to_owned(),
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
    /// The request could not be made, so it was never sent.
    Unmade,
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
        !matches!(self, Self::Ok | Self::Cancelled | Self::DroppedLate | Self::NeverStarted)
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
