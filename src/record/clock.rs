//! The run's one clock.
//!
//! In: instants of the system's monotonic clock. Out: nanoseconds from the start of the run, as they
//! stand in every `_ns` field. Invariant: it never goes backwards, whatever happens to wall time.

use std::time::{Duration, Instant};

/// The run's monotonic clock: every `_ns` field counts nanoseconds from its start.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    start: Instant,
    /// What it shows at `start`.
    from_ns: u64,
}

impl RunClock {
    /// A clock whose zero is now.
    pub fn start_now() -> Self {
        Self::start_at(0)
    }

    /// A clock that shows `ns` now: a run that goes on with an earlier one counts from its start.
    pub fn start_at(ns: u64) -> Self {
        Self { start: Instant::now(), from_ns: ns }
    }

    /// Nanoseconds from the start of the run to `at`; for anything before the clock was started,
    /// what it showed then.
    pub fn ns(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_nanos();
        self.from_ns.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Nanoseconds from the start of the run to this moment.
    pub fn now_ns(&self) -> u64 {
        self.ns(Instant::now())
    }

    /// The instant that lies `ns` nanoseconds after the start of the run.
    pub fn at(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns.saturating_sub(self.from_ns))
    }
}
