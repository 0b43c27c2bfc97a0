//! Floor 3: what is asked.
//!
//! In: a plan's prompt, its seed and the run's nonce. Out: [`Request`]s. Invariant: `request(i)` is
//! a pure function of plan, seed, nonce and `i`, so that it can be striped, resumed and repeated.
//! To add one: a file here and a line in the stage that uses it.

pub mod check;
pub mod conversation;
pub mod dataset;
pub mod filler;
pub mod prompt;
pub mod seed;
pub mod store;
pub mod synthetic;
mod template;
pub mod tokenizer;

use crate::request::Request;

/// A source of requests.
pub trait Workload: Send + Sync {
    /// The request with this index.
    fn request(&self, index: u64) -> Result<Request, WorkloadError>;
}

/// Why a workload can't make a request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WorkloadError(pub String);
