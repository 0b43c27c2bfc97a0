//! `usage` as `OpenAI`'s chat and completions spell it, with the dialects of those who copy them.
//!
//! In: the object. Out: [`Usage`], and the server's timings where they stand among the counts.
//! Invariants: absent is not zero; every field is lenient by itself, so that the object is read without
//! a copy.

use serde::Deserialize;
use serde_json::Value;

use super::Usage;
use super::lenient::{Count, Lenient, Nested, Text, fault};
use crate::record::ServerTimings;

/// What an event says went wrong: `{"error": …}` as nearly all servers spell it, or
/// `{"object": "error", "message": …}`.
pub(super) fn failure(
    error: Option<&Value>,
    object: &Text<'_>,
    message: Option<&Value>,
) -> Option<String> {
    fault(error).or_else(|| message.filter(|_| object.0 == "error").map(super::error_text))
}

#[derive(Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    prompt_tokens_details: Nested<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Nested<CompletionDetails>,
    /// `DeepSeek`'s name for cached tokens.
    #[serde(default)]
    prompt_cache_hit_tokens: Count,
    /// Where some servers put what others put into the details.
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    reasoning_tokens: Count,
    /// Groq's times, in seconds.
    #[serde(default)]
    queue_time: Lenient<f64>,
    #[serde(default)]
    prompt_time: Lenient<f64>,
    #[serde(default)]
    completion_time: Lenient<f64>,
    #[serde(default)]
    total_time: Lenient<f64>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Count,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Count,
}

impl WireUsage {
    /// The counts that are there; `None` when none is, as in `"usage": {}`.
    pub fn read(&self) -> Option<Usage> {
        let prompt_details = self.prompt_tokens_details.0.as_ref();
        let completion_details = self.completion_tokens_details.0.as_ref();
        let usage = Usage {
            input_tokens: self.prompt_tokens.0,
            output_tokens: self.completion_tokens.0,
            cached_tokens: prompt_details
                .and_then(|details| details.cached_tokens.0)
                .or(self.prompt_cache_hit_tokens.0)
                .or(self.cached_tokens.0),
            reasoning_tokens: completion_details
                .and_then(|details| details.reasoning_tokens.0)
                .or(self.reasoning_tokens.0),
        };
        usage.known()
    }

    /// Groq's times, `None` when none is there.
    pub fn timings(&self) -> Option<ServerTimings> {
        let ms = |seconds: &Lenient<f64>| seconds.0.map(|seconds| seconds * 1000.0);
        let timings = ServerTimings {
            queue_ms: ms(&self.queue_time),
            prompt_ms: ms(&self.prompt_time),
            predicted_ms: ms(&self.completion_time),
            total_ms: ms(&self.total_time),
            ..ServerTimings::default()
        };
        (timings != ServerTimings::default()).then_some(timings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groqs_times_become_milliseconds_and_absent_ones_nothing() {
        let read = |json: &str| serde_json::from_str::<WireUsage>(json).unwrap().timings();
        let timings = read(r#"{"queue_time":0.5,"prompt_time":0.25,"total_time":2}"#).unwrap();
        assert_eq!((timings.queue_ms, timings.prompt_ms), (Some(500.0), Some(250.0)));
        assert_eq!((timings.predicted_ms, timings.total_ms), (None, Some(2000.0)));
        assert_eq!(read(r#"{"prompt_tokens":3}"#), None);
    }
}
