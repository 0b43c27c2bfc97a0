//! The written form of the load stages: `load`, `qps_ladder`, `concurrency_ramp`, `search`.
//!
//! In: a bound tree. Out: one struct per kind. Which keys go together is for lowering to check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Count, PerSecond, Ratio, Series, Share, Span};
use super::stage::{Common, LiveFile, stage_keys};
use super::{EndpointFile, PromptFile, ThresholdFile};
use crate::plan::bind::Spanned;

stage_keys! {
    /// One load for a while: `rate` (requests at times of their own, whatever the server does) or
    /// `concurrency` (users who wait for an answer before they ask again).
    LoadKeys {
        /// Requests per second: `8`, `8/s`, `30/min`.
        rate: Option<Spanned<PerSecond>>,
        /// The rate at the beginning, from which it climbs or falls to `rate` in a straight line over
        /// `ramp`; 0 unless given.
        start_rate: Option<Spanned<PerSecond>>,
        /// How long it takes to get from `start_rate` to `rate`, or from `start_users` to
        /// `concurrency`; the load holds after that. No ramp unless given.
        ramp: Option<Spanned<Span>>,
        /// How requests are spaced around `rate`: `constant` (the default), `poisson`, `gamma` or
        /// `burst`.
        arrival: Option<Spanned<ArrivalWord>>,
        /// Shape of `gamma` arrivals: 1 is Poisson, less is burstier, more is more regular.
        burstiness: Option<Spanned<Ratio>>,
        /// Requests at once with `burst` arrivals.
        burst_size: Option<Spanned<Count>>,
        /// Most requests in flight; unlimited unless given.
        max_in_flight: Option<Spanned<Count>>,
        /// What becomes of due requests beyond `max_in_flight`: `queue` (the default) or `drop`.
        when_full: Option<Spanned<FullWord>>,
        /// What becomes of requests that could not be sent when they were due: `send` (the
        /// default) or `drop`.
        late: Option<Spanned<LateWord>>,
        /// Lateness that `late: drop` forgives; 1s unless given.
        late_after: Option<Spanned<Span>>,
        /// Users who each have one request out at a time.
        concurrency: Option<Spanned<Count>>,
        /// Users at the beginning; the others join one by one over `ramp`. 1 unless given.
        start_users: Option<Spanned<Count>>,
        /// The pause a user makes between an answer and the next request; none unless given.
        think: Option<Spanned<Span>>,
        /// How pauses are spread: `constant` (the default), or `exponential` with the mean `think`.
        think_times: Option<Spanned<ThinkWord>>,
        /// The users begin evenly spread over this time instead of in one burst.
        spread: Option<Spanned<Span>>,
        /// Ends after this many requests.
        requests: Option<Spanned<Count>>,
        /// Ends after this long; with `requests`, whichever comes first.
        duration: Option<Spanned<Span>>,
        /// Requests sent before, one after another, and left out of every number; none unless
        /// given.
        warmup_requests: Option<Spanned<Count>>,
        /// Share of requests, 0 to 1, that repeat an earlier prompt word for word; 0 unless given.
        repeat_ratio: Option<Spanned<Ratio>>,
        /// The first stretch, left out of the numbers; none unless given.
        settle: Option<Spanned<Span>>,
        /// Longest wait for answers after the last request was sent; what is out then is
        /// cancelled. 60s unless given.
        drain: Option<Spanned<Span>>,
        /// The stage is invalid when more than 1 % of its requests leave later than this after
        /// they were due: the machine was too slow. 100ms unless given.
        max_lag: Option<Spanned<Span>>,
        /// Keeps statistics of each such stretch of the stage, too: requests, latencies, tokens per
        /// minute in and out. None unless given.
        window: Option<Spanned<Span>>,
        /// What is asked; the plan's prompt unless given.
        prompt: Option<Spanned<PromptFile>>,
    }
}

stage_keys! {
    /// One rate after another, to find the rate at which the endpoint saturates.
    LadderKeys {
        /// Requests per second of each rung: `1,2,4-32*2`, or a list.
        rates: Option<Spanned<Series>>,
        /// How long each rung lasts.
        step: Option<Spanned<Span>>,
        /// How requests are spaced around the rate: `constant` (the default), `poisson`, `gamma`
        /// or `burst`.
        arrival: Option<Spanned<ArrivalWord>>,
        /// Shape of `gamma` arrivals: 1 is Poisson, less is burstier, more is more regular.
        burstiness: Option<Spanned<Ratio>>,
        /// Requests at once with `burst` arrivals.
        burst_size: Option<Spanned<Count>>,
        /// Most requests in flight; unlimited unless given.
        max_in_flight: Option<Spanned<Count>>,
        /// What becomes of due requests beyond `max_in_flight`: `queue` (the default) or `drop`.
        when_full: Option<Spanned<FullWord>>,
        /// What becomes of requests that could not be sent when they were due: `send` (the
        /// default) or `drop`.
        late: Option<Spanned<LateWord>>,
        /// Lateness that `late: drop` forgives; 1s unless given.
        late_after: Option<Spanned<Span>>,
        /// Requests sent before the first rung, one after another, and left out of every number;
        /// none unless given.
        warmup_requests: Option<Spanned<Count>>,
        /// Share of requests, 0 to 1, that repeat an earlier prompt word for word; 0 unless given.
        repeat_ratio: Option<Spanned<Ratio>>,
        /// The first stretch of each rung, left out of its numbers; none unless given.
        settle: Option<Spanned<Span>>,
        /// Longest wait for answers at the end of a rung; what is out then is cancelled. 60s
        /// unless given.
        drain: Option<Spanned<Span>>,
        /// A rung is invalid when more than 1 % of its requests leave later than this after they
        /// were due: the machine was too slow. 100ms unless given.
        max_lag: Option<Spanned<Span>>,
        /// What is asked; the plan's prompt unless given.
        prompt: Option<Spanned<PromptFile>>,
    }
}

stage_keys! {
    /// One concurrency after another, to find the one beyond which throughput stops growing.
    RampKeys {
        /// Users of each rung: `1,2,4-32*2`, or a list.
        concurrency: Option<Spanned<Series>>,
        /// How long each rung lasts.
        step: Option<Spanned<Span>>,
        /// Requests of each rung; with `step`, whichever comes first.
        requests: Option<Spanned<Count>>,
        /// The pause a user makes between an answer and the next request; none unless given.
        think: Option<Spanned<Span>>,
        /// The users begin evenly spread over this time instead of in one burst.
        spread: Option<Spanned<Span>>,
        /// Requests sent before the first rung, one after another, and left out of every number;
        /// none unless given.
        warmup_requests: Option<Spanned<Count>>,
        /// Share of requests, 0 to 1, that repeat an earlier prompt word for word; 0 unless given.
        repeat_ratio: Option<Spanned<Ratio>>,
        /// The first stretch of each rung, left out of its numbers; none unless given.
        settle: Option<Spanned<Span>>,
        /// Longest wait for answers at the end of a rung; what is out then is cancelled. 60s
        /// unless given.
        drain: Option<Spanned<Span>>,
        /// What is asked; the plan's prompt unless given.
        prompt: Option<Spanned<PromptFile>>,
    }
}

stage_keys! {
    /// The highest rate or concurrency at which the stage's `thresholds` hold: levels are doubled
    /// until one fails, then the bracket is narrowed, and both of its ends are tried again. A level
    /// must also be kept up with, and (unless a threshold names errors) at most 1 % may fail. The
    /// thresholds decide about levels; the run fails when the level found is below `at_least`.
    SearchKeys {
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
        /// How requests are spaced around the rate: `constant` (the default), `poisson`, `gamma`
        /// or `burst`.
        arrival: Option<Spanned<ArrivalWord>>,
        /// Shape of `gamma` arrivals: 1 is Poisson, less is burstier, more is more regular.
        burstiness: Option<Spanned<Ratio>>,
        /// Requests at once with `burst` arrivals.
        burst_size: Option<Spanned<Count>>,
        /// Most requests in flight; unlimited unless given.
        max_in_flight: Option<Spanned<Count>>,
        /// What becomes of due requests beyond `max_in_flight`: `queue` (the default) or `drop`.
        when_full: Option<Spanned<FullWord>>,
        /// What becomes of requests that could not be sent when they were due: `send` (the
        /// default) or `drop`.
        late: Option<Spanned<LateWord>>,
        /// Lateness that `late: drop` forgives; 1s unless given.
        late_after: Option<Spanned<Span>>,
        /// The pause a user makes between an answer and the next request; none unless given.
        think: Option<Spanned<Span>>,
        /// The users begin evenly spread over this time instead of in one burst.
        spread: Option<Spanned<Span>>,
        /// Requests sent before the first probe, one after another, and left out of every number;
        /// none unless given.
        warmup_requests: Option<Spanned<Count>>,
        /// Share of requests, 0 to 1, that repeat an earlier prompt word for word; 0 unless given.
        repeat_ratio: Option<Spanned<Ratio>>,
        /// The first stretch of each probe, left out of its numbers; none unless given.
        settle: Option<Spanned<Span>>,
        /// Longest wait for answers at the end of a probe; what is out then is cancelled. 60s
        /// unless given.
        drain: Option<Spanned<Span>>,
        /// A probe says nothing when more than 1 % of its requests leave later than this after they
        /// were due: the machine was too slow. 100ms unless given.
        max_lag: Option<Spanned<Span>>,
        /// What is asked; the plan's prompt unless given.
        prompt: Option<Spanned<PromptFile>>,
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

/// How requests are spaced around a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArrivalWord {
    /// Evenly spaced.
    Constant,
    /// Independent of each other: exponential gaps.
    Poisson,
    /// Gamma-distributed gaps; `burstiness` is the shape.
    Gamma,
    /// `burst_size` at once, then nothing until the rate has caught up.
    Burst,
}

/// What becomes of due requests beyond `max_in_flight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FullWord {
    /// They wait for a place.
    Queue,
    /// They are recorded as dropped.
    Drop,
}

/// What becomes of late requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LateWord {
    /// They are sent all the same.
    Send,
    /// They are recorded as dropped.
    Drop,
}
