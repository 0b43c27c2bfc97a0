//! The checked plan: what the floors above read.
//!
//! In: what lowering made of the written plan. Out: plain values. Invariant: every param is
//! resolved, every default filled in, every name known to exist; nothing is left to parse.

mod api;
mod endpoint;
mod load;
mod replay;
mod simulator;
mod threshold;
pub mod workload;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use workload::{ConversationConfig, RowSource, SyntheticConfig, Unique};

pub use api::{Api, JsonAnswer, JsonApi, PLACEHOLDERS, TextPart, text_parts};
pub use endpoint::{
    CallMethod, Endpoint, FlushCall, MetricsConfig, MetricsPage, Secret, Target, Timeouts,
    TokenizerConfig,
};
pub use load::{
    ArrivalProcess, ClosedLoop, ConcurrencyRamp, Late, Load, Measure, OpenLoop, Pacing, QpsLadder,
    Rate, RatePiece, Search, SearchAxis, Shape, Think, Traffic, Until, WhenFull,
};
pub use replay::{LogFields, Replay, ReplayTiming, Sample, SampleHash, Sessions, Spread};
pub use simulator::{Fault, FaultKind, SimulatorConfig};
pub use threshold::{
    Aggregate, BaselineValue, CacheWord, Ending, Level, Limit, LiveCheck, MetricRef, Op,
    RungFilter, Threshold,
};

/// A checked plan: every param resolved, every default filled in, every name known to exist.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its `name`, or the file's stem.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The file it was read from (`-` for none).
    pub path: PathBuf,
    /// The folder that relative paths start from and that files may not leave.
    pub root: PathBuf,
    /// SHA-256 of the plan's text, in hex; of all its files' when it is made of several.
    pub hash: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// What makes this run's prompts unlike those of earlier runs.
    pub nonce: Nonce,
    /// Every declared param with its value and where it came from.
    pub params: Vec<Param>,
    /// The stages in file order, cell after cell.
    pub stages: Vec<Stage>,
    /// The cells of the matrix that run, in order; none without a matrix.
    pub cells: Vec<Arc<Cell>>,
    /// Whether the cells run stage by stage, and take turns where that can be.
    pub interleave: bool,
    /// Extra outputs beside the run directory's own files.
    pub sinks: Vec<SinkConfig>,
    /// Folder under which `<plan>/<run-id>/` is made.
    pub results: PathBuf,
    /// Free labels, copied into the manifest.
    pub tags: BTreeMap<String, String>,
    /// The plan as one document, for the manifest: files joined, defaults and references filled in,
    /// secrets redacted. With a matrix its references stay, since each cell fills them in its own
    /// way. What the command line selects or replaces is not in it.
    pub resolved: serde_json::Value,
}

impl Plan {
    /// The params as a stage's templates see them, those of its cell over the plan's. Secrets stay
    /// out: a prompt is no place for them.
    pub fn template_params(&self, stage: &Stage) -> serde_json::Value {
        let own = stage.cell.iter().flat_map(|cell| &cell.params);
        let visible = self.params.iter().chain(own).filter(|param| !param.secret);
        visible.map(|param| (param.name.clone(), param.value.clone())).collect()
    }
}

/// How the nonce that opens every cold prompt is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nonce {
    /// New in each run (from the seed alone on the embedded simulator, which starts empty).
    Run,
    /// As given: prompts repeat exactly from run to run.
    Fixed(String),
}

/// A declared param, resolved.
#[derive(Debug, Clone, Serialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// `string`, `int`, `duration`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value as written (redacted when `secret`).
    pub value: serde_json::Value,
    /// Where the value came from, such as `--param`, `env BENCH_URL` or `default`.
    pub source: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether its value is hidden.
    pub secret: bool,
}

/// One cell of a plan's matrix: a copy of every stage under values of its own.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its axes and values: `model=a,docs=8`.
    pub id: String,
    /// Its place in the whole matrix, from 1, whichever cells run.
    pub number: usize,
    /// The axes as params.
    pub params: Vec<Param>,
}

/// One node of the graph.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Id, unique within its cell.
    pub id: String,
    /// The cell of the matrix that it belongs to; `needs`, `like` and thresholds stay within it.
    pub cell: Option<Arc<Cell>>,
    /// Stages that must have completed before, by id; the previous stage unless said otherwise.
    pub needs: Vec<Need>,
    /// Run even when a needed stage failed.
    pub always: bool,
    /// May overlap with other stages on other endpoints.
    pub parallel: bool,
    /// False leaves its requests out of the summary.
    pub record: bool,
    /// Labels for selection.
    pub tags: Vec<String>,
    /// Where its requests go.
    pub endpoint: Endpoint,
    /// What the stage does.
    pub action: Action,
    /// What is judged at its end.
    pub thresholds: Vec<Threshold>,
    /// What ends it early while it runs (`abort:`, `stop_when:`).
    pub live: Vec<LiveCheck>,
    /// Where its `id` (or its first key) stands in the plan.
    pub location: Location,
}

/// One entry of `needs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The needed stage's id.
    pub id: String,
    /// Where it is written; the stage's own location when implied by order.
    pub location: Location,
}

/// A place in a plan file, 1-based; `file` is as the person wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Location {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte within the file.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What a stage does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Sends prompts that no cache can hold, one at a time unless `concurrency` says otherwise.
    Cold(Repeat),
    /// Sends prompts that a cache should hold.
    Warm(Repeat),
    /// Empties the server's prefix cache and proves it.
    Flush(Flush),
    /// Waits.
    Pause(Duration),
    /// One load, for a while.
    Load(Box<Load>),
    /// One rate after the other.
    QpsLadder(Box<QpsLadder>),
    /// One concurrency after the other.
    ConcurrencyRamp(Box<ConcurrencyRamp>),
    /// The highest level at which the stage's thresholds hold.
    Search(Box<Search>),
    /// Sessions of several turns.
    Conversation(Box<Conversation>),
}

impl Stage {
    /// The id of its cell.
    pub fn cell_id(&self) -> Option<&str> {
        self.cell.as_ref().map(|cell| cell.id.as_str())
    }

    /// A plain word for the stage that no other stage of the plan has, for ids of requests.
    pub fn key(&self) -> String {
        match &self.cell {
            Some(cell) => format!("{}.c{}", self.id, cell.number),
            None => self.id.clone(),
        }
    }
}

impl Action {
    /// Cuts the work down to one request (a pause to a second), to try a plan out.
    pub fn smoke(&mut self) {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => {
                repeat.requests = 1;
                repeat.concurrency = 1;
            }
            Self::Flush(flush) => flush.retries = 1,
            Self::Pause(length) => *length = (*length).min(Duration::from_secs(1)),
            Self::Load(load) => {
                load.traffic.warmup_requests = 0;
                load.measure.settle = Duration::ZERO;
                load.until = Until::Requests(1);
                if let Shape::Closed(closed) = &mut load.shape {
                    (closed.users, closed.start_users) = (1, 1);
                }
            }
            Self::QpsLadder(ladder) => {
                ladder.traffic.warmup_requests = 0;
                ladder.measure.settle = Duration::ZERO;
                ladder.rates.truncate(1);
                ladder.step = Until::Requests(1);
            }
            Self::ConcurrencyRamp(ramp) => {
                ramp.traffic.warmup_requests = 0;
                ramp.measure.settle = Duration::ZERO;
                ramp.levels.truncate(1);
                ramp.step = Until::Requests(1);
            }
            Self::Search(search) => {
                search.traffic.warmup_requests = 0;
                search.measure.settle = Duration::ZERO;
                (search.max_probes, search.confirmations) = (1, 1);
                search.at_least = None;
                search.step = Until::Requests(1);
            }
            Self::Conversation(conversation) => {
                conversation.sessions = Some(1);
                conversation.config.max_turns = Some(1);
            }
        }
    }

    /// The plan's word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cold(_) => "cold",
            Self::Warm(_) => "warm",
            Self::Flush(_) => "flush",
            Self::Pause(_) => "pause",
            Self::Load(_) => "load",
            Self::QpsLadder(_) => "qps_ladder",
            Self::ConcurrencyRamp(_) => "concurrency_ramp",
            Self::Search(_) => "search",
            Self::Conversation(_) => "conversation",
        }
    }

    /// Requests that will each have a record, without warm-up. About so many where the times are
    /// drawn at random, and 0 where it is up to the server how many there will be.
    pub fn planned(&self) -> u64 {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => repeat.requests,
            // A conversation has as many as the sessions that join have turns.
            Self::Flush(_) | Self::Pause(_) | Self::Conversation(_) => 0,
            Self::Load(load) => match &load.shape {
                Shape::Open(open) => open.rate.about(load.until),
                Shape::Closed(_) => load.until.requests().unwrap_or(0),
            },
            Self::QpsLadder(ladder) => {
                ladder.rates.iter().map(|rate| Rate::Constant(*rate).about(ladder.step)).sum()
            }
            Self::ConcurrencyRamp(ramp) => {
                ramp.step.requests().unwrap_or(0).saturating_mul(ramp.levels.len() as u64)
            }
            Self::Search(search) => search.max_requests.unwrap_or(0),
        }
    }

    /// What is asked, by stages that ask.
    pub fn prompt(&self) -> Option<&Prompt> {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => Some(&repeat.prompt),
            Self::Load(load) => Some(&load.traffic.prompt),
            Self::QpsLadder(ladder) => Some(&ladder.traffic.prompt),
            Self::ConcurrencyRamp(ramp) => Some(&ramp.traffic.prompt),
            Self::Search(search) => Some(&search.traffic.prompt),
            Self::Conversation(conversation) => Some(&conversation.prompt),
            Self::Flush(_) | Self::Pause(_) => None,
        }
    }

    /// The same, to fill in what only its files can say.
    pub fn prompt_mut(&mut self) -> Option<&mut Prompt> {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => Some(&mut repeat.prompt),
            Self::Load(load) => Some(&mut load.traffic.prompt),
            Self::QpsLadder(ladder) => Some(&mut ladder.traffic.prompt),
            Self::ConcurrencyRamp(ramp) => Some(&mut ramp.traffic.prompt),
            Self::Search(search) => Some(&mut search.traffic.prompt),
            Self::Conversation(conversation) => Some(&mut conversation.prompt),
            Self::Flush(_) | Self::Pause(_) => None,
        }
    }
}

/// A list of prompts sent in order: the body of cold and warm stages.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// How many requests; 0 until [`Repeat::rows_of`] is counted.
    pub requests: u64,
    /// How many different prompts: request `i` asks prompt `i % distinct`; 0 until
    /// [`Repeat::rows_of`] is counted.
    pub distinct: u64,
    /// The dataset whose number of rows the two above are, where they are 0. Files are opened
    /// when the plan is otherwise sound, by `workload::check`, which leaves `None` here.
    pub rows_of: Option<Box<RowSource>>,
    /// How many at a time.
    pub concurrency: u64,
    /// What is asked.
    pub prompt: Prompt,
    /// The stage whose nonces its prompts carry: its own id, or that of the stage at the end of
    /// its `like:` chain. Equal keys and equal prompts mean equal requests.
    pub nonce_key: String,
}

/// `kind: conversation`: sessions of several turns.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Whose dataset holds the sessions.
    pub prompt: Prompt,
    /// How they go on.
    pub config: ConversationConfig,
    /// How many join; all of the dataset, once, when `None` and there is no `duration`.
    pub sessions: Option<u64>,
    /// No session joins after this long.
    pub duration: Option<Duration>,
}

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
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Ask for a stream (needed for TTFT).
    pub stream: bool,
    /// Further top-level fields of the request body, passed through as they are; string values
    /// are templates.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// What its templates may read.
    pub files: FileAccess,
}

impl Prompt {
    /// How far its prompts are told apart: as the plan says, else each by itself, except in stages
    /// of load, which claim nothing of the cache: there rows are asked as they were recorded, and
    /// synthetic prompts share what they are to share.
    pub fn unique_in(&self, is_load: bool) -> Unique {
        match self.unique {
            Some(unique) => unique,
            None if is_load && self.synthetic.is_some() => Unique::Run,
            None if is_load && self.messages.is_empty() => Unique::Never,
            None => Unique::Request,
        }
    }
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
    /// quirks (the first seed's `SAFETY_MARGIN`).
    pub const SAFETY_MARGIN: u64 = 2048;
}

/// The text of a [`Context`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// Deterministic words, different for every request index.
    Filler,
    /// The document that ships inside the binary.
    Bundled,
    /// A text file.
    File(PathBuf),
}

/// How to empty a cache.
#[derive(Debug, Clone)]
pub struct Flush {
    /// By which means.
    pub with: FlushMethod,
    /// Foreign tokens to send in all when flushing by traffic; ten requests of 100,000 characters
    /// when `None` (the first seed's way).
    pub tokens: Option<u64>,
    /// Attempts before giving up.
    pub retries: u32,
}

/// The means of a [`Flush`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushMethod {
    /// The server's own endpoint if it has one, else traffic.
    Auto,
    /// The server's own endpoint.
    Http,
    /// Foreign prompts that push the old ones out.
    Traffic,
}

/// An extra output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its format.
    pub kind: SinkKind,
    /// Where it goes: a file, `-` for standard output, `HOST:PORT` or a URL.
    pub target: String,
    /// Whether its failure changes the exit code.
    pub required: bool,
}

/// The formats of sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// One line per record.
    Jsonl,
    /// One row of CSV per request.
    Csv,
    /// One row of CSV per stage, cell and rung.
    Stages,
    /// The summary as JSON.
    Summary,
    /// Tables of requests, stages, figures and checks in a database that keeps earlier runs.
    Sqlite,
    /// One row per request in columns, for `DuckDB`, pandas and the like.
    Parquet,
    /// The checks as `JUnit` XML.
    Junit,
    /// The report as one page.
    Html,
    /// The report for a pull request or a CI step.
    Markdown,
    /// Every chart on one sheet, as SVG.
    Svg,
    /// Every chart on one sheet, as PNG.
    Png,
    /// Live metrics: served at `HOST:PORT`, or pushed to the URL of a gateway.
    Prometheus,
    /// `OpenTelemetry` metrics, pushed to the URL of a collector.
    Otlp,
}

impl SinkKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Jsonl,
        Self::Csv,
        Self::Stages,
        Self::Summary,
        Self::Sqlite,
        Self::Parquet,
        Self::Junit,
        Self::Html,
        Self::Markdown,
        Self::Svg,
        Self::Png,
        Self::Prometheus,
        Self::Otlp,
    ];

    /// The plan's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Stages => "stages",
            Self::Summary => "summary",
            Self::Sqlite => "sqlite",
            Self::Parquet => "parquet",
            Self::Junit => "junit",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Prometheus => "prometheus",
            Self::Otlp => "otlp",
        }
    }
}

impl SinkConfig {
    /// Whether it goes to standard output.
    pub fn is_stdout(&self) -> bool {
        self.target == "-"
    }

    /// Whether its target is an HTTP URL.
    pub fn is_url(&self) -> bool {
        self.target.starts_with("http://") || self.target.starts_with("https://")
    }
}
