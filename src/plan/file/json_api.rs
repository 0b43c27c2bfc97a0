//! The written form of `endpoint.json`.
//!
//! In: a bound tree. Out: keys, each present or not; lowering lays them over the defaults.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::bind::Spanned;

/// How a JSON endpoint is asked and read. Pointers are JSON pointers such as `/choices/0/text`,
/// into each event of a stream or into the whole answer; an empty one turns its value off.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonKeys {
    /// Path below the endpoint's URL; the URL itself unless given.
    pub(crate) path: Option<Spanned<String>>,
    /// The whole body. In its texts `{{ prompt }}`, `{{ messages }}`, `{{ input_ids }}` (token ids,
    /// which then stand in no other place), `{{ tools }}`, `{{ model }}`, `{{ max_tokens }}`,
    /// `{{ temperature }}` and `{{ stream }}` stand for what is asked; a text that is nothing else
    /// becomes the value itself, a list or number as well, and goes when there is none. A field that
    /// is `null` is not sent. Unless given: `prompt`, `max_tokens`, `temperature` and, for streams,
    /// `stream`. The fields of `prompt.body` are laid over it.
    pub(crate) body: Option<Spanned<serde_json::Map<String, serde_json::Value>>>,
    /// How an answer comes; `whole` unless given.
    pub(crate) answer: Option<AnswerWord>,
    /// The generated text; `/text` unless given, empty when it is the answer itself.
    pub(crate) text: Option<Spanned<String>>,
    /// Reasoning text.
    pub(crate) reasoning: Option<Spanned<String>>,
    /// Whether each event of a stream repeats the text from its start; false unless given.
    pub(crate) cumulative: Option<bool>,
    /// Why the server stopped, such as `length`.
    pub(crate) finish_reason: Option<Spanned<String>>,
    /// A value that is true (not null, false, zero or empty) in the last event of a stream. With
    /// neither this nor `finish_reason` the end of the body is the end of the answer.
    pub(crate) done: Option<Spanned<String>>,
    /// An error, when it is true in the same sense; `/error` unless given.
    pub(crate) error: Option<Spanned<String>>,
    /// The model that answered.
    pub(crate) model: Option<Spanned<String>>,
    /// Prompt tokens, cached ones included.
    pub(crate) input_tokens: Option<Spanned<String>>,
    /// Generated tokens.
    pub(crate) output_tokens: Option<Spanned<String>>,
    /// Prompt tokens from the cache, or true or false for the whole answer; `/cached` unless given.
    pub(crate) cached: Option<Spanned<String>>,
    /// Reasoning tokens among the generated ones.
    pub(crate) reasoning_tokens: Option<Spanned<String>>,
}

/// How the answer of a JSON endpoint comes.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnswerWord {
    /// One JSON value.
    Whole,
    /// Server-sent events, when a stream is asked for.
    Sse,
    /// One JSON value per line, when a stream is asked for.
    Ndjson,
}
