//! Two runs → what is better, worse, the same, or can't be told.
//!
//! In: the [`Evidence`] of a base and a new run. Out: a [`Comparison`] that serialises. Invariants:
//! stages are matched by id, cell and rung, never by position; a difference is only called one when
//! it is both beyond chance (Holm over every test of the comparison) and large enough to matter; no
//! data is never "the same".
//!
//! | file | what it turns into what |
//! |---|---|
//! | [`evidence`] | lines of a run → summary and samples |
//! | [`rank`] | samples of two runs → p-values |
//! | [`interval`] | samples of two runs → ratio and difference with intervals |
//! | `pooled` | many samples of each request → how much they prove |
//! | [`paired`] | two cells of one run → a comparison pair by pair |
//! | `stage` | two stages → differences |
//! | `judge` | differences → verdicts |
//! | `flags` | two runs → what else differs between them |

pub mod evidence;
mod flags;
pub mod interval;
mod judge;
pub mod paired;
mod pooled;
pub mod rank;
mod stage;

pub use self::judge::p_value;

use serde::Serialize;

use self::evidence::Evidence;
use super::estimate::Estimate;
use super::saturation::{Axis, Saturation};

/// The chance of calling any difference real that is not, over the whole comparison.
pub const ALPHA: f64 = 0.05;
/// The name of the test of runs too short for any other.
pub const APART: &str = "runs that lie apart";
/// The least difference of shares (such as error rates) that matters: half a percentage point.
pub const MIN_SHARE: f64 = 0.005;

/// What to compare, and from when on a difference matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Metrics with samples of requests.
    pub metrics: Vec<&'static str>,
    /// Percentiles of them, 0 to 100; the median is always compared.
    pub percentiles: Vec<f64>,
    /// The least relative difference that matters, such as 0.05.
    pub min_effect: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            metrics: vec!["ttft", "e2e", "tpot"],
            percentiles: vec![50.0, 95.0, 99.0],
            min_effect: 0.05,
        }
    }
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new run is better.
    Better,
    /// The new run is worse.
    Worse,
    /// They differ by less than matters.
    Same,
    /// Too few samples to tell.
    NotEnoughData,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::NotEnoughData => "not enough data",
        })
    }
}

/// A new run against a base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The base.
    pub base: RunRef,
    /// The new run.
    pub new: RunRef,
    /// The verdict over all stages.
    pub verdict: Verdict,
    /// What must be known before believing it.
    pub flags: Vec<String>,
    /// True when either run is invalid or incomplete, so that a verdict means little.
    pub doubtful: bool,
    /// Matched stages, in the order of the base.
    pub stages: Vec<StageComparison>,
    /// What ladders and ramps can sustain, by stage.
    pub capacity: Vec<Capacity>,
    /// Stages that only the base has.
    pub only_base: Vec<String>,
    /// Stages that only the new run has.
    pub only_new: Vec<String>,
    /// How it was judged.
    pub method: Method,
}

/// Names a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRef {
    /// How the reader named it.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its plan.
    pub plan: String,
    /// RFC 3339.
    pub started_at: String,
    /// True when the embedded simulator answered.
    pub simulated: bool,
}

/// How differences were judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Method {
    /// [`ALPHA`].
    pub alpha: f64,
    /// The least relative difference that matters.
    pub min_effect: f64,
    /// The least difference of shares that matters.
    pub min_share: f64,
    /// Tests that share [`ALPHA`].
    pub tests: usize,
    /// True when requests were compared pair by pair.
    pub paired: bool,
}

/// Two stages of one id, cell and rung.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageComparison {
    /// Id with cell and rung.
    pub label: String,
    /// Stage id.
    pub id: String,
    /// Matrix cell.
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    pub rung: Option<f64>,
    /// The verdict over its differences.
    pub verdict: Verdict,
    /// What was compared.
    pub differences: Vec<Difference>,
    /// What is not alike though it should be.
    pub flags: Vec<String>,
}

/// One figure of two stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The metric.
    pub metric: String,
    /// Which percentile of it, unless it is one figure of the stage.
    pub percentile: Option<f64>,
    /// Unit of `base`, `new` and `difference`.
    pub unit: String,
    /// The base's figure.
    pub base: Option<f64>,
    /// The new run's figure.
    pub new: Option<f64>,
    /// Samples (or pairs) behind the base's figure.
    pub base_samples: u64,
    /// Samples (or pairs) behind the new run's figure.
    pub new_samples: u64,
    /// new / base with its 95 % interval.
    pub ratio: Option<Estimate>,
    /// new − base with its 95 % interval.
    pub difference: Option<Estimate>,
    /// The test, where one could be made.
    pub test: Option<Test>,
    /// Requests a side that would mostly do, where there are too few to tell: those that queue resemble each
    /// other. Absent also where too few were seen to say how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// The verdict; absent for figures that are shown and not judged.
    pub verdict: Option<Verdict>,
    /// Why.
    pub reason: String,
}

impl Difference {
    /// Whether both sides have samples enough for an interval that means anything.
    pub fn has_samples(&self) -> bool {
        self.base_samples.min(self.new_samples) >= super::estimate::MIN_SAMPLES as u64
    }
}

/// A statistical test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Test {
    /// Its name.
    pub name: &'static str,
    /// Its two-sided p-value.
    pub p: f64,
    /// The same after Holm's correction over the whole comparison.
    pub p_adjusted: f64,
    /// The chance that a request of the new run took longer than one of the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superiority: Option<f64>,
}

/// What a ladder or ramp can sustain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capacity {
    /// The stage.
    pub stage: String,
    /// What was raised.
    pub axis: Axis,
    /// The base's highest sustainable level.
    pub base: Option<f64>,
    /// The new run's.
    pub new: Option<f64>,
}

/// Compares `new` with `base`.
pub fn compare(base: &Evidence, new: &Evidence, options: &Options) -> Comparison {
    let matched = base.measured().filter_map(|left| {
        let same = |right: &&crate::metrics::summary::StageSummary| {
            let rungs = (left.rung.map(f64::to_bits), right.rung.map(f64::to_bits));
            left.id == right.id && left.cell == right.cell && rungs.0 == rungs.1
        };
        let right = new.measured().find(same)?;
        Some(stage::compare(&stage::Pair { base, new, left, right, is_paired: false }, options))
    });
    let mut stages: Vec<StageComparison> = matched.collect();
    let tests = judge::judge(&mut stages, options);
    let only = |these: &Evidence| -> Vec<String> {
        let labels = these.measured().map(crate::metrics::summary::StageSummary::label);
        labels.filter(|label| stages.iter().all(|stage| stage.label != *label)).collect()
    };
    let (flags, doubtful) = flags::between(base, new);
    Comparison {
        base: run_ref(base),
        new: run_ref(new),
        verdict: judge::over(stages.iter().map(|stage| stage.verdict)),
        flags,
        doubtful,
        capacity: capacity(base, new),
        only_base: only(base),
        only_new: only(new),
        stages,
        method: method(options, tests, false),
    }
}

fn method(options: &Options, tests: usize, paired: bool) -> Method {
    let min_effect = options.min_effect;
    Method { alpha: ALPHA, min_effect, min_share: MIN_SHARE, tests, paired }
}

fn run_ref(run: &Evidence) -> RunRef {
    RunRef {
        name: run.name.clone(),
        id: run.summary.run.id.clone(),
        plan: run.summary.run.plan.clone(),
        started_at: run.summary.run.started_at.clone(),
        simulated: run.summary.run.simulated,
    }
}

fn capacity(base: &Evidence, new: &Evidence) -> Vec<Capacity> {
    // Of a ladder without a limit only its highest level is known, which says nothing of either side.
    let limited = |found: &&Saturation| found.saturated_at.is_some();
    let trusted = |run: &Evidence| run.summary.run.valid;
    let found = base.summary.saturation.iter().filter_map(|(stage, left)| {
        let right = new.summary.saturation.get(stage).filter(limited)?;
        if !(limited(&left) && trusted(base) && trusted(new)) {
            return None;
        }
        Some(Capacity {
            stage: stage.clone(),
            axis: left.axis,
            base: left.sustainable,
            new: right.sustainable,
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests;
