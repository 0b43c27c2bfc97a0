//! What a request says, before rendering.
//!
//! In: what lowering made of `prompt:`. Out: templates and where their rows, documents and files come
//! from. Invariant: nothing is opened here; a file is only named.

use std::path::PathBuf;

use super::Location;
use super::workload::{OutputLimit, RowSource, SyntheticConfig, Unique};

/// What servers call the upper bound of generated tokens.
pub const LIMIT_NAMES: [&str; 6] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "num_predict",
    "n_predict",
];

/// Objects of a body in which servers have lengths and settings of sampling.
pub const OPTIONS: [&str; 3] = ["options", "parameters", "sampling_params"];

/// What a request says, before rendering.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Messages whose contents are templates (`row`, `i`, `stage`, `params`, `context`); none where
    /// the rows of the dataset, or synthetic prompts, are asked as they are.
    pub messages: Vec<MessageTemplate>,
    /// A document put before the first user message, unless a template places `context` itself.
    pub context: Option<Context>,
    /// Rows: asked as they are, or as `row` in templates.
    pub dataset: Option<Box<RowSource>>,
    /// Prompts without meaning and with a given shape.
    pub synthetic: Option<Box<SyntheticConfig>>,
    /// How far prompts are told apart; see [`Prompt::unique_in`] when `None`.
    pub unique: Option<Unique>,
    /// Upper bound of generated tokens.
    pub max_tokens: Option<u64>,
    /// The name under which that bound is sent, and where it stands in the plan; that of the row or
    /// the API when `None`.
    pub max_tokens_field: Option<(String, Location)>,
    /// The model to ask for, where rows name one.
    pub model: ModelChoice,
    /// Fields of the body that are not sent, whoever would set them: names, or paths such as
    /// `stream_options/include_usage`.
    pub without: Vec<String>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Whether to ask for a stream (needed for TTFT); see [`Prompt::streams`] when `None`.
    pub stream: Option<bool>,
    /// Further top-level fields of the request body, passed through as they are; string values
    /// are templates.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Where its values stand in the plan, by their paths, such as `.metadata.tags[1]`.
    pub body_places: Vec<(String, Location)>,
    /// What its templates may read.
    pub files: FileAccess,
}

impl Prompt {
    /// Whether it says what is asked, and not only how.
    pub fn says_what_is_asked(&self) -> bool {
        !self.messages.is_empty() || self.dataset.is_some() || self.synthetic.is_some()
    }

    /// Whether a stream is asked for: unless the plan says otherwise.
    pub fn streams(&self) -> bool {
        self.stream.unwrap_or(true)
    }

    /// The rows of a log, as they are, asked in this prompt's manner.
    #[must_use]
    pub fn of_rows(self, rows: RowSource) -> Self {
        let dataset = Some(Box::new(rows));
        Self { messages: Vec::new(), context: None, synthetic: None, dataset, ..self }
    }

    /// Where the value at this path of the body stands in the plan.
    pub fn place_in_body(&self, path: &str) -> Option<&Location> {
        self.body_places.iter().find(|(known, _)| known == path).map(|(_, place)| place)
    }

    /// Who says how long an answer may be.
    pub fn output(&self) -> OutputLimit {
        self.dataset.as_ref().map_or(OutputLimit::Plan, |source| source.output)
    }

    /// How far its prompts are told apart: as the plan says, else each by itself, except in stages
    /// of load, which claim nothing of the cache: there texts and rows are sent as they are written,
    /// and synthetic prompts share what they are to share.
    pub fn unique_in(&self, is_load: bool) -> Unique {
        match self.unique {
            Some(unique) => unique,
            None if is_load && self.synthetic.is_some() => Unique::Run,
            None if is_load => Unique::Never,
            None => Unique::Request,
        }
    }
}

/// The model to ask for, where rows name one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    /// That of the endpoint, whatever rows say.
    Endpoint,
    /// The one that the row names.
    Row,
    /// By the names in the rows.
    Map {
        /// Names in the rows, and what is asked for instead.
        names: Vec<(String, String)>,
        /// Where the map stands in the plan.
        location: Location,
    },
}

/// The files that templates may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAccess {
    /// Where relative paths start.
    pub folder: PathBuf,
    /// The folder that they may not leave; anything may be read when `None`.
    pub root: Option<PathBuf>,
}

/// A role and a template.
#[derive(Debug, Clone)]
pub struct MessageTemplate {
    /// `system`, `user`, `assistant`, …
    pub role: String,
    /// A minijinja template.
    pub content: String,
    /// Where the template's text stands in the plan.
    pub location: Location,
    /// The plan's line on which each of its lines stands.
    pub lines: Vec<usize>,
}

impl MessageTemplate {
    /// Where a line of it (from 1) stands: `FILE:LINE`, or the whole template's place when that is
    /// not known.
    pub fn place(&self, line: Option<usize>) -> String {
        match line.and_then(|line| self.lines.get(line.checked_sub(1)?)) {
            Some(line) => format!("{}:{line}", self.location.file),
            None => self.location.to_string(),
        }
    }
}

/// A long document in front of the question.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where its text comes from.
    pub from: ContextSource,
    /// Its length in tokens; the whole document (or, for filler, all that fits) when `None`.
    pub tokens: Option<u64>,
    /// The model's context length: document plus [`Context::SAFETY_MARGIN`] must fit into it.
    pub max_ctx_tokens: Option<u64>,
}

impl Context {
    /// Tokens kept free below `max_ctx_tokens` for template, question, answer and tokenizer
    /// quirks (the TTFT cache benchmark's `SAFETY_MARGIN`).
    pub const SAFETY_MARGIN: u64 = 2048;
}

/// The text of a [`Context`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// Deterministic words, different for every request of every stage and level.
    Filler,
    /// The document that ships inside the binary.
    Bundled,
    /// A text file.
    File(PathBuf),
}
