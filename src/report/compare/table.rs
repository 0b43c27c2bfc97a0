//! Every figure of a comparison in one table.
//!
//! In: a [`Comparison`]. Out: a [`Table`]. Invariant: a verdict stands beside its figures, its
//! interval and its reason.

use super::words::{change, interval, name};
use super::{clean, mood};
use crate::metrics::compare::{Comparison, Difference, p_value};
use crate::metrics::quantity::show;
use crate::report::view::{Cell, Column, Mood, Table};

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

/// A row per figure; only the first of a stage names it.
pub(super) fn table(found: &Comparison) -> Table {
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
                plain_cell(interval(difference).unwrap_or_else(|| "–".to_owned())),
                plain_cell(p.map_or_else(|| "–".to_owned(), |test| p_value(test.p_adjusted))),
                verdict,
                plain_cell(clean(&difference.reason)),
            ]);
        }
    }
    let column = |(name, number): (&str, bool)| Column { name: name.to_owned(), number };
    let columns = COLUMNS.into_iter().map(column).collect();
    Table { columns, rows, legend: String::new() }
}

/// A figure; rates are named by their metric already.
fn figure_text(value: f64, difference: &Difference) -> String {
    let unit = if difference.unit.ends_with("/s") { "" } else { difference.unit.as_str() };
    show(value, unit).trim_end().to_owned()
}
