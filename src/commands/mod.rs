//! Floor 6: one short file per subcommand.
//!
//! In: parsed arguments. Out: an exit code. What a person or the world did wrong becomes a message
//! and a documented code here; an `Err` that reaches `main` is a bug. Standard output carries the one
//! report that was asked for, everything else goes to standard error.

pub(crate) mod builtin;
pub mod calibrate;
pub mod compare;
pub mod completions;
pub mod dataset;
pub mod doctor;
pub mod explain;
mod export;
mod github;
pub mod history;
pub mod init;
pub mod list;
pub mod man;
pub mod params;
mod past;
pub mod plan;
pub mod quick;
pub mod recover;
pub mod report;
pub mod run;
pub mod schema;
pub mod simulate;
pub mod test;
pub mod validate;

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::{PlanInputs, When};
use crate::executor::refusals::refusals;
use crate::graph::Graph;
use crate::metrics::summary::Summary;
use crate::output::{self, Stream, note};
use crate::plan::diagnostic::{self, Diagnostic, Severity, render};
use crate::plan::{LoadOptions, Loaded, Plan, Redactor, Sources};
use builtin::Place;

/// The run is incomplete or invalid.
pub const INCOMPLETE: u8 = 5;
/// Everything is well.
pub const PASS: u8 = 0;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// An internal bug.
pub const BUG: u8 = 1;
/// The plan or its params are invalid.
pub const PLAN_INVALID: u8 = 3;
/// Preflight failed; nothing was sent.
pub const PREFLIGHT: u8 = 4;
/// A threshold failed, or a comparison says worse where that was to fail.
pub const THRESHOLDS_FAILED: u8 = 10;
/// The plan is fine, but nothing of it was selected.
pub const NOTHING_SELECTED: u8 = 11;

/// A plan that can be run.
pub(crate) struct Ready {
    pub loaded: Loaded,
    pub graph: Graph,
    /// Holds the files of a built-in scenario.
    _place: Place,
}

/// Remembers `--color`.
pub fn set_up_terminal(color: When) {
    output::set_colours(match color {
        When::Always => Some(true),
        When::Never => Some(false),
        When::Auto => None,
    });
}

/// Says what to begin with.
pub fn welcome() -> u8 {
    output::print(
        "runner measures LLM inference endpoints.\n\n\
         \x20 runner quick URL            measure an endpoint, without a plan\n\
         \x20 runner doctor URL           find out what an endpoint is and can\n\
         \x20 runner run @cache-eviction  run a built-in plan on the embedded simulator\n\
         \x20 runner init my-plan         begin a plan of your own\n\n\
         `runner --help` lists all commands.\n",
    );
    PASS
}

/// Sends log lines to standard error: warnings, or more with `-v` and `RUST_LOG`.
pub fn set_up_logging(verbose: u8) {
    let level = ["warn", "runner=info", "runner=debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| output::LogLines)
        .with_ansi(Stream::Err.is_coloured())
        .without_time()
        .init();
}

/// Reads a plan and builds its graph; prints every problem and warning to standard error. With
/// `json`, standard output is kept free. `Err` holds the exit code.
pub(crate) fn load(path: &Path, options: &LoadOptions, json: bool) -> Result<Ready, u8> {
    load_from(place(path)?, options, json)
}

/// As [`load`], of a plan whose place is known.
fn load_from(place: Place, options: &LoadOptions, json: bool) -> Result<Ready, u8> {
    // People know the plan by its name, where its file is one of ours.
    let say = |found: &[Diagnostic], sources: &Sources, redactor: &Redactor, json| {
        let Some(name) = &place.name else { return say(found, sources, redactor, json) };
        let file = place.path.to_string_lossy();
        let found: Vec<_> = found.iter().map(|it| it.clone().renamed(&file, name)).collect();
        let mut sources = sources.clone();
        sources.rename(&file, name);
        say(&found, &sources, redactor, json);
    };
    let mut loaded = match crate::plan::load(&place.path, options) {
        Ok(loaded) => loaded,
        Err(error) => {
            say(&error.diagnostics, &error.sources, &error.redactor, json);
            return Err(if error.is_selection() { NOTHING_SELECTED } else { PLAN_INVALID });
        }
    };
    say(&loaded.warnings, &loaded.sources, &loaded.redactor, json);
    let graph = match Graph::build(&loaded.plan) {
        Ok(graph) => graph,
        Err(diagnostics) => {
            say(&diagnostics, &loaded.sources, &loaded.redactor, json);
            return Err(PLAN_INVALID);
        }
    };
    let problems = looked_into(&mut loaded);
    say(&problems, &loaded.sources, &loaded.redactor, json);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(PLAN_INVALID);
    }
    if let Some(name) = &place.name {
        loaded.plan.path = name.into();
        for threshold in loaded.plan.stages.iter_mut().flat_map(|stage| &mut stage.thresholds) {
            threshold.location.file.clone_from(name);
        }
    }
    Ok(Ready { loaded, graph, _place: place })
}

/// Where a plan, or a built-in scenario, lies. `Err` holds the exit code.
pub(crate) fn place(path: &Path) -> Result<Place, u8> {
    Place::of(path).map_err(|message| {
        note!("error: {message}");
        PLAN_INVALID
    })
}

/// Everything there is to say about a plan, and the plan with its graph if it may run.
pub(crate) fn checked(
    path: &Path,
    options: &LoadOptions,
) -> (Vec<Diagnostic>, Sources, Redactor, Option<(Plan, Graph)>) {
    let mut loaded = match crate::plan::load(path, options) {
        Err(error) => return (error.diagnostics, error.sources, error.redactor, None),
        Ok(loaded) => loaded,
    };
    let mut diagnostics = looked_into(&mut loaded);
    let is_sound = diagnostics.iter().all(|it| it.severity != Severity::Error);
    let graph = Graph::build(&loaded.plan);
    let Loaded { plan, warnings, sources, redactor } = loaded;
    let ready = match graph {
        Ok(graph) if is_sound => Some((plan, graph)),
        Ok(_) => None,
        Err(cycles) => {
            diagnostics.extend(cycles);
            None
        }
    };
    diagnostics.extend(warnings);
    (diagnostics, sources, redactor, ready)
}

/// What is wrong with a plan's datasets and templates, without its secrets.
fn looked_into(loaded: &mut Loaded) -> Vec<Diagnostic> {
    let mut problems = crate::workload::check::check(&mut loaded.plan, &loaded.sources);
    // Rows are asked by templates that are sound.
    if problems.iter().all(|it| it.severity != Severity::Error) {
        problems.extend(refusals(&mut loaded.plan));
    }
    for problem in &mut problems {
        problem.redact(&loaded.redactor);
    }
    problems
}

/// Prints diagnostics to standard error, and as annotations where GitHub reads them: on standard
/// output, unless that carries a document.
pub(crate) fn say(found: &[Diagnostic], sources: &Sources, redactor: &Redactor, json: bool) {
    output::note_text(&show(found, sources, redactor));
    github::annotate(&diagnostic::render_github(found, &github::in_workspace), json);
}

/// Diagnostics as text for standard error.
pub(crate) fn show(diagnostics: &[Diagnostic], sources: &Sources, redactor: &Redactor) -> String {
    render(diagnostics, sources, redactor, Stream::Err.is_coloured())
}

/// What the command line and the environment say.
pub(crate) fn load_options(inputs: &PlanInputs) -> LoadOptions {
    LoadOptions {
        params: inputs.params.clone(),
        environment: environment(),
        endpoint: inputs.endpoint.clone(),
        seed: inputs.seed,
        allow_outside_root: inputs.allow_outside_root,
        sinks: Vec::new(),
        params_files: inputs.params_files.clone(),
        set: inputs.set.clone(),
        select: inputs.select.clone(),
        exclude: inputs.exclude.clone(),
        smoke: inputs.smoke,
        matrix: inputs.matrix.clone(),
        shard: inputs.shard,
    }
}

/// The process's environment, as far as it is text.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The process's exit code for a run.
pub(crate) fn exit_code(summary: &Summary) -> u8 {
    u8::try_from(summary.verdict.exit_code).unwrap_or(BUG)
}
