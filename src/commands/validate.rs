//! `runner validate PLAN…`: checks plans without sending anything.

use crate::cli::{ProblemFormat, ValidateArgs};
use crate::plan::diagnostic::{self, Severity};

/// Checks each plan; exits 3 when one has errors (or warnings, with `--deny-warnings`).
pub fn run(args: &ValidateArgs) -> anyhow::Result<u8> {
    let options = super::load_options(&args.inputs);
    let mut is_bad = false;
    let mut all = Vec::new();
    for path in &args.plans {
        let place = match super::place(path) {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let (diagnostics, sources, redactor, ready) = super::checked(&place.path, &options);
        let has_errors = diagnostics.iter().any(|problem| problem.severity == Severity::Error);
        is_bad |= has_errors || (args.deny_warnings && !diagnostics.is_empty());
        match args.format {
            ProblemFormat::Json | ProblemFormat::Sarif => {}
            ProblemFormat::Github => super::print(&diagnostic::render_github(&diagnostics)),
            ProblemFormat::Text => {
                super::say(&diagnostics, &sources, &redactor, false);
                if let (Some((plan, _)), false) = (&ready, has_errors) {
                    super::print(&format!(
                        "{}: valid ({} stages, {} requests)\n",
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
    Ok(if is_bad { super::PLAN_INVALID } else { super::PASS })
}

fn as_array(value: serde_json::Value) -> Vec<serde_json::Value> {
    match value {
        serde_json::Value::Array(items) => items,
        other => vec![other],
    }
}
