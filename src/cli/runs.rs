//! The arguments of subcommands that run plans or read what runs left: `run`, `report`, `compare`,
//! `history`, `simulate`, `calibrate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{DiagnosticFormat, PlanInputs};
use crate::plan::units;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan file (YAML or TOML), or a built-in scenario such as @cache-eviction.
    pub plan: PathBuf,
    /// What changes the plan.
    #[command(flatten)]
    pub inputs: PlanInputs,
    /// What is told, and where.
    #[command(flatten)]
    pub outputs: Outputs,
    /// An earlier run for checks against `baseline`: its directory or its summary.json, `latest`,
    /// `latest~1` or `last-passed`. While there is no such run, these checks are not made.
    #[arg(long, value_name = "RUN")]
    pub baseline: Option<PathBuf>,
    /// What must be so, or the run does not begin.
    #[command(flatten)]
    pub conditions: Conditions,
    /// Continue a run of the same plan that was killed or interrupted. Finished levels of `load`,
    /// `qps_ladder`, `concurrency_ramp`, `replay` and `search` stages are taken over; the rest, and
    /// all other stages, are run.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Skip the rest of the run if a stage does not complete or fails a check. By default, further
    /// cells of the matrix and independent stages still run.
    #[arg(long)]
    pub fail_fast: bool,
}

/// What must be so, or the run does not begin.
#[derive(Debug, Clone, Default, Args)]
pub struct Conditions {
    /// Refuse to run while there is no run that `--baseline` could mean.
    #[arg(long, requires = "baseline")]
    pub require_baseline: bool,
    /// Run on the embedded simulator even if CI (`CI=true`) named no endpoint and a default chose it.
    #[arg(long, conflicts_with = "real")]
    pub simulated: bool,
    /// Refuse to run if an endpoint is the embedded simulator.
    #[arg(long)]
    pub real: bool,
}

/// What a run tells, and where.
#[derive(Debug, Clone, Args)]
pub struct Outputs {
    /// Write results under this folder instead of the plan's.
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// A further output, such as csv:requests.csv. Can be repeated.
    #[arg(long = "sink", value_name = "KIND:TARGET")]
    pub sinks: Vec<String>,
    /// Do not write report.html.
    #[arg(long)]
    pub no_report: bool,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
    /// Percentiles of the report's table, such as 50,90,99.9.
    #[arg(long, value_name = "P", value_delimiter = ',', value_parser = percentile)]
    pub percentiles: Vec<f64>,
    /// How to show progress on standard error.
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto)]
    pub progress: ProgressArg,
    /// Show progress on the whole terminal, with charts.
    #[arg(long, conflicts_with = "progress")]
    pub tui: bool,
    /// Where progress is plain lines, say how far the run is after each such time; 0s turns it off.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    pub heartbeat: Duration,
}

/// What `run` prints on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Tables for people.
    Text,
    /// The summary as JSON.
    Json,
    /// Nothing.
    None,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// A moving line on a terminal, plain lines elsewhere.
    Auto,
    /// A moving line.
    Bar,
    /// A line per stage.
    Plain,
    /// Nothing.
    None,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run: its directory, `latest`, `latest~1`, `last-passed`, or one of these behind a plan's
    /// name: `PLAN/latest`.
    pub run: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Percentiles of the text's table, such as 50,90,99.9.
    #[arg(long, value_name = "P", value_delimiter = ',', value_parser = percentile)]
    pub percentiles: Vec<f64>,
    /// Recompute the figures with the formulas of another tool: vllm, sglang, aiperf, guidellm,
    /// inference-perf, llmperf, evalscope, ttft-cache, qps-benchmark, chat-replay or bench-pack.
    #[arg(long, value_name = "TOOL")]
    pub definitions: Option<String>,
    /// Also write the records to a sink, such as junit:checks.xml or csv:requests.csv. Can be
    /// repeated.
    #[arg(long = "sink", value_name = "KIND:TARGET")]
    pub sinks: Vec<String>,
    /// Rewrite the run's summary.json, summary.csv and report.html from its records.
    #[arg(long)]
    pub write: bool,
    /// Also write the run in the format of another tool: vllm-bench, aiperf, genai-perf, guidellm,
    /// inference-perf, llm-d, ttft-cache, qps-benchmark, replay-rounds or bench-pack. Default
    /// folder: RUN/export/FORMAT. Can be repeated.
    #[arg(long = "export", value_name = "FORMAT[=FOLDER]")]
    pub exports: Vec<String>,
}

/// Arguments of `recover`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// The run: its directory, or `latest`.
    pub run: PathBuf,
}

/// What `report` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Tables for people.
    Text,
    /// The summary as JSON.
    Json,
    /// The page with charts.
    Html,
    /// For a pull request or `GITHUB_STEP_SUMMARY`.
    Markdown,
    /// Every chart on one sheet.
    Svg,
    /// The same as pixels.
    Png,
    /// Nothing.
    None,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The run to compare with: its directory, record log or summary.json, `latest~1` or
    /// `last-passed`.
    pub base: PathBuf,
    /// The runs to judge.
    #[arg(required_unless_present = "ab", conflicts_with = "ab")]
    pub new: Vec<PathBuf>,
    /// Compare the cells of one run with its first cell, request by request. The run needs a matrix
    /// with `interleave: true`.
    #[arg(long)]
    pub ab: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Metrics to compare, such as ttft,e2e. Default: TTFT, E2E and TPOT.
    #[arg(long = "metric", value_name = "NAME", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Percentiles to compare beside the median. Default: 95 and 99.
    #[arg(long, value_name = "P", value_delimiter = ',', value_parser = percentile)]
    pub percentiles: Vec<f64>,
    /// The least difference that matters. Default: 5%.
    #[arg(long, value_name = "SHARE")]
    pub min_effect: Option<String>,
    /// When to exit with 10. With `worse`, the exit code is 5 if that can't be told.
    #[arg(long, value_enum, default_value_t = FailOn::Never)]
    pub fail_on: FailOn,
}

/// How a comparison is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// A table for people.
    Text,
    /// For a pull request or `GITHUB_STEP_SUMMARY`.
    Markdown,
    /// One self-contained page with charts.
    Html,
    /// Every chart on one sheet.
    Svg,
    /// For programs.
    Json,
}

/// Which verdict fails a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// None.
    Never,
    /// A new run that is worse.
    Worse,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The folder that holds the runs.
    #[arg(default_value = "results")]
    pub results: PathBuf,
    /// What to show, such as `ttft.p99` or `error_rate`.
    #[arg(long, default_value = "ttft.p50")]
    pub metric: String,
    /// Only this stage, by id or as a report labels it.
    #[arg(long)]
    pub stage: Option<String>,
    /// Only runs of this plan.
    #[arg(long)]
    pub plan: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub format: DiagnosticFormat,
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Port on the loopback address; 0 takes a free one.
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Take the simulator's settings from this plan's first simulated endpoint.
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Write what was sent, and when, to this file.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
}

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Measure less: a few seconds, rougher figures.
    #[arg(long)]
    pub quick: bool,
    /// How to print the figures.
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub format: DiagnosticFormat,
    /// Keep the figures in this file. Default: `$RUNNER_CALIBRATION`, else
    /// `runner/calibration.json` in the user's state folder, where `run` looks for it.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// A percentile such as `99`, `p99` or `99.9`.
fn percentile(text: &str) -> Result<f64, String> {
    match text.trim_start_matches('p').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent < 100.0 => Ok(percent),
        _ => Err("expected a percentile between 0 and 100, such as 95 or 99.9".into()),
    }
}
