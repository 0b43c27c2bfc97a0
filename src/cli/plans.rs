//! The arguments of subcommands that read plans and send nothing: `validate`, `plan`, `params`,
//! `test`, `list`, `init`, `explain`, `schema`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DiagnosticFormat, PlanInputs};

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

const TEST_FILE: &str = "\
A test file lies beside its plan: plan.test.yaml beside plan.yaml.

  version: 1
  cases:
    - name: documents come from outside
      params: { docs: 3 }                 # as by --param; `env:` is the whole environment
      expect:
        resolved: { /stages/0/requests: 3 }   # paths into `runner plan --format json`
        order: [cold, warm]
    - name: a wrong value is refused
      env: { BENCH_DOCS: many }
      expect: { diagnostics: [E021] }
    - name: errors fail the gate          # `simulator:` stands in for the endpoint
      simulator: { faults: [{ from: 2, count: 1, status: 503 }] }
      expect: { exit: 10, fail: [\"warm: error_rate <= 0%\"], pass: [\"cold: cache == cold\"] }

`plan: PATH` names another plan, or a built-in scenario such as @cache-eviction.";

/// Arguments of `test`.
#[derive(Debug, Args)]
#[command(after_help = TEST_FILE)]
pub struct TestArgs {
    /// Test files (*.test.yaml), or folders that hold some. Default: the current directory.
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
    /// Name of the plan, or of its file (such as mine.toml). Default: the scenario's name.
    pub name: Option<String>,
    /// The built-in scenario to begin from.
    #[arg(long, value_name = "SCENARIO", default_value = "cache-eviction")]
    pub template: String,
    /// Measure this endpoint: instead of a scenario, begin from a plan of a few lines. HOST:PORT and a
    /// port of this machine will do.
    #[arg(long, value_name = "URL", conflicts_with_all = ["template", "format", "schema"])]
    pub endpoint: Option<String>,
    /// The format of the file; YAML unless its name says otherwise.
    #[arg(long, value_enum)]
    pub format: Option<InitFormat>,
    /// Where editors find the schema. By default it is written to schemas/plan.v1.json.
    #[arg(long, value_name = "URL|PATH")]
    pub schema: Option<String>,
}

/// The formats of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InitFormat {
    /// YAML, with the scenario's comments.
    Yaml,
    /// TOML, without comments.
    Toml,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code such as E011, a metric such as ttft, a kind such as `qps_ladder`, or a key such as unique.
    /// By default all codes are listed.
    pub word: Option<String>,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which one.
    #[arg(value_enum)]
    pub which: SchemaName,
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
