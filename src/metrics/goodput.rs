//! Which requests kept every limit.
//!
//! In: a stage's thresholds, its complete answers. Out: [`Goodput`]. Invariant: only thresholds that
//! mean (nearly) every request count: `ttft.p95 < 800ms` is a limit on a request, a limit on a mean or
//! a median is none.

use super::catalogue::{self, Source};
use super::summary::Goodput;
use crate::plan::metric;
use crate::plan::{Aggregate, Limit, Op, Threshold};
use crate::record::Record;

/// The percentile from which on a threshold means nearly every request.
const NEARLY_ALL: f64 = 90.0;

/// A limit on one figure of a request.
#[derive(Debug, Clone, Copy)]
struct OneLimit {
    metric: &'static str,
    take: fn(&Record) -> Option<f64>,
    op: Op,
    limit: f64,
}

/// The limits on single requests, and how many kept them.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    limits: Vec<OneLimit>,
    kept: u64,
}

impl Limits {
    /// Those among a stage's thresholds.
    pub(super) fn of(thresholds: &[Threshold]) -> Self {
        let limits = thresholds.iter().filter_map(|threshold| {
            let left = threshold.left_of_requests();
            let metric = metric::find(&left.metric)?.name;
            let of_each = match threshold.left.aggregate? {
                Aggregate::Percentile(percent) => percent >= NEARLY_ALL,
                Aggregate::Max => true,
                _ => false,
            };
            let upper = matches!(threshold.op, Op::Lt | Op::Le);
            let own = threshold.left.stage.is_none();
            match (catalogue::source(metric)?, &threshold.right) {
                (Source::Request(take), Limit::Value(limit)) if of_each && upper && own => {
                    Some(OneLimit { metric, take, op: threshold.op, limit: *limit })
                }
                _ => None,
            }
        });
        Self { limits: limits.collect(), kept: 0 }
    }

    /// The metrics that have a limit.
    pub(super) fn metrics(&self) -> impl Iterator<Item = &'static str> {
        self.limits.iter().map(|limit| limit.metric)
    }

    /// Takes a complete answer.
    pub(super) fn count(&mut self, record: &Record) {
        let keeps = |limit: &OneLimit| {
            (limit.take)(record).is_none_or(|value| limit.op.holds(value, limit.limit))
        };
        self.kept += u64::from(self.limits.iter().all(keeps));
    }

    /// The sum, given how many were planned and how many were answered per second; `None` without
    /// limits.
    pub(super) fn goodput(&self, planned: u64, ok: u64, answered: Option<f64>) -> Option<Goodput> {
        (!self.limits.is_empty()).then(|| Goodput {
            requests: self.kept,
            per_second: answered.filter(|_| ok > 0).map(|rate| rate * self.kept as f64 / ok as f64),
            share: (planned > 0).then(|| self.kept as f64 / planned as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::record;
    use crate::plan::{Level, Location, MetricRef};
    use crate::record::{OutcomeKind, TokenCounts};

    fn threshold(metric: &str, aggregate: Aggregate, op: Op, limit: f64) -> Threshold {
        Threshold {
            check: String::new(),
            left: MetricRef { stage: None, metric: metric.into(), aggregate: Some(aggregate) },
            op,
            right: Limit::Value(limit),
            level: Level::Fail,
            min_samples: 1,
            rungs: None,
            over_ms: None,
            from: None,
            allow_no_data: false,
            implicit: false,
            location: Location::default(),
        }
    }

    #[test]
    fn a_request_counts_when_it_keeps_every_limit() {
        // The fixture's TTFT is 200 ms, its TPOT 16.7 ms.
        let of = |limits: &[Threshold]| {
            let mut limits = Limits::of(limits);
            limits.count(&record());
            limits.goodput(4, 1, Some(0.5))
        };
        let p95 = Aggregate::Percentile(95.0);
        let both = of(&[
            threshold("ttft", p95, Op::Lt, 250.0),
            threshold("tpot", Aggregate::Max, Op::Le, 17.0),
        ]);
        assert_eq!(both, Some(Goodput { requests: 1, per_second: Some(0.5), share: Some(0.25) }));
        let one =
            of(&[threshold("ttft", p95, Op::Lt, 250.0), threshold("tpot", p95, Op::Le, 16.0)]);
        assert_eq!(one.map(|it| it.requests), Some(0));
    }

    #[test]
    fn limits_on_means_and_lower_bounds_are_none() {
        let none = [
            threshold("ttft", Aggregate::Mean, Op::Lt, 1.0),
            threshold("ttft", Aggregate::Percentile(50.0), Op::Lt, 1.0),
            threshold("ttft", Aggregate::Percentile(99.0), Op::Gt, 1.0),
            threshold("itl", Aggregate::Percentile(99.0), Op::Lt, 1.0),
        ];
        assert_eq!(Limits::of(&none).goodput(1, 1, Some(1.0)), None);
    }

    #[test]
    fn a_figure_that_is_not_there_breaks_no_limit() {
        let mut limits = Limits::of(&[threshold("tpot", Aggregate::Max, Op::Lt, 1e-3)]);
        limits.count(&Record {
            output_tokens: TokenCounts::default(),
            outcome: OutcomeKind::Ok,
            ..record()
        });
        assert_eq!(limits.goodput(1, 1, Some(1.0)).map(|it| it.requests), Some(1));
    }
}
