//! The checked form of `thresholds:`.
//!
//! In: parsed checks. Out: comparisons whose metrics, aggregates and stages are known to exist.
//! They are also written into records and summaries, hence serde.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Location;
use crate::plan::metric::Origin;

/// One check on the numbers of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Threshold {
    /// As written.
    pub check: String,
    /// The left side.
    pub left: MetricRef,
    /// How the sides compare.
    pub op: Op,
    /// The right side.
    pub right: Limit,
    /// Whether failing it fails the run.
    pub level: Level,
    /// Fewer samples than this fail it for want of data.
    pub min_samples: u64,
    /// The rungs that it judges; all of them when absent.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub rungs: Option<RungFilter>,
    /// Judged on each stretch of this many milliseconds, the worst of which counts; on the whole
    /// stage when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_ms: Option<u64>,
    /// Since when its latencies count; when absent, since due where that makes a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// Whether a stage without any data passes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_no_data: bool,
    /// True when the stage kind brings it along (a cold stage must be cold).
    pub implicit: bool,
    /// Where it stands in the plan.
    pub location: Location,
}

impl Threshold {
    /// Its left side for figures that are made while requests end, from due unless it says
    /// otherwise: where nothing held them back, that is the same.
    pub fn left_of_requests(&self) -> MetricRef {
        let metric = self.from.unwrap_or(Origin::Due).of(&self.left.metric).to_owned();
        MetricRef { metric, ..self.left.clone() }
    }

    /// Whether it judges this rung. What has no rungs is judged by every check.
    pub fn judges(&self, rung: Option<f64>) -> bool {
        match (&self.rungs, rung) {
            (Some(filter), Some(rung)) => filter.op.holds(rung, filter.value),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }
}

/// `where: rate <= 8`: the rungs that a check judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RungFilter {
    /// As written.
    pub text: String,
    /// How a rung compares with `value`.
    pub op: Op,
    /// In the unit of the stage's rungs (requests per second, or users).
    pub value: f64,
}

/// A check on a running stage, which ends the stage when it HOLDS.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveCheck {
    /// The check; its left side is a metric of the stage itself, and what it compares with is known
    /// when the stage begins: a number, a stage measured before, or a baseline.
    pub when: Threshold,
    /// How far back it looks; to the stage's beginning when `None`.
    pub over: Option<Duration>,
    /// What its holding means.
    pub ending: Ending,
}

/// What ending a stage early means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `abort:` cuts what is in flight and fails the stage.
    Abort,
    /// `stop_when:` sends nothing more; what was measured stands.
    Stop,
}

/// A number of a stage, such as `cold.ttft.p50` or `error_rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MetricRef {
    /// Another stage's id; the threshold's own stage when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// A name of the metric catalogue.
    pub metric: String,
    /// The aggregate, for metrics that are distributions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
}

/// What is taken of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Arithmetic mean.
    Mean,
    /// Sample standard deviation.
    Std,
    /// Smallest sample.
    Min,
    /// Largest sample.
    Max,
    /// Number of samples.
    Count,
    /// A percentile, 0 to 100.
    Percentile(f64),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Op {
    /// `<`
    #[serde(rename = "<")]
    Lt,
    /// `<=`
    #[serde(rename = "<=")]
    Le,
    /// `>`
    #[serde(rename = ">")]
    Gt,
    /// `>=`
    #[serde(rename = ">=")]
    Ge,
    /// `==`
    #[serde(rename = "==")]
    Eq,
}

impl Op {
    /// Whether `left op right`.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
            Self::Eq => left.eq(&right),
        }
    }
}

/// The right side of a [`Threshold`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// A number in the metric's own unit (milliseconds for times, a share of 1 for rates).
    Value(f64),
    /// A multiple of another number.
    Times {
        /// The factor `k`.
        factor: f64,
        /// What it multiplies.
        of: MetricRef,
    },
    /// A cache verdict: `cache == cold`.
    Cache(CacheWord),
    /// What an earlier run measured, and so much more or less: `baseline + 10%`.
    Baseline {
        /// The share that is added (0.1) or taken off (-0.05).
        share: f64,
        /// What that run measured; empty until `--baseline` has been read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<BaselineValue>,
    },
}

/// One number of an earlier run, found by stage, cell and rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BaselineValue {
    /// Matrix cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// The number, in the metric's unit.
    pub value: f64,
}

/// The words of a `cache ==` check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheWord {
    /// Nothing from the cache.
    Cold,
    /// Everything that can be.
    Warm,
}

/// What failing a threshold means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The run fails.
    Fail,
    /// Reported only.
    Warn,
}
