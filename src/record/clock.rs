//! The run's one clock.
//!
//! In: instants of the system's monotonic clock. Out: nanoseconds from the start of the run, as they
//! stand in every `_ns` field. Invariant: it never goes backwards, whatever happens to wall time.

use std::time::{Duration, Instant};

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
