//! Text from elsewhere, and stamps, as reports show them.
//!
//! In: text that may come from a server, and stamps of records. Out: what can be shown.

use unicode_width::UnicodeWidthStr;

pub use crate::plan::printable::printable;

/// The columns of a terminal that a text takes: signs of East Asian writing and emoji take two.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// A text, and blanks up to so many columns.
pub fn padded(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(columns(text))))
}

/// `  name  words` of each, the words below one another.
pub(super) fn named(rows: &[(String, String)]) -> Vec<String> {
    let widest = rows.iter().map(|(name, _)| columns(name)).max().unwrap_or(0);
    rows.iter().map(|(name, words)| format!("  {}  {words}", padded(name, widest))).collect()
}

/// An RFC 3339 stamp without its fraction of a second.
pub fn to_the_second(stamp: &str) -> String {
    match stamp.split_once('.') {
        Some((whole, fraction)) => {
            let zone = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
            format!("{whole}{zone}")
        }
        None => stamp.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_below_one_another_whatever_the_names_are_written_in() {
        let rows =
            ["cold", "負荷テスト", "größer", "🚀"].map(|name| (name.to_owned(), "|".to_owned()));
        let at = |line: &String| columns(line.split('|').next().unwrap_or_default());
        let lines = named(&rows);
        assert!(
            lines.iter().all(|line| at(line) == "  負荷テスト  ".chars().count() + 5),
            "{lines:#?}"
        );
    }
}
