//! Serde's errors in the plan's words.
//!
//! In: what serde says of a value. Out: a diagnostic at that value. Invariant: serde's own wording
//! (`invalid type: string "x", expected u64`) reaches nobody.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::{Binding, described, point};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::source::{Entry, Node, shorten};
use crate::plan::suggest;

/// Why a pass stopped.
#[derive(Debug)]
pub(super) enum BindError {
    /// Already noted.
    Reported,
    /// The value is of another type.
    Type(String),
    /// The value says nothing sensible.
    Value(String),
    /// The word is none of these.
    Choice(String, &'static [&'static str]),
    /// A key is missing.
    Missing(&'static str),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for BindError {}

impl serde::de::Error for BindError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Type(expected.to_string())
    }
    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Type(expected.to_string())
    }
    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::Type(expected.to_string())
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Choice(variant.to_owned(), expected)
    }
    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// Notes `error` at `node` unless it has been noted, and says so.
pub(super) fn report(
    binding: &Binding<'_>,
    node: &Node,
    called: Option<String>,
    name: &str,
    error: BindError,
) -> BindError {
    let place = binding.sources.location(point(binding.sources, node));
    let diagnostic = match error {
        BindError::Reported => return BindError::Reported,
        BindError::Type(expected) => {
            let expected = expected_words(&expected);
            let found = node.describe();
            let message = match called {
                Some(called) => format!("{called} takes {expected}, not {found}"),
                None => format!("expected {expected}, found {found}"),
            };
            let diagnostic = Diagnostic::error(Code::Type, message).at(place);
            match node.text() {
                Some(text) if expected == "a list" => {
                    diagnostic.help(format!("one item is a list, too: `[{}]`", shorten(&text)))
                }
                _ => diagnostic,
            }
        }
        BindError::Value(message) => {
            let message = match called {
                Some(called) => format!("{called}: {message}"),
                None => message,
            };
            Diagnostic::error(Code::Value, message).at(place)
        }
        BindError::Choice(word, allowed) => {
            let what = called.unwrap_or_else(|| "a word here".to_owned());
            let label = suggest::did_you_mean(&word, allowed.iter().copied());
            Diagnostic::error(Code::Choice, format!("{what} can't be `{word}`"))
                .label(place, label)
                .help(format!("allowed here: {}", allowed.join(", ")))
        }
        BindError::Missing(field) => {
            // Present but bad, or misspelt: that is already said.
            let is_unknown = |entry: &Entry| {
                let place = binding.sources.location(entry.key_span);
                let found = binding.found.borrow();
                found.iter().any(|it| it.code == Code::UnknownKey && it.location() == Some(&place))
            };
            let given = node.entries().iter().any(|entry| {
                let is_near = suggest::nearest(&entry.key, [field]).is_some();
                entry.key == field || is_near && is_unknown(entry)
            });
            if given {
                binding.bad.borrow_mut().insert(node.at.id);
                return BindError::Reported;
            }
            let what = described(name);
            Diagnostic::error(Code::MissingKey, format!("{what} needs `{field}`"))
                .at(place)
                .help(format!("add `{field}:`"))
        }
    };
    binding.report(node, diagnostic);
    BindError::Reported
}

/// Serde's word for what a type takes, as a person would say it.
fn expected_words(expected: &str) -> String {
    match expected {
        "a string" => "text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "i32" | "i64" | "u32" | "u64" => "a whole number".into(),
        other if other.starts_with("struct ") || other.starts_with("enum ") => "a map".into(),
        other => other.into(),
    }
}
