//! The written plan: its keys as people write them.
//!
//! In: a bound tree. Out: values with places, defaults not yet filled in. Invariant: each key's doc
//! comment is what an editor shows on hover, and these types are the only list of keys.

mod conversation;
mod dataset;
mod endpoint;
mod json_api;
mod load;
mod load_parts;
mod matrix;
mod param;
mod replay;
mod scalar;
mod stage;
mod synthetic;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bind::{Named, Spanned};
use super::model::{Durability, SimulatorUse, SinkKind};
use crate::plan::workload::Unique;

pub(crate) use conversation::ConversationKeys;
pub(crate) use dataset::{DatasetFile, DatasetKeys, FieldKeys, OutputWord};
pub(crate) use endpoint::{
    ApiWord, EndpointFile, EndpointKeys, FaultKeys, FlushCallKeys, MetricsFile, MetricsKeys,
    RequireModelWord, SimulatorKeys, TimeoutKeys,
};
pub(crate) use json_api::JsonKeys;
pub(crate) use load::{LadderKeys, LoadKeys, OverWord, RampKeys, SearchKeys, ThinkWord};
pub(crate) use load_parts::{
    ArrivalKeys, ArrivalWord, AskingKeys, CountingKeys, LateWord, PacingKeys, SteadyKeys,
    UnreachableKeys,
};
pub(crate) use param::{ParamFile, ParamType, TextOrList};
pub(crate) use replay::{ReplayKeys, SampleFile};
pub(crate) use scalar::{Count, PerSecond, Ratio, Series, Span as TimeSpan};
pub(crate) use stage::{Common, FlushKeys, LiveFile, LiveKeys, StageFile, ThresholdFile};
pub(crate) use synthetic::{DistributionWord, LengthFile, LengthKeys, PrefixKeys, SyntheticKeys};

/// A plan: what to send to which endpoint, in which order, and what must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan")]
pub(crate) struct PlanFile {
    /// Version of the plan language: 1.
    #[schemars(required, with = "Option<u8>", range(min = 1, max = 1))]
    pub(crate) version: Option<Spanned<String>>,
    /// Name of the plan and of its folder under `results`. Default: the file's name.
    pub(crate) name: Option<Spanned<String>>,
    /// What the plan is for, in a sentence.
    pub(crate) description: Option<String>,
    /// Values that can be set from outside: by `--param name=value`, by `RUNNER_PARAM_NAME`, or by
    /// the environment variables that a param lists. Written as `${name}` in the plan.
    #[expect(dead_code, reason = "params are bound by themselves, before anything refers to them")]
    #[schemars(with = "Option<Named<ParamFile>>")]
    pub(crate) params: Option<IgnoredAny>,
    /// Another plan that this one extends, relative to this file: maps merge key by key, stages
    /// merge by id, lists replace, `null` removes.
    #[expect(dead_code, reason = "followed before anything is bound")]
    #[schemars(with = "Option<String>")]
    pub(crate) extends: Option<IgnoredAny>,
    /// What to remove from the plan under `extends`, such as `stages.warm` or `prompt.context`.
    #[expect(dead_code, reason = "applied before anything is bound")]
    #[schemars(with = "Option<TextOrList>")]
    pub(crate) without: Option<IgnoredAny>,
    /// Files whose `endpoints`, `params`, `prompts` and `defaults` are added, relative to this
    /// file. Every name must be new.
    #[expect(dead_code, reason = "followed before anything is bound")]
    #[schemars(with = "Option<TextOrList>")]
    pub(crate) include: Option<IgnoredAny>,
    /// Params with several values: the stages run once for each combination.
    #[expect(dead_code, reason = "laid out before anything is bound")]
    #[schemars(with = "Option<matrix::MatrixKeys>")]
    pub(crate) matrix: Option<IgnoredAny>,
    /// Keys for all stages that accept them and do not set them.
    #[expect(dead_code, reason = "put into the stages before anything is bound")]
    #[schemars(with = "serde_json::Value")]
    pub(crate) defaults: Option<IgnoredAny>,
    /// Prompts by name, for `prompt: { use: NAME }`.
    #[expect(dead_code, reason = "bound to be checked; put into place before that")]
    pub(crate) prompts: Option<Named<Spanned<PromptFile>>>,
    /// Endpoint profiles by name, for `endpoint:` and `--endpoint`.
    pub(crate) endpoints: Option<Named<Spanned<EndpointKeys>>>,
    /// Where to send requests: the name of a profile, a URL, or a map.
    pub(crate) endpoint: Option<Spanned<EndpointFile>>,
    /// Seed of every random choice. Default: 0.
    pub(crate) seed: Option<Spanned<Count>>,
    /// The nonce at the start of cold prompts, which makes sure that no cache knows them: `run`
    /// (new in each run; the default) or a fixed text.
    pub(crate) nonce: Option<Spanned<String>>,
    /// The prompt of all stages that have none of their own: a text, or a map.
    pub(crate) prompt: Option<Spanned<PromptFile>>,
    /// The stages, in order.
    #[schemars(required)]
    pub(crate) stages: Option<Spanned<Vec<Spanned<StageFile>>>>,
    /// Checks that name their stage: `warm.ttft.p50 <= 0.5 * cold.ttft.p50`.
    #[serde(default)]
    pub(crate) thresholds: Vec<Spanned<ThresholdFile>>,
    /// Extra outputs as `kind:target`, such as `csv:rows.csv`, `junit:checks.xml` or
    /// `prometheus:127.0.0.1:9464`; `-` is standard output, an empty target turns one off.
    #[serde(default)]
    pub(crate) sinks: Vec<Spanned<SinkFile>>,
    /// Folder for run directories, relative to the current directory. Default: `results`.
    pub(crate) results: Option<Spanned<String>>,
    /// Time after an interrupt (Ctrl-C, SIGTERM, SIGHUP) within which results are saved. Requests
    /// in flight are cancelled after four fifths of it, or at once on a second signal. Default: 5s.
    pub(crate) grace: Option<Spanned<TimeSpan>>,
    /// What the records survive: `process` (its death, but for requests under way and at most 64 KiB
    /// of them, as a rule not older than 250 ms), `machine` (that, and the machine's death but for the last second; the default), or `none`
    /// (they are written once a second or when there is a MiB).
    pub(crate) durability: Option<Durability>,
    /// Whether the embedded simulator may stand in where CI (`CI=true`) named no endpoint and a
    /// default chose it: `asked` (refuse to run unless `--simulated` is given; the default) or
    /// `allowed`.
    pub(crate) simulator: Option<SimulatorUse>,
    /// Free labels, copied into the run's manifest.
    #[serde(default)]
    pub(crate) tags: Named<String>,
}

/// A prompt: a text, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Prompt", untagged)]
pub(crate) enum PromptFile {
    /// The text of one user message; a template.
    Text(Spanned<String>),
    /// A prompt in detail.
    Map(Box<PromptKeys>),
}

/// A prompt in detail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptKeys {
    /// Name of the prompt under `prompts` that these keys change.
    #[serde(rename = "use")]
    #[schemars(with = "Option<String>")]
    #[expect(dead_code, reason = "put into place before anything is bound")]
    pub(crate) used: Option<IgnoredAny>,
    /// The text of one user message; a template in which `{{ row.… }}`, `{{ i }}`, `{{ stage }}`,
    /// `{{ params.… }}` and `{{ context }}` may stand, and `filler(tokens)`, `random_text(tokens)`,
    /// `read(file)`, `truncate(text, tokens)`, `uuid()`, `rng.int(from, to)`, `rng.float()` and
    /// `rng.choice(list)`: each the same for the same seed and request. Rows that name their
    /// conversation have `{{ session }}`, turns of conversations and replays `{{ turn }}` (from 0).
    pub(crate) text: Option<Spanned<String>>,
    /// The messages of the chat. Their contents are templates.
    pub(crate) messages: Option<Spanned<Vec<Spanned<MessageKeys>>>>,
    /// A long document in front of the first user message.
    pub(crate) context: Option<Spanned<ContextKeys>>,
    /// Rows from files, relative to the plan's file: a path or a pattern such as `logs/*.jsonl.gz`,
    /// or a map. With `text` or `messages`, a row is `row` in templates; without, each row is sent
    /// as it was recorded.
    pub(crate) dataset: Option<Spanned<DatasetFile>>,
    /// Generated prompts of given lengths, with given shares of text in common.
    pub(crate) synthetic: Option<Spanned<Box<SyntheticKeys>>>,
    /// Which prompts begin with a nonce: `request` (each with its own, so that no cache can know
    /// it; always so in `cold` stages, and the default in `warm` ones), `run` (the same for all
    /// prompts of a run, which then share what their texts share) or `never`. By default, stages of
    /// load, replays and conversations send texts, messages and rows as they are written (`never`),
    /// and synthetic texts that are new in each run.
    pub(crate) unique: Option<Spanned<Unique>>,
    /// Maximum number of tokens to generate. Default: the limit that a row states, else the server's
    /// default; `anthropic-messages` takes no request without a limit and is sent 4096 then.
    pub(crate) max_tokens: Option<Spanned<Count>>,
    /// Name of the field that carries `max_tokens`, such as `max_completion_tokens`. Default: the
    /// name that the row uses, if the API knows it, else the API's own.
    pub(crate) max_tokens_field: Option<Spanned<String>>,
    /// The model to ask for if rows of the dataset name one: `endpoint` (always the endpoint's; the
    /// run counts the rows that name another; the default), `row` (the one that the row names), or
    /// a map from names in the rows to names of the endpoint, such as `{ gpt-4o: base }`, which
    /// must contain every name.
    pub(crate) model: Option<Spanned<ModelFile>>,
    /// Sampling temperature. Default: the server's default.
    pub(crate) temperature: Option<Spanned<Ratio>>,
    /// Whether to ask for a stream. Without one there is no time to first token. Default: true.
    pub(crate) stream: Option<bool>,
    /// Further fields of the request's body, passed through as they are. Texts are templates; a
    /// text that is one `{{ … }}` and nothing else keeps the type of its value. A field that is
    /// `null`, at any depth, is not sent, whoever would set it (`stream_options: null`); `"{{ none
    /// }}"` sends a null.
    pub(crate) body: Option<Spanned<serde_json::Map<String, serde_json::Value>>>,
}

/// The model to ask for if rows name one: `endpoint`, `row`, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Model", untagged)]
pub(crate) enum ModelFile {
    /// `endpoint` or `row`.
    Text(Spanned<String>),
    /// Names in the rows, and the models to ask for instead.
    Map(Named<Spanned<String>>),
}

/// One message of a chat.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageKeys {
    /// `system`, `user`, `assistant`, …
    #[schemars(required)]
    pub(crate) role: Option<String>,
    /// The message; a template.
    #[schemars(required)]
    pub(crate) content: Option<Spanned<String>>,
}

/// A long document in front of the question.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextKeys {
    /// `filler` (words, different for each request, stage and level; the default), `bundled` (a
    /// document that ships with runner), or the path of a text file.
    pub(crate) from: Option<Spanned<String>>,
    /// Length in tokens, as the endpoint's `tokenizer` counts them. Default: the whole document.
    pub(crate) tokens: Option<Spanned<Count>>,
    /// Maximum context length to fill. The document is cut so that it fits into this, and into the
    /// server's own limit if the server states it, with 2,048 tokens to spare.
    pub(crate) max_ctx_tokens: Option<Spanned<Count>>,
}

/// An extra output: `kind:target`, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Sink", untagged)]
pub(crate) enum SinkFile {
    /// `kind:target`, such as `csv:rows.csv`.
    Text(Spanned<String>),
    /// An output in detail.
    Map(SinkKeys),
}

/// An output in detail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkKeys {
    /// `jsonl` (a line per record), `csv` (a row per request), `stages` (a row per stage, cell and
    /// rung), `summary` (JSON), `sqlite` (tables), `parquet` (a row per request), `junit` (the checks),
    /// `html` (the report), `markdown` (the report for a pull request or a CI step), `svg` or `png`
    /// (every chart), `prometheus` and `otlp` (live metrics).
    pub(crate) kind: SinkKind,
    /// A file, relative to the current directory; `-` for standard output; for `prometheus` a
    /// `HOST:PORT` to serve at or the URL of a gateway; for `otlp` the URL of a collector; empty for
    /// off.
    pub(crate) target: Spanned<String>,
    /// Whether its failure changes the exit code. Default: false.
    #[serde(default)]
    pub(crate) required: bool,
}
