//! One run as a reader should meet it: verdict, story, tables, charts, in that order.
//!
//! In: what [`compose`] gathers. Out: a [`ReportView`] that serialises, so that a page, a markdown
//! comment or any other document shows the same words. Invariant: every text from a plan or a server has passed
//! [`printable`](super::escape::printable); how to escape it for a format is the format's business.

mod background;
mod compose;
pub(super) mod ladder;
mod moments;
mod pictures;
mod story;
mod tables;
mod tiles;

pub use background::Background;
pub use compose::compose;

use serde::Serialize;

use super::chart::Chart;
use super::definitions::RedefinedView;
use compose::{Group, text};

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
    /// True when a certificate was not checked.
    pub insecure: bool,
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
    /// The figures under another tool's definitions, where those were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redefined: Option<RedefinedView>,
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
    /// `PASS`, `FAIL`, `INVALID`, `INCOMPLETE`, `INTERRUPTED`, `RUNNING`, `DONE`.
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
    /// `pass`, `fail`, `warn`, or `–` where it could not be made.
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
    /// Its steady part and its rounds beside the whole.
    pub parts: Table,
    /// Its stretches, where the plan asks for statistics of each.
    pub windows: Table,
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
    /// What a mark in its cells means, or nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub legend: String,
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

impl Fact {
    /// A fact without small print.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), detail: String::new() }
    }
}
