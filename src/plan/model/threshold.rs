//! The checked form of `thresholds:`.
//!
//! In: parsed checks. Out: comparisons whose metrics, aggregates and stages are known to exist.
//! They are also written into records and summaries, hence serde.

use serde::{Deserialize, Serialize};

use super::Location;

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
    /// True when the stage kind brings it along (a cold stage must be cold).
    pub implicit: bool,
    /// Where it stands in the plan.
    pub location: Location,
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
