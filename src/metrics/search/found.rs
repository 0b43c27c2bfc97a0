//! The probes of a run → what each of its searches found.
//!
//! In: the summaries of all stages, in order. Out: a [`SearchFound`] by stage id, and the check that
//! every search brings along. Invariant: an interrupted search tells how far it came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reason, Search, Settings, Step, probe};
use crate::metrics::claims::Withheld;
use crate::metrics::pace::{KeepingUp, for_all, round_up};
use crate::metrics::quantity::{show, show_apart};
use crate::metrics::saturation::{Axis, HEADROOM};
use crate::metrics::summary::{StageSummary, ThresholdResult};
use crate::plan::Level;
use crate::record::SearchLine;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SearchFound {
    /// What was raised.
    pub axis: Axis,
    /// The highest level known to pass (where a rate's limit is known by all probes together, as
    /// closely as `interval` says); absent when none is.
    pub best: Option<f64>,
    /// The lowest level above it known to fail.
    pub failed_at: Option<f64>,
    /// The lowest level above it that was probed and of which it can't be told whether it passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear_at: Option<f64>,
    /// Why it ended; absent when it was cut short.
    pub reason: Option<Reason>,
    /// Where the highest level that holds lies: of a rate that is kept up with, the 95 % interval by all
    /// probes together; where a threshold fails, from the highest level below all failures to the lowest
    /// above all passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
    /// Where its probes are too short, how many seconds of each would mostly do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_s: Option<f64>,
    /// Probes made, one that was cut short among them.
    pub probes: u64,
    /// Requests they sent, and what settled before them.
    pub requests: u64,
    /// Complete answers per second at `best` (of its last probe that passed).
    pub requests_per_second: Option<f64>,
    /// Generated tokens per second there.
    pub output_tokens_per_second: Option<f64>,
    /// Requests per second there that kept every limit of the thresholds; absent without limits.
    pub goodput: Option<f64>,
    /// Their share of those planned.
    pub goodput_share: Option<f64>,
    /// 70 to 80 % of `best` (of the lower end of `interval`, where the probes are too short to tell the
    /// limit as closely as asked), where production may run with headroom; absent unless the search ended
    /// and a level above `best` fails.
    pub recommended: Option<(f64, f64)>,
    /// Why `failed_at` does not hold, or `unclear_at` can't be told, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_because: Option<String>,
    /// Why there are no figures though probes were made: the run as a whole cannot be trusted, or the
    /// levels met different caches (shares of prompt tokens more than 0.1 apart).
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
            unclear_at: None,
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
            settling = sent(stage);
            continue;
        }
        if stage.probe.is_some() {
            probed.entry(stage.key()).or_default().push((stage, settling));
        }
        settling = 0;
    }
    probed.into_iter().filter_map(|(id, probes)| Some((id, found(&probes)?))).collect()
}

fn sent(stage: &StageSummary) -> u64 {
    stage.counts.planned.saturating_sub(stage.counts.never_started)
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
    let sent = |(stage, settling): &(&StageSummary, u64)| settling + sent(stage);
    let is_wide = reason == Some(Reason::Wide);
    let low = outcome.interval.filter(|_| is_wide).map_or(f64::INFINITY, |(low, _)| low);
    let mut found = SearchFound {
        axis: if line.whole { Axis::Concurrency } else { Axis::Rate },
        best: outcome.best,
        failed_at: outcome.failed_at,
        unclear_at: outcome.unclear_at,
        reason,
        interval: outcome.interval,
        needed_s: needed(line, probes, &outcome),
        probes: probes.iter().filter(|probe| sent(probe) > 0).count() as u64,
        requests: probes.iter().map(sent).sum(),
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
            .map(|best| best.min(low))
            .map(|of| (HEADROOM.0 * of, HEADROOM.1 * of)),
        failed_because: None,
        withheld: None,
    };
    let why = probes.iter().rev().map(|(stage, _)| *stage);
    let why = why
        .filter(|stage| stage.rung == found.failed_at.or(found.unclear_at))
        .filter_map(|stage| stage.probe.as_ref())
        .find_map(|probe| probe.reasons.first());
    found.failed_because = why.cloned();
    if let Some(why) = Withheld::of(&probes.iter().map(|(stage, _)| *stage).collect::<Vec<_>>()) {
        found.withhold(why.why());
    }
    Some(found)
}

/// Intervals narrow with the root of the time, but half of them are wider than in the mean: so many times as
/// long mostly is enough.
const SPARE: f64 = 1.7;

/// How long probes that are too short should be, in seconds.
fn needed(
    line: &SearchLine,
    probes: &[(&StageSummary, u64)],
    outcome: &super::Outcome,
) -> Option<f64> {
    match outcome.reason {
        Reason::Unclear => {
            let loads = probes.iter().filter_map(|(stage, _)| stage.load);
            let unclear = loads.filter(|load| load.keeping_up == Some(KeepingUp::Unclear));
            for_all(unclear.map(|load| load.needed_s))
        }
        Reason::Wide => {
            let (low, high) = outcome.interval?;
            let last = probes.last().map(|(stage, _)| *stage)?;
            let step = last.counts.planned as f64 / last.load?.target_rate?;
            Some(round_up(SPARE * step * ((high / low - 1.0) / line.tolerance).powi(2)))
        }
        _ => None,
    }
}

fn line_of(stage: &StageSummary) -> Option<&SearchLine> {
    stage.probe.as_ref().map(|probe| &probe.search)
}

/// Puts the check that every search brings along on its last probe: it found a level, and one that
/// is high enough. It is not made where the figures of the whole run are `withheld`, for that reason.
pub fn gate(
    stages: &mut [StageSummary],
    found: &BTreeMap<String, SearchFound>,
    withheld: Option<&str>,
) {
    for (id, found) in found {
        let last =
            stages.iter_mut().rev().find(|stage| stage.probe.is_some() && stage.key() == *id);
        if let Some(stage) = last
            && let Some(result) = line_of(stage).and_then(|line| judged(found, line, withheld))
        {
            stage.thresholds.push(result);
        }
    }
}

/// Whether the level that is asked for holds: nothing holds or fails that can't be told.
fn judged(
    found: &SearchFound,
    line: &SearchLine,
    withheld: Option<&str>,
) -> Option<ThresholdResult> {
    let least = line.at_least?;
    let best = found.best.filter(|_| withheld.is_none());
    let unit = found.unit();
    let limit = show(least, unit);
    let is_exact = found.reason == Some(Reason::Converged);
    let (low, high) = found.interval.filter(|_| !is_exact).unzip();
    let holds = found.best.is_some_and(|best| best >= least) && low.is_none_or(|low| low >= least);
    let fails = is_exact || found.reason == Some(Reason::AllFail);
    let fails = fails || found.failed_at.into_iter().chain(high).any(|level| level <= least);
    let untold =
        |why: &str| (false, true, format!("no data: whether {limit} holds can't be told: {why}"));
    let not_made = |why: &str| (true, false, format!("not made: {why}"));
    let (pass, judged, reason) = match (withheld, &found.withheld, best.map(|it| show(it, unit))) {
        (Some(why), ..) => not_made(why),
        (_, Some(why), _) => untold(why),
        _ if found.reason.is_none() => not_made("the search was cut short"),
        (.., Some(best)) if holds => (true, true, format!("{best} >= {limit}")),
        (.., Some(best)) if fails => (false, true, format!("{best} < {limit}")),
        (.., None) if fails => {
            (false, true, format!("no level passed; at least {limit} is asked for"))
        }
        _ => untold(&found.open(low.zip(high))),
    };
    let number = |value| serde_json::Number::from_f64(value).map(serde_json::Value::Number);
    Some(ThresholdResult {
        check: format!("best >= {least}"),
        level: Level::Fail,
        actual: best.and_then(number),
        limit: number(least),
        unit: unit.to_owned(),
        samples: found.probes,
        pass,
        judged,
        reason,
        location: line.location.clone(),
    })
}

impl SearchFound {
    /// Why a level may or may not hold.
    fn open(&self, interval: Option<(f64, f64)>) -> String {
        let unit = self.unit();
        match (self.reason, self.unclear_at, interval) {
            (Some(Reason::Spent), ..) => "its probes or requests were spent before".to_owned(),
            (Some(Reason::Unclear), ..) => match self.needed_s {
                Some(needed) => {
                    format!("its probes are too short, steps of {needed} s mostly would tell")
                }
                None => "its probes are too short".to_owned(),
            },
            (_, Some(level), _) => format!("{} could not be judged", show(level, unit)),
            (.., Some((low, high))) => {
                let (low, high) = show_apart(low, high, unit);
                format!("the limit lies between {low} and {high}")
            }
            _ => "no level as high was tried".to_owned(),
        }
    }

    fn unit(&self) -> &'static str {
        match self.axis {
            Axis::Rate => "requests/s",
            Axis::Concurrency => "at a time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::Judgement;

    fn of(least: f64, found: &str, withheld: Option<&str>) -> ThresholdResult {
        let mut whole = serde_json::json!({
            "axis": "rate", "best": null, "failed_at": null, "reason": null, "probes": 7,
            "requests": 700, "requests_per_second": null, "output_tokens_per_second": null,
            "goodput": null, "goodput_share": null, "recommended": null,
        });
        let found: serde_json::Value = serde_json::from_str(found).expect("JSON");
        for (name, value) in found.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        let line = serde_json::json!({
            "probe": 0, "whole": false, "from": 1.0, "tolerance": 0.05, "confirmations": 2,
            "max_probes": 40, "at_least": least, "location": "plan.yaml:1:1",
        });
        let found: SearchFound = serde_json::from_value(whole).expect("what a search found");
        let line: SearchLine = serde_json::from_value(line).expect("a search");
        judged(&found, &line, withheld).expect("a check")
    }

    #[test]
    fn a_level_that_can_not_be_told_is_never_said_to_hold() {
        use Judgement::{Failed, Held, NotMade};
        for (found, least, judgement, says) in [
            (
                r#"{"reason": "converged", "best": 40, "failed_at": 42, "interval": [39, 41]}"#,
                40.0,
                Held,
                "40 requests/s >= 40",
            ),
            (
                r#"{"reason": "converged", "best": 40, "failed_at": 42, "interval": [39, 41]}"#,
                41.0,
                Failed,
                "40 requests/s < 41",
            ),
            (r#"{"reason": "all_pass", "best": 400}"#, 20.0, Held, ">="),
            (r#"{"reason": "all_fail", "failed_at": 1}"#, 1.0, Failed, "no level passed"),
            (
                r#"{"reason": "unclear", "unclear_at": 4, "needed_s": 120}"#,
                4.0,
                Failed,
                "can't be told: its probes are too short, steps of 120 s mostly",
            ),
            (r#"{"reason": "unclear", "best": 8, "unclear_at": 16}"#, 8.0, Held, ">="),
            (
                r#"{"reason": "unclear", "best": 8, "unclear_at": 16}"#,
                10.0,
                Failed,
                "can't be told",
            ),
            (
                r#"{"reason": "unclear", "best": 8, "unclear_at": 16, "failed_at": 20}"#,
                20.0,
                Failed,
                "8 requests/s < 20",
            ),
            (
                r#"{"reason": "inconclusive", "best": 8, "unclear_at": 16}"#,
                16.0,
                Failed,
                "can't be told: 16 requests/s could not be judged",
            ),
            (
                r#"{"reason": "spent", "best": 8}"#,
                9.0,
                Failed,
                "can't be told: its probes or requests were spent",
            ),
            (
                r#"{"reason": "wide", "best": 40, "failed_at": 60, "interval": [30, 50]}"#,
                30.0,
                Held,
                ">=",
            ),
            (
                r#"{"reason": "wide", "best": 40, "failed_at": 60, "interval": [30, 50]}"#,
                35.0,
                Failed,
                "the limit lies between 30 requests/s and 50",
            ),
            (
                r#"{"reason": "wide", "best": 40, "failed_at": 60, "interval": [30, 50]}"#,
                55.0,
                Failed,
                "40 requests/s < 55",
            ),
            (r#"{"best": 40}"#, 4.0, NotMade, "cut short"),
            (
                r#"{"withheld": "its levels met different caches"}"#,
                4.0,
                Failed,
                "no data: whether 4 requests/s holds can't be told: its levels met different caches",
            ),
        ] {
            let check = of(least, found, None);
            assert_eq!(check.judgement(), judgement, "{found} {least}: {}", check.reason);
            assert!(check.reason.contains(says), "{found} {least}: {}", check.reason);
        }
    }

    #[test]
    fn nothing_is_judged_of_a_run_that_can_not_be_trusted() {
        for found in [r#"{"reason": "all_pass", "best": 400}"#, r#"{"reason": "all_fail"}"#] {
            let check = of(20.0, found, Some("the run is INVALID"));
            assert_eq!((check.judgement(), check.actual), (Judgement::NotMade, None));
            assert_eq!(check.reason, "not made: the run is INVALID");
        }
    }
}
