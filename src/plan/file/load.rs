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
    /// One load for a while: `rate` (requests at times of their own, whatever the server does) or
    /// `concurrency` (users who wait for an answer before they ask again).
    LoadKeys: arrivals pacing users asking counting steady {
        /// Requests per second: `8`, `8/s`, `30/min`.
        rate: Option<Spanned<PerSecond>>,
        /// The rate at the beginning, from which it climbs or falls to `rate` in a straight line over
        /// `ramp`; 0 unless given.
        start_rate: Option<Spanned<PerSecond>>,
        /// How long it takes to get from `start_rate` to `rate`, or from `start_users` to
        /// `concurrency`; the load holds after that. No ramp unless given.
        ramp: Option<Spanned<Span>>,
        /// `rate` is reached in so many equal steps over `ramp` instead of in a straight line, and by
        /// one more at the very beginning where there is no `start_rate`.
        ramp_steps: Option<Spanned<Count>>,
        /// Users who each have one request out at a time.
        concurrency: Option<Spanned<Count>>,
        /// Users at the beginning; the others join one by one over `ramp`. 1 unless given.
        start_users: Option<Spanned<Count>>,
        /// How pauses are spread: `constant` (the default), or `exponential` with the mean `think`.
        think_times: Option<Spanned<ThinkWord>>,
        /// Ends after this many requests.
        requests: Option<Spanned<Count>>,
        /// Ends after this long; with `requests`, whichever comes first.
        duration: Option<Spanned<Span>>,
        /// Repeats the whole so often, each time with new prompts and when the last answer of the
        /// round before has come; each round has figures of its own, and how far they lie apart is
        /// told. 1 unless given.
        rounds: Option<Spanned<Count>>,
        /// Keeps statistics of each such stretch of the stage, too: requests, latencies, tokens per
        /// minute in and out. None unless given.
        window: Option<Spanned<Span>>,
    }
}

load_keys! {
    /// One rate after another, to find the rate at which the endpoint saturates.
    LadderKeys: arrivals pacing asking counting {
        /// Requests per second of each rung: `1,2,4-32*2`, or a list.
        rates: Option<Spanned<Series>>,
        /// How long each rung lasts.
        step: Option<Spanned<Span>>,
    }
}

load_keys! {
    /// One concurrency after another, to find the one beyond which throughput stops growing.
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
    /// The highest rate or concurrency at which the stage's `thresholds` hold: levels are doubled
    /// until one fails, then the bracket is narrowed, and both of its ends are tried again. A level
    /// must also be kept up with, and (unless a threshold names errors) at most 1 % may fail. The
    /// thresholds decide about levels; the run fails when the level found is below `at_least`.
    SearchKeys: arrivals pacing users asking counting {
        /// What is raised: `rate` (requests per second) or `concurrency` (users).
        over: Option<Spanned<OverWord>>,
        /// The first level: `4`, `4/s`; 1 unless given.
        from: Option<Spanned<PerSecond>>,
        /// The highest level that may be tried; doubling goes on until a failure unless given.
        to: Option<Spanned<PerSecond>>,
        /// The level that must be found for the run to pass; `from` unless given.
        at_least: Option<Spanned<PerSecond>>,
        /// Relative distance between the highest level that holds and the lowest that does not at
        /// which the search is done: `5%` unless given.
        tolerance: Option<Spanned<Share>>,
        /// Probes that must agree at either end; 2 unless given.
        confirmations: Option<Spanned<Count>>,
        /// Most probes in all; 40 unless given.
        max_probes: Option<Spanned<Count>>,
        /// No probe is begun once so many requests were sent; unlimited unless given.
        max_requests: Option<Spanned<Count>>,
        /// How long each probe lasts.
        step: Option<Spanned<Span>>,
        /// Requests of each probe; with `step`, whichever comes first.
        requests: Option<Spanned<Count>>,
    }
}

/// How pauses are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ThinkWord {
    /// Always the same.
    Constant,
    /// Exponentially distributed, as of people who act independently.
    Exponential,
}

/// What a search raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OverWord {
    /// Requests per second.
    Rate,
    /// Users who each have one request out at a time.
    Concurrency,
}
