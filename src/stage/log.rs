//! The log of a `replay` stage: which of its rows is asked when.
//!
//! In: what the store read of the log, and the stage. Out: a schedule, and the row behind each of its
//! arrivals. Invariant: both depend on the plan, its seed and the log alone.

use std::sync::Arc;

use crate::plan::{Prompt, Rate, Replay, ReplayTiming, Until};
use crate::schedule::Schedule;
use crate::schedule::draw::{Draw, Purpose};
use crate::schedule::trace::{LogClock, Stamp, Trace};
use crate::workload::dataset::Timeline;
use crate::workload::store::Store;

/// One turn of one conversation, the log gone round so many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Its row in the log.
    pub row: u64,
    /// The conversation: the number of its first row, and how often the log was gone round before.
    pub conversation: (u64, u64),
    /// Turns of the conversation before it.
    pub number: u32,
}

/// A log and when its rows are due.
#[derive(Debug, Clone)]
pub struct Log {
    timeline: Arc<Timeline>,
    /// The rows in the order in which they are due, as places in the timeline; in its own order when
    /// `None`.
    order: Option<Arc<[u32]>>,
    /// When each of them is due, over and over if the stage goes round.
    pub schedule: Schedule,
}

impl Log {
    /// The log of `replay`, which the store has read; `key` names the stage among all of the plan.
    pub fn of(replay: &Replay, store: &Store, seed: u64, key: &str) -> Result<Self, String> {
        let timeline = timeline(&replay.traffic.prompt, replay, store)?;
        let (schedule, order) = match replay.timing {
            ReplayTiming::Rate { rate, arrival } => {
                let until = with_log(replay, timeline.arrivals.len() as u64);
                let schedule = Schedule::new(arrival, &Rate::Constant(rate), until, seed, key);
                (schedule.map_err(|error| error.to_string())?, None)
            }
            ReplayTiming::Log { speed, spread } => {
                let clock = LogClock {
                    first_ns: timeline.first_ns,
                    span_ns: timeline.span_ns(),
                    seconds: timeline.seconds.as_ref().filter(|_| spread),
                    speed,
                };
                let stamps = timeline.arrivals.iter();
                let stamps = stamps.map(|it| Stamp { ns: it.stamp_ns, rank: it.rank });
                let mut draw = Draw::new(seed, key, Purpose::Spread);
                let trace = Trace::new(stamps, &clock, &mut draw);
                let trace = trace.map_err(|error| error.to_string())?;
                (trace.schedule(replay.until, replay.cycle), trace.order)
            }
        };
        let source = replay.traffic.prompt.dataset.as_ref();
        let rows = source.and_then(|source| store.dataset(&source.config));
        if rows.is_some_and(|rows| !rows.bears_disorder(disorder(order.as_deref()))) {
            return Err(
                "the log is packed, and its stamps are too far out of order to read it as it \
                        comes; unpack it, or sort it by time"
                    .to_owned(),
            );
        }
        Ok(Self { timeline, order, schedule })
    }

    /// The turn behind an arrival.
    pub fn turn(&self, index: u64) -> Turn {
        let count = self.timeline.arrivals.len().max(1) as u64;
        let (round, place) = (index / count, index % count);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let place = match &self.order {
            Some(order) => order.get(place).map_or(usize::MAX, |place| *place as usize),
            None => place,
        };
        match self.timeline.arrivals.get(place) {
            Some(arrival) => Turn {
                row: arrival.row,
                conversation: (round, arrival.session),
                number: arrival.turn,
            },
            // The store refuses logs of which nothing is replayed.
            None => Turn { row: 0, conversation: (round, 0), number: 0 },
        }
    }

    /// Turns of each conversation that has several, by its first row.
    pub fn lengths(&self) -> std::collections::HashMap<u64, u32> {
        let later = self.timeline.arrivals.iter().filter(|arrival| arrival.turn > 0);
        let mut lengths = std::collections::HashMap::new();
        for arrival in later {
            let length = lengths.entry(arrival.session).or_insert(0);
            *length = arrival.turn.saturating_add(1).max(*length);
        }
        lengths
    }
}

/// How far behind a row that was due before it a row stands in the log, at most.
fn disorder(order: Option<&[u32]>) -> u64 {
    let (mut last, mut most) = (0, 0);
    for &row in order.unwrap_or_default() {
        last = last.max(row);
        most = most.max(last - row);
    }
    u64::from(most)
}

/// When a replay at a rate ends: with its log, unless it goes round.
fn with_log(replay: &Replay, rows: u64) -> Until {
    let until = replay.until.unwrap_or(Until::Requests(u64::MAX));
    let rows = if replay.cycle { u64::MAX } else { rows };
    let requests = until.requests().unwrap_or(u64::MAX).min(rows);
    match until.duration() {
        Some(duration) => Until::First { requests, duration },
        None => Until::Requests(requests),
    }
}

fn timeline(prompt: &Prompt, replay: &Replay, store: &Store) -> Result<Arc<Timeline>, String> {
    let source = prompt.dataset.as_ref().ok_or("the stage has no log")?;
    let known = store.timeline(&source.config, &replay.sample);
    known.ok_or_else(|| "the log was not read before the run".to_owned())
}
