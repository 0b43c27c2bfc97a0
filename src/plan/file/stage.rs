//! The written form of `stages:` and `thresholds:`.
//!
//! In: a bound tree. Out: one value per stage. To add a kind: a struct through [`stage_keys`], a
//! variant of [`StageFile`], its name in `bind::described`, and its lowering.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Count, Span};
use super::{
    ConversationKeys, EndpointFile, LadderKeys, LoadKeys, PromptFile, RampKeys, ReplayKeys,
    SearchKeys,
};
use crate::plan::bind::Spanned;
use crate::plan::metric::Origin;

/// The keys that every stage has.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) id: Option<Spanned<String>>,
    pub(crate) needs: Option<Vec<Spanned<String>>>,
    pub(crate) always: bool,
    pub(crate) parallel: bool,
    pub(crate) record: Option<bool>,
    pub(crate) tags: Vec<String>,
    pub(crate) endpoint: Option<Spanned<EndpointFile>>,
    pub(crate) thresholds: Vec<Spanned<ThresholdFile>>,
    pub(crate) abort: Vec<Spanned<LiveFile>>,
    pub(crate) stop_when: Vec<Spanned<LiveFile>>,
}

/// A stage's struct: its own keys after the common ones. Serde's `flatten` would do the same and
/// lose every place on the way.
macro_rules! stage_keys {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Unique name of the stage; its kind unless given.
            pub(crate) id: Option<Spanned<String>>,
            $($(#[$key_doc])* pub(crate) $key: $type,)*
            /// Stages that must be done before; the one before it unless given, none with `[]`.
            pub(crate) needs: Option<Vec<Spanned<String>>>,
            /// Run even when a stage it needs has failed.
            #[serde(default)]
            pub(crate) always: bool,
            /// May overlap with stages on other endpoints.
            #[serde(default)]
            pub(crate) parallel: bool,
            /// False leaves its requests out of the summary.
            pub(crate) record: Option<bool>,
            /// Labels to select stages by.
            #[serde(default)]
            pub(crate) tags: Vec<String>,
            /// Another endpoint for this stage.
            pub(crate) endpoint: Option<Spanned<EndpointFile>>,
            /// What its numbers must be: `ttft.p99 < 800ms`, `error_rate <= 1%`,
            /// `ttft.p50 <= 0.5 * cold.ttft.p50`, `ttft.p95 <= baseline + 10%`, `cache == warm`.
            #[serde(default)]
            pub(crate) thresholds: Vec<Spanned<ThresholdFile>>,
            /// Checks on the running stage; when one holds, what is in flight is cut and the stage
            /// has failed: `error_rate > 20%`.
            #[serde(default)]
            pub(crate) abort: Vec<Spanned<LiveFile>>,
            /// Checks on the running stage; when one holds, nothing more is sent and what was
            /// measured stands: `ttft.p99 > 5s`.
            #[serde(default)]
            pub(crate) stop_when: Vec<Spanned<LiveFile>>,
        }

        impl $name {
            /// Moves the common keys out.
            pub(crate) fn common(&mut self) -> Common {
                Common {
                    id: self.id.take(),
                    needs: self.needs.take(),
                    always: self.always,
                    parallel: self.parallel,
                    record: self.record,
                    tags: std::mem::take(&mut self.tags),
                    endpoint: self.endpoint.take(),
                    thresholds: std::mem::take(&mut self.thresholds),
                    abort: std::mem::take(&mut self.abort),
                    stop_when: std::mem::take(&mut self.stop_when),
                }
            }
        }
    };
}

pub(super) use stage_keys;

stage_keys! {
    /// Sends prompts that no cache can hold.
    ColdKeys {
        /// Repeat this earlier stage: its prompts, requests, concurrency and nonces.
        like: Option<Spanned<String>>,
        /// How many requests; the dataset's rows, else 10, unless given.
        requests: Option<Spanned<Count>>,
        /// How many at a time; 1 unless given.
        concurrency: Option<Spanned<Count>>,
        /// What is asked; the plan's prompt unless given.
        prompt: Option<Spanned<PromptFile>>,
    }
}

stage_keys! {
    /// Sends prompts that a cache should hold.
    WarmKeys {
        /// Repeat this earlier stage: its prompts, requests, concurrency and nonces; the nearest
        /// cold stage before it unless given.
        like: Option<Spanned<String>>,
        /// How many requests; as the stage it repeats unless given.
        requests: Option<Spanned<Count>>,
        /// How many at a time; as the stage it repeats unless given.
        concurrency: Option<Spanned<Count>>,
        /// What is asked; as the stage it repeats unless given.
        prompt: Option<Spanned<PromptFile>>,
    }
}

stage_keys! {
    /// Empties the server's prefix cache and proves it.
    FlushKeys {
        /// By which means: `auto` (the server's own endpoint if it has one, else traffic; the
        /// default), `http` or `traffic`.
        with: Option<FlushWord>,
        /// Foreign tokens to send when flushing by traffic; ten requests of 100,000 characters
        /// unless given.
        tokens: Option<Spanned<Count>>,
        /// Attempts before giving up; 3 unless given.
        retries: Option<Spanned<Count>>,
    }
}

stage_keys! {
    /// Waits.
    PauseKeys {
        /// How long.
        duration: Spanned<Span>,
    }
}

/// One stage; `kind` says which keys it has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StageFile {
    Cold(Box<ColdKeys>),
    Warm(Box<WarmKeys>),
    Flush(Box<FlushKeys>),
    Pause(Box<PauseKeys>),
    Load(Box<LoadKeys>),
    QpsLadder(Box<LadderKeys>),
    ConcurrencyRamp(Box<RampKeys>),
    Search(Box<SearchKeys>),
    Conversation(Box<ConversationKeys>),
    Replay(Box<ReplayKeys>),
}

/// The means of a flush.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FlushWord {
    /// The server's own endpoint if it has one, else traffic.
    Auto,
    /// The server's own endpoint.
    Http,
    /// Foreign prompts that push the old ones out.
    Traffic,
}

/// A check: a text such as `ttft.p99 < 800ms`, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Threshold", untagged)]
pub(crate) enum ThresholdFile {
    /// The check.
    Text(Spanned<String>),
    /// A check in detail.
    Map(ThresholdKeys),
}

/// A check in detail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThresholdKeys {
    /// The check, such as `ttft.p99 < 800ms`.
    pub(crate) check: Spanned<String>,
    /// Whether failing it fails the run (`fail`, the default) or is only reported (`warn`).
    pub(crate) level: Option<LevelWord>,
    /// Fewer samples than this fail the check for want of data; 1 unless given.
    pub(crate) min_samples: Option<Spanned<Count>>,
    /// The rungs of a ladder or ramp that it judges, such as `rate <= 8`; all unless given.
    #[serde(rename = "where")]
    pub(crate) rungs: Option<Spanned<String>>,
    /// Judge each stretch of this length, such as `30s`, and let the worst one count; the whole
    /// stage at once unless given.
    pub(crate) over: Option<Spanned<Span>>,
    /// Since when its latencies count: `sent`, or `due`, so that waiting for a place in flight or for
    /// this machine counts. Unless given, from due wherever that makes a difference.
    pub(crate) from: Option<Spanned<Origin>>,
    /// Whether a stage without any data passes the check; false unless given.
    pub(crate) allow_no_data: Option<bool>,
}

/// A check on a running stage: a text such as `error_rate > 20%`, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "LiveCheck", untagged)]
pub(crate) enum LiveFile {
    /// The check.
    Text(Spanned<String>),
    /// A check in detail.
    Map(LiveKeys),
}

/// A check on a running stage in detail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveKeys {
    /// The check, such as `error_rate > 20%`.
    pub(crate) check: Spanned<String>,
    /// How far back it looks, such as `30s`; to the stage's beginning unless given.
    pub(crate) over: Option<Spanned<Span>>,
    /// Nothing is decided by fewer samples than this; 1 unless given.
    pub(crate) min_samples: Option<Spanned<Count>>,
    /// Since when its latencies count: `due` unless given, or `sent`.
    pub(crate) from: Option<Spanned<Origin>>,
}

/// What failing a check means.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LevelWord {
    /// The run fails.
    Fail,
    /// Reported only.
    Warn,
}

/// The stages of a schema: `kind` chooses the keys, by `if`/`then`, so that an editor's error is
/// about the right kind.
impl JsonSchema for StageFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stage".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let kinds = [
            ("cold", generator.subschema_for::<ColdKeys>()),
            ("warm", generator.subschema_for::<WarmKeys>()),
            ("flush", generator.subschema_for::<FlushKeys>()),
            ("pause", generator.subschema_for::<PauseKeys>()),
            ("load", generator.subschema_for::<LoadKeys>()),
            ("qps_ladder", generator.subschema_for::<LadderKeys>()),
            ("concurrency_ramp", generator.subschema_for::<RampKeys>()),
            ("search", generator.subschema_for::<SearchKeys>()),
            ("conversation", generator.subschema_for::<ConversationKeys>()),
            ("replay", generator.subschema_for::<ReplayKeys>()),
        ];
        let words: Vec<_> = kinds.iter().map(|(kind, _)| *kind).collect();
        let cases: Vec<_> = kinds
            .iter()
            .map(|(kind, keys)| {
                serde_json::json!({
                    "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
                    "then": keys,
                })
            })
            .collect();
        schemars::json_schema!({
            "description": "One stage; `kind` says which keys it has.",
            "type": "object",
            "required": ["kind"],
            "properties": {
                "kind": { "type": "string", "enum": words, "description": "What the stage does." },
            },
            "allOf": cases,
        })
    }
}
