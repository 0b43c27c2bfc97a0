//! Runs against each other, as a reader should meet them: verdict, findings, table, charts.
//!
//! In: [`Comparison`]s of one base and the evidence behind them. Out: a [`CompareView`] that text,
//! markdown and page share. Invariants: a verdict stands beside its figures and its interval; every
//! text from a plan or a server has passed [`printable`].

mod markdown;
mod pictures;
mod text;

pub use markdown::document as markdown;
pub use text::render as text;

use serde::Serialize;

use super::draw::{Frame, draw};
use super::escape::printable;
use super::scene::Scene;
use super::ticks::plain;
use super::view::{Cell, Column, Fact, Mood, Picture, Table};
use crate::metrics::bootstrap::Estimate;
use crate::metrics::compare::evidence::Evidence;
use crate::metrics::compare::interval::REPLICATES;
use crate::metrics::compare::{Comparison, Difference, Verdict};
use crate::metrics::quantity::{plural, show};
use crate::metrics::saturation::Axis;
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
        ([only], _) => headline(only),
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
        runs: runs.iter().enumerate().map(|(number, arm)| run_fact(number, *arm)).collect(),
        pairs,
        charts: pictures::overlays(runs),
        method: first.map(method).unwrap_or_default(),
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
    let simulated = if view.simulated { "SIMULATED · " } else { "" };
    let runs = view.runs.iter().map(|run| format!("{} {}", run.name, run.value));
    let small_print = runs.collect::<Vec<_>>().join(" · ");
    Scene::sheet(&format!("{simulated}{}: {}", view.title, view.headline), &small_print, charts, 2)
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
    let started = about.started_at.split('.').next().unwrap_or_default();
    let started = started.trim_end_matches('Z');
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
        findings: findings(found),
        flags: flags.map(|flag| clean(&flag)).collect(),
        table: table(found),
        picture: pictures::changes(number, found),
    }
}

/// The largest difference, or that there is none.
fn headline(found: &Comparison) -> String {
    let all = found.stages.len();
    let decided = |verdict: Verdict| {
        let stages = found.stages.iter().filter(move |stage| stage.verdict == verdict);
        stages.flat_map(move |stage| {
            let figures = stage.differences.iter().filter(move |it| it.verdict == Some(verdict));
            figures.map(move |figure| (stage, figure))
        })
    };
    for (verdict, word) in [(Verdict::Worse, "Worse"), (Verdict::Better, "Better")] {
        let largest = decided(verdict).max_by(|a, b| effect(a.1).total_cmp(&effect(b.1)));
        if let Some((stage, figure)) = largest {
            let count = found.stages.iter().filter(|stage| stage.verdict == verdict).count();
            let (stage, change) = (clean(&stage.label), change(figure));
            let stages = plural(all as u64, "stage");
            let figure = name(figure);
            return format!(
                "{word} in {count} of {stages}; most of all {figure} of {stage}: {change}."
            );
        }
    }
    let min = plain(found.method.min_effect * 100.0, 3);
    match found.verdict {
        _ if found.stages.is_empty() => "The runs have no stage in common.".to_owned(),
        Verdict::Same => {
            format!(
                "The same: no certain difference of {min} % or more in {}.",
                plural(all as u64, "stage")
            )
        }
        _ => format!("Not enough data to tell a difference of {min} %."),
    }
}

fn findings(found: &Comparison) -> Vec<String> {
    let min = format!("{} %", plain(found.method.min_effect * 100.0, 3));
    let mut sentences = Vec::new();
    for (verdict, word) in [(Verdict::Worse, "Worse"), (Verdict::Better, "Better")] {
        for stage in &found.stages {
            let mut figures: Vec<&Difference> =
                stage.differences.iter().filter(|it| it.verdict == Some(verdict)).collect();
            if figures.is_empty() {
                continue;
            }
            figures.sort_by(|a, b| effect(b).total_cmp(&effect(a)));
            let all: Vec<String> = figures.iter().map(|figure| in_words(figure)).collect();
            sentences.push(format!("{word} in {}: {}.", clean(&stage.label), all.join("; ")));
        }
    }
    let labels = |verdict: Verdict| -> Vec<String> {
        let stages = found.stages.iter().filter(|stage| stage.verdict == verdict);
        stages.map(|stage| clean(&stage.label)).collect()
    };
    let same = labels(Verdict::Same);
    let undecided = found.stages.iter().filter(|stage| stage.verdict == Verdict::NotEnoughData);
    let open: Vec<String> = undecided
        .map(|stage| {
            let open =
                stage.differences.iter().filter(|it| it.verdict == Some(Verdict::NotEnoughData));
            let figures: Vec<String> = open.map(name).collect();
            format!("{} ({})", clean(&stage.label), figures.join(", "))
        })
        .collect();
    if !same.is_empty() {
        sentences.push(format!("The same, to within {min}: {}.", same.join(", ")));
    }
    if !open.is_empty() {
        sentences.push(format!("Not enough data to tell: {}.", open.join(", ")));
    }
    if found.stages.is_empty() {
        sentences.push("The runs have no stage in common, so there is nothing to compare.".into());
    }
    for capacity in &found.capacity {
        let unit = if capacity.axis == Axis::Rate { " requests/s" } else { " at a time" };
        let level = |level: Option<f64>| {
            level.map_or_else(|| "nothing".to_owned(), |level| format!("{}{unit}", plain(level, 3)))
        };
        let (base, new) = (level(capacity.base), level(capacity.new));
        let stage = clean(&capacity.stage);
        sentences.push(if base == new {
            format!("{stage} sustains {base}, as before.")
        } else {
            format!("{stage} sustains {new}; the base sustained {base}.")
        });
    }
    sentences
}

fn effect(difference: &Difference) -> f64 {
    let share = difference.difference.filter(|_| difference.unit == "share");
    let ratio = difference.ratio.map(|ratio| ratio.value - 1.0);
    ratio.or(share.map(|share| share.value)).map_or(0.0, f64::abs)
}

/// `TTFT p50 261 ms → 287 ms, +10.1 % (95 % CI +9.2 to +10.9 %)`.
fn in_words(difference: &Difference) -> String {
    let figure = |value: Option<f64>| {
        value.map_or_else(|| "–".to_owned(), |value| show(value, &difference.unit))
    };
    let (change, interval) = (change(difference), interval(difference));
    format!(
        "{} {} → {}, {change} (95 % CI {interval})",
        name(difference),
        figure(difference.base),
        figure(difference.new),
    )
}

/// `TTFT p50`.
fn name(difference: &Difference) -> String {
    let metric = match difference.metric.as_str() {
        short @ ("ttft" | "ttfo" | "e2e" | "tpot" | "itl") => short.to_uppercase(),
        "requests_per_second" => "requests/s".to_owned(),
        "output_tokens_per_second" => "tokens/s".to_owned(),
        other => other.replace('_', " "),
    };
    match difference.percentile {
        Some(percentile) => format!("{metric} p{}", plain(percentile, 4)),
        None => metric,
    }
}

/// The change that is judged: relative, or in points where shares are compared.
fn judged(difference: &Difference) -> Option<(Estimate, &'static str)> {
    if difference.unit == "share" {
        return difference.difference.map(|it| (it, "points"));
    }
    let ratio = difference.ratio?;
    let less_one =
        Estimate { value: ratio.value - 1.0, low: ratio.low - 1.0, high: ratio.high - 1.0 };
    Some((less_one, "%"))
}

fn change(difference: &Difference) -> String {
    if let Some((estimate, unit)) = judged(difference) {
        return format!("{} {unit}", signed(estimate.value));
    }
    match difference.base.zip(difference.new) {
        Some((base, new)) if base > 0.0 => format!("{} %", signed(new / base - 1.0)),
        _ => "–".to_owned(),
    }
}

fn interval(difference: &Difference) -> String {
    judged(difference).map_or_else(
        || "–".to_owned(),
        |(it, unit)| format!("{} to {} {unit}", signed(it.low), signed(it.high)),
    )
}

/// A share in percent with its sign.
fn signed(share: f64) -> String {
    let percent = share * 100.0;
    // 9.96 is shown as 10, so that it has no more digits than 10.04.
    let digits = usize::from(percent.abs() < 9.95);
    let text = format!("{:.digits$}", percent.abs());
    if text == "0.0" {
        return "0".to_owned();
    }
    format!("{}{text}", if percent < 0.0 { "−" } else { "+" })
}

const COLUMNS: [(&str, bool); 9] = [
    ("stage", false),
    ("figure", false),
    ("base", true),
    ("new", true),
    ("change", true),
    ("95 % CI", true),
    ("p", true),
    ("verdict", false),
    ("why", false),
];

fn table(found: &Comparison) -> Table {
    let plain_cell = |text: String| Cell { text, value: None, mood: Mood::Plain };
    let mut rows = Vec::new();
    for stage in &found.stages {
        for (number, difference) in stage.differences.iter().enumerate() {
            let figure = |value: Option<f64>| Cell {
                text: value.map_or_else(|| "–".to_owned(), |value| figure_text(value, difference)),
                value,
                mood: Mood::Plain,
            };
            let p = difference.test.as_ref().filter(|_| difference.verdict.is_some());
            let verdict = difference.verdict.map_or_else(
                || plain_cell("–".to_owned()),
                |verdict| Cell { text: verdict.to_string(), value: None, mood: mood(verdict) },
            );
            let label = if number == 0 { clean(&stage.label) } else { String::new() };
            rows.push(vec![
                plain_cell(label),
                plain_cell(name(difference)),
                figure(difference.base),
                figure(difference.new),
                plain_cell(change(difference)),
                plain_cell(interval(difference)),
                plain_cell(p.map_or_else(
                    || "–".to_owned(),
                    |test| crate::metrics::compare::p_value(test.p_adjusted),
                )),
                verdict,
                plain_cell(clean(&difference.reason)),
            ]);
        }
    }
    let column = |(name, number): (&str, bool)| Column { name: name.to_owned(), number };
    Table { columns: COLUMNS.into_iter().map(column).collect(), rows }
}

/// A figure; rates are named by their metric already.
fn figure_text(value: f64, difference: &Difference) -> String {
    let unit = if difference.unit.ends_with("/s") { "" } else { difference.unit.as_str() };
    show(value, unit).trim_end().to_owned()
}

fn method(found: &Comparison) -> Vec<String> {
    let method = &found.method;
    let min = plain(method.min_effect * 100.0, 3);
    let mut sentences = vec![format!(
        "A figure is better or worse when the difference is beyond chance (p under {} after \
             Holm's correction over the {} of the comparison) and at least {min} % (error rates: {} \
             percentage points). It is the same when it is a certain difference smaller than that, or \
             when the 95 % interval lies within ± {min} %. Else there is not enough data.",
        method.alpha,
        plural(method.tests as u64, "test"),
        plain(method.min_share * 100.0, 2),
    )];
    sentences.push(if method.paired {
        "Medians: Wilcoxon's signed-rank test over pairs of requests that were sent one after the \
         other; the change is the median of the ratios within pairs."
            .into()
    } else {
        "Medians: Mann-Whitney U, normal approximation with tie and continuity correction. Other \
         percentiles: the share of each side above the pooled percentile (Mood's test), where ten \
         samples or more lie beyond it. Error rates: two proportions, exact where fewer than five \
         errors are expected."
            .into()
    });
    sentences.push(format!(
        "Intervals: seeded bootstrap of the percentiles, {REPLICATES} resamples; error rates by \
         Newcombe. Requests that resemble their neighbours in time (a queue that builds up) count \
         for less, by their rank correlation."
    ));
    sentences.push(
        "All this is about chance among the requests of these runs. What differed between the runs as \
         a whole (another neighbour on the machine, a warmer GPU) is not chance and looks like a \
         change: repeat runs, or compare endpoints within one run."
            .into(),
    );
    sentences
}
