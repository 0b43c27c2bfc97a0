//! The arguments of `quick` and `doctor`: an endpoint without a plan.

use std::path::PathBuf;

use clap::Args;

use super::DiagnosticFormat;
use super::runs::Outputs;

/// Which endpoint, without a plan.
#[derive(Debug, Clone, Args)]
pub struct EndpointArgs {
    /// The endpoint: a URL such as `http://127.0.0.1:8000/v1`, HOST:PORT or a port of this machine.
    pub url: String,
    /// The model to ask for. Default: the first one that the server lists.
    #[arg(short, long)]
    pub model: Option<String>,
    /// The key of the endpoint. Prefer the variable: it leaves no trace in the shell history.
    #[arg(long, value_name = "KEY", env = "RUNNER_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// The API of the endpoint, such as openai-chat, openai-completions or ollama-chat.
    #[arg(long, default_value = "openai-chat")]
    pub api: String,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The endpoint.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub format: DiagnosticFormat,
}

/// Arguments of `quick`.
#[derive(Debug, Args)]
pub struct QuickArgs {
    /// The endpoint.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    /// Number of requests. Default: 100; 16 with --cold-warm; no limit with --duration.
    #[arg(short = 'n', long, value_name = "N", value_parser = count())]
    pub requests: Option<u64>,
    /// Number of requests in flight at a time (with --rate: the maximum). Default: 8.
    #[arg(short, long, value_name = "N", value_parser = count())]
    pub concurrency: Option<u64>,
    /// Requests per second (open loop, Poisson arrivals).
    #[arg(short, long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Duration, such as 30s. With --requests, whichever comes first.
    #[arg(short, long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Approximate length of each prompt in tokens. Prompts are filler text.
    #[arg(long, value_name = "TOKENS", default_value_t = 256, value_parser = count())]
    pub input: u64,
    /// Maximum number of tokens of each answer. Default: 64, or what the rows of --data say.
    #[arg(long, value_name = "TOKENS", value_parser = count())]
    pub output: Option<u64>,
    /// Send this text instead of filler. `{{ i }}` in it is the number of the request.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["input", "data"])]
    pub prompt: Option<String>,
    /// Send the rows of this dataset, as they are, instead of filler.
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub data: Option<PathBuf>,
    /// Send prompts that no cache can know, then the same prompts again, to see what the prefix
    /// cache saves.
    #[arg(long, conflicts_with_all = ["rate", "duration", "concurrency"])]
    pub cold_warm: bool,
    /// Ask for whole answers instead of streams. There is no time to first token then.
    #[arg(long)]
    pub no_stream: bool,
    /// Also write the plan that these flags make to a file.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// What is told, and where.
    #[command(flatten)]
    pub outputs: Outputs,
}

/// A number from 1.
fn count() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}
