//! The probes of a run → what each of its searches found.
//!
//! In: the summaries of all stages, in order. Out: a [`SearchFound`] by stage id, and the check that
//! every search brings along. Invariant: an interrupted search tells how far it came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reason, Search, Settings, Step, probe};
use crate::metrics::pace::round_up;
use crate::metrics::quantity::show;
use crate::metrics::saturation::{Axis, HEADROOM};
use crate::metrics::summary::{StageSummary, ThresholdResult};
use crate::plan::Level;
use crate::record::SearchLine;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SearchFound {
    /// What was raised.
    pub axis: Axis,
    /// The highest level known to pass; absent when none is.
    pub best: Option<f64>,
    /// The lowest level above it known to fail, or that could not be judged.
    pub failed_at: Option<f64>,
    /// Why it ended; absent when it was cut short.
    pub reason: Option<Reason>,
    /// Where the highest level that holds lies: of a rate that is kept up with, the 95 % interval by all
    /// probes together; where a threshold fails, from the highest level below all failures to the lowest
    /// above all passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
    /// Where its probes are too short, how many seconds of each would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_s: Option<f64>,
    /// Probes made.
    pub probes: u64,
    /// Requests they took.
    pub requests: u64,
    /// Complete answers per second at `best` (of its last probe that passed).
    pub requests_per_second: Option<f64>,
    /// Generated tokens per second there.
    pub output_tokens_per_second: Option<f64>,
    /// Requests per second there that kept every limit of the thresholds; absent without limits.
    pub goodput: Option<f64>,
    /// Their share of those planned.
    pub goodput_share: Option<f64>,
    /// 70 to 80 % of `best`, where production may run with headroom; absent unless the search ended and
    /// a level above `best` fails.
    pub recommended: Option<(f64, f64)>,
    /// Why `failed_at` does not hold, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_because: Option<String>,
    /// Why there are no figures though probes were made: the run as a whole cannot be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

impl SearchFound {
    /// Takes what it found away, for that reason; what was done stays.
    pub(in crate::metrics) fn withhold(&mut self, why: &str) {
        *self = Self {
            axis: self.axis,
            best: None,
            failed_at: None,
            reason: None,
            interval: None,
            needed_s: None,
            probes: self.probes,
            requests: self.requests,
            requests_per_second: None,
            output_tokens_per_second: None,
            goodput: None,
            goodput_share: None,
            recommended: None,
            failed_because: None,
            withheld: Some(why.to_owned()),
        };
    }
}

/// What each search among `stages` found, by stage id (with its cell).
pub fn of_stages(stages: &[StageSummary]) -> BTreeMap<String, SearchFound> {
    let mut probed: BTreeMap<String, Vec<(&StageSummary, u64)>> = BTreeMap::new();
    let mut settling = 0;
    for stage in stages {
        if stage.kind == "settle" {
            settling = stage.counts.planned - stage.counts.never_started.min(stage.counts.planned);
            continue;
        }
        if stage.probe.is_some() {
            probed.entry(stage.key()).or_default().push((stage, settling));
        }
        settling = 0;
    }
    probed.into_iter().filter_map(|(id, probes)| Some((id, found(&probes)?))).collect()
}

fn found(probes: &[(&StageSummary, u64)]) -> Option<SearchFound> {
    let line = probes.iter().find_map(|(stage, _)| line_of(stage))?;
    let history = probes.iter().filter_map(|(stage, settling)| probe(stage, *settling)).collect();
    let search = Search::new(Settings::from(line), history);
    let (outcome, reason) = match search.next() {
        Step::Done(outcome) => (outcome.clone(), Some(outcome.reason)),
        Step::Probe(_) => (search.so_far(), None),
    };
    let at_best = probes.iter().rev().map(|(stage, _)| *stage).find(|stage| {
        let passed = stage.probe.as_ref().is_some_and(|it| it.by_checks == super::Verdict::Pass);
        passed && outcome.best.is_some() && stage.rung == outcome.best
    });
    let goodput = at_best.and_then(|stage| stage.goodput);
    let has_limit = matches!(reason, Some(Reason::Converged | Reason::Spent | Reason::Wide));
    let mut found = SearchFound {
        axis: if line.whole { Axis::Concurrency } else { Axis::Rate },
        best: outcome.best,
        failed_at: outcome.failed_at,
        reason,
        interval: outcome.interval,
        needed_s: needed(line, probes, &outcome),
        probes: outcome.probes,
        requests: outcome.requests,
        requests_per_second: at_best
            .and_then(|stage| stage.load.as_ref())
            .and_then(|load| load.achieved_rate),
        output_tokens_per_second: at_best
            .and_then(|stage| stage.throughput.output_tokens_per_second),
        goodput: goodput.and_then(|it| it.per_second),
        goodput_share: goodput.and_then(|it| it.share),
        recommended: outcome
            .best
            .filter(|_| has_limit && outcome.failed_at.is_some())
            .map(|best| (HEADROOM.0 * best, HEADROOM.1 * best)),
        failed_because: None,
        withheld: None,
    };
    let why = probes.iter().rev().map(|(stage, _)| *stage);
    let why = why
        .filter(|stage| stage.rung == found.failed_at)
        .filter_map(|stage| stage.probe.as_ref())
        .find_map(|probe| probe.reasons.first());
    found.failed_because = why.cloned();
    Some(found)
}

/// How long probes that are too short should be, in seconds. Intervals narrow with the root of the time.
fn needed(
    line: &SearchLine,
    probes: &[(&StageSummary, u64)],
    outcome: &super::Outcome,
) -> Option<f64> {
    let longest = || probes.iter().filter_map(|(stage, _)| stage.load?.needed_s).reduce(f64::max);
    match outcome.reason {
        Reason::Unclear => longest(),
        Reason::Wide => {
            let (low, high) = outcome.interval?;
            let last = probes.last().map(|(stage, _)| *stage)?;
            let step = last.counts.planned as f64 / last.load?.target_rate?;
            Some(round_up(step * ((high / low - 1.0) / line.tolerance).powi(2)))
        }
        _ => None,
    }
}

fn line_of(stage: &StageSummary) -> Option<&SearchLine> {
    stage.probe.as_ref().map(|probe| &probe.search)
}

/// Puts the check that every search brings along on its last probe: it found a level, and one that
/// is high enough.
pub fn gate(stages: &mut [StageSummary], found: &BTreeMap<String, SearchFound>) {
    for (id, found) in found {
        let last =
            stages.iter_mut().rev().find(|stage| stage.probe.is_some() && stage.key() == *id);
        if let Some(stage) = last
            && let Some(result) = line_of(stage).and_then(|line| judged(found, line))
        {
            stage.thresholds.push(result);
        }
    }
}

fn judged(found: &SearchFound, line: &SearchLine) -> Option<ThresholdResult> {
    let least = line.at_least?;
    let unit = if line.whole { "at a time" } else { "requests/s" };
    let limit = show(least, unit);
    let pass = found.best.is_some_and(|best| best >= least);
    let relation = if pass { ">=" } else { "<" };
    let reason = match found.best {
        Some(best) => format!("{} {relation} {limit}", show(best, unit)),
        None => format!("no level passed; at least {limit} is asked for"),
    };
    let number = |value| serde_json::Number::from_f64(value).map(serde_json::Value::Number);
    Some(ThresholdResult {
        check: format!("best >= {least}"),
        level: Level::Fail,
        actual: found.best.and_then(number),
        limit: number(least),
        unit: unit.to_owned(),
        samples: found.probes,
        pass,
        judged: true,
        reason,
        location: line.location.clone(),
    })
}
