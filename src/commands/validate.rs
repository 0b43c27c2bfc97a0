//! `runner validate PLAN…`: checks plans without sending anything.

use crate::cli::{ProblemFormat, ValidateArgs};
use crate::plan::diagnostic::{self, Code, Diagnostic, Severity};

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
                super::print(&diagnostic::render_github(
                    &diagnostics,
                    &super::github::in_workspace,
                ));
            }
            ProblemFormat::Text => {
                super::say(&diagnostics, &sources, &redactor, false);
                if let (Some((plan, _)), false) = (&ready, has_errors) {
                    let cells = match plan.cells.len() {
                        0 => String::new(),
                        1 => "1 cell, ".into(),
                        cells => format!("{cells} cells, "),
                    };
                    super::print(&format!(
                        "{}: valid ({cells}{} stages, {} requests)\n",
                        path.display(),
                        plan.stages.len(),
                        plan.stages.iter().map(|stage| stage.action.planned()).sum::<u64>()
                    ));
                }
            }
        }
        all.push((diagnostics, sources));
    }
    match args.format {
        ProblemFormat::Json => {
            let found = all.iter().map(|(found, sources)| diagnostic::json(found, sources));
            let found: Vec<_> = found.flat_map(as_array).collect();
            super::print(&format!("{}\n", serde_json::to_string_pretty(&found)?));
        }
        ProblemFormat::Sarif => {
            let log = diagnostic::sarif(&all);
            super::print(&format!("{}\n", serde_json::to_string_pretty(&log)?));
        }
        ProblemFormat::Text | ProblemFormat::Github => {}
    }
    Ok(match is_bad {
        false => super::PASS,
        true if is_unselected => super::NOTHING_SELECTED,
        true => super::PLAN_INVALID,
    })
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
