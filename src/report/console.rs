//! The report on a terminal (or in a CI log).
//!
//! In: a [`Summary`] and a [`Look`]. Out: text that ends in a newline. The order is that of a
//! reader's questions: what is this, what are the numbers, can I believe them, did it pass.

use super::escape::{printable, to_the_second};
use super::look::Look;
use super::{answers, checks, client, course, evidence, findings, levels, server, table, tokens};
use crate::metrics::summary::{StageSummary, Summary};

/// Said wherever the embedded simulator answered.
const SIMULATED: &str = "SIMULATED: the embedded simulator answered, not a real server";

pub use super::table::Percentiles;

/// The whole report.
pub fn render(summary: &Summary, look: Look) -> String {
    sections(summary, look, None)
}

/// The same with other percentiles in its table.
pub fn render_with(summary: &Summary, look: Look, percentiles: &Percentiles) -> String {
    sections(summary, look, Some(percentiles))
}

fn sections(summary: &Summary, look: Look, percentiles: Option<&Percentiles>) -> String {
    let stages: Vec<&StageSummary> = summary.stages.iter().filter(|stage| stage.reported).collect();
    let all: Vec<&StageSummary> = summary.stages.iter().collect();
    let table =
        if stages.is_empty() { Vec::new() } else { table::render(&stages, look, percentiles) };
    let notes = summary.run.notes.iter().map(|note| format!("  {}", printable(note)));
    let sections = [
        ("", header(summary, look)),
        ("", table),
        // What happened is told of unreported stages too; only their figures are left out.
        ("Flush", evidence::flushes(&all, look)),
        ("Server", server::lines(&stages)),
        ("Tokens", tokens::lines(&stages)),
        ("Answers", answers::lines(&stages)),
        ("Client", client::line(&stages, summary.run.simulated)),
        ("Errors", evidence::errors(&all)),
        ("Not as planned", evidence::unplanned_ends(&all, look)),
        ("Checks", checks::render(&all, look)),
        ("Notes", notes.collect()),
        ("Levels", levels::rungs(summary)),
        ("Search", levels::probes(summary)),
        ("Steady state", course::steady(&stages)),
        ("Rounds", course::rounds(&stages)),
        ("Stretches", course::windows(&stages)),
        ("", findings::lines(summary, look)),
    ];
    let mut out = String::new();
    for (title, lines) in sections.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        let title = (!title.is_empty()).then(|| look.bold(title));
        for line in title.into_iter().chain(lines) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn header(summary: &Summary, look: Look) -> Vec<String> {
    let run = &summary.run;
    let (plan, id) = (printable(&run.plan), printable(&run.id));
    let started = to_the_second(&printable(&run.started_at));
    let mut lines = vec![
        look.bold(&plan),
        look.dim(&format!("run {id} · started {started} · seed {}", run.seed)),
    ];
    lines.extend(targets(summary));
    if run.simulated {
        lines.push(look.doubtful(SIMULATED));
    }
    lines.extend(findings::opening(summary, look));
    lines
}

/// Where the requests went, each endpoint and model once.
fn targets(summary: &Summary) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    for stage in &summary.stages {
        let model = stage.model.as_deref().map(|model| format!("{} on ", printable(model)));
        let target = format!("{}{}", model.unwrap_or_default(), printable(&stage.endpoint));
        if !targets.contains(&target) && stage.counts.planned > 0 {
            targets.push(target);
        }
    }
    targets
}
