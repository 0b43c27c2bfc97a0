//! How a report may look where it goes: colours and width.
//!
//! In: the terminal (or its absence) and the environment's wishes. Out: [`Look`]. Invariant: what
//! does not go to a terminal has no colours unless `CLICOLOR_FORCE` asks for them.

use super::escape::columns;
use crate::output::Stream;

/// Colours and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether colours may be used.
    pub colour: bool,
    /// Columns of the terminal; unlimited when `None`.
    pub width: Option<usize>,
}

impl Look {
    /// No colours, any width: files, pipes, tests.
    pub const PLAIN: Self = Self { colour: false, width: None };

    /// What a stream allows.
    pub fn of(stream: Stream) -> Self {
        Self { colour: stream.is_coloured(), width: stream.size().map(|(columns, _)| columns) }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(super) fn doubtful(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Whether `text` (without colours) fits on one line.
    pub(super) fn fits(self, text: &str) -> bool {
        self.width.is_none_or(|width| columns(text) <= width)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
