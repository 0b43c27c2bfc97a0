//! The written form of `dataset:`.
//!
//! In: a bound tree. Out: one struct with places. Which files there are is for lowering to look up.

use schemars::JsonSchema;
use serde::Deserialize;

use super::param::TextOrList;
use super::scalar::Count;
use crate::plan::bind::Spanned;
use crate::plan::workload::{
    DatasetFormat, OnMalformed, RecordedFailures, RowOrder, TimestampUnit,
};

/// Rows from files: a path or pattern, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Dataset", untagged)]
pub(crate) enum DatasetFile {
    /// A path or pattern; defaults for everything else.
    Text(Spanned<String>),
    /// A dataset in detail.
    Map(Box<DatasetKeys>),
}

/// A dataset in detail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetKeys {
    /// Files relative to the plan's file: a path, a pattern (`*`, `?`, `[…]`, `**`), or a list of
    /// them. Text (UTF-8, UTF-16) or Parquet, whatever they are called; gzip, Zstandard, bzip2 and xz
    /// are unpacked on the way.
    #[schemars(required)]
    pub(crate) path: Option<TextOrList>,
    /// The format of the files. By default it is detected from the beginning of the first file.
    pub(crate) format: Option<Spanned<DatasetFormat>>,
    /// What to do with a row that does not match the format, or that has no prompt although rows
    /// are sent as they are: `error` (the default) or `skip` (leave it out and count it).
    pub(crate) on_malformed: Option<Spanned<OnMalformed>>,
    /// What to do with rows that the trace marks as failed: `skip` (leave them out and count them;
    /// the default) or `keep`.
    pub(crate) recorded_failures: Option<Spanned<RecordedFailures>>,
    /// Maximum number of rows to read.
    pub(crate) limit: Option<Spanned<Count>>,
    /// Order of the rows: `file` (the default) or `shuffle` (random, from the plan's seed). After
    /// the last row, the first one follows again.
    pub(crate) order: Option<Spanned<RowOrder>>,
    /// Length of answers: `row` (the limit that the row states, else the length of its recorded
    /// answer, whose text is counted, else `max_tokens`), `recorded` (exactly the length of the
    /// recorded answer) or `plan` (`max_tokens`, whatever the row states; the default where
    /// templates use the rows). By default, rows that are sent as they are use the limit or length
    /// that they state in numbers, else `max_tokens`; if neither is stated, no limit is sent.
    pub(crate) output: Option<Spanned<OutputWord>>,
    /// JSON pointers to the parts of a row that have other names than the format gives them, such
    /// as `timestamp: /ts`; in CSV `/Column name`.
    pub(crate) fields: Option<FieldKeys>,
    /// Unit of numeric timestamps: `s`, `ms`, `us` or `ns`. Default: the format's own unit; a
    /// number too large for seconds (1e11 and more) is read as milliseconds, microseconds or
    /// nanoseconds since 1970.
    pub(crate) timestamp_unit: Option<Spanned<TimestampUnit>>,
    /// Tokens per block, for which one of a row's `hash_ids` stands. Default: the row's
    /// `block_size`, else that of the format: 512 (Mooncake), 16 (Bailian), 64 (Weka).
    pub(crate) block_size: Option<Spanned<Count>>,
}

/// JSON pointers to a row's parts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldKeys {
    /// An array of messages.
    pub(crate) messages: Option<Spanned<String>>,
    /// A plain prompt.
    pub(crate) prompt: Option<Spanned<String>>,
    /// A system message put before the others.
    pub(crate) system: Option<Spanned<String>>,
    /// When the request arrived: a number or a calendar stamp.
    pub(crate) timestamp: Option<Spanned<String>>,
    /// The session of the row. Turns of one session never overlap.
    pub(crate) session: Option<Spanned<String>>,
    /// The row's own id.
    pub(crate) id: Option<Spanned<String>>,
    /// The model that was asked.
    pub(crate) model: Option<Spanned<String>>,
    /// Upper bound of generated tokens.
    pub(crate) max_tokens: Option<Spanned<String>>,
    /// Tokens that were generated.
    pub(crate) output_tokens: Option<Spanned<String>>,
    /// Prompt tokens, for rows without text.
    pub(crate) input_tokens: Option<Spanned<String>>,
    /// Ids of the prompt's blocks, for rows without text.
    pub(crate) hash_ids: Option<Spanned<String>>,
}

/// Length of answers to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputWord {
    /// The limit that the row states.
    Row,
    /// Exactly as long as the recorded answer.
    Recorded,
    /// As `max_tokens` says.
    Plan,
}
