//! What `summary.json` holds: one [`StageSummary`] per stage, cell and rung.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::Level;
use crate::record::{CacheState, FlushLine, StageState};

/// Version of `summary.json`.
pub const SUMMARY_VERSION: u32 = 1;

/// The whole of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// [`SUMMARY_VERSION`].
    pub schema_version: u32,
    /// The run as a whole.
    pub run: RunSummary,
    /// One entry per stage, cell and rung, in the order in which they ran.
    pub stages: Vec<StageSummary>,
    /// The end result.
    pub verdict: Verdict,
}

/// The run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunSummary {
    /// The run's id.
    pub id: String,
    /// The plan's name.
    pub plan: String,
    /// `finished`, `aborted` (failed on the way) or `interrupted` (by a signal).
    pub state: String,
    /// False when numbers must not be trusted: requests unaccounted for, or a saturated generator.
    pub valid: bool,
    /// True when the embedded simulator answered.
    pub simulated: bool,
    /// RFC 3339.
    pub started_at: String,
    /// The seed in force.
    pub seed: u64,
    /// Why `valid` is false, or what else a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The end result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// Whether the run passed.
    pub pass: bool,
    /// The exit code of `runner run`.
    pub exit_code: i32,
}

/// The numbers of one stage (or one rung of it).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageSummary {
    /// Stage id.
    pub id: String,
    /// Stage kind.
    pub kind: String,
    /// Matrix cell.
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    pub rung: Option<f64>,
    /// Name or URL of the endpoint.
    pub endpoint: String,
    /// The model asked for.
    pub model: Option<String>,
    /// How it ended.
    pub state: StageState,
    /// Why, unless it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// False when the plan leaves it out of reports.
    pub reported: bool,
    /// Every planned request, by how it ended.
    pub counts: Counts,
    /// ok / (ok + errors); absent without either.
    pub success_rate: Option<f64>,
    /// Wall time in seconds.
    pub duration_s: f64,
    /// Distributions by metric name; a metric without samples is absent.
    pub metrics: BTreeMap<String, Distribution>,
    /// Totals over wall time.
    pub throughput: Throughput,
    /// What the server's prefix cache did.
    pub cache: CacheSummary,
    /// Failed requests by class.
    pub errors: BTreeMap<String, u64>,
    /// The checks on this stage.
    pub thresholds: Vec<ThresholdResult>,
    /// The evidence of a flush stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush: Option<FlushLine>,
}

/// `planned = ok + errors + cancelled + dropped_late + lost_in_flight + never_started`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Counts {
    /// Requests of the plan.
    pub planned: u64,
    /// Complete answers.
    pub ok: u64,
    /// Failed requests.
    pub errors: u64,
    /// Cut after they were sent.
    pub cancelled: u64,
    /// Due, but too late to be sent.
    pub dropped_late: u64,
    /// Started, with no terminal record (the process died).
    pub lost_in_flight: u64,
    /// Never due.
    pub never_started: u64,
}

/// Exact statistics of a distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Distribution {
    /// Unit of every figure but `count`.
    pub unit: String,
    /// Samples.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1); absent with one sample.
    pub std: Option<f64>,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Totals over wall time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Throughput {
    /// ok requests per second.
    pub requests_per_second: Option<f64>,
    /// Generated tokens of ok requests per second.
    pub output_tokens_per_second: Option<f64>,
    /// Prompt tokens of ok requests per second.
    pub input_tokens_per_second: Option<f64>,
}

/// What the server's prefix cache did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CacheSummary {
    /// The stage's verdict.
    pub verdict: CacheState,
    /// What the stage was meant to meet, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<CacheState>,
    /// Tokens served from the cache, summed; absent when the server never said.
    pub cached_tokens: Option<u64>,
    /// Prompt tokens of the same requests, summed.
    pub prompt_tokens: Option<u64>,
}

/// One judged threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThresholdResult {
    /// The check as written.
    pub check: String,
    /// `fail` or `warn`.
    pub level: Level,
    /// What was measured; absent without data (a word for verdicts).
    pub actual: Option<serde_json::Value>,
    /// What it was held against.
    pub limit: Option<serde_json::Value>,
    /// Unit of `actual` and `limit`.
    pub unit: String,
    /// Samples behind `actual`.
    pub samples: u64,
    /// Whether it held.
    pub pass: bool,
    /// One sentence: why it failed, or what it compared.
    pub reason: String,
    /// Where it stands in the plan, `file:line:column`.
    pub location: String,
}
