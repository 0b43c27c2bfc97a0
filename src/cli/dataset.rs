//! The arguments of `runner dataset`.
//!
//! In: words of the command line. Out: which files, how they are read, what is wanted of them.
//! Invariant: the words are those of `dataset:` in plans.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `dataset`.
#[derive(Debug, Args)]
pub struct DatasetArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DatasetCommand,
}

/// What to do with a dataset.
#[derive(Debug, Subcommand)]
pub enum DatasetCommand {
    /// Show what files hold: format, rows, token lengths, sessions, time span. Exits with 3 when
    /// rows are malformed or there are none.
    Inspect(InspectArgs),
    /// Write files in another format, row by row.
    Convert(ConvertArgs),
}

/// Which files, and how they are read.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// Files, or patterns such as 'logs/*.jsonl.gz': text (UTF-8, UTF-16) or Parquet, whatever they are
    /// called; gzip, Zstandard, bzip2 and xz are unpacked on the way.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Their format, such as sharegpt. Default: detected from the first file's beginning.
    #[arg(long)]
    pub format: Option<String>,
    /// What to do with a row that does not match the format.
    #[arg(long, value_enum, default_value_t = OnMalformedArg::Error)]
    pub on_malformed: OnMalformedArg,
    /// Keep rows that the trace marks as failed. By default they are left out and counted.
    #[arg(long)]
    pub keep_recorded_failures: bool,
    /// Maximum number of rows to read.
    #[arg(long)]
    pub limit: Option<u64>,
    /// JSON pointer to a part of the rows, such as timestamp=/ts or prompt=/question. Can be
    /// repeated.
    #[arg(long = "field", value_name = "PART=POINTER", value_parser = super::inputs::key_value)]
    pub fields: Vec<(String, String)>,
    /// Unit of numeric timestamps. Default: the format's own unit, or what their size suggests if
    /// that is impossible.
    #[arg(long, value_enum)]
    pub timestamp_unit: Option<UnitArg>,
    /// Tokens per block, for which one of a row's hash ids stands. Default: what the row states,
    /// else that of the format.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub block_size: Option<u64>,
}

/// Arguments of `dataset inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// What is read.
    #[command(flatten)]
    pub read: ReadArgs,
    /// Count tokens with this tokenizer.json. Default: four characters per token.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = SurveyFormat::Text)]
    pub output_format: SurveyFormat,
}

/// Arguments of `dataset convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// What is read.
    #[command(flatten)]
    pub read: ReadArgs,
    /// What is written.
    #[arg(long, value_enum, default_value_t = ConvertToArg::OpenaiMessages)]
    pub to: ConvertToArg,
    /// The file to write. It appears when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    pub overwrite: bool,
}

/// What to do with a malformed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnMalformedArg {
    /// Fail (when inspecting: after all rows have been counted).
    Error,
    /// It is left out and counted.
    Skip,
}

/// Unit of numeric timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UnitArg {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

/// How a survey is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SurveyFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConvertToArg {
    /// One object per line: messages (or lengths, blocks), session, time, limits.
    OpenaiMessages,
    /// `[{id, conversations: [{from, value}]}]`.
    Sharegpt,
    /// `{timestamp, input_length, output_length, hash_ids}` per line.
    Mooncake,
}
