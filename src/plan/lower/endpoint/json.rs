//! `endpoint.json` → [`JsonApi`].
//!
//! In: keys as written. Out: the API, or diagnostics. Invariant: every pointer is empty or starts
//! with `/`, and the body's texts hold no placeholder that a request could not fill.

use serde_json::Value;

use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::JsonKeys;
use crate::plan::lower::Lowering;
use crate::plan::source::Span;
use crate::plan::{JsonApi, PLACEHOLDERS, TextPart, suggest, text_parts};

impl Lowering<'_> {
    /// The API that the keys describe.
    pub(super) fn json_api(&mut self, written: &Spanned<JsonKeys>) -> JsonApi {
        let keys = &written.value;
        let default = JsonApi::default();
        if let Some(body) = &keys.body {
            for text in texts(&body.value) {
                self.placeholders(text, body.at.span);
            }
        }
        let path = keys.path.as_ref().map(|path| {
            if path.value.contains("://") || path.value.contains(['?', '#']) {
                let message = format!("`path` can't be `{}`", path.value);
                let help = "a path below the endpoint's `url`, such as `generate`";
                self.error(Code::Value, path.at.span, message, help);
            }
            path.value.trim().trim_start_matches('/').to_owned()
        });
        let mut optional =
            |key, written: Option<&_>, default| self.json_pointer(key, written, default);
        JsonApi {
            path: path.unwrap_or_default(),
            body: keys.body.as_ref().map(|body| body.value.clone()),
            answer: keys.answer.unwrap_or_default(),
            reasoning: optional("reasoning", keys.reasoning.as_ref(), default.reasoning),
            cumulative: keys.cumulative.unwrap_or(default.cumulative),
            finish_reason: optional(
                "finish_reason",
                keys.finish_reason.as_ref(),
                default.finish_reason,
            ),
            done: optional("done", keys.done.as_ref(), default.done),
            error: optional("error", keys.error.as_ref(), default.error),
            model: optional("model", keys.model.as_ref(), default.model),
            input_tokens: optional(
                "input_tokens",
                keys.input_tokens.as_ref(),
                default.input_tokens,
            ),
            output_tokens: optional(
                "output_tokens",
                keys.output_tokens.as_ref(),
                default.output_tokens,
            ),
            cached: optional("cached", keys.cached.as_ref(), default.cached),
            reasoning_tokens: optional(
                "reasoning_tokens",
                keys.reasoning_tokens.as_ref(),
                default.reasoning_tokens,
            ),
            text: match &keys.text {
                None => default.text,
                Some(_) => optional("text", keys.text.as_ref(), None).unwrap_or_default(),
            },
        }
    }

    /// A pointer; an empty one is none.
    fn json_pointer(
        &mut self,
        key: &str,
        written: Option<&Spanned<String>>,
        default: Option<String>,
    ) -> Option<String> {
        let Some(written) = written else { return default };
        let pointer = written.value.trim();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let message = format!("`{key}`: `{pointer}` is not a JSON pointer");
            let steps = pointer.trim_start_matches("$.").replace(['.', '['], "/").replace(']', "");
            self.error(Code::Value, written.at.span, message, &format!("write `/{steps}`"));
        }
        (!pointer.is_empty()).then(|| pointer.to_owned())
    }

    /// Refuses placeholders that stand for nothing.
    fn placeholders(&mut self, text: &str, span: Span) {
        let known = || PLACEHOLDERS.into_iter();
        for part in text_parts(text) {
            let TextPart::Placeholder(name) = part else { continue };
            if known().any(|it| it == name) {
                continue;
            }
            let message = format!("`json.body`: nothing is called `{name}`");
            self.push(
                Diagnostic::error(Code::TemplateFails, message)
                    .label(self.location(span), suggest::did_you_mean(name, known()))
                    .help(format!("known here: {}", suggest::list(known()))),
            );
        }
    }
}

/// All texts of a body, at any depth.
fn texts(body: &serde_json::Map<String, Value>) -> Vec<&str> {
    fn walk<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Object(fields) => fields.values().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    body.values().for_each(|value| walk(value, &mut found));
    found
}
