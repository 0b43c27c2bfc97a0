//! The figures of a run while it goes on: counters and bucketed times of each stage.
//!
//! In: the lines of the record log as they pass, then the summary. Out: a [`Pulse`] that monitoring
//! reads (the sinks `prometheus` and `otlp`). Invariants: counters only rise; times come from the same
//! extractors as every other figure; nothing here is evidence, which stays in the records.

use std::collections::BTreeMap;

use super::catalogue::{self, Source};
use super::summary::Summary;
use crate::record::{Line, OutcomeKind, Record, RunLine, StageStart, StageState};

/// Upper bounds of the buckets of times, in seconds; one more bucket holds what is longer.
pub const BOUNDS_S: [f64; 18] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0,
    60.0, 120.0, 300.0,
];

/// The times that are kept, by their names in the catalogue.
pub const TIMES: [&str; 5] = ["ttft", "e2e", "tpot", "itl", "schedule_lag"];

/// The counters of tokens, by their names in the catalogue.
pub const TOKENS: [&str; 3] = ["input_tokens", "output_tokens", "cached_tokens"];

/// The run so far.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// Which run it is.
    pub run: Option<RunLine>,
    /// Its stages, cells and rungs in the order in which they began.
    pub stages: Vec<StagePulse>,
    /// Its verdict, once it is over.
    pub summary: Option<Summary>,
}

/// A stage so far.
#[derive(Debug, Clone)]
pub struct StagePulse {
    /// What it set out to do.
    pub start: StageStart,
    /// Requests that were sent and have not ended.
    pub in_flight: u64,
    /// Requests that ended, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Failed requests by class.
    pub errors: BTreeMap<String, u64>,
    /// One of each of [`TIMES`].
    pub times: [Buckets; TIMES.len()],
    /// One of each of [`TOKENS`].
    pub tokens: [u64; TOKENS.len()],
    /// How it ended.
    pub state: Option<StageState>,
}

/// Times by length.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    /// How many fell into each bucket; the last is for what is longer than every bound.
    pub counts: [u64; BOUNDS_S.len() + 1],
    /// Their sum in seconds.
    pub sum_s: f64,
}

impl Buckets {
    fn take(&mut self, ms: f64) {
        let seconds = ms.max(0.0) / 1000.0;
        let bucket = BOUNDS_S.iter().position(|bound| seconds <= *bound);
        self.counts[bucket.unwrap_or(BOUNDS_S.len())] += 1;
        self.sum_s += seconds;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Pulse {
    /// Takes notice of one line of the log.
    pub fn line(&mut self, line: &Line) {
        match line {
            Line::Run(run) => self.run = Some(run.clone()),
            Line::StageStart(start) => self.stages.push(StagePulse::new(start.clone())),
            Line::Start(start) => {
                if let Some(stage) = self.open(&start.stage, start.cell.as_deref(), start.rung) {
                    stage.in_flight += 1;
                }
            }
            Line::End(record) => {
                if let Some(stage) = self.open(&record.stage, record.cell.as_deref(), record.rung) {
                    stage.ended(record);
                }
            }
            Line::NeverStarted(line) => {
                if let Some(stage) = self.open(&line.stage, line.cell.as_deref(), line.rung) {
                    let word = word(OutcomeKind::NeverStarted);
                    *stage.outcomes.entry(word).or_default() += line.count;
                }
            }
            Line::StageEnd(end) => {
                if let Some(stage) = self.open(&end.stage, end.cell.as_deref(), end.rung) {
                    stage.state = Some(end.state);
                    stage.in_flight = 0;
                }
            }
            Line::Flush(_) | Line::Round(_) | Line::Server(_) => {}
        }
    }

    /// From the back: the stage that runs now is the one that began last.
    fn open(
        &mut self,
        stage: &str,
        cell: Option<&str>,
        rung: Option<f64>,
    ) -> Option<&mut StagePulse> {
        self.stages.iter_mut().rev().find(|of| {
            of.state.is_none()
                && of.start.stage == stage
                && of.start.cell.as_deref() == cell
                && of.start.rung == rung
        })
    }
}

impl StagePulse {
    fn new(start: StageStart) -> Self {
        Self {
            start,
            in_flight: 0,
            outcomes: BTreeMap::new(),
            errors: BTreeMap::new(),
            times: Default::default(),
            tokens: [0; TOKENS.len()],
            state: None,
        }
    }

    fn ended(&mut self, record: &Record) {
        if record.sent_ns.is_some() {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        *self.outcomes.entry(word(record.outcome)).or_default() += 1;
        if let Some(error) = &record.error {
            *self.errors.entry(error.class.clone()).or_default() += 1;
        }
        for (buckets, metric) in self.times.iter_mut().zip(TIMES) {
            match catalogue::source(metric) {
                Some(Source::Request(take)) => {
                    if let Some(ms) = take(record) {
                        buckets.take(ms);
                    }
                }
                Some(Source::Pooled(take)) => {
                    let mut list = Vec::new();
                    take(record, &mut list);
                    for ms in list {
                        buckets.take(ms);
                    }
                }
                Some(Source::Stage(_) | Source::Verdict) | None => {}
            }
        }
        for (sum, metric) in self.tokens.iter_mut().zip(TOKENS) {
            if let Some(Source::Request(take)) = catalogue::source(metric) {
                *sum += take(record).map_or(0, whole);
            }
        }
    }

    /// How many requests have ended, in whatever way.
    pub fn ended_requests(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of tokens, made a float by the catalogue"
)]
fn whole(tokens: f64) -> u64 {
    tokens.max(0.0) as u64
}

/// The outcome as the record says it.
fn word(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Ok => "ok",
        OutcomeKind::Http => "http",
        OutcomeKind::Timeout => "timeout",
        OutcomeKind::Connect => "connect",
        OutcomeKind::Stream => "stream",
        OutcomeKind::Protocol => "protocol",
        OutcomeKind::Unmade => "unmade",
        OutcomeKind::Cancelled => "cancelled",
        OutcomeKind::DroppedLate => "dropped_late",
        OutcomeKind::NeverStarted => "never_started",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bucket_that_holds_it() {
        let mut buckets = Buckets::default();
        for ms in [1.0, 1.1, 400_000.0, -3.0] {
            buckets.take(ms);
        }
        assert_eq!(buckets.counts[..2], [2, 1]);
        assert_eq!(buckets.counts[BOUNDS_S.len()], 1);
        assert_eq!(buckets.count(), 4);
        assert!((buckets.sum_s - 400.0021).abs() < 1e-9);
    }
}
