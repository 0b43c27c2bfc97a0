//! One run as a reader should meet it: verdict, story, tables, charts, in that order.
//!
//! In: a [`Summary`], the [`RunSamples`] of the same lines, what else is known ([`Background`]).
//! Out: a [`ReportView`] that serialises, so that a page, a markdown comment or any other document
//! shows the same words. Invariant: every text from a plan or a server has passed
//! [`printable`]; how to escape it for a format is the format's business.

mod comparison;
mod ladder;
mod pictures;
mod story;
mod tables;

use std::collections::BTreeSet;

use serde::Serialize;

use super::chart::{Chart, Tone};
use super::escape::printable;
use super::samples::{RunSamples, StageSamples};
use super::server;
use super::tokens;
use crate::metrics::summary::{StageSummary, Summary};
use crate::metrics::token_account::by_stage;
use crate::plan::{Endpoint, Plan, Target};
use ladder::Ladder;

/// A run, ready to be laid out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportView {
    /// The plan's name.
    pub title: String,
    /// What the plan is for, or nothing.
    pub purpose: String,
    /// What the run found, in one sentence.
    pub headline: String,
    /// What else it found.
    pub findings: Vec<String>,
    /// Whether it passed.
    pub verdict: Verdict,
    /// True when the embedded simulator answered.
    pub simulated: bool,
    /// What a reader must know before trusting any number.
    pub notes: Vec<String>,
    /// Facts that name the run: id, start, seed, version.
    pub facts: Vec<Fact>,
    /// The few figures that sum it up.
    pub tiles: Vec<Fact>,
    /// Every judged threshold.
    pub thresholds: Vec<Check>,
    /// Every reported stage and rung in one table.
    pub overview: Table,
    /// Charts over all stages: TTFT side by side, then distributions.
    pub comparisons: Vec<Picture>,
    /// The story of each stage.
    pub stages: Vec<StageView>,
    /// What went on at each moment; all share one horizontal axis.
    pub timeline: Vec<Picture>,
    /// Failed requests by class.
    pub errors: Table,
    /// Examples of failed requests.
    pub failures: Vec<FailureView>,
    /// The stages as they were asked for.
    pub plan: Table,
    /// Declared params with their values.
    pub params: Vec<Fact>,
    /// Where it ran and against what.
    pub environment: Vec<Fact>,
    /// What each metric means.
    pub definitions: Table,
    /// How samples, intervals and dots were chosen.
    pub method: Vec<String>,
}

/// Whether a run passed, in a word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `PASSED`, `FAILED`, `INVALID`, `INCOMPLETE`, `INTERRUPTED`, `RUNNING`, `DONE`.
    pub word: &'static str,
    /// How it should look.
    pub mood: Mood,
    /// Why.
    pub reason: String,
    /// The exit code of `runner run`.
    pub exit_code: i32,
}

/// How a word should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// As hoped.
    Good,
    /// Worth a look.
    Doubtful,
    /// Not as hoped.
    Bad,
    /// Neither.
    Plain,
}

/// A name and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// The value in words.
    pub value: String,
    /// One more line in small print, or nothing.
    pub detail: String,
}

/// One judged threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The stage it was asked of.
    pub stage: String,
    /// The check as written.
    pub check: String,
    /// `pass`, `fail` or `warn`.
    pub word: &'static str,
    /// How it should look.
    pub mood: Mood,
    /// What was found.
    pub reason: String,
    /// Where it stands in the plan.
    pub location: String,
}

/// The story of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageView {
    /// Unique within the page, safe in a URL.
    pub anchor: String,
    /// Its id and cell.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Words about its state: cache verdict, flush, how it ended.
    pub chips: Vec<Chip>,
    /// What happened, in sentences.
    pub story: Vec<String>,
    /// Its distributions, metric by metric.
    pub metrics: Table,
    /// Its rungs, when it is a ladder.
    pub rungs: Table,
    /// The attempts of a flush.
    pub attempts: Table,
    /// Its own charts.
    pub charts: Vec<Picture>,
}

/// A word about a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chip {
    /// The word.
    pub text: String,
    /// How it should look.
    pub mood: Mood,
}

/// A chart with its place in the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    /// Unique within the report, safe in a URL and as a file name.
    pub id: String,
    /// How to read it, in a sentence.
    pub caption: String,
    /// The chart.
    pub chart: Chart,
}

/// A failed request as an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureView {
    /// Stage and number of the request.
    pub request: String,
    /// Its class.
    pub class: String,
    /// When it was sent.
    pub sent: String,
    /// What went wrong.
    pub message: String,
    /// The beginning of what the server sent, or nothing.
    pub raw: String,
}

/// Rows under named columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with one cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// True for numbers, which are set flush right.
    pub number: bool,
}

/// A cell of a [`Table`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// The number behind it, to sort by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// How it should look.
    pub mood: Mood,
}

/// What the record log and the summary do not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Background {
    /// What the plan is for.
    pub description: Option<String>,
    /// Declared params (secret ones redacted): name, value, where it came from.
    pub params: Vec<Fact>,
    /// Machine, endpoints, command line: name and value.
    pub environment: Vec<Fact>,
}

impl Background {
    /// What a plan says of itself, and this machine.
    pub fn of(plan: &Plan) -> Self {
        let shown = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let params = plan.params.iter().map(|param| Fact {
            name: param.name.clone(),
            value: if param.secret { "***".to_owned() } else { shown(&param.value) },
            detail: param.source.clone(),
        });
        let mut environment: Vec<Fact> = Vec::new();
        for stage in &plan.stages {
            let endpoint = endpoint(&stage.endpoint);
            if !environment.contains(&endpoint) {
                environment.push(endpoint);
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        environment.push(Fact::new("machine", format!("{os} {arch}, {cores} cores")));
        environment.push(Fact::new("plan", plan.path.display().to_string()));
        environment.extend(plan.tags.iter().map(|(name, value)| Fact::new(name, value)));
        Self { description: plan.description.clone(), params: params.collect(), environment }
    }
}

/// An endpoint without user, password or key.
fn endpoint(endpoint: &Endpoint) -> Fact {
    let target = match &endpoint.target {
        Target::Url(url) => {
            let mut url = url.clone();
            // Both fail only for URLs that can't hold them.
            let _no_password = url.set_password(None);
            let _no_user = url.set_username("");
            url.to_string()
        }
        Target::Simulator(_) => "embedded simulator".to_owned(),
    };
    let insecure = if endpoint.insecure { "any certificate accepted" } else { "" };
    Fact { detail: insecure.to_owned(), ..Fact::new(format!("endpoint {}", endpoint.name), target) }
}

impl Fact {
    /// A fact without small print.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), detail: String::new() }
    }
}

/// A stage (or a whole ladder) with all that is known of it.
struct Group<'a> {
    /// Its colour in every chart.
    tone: Tone,
    /// Its summaries: one, or one per rung.
    stages: Vec<&'a StageSummary>,
    /// What was sampled of each.
    samples: Vec<Option<&'a StageSamples>>,
    /// Set when it has rungs.
    ladder: Option<Ladder<'a>>,
}

impl<'a> Group<'a> {
    /// The one stage, or the first rung.
    fn first(&self) -> &'a StageSummary {
        self.stages[0]
    }

    /// Its id and cell, without rung.
    fn name(&self) -> String {
        let first = self.first();
        let cell = first.cell.as_ref().map(|cell| format!("[{cell}]")).unwrap_or_default();
        printable(&format!("{}{cell}", first.id)).into_owned()
    }
}

/// Puts together what is to be read of a run.
pub fn compose(summary: &Summary, samples: &RunSamples, background: &Background) -> ReportView {
    let groups = groups(summary, samples);
    let comparisons = comparison::compare(&groups, summary.run.seed);
    let run = &summary.run;
    let (headline, findings) = story::findings(&groups, &comparisons);
    ReportView {
        title: text(&run.plan),
        purpose: background.description.as_deref().map(text).unwrap_or_default(),
        headline,
        findings,
        verdict: story::verdict(summary),
        simulated: run.simulated,
        notes: run.notes.iter().map(|note| text(note)).collect(),
        facts: tables::run_facts(summary, samples),
        tiles: story::tiles(summary, &groups, &comparisons),
        thresholds: tables::checks(summary),
        overview: tables::overview(&groups),
        comparisons: pictures::comparisons(&groups, run.seed),
        stages: stage_views(&groups, &comparisons, run.seed),
        timeline: pictures::timeline(&groups, samples),
        errors: tables::errors(&groups),
        failures: tables::failures(&groups),
        plan: tables::plan(samples),
        params: background.params.iter().map(fact).collect(),
        environment: background.environment.iter().map(fact).collect(),
        definitions: tables::definitions(),
        method: story::method(&groups),
    }
}

fn groups<'a>(summary: &'a Summary, samples: &'a RunSamples) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for stage in summary.stages.iter().filter(|stage| stage.reported) {
        let seen = samples.of_summary(stage);
        let same = |group: &&mut Group| {
            let first = group.first();
            first.id == stage.id && first.cell == stage.cell && stage.rung.is_some()
        };
        if let Some(group) = groups.iter_mut().find(same) {
            group.stages.push(stage);
            group.samples.push(seen);
        } else {
            let tone = Tone::Ink;
            groups.push(Group { tone, stages: vec![stage], samples: vec![seen], ladder: None });
        }
    }
    let mut next = 0;
    for group in &mut groups {
        // Only stages that sent something take a colour away.
        if group.first().counts.planned > 0 {
            group.tone = Tone::Series(next);
            next = next.wrapping_add(1);
        }
        let rungs: Vec<_> =
            group.stages.iter().copied().zip(group.samples.iter().copied()).collect();
        let found = summary.searches.get(&search_key(group.first()));
        group.ladder = Ladder::new(&rungs, found);
    }
    groups
}

/// The name of a stage among a summary's searches.
fn search_key(stage: &StageSummary) -> String {
    stage.cell.as_ref().map_or_else(|| stage.id.clone(), |cell| format!("{}[{cell}]", stage.id))
}

fn stage_views(
    groups: &[Group],
    comparisons: &[comparison::Comparison],
    seed: u64,
) -> Vec<StageView> {
    let mut anchors = BTreeSet::new();
    let view = |(number, group): (usize, &Group)| {
        let first = group.first();
        let anchor = anchor(&group.name(), &mut anchors);
        StageView {
            name: group.name(),
            kind: text(&first.kind),
            chips: story::chips(group),
            story: {
                let mut told = story::stage(group, number, comparisons, seed);
                let facts = server::facts(first);
                if !facts.is_empty() && group.ladder.is_none() {
                    told.push(format!("By the server's own account: {}.", facts.join(", ")));
                }
                let account = by_stage(group.stages.iter().copied()).pop();
                if let Some(words) = account.and_then(|(_, account)| tokens::in_words(&account)) {
                    told.push(format!("Tokens of {words}."));
                }
                told
            },
            metrics: tables::metrics(group),
            rungs: tables::rungs(group),
            attempts: tables::attempts(group),
            charts: pictures::stage(group, &anchor),
            anchor,
        }
    };
    groups.iter().enumerate().map(view).collect()
}

/// Letters, digits and dashes of `name`, with a number when that is taken.
fn anchor(name: &str, taken: &mut BTreeSet<String>) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let base: String = name.chars().take(60).map(safe).collect();
    let mut anchor = base.clone();
    for number in 2.. {
        if taken.insert(anchor.clone()) {
            break;
        }
        anchor = format!("{base}-{number}");
    }
    anchor
}

/// Longest piece of text from elsewhere that a report shows, in characters.
const LONGEST: usize = 600;

/// Text from a plan or a server, made harmless and not endless.
fn text(raw: &str) -> String {
    let mut letters = raw.chars();
    let short: String = letters.by_ref().take(LONGEST).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    format!("{}{more}", printable(&short))
}

fn fact(fact: &Fact) -> Fact {
    Fact { name: text(&fact.name), value: text(&fact.value), detail: text(&fact.detail) }
}
