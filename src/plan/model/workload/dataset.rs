//! Files of rows: how they are read, in which order they are asked, what is known of them.
//!
//! In: what lowering made of `dataset:`. Out: plain values. Invariant: nothing here was opened but
//! for what [`Seen`] says, which `workload::check` filled in.

use crate::plan::model::words::words;
use std::path::PathBuf;

use super::{DatasetFormat, FieldPointers};
use crate::plan::Location;

/// Files of rows and how they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetConfig {
    /// Paths or glob patterns (`*`, `?`, `[…]`, `**`), read in the order given; the files of one
    /// pattern in the order of their names.
    pub files: Vec<String>,
    /// Files must lie under this folder, links followed; anywhere when `None`.
    pub confine: Option<PathBuf>,
    /// The format; detected from the first file's beginning when `None`.
    pub format: Option<DatasetFormat>,
    /// Where a row's parts stand, when their names are not the format's own.
    pub fields: FieldPointers,
    /// What numbers in `fields.timestamp` count; the format's own unit when `None`.
    pub timestamp_unit: Option<TimestampUnit>,
    /// Tokens of a block of `hash_ids`; as rows say or as the format has it when `None`.
    pub block_tokens: Option<u64>,
    /// What happens at a row that is not what the format promises.
    pub malformed: OnMalformed,
    /// Whether rows that the trace marks as failed (`BurstGPT`: no response tokens) are left out,
    /// counted, or kept.
    pub recorded_failures: RecordedFailures,
    /// Read no more rows than this.
    pub limit: Option<u64>,
    /// Whether rows are asked as they are, so that one without a prompt is malformed; else they may
    /// be fields for templates.
    pub asked: bool,
}

impl DatasetConfig {
    /// A dataset of one path or pattern, everything else by default.
    pub fn of(file: impl Into<String>) -> Self {
        Self { files: vec![file.into()], ..Self::default() }
    }
}

impl Default for DatasetConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            confine: None,
            format: None,
            fields: FieldPointers::default(),
            timestamp_unit: None,
            block_tokens: None,
            malformed: OnMalformed::Error,
            recorded_failures: RecordedFailures::Skip,
            limit: None,
            asked: false,
        }
    }
}

words! {
    /// Unit of numeric timestamps.
    pub enum TimestampUnit {
        /// Seconds, with fractions.
        Seconds = "s",
        /// Milliseconds, with fractions.
        Milliseconds = "ms",
        /// Microseconds, with fractions.
        Microseconds = "us",
        /// Nanoseconds.
        Nanoseconds = "ns",
    }
}

/// A dataset as a prompt uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct RowSource {
    /// Its files and how they are read.
    pub config: DatasetConfig,
    /// In which order its rows are asked; after the last comes the first again.
    pub order: RowOrder,
    /// How long answers may be.
    pub output: OutputLimit,
    /// What is in it, once somebody has looked (`workload::check`).
    pub seen: Option<Seen>,
    /// Where it stands in the plan.
    pub location: Location,
}

words! {
    /// Order of the rows.
    #[derive(Default)]
    pub enum RowOrder {
        /// The order of the files.
        #[default]
        File = "file",
        /// Random, from the plan's seed, and a new order each time round.
        Shuffled = "shuffle",
    }
}

/// What a look into a dataset tells before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The format it is read as.
    pub format: DatasetFormat,
    /// Why, in half a sentence.
    pub why: String,
    /// Its rows, when they were counted: too many bytes are read only where a number is needed.
    pub rows: Option<u64>,
    /// Malformed rows that are left out, as far as rows were counted.
    pub malformed: u64,
    /// The first of them: file, line, what was expected and found.
    pub problem: Option<String>,
    /// Whether the first row has a text of its own; others have lengths, blocks or token ids.
    pub has_texts: bool,
    /// Whether all of it is small enough to be read in passing.
    pub is_small: bool,
    /// What of its rows is not sent, in words, where all of them were looked at.
    pub left_out: Option<String>,
}

words! {
    /// What to do with a malformed row.
    #[derive(Default)]
    pub enum OnMalformed {
        /// The run is refused, or the stage ends there.
        #[default]
        Error = "error",
        /// It is left out and counted.
        Skip = "skip",
    }
}

words! {
    /// What to do with rows that the trace marks as failed.
    #[derive(Default)]
    pub enum RecordedFailures {
        /// They are left out and counted.
        #[default]
        Skip = "skip",
        /// They are asked like any other row.
        Keep = "keep",
    }
}

/// How long answers to a dataset's rows may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputLimit {
    /// As the row says in numbers, else as the plan says, else without a limit: what holds where the
    /// plan does not choose. A text is no reason to send a limit that nobody stated.
    Numbers,
    /// As the row asked, else as long as it was answered, else as the plan says.
    Row,
    /// Exactly as long as it was answered: the limit is the recorded length and the server is told
    /// not to stop before (`ignore_eos`). Rows without a recorded length as [`Self::Row`].
    Recorded,
    /// As the plan says, whatever the row says.
    Plan,
}
