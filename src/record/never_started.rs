//! Requests that were planned and not even made, in one line.
//!
//! In: where they stand. Out: a line whose length does not depend on how many they are. Invariant: a
//! request is in one such line, or has an `end` line of its own, and never both.

use serde::{Deserialize, Serialize};

/// Requests in a row that the plan asked for and that were never made: a signal, a failure or a check
/// ended their stage before. Each counts as one that never started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NeverStartedLine {
    /// Id of the stage.
    pub stage: String,
    /// Matrix cell, when there is a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Level of a ladder or ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<f64>,
    /// The number of the first of them within its stage (and rung).
    pub first: u64,
    /// How many there are.
    pub count: u64,
}
