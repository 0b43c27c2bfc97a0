//! What changes a plan from outside, whatever is done with it.
//!
//! In: words of the command line. Out: params, paths and selectors, split but not yet judged: what
//! they mean, and whether they mean anything, is the plan's to say.

use std::path::PathBuf;

use clap::Args;

/// What changes a plan from outside.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanInputs {
    /// Set a param. Can be repeated.
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub params: Vec<(String, String)>,
    /// Take params from a YAML, TOML, JSON or dotenv file. If several files set a param, the last
    /// one counts.
    #[arg(long = "params-file", value_name = "FILE")]
    pub params_files: Vec<PathBuf>,
    /// Change any value of the plan, such as stages.cold.requests=8; null removes it. Can be
    /// repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Run only these stages: ID, +ID (with the stages it waits for), ID+ (with the stages that
    /// wait for it), tag:X or kind:cold. Can be repeated.
    #[arg(long = "select", value_name = "SELECTOR")]
    pub select: Vec<String>,
    /// Leave these stages out.
    #[arg(long = "exclude", value_name = "SELECTOR")]
    pub exclude: Vec<String>,
    /// Try the plan: send one request per stage, and judge nothing.
    #[arg(long)]
    pub smoke: bool,
    /// Run only the cells of the matrix that have this value. Can be repeated.
    #[arg(long = "matrix", value_name = "AXIS=VALUE", value_parser = key_value)]
    pub matrix: Vec<(String, String)>,
    /// Run every N-th cell of the matrix, from the K-th on.
    #[arg(long, value_name = "K/N", value_parser = shard)]
    pub shard: Option<(usize, usize)>,
    /// Use this endpoint instead of the plan's: the name of a profile, or a URL.
    #[arg(long, value_name = "NAME|URL")]
    pub endpoint: Option<String>,
    /// Use this seed instead of the plan's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Let the plan read files outside its own folder.
    #[arg(long)]
    pub allow_outside_root: bool,
}

/// Splits at the first `=` only, so that values may hold commas and further `=`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
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
