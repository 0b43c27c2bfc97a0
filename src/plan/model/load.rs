//! The resolved plan of the load stages: `load`, `qps_ladder`, `concurrency_ramp`, `search`;
//! and the parts that `replay` shares with them.
//!
//! In: what lowering made of the written stages. Out: plain values that [`Action`](super::Action)
//! carries to the stages. Invariant: every default is filled in, every rate is finite and not
//! negative, every share lies within 0 to 1; nothing here is text that still has to be parsed.

use crate::plan::model::words::words;
use std::time::Duration;

use super::Prompt;

/// When a stage (or a rung) stops asking for more. What is in flight then is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this many requests.
    Requests(u64),
    /// After this long: arrivals at or past it are not part of the schedule.
    Duration(Duration),
    /// Whichever comes first.
    First {
        /// At most this many requests.
        requests: u64,
        /// At most this long.
        duration: Duration,
    },
}

impl Until {
    /// The bound on requests, if there is one.
    pub fn requests(&self) -> Option<u64> {
        match *self {
            Self::Requests(requests) | Self::First { requests, .. } => Some(requests),
            Self::Duration(_) => None,
        }
    }

    /// The bound on time, if there is one.
    pub fn duration(&self) -> Option<Duration> {
        match *self {
            Self::Duration(duration) | Self::First { duration, .. } => Some(duration),
            Self::Requests(_) => None,
        }
    }
}

/// How arrivals are spaced around a rate (`arrival:`). Each has the mean that [`Rate`] asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ArrivalProcess {
    /// Evenly spaced.
    Constant,
    /// Independent arrivals: exponential gaps.
    Poisson,
    /// Gamma-distributed gaps. `burstiness` is the shape: 1 is Poisson, less is burstier, more is
    /// more regular (the coefficient of variation of the gaps is `1 / sqrt(burstiness)`).
    Gamma {
        /// The shape, above 0.
        burstiness: f64,
    },
    /// `size` requests at one instant, then nothing for `size / rate`. A plan that writes
    /// `period` is lowered to the rate `size / period`.
    Burst {
        /// Requests per burst, at least 1.
        size: u64,
    },
}

/// Requests per second over time.
#[derive(Debug, Clone, PartialEq)]
pub enum Rate {
    /// The same all along.
    Constant(f64),
    /// Pieces one after another (linear ramps and steps); the last piece's `to` holds on.
    Pieces(Vec<RatePiece>),
}

impl Rate {
    /// About how many requests that makes (whatever the arrivals): the rate times the time.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and times are not negative, and the cast saturates"
    )]
    pub fn about(&self, until: Until) -> u64 {
        let most = until.requests().unwrap_or(u64::MAX);
        let Some(duration) = until.duration() else { return most };
        let mut left = duration.as_secs_f64();
        let requests = match self {
            Self::Constant(rate) => rate * left,
            Self::Pieces(pieces) => {
                let mut sum = 0.0;
                for piece in pieces {
                    let over = piece.over.as_secs_f64();
                    let part = left.min(over);
                    let reached = piece.from + (piece.to - piece.from) * part / over.max(1e-9);
                    sum += part * f64::midpoint(piece.from, reached);
                    left -= part;
                }
                sum + left * pieces.last().map_or(0.0, |piece| piece.to)
            }
        };
        most.min(requests.round() as u64)
    }
}

/// A stretch over which the rate runs linearly from `from` to `to`; equal ends make a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatePiece {
    /// Requests per second at its start.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// How long it lasts.
    pub over: Duration,
}

/// What happens to a request that could not be released when it was due (`late:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Late {
    /// It is sent all the same; its lag is in its record.
    #[default]
    Send,
    /// It is recorded as `dropped_late` once it is later than this.
    Drop {
        /// Lateness that is still forgiven.
        after: Duration,
    },
}

words! {
    /// What to do with requests that are due while `max_in_flight` are in flight.
    #[derive(Default)]
    pub enum WhenFull {
        /// They wait for a place, first come first served; the wait is in their `schedule_lag`.
        #[default]
        Queue = "queue",
        /// They are not sent, and recorded as dropped.
        Drop = "drop",
    }
}

/// How due times are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pacing {
    /// What becomes of late requests.
    pub late: Late,
    /// How long the pacer spins before a due time; `None` picks 100 µs, or nothing where the
    /// process has one core. Zero turns spinning off.
    pub spin: Option<Duration>,
    /// Most requests in flight; unlimited when `None`.
    pub max_in_flight: Option<u64>,
    /// What becomes of due requests beyond that.
    pub when_full: WhenFull,
}

/// Requests at times of their own, whatever the server does.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenLoop {
    /// How arrivals are spaced.
    pub arrival: ArrivalProcess,
    /// How many per second.
    pub rate: Rate,
    /// How due times are kept.
    pub pacing: Pacing,
}

/// The pause a user makes between an answer and the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Think {
    /// No pause.
    #[default]
    None,
    /// Always the same.
    Constant(Duration),
    /// Exponentially distributed with this mean.
    Exponential {
        /// The mean.
        mean: Duration,
    },
}

/// Users that each have one request out at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedLoop {
    /// Users in the end; the concurrency.
    pub users: u64,
    /// Users from the start, at most `users`. The rest join one by one over `ramp`.
    pub start_users: u64,
    /// How long it takes from the start until the last user has joined; zero without a ramp.
    pub ramp: Duration,
    /// The first `start_users` begin evenly spread over this time instead of in one burst.
    pub spread: Duration,
    /// The pause between requests.
    pub think: Think,
}

/// Who decides when the next request is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// The clock.
    Open(OpenLoop),
    /// The answers.
    Closed(ClosedLoop),
}

/// What load stages ask, in which repetition, and which part of it counts.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// What is asked.
    pub prompt: Prompt,
    /// Share of requests, 0 to 1, that repeat an earlier request's prompt word for word.
    pub repeat_ratio: f64,
    /// Requests sent before the stage proper and left out of every number. They keep to the
    /// stage's own cap on requests in flight.
    pub warmup_requests: u64,
}

/// Which part of a stage or rung counts, and which is reported as its steady part beside the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// First stretch, recorded apart and left out of every number (`settle:`).
    pub settle: Duration,
    /// Head left out of the steady part (`warmup:`); with neither this nor `cooldown` the steady
    /// part is looked for.
    pub warmup: Option<Duration>,
    /// Tail left out of the steady part (`cooldown:`).
    pub cooldown: Option<Duration>,
    /// Longest wait for answers after the last request was sent; what is out then is cancelled.
    pub drain: Duration,
    /// How long the endpoint may take no connection before the stage fails (`unreachable: { wait }`).
    pub unreachable_wait: Duration,
    /// Print and keep statistics of each such stretch while the stage runs (`window:`).
    pub window: Option<Duration>,
    /// `schedule_lag` p99 above which the stage is invalid ("generator saturated").
    pub max_lag: Duration,
}

/// `kind: load`: one load, for a while.
#[derive(Debug, Clone)]
pub struct Load {
    /// What is asked.
    pub traffic: Traffic,
    /// When it is asked.
    pub shape: Shape,
    /// When each round ends.
    pub until: Until,
    /// How often the whole is repeated; each round is summarised by itself as well.
    pub rounds: u64,
    /// Which part counts.
    pub measure: Measure,
}

/// `kind: qps_ladder`: one rate after the other.
#[derive(Debug, Clone)]
pub struct QpsLadder {
    /// What is asked.
    pub traffic: Traffic,
    /// Requests per second of each rung, in the order in which they run.
    pub rates: Vec<f64>,
    /// How arrivals are spaced.
    pub arrival: ArrivalProcess,
    /// How due times are kept.
    pub pacing: Pacing,
    /// When each rung ends (`step:`).
    pub step: Until,
    /// Which part of each rung counts, and how long the drain between rungs may take.
    pub measure: Measure,
}

/// `kind: concurrency_ramp`: one concurrency after the other.
#[derive(Debug, Clone)]
pub struct ConcurrencyRamp {
    /// What is asked.
    pub traffic: Traffic,
    /// Users of each rung, in the order in which they run.
    pub levels: Vec<u64>,
    /// When each rung ends: requests per rung, or a duration.
    pub step: Until,
    /// The users begin evenly spread over this time instead of in one burst.
    pub spread: Duration,
    /// The pause between requests.
    pub think: Think,
    /// Which part of each rung counts, and how long the drain between rungs may take.
    pub measure: Measure,
}

/// `kind: search`: the highest level at which the stage's thresholds hold.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is asked.
    pub traffic: Traffic,
    /// What is raised.
    pub over: SearchAxis,
    /// The first level tried, above 0.
    pub low: f64,
    /// No level above this is tried.
    pub high: f64,
    /// The run fails when the level found is below this; nothing is asked of it when `None`.
    pub at_least: Option<f64>,
    /// Relative distance between the highest pass and the lowest failure at which it is done.
    pub tolerance: f64,
    /// Probes that must agree at either end of the final bracket.
    pub confirmations: u64,
    /// Most probes in all.
    pub max_probes: u64,
    /// Most requests in all; no probe is begun once they are spent.
    pub max_requests: Option<u64>,
    /// When each probe ends.
    pub step: Until,
    /// Which part of each probe is judged.
    pub measure: Measure,
}

/// What a [`Search`] raises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SearchAxis {
    /// Requests per second.
    Rate {
        /// How arrivals are spaced.
        arrival: ArrivalProcess,
        /// How due times are kept.
        pacing: Pacing,
    },
    /// Users, in whole numbers.
    Concurrency {
        /// The users begin evenly spread over this time.
        spread: Duration,
        /// The pause between requests.
        think: Think,
    },
}
