//! How the requests of a stage ended.

use serde::{Deserialize, Serialize};

/// `planned = ok + errors + cancelled + dropped_late + lost_in_flight + never_started`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Counts {
    /// Requests of the plan.
    pub planned: u64,
    /// Complete answers.
    pub ok: u64,
    /// Failed requests.
    pub errors: u64,
    /// Cut after they were sent.
    pub cancelled: u64,
    /// Due, but too late to be sent.
    pub dropped_late: u64,
    /// Started, with no terminal record (the process died).
    pub lost_in_flight: u64,
    /// Never due.
    pub never_started: u64,
}

impl Counts {
    /// Requests that were asked for in their time and got an end of some kind, or were dropped.
    pub fn ended_or_dropped(&self) -> u64 {
        self.ok + self.errors + self.cancelled + self.dropped_late
    }

    /// Every request by how it ended; equal to `planned` or the run is invalid.
    pub fn accounted(&self) -> u64 {
        self.ok
            + self.errors
            + self.cancelled
            + self.dropped_late
            + self.lost_in_flight
            + self.never_started
    }
}
