//! What `summary.json` holds: one [`StageSummary`] per stage, cell and rung.

mod client;
mod counts;
mod stage;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::client::{AddressSummary, ClientSummary};
pub use self::counts::Counts;
pub use super::check::{Judgement, ThresholdResult};

use super::answers::AnswerSummary;
use super::certified::Certified;
use super::claims::{self, Claim};
use super::contamination::Contamination;
use super::due::Paced;
use super::models::ModelSummary;
use super::pace::{Growth, KeepingUp};
use super::rounds::Rounds;
use super::saturation::Saturation;
use super::search::{ProbeSummary, SearchFound};
use super::server::ServerSummary;
use super::steady::part::SteadySummary;
use super::token_account::TokenAccount;
use super::unreachable::Unreachable;
use super::window::WindowStats;
use crate::plan::metric::Origin;
use crate::record::{CacheState, FlushLine, StageState};

/// Version of `summary.json`.
pub const SUMMARY_VERSION: u32 = 1;

/// The whole of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// [`SUMMARY_VERSION`].
    pub schema_version: u32,
    /// The run as a whole.
    pub run: RunSummary,
    /// One entry per stage, cell and rung, in the order in which they ran.
    pub stages: Vec<StageSummary>,
    /// Where ladders and ramps found the endpoint saturated, by stage id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub saturation: BTreeMap<String, Saturation>,
    /// What searches found, by stage id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub searches: BTreeMap<String, SearchFound>,
    /// The end result.
    pub verdict: Verdict,
    /// What may be said of the run in words, the headline first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
}

impl Summary {
    /// The same with everything that may be said of it, and without figures of capacity where none may
    /// be said.
    #[must_use]
    pub fn with_claims(mut self) -> Self {
        if let Some(why) = claims::withheld(&self.run) {
            self.saturation.values_mut().for_each(|found| found.withhold(why));
            self.searches.values_mut().for_each(|found| found.withhold(why));
        }
        self.claims = claims::of(&self);
        self
    }
}

/// The run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunSummary {
    /// The run's id.
    pub id: String,
    /// The plan's name.
    pub plan: String,
    /// How far it came.
    pub state: RunState,
    /// False when numbers must not be trusted: requests unaccounted for, or a saturated generator.
    pub valid: bool,
    /// True when the embedded simulator answered.
    pub simulated: bool,
    /// True when any endpoint's certificate was not checked (`insecure: true`): somebody in between may
    /// have answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// RFC 3339.
    pub started_at: String,
    /// The seed in force.
    pub seed: u64,
    /// Why `valid` is false, or what else a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It has begun, and nobody has said yet how it ended.
    Running,
    /// Every stage had its turn.
    Finished,
    /// It could not go on.
    Aborted,
    /// A signal ended it.
    Interrupted,
}

/// What the record log can't know about a run's end; the manifest keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunEnd {
    /// How far it came.
    pub state: RunState,
    /// The exit code that a signal asks for (130, 143); it stands above every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_exit_code: Option<i32>,
    /// Why its numbers must not be trusted, such as records that could not be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<String>,
    /// What is missing though the numbers stand, such as a required sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// What else a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl RunEnd {
    /// An end in this state with nothing to remark.
    pub fn new(state: RunState) -> Self {
        Self {
            state,
            signal_exit_code: None,
            invalid: Vec::new(),
            incomplete: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// The end result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// Whether the run passed.
    pub pass: bool,
    /// The exit code of `runner run`.
    pub exit_code: i32,
}

/// The numbers of one stage (or one rung of it).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageSummary {
    /// Stage id.
    pub id: String,
    /// Stage kind.
    pub kind: String,
    /// Matrix cell.
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    pub rung: Option<f64>,
    /// The stage (of its cell) whose prompts it asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// Name or URL of the endpoint.
    pub endpoint: String,
    /// The model asked for.
    pub model: Option<String>,
    /// How it ended.
    pub state: StageState,
    /// Why, unless it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// False when the plan leaves it out of reports.
    pub reported: bool,
    /// Every planned request, by how it ended.
    pub counts: Counts,
    /// ok / (ok + errors); absent without either.
    pub success_rate: Option<f64>,
    /// Wall time in seconds.
    pub duration_s: f64,
    /// Since when the latencies count that tables show and checks judge: `due` where requests were held
    /// back (by `max_in_flight`, or by this machine) for so long that figures from `sent` say something
    /// else; absent where they say the same.
    #[serde(default, skip_serializing_if = "Origin::is_sent")]
    pub times_from: Origin,
    /// Distributions by metric name; a metric without samples is absent.
    pub metrics: BTreeMap<String, Distribution>,
    /// Metrics that cannot be told, by name, and why: they have no figure above, and a threshold on
    /// one has no data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub untold: BTreeMap<String, String>,
    /// Totals over time.
    pub throughput: Throughput,
    /// How a load fared, in stages of load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadSummary>,
    /// Requests that kept every limit that the thresholds set on single requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Goodput>,
    /// Its stretches, where the plan asks for statistics of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowStats>,
    /// Its rounds, where the plan asks for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<Rounds>,
    /// The part of it in steady state, in stages of load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<SteadySummary>,
    /// Why it has none, where one was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsteady: Option<String>,
    /// What it showed as a probe of a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSummary>,
    /// What the client itself did and took.
    #[serde(default)]
    pub client: ClientSummary,
    /// How often and how long the endpoint took no connections; absent where it always did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Unreachable>,
    /// What went to each address, where the host's name stands for several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<IpAddr, AddressSummary>,
    /// What requests came to by the model that was asked for because their row names one; absent where
    /// rows name none, or the endpoint's is asked for whatever they name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, ModelSummary>,
    /// What the server's prefix cache did.
    pub cache: CacheSummary,
    /// Tokens of complete answers and their prompts, by everyone who counted; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenAccount>,
    /// Why answers ended, and what about them is not as asked; absent where they say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswerSummary>,
    /// Failed requests by class.
    pub errors: BTreeMap<String, u64>,
    /// The first message of each class of error.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub error_samples: BTreeMap<String, String>,
    /// The checks on this stage.
    pub thresholds: Vec<ThresholdResult>,
    /// The evidence of a flush stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush: Option<FlushLine>,
    /// How the cache was not what the stage claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contamination: Vec<Contamination>,
    /// The server's own account; absent where it gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerSummary>,
}

/// Statistics of a distribution. They are exact, but for percentiles of more than 16,384 samples,
/// which may be off by a thousandth of themselves. Percentiles interpolate linearly between the closest ranks
/// (Hyndman and Fan's type 7, numpy's default).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Distribution {
    /// Unit of every figure but `count`.
    pub unit: String,
    /// Samples.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1); absent with one sample.
    pub std: Option<f64>,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The median's 95 % interval, by how much samples that follow one another resemble each other;
    /// absent with fewer than six, and where there are too few to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_interval: Option<[f64; 2]>,
    /// What the tail is at most, where there are samples enough to say so.
    #[serde(default, skip_serializing_if = "Certified::is_empty")]
    pub certified: Certified,
    /// How many independent samples tell as much as these (the effective sample size); absent where
    /// there are too few to tell, and for metrics of which a request gives several samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<f64>,
    /// Times as an `HdrHistogram` (V2, deflated, base64) of whole microseconds with three digits, so
    /// that those of several runs can be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
}

/// Totals over time: of the achieved rate in stages of load, so that every rate of a stage has one clock;
/// else wall time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Throughput {
    /// ok requests per second; absent where none was begun.
    pub requests_per_second: Option<f64>,
    /// Generated tokens of ok requests per second; absent where they were not counted.
    pub output_tokens_per_second: Option<f64>,
    /// Token-bearing events of ok requests per second, where nobody counted the tokens themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_events_per_second: Option<f64>,
    /// Prompt tokens of ok requests per second; absent where they were not counted.
    pub input_tokens_per_second: Option<f64>,
}

/// Requests that kept every limit: those of the stage's own thresholds of the form
/// `METRIC.p99 < LIMIT` (any percentile from the 90th on, or the maximum), taken as limits on each
/// single request. A request that has no such figure breaks no limit; one that failed breaks all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Goodput {
    /// How many.
    pub requests: u64,
    /// Per second: their part of the stage's requests per second.
    pub per_second: Option<f64>,
    /// Their share of the requests planned.
    pub share: Option<f64>,
}

/// How the load of a stage (or rung) fared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadSummary {
    /// Requests per second asked for; absent where the answers decide.
    pub target_rate: Option<f64>,
    /// Complete answers per second; absent without any. On a schedule: all of them over the time in
    /// which requests came; where the endpoint fell behind, those that ended in the last ten twelfths of
    /// that time over their length; where that can't be told and most answers came after that time, all
    /// of them over the time until the last one. In a closed loop: over the time from when as many answers had ended
    /// as there are users until the last request was sent, each by the part of its time in between (over
    /// all of the time, the last answers included, where that leaves less than a third).
    pub achieved_rate: Option<f64>,
    /// Its 95 % interval, where the endpoint and not the schedule decided it: of ten equal parts of the
    /// time, by Student's t.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub achieved_interval: Option<(f64, f64)>,
    /// On a schedule, whether the endpoint kept up with the requests that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeping_up: Option<KeepingUp>,
    /// On a schedule, how the backlog (requests that were due and had not ended) grew; absent with
    /// too few requests, or where a stage that did not fall behind is shorter than ten latencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Growth>,
    /// Where it can't be told whether it kept up, how many seconds of requests would mostly do, unless the
    /// rate is within 5 % of the limit; absent where too little was seen to say that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_s: Option<f64>,
    /// True when requests left too late because this machine was too slow: these numbers are
    /// about it and not about the endpoint.
    pub generator_limited: bool,
    /// Requests under way at once at most; absent where none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_in_flight: Option<u64>,
    /// The plan's `max_in_flight`, where so many requests of a schedule were under way that it held
    /// back or dropped others: what was seen then is about that limit as well as about the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capped_at: Option<u64>,
    /// True when users pause before they ask again, so that fewer requests than users are under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pauses: bool,
    /// The limit on the 99th percentile of `schedule_lag`, in milliseconds.
    pub max_lag_ms: Option<f64>,
    /// What users who wait for an answer before they ask again did not see; absent where it is what
    /// they saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paced: Option<Paced>,
}

/// What the server's prefix cache did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CacheSummary {
    /// The stage's verdict.
    pub verdict: CacheState,
    /// What the stage was meant to meet, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<CacheState>,
    /// Tokens served from the cache, summed; absent when the server never said.
    pub cached_tokens: Option<u64>,
    /// Prompt tokens of the same requests, summed.
    pub prompt_tokens: Option<u64>,
    /// How many requests those are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_requests: Option<u64>,
    /// Requests that were served from the cache, wholly or in good part (verdict warm or mixed);
    /// absent when no answer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit_requests: Option<u64>,
    /// Requests whose answers say whether they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_requests: Option<u64>,
    /// True when answers said nothing of the cache and the figures are what the server's counters
    /// grew by meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_counters: bool,
}
