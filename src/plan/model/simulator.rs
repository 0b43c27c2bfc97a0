//! The checked form of `simulator:`.
//!
//! In: the written block over these defaults. Out: all that the embedded endpoint needs to know.

use std::time::Duration;

use super::JsonApi;

/// The embedded simulator: an OpenAI-style server with a block-granular LRU prefix cache.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorConfig {
    /// Model name it serves.
    pub model: String,
    /// Longest prompt plus answer, in tokens.
    pub max_model_len: u64,
    /// Capacity of the prefix cache in tokens; 0 turns it off.
    pub cache_tokens: u64,
    /// Tokens per cache block; only whole blocks are kept.
    pub block_tokens: u64,
    /// Prompt tokens computed per second, shared by all sequences in prefill.
    pub prefill_rate: f64,
    /// Tokens generated per second by one sequence running alone.
    pub decode_rate: f64,
    /// Relative slow-down of decoding per further running sequence (0.02 = 2 % each).
    pub batch_cost: f64,
    /// Sequences running at once; the rest wait.
    pub max_num_seqs: u64,
    /// Waiting sequences before it answers 503.
    pub max_queue: u64,
    /// Fixed time before prefill starts.
    pub overhead: Duration,
    /// Relative spread of prefill and decode times (0 = none), drawn from `seed`.
    pub jitter: f64,
    /// Seed of jitter and of the generated text.
    pub seed: u64,
    /// Key it asks for; anyone may come in when `None`.
    pub api_key: Option<String>,
    /// Whether it has `/reset_prefix_cache`.
    pub reset_prefix_cache: bool,
    /// Whether usage reports cached tokens.
    pub report_cached_tokens: bool,
    /// Scripted faults, by request number.
    pub faults: Vec<Fault>,
    /// The JSON API of the endpoint, served at its own path; none when the endpoint speaks another.
    pub json: Option<Box<JsonApi>>,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            model: "simulated-8b".into(),
            max_model_len: 131_072,
            cache_tokens: 200_000,
            block_tokens: 16,
            prefill_rate: 8_000.0,
            decode_rate: 100.0,
            batch_cost: 0.02,
            max_num_seqs: 64,
            max_queue: 1_024,
            overhead: Duration::from_millis(5),
            jitter: 0.05,
            seed: 0,
            api_key: None,
            reset_prefix_cache: true,
            report_cached_tokens: true,
            faults: Vec::new(),
            json: None,
        }
    }
}

/// One scripted fault of the simulator.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// First generation request it applies to, from 0.
    pub from: u64,
    /// How many requests in a row.
    pub count: u64,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// What goes wrong in a [`Fault`].
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// Answers with this status.
    Status(u16),
    /// Closes the connection cleanly after this many tokens, without finish or `[DONE]`.
    Truncate(u64),
    /// Cuts the chunked body after this many tokens.
    Disconnect(u64),
    /// Goes silent after this many tokens.
    Stall(u64),
    /// Sends an error event inside the 200 stream after this many tokens.
    ErrorEvent(u64),
    /// Sends half a JSON object after this many tokens.
    Malformed(u64),
    /// The whole server goes away: the listener closes and open connections are dropped.
    Crash,
}
