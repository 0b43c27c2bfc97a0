//! A comparison on a terminal (or in a CI log).
//!
//! In: a [`CompareView`] and a [`Look`]. Out: text that ends in a newline. Invariant: where the
//! terminal is too narrow the least telling columns go first, and nothing is cut.

use super::{CompareView, PairView};
use crate::report::grid;
use crate::report::look::Look;
use crate::report::marks;

/// Columns in the order in which they are left out where there is no room.
const GO: [&str; 4] = ["why", "p", "95 % CI", "base"];

/// The whole comparison.
pub fn render(view: &CompareView, look: Look) -> String {
    let mut lines = vec![look.bold(&view.title)];
    for run in &view.runs {
        lines.push(format!("{:<4}  {}", run.name, run.value));
        lines.push(look.dim(&format!("      {}", run.detail)));
    }
    let marks = marks::sentences(view.simulated, view.insecure);
    lines.extend(marks.map(|mark| look.doubtful(mark)));
    for pair in &view.pairs {
        lines.push(String::new());
        if view.pairs.len() > 1 {
            lines.push(look.bold(&pair.name));
        }
        lines.extend(grid::lines(&pair.table, look, &GO));
        if !pair.flags.is_empty() {
            lines.push(String::new());
            lines.extend(pair.flags.iter().map(|flag| look.doubtful(&format!("  ! {flag}"))));
        }
        lines.push(String::new());
        lines.extend(verdict(pair, look));
    }
    grid::joined(&lines)
}

fn verdict(pair: &PairView, look: Look) -> Vec<String> {
    let stamp = grid::paint(look, pair.mood, pair.word);
    let mut lines: Vec<String> = pair.findings.iter().map(|line| format!("  {line}")).collect();
    lines.push(String::new());
    lines.push(format!("  {}", look.bold(&stamp)));
    lines
}
