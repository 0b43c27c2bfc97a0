//! Secrets are hidden by value.
//!
//! In: values that came out of `${secret:…}`, secret params and credentials. Out: texts without
//! them. Invariant: what is registered here appears in nothing that is printed, logged or stored,
//! wherever it came from.

use std::borrow::Cow;

/// What a secret is shown as.
const SHOWN: &str = "***";

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

    /// The text with `***` for every registered value.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replace(text, |_| SHOWN.to_owned())
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
    fn masking_keeps_offsets() {
        let mut redactor = Redactor::default();
        redactor.register("geheim-ß");
        let text = "key: geheim-ß # x";
        assert_eq!(redactor.mask(text).find('#'), text.find('#'));
    }
}
