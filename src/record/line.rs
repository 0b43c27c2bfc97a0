//! The lines of the record log.
//!
//! In: what happens in a run. Out: [`Line`]s. Invariant: a line names its stage, cell and rung itself,
//! so that it can be read without the lines around it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CacheState, NeverStartedLine, Record};
use crate::plan::Threshold;

/// Names a request before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StartLine {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// The request's number within its stage (and rung).
    pub index: u64,
    /// When it was to be sent.
    pub due_ns: u64,
    /// When it was handed to the client.
    pub sent_ns: u64,
}

/// The log's first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunLine {
    /// Version of the record log's format.
    pub record_version: u32,
    /// The run's id, also the name of its directory.
    pub run_id: String,
    /// The plan's name.
    pub plan: String,
    /// SHA-256 of the plan's text.
    pub plan_hash: String,
    /// Wall clock at the start, RFC 3339.
    pub started_at: String,
    /// The seed in force.
    pub seed: u64,
    /// True when any endpoint is the embedded simulator.
    pub simulated: bool,
    /// True when any endpoint's certificate was not checked (`insecure: true`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// The tool's version.
    pub runner_version: String,
}

/// What a stage is about to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageStart {
    /// Id of the stage.
    pub stage: String,
    /// Its kind, such as `cold`.
    pub kind: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// Name or URL of the endpoint.
    pub endpoint: String,
    /// The API by which it is asked, as plans name it; absent in logs of old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The model asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Requests it will send; each gets one `end` line.
    pub planned: u64,
    /// The cache state its requests are meant to meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects: Option<CacheState>,
    /// The stage whose prompts it asks again (at the end of the plan's `like:` chain); its own cell's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// False when the stage is left out of reports (`record: false`).
    pub reported: bool,
    /// What its schedule asks for, in stages of load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Box<LoadLine>>,
    /// Most requests under way at a time, as the plan says: the users of a closed loop, else
    /// `concurrency` or `max_in_flight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// What is judged at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// When it started.
    pub at_ns: u64,
}

/// What the schedule of a stage (or rung) of load asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadLine {
    /// Requests per second, when the clock decides and not the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_rate: Option<f64>,
    /// How arrivals are spaced around a rate; absent where answers decide when the next is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival: Option<ArrivalLine>,
    /// How long it sends once it has settled, in milliseconds, as the plan says; absent where a number
    /// of requests decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// 99th percentile of `schedule_lag`, in milliseconds, above which the generator was the
    /// bottleneck and the numbers say nothing of the endpoint; absent where waiting is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lag_ms: Option<f64>,
    /// True when users pause before they ask again, so that fewer requests than users are under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pauses: bool,
    /// Length of the stretches that have statistics of their own, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<f64>,
    /// Rounds, each of which ends with a `round` line; absent when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u64>,
    /// What the plan says of its steady part; absent for probes of a search, which have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<SteadyLine>,
    /// The search that this is a probe of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchLine>,
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "process", rename_all = "snake_case")]
pub enum ArrivalLine {
    /// Evenly.
    Constant,
    /// Independently of each other: exponential gaps.
    Poisson,
    /// Gaps of a gamma distribution.
    Gamma {
        /// Its shape: 1 is Poisson, less is burstier, more is more regular.
        burstiness: f64,
    },
    /// So many at one instant.
    Burst {
        /// Requests of a burst.
        size: u64,
    },
    /// At the times of a log.
    Log,
}

/// What is known beforehand of the part of a load (or of each of its rounds) in steady state. Times
/// are milliseconds from where its numbers begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SteadyLine {
    /// The head that the plan leaves out (`warmup`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_ms: Option<f64>,
    /// The tail that the plan leaves out (`cooldown`), before the last request is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_ms: Option<f64>,
    /// When the load has climbed to its full height; absent when it begins there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub climb_ms: Option<f64>,
    /// How long requests are sent, where time decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<f64>,
    /// Users who wait for an answer before they ask again, in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
}

/// A probe of a search, and all that decides what the search does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SearchLine {
    /// The probe's number within its search, from 0.
    pub probe: u64,
    /// True when concurrencies are searched, in whole numbers; else rates.
    pub whole: bool,
    /// The first level.
    pub from: f64,
    /// The highest level that may be probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// Relative width of the final bracket.
    pub tolerance: f64,
    /// Agreeing probes wanted at either end of it.
    pub confirmations: u64,
    /// Most probes.
    pub max_probes: u64,
    /// Most requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u64>,
    /// The level that the run must find to pass; absent when nothing is asked of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Where the search stands in the plan, `file:line:column`.
    pub location: String,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// Everything planned was sent.
    Completed,
    /// It could not go on; later requests never started.
    Failed,
    /// A signal ended it.
    Interrupted,
    /// A stage it needs did not complete.
    Skipped,
}

impl StageState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
        }
    }
}

/// How the reason of a stage begins that the plan's `stop_when` ended.
pub const STOPPED: &str = "stopped: ";

/// A stage's last line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageEnd {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// How it ended.
    pub state: StageState,
    /// Why, unless it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Requests that it came to plan, where answers or time decide how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// True when an `abort` check ended the probe of a search: it has failed, the search goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aborted: bool,
    /// CPU time of this process, on all cores, since the stage's `stage_start`, where the system
    /// says. The embedded simulator's is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// How late this machine let the client see what arrived meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_lag: Option<WakeLag>,
    /// When it ended.
    pub at_ns: u64,
}

/// How late the client would have seen something that arrived at any moment of a stage: by a timer on
/// the threads that send and stamp. What holds it up (other programs on the same cores, too much work
/// of our own, a machine that stood still) holds up the stamps of answers as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WakeLag {
    /// Moments that were looked at.
    pub count: u64,
    /// Median, in nanoseconds.
    pub p50_ns: u64,
    /// 95th percentile, in nanoseconds.
    pub p95_ns: u64,
    /// 99th percentile, in nanoseconds.
    pub p99_ns: u64,
    /// The worst, in nanoseconds.
    pub max_ns: u64,
}

/// A round of a load is over: everything of it was sent and has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RoundLine {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Its number, from 0.
    pub round: u64,
    /// Requests it came to plan. Their numbers go on from round to round.
    pub planned: u64,
    /// When it began.
    pub from_ns: u64,
    /// When it ended.
    pub at_ns: u64,
}

/// Whether a flush is known to have emptied the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlushState {
    /// A prompt that was warm before is cold after.
    Proven,
    /// The server gives no sign either way.
    Unproven,
    /// A prompt that was warm before is still (partly) warm, or no method could be used.
    Failed,
}

/// One attempt to flush.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FlushAttempt {
    /// What was done, such as `vllm POST /reset_prefix_cache` or `traffic 10 × 25000 tokens`.
    pub method: String,
    /// Whether the server took it.
    pub accepted: bool,
    /// What the server answered, in one line.
    pub detail: String,
    /// The canary's state afterwards.
    pub after: CacheState,
    /// The canary's cached tokens afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// The canary's TTFT afterwards, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
}

/// The evidence of a flush stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FlushLine {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Proven, unproven or failed.
    pub state: FlushState,
    /// The canary's state before (it was sent twice, so warm where a cache works).
    pub before: CacheState,
    /// The canary's prompt tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The canary's cached tokens before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// The canary's TTFT when it was new, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_cold_ms: Option<f64>,
    /// The canary's TTFT when it was repeated, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_warm_ms: Option<f64>,
    /// Everything that was tried, in order.
    pub attempts: Vec<FlushAttempt>,
    /// The conclusion in one sentence.
    pub summary: String,
    /// When it was known.
    pub at_ns: u64,
}

/// What the server said of itself at one moment: a reading of its Prometheus page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerLine {
    /// Name or URL of the endpoint.
    pub endpoint: String,
    /// When it was read.
    pub at_ns: u64,
    /// What only grows, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, f64>,
    /// What goes up and down, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gauges: BTreeMap<String, f64>,
    /// Counters that the page has under more label sets than are followed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// Why it could not be read, when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One line of the record log. `type` stands first in each, then `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The log's first line.
    Run(RunLine),
    /// A stage begins.
    StageStart(StageStart),
    /// A request is about to be sent.
    Start(StartLine),
    /// A request's terminal record.
    End(Box<Record>),
    /// Requests that were planned and never made.
    NeverStarted(NeverStartedLine),
    /// The evidence of a flush.
    Flush(FlushLine),
    /// A round of a load is over.
    Round(RoundLine),
    /// The server's own account at one moment.
    Server(ServerLine),
    /// A stage is over.
    StageEnd(StageEnd),
}
