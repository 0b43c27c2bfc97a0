//! A comparison on a terminal (or in a CI log).
//!
//! In: a [`CompareView`] and a [`Look`]. Out: text that ends in a newline. Invariant: where the
//! terminal is too narrow the least telling columns go first, and nothing is cut.

use super::{CompareView, PairView};
use crate::report::look::Look;
use crate::report::view::{Mood, Table};

/// Columns in the order in which they are left out where there is no room.
const GO: [&str; 4] = ["why", "p", "95 % CI", "base"];

/// The whole comparison.
pub fn render(view: &CompareView, look: Look) -> String {
    let mut lines = vec![look.bold(&view.title)];
    for run in &view.runs {
        lines.push(format!("{:<4}  {}", run.name, run.value));
        lines.push(look.dim(&format!("      {}", run.detail)));
    }
    if view.simulated {
        lines.push(look.doubtful("SIMULATED: the embedded simulator answered, not a real server"));
    }
    for pair in &view.pairs {
        lines.push(String::new());
        if view.pairs.len() > 1 {
            lines.push(look.bold(&pair.name));
        }
        lines.extend(table(&pair.table, look));
        if !pair.flags.is_empty() {
            lines.push(String::new());
            lines.extend(pair.flags.iter().map(|flag| look.doubtful(&format!("  ! {flag}"))));
        }
        lines.push(String::new());
        lines.extend(verdict(pair, look));
    }
    let mut out = String::new();
    for line in lines {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn verdict(pair: &PairView, look: Look) -> Vec<String> {
    let stamp = paint(look, pair.mood, pair.word);
    let mut lines: Vec<String> = pair.findings.iter().map(|line| format!("  {line}")).collect();
    lines.push(String::new());
    lines.push(format!("  {}", look.bold(&stamp)));
    lines
}

fn table(table: &Table, look: Look) -> Vec<String> {
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
    let mut going = GO.iter();
    while look
        .width
        .is_some_and(|width| shown.iter().map(|at| widths[*at] + 2).sum::<usize>() > width)
    {
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

fn paint(look: Look, mood: Mood, text: &str) -> String {
    match mood {
        Mood::Good => look.good(text),
        Mood::Bad => look.bad(text),
        Mood::Doubtful => look.doubtful(text),
        Mood::Plain => text.to_owned(),
    }
}
