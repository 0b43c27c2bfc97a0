//! How a report may look where it goes: colours and width.
//!
//! In: the terminal (or its absence) and the environment's wishes. Out: [`Look`]. Invariant: what
//! does not go to a terminal has no colours unless `CLICOLOR_FORCE` asks for them.

use std::io::IsTerminal;

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

    /// What standard output allows.
    pub fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let forced = said("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let refused = said("NO_COLOR").is_some() || said("TERM").is_some_and(|term| term == "dumb");
        let size = terminal_size::terminal_size().filter(|_| terminal);
        Self {
            colour: forced || (terminal && !refused),
            width: size.map(|(width, _)| usize::from(width.0)),
        }
    }

    /// The same without colours, for `--color never`.
    #[must_use]
    pub fn without_colour(self) -> Self {
        Self { colour: false, ..self }
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
        self.width.is_none_or(|width| text.chars().count() <= width)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
