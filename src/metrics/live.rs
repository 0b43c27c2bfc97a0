//! Records of a running stage → whether one of its `abort:` or `stop_when:` checks holds.
//!
//! In: a [`LiveCheck`] and records as they end. Out: the sentence that says why the stage ends.
//! Invariant: the answer depends on the records and their order alone, not on when it is asked; a
//! check is reckoned anew only when a twentieth of its samples is new, so that the cost per record
//! stays small however long the stage runs.

use std::collections::VecDeque;

use super::catalogue::{self, Source};
use super::distribution;
use super::gate;
use super::quantity::{plural, show, show_apart};
use crate::plan::{Limit, LiveCheck, metric};
use crate::record::{OutcomeKind, Record};

/// One check and the samples that it looks at.
#[derive(Debug, Clone)]
pub struct LiveTally {
    check: LiveCheck,
    over_ns: Option<u64>,
    /// When each sample's request ended, and the sample.
    samples: VecDeque<(u64, f64)>,
    /// Samples since the check was last reckoned.
    fresh: usize,
}

impl LiveTally {
    /// A check at its stage's beginning.
    pub fn new(check: &LiveCheck) -> Self {
        let over_ns = check.over.map(|over| u64::try_from(over.as_nanos()).unwrap_or(u64::MAX));
        Self { check: check.clone(), over_ns, samples: VecDeque::new(), fresh: 0 }
    }

    /// Takes a record; says why the stage must end when the check now holds.
    pub fn take(&mut self, record: &Record) -> Option<String> {
        let at = record.end_ns.or(record.due_ns)?;
        let before = self.samples.len();
        self.sample(record, at);
        self.fresh += self.samples.len() - before;
        if let Some(over) = self.over_ns {
            while self.samples.front().is_some_and(|(then, _)| then.saturating_add(over) < at) {
                self.samples.pop_front();
            }
        }
        let have = self.samples.len();
        let enough = have as u64 >= self.check.when.min_samples.max(1);
        if !enough || self.fresh < (have / 20).max(1) {
            return None;
        }
        self.fresh = 0;
        self.reckon()
    }

    fn sample(&mut self, record: &Record, at: u64) {
        let metric = self.check.when.left.metric.as_str();
        match catalogue::source(metric) {
            Some(Source::Request(take)) => {
                self.samples.extend(take(record).map(|sample| (at, sample)));
            }
            Some(Source::Pooled(take)) => {
                let mut list = Vec::new();
                take(record, &mut list);
                self.samples.extend(list.into_iter().map(|sample| (at, sample)));
            }
            Some(Source::Stage(_) | Source::Verdict) | None => {
                let is_ok = match record.outcome {
                    OutcomeKind::Ok => true,
                    OutcomeKind::Cancelled
                    | OutcomeKind::DroppedLate
                    | OutcomeKind::NeverStarted => return,
                    _ => false,
                };
                let counts = is_ok == (metric == "success_rate");
                self.samples.push_back((at, f64::from(u8::from(counts))));
            }
        }
    }

    fn reckon(&self) -> Option<String> {
        let when = &self.check.when;
        let Limit::Value(limit) = when.right else { return None };
        let mut samples: Vec<f64> = self.samples.iter().map(|(_, sample)| *sample).collect();
        samples.sort_unstable_by(f64::total_cmp);
        let value = match when.left.aggregate {
            Some(aggregate) => distribution::aggregate(&samples, aggregate)?,
            None => samples.iter().sum::<f64>() / samples.len() as f64,
        };
        if !when.op.holds(value, limit) {
            return None;
        }
        let unit = metric::find(&when.left.metric).map_or("", |metric| metric.unit);
        let (actual, limit) = show_apart(value, limit, unit);
        let over = self.over_ns.map_or_else(String::new, |over| {
            format!(" in the last {}", show(over as f64 / 1e6, "ms"))
        });
        Some(format!(
            "`{}` holds: {} is {actual} (limit {limit}; {}{over})",
            when.check,
            gate::name(&when.left),
            plural(samples.len() as u64, "sample"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::tally::fixture;
    use crate::plan::{Ending, Level, Location, MetricRef, Op, Threshold};

    fn check(limit: f64, over: Option<Duration>, min_samples: u64) -> LiveTally {
        LiveTally::new(&LiveCheck {
            when: Threshold {
                check: "error_rate > 20%".into(),
                left: MetricRef { stage: None, metric: "error_rate".into(), aggregate: None },
                op: Op::Gt,
                right: Limit::Value(limit),
                level: Level::Fail,
                min_samples,
                rungs: None,
                allow_no_data: false,
                implicit: false,
                location: Location::default(),
            },
            over,
            ending: Ending::Abort,
        })
    }

    fn record(at_ms: u64, outcome: OutcomeKind) -> Record {
        Record { end_ns: Some(fixture::ms(at_ms)), outcome, ..fixture::record() }
    }

    #[test]
    fn it_holds_back_until_there_are_enough_samples() {
        let mut tally = check(0.2, None, 3);
        assert_eq!(tally.take(&record(1, OutcomeKind::Http)), None);
        assert_eq!(tally.take(&record(2, OutcomeKind::Http)), None);
        let why = tally.take(&record(3, OutcomeKind::Ok)).expect("it holds now");
        assert!(why.contains("error_rate is 66.7 %") && why.contains("3 samples"), "{why}");
    }

    #[test]
    fn a_window_forgets_what_is_older() {
        let mut tally = check(0.2, Some(Duration::from_millis(100)), 4);
        for at in 0..3 {
            assert_eq!(tally.take(&record(at, OutcomeKind::Http)), None);
        }
        // Three errors of 300 ms ago no longer count.
        for at in 300..310 {
            assert_eq!(tally.take(&record(at, OutcomeKind::Ok)), None);
        }
    }

    #[test]
    fn what_was_never_answered_is_no_sample() {
        let mut tally = check(0.2, None, 1);
        assert_eq!(tally.take(&record(1, OutcomeKind::NeverStarted)), None);
        assert_eq!(tally.take(&record(2, OutcomeKind::Cancelled)), None);
        assert!(tally.take(&record(3, OutcomeKind::Timeout)).is_some());
    }
}
