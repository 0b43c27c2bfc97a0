//! Records of a running stage → whether one of its `abort:` or `stop_when:` checks holds.
//!
//! In: a [`LiveCheck`] with the limit that it comes to, and records as they end. Out: the sentence
//! that says why the stage ends. Invariant: the answer depends on the records and their order alone,
//! not on when it is asked; a check is reckoned anew only when a twentieth of its samples is new, so
//! that the cost per record stays small however long the stage runs.

use super::baseline;
use super::gate;
use super::quantity::{plural, show, show_apart};
use super::stretch::Stretch;
use super::summary::StageSummary;
use crate::plan::{Ending, Limit, LiveCheck, metric};
use crate::record::{Record, StageStart};

/// What a live check compares with, and how it came about when it was not simply written.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveLimit {
    value: f64,
    words: Option<String>,
}

impl LiveLimit {
    /// A limit as written.
    pub fn plain(value: f64) -> Self {
        Self { value, words: None }
    }
}

/// The stages measured so far that live checks compare with.
#[derive(Debug, Clone, Default)]
pub struct Known {
    wanted: Vec<String>,
    stages: Vec<StageSummary>,
}

impl Known {
    /// Keeps what these checks ask for, and nothing else.
    pub fn for_checks<'c>(checks: impl Iterator<Item = &'c LiveCheck>) -> Self {
        let wanted = checks.filter_map(|check| match &check.when.right {
            Limit::Times { of, .. } => of.stage.clone(),
            Limit::Value(_) | Limit::Cache(_) | Limit::Baseline { .. } => None,
        });
        Self { wanted: wanted.collect(), stages: Vec::new() }
    }

    /// A stage is over.
    pub fn measured(&mut self, stage: &StageSummary) {
        if self.wanted.contains(&stage.id) {
            self.stages.push(stage.clone());
        }
    }

    /// What a check of the stage that now begins compares with, or why it can't.
    pub fn limit(&self, check: &LiveCheck, start: &StageStart) -> Result<LiveLimit, String> {
        let unit = metric::find(&check.when.left.metric).map_or("", |metric| metric.unit);
        match &check.when.right {
            Limit::Value(value) => Ok(LiveLimit::plain(*value)),
            Limit::Cache(_) => Err("a verdict is known at the end only".to_owned()),
            Limit::Times { factor, of } => {
                let of_cell: Vec<&StageSummary> = self
                    .stages
                    .iter()
                    .filter(|it| Some(&it.id) == of.stage.as_ref() && it.cell == start.cell)
                    .collect();
                let same_rung = of_cell.iter().find(|it| it.rung == start.rung);
                let stage = match of_cell.as_slice() {
                    [only] => Some(only),
                    _ => same_rung,
                };
                let base = stage.and_then(|stage| baseline::number(of, check.when.from, stage));
                let name = gate::name(of);
                let base = base.ok_or_else(|| format!("{name} is not known"))?;
                let words = format!("{factor} × {name} ({})", show(base, unit));
                Ok(LiveLimit { value: factor * base, words: Some(words) })
            }
            Limit::Baseline { share, values } => {
                let found = values.iter().find(|it| it.cell == start.cell && it.rung == start.rung);
                let base = found.ok_or("the baseline has no such cell or rung")?.value;
                let words = gate::baseline_words(*share, base, unit);
                Ok(LiveLimit { value: base * (1.0 + share), words: Some(words) })
            }
        }
    }
}

/// One check and the samples that it looks at.
#[derive(Debug, Clone)]
pub struct LiveTally {
    check: LiveCheck,
    limit: LiveLimit,
    over_ns: Option<u64>,
    stretch: Stretch,
    /// Samples since the check was last reckoned.
    fresh: usize,
}

impl LiveTally {
    /// A check at its stage's beginning.
    pub fn new(check: &LiveCheck, limit: LiveLimit) -> Self {
        let over_ns = check.over.map(|over| u64::try_from(over.as_nanos()).unwrap_or(u64::MAX));
        let stretch = Stretch::new(&check.when);
        Self { check: check.clone(), limit, over_ns, stretch, fresh: 0 }
    }

    /// What its holding means.
    pub fn ending(&self) -> Ending {
        self.check.ending
    }

    /// Takes a record; says why the stage must end when the check now holds.
    pub fn take(&mut self, record: &Record) -> Option<String> {
        let at = record.end_ns.or(record.due_ns)?;
        self.fresh += self.stretch.take(record, at);
        if let Some(over) = self.over_ns {
            self.stretch.forget_before(at.saturating_sub(over));
        }
        let have = self.stretch.len();
        let enough = have as u64 >= self.check.when.min_samples.max(1);
        if !enough || self.fresh < (have / 20).max(1) {
            return None;
        }
        self.fresh = 0;
        self.reckon()
    }

    fn reckon(&self) -> Option<String> {
        let when = &self.check.when;
        let value = self.stretch.figure()?;
        if !when.op.holds(value, self.limit.value) {
            return None;
        }
        let unit = gate::unit_of(&when.left);
        let (actual, mut limit) = show_apart(value, self.limit.value, unit);
        if let Some(words) = &self.limit.words {
            limit = format!("{limit} = {words}");
        }
        let over = self.over_ns.map_or_else(String::new, |over| {
            format!(" in the last {}", show(over as f64 / 1e6, "ms"))
        });
        Some(format!(
            "`{}` holds: {} is {actual} (limit {limit}; {}{over})",
            when.check,
            gate::name(self.stretch.metric()),
            plural(self.stretch.len() as u64, "sample"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::tally::fixture;
    use crate::plan::{Level, Location, MetricRef, Op, Threshold};
    use crate::record::OutcomeKind;

    fn check(limit: f64, over: Option<Duration>, min_samples: u64) -> LiveTally {
        let check = LiveCheck {
            when: Threshold {
                check: "error_rate > 20%".into(),
                left: MetricRef { stage: None, metric: "error_rate".into(), aggregate: None },
                op: Op::Gt,
                right: Limit::Value(limit),
                level: Level::Fail,
                min_samples,
                rungs: None,
                over_ms: None,
                from: None,
                allow_no_data: false,
                implicit: false,
                location: Location::default(),
            },
            over,
            ending: Ending::Abort,
        };
        LiveTally::new(&check, LiveLimit::plain(limit))
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
