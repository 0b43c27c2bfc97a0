//! Runs against each other, as a reader should meet them: verdict, findings, table, charts.
//!
//! In: [`Comparison`]s of one base and the evidence behind them. Out: a [`CompareView`] that text,
//! markdown and page share. Invariants: a verdict stands beside its figures and its interval; every
//! text from a plan or a server has passed [`printable`].

mod markdown;
mod pictures;
mod table;
mod text;
mod words;

pub use markdown::document as markdown;
pub use text::render as text;

use serde::Serialize;

use super::draw::{Frame, draw};
use super::escape::{printable, to_the_second};
use super::marks;
use super::scene::Scene;
use super::view::{Fact, Mood, Picture, Table};
use crate::metrics::compare::evidence::Evidence;
use crate::metrics::compare::{Comparison, Verdict};
use crate::metrics::summary::StageSummary;

/// A comparison, ready to be laid out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompareView {
    /// The base's plan.
    pub title: String,
    /// What was found, in one sentence.
    pub headline: String,
    /// `WORSE`, `BETTER`, `SAME`, `NOT ENOUGH DATA`.
    pub word: &'static str,
    /// How it should look.
    pub mood: Mood,
    /// True when the embedded simulator answered in any of the runs.
    pub simulated: bool,
    /// True when a certificate was not checked in any of the runs.
    pub insecure: bool,
    /// The runs: base first.
    pub runs: Vec<Fact>,
    /// Each new run against the base.
    pub pairs: Vec<PairView>,
    /// All runs over each other.
    pub charts: Vec<Picture>,
    /// How it was judged.
    pub method: Vec<String>,
}

/// One new run against the base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairView {
    /// Unique within the page, safe in a URL.
    pub anchor: String,
    /// The new run, and what it is held against.
    pub name: String,
    /// The verdict's word.
    pub word: &'static str,
    /// How it should look.
    pub mood: Mood,
    /// What was found, in sentences.
    pub findings: Vec<String>,
    /// What else differs between the two.
    pub flags: Vec<String>,
    /// Every figure.
    pub table: Table,
    /// Changes with their intervals, as a picture.
    pub picture: Option<Picture>,
}

/// What one side of a comparison is made of.
#[derive(Debug, Clone, Copy)]
pub struct Arm<'a> {
    /// The run.
    pub run: &'a Evidence,
    /// The one cell of it that takes part; all of it unless given.
    pub cell: Option<&'a str>,
}

impl<'a> Arm<'a> {
    /// The stages that take part.
    fn stages(self) -> impl Iterator<Item = &'a StageSummary> {
        let wanted =
            move |stage: &&StageSummary| self.cell.is_none() || stage.cell.as_deref() == self.cell;
        self.run.measured().filter(wanted)
    }

    /// The stage that stands to `stage` of another arm.
    fn matching(self, stage: &StageSummary) -> Option<&'a StageSummary> {
        let bits = stage.rung.map(f64::to_bits);
        self.stages().find(|own| {
            own.id == stage.id
                && own.rung.map(f64::to_bits) == bits
                && (self.cell.is_some() || own.cell == stage.cell)
        })
    }
}

/// Puts together what is to be read of `comparisons`; `runs` are the base and the new sides in the
/// same order.
pub fn compose(comparisons: &[Comparison], runs: &[Arm]) -> CompareView {
    let verdict = worst(comparisons.iter().map(|found| found.verdict));
    let first = comparisons.first();
    let pairs: Vec<PairView> =
        comparisons.iter().enumerate().map(|(number, found)| pair(number, found)).collect();
    let headline = match (comparisons, pairs.as_slice()) {
        ([only], _) => words::headline(only),
        (_, several) => several
            .iter()
            .map(|pair| format!("{}: {}", pair.name, pair.word.to_lowercase()))
            .collect::<Vec<_>>()
            .join("; "),
    };
    CompareView {
        title: first.map_or_else(String::new, |found| clean(&found.base.plan)),
        headline,
        word: word(verdict),
        mood: mood(verdict),
        simulated: runs.iter().any(|arm| arm.run.summary.run.simulated),
        insecure: runs.iter().any(|arm| arm.run.summary.run.insecure),
        runs: runs.iter().enumerate().map(|(number, arm)| run_fact(number, *arm)).collect(),
        pairs,
        charts: pictures::overlays(runs),
        method: first.map(words::method).unwrap_or_default(),
    }
}

/// Every picture of the view.
pub fn all_pictures(view: &CompareView) -> impl Iterator<Item = &Picture> {
    view.pairs.iter().filter_map(|pair| pair.picture.as_ref()).chain(&view.charts)
}

/// Every chart on one sheet.
pub fn sheet(view: &CompareView) -> Scene {
    let frame = Frame { width: 460.0, height: 300.0, titled: true, left: 0.0 };
    let charts = all_pictures(view).map(|picture| draw(&picture.chart, frame)).collect();
    let mark = marks::prefix(view.simulated, view.insecure);
    let runs = view.runs.iter().map(|run| format!("{} {}", run.name, run.value));
    let small_print = runs.collect::<Vec<_>>().join(" · ");
    Scene::sheet(&format!("{mark}{}: {}", view.title, view.headline), &small_print, charts, 2)
}

fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Worse => 3,
        Verdict::NotEnoughData => 2,
        Verdict::Better => 1,
        Verdict::Same => 0,
    };
    verdicts.max_by_key(rank).unwrap_or(Verdict::NotEnoughData)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "BETTER",
        Verdict::Worse => "WORSE",
        Verdict::Same => "SAME",
        Verdict::NotEnoughData => "NOT ENOUGH DATA",
    }
}

fn mood(verdict: Verdict) -> Mood {
    match verdict {
        Verdict::Better => Mood::Good,
        Verdict::Worse => Mood::Bad,
        Verdict::Same => Mood::Plain,
        Verdict::NotEnoughData => Mood::Doubtful,
    }
}

fn clean(text: &str) -> String {
    printable(text).into_owned()
}

fn run_fact(number: usize, arm: Arm) -> Fact {
    let about = &arm.run.summary.run;
    let started = to_the_second(&about.started_at);
    let mut detail = format!("run {} · started {started}", about.id);
    let mut targets: Vec<String> = Vec::new();
    for stage in arm.stages() {
        let model = stage.model.as_deref().map_or_else(String::new, |model| format!("{model} on "));
        let target = format!("{model}{}", stage.endpoint);
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    for target in &targets {
        detail.push_str(" · ");
        detail.push_str(target);
    }
    let role = if number == 0 { "base" } else { "new" };
    Fact {
        name: role.to_owned(),
        value: clean(arm.cell.unwrap_or(&arm.run.name)),
        detail: clean(&detail),
    }
}

fn pair(number: usize, found: &Comparison) -> PairView {
    let paired = if found.method.paired { " (paired)" } else { "" };
    let stage_flags = found
        .stages
        .iter()
        .flat_map(|stage| stage.flags.iter().map(|flag| format!("{}: {flag}", stage.label)));
    let only = [("base", &found.only_base), ("new run", &found.only_new)];
    let only = only
        .into_iter()
        .filter(|(_, stages)| !stages.is_empty())
        .map(|(whose, stages)| format!("only in the {whose}: {}", stages.join(", ")));
    let flags = found.flags.iter().cloned().chain(stage_flags).chain(only);
    PairView {
        anchor: format!("pair-{}", number + 1),
        name: clean(&format!("{} against {}{paired}", found.new.name, found.base.name)),
        word: word(found.verdict),
        mood: mood(found.verdict),
        findings: words::findings(found),
        flags: flags.map(|flag| clean(&flag)).collect(),
        table: table::table(found),
        picture: pictures::changes(number, found),
    }
}
