//! The resolved plan of `replay` stages: what a log says was asked, again.
//!
//! In: what lowering made of the written stage. Out: plain values. Invariant: every default is
//! filled in, the speed is above 0, a sample's range lies within 0 to 1, and the prompt has a dataset,
//! which is the log.

use super::{ArrivalProcess, Measure, Pacing, Traffic, Until};
use crate::plan::model::words::words;

/// `kind: replay`: what a log says was asked, again.
#[derive(Debug, Clone)]
pub struct Replay {
    /// What is asked: the rows of its prompt's dataset, which is the log.
    pub traffic: Traffic,
    /// When its requests are sent.
    pub timing: ReplayTiming,
    /// Which of its conversations are replayed.
    pub sample: Sample,
    /// Whether turns of one conversation wait for each other.
    pub sessions: Sessions,
    /// When the stage ends; with the log when `None`.
    pub until: Option<Until>,
    /// After its last request the log begins anew.
    pub cycle: bool,
    /// How due times are kept.
    pub pacing: Pacing,
    /// Which part counts; `measure.window` is the length of the periodic statistics.
    pub measure: Measure,
    /// Requests of the log that are in the sample, once somebody has counted them.
    pub rows: Option<u64>,
}

impl Replay {
    /// About how many requests that makes, as far as it is known: a log's own times are known only
    /// when it is read.
    pub fn about(&self) -> u64 {
        let most = match self.rows {
            Some(rows) if !self.cycle => rows,
            _ => u64::MAX,
        };
        let until = self.until.unwrap_or(Until::Requests(u64::MAX));
        let asked = match self.timing {
            ReplayTiming::Rate { rate, .. } => super::Rate::Constant(rate).about(until),
            ReplayTiming::Log { .. } => until.requests().unwrap_or(u64::MAX),
        };
        match most.min(asked) {
            u64::MAX => 0,
            requests => requests,
        }
    }
}

/// When a replay sends the requests of its log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReplayTiming {
    /// With the spacing of the log's own stamps.
    Log {
        /// 2 is twice as fast.
        speed: f64,
        /// Whether the requests of a second are spread over it, where every stamp of the log names
        /// no more than a second. They are all sent at its start otherwise.
        spread: bool,
    },
    /// In the log's order at a rate of its own.
    Rate {
        /// Requests per second.
        rate: f64,
        /// How arrivals are spaced.
        arrival: ArrivalProcess,
    },
}

/// Which conversations of a log are replayed: those whose hash lies in `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which hash.
    pub by: SampleHash,
    /// Lower end of the range, 0 to 1.
    pub start: f64,
    /// Upper end of the range, 0 to 1, not within it.
    pub end: f64,
}

impl Sample {
    /// Every conversation.
    pub const ALL: Self = Self { by: SampleHash::Md5, start: 0.0, end: 1.0 };
}

words! {
    /// The hash that chooses the conversations of a sample.
    #[derive(Default)]
    pub enum SampleHash {
        /// The MD5 of their ids (its first four bytes): the same conversations in every run, and in
        /// other tools that sample this way.
        #[default]
        Md5 = "md5",
        /// Their ids and the plan's seed: other seeds choose other conversations.
        Seeded = "seed",
    }
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
