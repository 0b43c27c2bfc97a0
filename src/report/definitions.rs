//! A run under another tool's definitions, as text.
//!
//! In: what [`definitions`](crate::metrics::definitions) derived. Out: a table per stage, then the
//! formulas. Invariant: the tool is named before any figure, so nobody takes them for ours.

use super::escape::printable;
use super::grid;
use super::look::Look;
use super::view::{Cell, Column, Mood, Table};
use crate::metrics::definitions::{Redefined, Tool};
use crate::metrics::quantity::{plural, significant};
use crate::metrics::summary::Summary;

/// The whole report.
pub fn render(tool: &Tool, stages: &[Redefined], summary: &Summary, look: Look) -> String {
    let run = &summary.run;
    let mut lines = vec![
        look.bold(&printable(&run.plan)),
        look.dim(&format!("run {} · started {}", printable(&run.id), printable(&run.started_at))),
        look.doubtful(&format!("DEFINITIONS OF {}: {}", tool.word, tool.name)),
    ];
    if run.simulated {
        lines.push(look.doubtful("SIMULATED: the embedded simulator answered, not a real server"));
    }
    if stages.is_empty() {
        lines.extend([String::new(), "  No stage has an answered request.".to_owned()]);
    }
    for stage in stages {
        let requests = plural(stage.completed, "answered request");
        lines.push(String::new());
        lines.push(look.bold(&format!("{} ({requests})", printable(&stage.stage))));
        lines.extend(grid::lines(&table(stage), look, &["min", "max", "p90", "std", "samples"]));
        for total in &stage.totals {
            let value = significant(total.value, 4);
            lines.push(format!("  {} {value} {}", total.name, total.unit));
        }
    }
    if !stages.is_empty() {
        lines.extend([String::new(), look.bold("Formulas")]);
        let formulas = tool.figures.iter().map(|it| (it.name, it.formula));
        let totals = tool.totals.iter().map(|it| (it.name, it.formula));
        let all: Vec<_> = formulas.chain(totals).collect();
        let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        lines.extend(all.iter().map(|(name, formula)| format!("  {name:width$}  {formula}")));
        let percentiles = "Percentiles interpolate linearly, as everywhere here.";
        lines.push(look.dim(&format!("  {percentiles}")));
    }
    grid::joined(&lines)
}

fn table(stage: &Redefined) -> Table {
    let names = ["metric", "samples", "mean", "std", "min", "p50", "p90", "p95", "p99", "max"];
    let column = |(at, name): (usize, &&str)| Column { name: (*name).to_owned(), number: at > 0 };
    let cell = |text: String| Cell { text, value: None, mood: Mood::Plain };
    let rows = stage.figures.iter().map(|figure| {
        let it = &figure.value;
        let number = |value: f64| cell(significant(value, 4));
        let unit = if figure.name.ends_with("_ms") || figure.unit.is_empty() {
            String::new()
        } else {
            format!(" ({})", figure.unit)
        };
        vec![
            cell(format!("{}{unit}", figure.name)),
            cell(it.count.to_string()),
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
    Table { columns: names.iter().enumerate().map(column).collect(), rows: rows.collect() }
}
