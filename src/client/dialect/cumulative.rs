//! Streams whose every event repeats the text from its start: what is new in each.
//!
//! In: the text of one event. Out: the part that was not there before. Invariant: a stream of
//! plain pieces, which the same servers send under another setting, is passed on as it is once it
//! shows itself.

/// What one answer's events have said so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cumulative {
    seen: String,
    /// An event did not repeat what came before: these are pieces.
    pieces: bool,
    /// An event repeated what came before and went on: this is no chance any more.
    repeats: bool,
}

/// What equal texts mean while nothing is known of the stream's kind yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lean {
    /// The same text again: nothing new (the server repeats by default).
    Repeats,
    /// The same piece again (the server sends pieces by default).
    Pieces,
}

impl Cumulative {
    /// The new part of `text`.
    pub fn news<'t>(&mut self, text: &'t str, lean: Lean) -> &'t str {
        if self.pieces || text.is_empty() {
            return text;
        }
        if self.seen.is_empty() {
            self.seen.push_str(text);
            return text;
        }
        if let Some(new) = text.strip_prefix(self.seen.as_str()) {
            if new.is_empty() {
                return if self.repeats || lean == Lean::Repeats { "" } else { text };
            }
            self.repeats = true;
            self.seen.push_str(new);
            return new;
        }
        if !self.repeats {
            self.pieces = true;
            self.seen = String::new();
            return text;
        }
        // The server took something back (half a character, a stop word); the rest is new.
        let common = common_prefix(&self.seen, text);
        self.seen.truncate(common);
        self.seen.push_str(&text[common..]);
        &text[common..]
    }
}

/// Length of the common start, in whole characters.
fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(texts: &[&str], lean: Lean) -> Vec<String> {
        let mut cumulative = Cumulative::default();
        texts.iter().map(|text| cumulative.news(text, lean).to_owned()).collect()
    }

    #[test]
    fn repeated_text_is_told_once() {
        let texts = ["", "A", "A b", "A b", "A b c"];
        assert_eq!(news(&texts, Lean::Repeats), ["", "A", " b", "", " c"]);
        let one_token = ["A", "A"];
        assert_eq!(news(&one_token, Lean::Repeats), ["A", ""]);
    }

    #[test]
    fn pieces_pass_as_they_are() {
        let texts = ["", " what", " is", " what", " what is"];
        assert_eq!(news(&texts, Lean::Repeats), texts);
        let digits = ["1", "1", "2", "1"];
        assert_eq!(news(&digits, Lean::Pieces), digits);
    }

    #[test]
    fn text_that_is_taken_back_counts_from_where_it_differs() {
        assert_eq!(
            news(&["é", "é\u{FFFD}", "é漢", "é漢!"], Lean::Repeats),
            ["é", "\u{FFFD}", "漢", "!"]
        );
    }
}
