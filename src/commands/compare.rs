//! `runner compare BASE NEW [NEW…]`: what is better, worse, or the same.
//!
//! In: run directories, record logs or summaries. Out: one comparison in the format asked for.
//! Invariant: a comparison passes whatever it finds, unless `--fail-on` asks otherwise.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{CompareArgs, CompareFormat, FailOn};
use crate::executor::rebuild;
use crate::metrics::compare::evidence::{Collector, Evidence};
use crate::metrics::compare::{self, Comparison, Options, Verdict, paired};
use crate::metrics::quantity::plural;
use crate::metrics::summary::Summary;
use crate::output::{self, Stream, note};
use crate::plan::{metric, units};
use crate::report::compare::Arm;
use crate::report::look::Look;
use crate::report::{compare as view, html, svg};
use crate::sink::atomic_file;

/// Compares runs; the exit code is 0 unless `--fail-on` is given.
pub fn run(args: &CompareArgs) -> anyhow::Result<u8> {
    let options = match options(args) {
        Ok(options) => options,
        Err(message) => return Ok(usage(&message)),
    };
    let mut runs = Vec::new();
    for path in std::iter::once(&args.base).chain(&args.new) {
        let path = match super::past::run(path) {
            Ok(path) => path,
            Err(why) => return Ok(usage(&why)),
        };
        match read(&path, &options.metrics) {
            Ok(run) => runs.push(run),
            Err(message) => {
                return Ok(usage(&format!("can't compare {}: {message}", path.display())));
            }
        }
    }
    let [base, new @ ..] = runs.as_slice() else { return Ok(usage("nothing to compare")) };
    let cells = if args.ab { paired::cells(base) } else { Vec::new() };
    if args.ab && cells.len() < 2 {
        return Ok(usage(&format!(
            "--ab: {} has {} with requests; two or more cells of a matrix can be compared",
            base.name,
            plural(cells.len() as u64, "cell"),
        )));
    }
    let comparisons: Vec<Comparison> = match cells.as_slice() {
        [first, rest @ ..] => {
            rest.iter().map(|cell| paired::compare_cells(base, first, cell, &options)).collect()
        }
        [] => new.iter().map(|new| compare::compare(base, new, &options)).collect(),
    };
    let shown: Vec<Arm> = if args.ab {
        cells.iter().map(|cell| Arm { run: base, cell: Some(cell) }).collect()
    } else {
        runs.iter().map(|run| Arm { run, cell: None }).collect()
    };
    let document = document(args, &comparisons, &shown)?;
    match &args.output {
        None => output::print(&document),
        Some(path) => {
            if let Err(error) = atomic_file::write(path, document.as_bytes()) {
                return Ok(usage(&format!("can't write {}: {error}", path.display())));
            }
        }
    }
    Ok(exit_code(args.fail_on, &comparisons))
}

fn usage(message: &str) -> u8 {
    note!("error: {message}");
    super::USAGE
}

fn options(args: &CompareArgs) -> Result<Options, String> {
    let mut options = Options::default();
    if !args.metrics.is_empty() {
        options.metrics.clear();
    }
    for name in &args.metrics {
        let found = metric::find(name).filter(|metric| metric.distribution);
        let known = || {
            let names = metric::METRICS.iter().filter(|it| it.distribution);
            names.map(|metric| metric.name).collect::<Vec<_>>().join(", ")
        };
        let found = found.ok_or_else(|| {
            format!(
                "--metric {name}: not a metric that requests have samples of; choose of {}",
                known()
            )
        })?;
        options.metrics.push(found.name);
    }
    if let Some(text) = &args.min_effect {
        let share = units::share(text).map_err(|why| format!("--min-effect: {why}"))?;
        if share <= 0.0 {
            return Err("--min-effect: must be above 0 %, or every difference would matter".into());
        }
        options.min_effect = share;
    }
    if !args.percentiles.is_empty() {
        options.percentiles.clone_from(&args.percentiles);
    }
    Ok(options)
}

/// Reads a run directory, a record log, or a summary (whose records are read where they lie beside
/// it).
fn read(path: &Path, metrics: &[&'static str]) -> Result<Evidence, String> {
    let name = path.display().to_string();
    let beside = path.parent().map(|folder| {
        if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
    });
    let is_summary = path.extension().is_some_and(|extension| extension == "json");
    let log = match beside {
        Some(folder) if path.is_file() && is_summary => {
            Some(folder).filter(|folder| folder.join("records-000001.jsonl").is_file())
        }
        Some(folder) if path.is_file() && rebuild::is_segment(path) => Some(folder),
        _ if path.is_dir() && !path.join("records-000001.jsonl").is_file() => None,
        _ if is_summary => None,
        _ => Some(path.to_owned()),
    };
    if let Some(log) = log {
        let mut collector = Collector::new(metrics);
        let read =
            rebuild::lines(&log, |_, line| collector.line(line)).map_err(|it| it.to_string())?;
        if read.losses.lines == 0 {
            return Err("no line of a record log in it".to_owned());
        }
        if let Some(why) = read.losses.data_loss() {
            collector.distrust(why);
        }
        let machine = read.manifest.as_ref().map(|manifest| {
            let host = &manifest.host;
            let name = host.hostname.as_deref().unwrap_or("unnamed");
            format!("{name} ({} {}, {} cores)", host.os, host.arch, host.cores)
        });
        return Ok(collector.finish(name, machine, &read.end));
    }
    let file = if path.is_dir() { path.join("summary.json") } else { path.to_owned() };
    let bytes = std::fs::read(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound if path.is_dir() => {
            "no records-000001.jsonl and no summary.json in it, so it is not a run directory".into()
        }
        _ => error.to_string(),
    })?;
    let summary: Summary = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{}: not the summary of a run: {error}", file.display()))?;
    Ok(Evidence::of_summary(name, summary))
}

fn document(
    args: &CompareArgs,
    comparisons: &[Comparison],
    runs: &[Arm],
) -> anyhow::Result<String> {
    let view = view::compose(comparisons, runs);
    Ok(match args.format {
        CompareFormat::Text => {
            let look = if args.output.is_some() { Look::PLAIN } else { Look::of(Stream::Out) };
            view::text(&view, look)
        }
        CompareFormat::Markdown => view::markdown(&view),
        CompareFormat::Html => html::comparison(&view)?,
        CompareFormat::Svg => svg::document(&view::sheet(&view), &view.headline),
        CompareFormat::Json => {
            let mut out = String::new();
            let all = json!({ "schema_version": 1, "comparisons": comparisons });
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
            out
        }
    })
}

/// What cannot be told is no pass: with `--fail-on` it is 5, as for a run that is not complete.
fn exit_code(fail_on: FailOn, comparisons: &[Comparison]) -> u8 {
    let any = |wanted: Verdict| comparisons.iter().any(|found| found.verdict == wanted);
    let doubtful = comparisons.iter().any(|found| found.doubtful);
    match fail_on {
        FailOn::Worse if doubtful => super::INCOMPLETE,
        FailOn::Worse if any(Verdict::Worse) => super::THRESHOLDS_FAILED,
        FailOn::Worse if any(Verdict::NotEnoughData) => super::INCOMPLETE,
        FailOn::Worse | FailOn::Never => super::PASS,
    }
}
