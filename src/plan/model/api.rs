//! The APIs an endpoint may speak: the checked form of `api:`.
//!
//! In: a name, or the description of a JSON endpoint. Out: one [`Api`]. Invariant: every pointer
//! is empty or starts with `/` (RFC 6901), so that reading an answer can't fail on the plan.

use crate::plan::model::words::words;
use serde_json::{Map, Value};

/// The API an endpoint speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum Api {
    /// `OpenAI` chat completions.
    OpenaiChat,
    /// `OpenAI` completions: a prompt without roles.
    OpenaiCompletions,
    /// `OpenAI` responses.
    OpenaiResponses,
    /// Anthropic messages.
    AnthropicMessages,
    /// Ollama `/api/chat`.
    OllamaChat,
    /// Ollama `/api/generate`.
    OllamaGenerate,
    /// Text Generation Inference `/generate_stream` and `/generate`.
    Tgi,
    /// Triton's generate extension.
    Triton,
    /// `SGLang` `/generate`.
    Sglang,
    /// llama.cpp `/completion`.
    LlamacppCompletion,
    /// Any JSON endpoint.
    Json(Box<JsonApi>),
}

/// The upper bound of generated tokens that Anthropic's API is asked for where nothing says one: it
/// refuses requests without.
pub const ANTHROPIC_MAX_TOKENS: u64 = 4096;

impl Api {
    /// Whether servers of it are known that go on to the bound when told to `ignore_eos`.
    pub fn has_ignore_eos(&self) -> bool {
        matches!(
            self,
            Self::OpenaiChat
                | Self::OpenaiCompletions
                | Self::Sglang
                | Self::LlamacppCompletion
                | Self::Json(_)
        )
    }

    /// Whether it takes one text, in which nothing says who said what.
    pub fn is_without_roles(&self) -> bool {
        match self {
            Self::OpenaiCompletions
            | Self::OllamaGenerate
            | Self::Tgi
            | Self::Triton
            | Self::Sglang
            | Self::LlamacppCompletion => true,
            Self::Json(api) => !api.takes("messages"),
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::OllamaChat => false,
        }
    }

    /// Whether the endpoint's URL is itself what is called, and not where the API begins.
    pub fn calls_base(&self) -> bool {
        matches!(self, Self::Json(api) if api.path.trim_matches('/').is_empty())
    }

    /// The names of all APIs, as plans write them.
    pub const NAMES: [&'static str; 11] = [
        "openai-chat",
        "openai-completions",
        "openai-responses",
        "anthropic-messages",
        "ollama-chat",
        "ollama-generate",
        "tgi",
        "triton",
        "sglang",
        "llamacpp-completion",
        "json",
    ];

    /// The plan's word for it, one of [`Api::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiCompletions => "openai-completions",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::OllamaChat => "ollama-chat",
            Self::OllamaGenerate => "ollama-generate",
            Self::Tgi => "tgi",
            Self::Triton => "triton",
            Self::Sglang => "sglang",
            Self::LlamacppCompletion => "llamacpp-completion",
            Self::Json(_) => "json",
        }
    }

    /// The API of that name; `json` with the second seed's fields. `None` for any other word.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "openai-chat" => Self::OpenaiChat,
            "openai-completions" => Self::OpenaiCompletions,
            "openai-responses" => Self::OpenaiResponses,
            "anthropic-messages" => Self::AnthropicMessages,
            "ollama-chat" => Self::OllamaChat,
            "ollama-generate" => Self::OllamaGenerate,
            "tgi" => Self::Tgi,
            "triton" => Self::Triton,
            "sglang" => Self::Sglang,
            "llamacpp-completion" => Self::LlamacppCompletion,
            "json" => Self::Json(Box::default()),
            _ => return None,
        })
    }
}

/// A JSON endpoint by template and pointers. Pointers are JSON pointers into each event of a
/// stream, or into the whole answer. The default is the second seed's `/generate`: a prompt in,
/// `{"text", "cached"}` out.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonApi {
    /// Path below the endpoint's URL; the URL itself when empty.
    pub path: String,
    /// The whole body, in whose texts [`PLACEHOLDERS`] stand for what is asked; the plan's extra
    /// fields are laid over it. When `None` the body is `prompt`, `max_tokens`, `temperature` (`stream` where answers are streamed,
    /// `model` where answers name theirs) and the plan's extra fields.
    pub body: Option<Map<String, Value>>,
    /// How an answer comes.
    pub answer: JsonAnswer,
    /// The generated text.
    pub text: String,
    /// Reasoning text.
    pub reasoning: Option<String>,
    /// Whether each event repeats the text from its start.
    pub cumulative: bool,
    /// Why the server stopped.
    pub finish_reason: Option<String>,
    /// A value that is true (not null, false, zero or empty) in the last event.
    pub done: Option<String>,
    /// An error, when it is true in the same sense.
    pub error: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Prompt tokens.
    pub input_tokens: Option<String>,
    /// Generated tokens.
    pub output_tokens: Option<String>,
    /// Prompt tokens from the cache, or true or false for the whole answer.
    pub cached: Option<String>,
    /// Reasoning tokens among the generated ones.
    pub reasoning_tokens: Option<String>,
}

impl JsonApi {
    /// Whether its own body has a place for it: one of [`PLACEHOLDERS`].
    pub fn takes(&self, placeholder: &str) -> bool {
        self.body.iter().flat_map(Map::values).any(|value| names(value, placeholder))
    }
}

/// Whether some text in `template` names a placeholder.
pub fn names(template: &Value, placeholder: &str) -> bool {
    match template {
        Value::String(text) => text_parts(text).contains(&TextPart::Placeholder(placeholder)),
        Value::Array(items) => items.iter().any(|item| names(item, placeholder)),
        Value::Object(fields) => fields.values().any(|item| names(item, placeholder)),
        _ => false,
    }
}

impl Default for JsonApi {
    fn default() -> Self {
        Self {
            path: String::new(),
            body: None,
            answer: JsonAnswer::Whole,
            text: "/text".into(),
            reasoning: None,
            cumulative: false,
            finish_reason: None,
            done: None,
            error: Some("/error".into()),
            model: None,
            input_tokens: None,
            output_tokens: None,
            cached: Some("/cached".into()),
            reasoning_tokens: None,
        }
    }
}

/// What `{{ … }}` may name in the texts of [`JsonApi::body`].
pub const PLACEHOLDERS: [&str; 8] =
    ["prompt", "messages", "input_ids", "tools", "model", "max_tokens", "temperature", "stream"];

/// A part of a text of [`JsonApi::body`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPart<'t> {
    /// Words as they stand there.
    Words(&'t str),
    /// The name between `{{` and `}}`.
    Placeholder(&'t str),
}

/// Cuts a text at its placeholders; `{{` that is never closed is words.
pub fn text_parts(text: &str) -> Vec<TextPart<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, opened)| Some((before, opened.split_once("}}")?)))
    {
        if !before.is_empty() {
            parts.push(TextPart::Words(before));
        }
        parts.push(TextPart::Placeholder(name.trim()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TextPart::Words(rest));
    }
    parts
}

words! {
    /// Form of the answers of a JSON endpoint.
    #[derive(Default)]
    pub enum JsonAnswer {
        /// One JSON value.
        #[default]
        Whole = "whole",
        /// Server-sent events, when a stream is asked for.
        Sse = "sse",
        /// One JSON value per line, when a stream is asked for.
        Ndjson = "ndjson",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_placeholders() {
        use TextPart::{Placeholder, Words};
        assert_eq!(
            text_parts("a {{ b }}{{c}} d"),
            [Words("a "), Placeholder("b"), Placeholder("c"), Words(" d")]
        );
        assert_eq!(text_parts(""), []);
        assert_eq!(text_parts("{{ open"), [Words("{{ open")]);
    }

    #[test]
    fn every_name_leads_to_an_api_of_that_name() {
        for name in Api::NAMES {
            assert_eq!(Api::of_name(name).unwrap().name(), name);
        }
        assert_eq!(Api::of_name("openai"), None);
    }
}
