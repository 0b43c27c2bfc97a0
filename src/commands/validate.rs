//! `runner validate PLAN…`: checks plans without sending anything.

use std::collections::BTreeSet;

use crate::cli::{ProblemFormat, ValidateArgs};
use crate::metrics::quantity::plural;
use crate::output;
use crate::plan::diagnostic::{self, Code, Diagnostic, Severity};
use crate::plan::workload::RowSource;
use crate::plan::{Plan, Stage};

/// Checks each plan; exits 3 when one has errors (or warnings, with `--deny-warnings`).
pub fn run(args: &ValidateArgs) -> anyhow::Result<u8> {
    let options = super::load_options(&args.inputs);
    let mut is_bad = false;
    let mut is_unselected = true;
    let mut all = Vec::new();
    for path in &args.plans {
        let place = match super::place(path) {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let (diagnostics, sources, redactor, ready) = super::checked(&place.path, &options);
        let has_errors = diagnostics.iter().any(|problem| problem.severity == Severity::Error);
        is_unselected &= has_errors && is_selection(&diagnostics);
        is_bad |= has_errors || (args.deny_warnings && !diagnostics.is_empty());
        match args.format {
            ProblemFormat::Json | ProblemFormat::Sarif => {}
            ProblemFormat::Github => {
                output::print(&diagnostic::render_github(
                    &diagnostics,
                    &super::github::in_workspace,
                ));
            }
            ProblemFormat::Text => {
                super::say(&diagnostics, &sources, &redactor, false);
                if let (Some((plan, _)), false) = (&ready, has_errors) {
                    let shown = path.display();
                    output::print(&format!("{shown}: valid ({})\n", contents(plan)));
                    for line in left_out(plan) {
                        output::print(&line);
                    }
                }
            }
        }
        all.push((diagnostics, sources));
    }
    match args.format {
        ProblemFormat::Json => {
            let found = all.iter().map(|(found, sources)| diagnostic::json(found, sources));
            let found: Vec<_> = found.flat_map(as_array).collect();
            output::print(&output::json(&found)?);
        }
        ProblemFormat::Sarif => {
            let log = diagnostic::sarif(&all, &super::github::in_workspace);
            output::print(&output::json(&log)?);
        }
        ProblemFormat::Text | ProblemFormat::Github => {}
    }
    Ok(match is_bad {
        false => super::PASS,
        true if is_unselected => super::NOTHING_SELECTED,
        true => super::PLAN_INVALID,
    })
}

/// What a valid plan holds, in a line.
fn contents(plan: &Plan) -> String {
    let mut parts = vec![plural(plan.stages.len() as u64, "stage")];
    if !plan.cells.is_empty() {
        parts.insert(0, plural(plan.cells.len() as u64, "cell"));
    }
    let requests = plan.planned();
    let is_open = |stage: &&Stage| stage.action.planned() == 0 && stage.action.prompt().is_some();
    let open = plan.stages.iter().filter(is_open).count() as u64;
    if requests > 0 {
        parts.push(format!("{} to measure", plural(requests, "request")));
    }
    match (open, requests) {
        (0, _) => {}
        (_, 0) => parts.push("no fixed number of requests".into()),
        _ => parts.push(format!("no fixed number in {}", plural(open, "stage"))),
    }
    parts.join(", ")
}

/// What of the plan's datasets is not sent, a line each.
fn left_out(plan: &Plan) -> BTreeSet<String> {
    let sources = plan.stages.iter().filter_map(|stage| stage.action.prompt()?.dataset.as_deref());
    let line = |source: &RowSource| {
        let words = source.seen.as_ref()?.left_out.as_ref()?;
        Some(format!("  dataset {}: {words}\n", source.config.files.join(", ")))
    };
    sources.filter_map(line).collect()
}

/// Whether nothing is wrong but that nothing was selected.
fn is_selection(diagnostics: &[Diagnostic]) -> bool {
    let mut errors = diagnostics.iter().filter(|it| it.severity == Severity::Error);
    errors.all(|it| it.code == Code::Selection)
}

fn as_array(value: serde_json::Value) -> Vec<serde_json::Value> {
    match value {
        serde_json::Value::Array(items) => items,
        other => vec![other],
    }
}
