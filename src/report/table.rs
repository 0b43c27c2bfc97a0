//! Columns of text under heads of two lines: name and unit.
//!
//! In: columns. Out: lines of text. Invariants: one unit per column, stated in its head, so that figures
//! can be compared by looking down; where the terminal is too narrow, the least telling columns go first
//! and no figure is cut.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::escape::columns as columns_of;
use super::look::Look;
use crate::metrics::certified;

/// What stands where there is nothing to say.
pub(super) const NOTHING: &str = "–";

/// One column; those with the highest `goes` are left out first, those with 0 never.
pub(super) struct Column {
    pub(super) head: String,
    pub(super) unit: String,
    pub(super) right: bool,
    pub(super) goes: u8,
    pub(super) cells: Vec<String>,
    /// The percentile in it, of a tail that has a mark somewhere.
    pub(super) percent: Option<f64>,
}

impl Column {
    /// A column of words.
    pub(super) fn words(head: &str, goes: u8, cells: Vec<String>) -> Self {
        let (head, unit) = (head.to_owned(), String::new());
        Self { head, unit, right: false, goes, cells, percent: None }
    }

    /// A column of numbers.
    pub(super) fn numbers(head: &str, unit: &str, goes: u8, cells: Vec<String>) -> Self {
        Self { right: true, unit: unit.to_owned(), ..Self::words(head, goes, cells) }
    }

    fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim_end() == NOTHING)
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| columns_of(cell)).max().unwrap_or(0)
    }

    /// Names of cells of a matrix in several lines.
    fn break_names(&mut self) {
        for cell in &mut self.cells {
            *cell = cell.replace('[', "\n  [").replace(',', ",\n   ");
        }
    }
}

/// The table, at most as wide as the terminal if that can be had.
pub(super) fn render(mut columns: Vec<Column>, look: Look) -> Vec<String> {
    columns.retain(|column| !column.is_empty());
    let mut names_are_broken = false;
    loop {
        let lines = draw(&columns);
        let widest = lines.iter().map(|line| columns_of(line)).max().unwrap_or(0);
        let is_wide = look.width.is_some_and(|width| widest > width);
        let last = columns.iter().map(|column| column.goes).max().filter(|goes| *goes > 0);
        let names = columns.first().map_or(0, Column::width);
        let has_long_names = look.width.is_some_and(|width| names > width / 2);
        match last.filter(|_| names_are_broken || !has_long_names) {
            Some(goes) if is_wide => {
                // The last of them, so that as much is left as there is room for.
                if let Some(place) = columns.iter().rposition(|column| column.goes == goes) {
                    columns.remove(place);
                }
            }
            None if is_wide && !names_are_broken => {
                columns.iter_mut().take(1).for_each(Column::break_names);
                names_are_broken = true;
            }
            _ => return with_head(lines, &columns, look),
        }
    }
}

fn draw(columns: &[Column]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let aligned = |column: &Column, text: &str| {
        let alignment = if column.right { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(alignment)
    };
    let head = |column: &Column| aligned(column, &format!("{}\n{}", column.head, column.unit));
    table.set_header(columns.iter().map(head).collect::<Vec<Cell>>());
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        table.add_row(columns.iter().map(|c| aligned(c, &c.cells[row])).collect::<Vec<Cell>>());
    }
    table.lines().map(|line| format!(" {}", line.trim_end())).collect()
}

/// Sets the two lines of names and units off from the figures.
fn with_head(mut lines: Vec<String>, columns: &[Column], look: Look) -> Vec<String> {
    let widest = lines.iter().map(|line| columns_of(line)).max().unwrap_or(0);
    let figures = lines.split_off(lines.len().min(2));
    let rule = format!("  {}", "─".repeat(widest.saturating_sub(2)));
    lines.push(rule);
    let mut marked: Vec<f64> = columns.iter().filter_map(|column| column.percent).collect();
    marked.sort_by(f64::total_cmp);
    marked.dedup();
    let legend = (!marked.is_empty()).then(|| look.wrap("  ", 4, &certified::legend(&marked)));
    let legend = legend.into_iter().flatten().map(|line| look.dim(&line));
    lines.iter().map(|line| look.dim(line)).chain(figures).chain(legend).collect()
}
