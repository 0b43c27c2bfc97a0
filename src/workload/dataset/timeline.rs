//! When the rows of a trace arrived, and which of them belong together.
//!
//! In: a [`Dataset`], and which rows are wanted. Out: for each of them its number, stamp, session and
//! turn. Invariant: one pass, and about 24 bytes a row and a name a session; what rows say is read
//! again, by number, when they are sent.

use std::collections::HashMap;

use super::Dataset;
use super::row::{DatasetError, Malformed, Row};
use super::rows::Counts;

/// One row of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number in the dataset.
    pub row: u64,
    /// When it arrived, in nanoseconds from the trace's own zero.
    pub stamp_ns: Option<u64>,
    /// Its session, numbered in the order in which they appear; `None` for rows of no session.
    pub session: Option<u32>,
    /// How many rows of its session stand before it.
    pub turn: u32,
}

/// The arrivals of a trace, in the order of its rows.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// One for each row that was wanted.
    pub arrivals: Vec<Arrival>,
    /// How many sessions they belong to.
    pub sessions: u32,
    /// What was read and left out.
    pub counts: Counts,
    /// The first few malformed rows that were left out.
    pub problems: Vec<Malformed>,
}

impl Timeline {
    /// Reads a trace once, to the end of what `keep` may want.
    pub fn read(
        dataset: &Dataset,
        mut keep: impl FnMut(&Row) -> bool,
    ) -> Result<Self, DatasetError> {
        let mut arrivals = Vec::new();
        let mut sessions: HashMap<String, (u32, u32)> = HashMap::new();
        let mut rows = dataset.rows();
        for row in rows.by_ref() {
            let row = row?;
            if !keep(&row) {
                continue;
            }
            let mut turn = 0;
            let session = row.session.as_ref().map(|name| {
                let next = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
                // Looked up first: most rows follow one of their session, whose name is there.
                if !sessions.contains_key(name) {
                    sessions.insert(name.clone(), (next, 0));
                }
                sessions.get_mut(name).map_or(next, |(session, turns)| {
                    turn = *turns;
                    *turns = turns.saturating_add(1);
                    *session
                })
            });
            arrivals.push(Arrival { row: row.number, stamp_ns: row.timestamp_ns, session, turn });
        }
        if arrivals.is_empty() && rows.counts().rows == 0 {
            return Err(dataset.no_rows());
        }
        Ok(Self {
            arrivals,
            sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
            counts: rows.counts().clone(),
            problems: rows.problems().to_vec(),
        })
    }

    /// The first row without a stamp, which can't be replayed by time.
    pub fn unstamped(&self) -> Option<u64> {
        self.arrivals.iter().find(|arrival| arrival.stamp_ns.is_none()).map(|arrival| arrival.row)
    }
}
