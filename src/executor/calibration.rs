//! What this machine can do as a load generator, and how far its stamps can be trusted.
//!
//! In: [`Effort`]. Out: a [`Calibration`]: a real run, client, recorder and all, against embedded
//! simulators whose truth logs say what really happened. Invariant: every error is that of one
//! request's record against the truth of the same request, found by its id; client and simulator
//! share the machine, so the ceilings are lower bounds of what it does against a server elsewhere.

mod drive;
pub mod store;

use serde::{Deserialize, Serialize};

use super::RunError;
use super::manifest::Host;
use crate::plan::LoadError;
use crate::simulator::SimulatorError;

pub use drive::calibrate;

/// Version of the form in which calibrations are kept.
pub const CALIBRATION_VERSION: u32 = 1;

/// How much is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Effort {
    /// Streams at a time and requests in all, for each ceiling.
    pub levels: Vec<(u64, u64)>,
    /// Requests per second, for each schedule.
    pub rates: Vec<f64>,
    /// Seconds of each schedule.
    pub rate_seconds: f64,
    /// Streams at a time and requests in all, for each look at the stamps.
    pub accuracy: Vec<(u64, u64)>,
}

impl Effort {
    /// Half a minute.
    pub fn full() -> Self {
        Self {
            levels: vec![(1, 3_000), (64, 40_000), (512, 40_000), (4_096, 40_000)],
            rates: vec![200.0, 1_000.0],
            rate_seconds: 4.0,
            accuracy: vec![(64, 768), (256, 2_560), (1_024, 8_192)],
        }
    }

    /// A few seconds; the figures are rougher.
    pub fn quick() -> Self {
        Self {
            levels: vec![(1, 500), (64, 6_000), (512, 6_000), (4_096, 8_192)],
            rates: vec![200.0, 1_000.0],
            rate_seconds: 1.0,
            accuracy: vec![(64, 192)],
        }
    }
}

/// What was measured, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`CALIBRATION_VERSION`].
    pub calibration_version: u32,
    /// The tool's version.
    pub runner_version: String,
    /// Wall clock, RFC 3339.
    pub measured_at: String,
    /// The machine.
    pub host: Host,
    /// The most it does, by streams at a time.
    pub ceilings: Vec<Ceiling>,
    /// How well it keeps a schedule, by rate.
    pub schedules: Vec<Punctuality>,
    /// How far its stamps are off, by streams at a time.
    pub accuracy: Vec<Accuracy>,
}

/// The most this machine does with so many streams at a time: answers of 16 tokens, sent without
/// any delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Streams at a time.
    pub streams: u64,
    /// Complete answers.
    pub ok: u64,
    /// Requests that failed, most likely for want of open files.
    pub failed: u64,
    /// Complete answers per second.
    pub requests_per_second: f64,
    /// Token-bearing events per second.
    pub events_per_second: f64,
    /// CPU time of client and simulator together for each request, in microseconds.
    pub cpu_us_per_request: Option<f64>,
}

/// How well a constant rate was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Punctuality {
    /// Requests per second asked for.
    pub target_rate: f64,
    /// Requests per second sent.
    pub sent_rate: f64,
    /// Sent after due, in milliseconds.
    pub lag_ms: Spread,
}

/// How far the stamps were off with so many streams at a time: 50 ms to the first of 32 tokens,
/// 10 ms between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Streams at a time.
    pub streams: u64,
    /// Requests that were compared.
    pub requests: u64,
    /// Said minus true time to first token of each request, in milliseconds. A request that made
    /// its connection first, with none opened ahead for it, is left out: the server can not know of that time.
    pub ttft_ms: Spread,
    /// Percentiles of the said gaps between tokens minus those of the true ones, in milliseconds.
    pub itl_ms: Spread,
    /// Said minus true time to the last token of each request, in milliseconds.
    pub e2e_ms: Spread,
}

/// The middle and the edge of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// No simulator.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// The run did not begin.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Our own plan was refused: a bug.
    #[error("the plan of the calibration is refused: {0}")]
    Plan(#[from] Box<LoadError>),
    /// Our own plan has no graph: a bug.
    #[error("the plan of the calibration has no graph")]
    Graph,
    /// The folder for it can't be used.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Its records can't be read.
    #[error(transparent)]
    Log(#[from] crate::metrics::record_log::ReadLogError),
    /// Nothing could be compared.
    #[error("stage {0} has nothing to measure: {1}")]
    Empty(String, String),
}
