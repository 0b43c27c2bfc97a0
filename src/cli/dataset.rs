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
    /// Their format, such as sharegpt; detected from the first file's beginning unless given.
    #[arg(long)]
    pub format: Option<String>,
    /// What happens at a row that is not what its format promises.
    #[arg(long, value_enum, default_value_t = OnMalformedArg::Error)]
    pub on_malformed: OnMalformedArg,
    /// Keep rows that the trace marks as failed; they are left out and counted otherwise.
    #[arg(long)]
    pub keep_recorded_failures: bool,
    /// Read no more rows than this.
    #[arg(long)]
    pub limit: Option<u64>,
    /// Where a part of the rows stands, such as timestamp=/ts or prompt=/question; may be given
    /// several times.
    #[arg(long = "field", value_name = "PART=POINTER", value_parser = super::inputs::key_value)]
    pub fields: Vec<(String, String)>,
    /// What numbers in timestamps count; the format's own unit unless given, and what their size
    /// says where that can't be.
    #[arg(long, value_enum)]
    pub timestamp_unit: Option<UnitArg>,
    /// Tokens in a block that one of a row's hash ids stands for; what the row says, else the
    /// format's own unless given.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub block_size: Option<u64>,
}

/// Arguments of `dataset inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// What is read.
    #[command(flatten)]
    pub read: ReadArgs,
    /// Count tokens with this tokenizer.json; four characters per token unless given.
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
    /// The file to write; it appears when it is whole.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    pub overwrite: bool,
}

/// What happens at a malformed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnMalformedArg {
    /// It is an error (when inspecting: after all have been counted).
    Error,
    /// It is left out and counted.
    Skip,
}

/// What numbers in timestamps count.
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
