//! Text from elsewhere, made harmless for a terminal.
//!
//! In: text that may come from a server. Out: the same with control characters and invisible
//! direction marks spelt out, on one line. Invariant: no byte of the input can move the cursor,
//! change a colour, or reorder what stands around it.

use std::borrow::Cow;

/// `text` with everything that a terminal would obey instead of showing spelt out.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let spell = |c: char| match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if is_obeyed(c) => format!("\\u{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    };
    Cow::Owned(text.chars().map(spell).collect())
}

/// Whether a terminal obeys `c` instead of showing it: controls, marks of direction, what has no width.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_for_a_terminal_to_obey() {
        assert_eq!(printable("\u{1b}[31mred\u{1b}[0m"), "\\u{1b}[31mred\\u{1b}[0m");
        assert_eq!(printable("a\r\nb\tc\u{7}"), "a\\r\\nb\\tc\\u{7}");
        assert_eq!(printable("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(printable("abc\u{202e}txt"), "abc\\u{202e}txt");
    }

    #[test]
    fn plain_text_is_left_alone() {
        assert!(matches!(printable("größer 日本 ✓"), Cow::Borrowed(_)));
    }
}
