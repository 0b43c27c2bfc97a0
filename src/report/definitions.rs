//! A run under another tool's definitions: as a part of any report, and as text.
//!
//! In: what [`definitions`](crate::metrics::definitions) derived. Out: a [`RedefinedView`], or its
//! text: a table per stage, then the formulas. Invariant: the tool is named before any figure, so
//! nobody takes them for ours.

use serde::Serialize;

use super::escape::{printable, to_the_second};
use super::grid;
use super::look::Look;
use super::marks;
use super::view::{Cell, Column, Fact, Mood, Table};
use crate::metrics::definitions::{Redefined, Tool};
use crate::metrics::quantity::{plural, significant};
use crate::metrics::summary::Summary;

/// The figures of a run as another tool would give them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RedefinedView {
    /// What `--definitions` calls the tool.
    pub word: String,
    /// The tool, and where its formulas stand.
    pub tool: String,
    /// Stages that got answers.
    pub stages: Vec<RedefinedStage>,
    /// Every figure with its formula in our stamps.
    pub formulas: Table,
}

/// The figures of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RedefinedStage {
    /// Stage, cell and rung.
    pub name: String,
    /// How many requests were answered, in words.
    pub answered: String,
    /// Figures of single requests.
    pub figures: Table,
    /// Figures of the whole stage.
    pub totals: Vec<Fact>,
}

/// How a reader must take percentiles of these figures.
pub const PERCENTILES: &str = "Percentiles interpolate linearly, as everywhere here.";

/// Puts together what is to be read.
pub fn compose(tool: &Tool, stages: &[Redefined]) -> RedefinedView {
    let stage = |stage: &Redefined| RedefinedStage {
        name: printable(&stage.stage).into_owned(),
        answered: plural(stage.completed, "answered request"),
        figures: figures(stage),
        totals: stage
            .totals
            .iter()
            .map(|total| {
                let value = significant(total.value, 4);
                Fact::new(total.name, format!("{value} {}", total.unit).trim_end())
            })
            .collect(),
    };
    let figures = tool.figures.iter().map(|it| (it.name, it.unit, it.formula));
    let totals = tool.totals.iter().map(|it| (it.name, it.unit, it.formula));
    let row = |(name, unit, formula): (&str, &str, &str)| {
        [name, unit, formula].map(|text| cell(text.to_owned())).to_vec()
    };
    let column = |name: &str| Column { name: name.to_owned(), number: false };
    RedefinedView {
        word: tool.word.to_owned(),
        tool: tool.name.to_owned(),
        stages: stages.iter().map(stage).collect(),
        formulas: Table {
            columns: ["figure", "unit", "formula"].map(column).to_vec(),
            rows: figures.chain(totals).map(row).collect(),
            legend: String::new(),
        },
    }
}

/// The whole report as text.
pub fn text(view: &RedefinedView, summary: &Summary, look: Look) -> String {
    let run = &summary.run;
    let mut lines = vec![
        look.bold(&printable(&run.plan)),
        look.dim(&format!(
            "run {} · started {}",
            printable(&run.id),
            to_the_second(&printable(&run.started_at))
        )),
        look.doubtful(&format!("DEFINITIONS OF {}: {}", view.word, view.tool)),
    ];
    let marks = marks::sentences(run.simulated, run.insecure);
    lines.extend(marks.map(|mark| look.doubtful(mark)));
    if view.stages.is_empty() {
        lines.extend([String::new(), "  No stage has an answered request.".to_owned()]);
    }
    for stage in &view.stages {
        lines.push(String::new());
        lines.push(look.bold(&format!("{} ({})", stage.name, stage.answered)));
        lines.extend(grid::lines(&stage.figures, look, &["min", "max", "p90", "std", "samples"]));
        for total in &stage.totals {
            lines.push(format!("  {} {}", total.name, total.value));
        }
    }
    if !view.stages.is_empty() {
        lines.extend([String::new(), look.bold("Formulas")]);
        let rows = || view.formulas.rows.iter().filter_map(|row| Some((row.first()?, row.last()?)));
        let width = rows().map(|(name, _)| name.text.len()).max().unwrap_or(0);
        lines.extend(
            rows().map(|(name, formula)| format!("  {:width$}  {}", name.text, formula.text)),
        );
        lines.push(look.dim(&format!("  {PERCENTILES}")));
    }
    grid::joined(&lines)
}

fn cell(text: String) -> Cell {
    Cell { text, value: None, mood: Mood::Plain }
}

fn figures(stage: &Redefined) -> Table {
    let names = ["figure", "samples", "mean", "std", "min", "p50", "p90", "p95", "p99", "max"];
    let column = |(at, name): (usize, &&str)| Column { name: (*name).to_owned(), number: at > 0 };
    let number = |value: f64| Cell { value: Some(value), ..cell(significant(value, 4)) };
    let rows = stage.figures.iter().map(|figure| {
        let it = &figure.value;
        let unit = if figure.name.ends_with("_ms") || figure.unit.is_empty() {
            String::new()
        } else {
            format!(" ({})", figure.unit)
        };
        vec![
            cell(format!("{}{unit}", figure.name)),
            Cell { value: Some(it.count as f64), ..cell(it.count.to_string()) },
            number(it.mean),
            it.std.map_or_else(|| cell("–".to_owned()), number),
            number(it.min),
            number(it.p50),
            number(it.p90),
            number(it.p95),
            number(it.p99),
            number(it.max),
        ]
    });
    let columns = names.iter().enumerate().map(column).collect();
    Table { columns, rows: rows.collect(), legend: String::new() }
}
