//! What is wrong with a plan, where, and what to do.
//!
//! In: findings of every step of this floor (and of the graph). Out: [`Diagnostic`]s, rendered by
//! [`render`] for people and [`render_json`] for programs. Invariant: the message says what is
//! wrong, the labels where, the help what to do; one finding is one diagnostic.

mod code;
mod explain;
mod github;
mod render;
mod sarif;

use std::fmt;

pub use code::Code;
pub use explain::Explanation;
pub use github::{annotation, render_github};
pub use render::{json, render, render_json};
pub use sarif::sarif;

use super::{Location, Redactor};

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The plan can't be used.
    Error,
    /// It can, but is likely not what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a text and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub location: Location,
    /// A few words, or nothing.
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Which rule.
    pub code: Code,
    /// How grave.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where: the first label is the main one; none for findings outside any file.
    pub labels: Vec<Label>,
    /// What to do, one line each.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// The same, with `file` under another name.
    #[must_use]
    pub fn renamed(mut self, file: &str, name: &str) -> Self {
        for label in self.labels.iter_mut().filter(|label| label.location.file == file) {
            name.clone_into(&mut label.location.file);
        }
        self
    }

    /// An error without a place.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning without a place.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place that needs no words.
    #[must_use]
    pub fn at(self, location: Location) -> Self {
        self.label(location, "")
    }

    /// Adds a place with words.
    #[must_use]
    pub fn label(mut self, location: Location, text: impl Into<String>) -> Self {
        self.labels.push(Label { location, text: text.into() });
        self
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Where the finding is, if it is in a file.
    pub fn location(&self) -> Option<&Location> {
        self.labels.first().map(|label| &label.location)
    }

    /// Replaces every secret in its words.
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        let words = self.labels.iter_mut().map(|label| &mut label.text);
        for text in words.chain(&mut self.help).chain([&mut self.message]) {
            *text = redactor.redact(text).into_owned();
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = self.location() {
            write!(f, "{location}: ")?;
        }
        write!(f, "{}[{}]: {}", self.severity.name(), self.code, self.message)
    }
}

/// Puts diagnostics into the order in which a person reads: errors first, then by place.
pub(crate) fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|left, right| {
        let key = |it: &Diagnostic| {
            let place = it.location().map(|at| (at.file.clone(), at.start));
            (it.severity, place)
        };
        key(left).cmp(&key(right))
    });
}
