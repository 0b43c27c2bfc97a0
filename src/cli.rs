//! The command line: clap types only, in one file for each family of subcommands.

mod dataset;
mod inputs;
mod plans;
mod quick;
mod runs;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub use dataset::{
    ConvertArgs, ConvertToArg, DatasetArgs, DatasetCommand, InspectArgs, OnMalformedArg, ReadArgs,
    SurveyFormat, UnitArg,
};
pub use inputs::PlanInputs;
pub use plans::{
    ExplainArgs, InitArgs, InitFormat, ListArgs, ParamsArgs, PlanArgs, PlanFormat, ProblemFormat,
    SchemaArgs, SchemaName, TestArgs, ValidateArgs,
};
pub use quick::{DoctorArgs, EndpointArgs, QuickArgs};
pub use runs::{
    CalibrateArgs, CompareArgs, CompareFormat, Conditions, FailOn, HistoryArgs, OutputFormat,
    Outputs, ProgressArg, RecoverArgs, ReportArgs, ReportFormat, RunArgs, SimulateArgs,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    passed
  1    internal bug
  2    wrong usage
  3    plan or params invalid
  4    preflight failed, nothing was sent
  5    run incomplete or invalid
  6    all is well, but standard output could not be written
  10   thresholds failed on a complete run
  11   selection matched nothing
  129  hung up, 130 interrupted, 143 terminated; results are saved";

/// A declarative scenario runner for LLM inference endpoints.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto)]
    pub color: When,
    /// Show all evidence in reports, and log more on standard error. Twice: debug messages.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// The process's arguments; the error is what they come to by themselves: help, the version, or
    /// what is wrong with them.
    pub fn of_process() -> Result<Self, clap::Error> {
        Self::try_parse().map_err(|error| match error.get(ContextKind::InvalidSubcommand) {
            Some(ContextValue::String(url)) if url.contains("://") => {
                let help = format!("`runner quick {url}` measures it without a plan");
                let message = format!("`{url}` is no command\n\n  help: {help}\n");
                Self::command().error(ErrorKind::InvalidSubcommand, message)
            }
            _ => known_elsewhere(&error).unwrap_or(error),
        })
    }
}

/// Flags of other tools (vllm bench, guidellm, genai-perf, k6, oha), ours of `quick`, and the plan's key.
const ELSEWHERE: &[(&[&str], &str, &str)] = &[
    (
        &["num-prompts", "num-requests", "max-requests", "request-count", "iterations"],
        "--requests",
        "requests",
    ),
    (&["request-rate", "qps", "rps"], "--rate", "rate"),
    (
        &["max-concurrency", "vus", "users", "num-users", "connections"],
        "--concurrency",
        "concurrency",
    ),
    (&["max-seconds", "time", "benchmark-duration"], "--duration", "duration"),
    (&["base-url", "target", "host"], "URL", "endpoint"),
    (&["dataset-path", "dataset", "input-file"], "--data", "prompt.dataset"),
    (
        &["random-input-len", "input-len", "synthetic-input-tokens-mean", "prompt-tokens"],
        "--input",
        "prompt.context.tokens",
    ),
    (
        &["random-output-len", "output-len", "output-tokens-mean", "output-tokens", "max-tokens"],
        "--output",
        "prompt.max_tokens",
    ),
    (&["endpoint-type", "backend"], "--api", "endpoint.api"),
];

/// What a flag of another tool is called here.
fn known_elsewhere(error: &clap::Error) -> Option<clap::Error> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = flag.strip_prefix("--").filter(|_| error.kind() == ErrorKind::UnknownArgument)?;
    let name = name.split('=').next()?.replace('_', "-");
    let (_, ours, key) = ELSEWHERE.iter().find(|(others, ..)| others.contains(&name.as_str()))?;
    let message = format!(
        "unknown flag `{flag}`\n\n  help: it is `{ours}` of `runner quick`, and `{key}` in a plan\n"
    );
    Some(Cli::command().error(ErrorKind::UnknownArgument, message))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure an endpoint without a plan.
    #[command(after_help = EXIT_CODES)]
    Quick(QuickArgs),
    /// Find out what an endpoint is and can, by a few short requests, and what to switch on.
    Doctor(DoctorArgs),
    /// Run a plan and judge it.
    #[command(after_help = EXIT_CODES)]
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
    /// Explain a diagnostic's code, a metric, a kind of stage or a key of plans.
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
    /// Repair the log and manifest of a run that was killed, and rebuild its summary and report.
    Recover(RecoverArgs),
    /// Show a metric over runs.
    History(HistoryArgs),
    /// Print a JSON Schema.
    Schema(SchemaArgs),
    /// Print a shell completion script.
    Completions(CompletionsArgs),
    /// Write man pages, one for each command.
    Man(ManArgs),
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write them to, such as ~/.local/share/man/man1.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
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

/// How problems of a plan are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiagnosticFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}
