//! The written keys that stages of load share, in groups.
//!
//! In: the name of a stage's struct and of the groups it takes. Out: the struct with all keys, each in
//! its place in the text, and a method for each group that gives its keys as one value. Invariant: a
//! key of several kinds is written down here once, so it means the same in each. A struct within the
//! struct would be shorter, but serde's `flatten` loses every place on the way.

use schemars::JsonSchema;
use serde::Deserialize;

use super::PromptFile;
use super::scalar::{Count, Ratio, Span};
use crate::plan::bind::Spanned;

/// A stage of load: its own keys, then those of its groups.
macro_rules! load_keys {
    ($(#[$doc:meta])* $name:ident: $($group:ident)+ { $($own:tt)* }) => {
        load_keys! { @add [$($group)+] $(#[$doc])* $name { $($own)* } }
    };
    (@add [] $(#[$doc:meta])* $name:ident { $($keys:tt)* }) => {
        $crate::plan::file::stage::stage_keys! { $(#[$doc])* $name { $($keys)* } }
    };
    (@add [arrivals $($rest:ident)*] $(#[$doc:meta])* $name:ident { $($keys:tt)* }) => {
        load_keys! { @add [$($rest)*] $(#[$doc])* $name { $($keys)*
            /// Distribution of arrivals: `constant` (the default), `poisson`, `gamma` or `burst`.
            arrival: Option<Spanned<$crate::plan::file::ArrivalWord>>,
            /// Shape of `gamma` arrivals: 1 is Poisson, smaller is burstier, larger is more
            /// regular.
            burstiness: Option<Spanned<$crate::plan::file::Ratio>>,
            /// Number of requests sent at once with `burst` arrivals.
            burst_size: Option<Spanned<$crate::plan::file::Count>>,
        } }
        impl $name {
            /// How requests are spaced.
            pub(crate) fn arrivals(&self) -> $crate::plan::file::ArrivalKeys {
                $crate::plan::file::ArrivalKeys {
                    arrival: self.arrival,
                    burstiness: self.burstiness,
                    burst_size: self.burst_size,
                }
            }
        }
    };
    (@add [pacing $($rest:ident)*] $(#[$doc:meta])* $name:ident { $($keys:tt)* }) => {
        load_keys! { @add [$($rest)*] $(#[$doc])* $name { $($keys)*
            /// Maximum number of requests in flight. Default: unlimited.
            max_in_flight: Option<Spanned<$crate::plan::file::Count>>,
            /// What to do with requests that are due while `max_in_flight` are in flight: `queue`
            /// (the default) or `drop`.
            when_full: Option<Spanned<$crate::plan::WhenFull>>,
            /// What to do with requests that could not be sent in time: `send` (the default) or
            /// `drop`.
            late: Option<Spanned<$crate::plan::file::LateWord>>,
            /// How late a request may be before `late: drop` drops it. Default: 1s.
            late_after: Option<Spanned<$crate::plan::file::TimeSpan>>,
            /// The stage (or rung, or probe) is INVALID if more than 1 % of its requests are sent
            /// later than this after they were due, because the machine was too slow. It is also
            /// INVALID if arriving data was read too late (p95 above 15 % of this and half the
            /// median TTFT). Default: 100ms.
            max_lag: Option<Spanned<$crate::plan::file::TimeSpan>>,
            /// How long the thread that keeps due times spins before each of them instead of
            /// sleeping, which costs a part of a core. `0s` turns it off. Default: 100us; off if
            /// the machine has only one core.
            spin: Option<Spanned<$crate::plan::file::TimeSpan>>,
        } }
        impl $name {
            /// How due times are kept.
            pub(crate) fn pacing(&self) -> $crate::plan::file::PacingKeys {
                $crate::plan::file::PacingKeys {
                    max_in_flight: self.max_in_flight,
                    when_full: self.when_full,
                    late: self.late,
                    late_after: self.late_after,
                    max_lag: self.max_lag,
                    spin: self.spin,
                }
            }
        }
    };
    (@add [users $($rest:ident)*] $(#[$doc:meta])* $name:ident { $($keys:tt)* }) => {
        load_keys! { @add [$($rest)*] $(#[$doc])* $name { $($keys)*
            /// Pause of a user between an answer and the next request. Default: none.
            think: Option<Spanned<$crate::plan::file::TimeSpan>>,
            /// Users start evenly spread over this time. Default: half of `settle`, else half of
            /// `warmup`, so that users are out of step when measuring begins; without either, or
            /// with `ramp`, all start at once, on connections that were opened before.
            spread: Option<Spanned<$crate::plan::file::TimeSpan>>,
        } }
    };
    (@add [asking $($rest:ident)*] $(#[$doc:meta])* $name:ident { $($keys:tt)* }) => {
        load_keys! { @add [$($rest)*] $(#[$doc])* $name { $($keys)*
            /// Number of requests to send before anything else, one after another. They are not
            /// measured. Default: none.
            warmup_requests: Option<Spanned<$crate::plan::file::Count>>,
            /// Share of requests, 0 to 1, that repeat an earlier prompt word for word. Default: 0.
            repeat_ratio: Option<Spanned<$crate::plan::file::Ratio>>,
            /// The prompt of this stage. Default: the plan's prompt.
            prompt: Option<Spanned<$crate::plan::file::PromptFile>>,
        } }
        impl $name {
            /// What is asked.
            pub(crate) fn asking(&self) -> $crate::plan::file::AskingKeys<'_> {
                $crate::plan::file::AskingKeys {
                    warmup_requests: self.warmup_requests,
                    repeat_ratio: self.repeat_ratio,
                    prompt: self.prompt.as_ref(),
                }
            }
        }
    };
    (@add [steady $($rest:ident)*] $(#[$doc:meta])* $name:ident { $($keys:tt)* }) => {
        load_keys! { @add [$($rest)*] $(#[$doc])* $name { $($keys)*
            /// Time at the start of the stage that does not belong to its steady state.
            /// Steady-state figures are reported in addition to those of the whole stage. With
            /// neither this nor `cooldown`, the steady state is detected: the part in which
            /// latencies neither rise nor fall.
            warmup: Option<Spanned<$crate::plan::file::TimeSpan>>,
            /// Time before the last request is due that does not belong to the steady state.
            cooldown: Option<Spanned<$crate::plan::file::TimeSpan>>,
        } }
        impl $name {
            /// Which part is steady.
            pub(crate) fn steady(&self) -> $crate::plan::file::SteadyKeys {
                $crate::plan::file::SteadyKeys { warmup: self.warmup, cooldown: self.cooldown }
            }
        }
    };
    (@add [counting $($rest:ident)*] $(#[$doc:meta])* $name:ident { $($keys:tt)* }) => {
        load_keys! { @add [$($rest)*] $(#[$doc])* $name { $($keys)*
            /// Time at the start of the stage (of each rung or probe) whose requests are not
            /// measured. Default: none.
            settle: Option<Spanned<$crate::plan::file::TimeSpan>>,
            /// Maximum time to wait for answers after the last request (of each rung or probe).
            /// Requests still in flight then are cancelled. Default: 60s.
            drain: Option<Spanned<$crate::plan::file::TimeSpan>>,
            /// What happens while the endpoint takes no connection.
            unreachable: Option<$crate::plan::file::UnreachableKeys>,
        } }
        impl $name {
            /// Which part counts.
            pub(crate) fn counting(&self) -> $crate::plan::file::CountingKeys {
                $crate::plan::file::CountingKeys {
                    settle: self.settle,
                    drain: self.drain,
                    wait: self.unreachable.and_then(|keys| keys.wait),
                }
            }
        }
    };
}

pub(super) use load_keys;

/// How requests are spaced around a rate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ArrivalKeys {
    pub(crate) arrival: Option<Spanned<ArrivalWord>>,
    pub(crate) burstiness: Option<Spanned<Ratio>>,
    pub(crate) burst_size: Option<Spanned<Count>>,
}

/// How due times are kept.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PacingKeys {
    pub(crate) max_in_flight: Option<Spanned<Count>>,
    pub(crate) when_full: Option<Spanned<crate::plan::WhenFull>>,
    pub(crate) late: Option<Spanned<LateWord>>,
    pub(crate) late_after: Option<Spanned<Span>>,
    pub(crate) max_lag: Option<Spanned<Span>>,
    pub(crate) spin: Option<Spanned<Span>>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskingKeys<'k> {
    pub(crate) warmup_requests: Option<Spanned<Count>>,
    pub(crate) repeat_ratio: Option<Spanned<Ratio>>,
    pub(crate) prompt: Option<&'k Spanned<PromptFile>>,
}

/// Which part counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CountingKeys {
    pub(crate) settle: Option<Spanned<Span>>,
    pub(crate) drain: Option<Spanned<Span>>,
    pub(crate) wait: Option<Spanned<Span>>,
}

/// What happens while the endpoint takes no connection (refused, reset, no such name): requests that are
/// due fail, users wait, and how long it took is told. `abort` and `stop_when` may end it sooner.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnreachableKeys {
    /// It may be away for so long; then the stage fails. 30s unless given, `0s` ends it at once.
    pub(crate) wait: Option<Spanned<Span>>,
}

/// Which part is steady.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SteadyKeys {
    pub(crate) warmup: Option<Spanned<Span>>,
    pub(crate) cooldown: Option<Spanned<Span>>,
}

/// How requests are spaced around a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArrivalWord {
    /// Evenly spaced.
    Constant,
    /// Independent arrivals: exponential gaps.
    Poisson,
    /// Gamma-distributed gaps; `burstiness` is the shape.
    Gamma,
    /// `burst_size` requests at once, then none until the mean rate is right again.
    Burst,
}

/// What to do with late requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LateWord {
    /// They are sent late.
    Send,
    /// They are not sent, and recorded as dropped.
    Drop,
}
