//! A [`Table`] of a view → lines for a terminal.
//!
//! In: the table and a [`Look`]. Out: lines of text. Invariant: where the terminal is too narrow the
//! columns named first in `go` are left out, and nothing is cut.

use super::look::Look;
use super::view::{Mood, Table};

/// The table with a head and a rule; `go` names the columns to leave out, first ones first.
pub(super) fn lines(table: &Table, look: Look, go: &[&str]) -> Vec<String> {
    if table.rows.is_empty() {
        return Vec::new();
    }
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| {
            let cells = table.rows.iter().map(|row| row[column].text.chars().count());
            cells.chain([table.columns[column].name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut shown: Vec<usize> = (0..table.columns.len()).collect();
    let mut going = go.iter();
    let wide = |shown: &[usize]| shown.iter().map(|at| widths[*at] + 2).sum::<usize>();
    while look.width.is_some_and(|width| wide(&shown) > width) {
        let Some(name) = going.next() else { break };
        shown.retain(|at| table.columns[*at].name != *name);
    }
    let padded = |text: &str, at: usize| {
        let room = " ".repeat(widths[at].saturating_sub(text.chars().count()));
        if table.columns[at].number { format!("  {room}{text}") } else { format!("  {text}{room}") }
    };
    let head: String = shown.iter().map(|at| padded(&table.columns[*at].name, *at)).collect();
    let rule = "─".repeat(head.chars().count().saturating_sub(2));
    let mut lines = vec![look.dim(&head), look.dim(&format!("  {rule}"))];
    for row in &table.rows {
        let cell = |at: &usize| paint(look, row[*at].mood, &padded(&row[*at].text, *at));
        lines.push(shown.iter().map(cell).collect());
    }
    lines
}

/// `text` in the colour of a mood.
pub(super) fn paint(look: Look, mood: Mood, text: &str) -> String {
    match mood {
        Mood::Good => look.good(text),
        Mood::Bad => look.bad(text),
        Mood::Doubtful => look.doubtful(text),
        Mood::Plain => text.to_owned(),
    }
}

/// Lines as one text that ends in a newline, without blanks at their ends.
pub(super) fn joined(lines: &[String]) -> String {
    let mut out = String::new();
    for line in lines {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
