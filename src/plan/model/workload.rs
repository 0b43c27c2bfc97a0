//! What is asked, resolved: datasets, synthetic prompts, conversations.
//!
//! In: what lowering made of `dataset:`, `synthetic:` and `conversation:`. Out: plain values that
//! the workloads read. Invariant: every default is filled in, and every range is checked where
//! the text was.

use crate::plan::model::words::words;

mod conversation;
mod dataset;
mod fields;
mod format;
mod synthetic;

pub use conversation::{ConversationConfig, History, TurnDelay};
pub use dataset::{
    DatasetConfig, OnMalformed, OutputLimit, RecordedFailures, RowOrder, RowSource, Seen,
    TimestampUnit,
};
pub use fields::FieldPointers;
pub use format::DatasetFormat;
pub use synthetic::{Length, PrefixLength, PrefixText, SharedPrefix, SyntheticConfig};

words! {
    /// Which prompts begin with a nonce of their own.
    pub enum Unique {
        /// Each one: none shares a prefix with another, nor with those of other runs.
        Request = "request",
        /// All of a run the same one: they share what their texts share, and nothing with other runs.
        Run = "run",
        /// None: the same bytes in every run.
        Never = "never",
    }
}

/// How far prompts repeat from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uniqueness {
    /// Every text, shared prefixes included, is new in each run, so that a rerun does not meet
    /// yesterday's cache.
    PerRun,
    /// The same seed gives the same text in every run.
    Never,
}
