//! The written form of the load stages: `load`, `qps_ladder`, `concurrency_ramp`, `search`.
//!
//! In: a bound tree. Out: one struct per kind. Which keys go together is for lowering to check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::load_parts::load_keys;
use super::scalar::{Count, PerSecond, Series, Share, Span};
use super::stage::{Common, LiveFile};
use super::{EndpointFile, ThresholdFile};
use crate::plan::bind::Spanned;

load_keys! {
    /// One load: a `rate` (open loop: requests are sent at their times, however fast the server
    /// answers) or a `concurrency` (closed loop: each user waits for an answer before asking
    /// again).
    LoadKeys: arrivals pacing users asking counting steady {
        /// Requests per second: `8`, `8/s`, `30/min`.
        rate: Option<Spanned<PerSecond>>,
        /// Rate at the beginning. It changes linearly to `rate` over `ramp`. Default: 0.
        start_rate: Option<Spanned<PerSecond>>,
        /// Time to get from `start_rate` to `rate`, or from `start_users` to `concurrency`; after
        /// that the load stays constant. Default: no ramp.
        ramp: Option<Spanned<Span>>,
        /// Number of equal steps over `ramp` in which `rate` is reached, instead of linearly.
        /// Without `start_rate` there is one more step, at the very beginning.
        ramp_steps: Option<Spanned<Count>>,
        /// Number of users, each with one request in flight at a time.
        concurrency: Option<Spanned<Count>>,
        /// Number of users at the beginning; the others start one by one over `ramp`. Default: 1.
        start_users: Option<Spanned<Count>>,
        /// Distribution of think times: `constant` (the default), or `exponential` with the mean
        /// `think`.
        think_times: Option<Spanned<ThinkWord>>,
        /// The stage ends after this many requests.
        requests: Option<Spanned<Count>>,
        /// The stage ends after this time; with `requests`, whichever comes first.
        duration: Option<Spanned<Span>>,
        /// Number of repetitions of the whole load, each with new prompts, after the last answer of
        /// the round before. Each round has its own figures, and the report says how much they
        /// differ. Default: 1.
        rounds: Option<Spanned<Count>>,
        /// Also report figures for each time window of this length: requests, latencies, tokens per
        /// minute in and out. Default: none.
        window: Option<Spanned<Span>>,
    }
}

load_keys! {
    /// Several rates, one after another, to find the rate at which the endpoint saturates.
    LadderKeys: arrivals pacing asking counting {
        /// Requests per second of each rung: `1,2,4-32*2`, or a list.
        rates: Option<Spanned<Series>>,
        /// How long each rung lasts.
        step: Option<Spanned<Span>>,
    }
}

load_keys! {
    /// Several concurrencies, one after another, to find the one beyond which throughput stops
    /// growing.
    RampKeys: users asking counting {
        /// Users of each rung: `1,2,4-32*2`, or a list.
        concurrency: Option<Spanned<Series>>,
        /// How long each rung lasts.
        step: Option<Spanned<Span>>,
        /// Requests of each rung; with `step`, whichever comes first.
        requests: Option<Spanned<Count>>,
    }
}

load_keys! {
    /// Finds the highest rate or concurrency at which the stage's `thresholds` hold: levels are
    /// doubled until one fails, then the interval is narrowed, and both of its ends are tried
    /// again. The endpoint must also keep up with a level, and at most 1 % of its requests may fail
    /// (unless a threshold is about errors). Thresholds decide about levels; the run fails if the
    /// level found is below `at_least`.
    SearchKeys: arrivals pacing users asking counting {
        /// What to increase: `rate` (requests per second) or `concurrency` (users).
        over: Option<Spanned<OverWord>>,
        /// The first level: `4`, `4/s`. Default: 1.
        from: Option<Spanned<PerSecond>>,
        /// The highest level to try. By default, doubling goes on until a level fails.
        to: Option<Spanned<PerSecond>>,
        /// The run passes only if the level found is at least this. Default: `from`.
        at_least: Option<Spanned<PerSecond>>,
        /// The search ends when the highest level that holds and the lowest that does not differ by
        /// at most this share. Default: `5%`.
        tolerance: Option<Spanned<Share>>,
        /// Number of probes that must agree at each end. Default: 2.
        confirmations: Option<Spanned<Count>>,
        /// Maximum number of probes. Default: 40.
        max_probes: Option<Spanned<Count>>,
        /// No further probe starts after this many requests. Default: unlimited.
        max_requests: Option<Spanned<Count>>,
        /// How long each probe lasts.
        step: Option<Spanned<Span>>,
        /// Requests of each probe; with `step`, whichever comes first.
        requests: Option<Spanned<Count>>,
    }
}

/// Distribution of think times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ThinkWord {
    /// Always the same.
    Constant,
    /// Exponentially distributed, as of people who act independently.
    Exponential,
}

/// What a search increases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OverWord {
    /// Requests per second.
    Rate,
    /// Number of users, each with one request in flight at a time.
    Concurrency,
}
