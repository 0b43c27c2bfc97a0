//! `runner run PLAN`: the main job.

mod simulated;

use std::path::Path;

use super::builtin::Place;
use super::past;
use crate::cli::{OutputFormat, Outputs, ProgressArg, RunArgs};
use crate::executor::progress::ProgressMode;
use crate::executor::resume::Resumed;
use crate::executor::run_dir::{self, SUMMARY};
use crate::executor::{self, Finished, RunError, RunOptions};
use crate::machine;
use crate::metrics::baseline;
use crate::metrics::quantity::plural;
use crate::metrics::summary::{RunState, Summary};
use crate::output::{self, Stream, note};
use crate::plan::{LoadOptions, Loaded, Plan, SinkConfig, SinkKind};
use crate::report::console;
use crate::report::look::Look;
use crate::sink;

/// Runs a plan; the exit code is the run's verdict.
pub fn run(args: &RunArgs) -> anyhow::Result<u8> {
    match super::place(&args.plan) {
        Ok(place) => run_from(place, args, super::load_options(&args.inputs)),
        Err(code) => Ok(code),
    }
}

/// As [`run`], of a plan whose place is known, and what it is read with.
pub(super) fn run_from(
    place: Place,
    args: &RunArgs,
    mut inputs: LoadOptions,
) -> anyhow::Result<u8> {
    let outputs = &args.outputs;
    inputs.sinks.clone_from(&outputs.sinks);
    let is_json = outputs.output_format == OutputFormat::Json;
    let super::Ready { mut loaded, graph, _place } = match super::load_from(place, &inputs, is_json)
    {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    if let Err(code) = compare_with(&mut loaded, args, is_json) {
        return Ok(code);
    }
    loaded.plan.sinks.extend(step_summary(&loaded.plan));
    if let Some((why, help)) = simulated::refusal(&loaded, args, simulated::is_ci()) {
        return Ok(nothing_sent(&loaded, &format!("{why}\n  help: {help}"), is_json));
    }
    if let Some(results) = &outputs.results {
        loaded.plan.results.clone_from(results);
    }
    let to_stdout = loaded.plan.sinks.iter().find(|sink| sink.is_stdout()).map(|sink| sink.kind);
    if let Some((why, help)) = contradiction(outputs, to_stdout) {
        note!("error: {why}\n  help: {help}");
        return Ok(super::USAGE);
    }
    let choices = choices(args);
    let resumed = args.resume.as_deref().map(|run| Resumed::open(run, &loaded.plan, &choices));
    let resumed = match resumed {
        None => None,
        Some(Ok(resumed)) => {
            note!("{}", resumed.note(&loaded.plan));
            Some(resumed)
        }
        Some(Err(error)) => {
            note!("error: --resume: {error}");
            return Ok(super::PLAN_INVALID);
        }
    };
    let options = RunOptions {
        arguments: std::env::args().map(|arg| loaded.redactor.redact(&arg).into_owned()).collect(),
        choices,
        progress: match outputs.progress {
            _ if outputs.tui => ProgressMode::FullScreen { colour: Stream::Err.is_coloured() },
            ProgressArg::Auto if Stream::Err.is_terminal() => ProgressMode::Bar,
            ProgressArg::Auto | ProgressArg::Plain => ProgressMode::Plain,
            ProgressArg::Bar => ProgressMode::Bar,
            ProgressArg::None => ProgressMode::None,
        },
        heartbeat: outputs.heartbeat,
        fail_fast: args.fail_fast,
        warnings: super::calibrate::warnings(&loaded.plan),
        secrets: loaded.redactor.clone(),
        resumed,
    };
    if options.progress == ProgressMode::Plain {
        let plan = super::plan::in_a_line(&loaded.plan);
        note!("{}", loaded.redactor.redact(&plan));
    }
    output::be_impatient();
    machine::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let finished = match runtime.block_on(executor::run(&loaded.plan, &graph, options)) {
        Ok(finished) => finished,
        Err(RunError::Interrupted(code)) => return Ok(u8::try_from(code)?),
        Err(error) => {
            let why = loaded.redactor.redact(&error.to_string()).into_owned();
            return Ok(nothing_sent(&loaded, &why, is_json || to_stdout.is_some()));
        }
    };
    // A connection that a server never closes must not hold up the exit.
    runtime.shutdown_background();
    if !outputs.no_report
        && let Err(why) = super::report::leave_page(&finished.directory, &finished.summary)
    {
        note!("warning: {} could not be written: {why}", super::report::PAGE);
    }
    // All evidence is on disk by now: whoever reads the report slowly holds up nothing else.
    match outputs.output_format {
        OutputFormat::Text => tell(&finished, &outputs.percentiles, to_stdout.is_some()),
        OutputFormat::Json => output::print(&output::json(&finished.summary)?),
        OutputFormat::None => {}
    }
    let is_taken = is_json || to_stdout.is_some();
    super::github::annotate(&super::github::thresholds(&finished.summary), is_taken);
    if let Some(problem) = &finished.unfinished {
        note!("error: the run's results are not complete on disk: {problem}");
        return Ok(super::INCOMPLETE);
    }
    let directory = finished.directory.display();
    note!("results: {directory}");
    if finished.summary.run.state == RunState::Interrupted {
        note!("  help: go on with it by `--resume {directory}`, with the same plan and flags");
    }
    Ok(super::exit_code(&finished.summary))
}

/// What of the outputs can't be, and what to do.
fn contradiction(outputs: &Outputs, to_stdout: Option<SinkKind>) -> Option<(String, &'static str)> {
    if outputs.tui && !Stream::Err.is_terminal() {
        return Some((
            "`--tui` needs a terminal on standard error".into(),
            "leave it out, or use `--progress plain`",
        ));
    }
    if !outputs.percentiles.is_empty() && outputs.output_format != OutputFormat::Text {
        return Some((
            "`--percentiles` are columns of the text report, which is not printed".into(),
            "leave out `--output-format`",
        ));
    }
    let kind = to_stdout.filter(|_| outputs.output_format == OutputFormat::Json)?.word();
    Some((
        format!("the sink `{kind}:-` and `--output-format json` both want standard output"),
        "give the sink a file, or leave out `--output-format json`",
    ))
}

/// Says why the run never began, also where CI looks for its results.
fn nothing_sent(loaded: &Loaded, why: &str, is_taken: bool) -> u8 {
    note!("error: {why}");
    note!("nothing was sent");
    let plan = &loaded.plan;
    for error in sink::refused::tell(&plan.sinks, Path::new("."), &plan.name, why) {
        note!("warning: sink {error}");
    }
    let endpoint = loaded.sources.named(&plan.path.to_string_lossy()).and_then(|text| {
        text.lines().position(|line| line.starts_with("endpoint:") || line == "[endpoint]")
    });
    super::github::annotate(&super::github::preflight(plan, endpoint, why), is_taken);
    super::PREFLIGHT
}

/// What the command line changes of the plan that the plan's document does not show, sorted.
fn choices(args: &RunArgs) -> Vec<String> {
    let inputs = &args.inputs;
    let smoke = inputs.smoke.then(|| "--smoke".to_owned());
    let select = inputs.select.iter().map(|it| format!("--select {it}"));
    let exclude = inputs.exclude.iter().map(|it| format!("--exclude {it}"));
    let baseline = args.baseline.as_ref().map(|path| {
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        format!("--baseline {}", path.display())
    });
    let mut all: Vec<String> =
        smoke.into_iter().chain(select).chain(exclude).chain(baseline).collect();
    all.sort_unstable();
    all
}

/// The report for people, on standard output unless that `is_taken`: what a sink writes there stays
/// whole.
fn tell(finished: &Finished, percentiles: &[f64], is_taken: bool) {
    let summary = &finished.summary;
    let look = Look::of(if is_taken { Stream::Err } else { Stream::Out });
    let report = super::report::of_run(&finished.directory, summary, look, percentiles);
    let report = report.unwrap_or_else(|why| {
        note!("warning: --percentiles: the records can't be read back: {why}");
        console::render(summary, look)
    });
    if is_taken {
        output::note_text(&report);
        return;
    }
    output::print(&report);
    if let Some((lines, why)) = output::settle() {
        let lines = plural(lines, "line");
        output::print(&format!("note: {lines} for standard error could not be written: {why}\n"));
    }
}

/// The report for the summary of a step, where GitHub asks for one and the plan does not write it
/// already.
fn step_summary(plan: &Plan) -> Option<SinkConfig> {
    let target = std::env::var("GITHUB_STEP_SUMMARY").ok().filter(|path| !path.is_empty())?;
    let is_written = plan.sinks.iter().any(|sink| sink.target == target);
    (!is_written).then_some(SinkConfig { kind: SinkKind::Markdown, target, required: false })
}

/// Gives the checks against `baseline` their numbers. `Err` holds the exit code.
fn compare_with(loaded: &mut Loaded, args: &RunArgs, json: bool) -> Result<(), u8> {
    let Some(asked) = args.baseline.as_deref() else {
        let found = baseline::resolve(&mut loaded.plan, None);
        super::say(&found, &loaded.sources, &loaded.redactor, json);
        return if found.is_empty() { Ok(()) } else { Err(super::PLAN_INVALID) };
    };
    if args.resume.is_some() && past::is_word(asked) {
        note!(
            "error: --baseline {}: the run to go on with may be that run by now",
            asked.display()
        );
        note!("  help: give the directory of the baseline that it began with");
        return Err(super::USAGE);
    }
    let results = args.outputs.results.as_ref().unwrap_or(&loaded.plan.results);
    let run = past::run_of(asked, results, &run_dir::slug(&loaded.plan.name));
    // A word waits for its first run; a path that is not there is a mistake.
    if let Err(why) = &run {
        if args.conditions.require_baseline {
            note!("error: --baseline {}: {why}", asked.display());
            return Err(super::PLAN_INVALID);
        }
        note!("warning: --baseline: {why}; checks against it are not made");
        return Ok(());
    }
    let summary = match run.map_err(anyhow::Error::msg).and_then(|run| read_summary(&run)) {
        Ok(summary) => Some((summary, asked.display().to_string())),
        Err(error) => {
            note!("error: --baseline {}: {error}", asked.display());
            note!("  help: give the directory of an earlier run, or its summary.json");
            return Err(super::PLAN_INVALID);
        }
    };
    if summary.is_some() && !baseline::is_asked_for(&loaded.plan) {
        note!("error: --baseline: no check of the stages that run compares with `baseline`");
        note!(
            "  help: write `ttft.p95 <= baseline + 10%` under `thresholds`, or compare the runs \
             afterwards: `runner compare BASE NEW`"
        );
        return Err(super::USAGE);
    }
    let summary = summary.as_ref().map(|(summary, file)| (summary, file.as_str()));
    let found = baseline::resolve(&mut loaded.plan, summary);
    super::say(&found, &loaded.sources, &loaded.redactor, json);
    if found.is_empty() { Ok(()) } else { Err(super::PLAN_INVALID) }
}

fn read_summary(path: &Path) -> anyhow::Result<Summary> {
    let path = if path.is_dir() { &path.join(SUMMARY) } else { path };
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}
