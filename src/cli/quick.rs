//! The arguments of `quick`.

use std::path::PathBuf;

use clap::Args;

use super::runs::Outputs;

/// Arguments of `quick`.
#[derive(Debug, Args)]
pub struct QuickArgs {
    /// The endpoint: a URL such as `http://127.0.0.1:8000/v1`, HOST:PORT or a port of this machine.
    pub url: String,
    /// The model to ask for; the first that the server lists unless given.
    #[arg(short, long)]
    pub model: Option<String>,
    /// The key of the endpoint; from the variable, it is in no shell history.
    #[arg(long, value_name = "KEY", env = "RUNNER_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// The API it speaks, such as openai-chat, openai-completions or ollama-chat.
    #[arg(long, default_value = "openai-chat")]
    pub api: String,
    /// How many requests; 100 unless given, 16 with --cold-warm, no limit with --duration.
    #[arg(short = 'n', long, value_name = "N", value_parser = count())]
    pub requests: Option<u64>,
    /// How many requests are out at a time; 8 unless given. With --rate the most that may be.
    #[arg(short, long, value_name = "N", value_parser = count())]
    pub concurrency: Option<u64>,
    /// Requests per second, at random times (Poisson), however fast the answers come.
    #[arg(short, long, value_name = "RATE")]
    pub rate: Option<String>,
    /// How long, such as 30s; with --requests, whichever comes first.
    #[arg(short, long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Tokens of each prompt, which is filler, about.
    #[arg(long, value_name = "TOKENS", default_value_t = 256, value_parser = count())]
    pub input: u64,
    /// Most tokens of each answer; 64 unless given. Rows of --data say it themselves unless given.
    #[arg(long, value_name = "TOKENS", value_parser = count())]
    pub output: Option<u64>,
    /// Ask this instead of filler; `{{ i }}` in it is the number of the request.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["input", "data"])]
    pub prompt: Option<String>,
    /// Ask the rows of this dataset, as they are, instead of filler.
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub data: Option<PathBuf>,
    /// Send prompts that no cache can know, then the same again: what does the prefix cache save?
    #[arg(long, conflicts_with_all = ["rate", "duration", "concurrency"])]
    pub cold_warm: bool,
    /// Ask for whole answers; there is no time to first token then.
    #[arg(long)]
    pub no_stream: bool,
    /// Write the plan that this is to a file, and run that.
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
