//! The rounds of a load (`rounds: 5`): each by itself, and how far they lie apart.
//!
//! In: the lines of a stage, and the `round` lines that end its rounds. Out: [`Rounds`]. Invariants:
//! the stage's own figures are over all of its rounds; a round that was broken off has no figures of
//! its own, and its requests count all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::distribution::distribution;
use super::steady::part::SteadySummary;
use super::summary::{Counts, Distribution, Goodput, StageSummary, Throughput};
use super::tally::StageTally;
use crate::record::{
    LoadLine, NeverStartedLine, Record, RoundLine, StageEnd, StageStart, StageState, StartLine,
};

/// The rounds of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rounds {
    /// Each by itself, in order.
    pub each: Vec<RoundSummary>,
    /// How far they lie apart, by figure, such as `ttft.p50`. `requests_per_second` is of each round's
    /// `achieved_rate`: complete answers over the time of its load; `output_tokens_per_second` is over the
    /// same time, and the pauses between rounds are in neither.
    pub over: BTreeMap<String, Spread>,
}

/// The figures of one round, as those of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RoundSummary {
    /// Its number, from 0.
    pub round: u64,
    /// Its beginning, in seconds from the stage's start.
    pub start_s: f64,
    /// Its end, in seconds from the stage's start.
    pub end_s: f64,
    /// Its requests, by how they ended.
    pub counts: Counts,
    /// ok / (ok + errors); absent without either.
    pub success_rate: Option<f64>,
    /// Complete answers per second; absent without any.
    pub achieved_rate: Option<f64>,
    /// Totals over the time of its achieved rate.
    pub throughput: Throughput,
    /// Requests that kept every limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Goodput>,
    /// Distributions by metric name.
    pub metrics: BTreeMap<String, Distribution>,
    /// Its steady part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<SteadySummary>,
    /// Why it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsteady: Option<String>,
}

/// One figure over the rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Spread {
    /// Unit of every figure but `rounds`.
    pub unit: String,
    /// Rounds that have the figure.
    pub rounds: u64,
    /// Mean over them.
    pub mean: f64,
    /// Sample standard deviation (n - 1); absent with one round.
    pub std: Option<f64>,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// 95 % confidence interval of the mean, by Student's t; absent with one round.
    pub interval: Option<(f64, f64)>,
}

/// A figure of a round: its name, unit, and where it is taken from.
type Figure = (&'static str, &'static str, fn(&RoundSummary) -> Option<f64>);

const FIGURES: [Figure; 12] = [
    ("ttft.p50", "ms", |round| Some(round.metrics.get("ttft")?.p50)),
    ("ttft.p99", "ms", |round| Some(round.metrics.get("ttft")?.p99)),
    ("ttft_due.p50", "ms", |round| Some(round.metrics.get("ttft_due")?.p50)),
    ("ttft_due.p99", "ms", |round| Some(round.metrics.get("ttft_due")?.p99)),
    ("tpot.p50", "ms", |round| Some(round.metrics.get("tpot")?.p50)),
    ("e2e.p50", "ms", |round| Some(round.metrics.get("e2e")?.p50)),
    ("e2e.p99", "ms", |round| Some(round.metrics.get("e2e")?.p99)),
    ("e2e_due.p50", "ms", |round| Some(round.metrics.get("e2e_due")?.p50)),
    ("e2e_due.p99", "ms", |round| Some(round.metrics.get("e2e_due")?.p99)),
    ("requests_per_second", "requests/s", |round| round.achieved_rate),
    ("output_tokens_per_second", "tokens/s", |round| round.throughput.output_tokens_per_second),
    ("success_rate", "share", |round| round.success_rate),
];

impl Rounds {
    /// With the figures over all of `each`.
    fn new(each: Vec<RoundSummary>) -> Self {
        let over = FIGURES.iter().filter_map(|(name, unit, take)| {
            let values: Vec<f64> = each.iter().filter_map(take).collect();
            Some(((*name).to_owned(), spread(values, unit)?))
        });
        Self { over: over.collect(), each }
    }

    /// Complete answers per second: all of them over the time that they took, each round's at its own
    /// rate. The pauses between rounds are no part of any load.
    pub fn achieved_rate(&self) -> Option<f64> {
        let took = |round: &RoundSummary| match round.achieved_rate {
            Some(rate) if rate > 0.0 => round.counts.ok as f64 / rate,
            _ => round.end_s - round.start_s,
        };
        let answers: u64 = self.each.iter().map(|round| round.counts.ok).sum();
        let seconds: f64 = self.each.iter().map(took).sum();
        (answers > 0 && seconds > 0.0).then(|| answers as f64 / seconds)
    }
}

fn spread(mut values: Vec<f64>, unit: &str) -> Option<Spread> {
    values.sort_unstable_by(f64::total_cmp);
    let Distribution { count, mean, std, min, max, .. } = distribution(&values, unit)?;
    let freedom = count.saturating_sub(1) as f64;
    let student = StudentsT::new(0.0, 1.0, freedom).ok();
    let interval = std.zip(student).map(|(std, student)| {
        let half = student.inverse_cdf(0.975) * std / (count as f64).sqrt();
        (mean - half, mean + half)
    });
    Some(Spread { unit: unit.to_owned(), rounds: count, mean, std, min, max, interval })
}

/// The rounds of a stage that still runs.
#[derive(Debug, Clone)]
pub struct RoundTally {
    began_ns: u64,
    /// What each round begins with.
    start: StageStart,
    current: Box<StageTally>,
    done: Vec<RoundSummary>,
}

impl RoundTally {
    /// For a stage that has just begun; `None` when it has one round only.
    pub fn new(start: &StageStart) -> Option<Self> {
        let load = start.load.as_ref().filter(|load| load.rounds.is_some_and(|it| it > 1))?;
        let load = LoadLine { rounds: None, window_ms: None, ..LoadLine::clone(load) };
        let thresholds = start.thresholds.iter().filter(|check| check.over_ms.is_none());
        let start = StageStart {
            thresholds: thresholds.cloned().collect(),
            load: Some(Box::new(load)),
            ..start.clone()
        };
        let current = Box::new(StageTally::new(start.clone()));
        Some(Self { began_ns: start.at_ns, start, current, done: Vec::new() })
    }

    /// A request is about to be sent.
    pub fn started(&mut self, line: &StartLine) {
        self.current.started(line);
    }

    /// A request ended.
    pub fn ended(&mut self, record: &Record) {
        self.current.ended(record);
    }

    /// Requests were planned and never made.
    pub fn never_started(&mut self, line: &NeverStartedLine) {
        self.current.never_started(line);
    }

    /// A round is over.
    pub fn over(&mut self, line: &RoundLine) {
        let fresh = Box::new(StageTally::new(self.start.clone()));
        let tally = std::mem::replace(&mut self.current, fresh);
        let end = StageEnd {
            stage: line.stage.clone(),
            cell: line.cell.clone(),
            rung: None,
            state: StageState::Completed,
            reason: None,
            planned: Some(line.planned),
            aborted: false,
            cpu_ns: None,
            wake_lag: None,
            at_ns: line.at_ns,
        };
        // What does not add up is said of the stage as a whole.
        let (measured, _faults) = tally.from(line.from_ns).close(Some(&end));
        let seconds = |at_ns: u64| at_ns.saturating_sub(self.began_ns) as f64 / 1e9;
        let StageSummary {
            counts,
            success_rate,
            throughput,
            goodput,
            metrics,
            steady,
            unsteady,
            load,
            ..
        } = measured.summary;
        self.done.push(RoundSummary {
            round: line.round,
            start_s: seconds(line.from_ns),
            end_s: seconds(line.at_ns),
            counts,
            success_rate,
            achieved_rate: load.and_then(|load| load.achieved_rate),
            throughput,
            goodput,
            metrics,
            steady,
            unsteady,
        });
    }

    /// All that came to their end.
    pub fn finish(self) -> Rounds {
        Rounds::new(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{ms, record, stage_end, stage_start};

    fn line(round: u64, from: u64, at: u64) -> RoundLine {
        RoundLine {
            stage: "cold".into(),
            cell: None,
            round,
            planned: 10,
            from_ns: ms(from),
            at_ns: ms(at),
        }
    }

    /// Two rounds of ten requests, of 200 ms and of 300 ms, a minute apart, and three of a third.
    fn two_rounds() -> StageSummary {
        let load = LoadLine { rounds: Some(3), ..LoadLine::default() };
        let start = StageStart { load: Some(Box::new(load)), expects: None, ..stage_start(30) };
        let mut tally = StageTally::new(start);
        for index in 0..23_u64 {
            let round = index / 10;
            let sent = ms(100 + round * 60_000 + index % 10 * 100);
            let end = Some(sent + ms(200 + 100 * round));
            let times = (Some(sent), Some(sent));
            let (due_ns, sent_ns) = times;
            let record = Record { index, due_ns, sent_ns, last_token_ns: end, ..record() };
            tally.ended(&Record { end_ns: end, ..record });
            if index == 9 {
                tally.round_over(&line(0, 100, 1_200));
            } else if index == 19 {
                tally.round_over(&line(1, 60_100, 61_300));
            }
        }
        for index in 23..30 {
            let outcome = crate::record::OutcomeKind::NeverStarted;
            let (due_ns, sent_ns) = (None, None);
            tally.ended(&Record { index, outcome, due_ns, sent_ns, end_ns: None, ..record() });
        }
        tally.close(Some(&stage_end(StageState::Interrupted))).0.summary
    }

    #[test]
    fn each_round_has_figures_and_the_stage_has_those_of_all() {
        let stage = two_rounds();
        let rounds = stage.rounds.expect("rounds");
        assert_eq!(stage.counts.ok, 23, "a round that was broken off counts in the whole");
        let e2e: Vec<f64> = rounds.each.iter().map(|round| round.metrics["e2e"].p50).collect();
        assert_eq!((e2e.as_slice(), rounds.each[1].counts.ok), (&[200.0, 300.0][..], 10));
        assert!((rounds.each[1].start_s - 60.0).abs() < 1e-9, "{:?}", rounds.each[1]);
        let rate = stage.load.and_then(|load| load.achieved_rate).expect("a rate");
        // Ten a second in both; the minute between them is no load.
        assert!((rate - 10.0).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn the_spread_over_rounds_has_an_interval() {
        let rounds = two_rounds().rounds.expect("rounds");
        let e2e = &rounds.over["e2e.p50"];
        assert_eq!((e2e.mean, e2e.min, e2e.max, e2e.rounds), (250.0, 200.0, 300.0, 2));
        let (low, high) = e2e.interval.expect("an interval");
        // t(0.975, 1) = 12.706; the deviation of two values is 100 / sqrt 2.
        assert!(
            (low - (250.0 - 635.31)).abs() < 0.1 && (high - 885.31).abs() < 0.1,
            "{low} {high}"
        );
        assert_eq!(spread(vec![3.0], "ms").expect("one").interval, None);
        assert_eq!(spread(Vec::new(), "ms"), None);
    }
}
