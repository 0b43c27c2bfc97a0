//! What may be said of a run: sentences as values.
//!
//! In: a [`Summary`] without its claims. Out: [`Claim`]s, the headline first. Invariants: a claim takes
//! figures and their certainty from the summary and computes no statistics of its own; every number in
//! its text stands among its figures, with the samples it rests on; what its condition asks for was met.
//! Every output shows these sentences and makes none of its own.
//!
//! | file | what it claims |
//! |---|---|
//! | `ending` | how the run ended, and whether anything was answered |
//! | `cache` | what the cache bought, and whether a flush emptied it |
//! | `apart` | that levels met different caches, where that forbids what `load` and `found` would say |
//! | `load` | what the endpoint sustains, by ladders and ramps |
//! | `found` | the same, by searches |
//! | `late` | what was held back, what a closed loop did not see, and when nobody was there |
//! | `stages` | what each stage measured; the run's totals |
//! | `cells` | what several cells of a matrix have in common |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::summary::{Distribution, RunState, RunSummary, StageSummary, Summary};

mod cache;
mod cells;
mod ending;
mod found;
mod kind;
mod late;
mod load;
mod stages;
#[cfg(test)]
mod tests;
mod withheld;
mod words;

pub use ending::Ending;
pub use kind::ClaimKind;
pub(in crate::metrics) use withheld::Withheld;

/// A sentence about a run, with what it is about and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Claim {
    /// What kind of sentence it is.
    pub kind: ClaimKind,
    /// The stage it is about; absent where it is about the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// That stage's cell; absent without a matrix, or where it is about several cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// The level of load it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// The endpoint it is about; absent where it is about several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The stage (of the same cell) that it compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// The figures in it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, ClaimFigure>,
    /// Parts of the sentence that are quoted: messages, checks and reasons, with numbers of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotes: Vec<String>,
    /// When a claim of its kind may be made.
    pub condition: String,
    /// The sentence.
    pub text: String,
}

/// A figure that a claim rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClaimFigure {
    /// Its value.
    pub value: f64,
    /// Its unit: `ms`, `requests/s`, `requests`, `share`, `ratio`, …
    pub unit: String,
    /// The samples it rests on; the fewer of two sides. Absent for what was asked for or counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Lower end of its 95 % interval, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of its 95 % interval, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// What a percentile is at most, with 99 % confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Whose counts tokens are: `server`, `tokenizer`, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// True for a percentile whose `n` is too small to certify it (99 % confidence).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertified: bool,
}

/// Everything that may be said of a run, the headline first.
pub fn of(summary: &Summary) -> Vec<Claim> {
    let mut opening = ending::all_failed(summary);
    let ended = ending::ended(summary);
    let mut found = cache::claims(summary);
    found.extend(load::claims(summary));
    found.extend(found::claims(summary));
    let mut list = cells::claims(summary, &found);
    list.append(&mut found);
    if !list.iter().any(|claim| claim.kind.is_headline()) {
        list.splice(0..0, stages::measured(summary));
    }
    list.extend(late::claims(summary));
    match Ending::of(summary) {
        Ending::Pass | Ending::Done => {
            list.splice(0..0, opening);
            list.push(ended);
        }
        Ending::Fail | Ending::Incomplete => {
            opening.push(ended);
            list.splice(0..0, opening);
        }
        Ending::Running | Ending::Interrupted | Ending::Invalid => {
            opening.insert(0, ended);
            list.splice(0..0, opening);
        }
    }
    list.extend(stages::details(summary));
    list
}

/// Why no conclusions about capacity may be drawn from the run, if so: it went not to its end, or its
/// numbers cannot be trusted.
pub fn withheld(run: &RunSummary) -> Option<&'static str> {
    match run.state {
        RunState::Running => Some("the run still goes on"),
        RunState::Interrupted => Some("a signal ended the run"),
        _ if !run.valid => Some("the run is INVALID: its notes say why"),
        RunState::Aborted => Some("the run never came to its end"),
        RunState::Finished => None,
    }
}

fn is_whole(summary: &Summary) -> bool {
    withheld(&summary.run).is_none()
}

impl Claim {
    fn new(kind: ClaimKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            stage: None,
            cell: None,
            rung: None,
            endpoint: None,
            against: None,
            figures: BTreeMap::new(),
            quotes: Vec::new(),
            condition: kind.condition().to_owned(),
            text: text.into(),
        }
    }

    /// The same about a stage.
    fn about(mut self, stage: &StageSummary) -> Self {
        self.stage = Some(stage.id.clone());
        self.cell.clone_from(&stage.cell);
        self.endpoint = Some(stage.endpoint.clone());
        self
    }

    fn at(mut self, rung: f64) -> Self {
        self.rung = Some(rung);
        self
    }

    fn against(mut self, stage: &StageSummary) -> Self {
        self.against = Some(stage.id.clone());
        self
    }

    fn with(mut self, name: &str, figure: ClaimFigure) -> Self {
        self.figures.insert(name.to_owned(), figure);
        self
    }

    fn with_some(self, name: &str, figure: Option<ClaimFigure>) -> Self {
        match figure {
            Some(figure) => self.with(name, figure),
            None => self,
        }
    }

    fn quoting(mut self, quote: impl Into<String>) -> Self {
        self.quotes.push(quote.into());
        self
    }

    /// Whether it is about that stage (all of its rungs) and cell.
    pub fn is_about(&self, stage: &StageSummary) -> bool {
        self.stage.as_deref() == Some(stage.id.as_str()) && self.cell == stage.cell
    }

    /// The value of one of its figures.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.get(name).map(|figure| figure.value)
    }

    /// The stage it is about, with its cell: `warm[model=a]`.
    pub fn subject(&self) -> Option<String> {
        let stage = self.stage.as_ref()?;
        Some(match &self.cell {
            Some(cell) => format!("{stage}[{cell}]"),
            None => stage.clone(),
        })
    }
}

impl ClaimFigure {
    fn new(value: f64, unit: &str) -> Self {
        Self {
            value,
            unit: unit.to_owned(),
            n: None,
            low: None,
            high: None,
            at_most: None,
            source: None,
            uncertified: false,
        }
    }

    fn count(value: u64, unit: &str) -> Self {
        Self::new(value as f64, unit)
    }

    fn of(value: f64, unit: &str, n: u64) -> Self {
        Self { n: Some(n), ..Self::new(value, unit) }
    }

    /// With its interval, where there is one.
    fn between(self, interval: Option<Estimate>) -> Self {
        let (low, high) = (interval.map(|it| it.low), interval.map(|it| it.high));
        Self { low, high, ..self }
    }

    /// The median of a distribution.
    fn median(of: &Distribution) -> Self {
        Self::of(of.p50, &of.unit, of.count).between(Estimate::of_median(of))
    }

    /// A percentile from the tail of a distribution.
    fn tail(of: &Distribution, percent: f64, value: f64) -> Self {
        let at_most = of.certified.bound(percent);
        Self { at_most, uncertified: at_most.is_none(), ..Self::of(value, &of.unit, of.count) }
    }
}
