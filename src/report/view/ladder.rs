//! The rungs of a ladder → what the endpoint can sustain.
//!
//! In: the summaries of one stage's rungs. Out: a [`Ladder`] with the best sustainable rung and
//! where the endpoint saturates, each with its reason. Invariant: the rule is stated with the
//! result ([`Ladder::rule`]), and a rung above the first unsustainable one never counts.

use crate::metrics::quantity::show;
use crate::metrics::saturation::Axis;
use crate::metrics::search::SearchFound;
use crate::metrics::summary::StageSummary;
use crate::metrics::verdict;
use crate::report::samples::{StageSamples, Window};
use crate::report::ticks::plain;

/// Least share of answered requests of a sustainable rung.
const MIN_SUCCESS: f64 = 0.99;
/// Least share of the asked rate that must be served.
const MIN_SERVED: f64 = 0.95;
/// Least gain in throughput over the best lower rung that makes more concurrency worth it.
const MIN_GAIN: f64 = 1.05;

/// A stage that ran at several levels of load.
#[derive(Debug, Clone)]
pub struct Ladder<'a> {
    /// Its rungs, lowest first.
    pub rungs: Vec<Rung<'a>>,
    /// What its levels count.
    pub load: Load,
    /// The highest sustainable level.
    pub best: Option<f64>,
    /// The lowest level that is not sustainable, and why.
    pub saturated: Option<(f64, String)>,
    /// What it found, when it is a search.
    pub search: Option<&'a SearchFound>,
}

/// One level of load.
#[derive(Debug, Clone, Copy)]
pub struct Rung<'a> {
    /// The level.
    pub level: f64,
    /// Its numbers.
    pub stage: &'a StageSummary,
    /// When its requests were due and answered.
    window: Option<Window>,
}

/// What the levels of a ladder count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Requests per second that are due (open loop).
    Rate,
    /// Requests under way at a time (closed loop).
    Concurrency,
}

impl Load {
    /// The name of the axis.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rate => "asked rate",
            Self::Concurrency => "concurrency",
        }
    }

    /// The unit of a level.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Rate => "requests/s",
            Self::Concurrency => "",
        }
    }

    /// A level in words.
    pub fn say(self, level: f64) -> String {
        match self {
            Self::Rate => format!("{} requests/s", plain(level, 3)),
            Self::Concurrency => format!("concurrency {}", plain(level, 3)),
        }
    }
}

impl<'a> Ladder<'a> {
    /// The ladder that these rungs of one stage make; none without a rung that was run. Of a search
    /// they are the probes, and `search` is what it found.
    pub fn new(
        stages: &[(&'a StageSummary, Option<&StageSamples>)],
        search: Option<&'a SearchFound>,
    ) -> Option<Self> {
        let rung = |(stage, samples): &(&'a StageSummary, Option<&StageSamples>)| {
            // A rung of which nothing was sent (skipped, interrupted before it) says nothing.
            let counts = &stage.counts;
            if counts.accounted() == counts.never_started {
                return None;
            }
            let window = samples.and_then(|samples| samples.window);
            Some(Rung { level: stage.rung?, stage, window })
        };
        let mut rungs: Vec<Rung> = stages.iter().filter_map(rung).collect();
        rungs.sort_by(|left, right| left.level.total_cmp(&right.level));
        let load = match (rungs.first()?.stage.kind.as_str(), search.map(|it| it.axis)) {
            ("qps_ladder", _) | (_, Some(Axis::Rate)) => Load::Rate,
            _ => Load::Concurrency,
        };
        let mut ladder = Self { rungs, load, best: None, saturated: None, search };
        if let Some(found) = search {
            ladder.best = found.best;
            ladder.saturated = found.failed_at.map(|level| (level, ladder.why_failed(level)));
            return Some(ladder);
        }
        for number in 0..ladder.rungs.len() {
            let level = ladder.rungs[number].level;
            match ladder.why_not(number) {
                None => ladder.best = Some(level),
                Some(why) => {
                    ladder.saturated = Some((level, why));
                    break;
                }
            }
        }
        Some(ladder)
    }

    /// Why the last probe of a level did not pass.
    fn why_failed(&self, level: f64) -> String {
        let probes = self.rungs.iter().rev().filter(|rung| rung.level.total_cmp(&level).is_eq());
        let mut reasons = probes.filter_map(|rung| rung.stage.probe.as_ref()?.reasons.first());
        reasons.next().map_or_else(|| "it could not be judged".to_owned(), Clone::clone)
    }

    /// The rule behind `best`, in a sentence.
    pub fn rule(&self) -> &'static str {
        if self.search.is_some() {
            return "A search doubles its level until one fails, then narrows the bracket and tries \
                    both of its ends again. A level holds when its thresholds do, at least 99 % of \
                    its requests are answered (unless a threshold names errors), and a rate is kept \
                    up with to within half the tolerance. Confidence: the chance that the best level \
                    passes, and the one above it fails, more often than not, given their probes.";
        }
        match self.load {
            Load::Rate => {
                "A rate is sustainable when at least 99 % of its requests succeed, its thresholds \
                 hold, the answers keep up (their time, less one E2E p99 of the lowest rate, exceeds \
                 that of the arrivals by 5 % at most), and so is every lower rate."
            }
            Load::Concurrency => {
                "A concurrency is worth it when at least 99 % of its requests succeed, its \
                 thresholds hold, it serves at least 5 % more requests/s than every lower level, \
                 and so is every lower level."
            }
        }
    }

    /// The conclusion in a sentence.
    pub fn conclusion(&self) -> String {
        if let Some(found) = self.search {
            return found.advice.first().cloned().unwrap_or_default();
        }
        let best = match (self.load, self.best) {
            (Load::Rate, Some(best)) => format!("Best sustainable rate: {}", self.load.say(best)),
            (Load::Concurrency, Some(best)) => format!("Best {}", self.load.say(best)),
            (_, None) => "No level is sustainable".to_owned(),
        };
        match &self.saturated {
            Some((level, _)) => format!("{best}; saturated at {}.", self.load.say(*level)),
            None => format!("{best}, the highest that was tried; not saturated yet."),
        }
    }

    /// Why the first saturated level is, in a sentence.
    pub fn reason(&self) -> Option<String> {
        let (level, why) = self.saturated.as_ref()?;
        if let Some(found) = self.search {
            return Some(found.advice.iter().skip(1).cloned().collect::<Vec<_>>().join(" "));
        }
        Some(format!("At {}, {why}.", self.load.say(*level)))
    }

    fn why_not(&self, number: usize) -> Option<String> {
        let stage = self.rungs[number].stage;
        match stage.success_rate {
            None => return Some("no request was answered".to_owned()),
            Some(rate) if rate < MIN_SUCCESS => {
                return Some(format!("only {} of requests succeed", show(rate, "share")));
            }
            Some(_) => {}
        }
        if let Some(failed) = stage.thresholds.iter().find(|result| verdict::fails(result)) {
            return Some(format!("{} does not hold", failed.check));
        }
        match self.load {
            Load::Rate => {
                let (asked, served) = self.pace(number)?;
                (served < MIN_SERVED * asked).then(|| {
                    let (served, asked) = (plain(served, 3), show(asked, "requests/s"));
                    format!("answers fall behind: {served} of {asked} that were due")
                })
            }
            Load::Concurrency => {
                let lower = self.rungs[..number].iter().filter_map(|rung| throughput(rung.stage));
                let best = lower.fold(0.0, f64::max);
                let here = throughput(stage)?;
                (number > 0 && here < MIN_GAIN * best).then(|| {
                    let (here, best) = (plain(here, 3), show(best, "requests/s"));
                    format!("more load gains nothing: {here} after {best} at a lower level")
                })
            }
        }
    }

    /// Requests per second as they were due, and as they were answered. The time that the last
    /// answer takes anyway is that of an unloaded server: the lowest rung's E2E p99.
    fn pace(&self, number: usize) -> Option<(f64, f64)> {
        let rung = &self.rungs[number];
        let window = rung.window?;
        let anyway = self.rungs.first()?.stage.metrics.get("e2e").map_or(0.0, |e2e| e2e.p99 / 1e3);
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
        let due = seconds(window.first_due, window.last_due);
        let answered = (seconds(window.first_due, window.last_answer) - anyway).max(due);
        let requests = rung.stage.counts.planned as f64;
        (due > 0.0).then_some((requests / due, requests / answered))
    }
}

fn throughput(stage: &StageSummary) -> Option<f64> {
    stage.throughput.requests_per_second
}
