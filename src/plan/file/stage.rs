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
use crate::plan::{FlushMethod, Level};

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
            /// Unique name of the stage. Default: its kind.
            pub(crate) id: Option<Spanned<String>>,
            $($(#[$key_doc])* pub(crate) $key: $type,)*
            /// Stages that must be done before this one. Default: the one before it; none with `[]`.
            pub(crate) needs: Option<Vec<Spanned<String>>>,
            /// Whether to run the stage even if a stage it needs has failed.
            #[serde(default)]
            pub(crate) always: bool,
            /// Whether the stage may run at the same time as stages on other endpoints.
            #[serde(default)]
            pub(crate) parallel: bool,
            /// Whether the stage's requests are part of the summary. Default: true.
            pub(crate) record: Option<bool>,
            /// Labels by which `--select` and `--exclude` find the stage.
            #[serde(default)]
            pub(crate) tags: Vec<String>,
            /// Endpoint of this stage. Default: the plan's endpoint.
            pub(crate) endpoint: Option<Spanned<EndpointFile>>,
            /// Checks that must hold when the stage is over: `ttft.p99 < 800ms`, `error_rate <=
            /// 1%`, `ttft.p50 <= 0.5 * cold.ttft.p50`, `ttft.p95 <= baseline + 10%`, `cache ==
            /// warm`.
            #[serde(default)]
            pub(crate) thresholds: Vec<Spanned<ThresholdFile>>,
            /// Checks while the stage runs. As soon as one holds, requests in flight are cancelled
            /// and the stage fails: `error_rate > 20%`.
            #[serde(default)]
            pub(crate) abort: Vec<Spanned<LiveFile>>,
            /// Checks while the stage runs. As soon as one holds, nothing more is sent; what was
            /// measured counts: `ttft.p99 > 5s`.
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
        /// Id of an earlier stage to repeat, with its prompts, requests, concurrency and nonces.
        like: Option<Spanned<String>>,
        /// Number of requests. Default: the number of rows of the dataset, else 10.
        requests: Option<Spanned<Count>>,
        /// Number of requests in flight at a time. Default: 1.
        concurrency: Option<Spanned<Count>>,
        /// The prompt of this stage. Default: the plan's prompt.
        prompt: Option<Spanned<PromptFile>>,
    }
}

stage_keys! {
    /// Sends prompts that a cache should hold.
    WarmKeys {
        /// Id of an earlier stage to repeat, with its prompts, requests, concurrency and nonces.
        /// Default: the nearest cold stage before this one.
        like: Option<Spanned<String>>,
        /// Number of requests. Default: that of the stage it repeats.
        requests: Option<Spanned<Count>>,
        /// Number of requests in flight at a time. Default: that of the stage it repeats.
        concurrency: Option<Spanned<Count>>,
        /// The prompt of this stage. Default: that of the stage it repeats.
        prompt: Option<Spanned<PromptFile>>,
    }
}

stage_keys! {
    /// Empties the server's prefix cache and proves it.
    FlushKeys {
        /// How to flush: `auto` (the server's own reset if it has one, else foreign traffic; the
        /// default), `http` (the server's own reset) or `traffic`.
        with: Option<FlushMethod>,
        /// Foreign tokens to send when flushing by traffic. Default: ten requests of 100,000
        /// characters.
        tokens: Option<Spanned<Count>>,
        /// Maximum number of attempts. Default: 3.
        retries: Option<Spanned<Count>>,
    }
}

stage_keys! {
    /// Waits.
    PauseKeys {
        /// Duration of the pause.
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
    /// What happens if the check does not hold: the run fails (`fail`, the default), or it is only
    /// reported (`warn`).
    pub(crate) level: Option<Level>,
    /// With fewer samples than this the check fails, because there is too little data. Default: 1.
    pub(crate) min_samples: Option<Spanned<Count>>,
    /// Which rungs of a ladder or ramp to judge, such as `rate <= 8`. Default: all.
    #[serde(rename = "where")]
    pub(crate) rungs: Option<Spanned<String>>,
    /// Judge every time window of this length, such as `30s`; the worst one counts. Default: the
    /// whole stage at once.
    pub(crate) over: Option<Spanned<Span>>,
    /// From when latencies count: `sent`, or `due`, which includes the wait for a place in flight
    /// or for this machine. By default from due, wherever that makes a difference.
    pub(crate) from: Option<Spanned<Origin>>,
    /// Whether a stage without any data passes the check. Default: false.
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
    /// Length of the time window to look at, such as `30s`. Default: since the start of the stage.
    pub(crate) over: Option<Spanned<Span>>,
    /// Minimum number of samples for a decision. Default: 1.
    pub(crate) min_samples: Option<Spanned<Count>>,
    /// From when latencies count: `due` (the default) or `sent`.
    pub(crate) from: Option<Spanned<Origin>>,
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
