//! Answers that are past their first token, for whoever watches a run.
//!
//! In: first tokens and ends of answers. Out: how many streams are under way, and how long the last
//! first token took. Invariant: it serves the eye only; what is kept as evidence comes from records.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The streams of one client that are past their first token.
#[derive(Debug, Default)]
pub struct Answering {
    streams: AtomicU64,
    last_ttft_ns: AtomicU64,
}

impl Answering {
    /// How many there are.
    pub fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }

    /// How long the last first token took to come.
    pub fn last_ttft(&self) -> Duration {
        Duration::from_nanos(self.last_ttft_ns.load(Ordering::Relaxed))
    }

    /// A first token came, so long after its request was sent.
    pub(super) fn begun(&self, ttft_ns: u64) -> Stream<'_> {
        self.last_ttft_ns.store(ttft_ns, Ordering::Relaxed);
        self.streams.fetch_add(1, Ordering::Relaxed);
        Stream(self)
    }
}

/// One of them, until it is dropped.
pub(super) struct Stream<'a>(&'a Answering);

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
