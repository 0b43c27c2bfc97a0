//! What the client did for a stage: connections, requests that left, what could not be told apart.
//!
//! Invariant: these are figures about us and the way to the server, never about the server.

use serde::{Deserialize, Serialize};

/// What went to one of several addresses of an endpoint.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct AddressSummary {
    /// Connections made to it.
    pub connections: u64,
    /// Requests that went to it.
    pub requests: u64,
}

/// What the client did for a stage and what it took: numbers about us, not about the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClientSummary {
    /// CPU time of this process on all cores, in seconds, where the system says. The embedded
    /// simulator's is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// `cpu_s` over the stage's wall time: 1 is one core busy all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<f64>,
    /// Requests that a connection was made for.
    pub connections_opened: u64,
    /// Requests that went over a connection that was open already.
    pub connections_reused: u64,
    /// Bytes of all answers' bodies.
    pub bytes_in: u64,
    /// Token-bearing events of all answers.
    pub token_events: u64,
    /// Requests that left for the server, those that were sent again included: the POSTs that it may
    /// have seen.
    #[serde(default)]
    pub posts: u64,
    /// Requests that were sent again because a kept connection died under them at once.
    #[serde(default)]
    pub resent: u64,
    /// Most requests that were under way at once.
    #[serde(default)]
    pub peak_in_flight: u64,
    /// Gaps between token-bearing events of complete answers.
    #[serde(default)]
    pub token_gaps: u64,
    /// Those of them without a length, because one read of the socket brought both events.
    #[serde(default)]
    pub shared_reads: u64,
    /// Complete answers that came in one piece though a stream was asked for.
    #[serde(default)]
    pub in_one_piece: u64,
    /// 95th percentile of how late this machine let the client see what arrived, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_lag_p95_ms: Option<f64>,
    /// Moments, ten milliseconds apart, that it was looked at.
    #[serde(default)]
    pub wake_moments: u64,
}
