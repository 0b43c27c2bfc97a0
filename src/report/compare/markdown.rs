//! A comparison → markdown for `GITHUB_STEP_SUMMARY` and pull-request comments.
//!
//! In: the view. Out: verdict, findings and one table for each new run. Invariant: no text from a
//! plan or a server can mean anything to markdown or HTML.

use std::fmt::Write;

use super::CompareView;
use crate::report::markdown::{escaped, facts, fold, sign, table};
use crate::report::marks;

/// The document.
pub fn document(view: &CompareView) -> String {
    let mut out = format!("## {} {}: {}\n\n", sign(view.mood), view.word, escaped(&view.title));
    for mark in marks::sentences(view.simulated, view.insecure) {
        let _infallible = writeln!(out, "> {mark}.\n");
    }
    out.push_str(&facts(&view.runs));
    for pair in &view.pairs {
        if view.pairs.len() > 1 {
            let _infallible = writeln!(out, "\n### {} {}", sign(pair.mood), escaped(&pair.name));
        }
        out.push('\n');
        for (number, sentence) in pair.findings.iter().enumerate() {
            let sentence = escaped(sentence);
            let strong = if number == 0 { "**" } else { "" };
            let _infallible = writeln!(out, "{strong}{sentence}{strong}\n");
        }
        for flag in &pair.flags {
            let _infallible = writeln!(out, "- ⚠️ {}", escaped(flag));
        }
        out.push('\n');
        out.push_str(&table(&pair.table));
    }
    let method: Vec<String> =
        view.method.iter().map(|line| format!("- {}", escaped(line))).collect();
    out.push_str(&fold("How it was judged", &method.join("\n")));
    out
}
