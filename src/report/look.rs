//! How a report may look where it goes: colours, width, and how much of it.
//!
//! In: the terminal (or its absence) and the user's wishes. Out: [`Look`]. Invariants: what does not go
//! to a terminal has no colours unless `CLICOLOR_FORCE` asks for them; it is as wide as its sentences and
//! columns, since a file has no edge, and what reads it looks for a fact on one line.

use super::escape::columns;
use crate::output::{self, Stream};

/// Colours and room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether colours may be used.
    pub colour: bool,
    /// Columns of the terminal; unlimited when `None`.
    pub width: Option<usize>,
    /// Lines of the terminal; unlimited when `None`.
    pub height: Option<usize>,
    /// Whether the evidence is told as well (`--verbose`).
    pub verbose: bool,
}

impl Look {
    /// No colours, any width: files, pipes, tests.
    pub const PLAIN: Self = Self { colour: false, width: None, height: None, verbose: false };

    /// What a stream allows.
    pub fn of(stream: Stream) -> Self {
        let (width, height) = stream.size().unzip();
        Self { colour: stream.is_coloured(), width, height, verbose: output::is_verbose() }
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

    /// `first` and `text` on as many lines as it takes, broken between words; the further ones begin
    /// with `indent` blanks.
    pub(super) fn wrap(self, first: &str, indent: usize, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = first.to_owned();
        let mut is_begun = false;
        for word in text.split(' ') {
            if is_begun && !self.fits(&format!("{line} {word}")) {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                is_begun = false;
            }
            if is_begun {
                line.push(' ');
            }
            line.push_str(word);
            is_begun = true;
        }
        lines.push(line);
        lines
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let narrow = Look { width: Some(12), ..Look::PLAIN };
        let text = "a word, andaverylongone and more of them";
        let lines = narrow.wrap("- ", 4, text);
        assert_eq!(lines, ["- a word,", "    andaverylongone", "    and more", "    of them"]);
        assert_eq!(Look::PLAIN.wrap("- ", 4, text), [format!("- {text}")]);
    }
}
