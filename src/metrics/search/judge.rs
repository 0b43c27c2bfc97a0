//! The numbers of a probe → its verdict.
//!
//! In: the summary of a probe, its judged thresholds. Out: a [`ProbeSummary`], and the [`Probe`] that
//! the search takes down. Invariant: what the generator or too few samples spoil is inconclusive,
//! never evidence against the endpoint.

use serde::{Deserialize, Serialize};

use super::{Probe, Verdict};
use crate::metrics::pace::KeepingUp;
use crate::metrics::quantity::show;
use crate::metrics::summary::{StageSummary, ThresholdResult};
use crate::record::{SearchLine, StageEnd, StageState};

/// Least share of answered requests at a level that passes, where the thresholds do not speak of
/// errors.
const MIN_SUCCESS: f64 = 0.99;

/// What one probe of a search showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeSummary {
    /// The search, and the probe's number in it.
    pub search: SearchLine,
    /// Pass, fail, or neither.
    pub verdict: Verdict,
    /// The same by its thresholds and failed requests alone: what the search goes by, which weighs the
    /// backlogs of all probes together.
    pub by_checks: Verdict,
    /// Why it did not pass, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The stage's thresholds at this level. They decide about the level and not about the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<ThresholdResult>,
}

/// Judges a probe. `checks` are its thresholds as they were judged on it.
pub fn judge(
    line: &SearchLine,
    stage: &StageSummary,
    checks: Vec<ThresholdResult>,
    end: Option<&StageEnd>,
) -> ProbeSummary {
    let (mut against, mut unclear) = (Vec::new(), Vec::new());
    let counts = &stage.counts;
    if end.is_some_and(|end| end.aborted) {
        against.push(stage.reason.clone().unwrap_or_else(|| "aborted".to_owned()));
    } else if stage.state != StageState::Completed {
        unclear.push(stage.reason.clone().unwrap_or_else(|| "not completed".to_owned()));
    }
    if stage.load.is_some_and(|load| load.generator_limited) {
        unclear.push("the load generator was the bottleneck".to_owned());
    }
    if let Some(reached) = stage.level_missed() {
        unclear.push(format!(
            "at most {reached} were under way at once, so the level was not reached"
        ));
    }
    if counts.accounted() == counts.never_started {
        unclear.push("it sent no request that counts".to_owned());
    } else if counts.ok == 0 {
        against.push("no request succeeded".to_owned());
    } else {
        let failed = checks.iter().filter(|it| !it.pass);
        for check in failed {
            let list = if check.is_untold() { &mut unclear } else { &mut against };
            list.push(format!("{}: {}", check.check, check.reason));
        }
        against.extend(implied(stage, &checks));
    }
    let by_checks = Verdict::of(&unclear, &against);
    if by_checks != Verdict::Inconclusive {
        against.extend(behind(stage));
    }
    if against.is_empty() {
        unclear.extend(untold(stage));
    }
    let verdict = Verdict::of(&unclear, &against);
    unclear.extend(against);
    ProbeSummary { search: line.clone(), verdict, by_checks, reasons: unclear, checks }
}

impl Verdict {
    /// By what leaves a level open, and by what speaks against it.
    fn of(unclear: &[String], against: &[String]) -> Self {
        match (unclear.is_empty(), against.is_empty()) {
            (true, true) => Self::Pass,
            (true, false) => Self::Fail,
            (false, _) => Self::Inconclusive,
        }
    }
}

/// What a level must hold even where no threshold says so: answers come.
fn implied(stage: &StageSummary, checks: &[ThresholdResult]) -> Vec<String> {
    let mut against = Vec::new();
    let counts = &stage.counts;
    let ended = counts.ok + counts.errors + counts.cancelled + counts.dropped_late;
    let answered = counts.ok as f64 / ended.max(1) as f64;
    let names_errors = |it: &ThresholdResult| {
        it.check.starts_with("error_rate") || it.check.starts_with("success_rate")
    };
    if answered < MIN_SUCCESS && !checks.iter().any(names_errors) {
        let (answered, least) = (show(answered, "share"), show(MIN_SUCCESS, "share"));
        against.push(format!("only {answered} of the requests were answered (at least {least})"));
    }
    against
}

/// Why a level was not kept up with: a queue that grows all along fails no latency threshold as long as
/// the probe is short.
fn behind(stage: &StageSummary) -> Option<String> {
    let load = stage.load.filter(|load| load.keeping_up == Some(KeepingUp::FellBehind))?;
    let grew = show(load.backlog?.share, "share");
    Some(format!("its backlog grew by {grew} of the requests that came"))
}

/// Why it can't be told whether a level is kept up with.
fn untold(stage: &StageSummary) -> Option<String> {
    let load = stage.load.filter(|load| load.keeping_up == Some(KeepingUp::Unclear))?;
    let needed = load.needed_s.map(|seconds| format!(": a step of {seconds} s mostly would tell"));
    let needed = needed.unwrap_or_default();
    Some(format!("too short to tell whether it keeps up{needed}"))
}

/// What the search takes down of a probe; `None` when a signal or the end of the log cut it short.
pub fn probe(stage: &StageSummary, settling: u64) -> Option<Probe> {
    let summary = stage.probe.as_ref()?;
    let cut_short = stage.state != StageState::Completed;
    let is_told = summary.by_checks != Verdict::Inconclusive;
    Some(Probe {
        level: stage.rung.filter(|_| !cut_short)?,
        verdict: summary.by_checks,
        requests: settling + stage.counts.planned
            - stage.counts.never_started.min(stage.counts.planned),
        keeping_up: stage.load.and_then(|load| load.keeping_up),
        backlog: stage.load.filter(|_| is_told).and_then(|load| load.backlog),
        fell_behind: is_told && behind(stage).is_some(),
    })
}
