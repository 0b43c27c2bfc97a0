//! `runner history RESULTS`: a metric over runs.
//!
//! In: a folder with runs below it. Out: a table and a sparkline per plan, or JSON. Invariant: a
//! summary that can't be read is named on standard error, never left out in silence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::{DiagnosticFormat, HistoryArgs};
use crate::executor::run_dir::SUMMARY;
use crate::metrics::summary::{StageSummary, Summary};
use crate::metrics::{baseline, record_log};
use crate::output::{self, Stream, note};
use crate::plan::{Aggregate, MetricRef, metric};
use crate::report::history::{PlanHistory, RunPoint, render};
use crate::report::look::Look;

/// How far below the folder runs are looked for: results, plan, run.
const DEPTH: usize = 3;

/// Prints a metric over runs.
pub fn run(args: &HistoryArgs) -> anyhow::Result<u8> {
    let asked = match metric_ref(&args.metric) {
        Ok(asked) => asked,
        Err(message) => return Ok(usage(&message)),
    };
    let (mut files, mut without) = (Vec::new(), Vec::new());
    if let Err(error) = find(&args.results, DEPTH, &mut files, &mut without) {
        return Ok(usage(&format!("{}: {error}", args.results.display())));
    }
    for run in &without {
        let run = run.display();
        let advice = format!("it goes on, or died; `runner report --write {run}` makes one");
        note!("warning: {run}: left out, it has no {SUMMARY} ({advice})");
    }
    let mut runs: Vec<Summary> = Vec::new();
    for file in &files {
        match read(file) {
            Ok(summary) if runs.iter().all(|known| known.run.id != summary.run.id) => {
                runs.push(summary);
            }
            Ok(_) => {}
            Err(error) => note!("warning: {}: {error}", file.display()),
        }
    }
    runs.sort_by(|a, b| a.run.started_at.cmp(&b.run.started_at));
    let mut plans: BTreeMap<String, Vec<Summary>> = BTreeMap::new();
    for run in runs {
        if args.plan.as_ref().is_none_or(|plan| *plan == run.run.plan) {
            plans.entry(run.run.plan.clone()).or_default().push(run);
        }
    }
    let found: Vec<PlanHistory> = plans
        .into_iter()
        .map(|(plan, runs)| history(plan, &runs, &asked, args))
        .filter(|plan| !plan.stages.is_empty())
        .collect();
    if found.is_empty() {
        let what = match (files.is_empty(), &args.stage) {
            (true, _) => format!("no run with a {SUMMARY} below {}", args.results.display()),
            (_, Some(stage)) => format!("no run has {} of a stage `{stage}`", args.metric),
            _ => match &args.plan {
                Some(plan) => format!("no run of a plan `{plan}` has {}", args.metric),
                None => format!("no run has {}", args.metric),
            },
        };
        return Ok(usage(&what));
    }
    output::print(&match args.format {
        DiagnosticFormat::Json => output::json(&found)?,
        DiagnosticFormat::Text => render(&found, Look::of(Stream::Out)),
    });
    Ok(super::PASS)
}

fn usage(message: &str) -> u8 {
    note!("error: {message}");
    super::USAGE
}

/// `ttft.p50`, or `error_rate`.
fn metric_ref(text: &str) -> Result<MetricRef, String> {
    let (name, word) = text.split_once('.').map_or((text, None), |(name, word)| (name, Some(word)));
    let all = || {
        let names = metric::METRICS.iter().filter(|metric| metric.unit != "verdict");
        names.map(|metric| metric.name).collect::<Vec<_>>().join(", ")
    };
    let found = metric::find(name).filter(|metric| metric.unit != "verdict");
    let found = found.ok_or_else(|| format!("--metric {text}: choose of {}", all()))?;
    let aggregate = match (found.distribution, word) {
        (false, None) => None,
        (false, Some(_)) => {
            return Err(format!("--metric {text}: {name} is one figure; leave `.…` out"));
        }
        (true, None) => Some(Aggregate::Percentile(50.0)),
        (true, Some(word)) => Some(match word {
            "mean" => Aggregate::Mean,
            "std" => Aggregate::Std,
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            "count" => Aggregate::Count,
            "p50" => Aggregate::Percentile(50.0),
            "p90" => Aggregate::Percentile(90.0),
            "p95" => Aggregate::Percentile(95.0),
            "p99" => Aggregate::Percentile(99.0),
            _ => {
                let kept = "mean, std, min, max, count, p50, p90, p95, p99";
                return Err(format!("--metric {text}: summaries keep {kept}"));
            }
        }),
    };
    Ok(MetricRef { stage: None, metric: name.to_owned(), aggregate })
}

/// Every summary of a run below `folder`, and the runs that have none; links such as `latest` are not
/// followed.
fn find(
    folder: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
    without: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    let summary = folder.join(SUMMARY);
    if summary.is_file() {
        found.push(summary);
        return Ok(());
    }
    if folder.join(record_log::segment_name(1)).is_file() {
        without.push(folder.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            entries.push(entry.path());
        }
    }
    entries.sort();
    for entry in entries {
        if depth > 0 {
            find(&entry, depth - 1, found, without)?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Summary> {
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

fn history(plan: String, runs: &[Summary], asked: &MetricRef, args: &HistoryArgs) -> PlanHistory {
    let wanted = |stage: &&StageSummary| {
        stage.reported
            && args.stage.as_ref().is_none_or(|id| stage.id == *id || stage.label() == *id)
    };
    let value = |stage: &StageSummary| baseline::number(asked, None, stage);
    let mut stages: Vec<String> = Vec::new();
    // The newest run says best what stages there are.
    for run in runs.iter().rev() {
        for stage in run.stages.iter().filter(wanted) {
            let label = stage.label();
            if value(stage).is_some() && !stages.contains(&label) {
                stages.push(label);
            }
        }
    }
    let point = |summary: &Summary| {
        let mut models: Vec<String> = Vec::new();
        for model in summary.stages.iter().filter_map(|stage| stage.model.clone()) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        let of = |label: &String| {
            summary.stages.iter().find(|stage| stage.label() == *label).and_then(value)
        };
        RunPoint {
            id: summary.run.id.clone(),
            started_at: summary.run.started_at.clone(),
            models,
            exit_code: summary.verdict.exit_code,
            valid: summary.run.valid,
            simulated: summary.run.simulated,
            insecure: summary.run.insecure,
            values: stages.iter().map(of).collect(),
        }
    };
    let metric = metric::find(&asked.metric);
    let runs = runs.iter().map(point).collect();
    PlanHistory {
        plan,
        metric: args.metric.clone(),
        unit: metric.map_or("", |metric| metric.unit).to_owned(),
        lower_is_better: metric.and_then(|metric| metric.lower_is_better),
        stages,
        runs,
    }
}
