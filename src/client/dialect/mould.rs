//! Events of one answer that are alike but for their text.
//!
//! In: an event that was read and said nothing but a text, with the place where the text stands in
//! it. Out: the text of each later event with the same bytes around it. Invariant: such an event
//! would be read the same way, since what differs is only what stands between the quotes of one
//! string; an event that differs in anything else is read in full, and so is a text with an escape.
//!
//! Nearly all of a stream are such events, and to read one as JSON costs more than all else that
//! is done with it.

/// The bytes before and behind the text of the last event that was read in full.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Mould {
    before: Vec<u8>,
    after: Vec<u8>,
    is_reasoning: bool,
    /// Whose text it is, where there are several choices.
    choices: u128,
}

/// A text that an event is all about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain<'e> {
    Content(&'e str),
    Reasoning(&'e str),
}

impl Mould {
    /// The text of an event that fits.
    pub fn text<'e>(&self, event: &'e [u8]) -> Option<Plain<'e>> {
        if self.after.is_empty() {
            return None;
        }
        // From behind first: where a server counts its events, the front differs late.
        let text = event.strip_suffix(&self.after[..])?.strip_prefix(&self.before[..])?;
        let is_plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
        let text = str::from_utf8(text).ok().filter(|_| text.iter().all(is_plain))?;
        Some(if self.is_reasoning { Plain::Reasoning(text) } else { Plain::Content(text) })
    }

    /// Whose text a fitting event holds.
    pub fn choices(&self) -> u128 {
        self.choices
    }

    /// Remembers an event that said `text` and nothing else; nothing when the text is no part of
    /// the event's own bytes between two quotes.
    pub fn learn(&mut self, event: &[u8], text: Plain<'_>, choices: u128) {
        let (text, is_reasoning) = match text {
            Plain::Content(text) => (text, false),
            Plain::Reasoning(text) => (text, true),
        };
        let offset = text.as_ptr().addr().wrapping_sub(event.as_ptr().addr());
        let Some((before, rest)) = event.split_at_checked(offset) else { return };
        let Some(after) = rest.get(text.len()..) else { return };
        if before.ends_with(b"\"") && after.starts_with(b"\"") {
            before.clone_into(&mut self.before);
            after.clone_into(&mut self.after);
            (self.is_reasoning, self.choices) = (is_reasoning, choices);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"id":"1","choices":[{"delta":{"content":" a"}}]}"#;

    fn taught() -> Mould {
        let mut mould = Mould::default();
        let at = EVENT.find(" a").unwrap();
        mould.learn(EVENT.as_bytes(), Plain::Content(&EVENT[at..at + 2]), 1);
        mould
    }

    #[test]
    fn an_event_that_differs_in_its_text_alone_fits() {
        for text in ["", "b", " a", " größer", "日本"] {
            let event = EVENT.replace(" a", text);
            assert_eq!(taught().text(event.as_bytes()), Some(Plain::Content(text)), "{event}");
        }
    }

    #[test]
    fn any_other_difference_is_read_in_full() {
        for (from, to) in [
            (" a", r"\n"),
            (" a", "\n"),
            (" a", r#"b","refusal":"no"#),
            ("\"1\"", "\"2\""),
            ("}}]}", "}}] }"),
            ("}}]}", ",\"finish_reason\":\"stop\"}}]}"),
        ] {
            let event = EVENT.replace(from, to);
            assert_eq!(taught().text(event.as_bytes()), None, "{event}");
        }
        assert_eq!(Mould::default().text(EVENT.as_bytes()), None);
        let overlapping = r#"{"id":"1","choices":[{"delta":{"content":"}}]}"#;
        assert_eq!(taught().text(overlapping.as_bytes()), None);
    }

    #[test]
    fn a_text_from_elsewhere_teaches_nothing() {
        let mut mould = Mould::default();
        mould.learn(EVENT.as_bytes(), Plain::Content(&String::from(" a")), 1);
        mould.learn(EVENT.as_bytes(), Plain::Reasoning(&EVENT[1..4]), 1);
        mould.learn(EVENT.as_bytes(), Plain::Content(""), 1);
        assert_eq!(mould, Mould::default());
    }
}
