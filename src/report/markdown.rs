//! A [`ReportView`] → markdown for `GITHUB_STEP_SUMMARY` and pull-request comments.
//!
//! In: the view. Out: verdict, thresholds and one table, the rest folded away. Invariants: no text
//! from a plan or a server can open a tag, a link, a mention or a table cell; the document stays
//! under [`LIMIT`], GitHub's own limit for a step, by leaving out the folded parts from the end.

use std::fmt::Write;

use super::definitions::{PERCENTILES, RedefinedView};
use super::marks;
use super::view::{Check, Fact, Mood, ReportView, StageView, Table};

/// Longest document in bytes: GitHub refuses a step's summary of more than 1 MiB.
pub const LIMIT: usize = 1_000_000;

/// The document.
pub fn document(view: &ReportView) -> String {
    let mut out = head(view);
    let mut folded = vec![
        fold("Stages in words", &view.stages.iter().map(stage).collect::<String>()),
        fold("Errors", &table(&view.errors)),
    ];
    let ladders = view.stages.iter().filter(|stage| !stage.rungs.rows.is_empty());
    folded.extend(
        ladders.map(|stage| fold(&format!("Rungs of {}", stage.name), &table(&stage.rungs))),
    );
    folded.push(fold("Plan", &(table(&view.plan) + &facts(&view.params))));
    folded.push(fold("Run", &(facts(&view.facts) + &facts(&view.environment))));
    let mut left_out = false;
    for part in folded {
        if out.len() + part.len() < LIMIT - 200 {
            out.push_str(&part);
        } else {
            left_out = true;
        }
    }
    if left_out {
        out.push_str("\nSome tables were left out to stay under GitHub's limit for a summary.\n");
    }
    out
}

/// The page of a run of `plan` that never began.
pub fn refused(plan: &str, why: &str) -> String {
    let lines: Vec<String> = why.lines().map(|line| escaped(line.trim())).collect();
    format!("## {} NOT RUN: {}\n\n{}\n", sign(Mood::Bad), escaped(plan), lines.join("  \n"))
}

fn head(view: &ReportView) -> String {
    let mut out = String::new();
    let sign = sign(view.verdict.mood);
    let put = |out: &mut String, text: std::fmt::Arguments| {
        let _infallible = out.write_fmt(text);
    };
    put(&mut out, format_args!("## {sign} {}: {}\n\n", view.verdict.word, escaped(&view.title)));
    for mark in marks::sentences(view.simulated, view.insecure) {
        let _infallible = writeln!(out, "> {mark}.\n");
    }
    put(&mut out, format_args!("**{}**\n\n", escaped(&view.headline)));
    for sentence in &view.findings {
        put(&mut out, format_args!("{}\n\n", escaped(sentence)));
    }
    put(&mut out, format_args!("{}\n\n", view.verdict.reason));
    for note in &view.notes {
        put(&mut out, format_args!("- ⚠️ {}\n", escaped(note)));
    }
    if !view.thresholds.is_empty() {
        out.push_str("\n| | stage | threshold | found |\n|---|---|---|---|\n");
        view.thresholds.iter().for_each(|check| out.push_str(&check_row(check)));
    }
    if !view.overview.rows.is_empty() {
        out.push('\n');
        out.push_str(&table(&view.overview));
    }
    view.redefined.iter().for_each(|view| out.push_str(&redefined(view)));
    out
}

/// The figures under another tool's definitions, its name before them.
fn redefined(view: &RedefinedView) -> String {
    let mut out =
        format!("\n### Under the definitions of {}\n\n{}\n\n", view.word, escaped(&view.tool));
    for stage in &view.stages {
        let _infallible = write!(
            out,
            "**{}** ({})\n\n{}{}\n",
            escaped(&stage.name),
            stage.answered,
            table(&stage.figures),
            facts(&stage.totals)
        );
    }
    out + &fold("Formulas", &(table(&view.formulas) + PERCENTILES + "\n"))
}

fn check_row(check: &Check) -> String {
    let place = match check.mood {
        Mood::Bad | Mood::Doubtful if !check.location.is_empty() => {
            format!(" ({})", escaped(&check.location))
        }
        _ => String::new(),
    };
    format!(
        "| {} | {} | {} | {}{place} |\n",
        sign(check.mood),
        escaped(&check.stage),
        escaped(&check.check),
        escaped(&check.reason)
    )
}

fn stage(stage: &StageView) -> String {
    let chips = stage.chips.iter().map(|chip| format!(" · {}", escaped(&chip.text)));
    let story = stage.story.iter().map(|sentence| escaped(sentence));
    format!(
        "**{}** ({}{})  \n{}\n\n{}",
        escaped(&stage.name),
        escaped(&stage.kind),
        chips.collect::<String>(),
        story.collect::<Vec<_>>().join(" "),
        table(&stage.attempts)
    )
}

pub(super) fn sign(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => "✅",
        Mood::Doubtful => "⚠️",
        Mood::Bad => "❌",
        Mood::Plain => "",
    }
}

pub(super) fn fold(name: &str, body: &str) -> String {
    if body.trim().is_empty() {
        return String::new();
    }
    format!("\n<details><summary>{}</summary>\n\n{body}\n</details>\n", escaped(name))
}

pub(super) fn table(table: &Table) -> String {
    if table.rows.is_empty() {
        return String::new();
    }
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = row(table.columns.iter().map(|column| escaped(&column.name)).collect());
    let align = |number| if number { "--:" } else { "---" };
    out.push_str(&row(table
        .columns
        .iter()
        .map(|column| align(column.number).to_owned())
        .collect()));
    for cells in &table.rows {
        out.push_str(&row(cells.iter().map(|cell| escaped(&cell.text)).collect()));
    }
    if !table.legend.is_empty() {
        let _infallible = write!(out, "\n{}\n", escaped(&table.legend));
    }
    out.push('\n');
    out
}

pub(super) fn facts(facts: &[Fact]) -> String {
    let mut out = String::new();
    for Fact { name, value, detail } in facts {
        let detail =
            if detail.is_empty() { String::new() } else { format!(" ({})", escaped(detail)) };
        let _infallible = writeln!(out, "- {}: {}{detail}", escaped(name), escaped(value));
    }
    out
}

/// `text` as text: nothing in it can mean anything to markdown or HTML, and nobody is mentioned.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            ':' => out.push_str("&#58;"),
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '!' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(letter);
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_means_anything() {
        let hostile =
            "| a <img src=x onerror=alert(1)> [x](javascript:alert(1)) @team #1 `x` **b**";
        let text = escaped(hostile);
        for sign in ["<", ">", "@team", "#1", "javascript:", " |"] {
            assert!(!text.contains(sign), "{sign} in {text}");
        }
        assert!(text.starts_with("\\| a &lt;img"));
    }
}
