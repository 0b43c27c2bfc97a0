//! The command line: clap types only.

mod dataset;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use dataset::{
    ConvertArgs, ConvertToArg, DatasetArgs, DatasetCommand, InspectArgs, OnMalformedArg, ReadArgs,
    SurveyFormat, UnitArg,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    passed
  1    internal bug
  2    wrong usage
  3    plan or params invalid
  4    preflight failed, nothing was sent
  5    run incomplete or invalid
  10   thresholds failed on a complete run
  11   selection matched nothing
  130  interrupted, 143 terminated; results are saved";

/// A declarative scenario runner for LLM inference endpoints.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// When to colour: on a terminal, always or never.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto)]
    pub color: When,
    /// Log more on standard error; twice for debug.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a plan and judge it.
    Run(RunArgs),
    /// Check plans without sending anything.
    Validate(ValidateArgs),
    /// Show a plan resolved: stages, params, graph, estimated requests and tokens.
    Plan(PlanArgs),
    /// Run a plan's tests: resolved values, order, diagnostics, and runs on the simulator.
    Test(TestArgs),
    /// List the built-in scenarios with their params; `@name` stands for a plan's path.
    List(ListArgs),
    /// Begin a plan from a built-in scenario.
    Init(InitArgs),
    /// Explain a diagnostic by its code, such as E011.
    Explain(ExplainArgs),
    /// Show a plan's params: value, source, type, description.
    Params(ParamsArgs),
    /// Serve the simulated endpoint until interrupted.
    Simulate(SimulateArgs),
    /// Compare runs: better, worse, the same, or not enough data.
    Compare(CompareArgs),
    /// Look into datasets and traces, or convert them.
    Dataset(DatasetArgs),
    /// Measure what this machine can do as a load generator.
    Calibrate(CalibrateArgs),
    /// Rebuild the report of a run from its records, also under another tool's definitions.
    Report(ReportArgs),
    /// Show a metric over runs.
    History(HistoryArgs),
    /// Print a JSON Schema.
    Schema(SchemaArgs),
    /// Print a shell completion script.
    Completions(CompletionsArgs),
}

/// What changes a plan from outside.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanInputs {
    /// Set a param; may be given several times.
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub params: Vec<(String, String)>,
    /// Take params from a YAML, TOML, JSON or dotenv file; the last file that has one counts.
    #[arg(long = "params-file", value_name = "FILE")]
    pub params_files: Vec<PathBuf>,
    /// Change any value of the plan, such as stages.cold.requests=8; null removes it.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Run only these stages: ID, +ID (and what it waits for), ID+ (and what waits for it), tag:X
    /// or kind:cold; may be given several times.
    #[arg(long = "select", value_name = "SELECTOR")]
    pub select: Vec<String>,
    /// Leave these stages out.
    #[arg(long = "exclude", value_name = "SELECTOR")]
    pub exclude: Vec<String>,
    /// Try the plan out: one request per stage, nothing is judged.
    #[arg(long)]
    pub smoke: bool,
    /// Run only the cells of the matrix that have this value; may be given several times.
    #[arg(long = "matrix", value_name = "AXIS=VALUE", value_parser = key_value)]
    pub matrix: Vec<(String, String)>,
    /// Run every N-th cell of the matrix, from the K-th on.
    #[arg(long, value_name = "K/N", value_parser = shard)]
    pub shard: Option<(usize, usize)>,
    /// Use this endpoint instead of the plan's: a profile's name or a URL.
    #[arg(long, value_name = "NAME|URL")]
    pub endpoint: Option<String>,
    /// Use this seed instead of the plan's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Let the plan read files outside its own folder.
    #[arg(long)]
    pub allow_outside_root: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan file (YAML or TOML), or a built-in scenario such as @cache-eviction.
    pub plan: PathBuf,
    /// What changes the plan.
    #[command(flatten)]
    pub inputs: PlanInputs,
    /// Write results under this folder instead of the plan's.
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// The summary.json of an earlier run, for checks against `baseline`.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// A further output, such as csv:requests.csv; may be given several times.
    #[arg(long = "sink", value_name = "KIND:TARGET")]
    pub sinks: Vec<String>,
    /// Leave no report.html in the run directory.
    #[arg(long)]
    pub no_report: bool,
    /// Skip what is left when a stage does not complete or fails a check; otherwise further cells
    /// of the matrix and independent stages go on.
    #[arg(long)]
    pub fail_fast: bool,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
    /// How to show progress on standard error.
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto)]
    pub progress: ProgressArg,
    /// Show progress on the whole terminal, with charts.
    #[arg(long, conflicts_with = "progress")]
    pub tui: bool,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Test files (*.test.yaml), or folders that hold some; the current directory unless given.
    pub paths: Vec<PathBuf>,
    /// Also write the results to this file as `JUnit` XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to print them.
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub format: DiagnosticFormat,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the plan and of its file; the scenario's unless given.
    pub name: Option<String>,
    /// The built-in scenario to begin from.
    #[arg(long, value_name = "SCENARIO", default_value = "cache-eviction")]
    pub template: String,
    /// The format of the file.
    #[arg(long, value_enum, default_value_t = InitFormat::Yaml)]
    pub format: InitFormat,
    /// Where editors shall find the schema; it is written to schemas/plan.v1.json unless given.
    #[arg(long, value_name = "URL|PATH")]
    pub schema: Option<String>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The code; all codes in a line each unless given.
    pub code: Option<String>,
}

/// The formats of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InitFormat {
    /// YAML, with the scenario's comments.
    Yaml,
    /// TOML, without comments.
    Toml,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The plan files, or built-in scenarios such as @cache-eviction.
    #[arg(required = true)]
    pub plans: Vec<PathBuf>,
    /// What changes the plans.
    #[command(flatten)]
    pub inputs: PlanInputs,
    /// How to print problems.
    #[arg(long, value_enum, default_value_t = ProblemFormat::Text)]
    pub format: ProblemFormat,
    /// Treat warnings as errors.
    #[arg(long)]
    pub deny_warnings: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The plan file (YAML or TOML), or a built-in scenario such as @cache-eviction.
    pub plan: PathBuf,
    /// What changes the plan.
    #[command(flatten)]
    pub inputs: PlanInputs,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
    /// Show a request of this stage exactly as it will be sent, secrets hidden, instead of the plan.
    #[arg(long, value_name = "STAGE", conflicts_with = "format")]
    pub request: Option<String>,
    /// Which of the stage's requests, from 0.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "request")]
    pub index: u64,
}

/// Arguments of `params`.
#[derive(Debug, Args)]
pub struct ParamsArgs {
    /// The plan file (YAML or TOML), or a built-in scenario such as @cache-eviction.
    pub plan: PathBuf,
    /// What changes the plan.
    #[command(flatten)]
    pub inputs: PlanInputs,
    /// How to print them.
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
    /// Write what was sent and when to this file.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The run to compare with: its directory, record log or summary.json.
    pub base: PathBuf,
    /// The runs to judge.
    #[arg(required_unless_present = "ab", conflicts_with = "ab")]
    pub new: Vec<PathBuf>,
    /// Compare the cells of one run with its first, request by request: of a matrix with
    /// `interleave: true`, whose cells take turns.
    #[arg(long)]
    pub ab: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
    /// Write it to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Metrics to compare, such as ttft,e2e; TTFT, E2E and TPOT unless given.
    #[arg(long = "metric", value_name = "NAME", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Percentiles to compare beside the median; 95 and 99 unless given.
    #[arg(long, value_name = "P", value_delimiter = ',', value_parser = percentile)]
    pub percentiles: Vec<f64>,
    /// The least difference that matters; 5% unless given.
    #[arg(long, value_name = "SHARE")]
    pub min_effect: Option<String>,
    /// What makes the exit code 10; with `worse`, what can't be told is 5.
    #[arg(long, value_enum, default_value_t = FailOn::Never)]
    pub fail_on: FailOn,
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
    /// Keep them in this file; without it in `$RUNNER_CALIBRATION`, else in
    /// `runner/calibration.json` of the user's state folder, where `run` looks.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run directory.
    pub run: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
    /// Write it to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Percentiles of the text's table, such as 50,90,99.9.
    #[arg(long, value_name = "P", value_delimiter = ',', value_parser = percentile)]
    pub percentiles: Vec<f64>,
    /// Derive the figures anew under the formulas of another tool: vllm, sglang, aiperf, guidellm,
    /// inference-perf, llmperf, evalscope, ttft-cache, qps-benchmark, chat-replay or bench-pack.
    #[arg(long, value_name = "TOOL")]
    pub definitions: Option<String>,
    /// Put the records through a sink as well, such as junit:checks.xml or csv:requests.csv; may be
    /// given several times.
    #[arg(long = "sink", value_name = "KIND:TARGET")]
    pub sinks: Vec<String>,
    /// Replace the run's summary.json, summary.csv and report.html by what its records say.
    #[arg(long)]
    pub write: bool,
    /// Also write the run in the files of another tool: vllm-bench, aiperf, genai-perf, guidellm,
    /// inference-perf, llm-d, ttft-cache, qps-benchmark, replay-rounds or bench-pack; into
    /// RUN/export/FORMAT unless a folder is named. May be given several times.
    #[arg(long = "export", value_name = "FORMAT[=FOLDER]")]
    pub exports: Vec<String>,
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

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which one.
    #[arg(value_enum)]
    pub which: SchemaName,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
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

/// How problems of a plan are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiagnosticFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How `validate` prints problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProblemFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Annotations of GitHub Actions.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// A Graphviz graph.
    Dot,
    /// For programs.
    Json,
}

/// The schemas that ship with the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// Plan files.
    Plan,
    /// Lines of the record log.
    Record,
    /// summary.json.
    Summary,
}

/// Splits at the first `=` only, so that values may hold commas and further `=`.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// A percentile such as `99`, `p99` or `99.9`.
fn percentile(text: &str) -> Result<f64, String> {
    match text.trim_start_matches('p').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent < 100.0 => Ok(percent),
        _ => Err("expected a percentile between 0 and 100, such as 95 or 99.9".into()),
    }
}

/// `K/N` with K from 1 to N.
fn shard(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((shard, of)) if 1 <= shard && shard <= of => Ok((shard, of)),
        _ => Err("expected K/N with K from 1 to N, such as 1/4".into()),
    }
}
