//! The resolved plan of `replay` stages: what a log says was asked, again.
//!
//! In: what lowering made of the written stage. Out: plain values. Invariant: every default is
//! filled in, the speed is above 0, and a sample's range lies within 0 to 1.

use std::path::PathBuf;

use super::{ArrivalProcess, Measure, Pacing, Until};

/// `kind: replay`: what a log says was asked, again.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The log.
    pub log: PathBuf,
    /// Where its lines hold what.
    pub fields: LogFields,
    /// When its requests are sent.
    pub timing: ReplayTiming,
    /// Which of its conversations are replayed.
    pub sample: Sample,
    /// Only so much of the log: its first requests, or its first stretch of time (before
    /// `speed`). A number of windows is lowered to that many times `window`.
    pub limit: Option<Until>,
    /// Whether turns of one conversation wait for each other.
    pub sessions: Sessions,
    /// How due times are kept.
    pub pacing: Pacing,
    /// Overrides the log's own bound on generated tokens.
    pub max_tokens: Option<u64>,
    /// Overrides the log's own temperature.
    pub temperature: Option<f64>,
    /// Ask for a stream (needed for TTFT).
    pub stream: bool,
    /// Further top-level fields of every request body.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Requests sent before the replay proper and left out of every number.
    pub warmup_requests: u64,
    /// Which part counts; `measure.window` is the length of the periodic statistics.
    pub measure: Measure,
}

/// JSON pointers into a log line; the well-known names of the known formats when `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFields {
    /// When it was asked.
    pub timestamp: Option<String>,
    /// What was asked.
    pub messages: Option<String>,
    /// The bound on generated tokens.
    pub max_tokens: Option<String>,
    /// The conversation it belongs to.
    pub session: Option<String>,
}

/// When a replay sends the requests of its log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReplayTiming {
    /// With the spacing of the log's own stamps (`mode: timestamp`).
    Timestamp {
        /// 2 is twice as fast.
        speed: f64,
        /// How stamps of one second are spread.
        spread: Spread,
    },
    /// In the log's order at a rate of its own (`mode: qps`).
    Qps {
        /// Requests per second (`target_qps:`).
        rate: f64,
        /// How arrivals are spaced.
        arrival: ArrivalProcess,
    },
}

/// What is done with stamps that only name a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spread {
    /// Spread requests over their second, if every stamp of the log names a whole second.
    #[default]
    Auto,
    /// Spread them in any case.
    Always,
    /// Send all requests of a second at its start.
    Never,
}

/// Which conversations of a log are replayed: those whose hash lies in `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which hash.
    pub by: SampleHash,
    /// Lower end of the range, 0 to 1. `sample_rate: r` is the range from 0 to `r`.
    pub start: f64,
    /// Upper end of the range, 0 to 1, not within it.
    pub end: f64,
}

impl Sample {
    /// Every conversation.
    pub const ALL: Self = Self { by: SampleHash::Md5, start: 0.0, end: 1.0 };
}

/// The hash of a [`Sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleHash {
    /// First four bytes of the MD5 of the conversation's id: the same conversations in every
    /// run and in other tools that sample this way.
    Md5,
    /// Keyed by the plan's seed: other seeds pick other conversations.
    Seeded,
}

/// How the turns of one conversation depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// They do not: each request is sent when it is due.
    Independent,
    /// A turn waits until the turn before it is over; the log's own history is sent.
    Ordered,
    /// As [`Sessions::Ordered`], with the server's own answers in place of the log's.
    Live,
}
