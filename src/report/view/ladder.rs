//! The rungs of a ladder → what the endpoint can sustain.
//!
//! In: the summaries of one stage's rungs. Out: a [`Ladder`] with the best sustainable rung and
//! where the endpoint saturates, each with its reason. Invariant: the rule is stated with the
//! result ([`Ladder::rule`]), and a rung above the first unsustainable one never counts.

use crate::metrics::quantity::show;
use crate::metrics::summary::StageSummary;
use crate::metrics::verdict;
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
}

/// One level of load.
#[derive(Debug, Clone, Copy)]
pub struct Rung<'a> {
    /// The level.
    pub level: f64,
    /// Its numbers.
    pub stage: &'a StageSummary,
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
    /// The ladder that these rungs of one stage make; none without a rung that was run.
    pub fn new(stages: &[&'a StageSummary]) -> Option<Self> {
        let rung = |stage: &&'a StageSummary| Some(Rung { level: stage.rung?, stage });
        let mut rungs: Vec<Rung> = stages.iter().filter_map(rung).collect();
        rungs.sort_by(|left, right| left.level.total_cmp(&right.level));
        let load = match rungs.first()?.stage.kind.as_str() {
            "qps_ladder" => Load::Rate,
            _ => Load::Concurrency,
        };
        let mut ladder = Self { rungs, load, best: None, saturated: None };
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

    /// The rule behind `best`, in a sentence.
    pub fn rule(&self) -> &'static str {
        match self.load {
            Load::Rate => {
                "A rate is sustainable when at least 99 % of its requests succeed, its thresholds \
                 hold, at least 95 % of the asked rate is served (answers over wall time less one \
                 median E2E), and so is every lower rate."
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
        let best = match (self.load, self.best) {
            (Load::Rate, Some(best)) => format!("Best sustainable rate: {}", self.load.say(best)),
            (Load::Concurrency, Some(best)) => format!("Best {}", self.load.say(best)),
            (_, None) => "No level is sustainable".to_owned(),
        };
        match &self.saturated {
            Some((level, why)) => {
                format!("{best}; saturated at {} ({why}).", self.load.say(*level))
            }
            None => format!("{best}, the highest that was tried; not saturated yet."),
        }
    }

    fn why_not(&self, number: usize) -> Option<String> {
        let Rung { level, stage } = self.rungs[number];
        match stage.success_rate {
            None => return Some("no request was answered".to_owned()),
            Some(rate) if rate < MIN_SUCCESS => {
                return Some(format!("{} of requests succeed", show(rate, "share")));
            }
            Some(_) => {}
        }
        if let Some(failed) = stage.thresholds.iter().find(|result| verdict::fails(result)) {
            return Some(format!("{} does not hold", failed.check));
        }
        match self.load {
            Load::Rate => {
                let served = served(stage)?;
                (served < MIN_SERVED * level)
                    .then(|| format!("only {} served", show(served, "requests/s")))
            }
            Load::Concurrency => {
                let lower = self.rungs[..number].iter().filter_map(|rung| throughput(rung.stage));
                let best = lower.fold(0.0, f64::max);
                let here = throughput(stage)?;
                (number > 0 && here < MIN_GAIN * best)
                    .then(|| format!("{} against {}", plain(here, 3), show(best, "requests/s")))
            }
        }
    }
}

fn throughput(stage: &StageSummary) -> Option<f64> {
    stage.throughput.requests_per_second
}

/// Answers per second, without the time that the last answer takes anyway.
fn served(stage: &StageSummary) -> Option<f64> {
    let last_answer_s = stage.metrics.get("e2e").map_or(0.0, |e2e| e2e.p50 / 1e3);
    let seconds = stage.duration_s - last_answer_s;
    (seconds > 0.0).then(|| stage.counts.ok as f64 / seconds)
}
