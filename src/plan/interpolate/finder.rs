//! Where parts of a text stand in the file.
//!
//! In: a text, the span it was read from, and byte ranges of the text from left to right. Out: spans.
//! Invariant: each byte is looked at once, so that a text of nothing but references takes linear time.

use crate::plan::source::{Sources, Span};

/// Finds the parts of one text. Quotes and escapes move them, so they are searched for; what can't be
/// found is the whole text's place.
pub(super) struct Finder<'t> {
    span: Span,
    text: &'t str,
    shown: &'t str,
    /// How far text and file have been gone through; `None` once they have lost each other.
    seen: Option<(usize, usize)>,
}

impl<'t> Finder<'t> {
    pub(super) fn new(span: Span, text: &'t str, sources: &'t Sources) -> Self {
        Self { span, text, shown: sources.slice(span), seen: Some((0, 0)) }
    }

    /// The place of `len` bytes at `at`, which lies behind what was found before.
    pub(super) fn find(&mut self, at: usize, len: usize) -> Span {
        let Some((text_seen, shown_seen)) = self.seen else { return self.span };
        let wanted = &self.text[at..at + len];
        let earlier = self.text[text_seen..at].matches(wanted).count();
        let found = self.shown[shown_seen..].match_indices(wanted).nth(earlier);
        let found = found.map(|(from, _)| shown_seen + from);
        self.seen = found.map(|from| (at + len, from + len));
        found.map_or(self.span, |from| self.span.part(from, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(written: &str, text: &str, parts: &[(usize, usize)]) -> Vec<usize> {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", written);
        let mut finder = Finder::new(Span::new(source, 0, written.len()), text, &sources);
        parts.iter().map(|&(at, len)| finder.find(at, len).start as usize).collect()
    }

    #[test]
    fn parts_are_found_behind_quotes_and_escapes() {
        assert_eq!(places("${a}${b}${a}", "${a}${b}${a}", &[(0, 4), (4, 4), (8, 4)]), [0, 4, 8]);
        assert_eq!(places("\"\\n${a} ${a}\"", "\n${a} ${a}", &[(1, 4), (6, 4)]), [3, 8]);
        // The first stands there escaped: it is text, and no reference.
        assert_eq!(places("$${a} ${a}", "$${a} ${a}", &[(6, 4)]), [6]);
    }

    #[test]
    fn what_is_not_there_word_for_word_is_the_whole() {
        assert_eq!(places("\"\\u0024{a} ${b}\"", "${a} ${b}", &[(0, 4), (5, 4)]), [0, 0]);
    }
}
