//! `runner validate PLAN…`: checks plans without sending anything.

use crate::cli::{DiagnosticFormat, ValidateArgs};
use crate::graph::Graph;
use crate::plan;
use crate::plan::diagnostic::{self, Severity};

/// Checks each plan; exits 3 when one has errors (or warnings, with `--deny-warnings`).
pub fn run(args: &ValidateArgs) -> anyhow::Result<u8> {
    let options = super::load_options(&args.inputs);
    let mut is_bad = false;
    let mut is_unselected = true;
    let mut found = Vec::new();
    for path in &args.plans {
        let (diagnostics, sources, redactor, checked) = match plan::load(path, &options) {
            Err(error) => {
                is_unselected &= error.is_selection();
                (error.diagnostics, error.sources, error.redactor, None)
            }
            Ok(loaded) => {
                let mut diagnostics = loaded.warnings;
                diagnostics.extend(Graph::build(&loaded.plan).err().unwrap_or_default());
                (diagnostics, loaded.sources, loaded.redactor, Some(loaded.plan))
            }
        };
        let has_errors = diagnostics.iter().any(|problem| problem.severity == Severity::Error);
        is_bad |= has_errors || (args.deny_warnings && !diagnostics.is_empty());
        match args.format {
            DiagnosticFormat::Json => found.push(diagnostic::json(&diagnostics, &sources)),
            DiagnosticFormat::Text => {
                eprint!("{}", super::show(&diagnostics, &sources, &redactor));
                if let (Some(plan), false) = (checked, has_errors) {
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
    }
    if args.format == DiagnosticFormat::Json {
        let all: Vec<_> = found.into_iter().flat_map(as_array).collect();
        super::print(&format!("{}\n", serde_json::to_string_pretty(&all)?));
    }
    Ok(match is_bad {
        false => super::PASS,
        true if is_unselected => super::NOTHING_SELECTED,
        true => super::PLAN_INVALID,
    })
}

fn as_array(value: serde_json::Value) -> Vec<serde_json::Value> {
    match value {
        serde_json::Value::Array(items) => items,
        other => vec![other],
    }
}
