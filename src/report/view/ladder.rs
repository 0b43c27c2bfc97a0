//! The rungs of a ladder with what they found: how much load the endpoint can sustain.
//!
//! In: the summaries of one stage's rungs, and the run's own verdict on them. Out: a [`Ladder`].
//! Invariants: what is best and what is saturated is what the summary says, so page, terminal and
//! comparison never disagree; the rule is stated with the result ([`Ladder::rule`]).

use crate::metrics::saturation::{Axis, Saturation};
use crate::metrics::search::SearchFound;
use crate::metrics::summary::StageSummary;
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
}
