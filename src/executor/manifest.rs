//! `manifest.json`: what a run was and how it ended.
//!
//! In: the checked plan's facts, the machine, the end. Out: a document that is replaced as a whole.
//! Invariants: while the run goes on it says `running`, so a run that was killed is known by its
//! manifest; secrets are redacted before they come here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::metrics::summary::{RunEnd, RunState};

/// Version of `manifest.json`.
pub const MANIFEST_VERSION: u32 = 1;

/// The whole of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub schema_version: u32,
    /// The run's id.
    pub run_id: String,
    /// How far it came.
    pub state: RunState,
    /// The id of the run that this one went on with; `started_at` is that one's, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<String>,
    /// The plan.
    pub plan: ManifestPlan,
    /// True when any endpoint is the embedded simulator.
    pub simulated: bool,
    /// The seed in force.
    pub seed: u64,
    /// Declared params by name, secret ones redacted.
    pub params: BTreeMap<String, serde_json::Value>,
    /// The cells of the plan's matrix, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<String>,
    /// The plan's free labels.
    pub tags: BTreeMap<String, String>,
    /// Where requests went.
    pub endpoints: Vec<ManifestEndpoint>,
    /// The command line, secrets redacted.
    pub arguments: Vec<String>,
    /// What of it changed the plan and is not in its document: `--smoke`, `--select`, `--exclude` and
    /// `--baseline`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The tool's version.
    pub runner_version: String,
    /// The machine that ran it.
    pub host: Host,
    /// Wall clock when the run's clock was 0, RFC 3339.
    pub started_at: String,
    /// Wall clock at the end, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The run's own clock at `ended_at`, in nanoseconds: together with `started_at` the two pairs
    /// that turn a stamp of the log into wall time, and show how far the wall clock was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ns: Option<u64>,
    /// The exit code, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What the record log can't know about the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
}

/// The plan of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPlan {
    /// Its name.
    pub name: String,
    /// The file it was read from.
    pub path: String,
    /// SHA-256 of its text.
    pub hash: String,
    /// All of it as one document: files joined, defaults and references filled in, secrets redacted.
    /// With a matrix its references stay; `cells` says what ran. `arguments` says what the command
    /// line selected or replaced.
    #[serde(default)]
    pub resolved: serde_json::Value,
}

/// An endpoint of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEndpoint {
    /// The profile's name.
    pub name: String,
    /// Its URL without user or password, or `simulator`.
    pub url: String,
    /// What requests of stages are sent to: the URL with the API's path; absent for a simulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_url: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// What the server is, such as `vllm` or `llama.cpp`, where it could be told.
    pub server: Option<String>,
    /// True when its certificate was not checked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Its version, where it says so.
    pub server_version: Option<String>,
    /// What it says of the model: its file, parent, size, quantisation, digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model_details: BTreeMap<String, serde_json::Value>,
    /// Longest prompt plus answer of one request, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Requests it serves at once, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
    /// The addresses that its name stands for, where they are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The page of its own account, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
}

/// The machine that ran it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `linux`, `macos`, …
    pub os: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Its name, where it could be told.
    pub hostname: Option<String>,
}

impl Host {
    /// This machine.
    pub fn this() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            hostname: hostname(),
        }
    }
}

fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
