//! `runner explain WORD`: what a diagnostic, a metric, a kind or a key means.
//!
//! In: a word. Out: what the error table, the catalogue of metrics and the plan's schema say of it.

use std::fmt::Write as _;

use crate::cli::ExplainArgs;
use crate::output::{self, note};
use crate::plan::diagnostic::Code;
use crate::plan::{metric, schema};

/// Explains a word; without one, all codes in a line each.
pub fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let Some(word) = &args.word else {
        let mut out = String::new();
        for code in Code::ALL {
            writeln!(out, "{code}  {}", code.explanation().meaning)?;
        }
        output::print(&out);
        return Ok(super::PASS);
    };
    let Some(code) = Code::find(word) else {
        let text = of_plans(word)?;
        if text.is_empty() {
            note!("error: `{word}` is no code, metric, kind of stage or key of plans");
            note!("  help: codes look like E011; `runner explain` lists them all");
            return Ok(super::USAGE);
        }
        output::print(&text);
        return Ok(super::PASS);
    };
    let explanation = code.explanation();
    let mut out = format!("{code}\n\n{}\n\nFor example:\n\n", explanation.meaning);
    for line in explanation.example.lines() {
        writeln!(out, "    {line}")?;
    }
    writeln!(out, "\nWhat to do: {}", explanation.remedy)?;
    output::print(&out);
    Ok(super::PASS)
}

/// What the catalogue of metrics and the schema of plans say of a word; empty when they have none of it.
fn of_plans(word: &str) -> anyhow::Result<String> {
    let mut out = String::new();
    // A check names an aggregate behind the metric: `ttft.p95`.
    let name = word.split('.').next().unwrap_or(word);
    if let Some(metric) = metric::find(name) {
        writeln!(out, "{} (metric, {})\n  {}", metric.name, metric.unit, metric.definition)?;
    }
    for (place, text) in schema::said_of(word) {
        writeln!(out, "{word} ({place})\n  {}", text.replace('\n', "\n  "))?;
    }
    Ok(out)
}
