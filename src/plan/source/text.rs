//! The texts that spans point into.
//!
//! In: names and texts. Out: byte spans as line and column. Invariant: a span always lies within
//! its text and on character borders, so that showing it can't fail.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::plan::Location;

/// Bytes of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// Which text.
    pub(crate) source: u16,
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
}

impl Span {
    /// A span; offsets past 4 GiB can't occur since texts are at most 1 MiB.
    pub(crate) fn new(source: u16, start: usize, end: usize) -> Self {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { source, start: narrow(start), end: narrow(end.max(start)) }
    }

    /// Its bytes.
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The part of it that begins `from` bytes in and is `len` bytes long.
    pub(crate) fn part(self, from: usize, len: usize) -> Self {
        let start = (self.start as usize + from).min(self.end as usize);
        let end = (start + len).min(self.end as usize);
        Self::new(self.source, start, end)
    }
}

/// A named text.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// As the person wrote it.
    pub(crate) name: String,
    /// Without a byte order mark.
    pub(crate) text: String,
    /// First byte of each line.
    lines: Vec<usize>,
    /// Whether a byte is a character everywhere, so that columns need no counting: a plan of one
    /// line with a mistake every few bytes would be counted through for each of them.
    is_ascii: bool,
}

/// Every text that a plan was read from, in order of reading; diagnostics point into them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    texts: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its number.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> u16 {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(newlines).collect();
        let is_ascii = text.is_ascii();
        self.texts.push(Source { name: name.to_owned(), text, lines, is_ascii });
        u16::try_from(self.texts.len() - 1).unwrap_or(u16::MAX)
    }

    /// Calls the text `file` by another name.
    pub fn rename(&mut self, file: &str, name: &str) {
        for source in self.texts.iter_mut().filter(|source| source.name == file) {
            name.clone_into(&mut source.name);
        }
    }

    /// Every name and text, in order of reading.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|source| (source.name.as_str(), source.text.as_str()))
    }

    /// Whether a text was given on the command line.
    pub(crate) fn is_flag(&self, source: u16) -> bool {
        self.texts.get(usize::from(source)).is_some_and(|source| source.name.starts_with("--"))
    }

    /// The folder that relative paths in a text start from: its file's own, and the current one
    /// (an empty path) for what came from the command line.
    pub(crate) fn folder(&self, source: u16) -> PathBuf {
        if self.is_flag(source) {
            return PathBuf::new();
        }
        let of = |source: &Source| Path::new(&source.name).parent().map(Path::to_path_buf);
        let own = self.texts.get(usize::from(source)).and_then(of);
        own.or_else(|| self.texts.first().and_then(of)).unwrap_or_default()
    }

    /// The text of that number, empty when there is none.
    pub(crate) fn text(&self, source: u16) -> &str {
        self.texts.get(usize::from(source)).map_or("", |source| &source.text)
    }

    /// The bytes of a span.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text(span.source).get(span.range()).unwrap_or("")
    }

    /// The text of the source called `name`.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|source| source.name == name).map(|source| source.text.as_str())
    }

    /// The place of line `number` (from 1) of a text that is written at `whole`, as far as it stands
    /// there word for word; `whole` otherwise.
    pub fn line_of(&self, whole: &Location, text: &str, number: usize) -> Location {
        let lines = self.lines_of(whole, text).into_iter().nth(number.saturating_sub(1));
        lines.flatten().map_or_else(|| whole.clone(), |span| self.location(span))
    }

    /// Where each line of a text stands that is written at `whole`; `None` for what is not there
    /// word for word, such as a line that was folded or came out of a reference.
    pub(crate) fn lines_of(&self, whole: &Location, text: &str) -> Vec<Option<Span>> {
        let source = self.texts.iter().position(|source| source.name == whole.file);
        let Some(source) = source.and_then(|source| u16::try_from(source).ok()) else {
            return Vec::new();
        };
        let written = self.text(source).get(whole.start..whole.end).unwrap_or("");
        let mut from = 0;
        text.lines()
            .map(|line| {
                let line = line.trim();
                let at = from + written[from..].find(line).filter(|_| !line.is_empty())?;
                from = at + line.len();
                Some(Span::new(source, whole.start + at, whole.start + from))
            })
            .collect()
    }

    /// A span as file, line and column.
    pub(crate) fn location(&self, span: Span) -> Location {
        let Some(Source { name, text, lines, is_ascii }) = self.texts.get(usize::from(span.source))
        else {
            return Location::default();
        };
        let start = floor_border(text, span.start as usize);
        let end = floor_border(text, span.end as usize).max(start);
        let line = lines.partition_point(|&first| first <= start);
        let before = &text[lines[line - 1]..start];
        Location {
            file: name.clone(),
            line,
            column: if *is_ascii { before.len() } else { before.chars().count() } + 1,
            start,
            end,
        }
    }
}

/// The nearest character border at or before `offset`.
fn floor_border(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", "é: 1\nnaïve: x\n");
        let location = sources.location(Span::new(source, 14, 15));
        assert_eq!((location.line, location.column), (2, 8));
    }

    #[test]
    fn a_line_that_stands_twice_is_found_twice() {
        let mut sources = Sources::default();
        let text = "text: |\n  {% for a in b %}\n  {% endfor %}\n\n  {% endfor %}\n";
        let source = sources.add("a.yaml", text);
        let whole = sources.location(Span::new(source, 6, text.len()));
        let template = "{% for a in b %}\n{% endfor %}\n\n{% endfor %}\n";
        let line = |number| sources.line_of(&whole, template, number).line;
        assert_eq!([line(1), line(2), line(4)], [2, 3, 5]);
        assert_eq!([line(3), line(9)], [1, 1], "what is not found is the whole");
    }

    #[test]
    fn a_span_past_the_end_is_clamped() {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", "é");
        let location = sources.location(Span::new(source, 1, 90));
        assert_eq!((location.start, location.end), (0, 2));
    }
}
