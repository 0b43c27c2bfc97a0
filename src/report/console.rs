//! The report on a terminal (or in a CI log).
//!
//! In: a [`Summary`] and a [`Look`]. Out: text that ends in a newline. The order is that of a reader's
//! questions: did it pass, what was found, what are the numbers, can I believe them. Evidence that
//! changes none of the answers is told where it is asked for (`--verbose`).

use std::collections::BTreeMap;

pub use super::columns::Percentiles;

use super::escape::{printable, to_the_second};
use super::look::Look;
use super::marks;
use super::{
    answers, checks, client, columns, course, evidence, findings, levels, server, table, tokens,
};
use crate::metrics::quantity::plural;
use crate::metrics::summary::{StageSummary, Summary};

/// The whole report.
pub fn render(summary: &Summary, look: Look) -> String {
    sections(summary, look, None)
}

/// The same with other percentiles in its tables.
pub fn render_with(summary: &Summary, look: Look, percentiles: &Percentiles) -> String {
    sections(summary, look, Some(percentiles))
}

fn sections(summary: &Summary, look: Look, percentiles: Option<&Percentiles>) -> String {
    let stages: Vec<&StageSummary> = summary.stages.iter().filter(|stage| stage.reported).collect();
    let all: Vec<&StageSummary> = summary.stages.iter().collect();
    let asked = |lines: fn(&[&StageSummary]) -> Vec<String>| {
        if look.verbose { wrapped(lines(&stages), look) } else { Vec::new() }
    };
    let mut sections = vec![
        (String::new(), opening(summary, look)),
        // What happened is told of unreported stages too; only their figures are left out.
        ("Checks".to_owned(), checks::render(&all, look)),
    ];
    sections.extend(tables(summary, &stages, look, percentiles));
    let client = |stages: &[&StageSummary]| client::line(stages, summary.run.simulated);
    let client = if look.verbose { wrapped(client(&stages), look) } else { Vec::new() };
    let rest = [
        ("Errors", wrapped(evidence::errors(&all), look)),
        ("Not as planned", wrapped(evidence::unplanned_ends(&all, look), look)),
        ("Steady state", wrapped(course::steady(&stages), look)),
        ("Rounds", wrapped(course::rounds(&stages, look.verbose), look)),
        ("Models", wrapped(answers::by_model(&stages), look)),
        ("Flush", wrapped(evidence::flushes(&all, look), look)),
        ("Notes", notes(&summary.run.notes, look)),
        ("Server", asked(server::lines)),
        ("Tokens", asked(tokens::lines)),
        ("Answers", asked(answers::lines)),
        ("Client", client),
        ("Search", if look.verbose { wrapped(levels::probes(summary), look) } else { Vec::new() }),
        ("Stretches", asked(course::windows)),
    ];
    sections.extend(rest.into_iter().map(|(title, lines)| (title.to_owned(), lines)));
    let mut lines: Vec<String> = Vec::new();
    for (title, section) in sections.into_iter().filter(|(_, section)| !section.is_empty()) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend((!title.is_empty()).then(|| look.bold(&title)));
        lines.extend(section);
    }
    // Of a report that is longer than the screen, its end is what is seen.
    if look.height.is_some_and(|height| lines.len() >= height) {
        lines.push(String::new());
        lines.extend(findings::ending(summary, look));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Lines broken where the screen ends; what they go on with stands below their text.
fn wrapped(lines: Vec<String>, look: Look) -> Vec<String> {
    let wrap = |line: String| {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        look.wrap(&line[..indent], indent + 2, text)
    };
    lines.into_iter().flat_map(wrap).collect()
}

/// What was run, how it ended, and what was found.
fn opening(summary: &Summary, look: Look) -> Vec<String> {
    let run = &summary.run;
    let (plan, id) = (printable(&run.plan), printable(&run.id));
    let mut about = vec![plan.into_owned()];
    about.extend(targets(summary));
    about.push(format!("run {id}"));
    if look.verbose {
        let started = to_the_second(&printable(&run.started_at));
        about.extend([format!("started {started}"), format!("seed {}", run.seed)]);
    }
    let about = look.wrap("", 2, &about.join(" · "));
    let mut lines: Vec<String> = about.iter().map(|line| look.dim(line)).collect();
    lines.extend(findings::ending(summary, look));
    for mark in marks::sentences(run.simulated, run.insecure) {
        lines.extend(look.wrap("", 2, mark).iter().map(|line| look.doubtful(line)));
    }
    lines.extend(findings::lines(summary, look));
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

/// A table of the stages, and one for each that has several levels of load.
fn tables(
    summary: &Summary,
    stages: &[&StageSummary],
    look: Look,
    percentiles: Option<&Percentiles>,
) -> Vec<(String, Vec<String>)> {
    let (levels, plain): (Vec<&StageSummary>, Vec<_>) =
        stages.iter().partition(|stage| stage.rung.is_some());
    let mut tables = Vec::new();
    if !plain.is_empty() {
        let columns = columns::of_stages(&plain, percentiles);
        tables.push((String::new(), table::render(columns, look)));
    }
    let mut keys: Vec<String> = levels.iter().map(|stage| stage.key()).collect();
    keys.dedup();
    for (place, key) in keys.iter().enumerate() {
        // The cells of a matrix may take turns.
        if keys[..place].contains(key) {
            continue;
        }
        let own: Vec<&StageSummary> =
            levels.iter().copied().filter(|stage| stage.key() == *key).collect();
        let columns = columns::of_levels(&own, summary, percentiles);
        tables.push((printable(key).into_owned(), table::render(columns, look)));
    }
    tables
}

/// What a reader must know. What is said of several stages in the same words, but for the figures, is
/// told of the first, with how many more there are.
fn notes(notes: &[String], look: Look) -> Vec<String> {
    let mut told: Vec<(&str, &str, u64)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for note in notes {
        // How prompts are opened is the plan's wish: `plan` shows it.
        if !look.verbose && note.starts_with("prompts: ") {
            continue;
        }
        let about = note.strip_prefix("stage ").and_then(|rest| rest.split_once(": "));
        let (stage, text) = about.unwrap_or(("", note));
        let words = text.replace(|letter: char| letter.is_ascii_digit() || letter == '.', "");
        let before = places.get(&words).filter(|_| !stage.is_empty() && !look.verbose);
        if let Some(place) = before {
            told[*place].2 += 1;
        } else {
            places.insert(words, told.len());
            told.push((stage, text, 0));
        }
    }
    let line = |(stage, text, more): &(&str, &str, u64)| {
        let stage = match (stage.is_empty(), *more) {
            (true, _) => String::new(),
            (false, 0) => format!("stage {stage}: "),
            (false, more) => {
                format!("stage {stage} (and, with other figures, {}): ", plural(more, "more stage"))
            }
        };
        look.wrap("  ", 4, &printable(&format!("{stage}{text}")))
    };
    told.iter().flat_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_several_stages_is_told_once() {
        let note = |stage, share| format!("stage {stage}: no ITL: {share} % of the gaps");
        let all = [
            "prompts: each has a nonce of its own in `a`".to_owned(),
            note("a", "12.5"),
            "stage a: something else".to_owned(),
            note("b", "75"),
        ];
        assert_eq!(
            notes(&all, Look::PLAIN),
            [
                "  stage a (and, with other figures, 1 more stage): no ITL: 12.5 % of the gaps",
                "  stage a: something else",
            ]
        );
        assert_eq!(notes(&all, Look { verbose: true, ..Look::PLAIN }).len(), 4);
    }
}
