//! Secrets are hidden by value.
//!
//! In: values that came out of `${secret:…}`, secret params and credentials. Out: texts without
//! them. Invariant: what is registered here appears in nothing that is printed, logged or stored,
//! wherever it came from.

use std::borrow::Cow;

/// What a secret is shown as.
const SHOWN: &str = "***";

/// What follows a text that was cut off.
const CUT: &str = "…";

/// The values to hide.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redactor {
    /// Longest first, so that a secret within a secret leaves no rest.
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

impl Redactor {
    /// Registers a value. One or two characters are no secret and would blot out everything.
    pub fn register(&mut self, value: &str) {
        let value = value.trim();
        if value.len() > 2 && !self.values.iter().any(|known| known == value) {
            self.values.push(value.to_owned());
            self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        }
    }

    /// The text with `***` for every registered value, and for the beginning of one that was cut
    /// off with `…`.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = self.replace(text, |_| SHOWN.to_owned());
        if self.values.is_empty() || !text.contains(CUT) {
            return text;
        }
        let mut out = String::new();
        for piece in text.split_inclusive(CUT) {
            let head = piece.strip_suffix(CUT).unwrap_or("");
            let begun = self.values.iter().filter_map(|value| begun(head, value)).max();
            match begun {
                Some(len) => out.extend([&head[..head.len() - len], SHOWN, CUT]),
                None => out.push_str(piece),
            }
        }
        Cow::Owned(out)
    }

    /// The longest value in bytes: how far a cut through a text must look ahead.
    pub fn longest(&self) -> usize {
        self.values.first().map_or(0, String::len)
    }

    /// The text with every registered value starred out, byte for byte, so that offsets hold.
    pub(crate) fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replace(text, |value| "*".repeat(value.len()))
    }

    fn replace<'t>(&self, text: &'t str, shown: impl Fn(&str) -> String) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = Cow::Owned(text.replace(value.as_str(), &shown(value)));
            }
        }
        text
    }
}

/// How many bytes at the end of a text are the beginning of a value; one or two are chance.
fn begun(text: &str, value: &str) -> Option<usize> {
    let lens = (3..value.len()).rev().filter(|&len| value.is_char_boundary(len));
    lens.into_iter().find(|&len| text.ends_with(&value[..len]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_secrets_go_first() {
        let mut redactor = Redactor::default();
        redactor.register("token");
        redactor.register("token-two");
        assert_eq!(redactor.redact("a token-two b token"), "a *** b ***");
    }

    #[test]
    fn the_beginning_of_a_secret_is_hidden_where_it_was_cut_off() {
        let mut redactor = Redactor::default();
        redactor.register("eyJhbGciOiJ-a-long-token");
        redactor.register("first line\nsecond line");
        let said = redactor.redact("`Bearer eyJhbGci…` and `first line…`, `ey…`");
        assert_eq!(said, "`Bearer ***…` and `***…`, `ey…`");
    }

    #[test]
    fn masking_keeps_offsets() {
        let mut redactor = Redactor::default();
        redactor.register("geheim-ß");
        let text = "key: geheim-ß # x";
        assert_eq!(redactor.mask(text).find('#'), text.find('#'));
    }
}
