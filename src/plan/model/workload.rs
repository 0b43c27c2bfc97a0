//! What is asked, resolved: datasets, synthetic prompts, conversations.
//!
//! In: what lowering made of `dataset:`, `synthetic:` and `conversation:`. Out: plain values that
//! the workloads read. Invariant: every default is filled in, and every range is checked where
//! the text was (a length's `min` is at most its `max`, a share lies between 0 and 1).

use std::path::PathBuf;
use std::time::Duration;

use super::{Location, Think};

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
    /// What happens at a row that is not what the format promises.
    pub malformed: OnMalformed,
    /// Whether rows that the trace marks as failed (`BurstGPT`: no response tokens) are left out,
    /// counted, or kept.
    pub recorded_failures: RecordedFailures,
    /// Read no more rows than this.
    pub limit: Option<u64>,
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
            malformed: OnMalformed::Error,
            recorded_failures: RecordedFailures::Skip,
            limit: None,
        }
    }
}

/// The formats of datasets and traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetFormat {
    /// One JSON object per line; the fields are for templates, and a prompt is taken from
    /// `messages`, `prompt` or `text` where there is one.
    Jsonl,
    /// The same objects in a JSON array (or several values in a row).
    Json,
    /// A header and records; the columns are for templates.
    Csv,
    /// Each file is one row.
    Text,
    /// Each line is one prompt.
    Lines,
    /// `[{id, conversations: [{from, value}]}]`, also with `role` and `content`.
    ShareGpt,
    /// `{messages: [{role, content}], …}` per line or element; what `dataset convert` writes.
    OpenaiMessages,
    /// `{custom_id, method, url, body}` per line.
    OpenaiBatch,
    /// One prompt per JSON value: an array of messages, or an object with `messages`.
    PromptFile,
    /// `[{prompt_content, cut_chat_history: [{role, content}]}]`.
    ChatHistory,
    /// Log lines: a calendar stamp, then JSON with `[Log chat request] {…}` in its `message`.
    ReplayLog,
    /// `{timestamp, conversation_id, messages: [{role, content: [token ids]}]}` per line.
    TokenLog,
    /// `{timestamp, input_length, output_length, hash_ids}` per line, blocks of 512 tokens.
    Mooncake,
    /// CSV `TIMESTAMP,ContextTokens,GeneratedTokens`.
    Azure,
    /// CSV `Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,…`.
    BurstGpt,
    /// `{body, timestamp, completion_tokens?}` per line.
    EvalscopeTrace,
    /// `{id, t, in, out, hash_ids}`, or sessions with `requests` of these; blocks of 64 tokens.
    Weka,
}

impl DatasetFormat {
    /// Every format, in the order in which help texts name them.
    pub const ALL: [Self; 17] = [
        Self::Jsonl,
        Self::Json,
        Self::Csv,
        Self::Text,
        Self::Lines,
        Self::ShareGpt,
        Self::OpenaiMessages,
        Self::OpenaiBatch,
        Self::PromptFile,
        Self::ChatHistory,
        Self::ReplayLog,
        Self::TokenLog,
        Self::Mooncake,
        Self::Azure,
        Self::BurstGpt,
        Self::EvalscopeTrace,
        Self::Weka,
    ];

    /// The plan's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "text",
            Self::Lines => "lines",
            Self::ShareGpt => "sharegpt",
            Self::OpenaiMessages => "openai-messages",
            Self::OpenaiBatch => "openai-batch",
            Self::PromptFile => "prompt-file",
            Self::ChatHistory => "chat-history",
            Self::ReplayLog => "replay-log",
            Self::TokenLog => "token-log",
            Self::Mooncake => "mooncake",
            Self::Azure => "azure",
            Self::BurstGpt => "burstgpt",
            Self::EvalscopeTrace => "evalscope-trace",
            Self::Weka => "weka",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// JSON pointers (`/request/messages`; in CSV `/Column name`) to a row's parts. What a pointer
/// names takes the place of what the format would have taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPointers {
    /// An array of messages.
    pub messages: Option<String>,
    /// A plain prompt.
    pub prompt: Option<String>,
    /// A system message put before the others.
    pub system: Option<String>,
    /// When the request arrived: a number (see `timestamp_unit`) or a calendar stamp.
    pub timestamp: Option<String>,
    /// The session whose turns never overlap.
    pub session: Option<String>,
    /// The row's own id.
    pub id: Option<String>,
    /// The model that was asked.
    pub model: Option<String>,
    /// Upper bound of generated tokens.
    pub max_tokens: Option<String>,
    /// Tokens that were generated.
    pub output_tokens: Option<String>,
    /// Prompt tokens, for rows without text.
    pub input_tokens: Option<String>,
    /// Ids of the prompt's blocks, for rows without text.
    pub hash_ids: Option<String>,
}

impl FieldPointers {
    /// The parts of a row, as plans and the command line name them.
    pub const NAMES: [&str; 11] = [
        "messages",
        "prompt",
        "system",
        "timestamp",
        "session",
        "id",
        "model",
        "max_tokens",
        "output_tokens",
        "input_tokens",
        "hash_ids",
    ];

    /// The pointer to the part of that name.
    pub fn named(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "messages" => &mut self.messages,
            "prompt" => &mut self.prompt,
            "system" => &mut self.system,
            "timestamp" => &mut self.timestamp,
            "session" => &mut self.session,
            "id" => &mut self.id,
            "model" => &mut self.model,
            "max_tokens" => &mut self.max_tokens,
            "output_tokens" => &mut self.output_tokens,
            "input_tokens" => &mut self.input_tokens,
            "hash_ids" => &mut self.hash_ids,
            _ => return None,
        })
    }

    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a number in a timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds, with fractions.
    Seconds,
    /// Milliseconds, with fractions.
    Milliseconds,
    /// Microseconds, with fractions.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
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

/// In which order rows are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// As they stand in the files.
    File,
    /// In a random order that the plan's seed decides, a new one each time round.
    Shuffled,
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
    /// Whether the first row has a prompt of its own.
    pub has_prompts: bool,
}

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

/// What happens at a malformed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMalformed {
    /// Reading ends there.
    Error,
    /// The row is left out and counted.
    Skip,
}

/// What happens to rows that the trace itself marks as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedFailures {
    /// They are left out and counted.
    Skip,
    /// They are asked like any other row.
    Keep,
}

/// How long answers to a dataset's rows may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputLimit {
    /// As the row asked, else as long as it was answered, else as the plan says.
    Row,
    /// Exactly as long as it was answered: the limit is the recorded length and the server is told
    /// not to stop before (`ignore_eos`). Rows without a recorded length as [`Self::Row`].
    Recorded,
    /// As the plan says, whatever the row says.
    Plan,
}

/// Prompts that mean nothing and have a given shape.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticConfig {
    /// Prompt tokens of a request, prefix and system prompt included.
    pub input_tokens: Length,
    /// Tokens to generate.
    pub output_tokens: Option<Length>,
    /// Text that several prompts begin with.
    pub prefix: Option<SharedPrefix>,
    /// A system message of so many tokens, the same for all; counted in `input_tokens`.
    pub system_tokens: u64,
}

impl SyntheticConfig {
    /// Prompts and answers of constant length with nothing shared.
    pub fn constant(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens: Length::Constant(input_tokens),
            output_tokens: Some(Length::Constant(output_tokens)),
            prefix: None,
            system_tokens: 0,
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

/// A distribution of lengths, in tokens. What falls outside `min` and `max` is drawn to them.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Always the same.
    Constant(u64),
    /// Every length from `min` to `max` alike.
    Uniform {
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// Bell-shaped.
    Normal {
        /// Mean before clamping.
        mean: f64,
        /// Standard deviation before clamping.
        std: f64,
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// Skewed to the right, as real prompts are.
    Lognormal {
        /// Mean of the lengths themselves (not of their logarithms) before clamping.
        mean: f64,
        /// Standard deviation of the lengths themselves before clamping.
        std: f64,
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// `min` most often, each longer length rarer by the power law.
    Zipf {
        /// The power; larger means shorter. Above 0.
        exponent: f64,
        /// Shortest and most frequent.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// As observed: lengths with weights above 0.
    Empirical(Vec<(u64, f64)>),
}

/// Text that several prompts begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedPrefix {
    /// Where the text comes from.
    pub text: PrefixText,
    /// How long it is.
    pub length: PrefixLength,
    /// How many different prefixes there are; at least 1. Only generated text has several.
    pub groups: u64,
    /// How often each group is drawn: all alike at 0, else group `k` with weight `k^-skew`.
    pub skew: f64,
}

/// Where a shared prefix comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixText {
    /// Generated from the seed.
    Generated,
    /// A file (the fourth seed's `--prompt-file`), cut to length.
    File(PathBuf),
}

/// How long a shared prefix is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PrefixLength {
    /// So many tokens, but never more than the prompt has.
    Tokens(u64),
    /// This share of each prompt's tokens, 0 to 1: the share a warm cache should serve.
    Share(f64),
    /// The whole file; `input_tokens` counts what follows it (`--random-tokens`).
    Whole,
}

/// Sessions of several turns.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationConfig {
    /// What later turns say about earlier answers.
    pub history: History,
    /// Time between an answer's end and the next turn.
    pub delay: TurnDelay,
    /// A system message for sessions that have none; equal for all sessions.
    pub system: Option<String>,
    /// Sessions under way at a time; as many as arrive when `None`.
    pub concurrency: Option<u64>,
    /// Time between two sessions joining; all that have room join at once when zero.
    pub join_every: Duration,
    /// A session leaves after so many turns.
    pub max_turns: Option<u64>,
    /// Whether finished sessions are replaced by the next of the dataset, over and over.
    pub cycle: bool,
}

impl Default for ConversationConfig {
    fn default() -> Self {
        Self {
            history: History::Live,
            delay: TurnDelay::Think(Think::None),
            system: None,
            concurrency: None,
            join_every: Duration::ZERO,
            max_turns: None,
            cycle: false,
        }
    }
}

/// What stands in a later turn for an earlier answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// What the endpoint answered in this run: its cache sees its own tokens again.
    Live,
    /// What the dataset recorded: every run sends the same prompts.
    Recorded,
}

/// Time between an answer's end and the next turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TurnDelay {
    /// As a user thinks.
    Think(Think),
    /// As recorded in the dataset (its delays, or the gaps between its timestamps), times a
    /// factor; none where it says nothing.
    Recorded {
        /// 0.5 = half as long.
        factor: f64,
        /// Longest.
        max: Duration,
    },
}
