//! The written form of `endpoint.json`.
//!
//! In: a bound tree. Out: keys, each present or not; lowering lays them over the defaults.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::JsonAnswer;
use crate::plan::bind::Spanned;

/// Requests and answers of a JSON endpoint. Pointers are JSON pointers such as `/choices/0/text`,
/// into each event of a stream or into the whole answer; an empty pointer turns its value off.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonKeys {
    /// Path below the endpoint's URL. Default: the URL itself.
    pub(crate) path: Option<Spanned<String>>,
    /// The whole body. In its texts `{{ prompt }}`, `{{ messages }}`, `{{ input_ids }}` (token ids,
    /// which then stand in no other place), `{{ tools }}`, `{{ model }}`, `{{ max_tokens }}`,
    /// `{{ temperature }}` and `{{ stream }}` stand for what is asked; a text that is nothing else
    /// becomes the value itself, a list or number as well, and goes when there is none. A field that
    /// is `null` is not sent. Unless given: `prompt`, `max_tokens`, `temperature` and, for streams,
    /// `stream`. The fields of `prompt.body` are laid over it.
    pub(crate) body: Option<Spanned<serde_json::Map<String, serde_json::Value>>>,
    /// Form of the answer. Default: `whole`.
    pub(crate) answer: Option<JsonAnswer>,
    /// Pointer to the generated text; empty if the answer itself is the text. Default: `/text`.
    pub(crate) text: Option<Spanned<String>>,
    /// Reasoning text.
    pub(crate) reasoning: Option<Spanned<String>>,
    /// Whether each event of a stream repeats the text from its start. Default: false.
    pub(crate) cumulative: Option<bool>,
    /// Pointer to the finish reason, such as `length`.
    pub(crate) finish_reason: Option<Spanned<String>>,
    /// Pointer to a value that is true (not null, false, zero or empty) in the last event of a
    /// stream. With neither this nor `finish_reason`, the end of the body is the end of the answer.
    pub(crate) done: Option<Spanned<String>>,
    /// Pointer to a value that is true, in the same sense, if there was an error. Default:
    /// `/error`.
    pub(crate) error: Option<Spanned<String>>,
    /// Pointer to the name of the model that answered.
    pub(crate) model: Option<Spanned<String>>,
    /// Pointer to the number of prompt tokens, including cached ones.
    pub(crate) input_tokens: Option<Spanned<String>>,
    /// Pointer to the number of generated tokens.
    pub(crate) output_tokens: Option<Spanned<String>>,
    /// Pointer to the number of prompt tokens from the cache, or to true or false for the whole
    /// answer. Default: `/cached`.
    pub(crate) cached: Option<Spanned<String>>,
    /// Pointer to the number of reasoning tokens among the generated ones.
    pub(crate) reasoning_tokens: Option<Spanned<String>>,
}
