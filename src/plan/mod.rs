//! Floor 0: plan text → checked [`Plan`].
//!
//! In: a YAML or TOML file, params, the environment. Out: a [`Plan`] in which nothing is left to
//! parse or to default, or diagnostics with file, line and column. Nothing after this floor reads
//! plan text.

pub mod metric;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// SHA-256 of the plan's text, in hex.
    pub hash: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// What makes this run's prompts unlike those of earlier runs.
    pub nonce: Nonce,
    /// Every declared param with its value and where it came from.
    pub params: Vec<Param>,
    /// The stages in file order.
    pub stages: Vec<Stage>,
    /// Extra outputs beside the run directory's own files.
    pub sinks: Vec<SinkConfig>,
    /// Folder under which `<plan>/<run-id>/` is made.
    pub results: PathBuf,
    /// Free labels, copied into the manifest.
    pub tags: BTreeMap<String, String>,
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

/// One node of the graph.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Unique id.
    pub id: String,
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
}

impl Action {
    /// The plan's word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cold(_) => "cold",
            Self::Warm(_) => "warm",
            Self::Flush(_) => "flush",
            Self::Pause(_) => "pause",
        }
    }
}

/// A list of prompts sent in order: the body of cold and warm stages.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// How many requests.
    pub requests: u64,
    /// How many at a time.
    pub concurrency: u64,
    /// What is asked.
    pub prompt: Prompt,
    /// The stage whose nonces its prompts carry: its own id, or that of the stage at the end of
    /// its `like:` chain. Equal keys and equal prompts mean equal requests.
    pub nonce_key: String,
}

/// What a request says, before rendering.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Messages whose contents are templates (`row`, `i`, `stage`, `params`, `context`).
    pub messages: Vec<MessageTemplate>,
    /// A document put before the first user message, unless a template places `context` itself.
    pub context: Option<Context>,
    /// Rows for `row` in templates.
    pub dataset: Option<PathBuf>,
    /// Upper bound of generated tokens.
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Ask for a stream (needed for TTFT).
    pub stream: bool,
    /// Further top-level fields of the request body, passed through as they are; string values
    /// are templates.
    pub body: serde_json::Map<String, serde_json::Value>,
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

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The profile's name, or the URL's host and port.
    pub name: String,
    /// A URL, or the embedded simulator.
    pub target: Target,
    /// The API spoken there.
    pub api: Api,
    /// The model to ask for; the first of `/models` when `None`.
    pub model: Option<String>,
    /// Key for `Authorization: Bearer`; `EMPTY` when none is given.
    pub api_key: Option<Secret>,
    /// Further headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// The five limits.
    pub timeouts: Timeouts,
    /// PEM file of an extra certificate authority.
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate; said in every report.
    pub insecure: bool,
    /// Proxy URL; proxy variables of the environment are ignored.
    pub proxy: Option<String>,
    /// How tokens are counted on our side.
    pub tokenizer: TokenizerConfig,
    /// Where it stands in the plan (or the command line's stand-in).
    pub location: Location,
}

/// A URL, or the embedded simulator.
#[derive(Debug, Clone)]
pub enum Target {
    /// Base URL including `/v1`.
    Url(url::Url),
    /// Started in process for this run.
    Simulator(Box<SimulatorConfig>),
}

/// The API an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// OpenAI chat completions.
    OpenaiChat,
}

/// How tokens are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenizerConfig {
    /// The server's `/tokenize` if it has one, else the estimate.
    Auto,
    /// A `tokenizer.json`.
    File(PathBuf),
    /// The server's `/tokenize`.
    Server,
    /// Four characters per token.
    Estimate,
}

/// The five limits of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From sent to response headers.
    pub headers: Duration,
    /// From sent to the first token.
    pub first_token: Duration,
    /// Between two reads.
    pub idle: Duration,
    /// The whole exchange.
    pub total: Duration,
}

/// The embedded simulator: an OpenAI-style server with a block-granular LRU prefix cache.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorConfig {
    /// Model name it serves.
    pub model: String,
    /// Longest prompt plus answer, in tokens.
    pub max_model_len: u64,
    /// Capacity of the prefix cache in tokens; 0 turns it off.
    pub cache_tokens: u64,
    /// Tokens per cache block; only whole blocks are kept.
    pub block_tokens: u64,
    /// Prompt tokens computed per second, shared by all sequences in prefill.
    pub prefill_rate: f64,
    /// Tokens generated per second by one sequence running alone.
    pub decode_rate: f64,
    /// Relative slow-down of decoding per further running sequence (0.02 = 2 % each).
    pub batch_cost: f64,
    /// Sequences running at once; the rest wait.
    pub max_num_seqs: u64,
    /// Waiting sequences before it answers 503.
    pub max_queue: u64,
    /// Fixed time before prefill starts.
    pub overhead: Duration,
    /// Relative spread of prefill and decode times (0 = none), drawn from `seed`.
    pub jitter: f64,
    /// Seed of jitter and of the generated text.
    pub seed: u64,
    /// Key it asks for; anyone may come in when `None`.
    pub api_key: Option<String>,
    /// Whether it has `/reset_prefix_cache`.
    pub reset_prefix_cache: bool,
    /// Whether usage reports cached tokens.
    pub report_cached_tokens: bool,
    /// Scripted faults, by request number.
    pub faults: Vec<Fault>,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            model: "simulated-8b".into(),
            max_model_len: 131_072,
            cache_tokens: 200_000,
            block_tokens: 16,
            prefill_rate: 8_000.0,
            decode_rate: 100.0,
            batch_cost: 0.02,
            max_num_seqs: 64,
            max_queue: 1_024,
            overhead: Duration::from_millis(5),
            jitter: 0.05,
            seed: 0,
            api_key: None,
            reset_prefix_cache: true,
            report_cached_tokens: true,
            faults: Vec::new(),
        }
    }
}

/// One scripted fault of the simulator.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// First generation request it applies to, from 0.
    pub from: u64,
    /// How many requests in a row.
    pub count: u64,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// What goes wrong in a [`Fault`].
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// Answers with this status.
    Status(u16),
    /// Closes the connection cleanly after this many tokens, without finish or `[DONE]`.
    Truncate(u64),
    /// Cuts the chunked body after this many tokens.
    Disconnect(u64),
    /// Goes silent after this many tokens.
    Stall(u64),
    /// Sends an error event inside the 200 stream after this many tokens.
    ErrorEvent(u64),
    /// Sends half a JSON object after this many tokens.
    Malformed(u64),
    /// The whole server goes away: the listener closes and open connections are dropped.
    Crash,
}

/// Text that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

/// An extra output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its format.
    pub kind: SinkKind,
    /// Where it goes: a file, or `-` for standard output.
    pub target: String,
    /// Whether its failure changes the exit code.
    pub required: bool,
}

/// The formats of sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkKind {
    /// One line per record.
    Jsonl,
    /// One row per request.
    Csv,
    /// The summary as JSON.
    Summary,
}

/// One check on the numbers of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Threshold {
    /// As written.
    pub check: String,
    /// The left side.
    pub left: MetricRef,
    /// How the sides compare.
    pub op: Op,
    /// The right side.
    pub right: Limit,
    /// Whether failing it fails the run.
    pub level: Level,
    /// Fewer samples than this fail it for want of data.
    pub min_samples: u64,
    /// True when the stage kind brings it along (a cold stage must be cold).
    pub implicit: bool,
    /// Where it stands in the plan.
    pub location: Location,
}

/// A number of a stage, such as `cold.ttft.p50` or `error_rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MetricRef {
    /// Another stage's id; the threshold's own stage when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// A name of the metric catalogue.
    pub metric: String,
    /// The aggregate, for metrics that are distributions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
}

/// What is taken of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Arithmetic mean.
    Mean,
    /// Sample standard deviation.
    Std,
    /// Smallest sample.
    Min,
    /// Largest sample.
    Max,
    /// Number of samples.
    Count,
    /// A percentile, 0 to 100.
    Percentile(f64),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Op {
    /// `<`
    #[serde(rename = "<")]
    Lt,
    /// `<=`
    #[serde(rename = "<=")]
    Le,
    /// `>`
    #[serde(rename = ">")]
    Gt,
    /// `>=`
    #[serde(rename = ">=")]
    Ge,
    /// `==`
    #[serde(rename = "==")]
    Eq,
}

/// The right side of a [`Threshold`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// A number in the metric's own unit (milliseconds for times, a share of 1 for rates).
    Value(f64),
    /// A multiple of another number.
    Times {
        /// The factor `k`.
        factor: f64,
        /// What it multiplies.
        of: MetricRef,
    },
    /// A cache verdict: `cache == cold`.
    Cache(CacheWord),
}

/// The words of a `cache ==` check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheWord {
    /// Nothing from the cache.
    Cold,
    /// Everything that can be.
    Warm,
}

/// What failing a threshold means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The run fails.
    Fail,
    /// Reported only.
    Warn,
}
