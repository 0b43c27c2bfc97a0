//! When the rows of a log were asked, and which of them belong together.
//!
//! In: a [`Dataset`], and which rows are wanted. Out: for each of them its number, stamp, session and
//! turn, and what the clock of the whole log is like. Invariant: one pass, and 32 bytes a row and a
//! name a session; what rows say is read again, by number, when they are sent.

use std::collections::HashMap;
use std::sync::Arc;

use super::Dataset;
use super::row::{DatasetError, Row};
use crate::plan::{Replay, ReplayTiming};

const SECOND_NS: u64 = 1_000_000_000;

/// One row of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number in the dataset.
    pub row: u64,
    /// When it arrived, in nanoseconds from the log's own zero; 0 without a stamp.
    pub stamp_ns: u64,
    /// The number of its session's first row that was wanted; its own without a session.
    pub session: u64,
    /// How many wanted rows of its session stand before it.
    pub turn: u32,
    /// How many rows of its second, wanted or not, stand before it, where stamps name seconds.
    pub rank: u32,
}

/// The arrivals of a log, in the order of its rows.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// One for each row that was wanted.
    pub arrivals: Vec<Arrival>,
    /// The rows that were read.
    pub rows: u64,
    /// The first wanted row without a stamp, which can't be replayed by time.
    pub unstamped: Option<u64>,
    /// The earliest stamp of all rows, in nanoseconds.
    pub first_ns: u64,
    /// The latest.
    pub last_ns: u64,
    /// The rows of each second, if no stamp names less than a second.
    pub seconds: Option<HashMap<u64, u32>>,
}

/// Why a log can't be replayed as a stage asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub help: &'static str,
}

impl Timeline {
    /// Reads a log once, to its end.
    pub fn read(
        dataset: &Dataset,
        mut keep: impl FnMut(&Row) -> bool,
    ) -> Result<Self, DatasetError> {
        let mut timeline =
            Self { first_ns: u64::MAX, seconds: Some(HashMap::new()), ..Self::default() };
        let mut sessions: HashMap<String, (u64, u32)> = HashMap::new();
        for row in dataset.rows() {
            let row = row?;
            let rank = row.timestamp_ns.map_or(0, |stamp_ns| timeline.stamped(stamp_ns));
            timeline.rows += 1;
            if !keep(&row) {
                continue;
            }
            if row.timestamp_ns.is_none() {
                timeline.unstamped.get_or_insert(row.number);
            }
            let (session, turn) = match &row.session {
                None => (row.number, 0),
                Some(name) => {
                    // Looked up first: most rows follow one of their session, whose name is there.
                    let known = sessions.get_mut(name).map(|(first, turns)| {
                        *turns = turns.saturating_add(1);
                        (*first, *turns)
                    });
                    known.unwrap_or_else(|| {
                        sessions.insert(name.clone(), (row.number, 0));
                        (row.number, 0)
                    })
                }
            };
            timeline.arrivals.push(Arrival {
                row: row.number,
                stamp_ns: row.timestamp_ns.unwrap_or(0),
                session,
                turn,
                rank,
            });
        }
        if timeline.rows == 0 {
            return Err(dataset.no_rows());
        }
        // Without any stamp there is no first.
        timeline.first_ns = timeline.first_ns.min(timeline.last_ns);
        timeline.arrivals.shrink_to_fit();
        Ok(timeline)
    }

    /// Notes a stamp; gives how many rows of its second came before, as long as that means anything.
    fn stamped(&mut self, stamp_ns: u64) -> u32 {
        self.first_ns = self.first_ns.min(stamp_ns);
        self.last_ns = self.last_ns.max(stamp_ns);
        if !stamp_ns.is_multiple_of(SECOND_NS) {
            self.seconds = None;
        }
        let Some(seconds) = &mut self.seconds else { return 0 };
        let count = seconds.entry(stamp_ns / SECOND_NS).or_default();
        *count = count.saturating_add(1);
        *count - 1
    }

    /// Numbers of its rows, those of one session together: sessions in the order of their first rows.
    pub fn by_session(&self) -> Arc<[u64]> {
        let mut rows: Vec<_> = self.arrivals.iter().map(|it| (it.session, it.row)).collect();
        rows.sort_unstable();
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Why it can't be replayed as `replay` asks, if it can't.
    pub fn unfit(&self, replay: &Replay) -> Option<Unfit> {
        if self.arrivals.is_empty() {
            return Some(Unfit {
                problem: format!("the sample takes none of the log's {} requests", self.rows),
                help: "take a larger `sample`",
            });
        }
        let row = self.unstamped.filter(|_| matches!(replay.timing, ReplayTiming::Log { .. }))?;
        Some(Unfit {
            problem: format!("request {} of the log has no time", row + 1),
            help: "replay it at a rate (`rate: 5`), or name the field that has the time: `log: { path: …, fields: { timestamp: /ts } }`",
        })
    }

    /// How much of the log's time passes before it may begin anew: from its first stamp to its last,
    /// and as long as there is between two rows in the mean, or the rest of the last second.
    pub fn span_ns(&self) -> u64 {
        let span = self.last_ns - self.first_ns;
        match (&self.seconds, span) {
            (Some(_), _) | (None, 0) => span.saturating_add(SECOND_NS),
            (None, _) => span.saturating_add(span / self.rows.saturating_sub(1).max(1)),
        }
    }
}
