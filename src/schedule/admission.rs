//! The cap on requests in flight: rate and concurrency at once.
//!
//! In: due requests and finished ones. Out: send now, wait, or drop. Invariant: never more than
//! `max_in_flight` are out, and every request offered is sent, dropped or still waiting; none is
//! lost. A request that waited keeps its own due time, so the wait shows in `schedule_lag` and in
//! the latencies from due, never as a slower schedule.

use std::collections::VecDeque;

use crate::plan::{Pacing, WhenFull};

/// What becomes of a due request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit<T> {
    /// Send it now; it counts as in flight.
    Send(T),
    /// It waits; [`Admission::finished`] or [`Admission::abandon`] gives it back.
    Queued,
    /// No place, and the plan says not to wait: record it as `dropped_late`.
    Drop(T),
}

/// How requests fared so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionCounts {
    /// Requests offered.
    pub offered: u64,
    /// Requests let through.
    pub sent: u64,
    /// Requests that had to wait, sent since or not.
    pub queued: u64,
    /// Requests dropped.
    pub dropped: u64,
    /// Most requests in flight at once.
    pub peak_in_flight: u64,
    /// Most requests waiting at once.
    pub peak_waiting: u64,
}

/// The gate between the pacer and the client.
#[derive(Debug, Clone)]
pub struct Admission<T> {
    max: u64,
    when_full: WhenFull,
    in_flight: u64,
    waiting: VecDeque<T>,
    counts: AdmissionCounts,
}

impl<T> Admission<T> {
    /// A gate with the plan's `max_in_flight` and `when_full`.
    pub fn new(pacing: &Pacing) -> Self {
        Self {
            // A cap of 0 would never send anything; a plan can't ask for it.
            max: pacing.max_in_flight.unwrap_or(u64::MAX).max(1),
            when_full: pacing.when_full,
            in_flight: 0,
            waiting: VecDeque::new(),
            counts: AdmissionCounts::default(),
        }
    }

    /// A request is due.
    pub fn offer(&mut self, due: T) -> Admit<T> {
        self.counts.offered += 1;
        if self.in_flight < self.max {
            self.sent();
            return Admit::Send(due);
        }
        match self.when_full {
            WhenFull::Queue => {
                self.waiting.push_back(due);
                self.counts.queued += 1;
                self.counts.peak_waiting = self.counts.peak_waiting.max(self.waiting.len() as u64);
                Admit::Queued
            }
            WhenFull::Drop => {
                self.counts.dropped += 1;
                Admit::Drop(due)
            }
        }
    }

    /// A request came to its end, however it did. Gives the one that takes its place, if any
    /// waits: send it now.
    pub fn finished(&mut self) -> Option<T> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let next = self.waiting.pop_front()?;
        self.sent();
        Some(next)
    }

    /// The stage ends: gives back all that still wait, to be recorded as `never_started`.
    pub fn abandon(&mut self) -> impl Iterator<Item = T> + '_ {
        self.waiting.drain(..)
    }

    /// Requests out now.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Requests waiting now.
    pub fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// How requests fared so far.
    pub fn counts(&self) -> AdmissionCounts {
        self.counts
    }

    fn sent(&mut self) {
        self.in_flight += 1;
        self.counts.sent += 1;
        self.counts.peak_in_flight = self.counts.peak_in_flight.max(self.in_flight);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gate(max: Option<u64>, when_full: WhenFull) -> Admission<u64> {
        Admission::new(&Pacing { max_in_flight: max, when_full, ..Pacing::default() })
    }

    #[test]
    fn the_queue_is_first_come_first_served() {
        let mut gate = gate(Some(1), WhenFull::Queue);
        assert_eq!(gate.offer(0), Admit::Send(0));
        assert_eq!((gate.offer(1), gate.offer(2)), (Admit::Queued, Admit::Queued));
        assert_eq!(gate.finished(), Some(1));
        assert_eq!(gate.abandon().collect::<Vec<_>>(), [2]);
        assert_eq!(gate.finished(), None);
        assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
    }

    #[test]
    fn without_a_cap_everything_is_sent() {
        let mut gate = gate(None, WhenFull::Drop);
        assert!((0..1_000).all(|index| gate.offer(index) == Admit::Send(index)));
        assert_eq!(gate.counts().peak_in_flight, 1_000);
    }

    proptest! {
        #[test]
        fn every_request_is_sent_dropped_or_waiting(
            max in 1_u64..5,
            queue in any::<bool>(),
            steps in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let mut gate = gate(Some(max), if queue { WhenFull::Queue } else { WhenFull::Drop });
            let mut next = 0;
            for offer in steps {
                if offer {
                    gate.offer(next);
                    next += 1;
                } else if gate.in_flight() > 0 {
                    gate.finished();
                }
                prop_assert!(gate.in_flight() <= max);
                prop_assert!(gate.waiting() == 0 || gate.in_flight() == max, "a place lay idle");
            }
            let counts = gate.counts();
            prop_assert_eq!(counts.offered, next);
            prop_assert_eq!(next, counts.sent + counts.dropped + gate.waiting());
        }
    }
}
