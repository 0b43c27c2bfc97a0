//! How many requests of a stage are under way at once.
//!
//! In: the lines of a stage. Out: what is still under way, and the most there were. Invariant: what is told
//! is by the stamps of what was sent and over: a line is written a moment later, so that by lines alone a
//! request that has ended seems to be under way together with the one that took its place.

use std::collections::HashSet;

use crate::metrics::samples::EXACT;
use crate::record::Record;

/// The requests of a stage that are under way, and have been.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights {
    open: HashSet<u64>,
    /// The most at once by lines.
    by_lines: u64,
    /// When each of the first was sent and over.
    spans: Vec<(u64, u64)>,
}

impl Flights {
    /// The request of this number is about to be sent.
    pub fn started(&mut self, index: u64) {
        self.open.insert(index);
        self.by_lines = self.by_lines.max(self.open());
    }

    /// A request ended.
    pub fn ended(&mut self, record: &Record) {
        self.open.remove(&record.index);
        if self.spans.len() <= EXACT {
            self.spans.extend(record.sent_ns.zip(record.end_ns));
        }
    }

    /// Those still under way.
    pub fn open(&self) -> u64 {
        self.open.len() as u64
    }

    /// The most that held a place at once, as the client that gives them sees it.
    pub fn places(&self) -> u64 {
        self.by_lines
    }

    /// The most under way at once. Where some never ended, or there were very many, by lines.
    pub fn peak(&self) -> u64 {
        if self.spans.len() > EXACT || !self.open.is_empty() {
            return self.by_lines;
        }
        let sent = self.spans.iter().map(|(sent, _)| (*sent, true));
        let ended = self.spans.iter().map(|(_, end)| (*end, false));
        let mut moments: Vec<(u64, bool)> = sent.chain(ended).collect();
        moments.sort_unstable();
        let (mut now, mut most) = (0_u64, 0);
        for (_, begins) in moments {
            now = if begins { now + 1 } else { now.saturating_sub(1) };
            most = most.max(now);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{ms, record};

    fn over(index: u64, sent: u64, end: u64) -> Record {
        Record { index, sent_ns: Some(ms(sent)), end_ns: Some(ms(end)), ..record() }
    }

    #[test]
    fn what_has_ended_is_not_under_way_though_its_line_comes_late() {
        let mut flights = Flights::default();
        for index in 0..3 {
            flights.started(index);
            if index > 0 {
                flights.ended(&over(index - 1, 10 * index - 10, 10 * index));
            }
        }
        assert_eq!((flights.open(), flights.places(), flights.peak()), (1, 2, 2));
        flights.ended(&over(2, 20, 30));
        assert_eq!((flights.open(), flights.places(), flights.peak()), (0, 2, 1));
    }
}
