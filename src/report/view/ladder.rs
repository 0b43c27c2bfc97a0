//! The rungs of a ladder with what they found: how much load the endpoint can sustain.
//!
//! In: the summaries of one stage's rungs, and the run's own verdict on them. Out: a [`Ladder`].
//! Invariants: what is best and what is saturated is what the summary says, so page, terminal and
//! comparison never disagree; the rule is stated with the result ([`Ladder::rule`]).

use super::Mood;
use crate::metrics::saturation::{Axis, Saturation};
use crate::metrics::search::{SearchFound, Verdict};
use crate::metrics::summary::StageSummary;
use crate::record::StageState;
use crate::report::ticks::plain;

/// A stage that ran at several levels of load.
#[derive(Debug, Clone)]
pub struct Ladder<'a> {
    /// Its rungs of which something was sent, lowest first.
    pub rungs: Vec<Rung<'a>>,
    /// The others: skipped, or interrupted before them.
    pub unsent: Vec<Rung<'a>>,
    /// What its levels count.
    pub load: Load,
    /// The highest sustainable level.
    pub best: Option<f64>,
    /// The lowest level that is saturated.
    pub saturated: Option<f64>,
    /// What it found, when it is a ladder or a ramp.
    pub saturation: Option<&'a Saturation>,
    /// What it found, when it is a search.
    pub search: Option<&'a SearchFound>,
}

/// What was found of a stage's rungs.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// By trying one level after another.
    Saturation(&'a Saturation),
    /// By searching.
    Search(&'a SearchFound),
}

/// One level of load.
#[derive(Debug, Clone, Copy)]
pub struct Rung<'a> {
    /// The level.
    pub level: f64,
    /// Its numbers.
    pub stage: &'a StageSummary,
}

impl Rung<'_> {
    /// ` #5` for the fifth probe of a search, which may try a level twice.
    pub fn number(&self) -> String {
        let probe = self.stage.probe.as_ref();
        probe.map_or_else(String::new, |probe| format!(" #{}", probe.search.probe + 1))
    }
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
    fn of(axis: Axis) -> Self {
        match axis {
            Axis::Rate => Self::Rate,
            Axis::Concurrency => Self::Concurrency,
        }
    }

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
            Self::Rate => format!("{} requests/s", plain(level, 4)),
            Self::Concurrency => format!("concurrency {}", plain(level, 4)),
        }
    }
}

impl<'a> Ladder<'a> {
    /// The ladder that these rungs of one stage make; none without a rung that was run. Of a search
    /// they are the probes.
    pub fn new(stages: &[&'a StageSummary], found: Option<Found<'a>>) -> Option<Self> {
        let rung = |stage: &&'a StageSummary| Some(Rung { level: stage.rung?, stage });
        let mut rungs: Vec<Rung> = stages.iter().filter_map(rung).collect();
        rungs.sort_by(|left, right| left.level.total_cmp(&right.level));
        let (rungs, unsent): (Vec<_>, Vec<_>) = rungs.into_iter().partition(|rung| {
            let counts = &rung.stage.counts;
            counts.accounted() != counts.never_started
        });
        let is_rate = rungs.first()?.stage.kind == "qps_ladder";
        let load = if is_rate { Load::Rate } else { Load::Concurrency };
        let none = Self {
            rungs,
            unsent,
            load,
            best: None,
            saturated: None,
            saturation: None,
            search: None,
        };
        Some(match found {
            None => none,
            Some(Found::Saturation(found)) => Self {
                load: Load::of(found.axis),
                best: found.sustainable,
                saturated: found.saturated_at,
                saturation: Some(found),
                ..none
            },
            Some(Found::Search(found)) => Self {
                load: Load::of(found.axis),
                best: found.best,
                saturated: found.failed_at,
                search: Some(found),
                ..none
            },
        })
    }

    /// The rule behind `best`, in a sentence.
    pub fn rule(&self) -> &'static str {
        if self.search.is_some() {
            return "A search doubles its level until one fails, then narrows the bracket and tries \
                    both of its ends again. A level holds when its thresholds do, at least 99 % of \
                    its requests are answered (unless a threshold names errors), and a rate is kept \
                    up with: by itself, or, where the endpoint falls behind at higher rates, by the \
                    limit that all probes together give.";
        }
        match self.load {
            Load::Rate => {
                "A rate is sustainable when at least 99 % of its requests are answered, the endpoint \
                 keeps up with it (the backlog of requests that were due and had not ended does not \
                 grow together with the wait, by more than chance), its thresholds hold, and so is \
                 every lower rate. A rate above what the endpoint answers at best, as closely as that \
                 is known, can't be told. Latency alone saturates no rate."
            }
            Load::Concurrency => {
                "The best concurrency is the lowest beyond which no level adds 5 % of throughput, and a \
                 tenth for each doubling of the median latency (TTFT or E2E, whichever grows more), \
                 with at least 99 % of requests answered and thresholds held there and below. A level \
                 counts where as many requests as it asks for were under way at once."
            }
        }
    }

    /// What was found of a level: first what its own requests say, then where it lies on the self.
    pub fn verdict(&self, rung: &Rung) -> (&'static str, Mood) {
        let stage = rung.stage;
        if stage.counts.planned > 0 && stage.counts.planned == stage.counts.never_started {
            return ("not sent", Mood::Doubtful);
        }
        match stage.probe.as_ref().map(|probe| probe.verdict) {
            Some(Verdict::Pass) => return ("holds", Mood::Good),
            Some(Verdict::Fail) => return ("does not hold", Mood::Bad),
            Some(Verdict::Inconclusive) => return ("can't be told", Mood::Doubtful),
            None => {}
        }
        match stage.state {
            StageState::Failed => return ("failed", Mood::Bad),
            StageState::Interrupted => return ("cut short", Mood::Doubtful),
            StageState::Skipped => return ("not sent", Mood::Doubtful),
            StageState::Completed => {}
        }
        let is = |levels: &[f64]| levels.contains(&rung.level);
        if stage.counts.ok == 0 {
            let sent = stage.counts.errors + stage.counts.cancelled + stage.counts.lost_in_flight;
            return match sent {
                0 => ("measured nothing", Mood::Doubtful),
                _ => ("failed", Mood::Bad),
            };
        }
        if stage.level_missed().is_some() {
            return ("not reached", Mood::Doubtful);
        }
        let Some(found) = self.saturation else { return ("not judged", Mood::Plain) };
        if is(&found.generator_limited) {
            ("generator limited", Mood::Doubtful)
        } else if self.best == Some(rung.level) {
            ("best", Mood::Good)
        } else if is(&found.unclear) {
            ("can't be told", Mood::Doubtful)
        } else if found.incomplete
            || found.withheld.is_some()
            || self.best.or(self.saturated).is_none()
        {
            ("not judged", Mood::Plain)
        } else if is(&found.held_above) {
            ("held", Mood::Plain)
        } else if self.saturated.is_some_and(|saturated| rung.level >= saturated) {
            if stage.counts.errors > 0 && stage.success_rate.is_some_and(|rate| rate < 0.99) {
                return ("requests fail", Mood::Bad);
            }
            ("saturated", Mood::Bad)
        } else {
            ("ok", Mood::Plain)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::saturation::of_stages;
    use crate::metrics::summary::LoadSummary;
    use crate::metrics::tally::StageTally;
    use crate::metrics::tally::fixture::stage_start;

    /// A level of concurrency: so many of its ten requests answered, so many under way at once.
    fn level(rung: u32, ok: u64, peak: u64) -> StageSummary {
        let stage = StageTally::new(stage_start(10)).close(None).0.summary;
        let mut stage = StageSummary { rung: Some(rung.into()), ..stage };
        stage.kind = "concurrency_ramp".into();
        stage.state = StageState::Completed;
        stage.counts = crate::metrics::summary::Counts {
            planned: 10,
            ok,
            errors: 10 - ok,
            ..Default::default()
        };
        let load = serde_json::json!({
            "achieved_rate": (ok > 0).then_some(rung),
            "achieved_interval": [f64::from(rung) - 0.1, f64::from(rung) + 0.1],
            "generator_limited": false,
            "peak_in_flight": peak,
            "pauses": false,
        });
        stage.load = Some(serde_json::from_value(load).expect("a load"));
        stage
    }

    fn words(stages: &[StageSummary]) -> Vec<&'static str> {
        let found = of_stages(stages);
        let found = found.values().next().map(Found::Saturation);
        let ladder = Ladder::new(&stages.iter().collect::<Vec<_>>(), found).expect("a ladder");
        ladder.rungs.iter().map(|rung| ladder.verdict(rung).0).collect()
    }

    #[test]
    fn a_level_that_was_never_sent_stands_beside_the_others() {
        let mut stages = [level(1, 10, 1), level(2, 0, 0), level(4, 0, 0), level(8, 10, 8)];
        for (stage, state) in [(1, StageState::Skipped), (2, StageState::Interrupted)] {
            let counts = &mut stages[stage].counts;
            (counts.errors, counts.never_started) = (0, 10);
            stages[stage].state = state;
        }
        let stages: Vec<&StageSummary> = stages.iter().collect();
        let ladder = Ladder::new(&stages, None).expect("a ladder");
        let words = |rungs: &[Rung]| -> Vec<&str> {
            rungs.iter().map(|rung| ladder.verdict(rung).0).collect()
        };
        assert_eq!(words(&ladder.rungs), ["not judged", "not judged"]);
        assert_eq!(words(&ladder.unsent), ["not sent", "not sent"]);
    }

    #[test]
    fn only_a_level_that_was_judged_and_held_is_ok() {
        let ramp = [level(1, 10, 1), level(2, 10, 2), level(4, 10, 4)];
        assert_eq!(words(&ramp), ["ok", "ok", "best"]);
        let mut failing = ramp.to_vec();
        failing.extend([level(8, 10, 5), level(16, 0, 16), level(32, 5, 32)]);
        assert_eq!(words(&failing), ["ok", "ok", "best", "not reached", "failed", "saturated"]);
        let mut cut = ramp.to_vec();
        cut[2].state = StageState::Interrupted;
        assert_eq!(words(&cut), ["not judged", "not judged", "cut short"]);
        cut[2].state = StageState::Failed;
        assert_eq!(words(&cut), ["not judged", "not judged", "failed"]);
        assert_eq!(words(&[level(1, 0, 1), level(2, 0, 2)]), ["failed", "failed"]);
        let mut short = ramp.to_vec();
        short[2].load = short[2].load.map(|it| LoadSummary { achieved_interval: None, ..it });
        assert_eq!(words(&short), ["ok", "best", "can't be told"]);
    }
}
