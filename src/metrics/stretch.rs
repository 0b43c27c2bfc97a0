//! One metric over a part of a stage: `over: 30s`.
//!
//! In: records as they end. Out: the metric's figure over the samples that are held, and the worst
//! that any stretch of a given length came to. Invariant: a sample belongs to the moment when its
//! request ended; shares such as `error_rate` count what was answered, one way or the other.

use std::collections::VecDeque;

use super::catalogue::{self, Source};
use super::distribution;
use crate::plan::{Aggregate, MetricRef, Op, Threshold};
use crate::record::{OutcomeKind, Record};

/// Stretches begin every so many parts of their length.
const PARTS: u64 = 10;

/// A metric's samples, each with the moment when its request ended.
#[derive(Debug, Clone)]
pub struct Stretch {
    metric: MetricRef,
    samples: VecDeque<(u64, f64)>,
}

/// The stretch of a stage that comes closest to breaking a check, or breaks it most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    /// The figure.
    pub value: f64,
    /// Samples behind it.
    pub samples: u64,
    /// Its beginning, in nanoseconds of the run's clock.
    pub from_ns: u64,
}

impl Stretch {
    /// Nothing yet, for this check.
    pub fn new(check: &Threshold) -> Self {
        Self { metric: check.left_of_requests(), samples: VecDeque::new() }
    }

    /// The metric whose samples it holds.
    pub fn metric(&self) -> &MetricRef {
        &self.metric
    }

    /// How many samples are held.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Takes a record that ended at `at`; returns how many samples it gave.
    pub fn take(&mut self, record: &Record, at: u64) -> usize {
        let before = self.samples.len();
        match catalogue::source(&self.metric.metric) {
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
                    | OutcomeKind::NeverStarted => return 0,
                    _ => false,
                };
                let counts = is_ok == (self.metric.metric == "success_rate");
                self.samples.push_back((at, f64::from(u8::from(counts))));
            }
        }
        self.samples.len() - before
    }

    /// Drops what ended before `at`.
    pub fn forget_before(&mut self, at: u64) {
        while self.samples.front().is_some_and(|(then, _)| *then < at) {
            self.samples.pop_front();
        }
    }

    /// The figure over everything held.
    pub fn figure(&self) -> Option<f64> {
        let samples = self.samples.iter().map(|(_, sample)| *sample).collect();
        figure(samples, self.metric.aggregate)
    }

    /// The worst that a check meets on any stretch of `over_ns` between `from` and `to`; stretches
    /// with fewer samples than the check asks for don't count, and a stage that is no longer than
    /// one stretch is one.
    pub fn worst(&self, check: &Threshold, over_ns: u64, (from, to): (u64, u64)) -> Option<Worst> {
        let mut samples: Vec<(u64, f64)> = self.samples.iter().copied().collect();
        // Requests end out of order only by as much as their lines do.
        samples.sort_by_key(|(at, _)| *at);
        let over_ns = over_ns.max(PARTS);
        let last = to.saturating_sub(over_ns).max(from);
        let mut worst: Option<Worst> = None;
        let (mut first, mut end_at) = (0, 0);
        let mut begin = from;
        loop {
            let end = begin.saturating_add(over_ns);
            first += samples[first..].iter().take_while(|(at, _)| *at < begin).count();
            end_at = end_at.max(first);
            end_at += samples[end_at..].iter().take_while(|(at, _)| *at <= end).count();
            let held = &samples[first..end_at];
            if held.len() as u64 >= check.min_samples.max(1) {
                let values = held.iter().map(|(_, sample)| *sample).collect();
                if let Some(value) = figure(values, self.metric.aggregate)
                    && worst.is_none_or(|worst| is_worse(check.op, value, worst.value))
                {
                    worst = Some(Worst { value, samples: held.len() as u64, from_ns: begin });
                }
            }
            if begin >= last {
                return worst;
            }
            // Where nothing ended, the next stretch that holds anything is far.
            let step = over_ns / PARTS;
            let next = samples.get(first).map_or(last, |(at, _)| at.saturating_sub(over_ns));
            let skipped = next.saturating_sub(begin) / step;
            begin = begin.saturating_add(step * skipped.max(1)).min(last);
        }
    }
}

fn figure(mut samples: Vec<f64>, aggregate: Option<Aggregate>) -> Option<f64> {
    match aggregate {
        Some(aggregate) => {
            samples.sort_unstable_by(f64::total_cmp);
            distribution::aggregate(&samples, aggregate)
        }
        None if samples.is_empty() => None,
        None => Some(samples.iter().sum::<f64>() / samples.len() as f64),
    }
}

/// Whether `value` is further on the wrong side of any limit.
fn is_worse(op: Op, value: f64, than: f64) -> bool {
    match op {
        Op::Lt | Op::Le => value > than,
        Op::Gt | Op::Ge => value < than,
        Op::Eq => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{self, ms};
    use crate::plan::{Level, Limit, Location};

    fn check(op: Op, min_samples: u64) -> Threshold {
        Threshold {
            check: "error_rate".into(),
            left: MetricRef { stage: None, metric: "error_rate".into(), aggregate: None },
            op,
            right: Limit::Value(0.1),
            level: Level::Fail,
            min_samples,
            rungs: None,
            over_ms: Some(1_000),
            from: None,
            allow_no_data: false,
            implicit: false,
            location: Location::default(),
        }
    }

    /// Ten requests a second for `seconds`; those of one second fail.
    fn stretch(seconds: u64, bad: u64) -> Stretch {
        let mut stretch = Stretch::new(&check(Op::Lt, 1));
        for number in 0..seconds * 10 {
            let at = ms(number * 100);
            let is_bad = number / 10 == bad;
            let outcome = if is_bad { OutcomeKind::Http } else { OutcomeKind::Ok };
            let record = crate::record::Record { outcome, ..fixture::record() };
            assert_eq!(stretch.take(&record, at), 1);
        }
        stretch
    }

    #[test]
    fn the_worst_second_is_found_wherever_it_lies() {
        for bad in [0, 3, 9] {
            let stretch = stretch(10, bad);
            assert!(stretch.figure().expect("samples") < 0.11, "the whole looks fine");
            let span = (0, ms(10_000));
            let worst = stretch.worst(&check(Op::Lt, 1), ms(1_000), span).expect("a stretch");
            assert!(worst.value > 0.9, "{worst:?}");
            let begin = ms(bad * 1_000).saturating_sub(ms(100));
            assert!((begin..=ms(bad * 1_000)).contains(&worst.from_ns), "{worst:?}");
        }
        let best = stretch(10, 3).worst(&check(Op::Gt, 1), ms(1_000), (0, ms(10_000)));
        assert!(best.expect("a stretch").value < 0.01, "for `>` the smallest is the worst");
    }

    #[test]
    fn a_short_stage_is_one_stretch_and_too_few_samples_are_none() {
        let span = (0, ms(10_000));
        let whole = stretch(10, 3).worst(&check(Op::Lt, 1), ms(60_000), span).expect("one");
        assert_eq!((whole.samples, whole.from_ns), (100, 0));
        assert_eq!(stretch(10, 3).worst(&check(Op::Lt, 20), ms(1_000), span), None);
        assert_eq!(Stretch::new(&check(Op::Lt, 1)).worst(&check(Op::Lt, 1), 5, span), None);
    }

    #[test]
    fn a_long_silence_costs_nothing() {
        let mut stretch = stretch(1, 9);
        let late = crate::record::Record { outcome: OutcomeKind::Http, ..fixture::record() };
        stretch.take(&late, ms(1_000_000_000));
        let span = (0, ms(1_000_000_001));
        let worst = stretch.worst(&check(Op::Lt, 1), ms(1), span).expect("a stretch");
        assert!(worst.value > 0.9 && worst.from_ns > ms(999_999_000), "{worst:?}");
    }
}
