//! What is asked, resolved: datasets, synthetic prompts, conversations.
//!
//! In: what lowering made of `dataset:`, `synthetic:` and `conversation:`. Out: plain values that
//! the workloads read. Invariant: every default is filled in, and every range is checked where
//! the text was.

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

/// How far prompts are told apart by a nonce that opens them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// Each has its own: none shares a prefix with another, nor with those of other runs.
    Request,
    /// All of a run have the same: they share what their texts share, and nothing with other runs.
    Run,
    /// There is none: the same bytes in every run.
    Never,
}

impl Unique {
    /// As plans write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Run => "run",
            Self::Never => "never",
        }
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
