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
/// The same as servers write it.
const DOTS: &str = "...";

/// Longest text from outside that is kept where a name or an id is expected.
const SAID_BYTES: usize = 256;

/// Bytes of a secret that are taken for a part of it.
const PART: usize = 8;

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
        // As it stands in JSON, too: a server's answer is kept as it came.
        let quoted = serde_json::Value::from(value).to_string();
        for form in [value, &quoted[1..quoted.len() - 1]] {
            if form.len() > 2 && !self.values.iter().any(|known| known == form) {
                self.values.push(form.to_owned());
            }
        }
        self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// Registers what another one hides.
    pub fn join(&mut self, other: &Self) {
        other.values.iter().for_each(|value| self.register(value));
    }

    /// A short text from outside, such as a name or an id, as it may be kept: without secrets and
    /// longer parts of them, and at most 256 bytes of it.
    pub fn said(&self, text: &str) -> String {
        let text = self.redact(text);
        let mut said = text.into_owned();
        if said.len() > SAID_BYTES {
            let room = SAID_BYTES - CUT.len();
            let end = (0..=room).rev().find(|at| said.is_char_boundary(*at)).unwrap_or(0);
            said.truncate(end);
            said.push_str(CUT);
        }
        for value in &self.values {
            hide_parts(&mut said, value);
        }
        said
    }

    /// The text with `***` for every registered value, however JSON, URLs or HTML spell it, and for the
    /// beginning of one that was cut off with `…` or `...`.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = self.replace(text, |_| SHOWN.to_owned());
        for cut in [CUT, DOTS] {
            if !self.values.is_empty() && text.contains(cut) {
                text = Cow::Owned(self.without_begun(&text, cut));
            }
        }
        text
    }

    /// The text with `***` for what of a value stands before `cut`.
    fn without_begun(&self, text: &str, cut: &str) -> String {
        let mut out = String::new();
        for piece in text.split_inclusive(cut) {
            let head = piece.strip_suffix(cut).unwrap_or("");
            let begun = self.values.iter().filter_map(|value| begun(head, value)).max();
            match begun {
                Some(len) => out.extend([&head[..head.len() - len], SHOWN, cut]),
                None => out.push_str(piece),
            }
        }
        out
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
            if let Some(without) = without_spelled(&text, value, &shown) {
                text = Cow::Owned(without);
            }
        }
        text
    }
}

/// The text without what spells `value` in another way than by itself; `None` where nothing does.
fn without_spelled(text: &str, value: &str, shown: &impl Fn(&str) -> String) -> Option<String> {
    let first = value.chars().next()?;
    if value.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return None;
    }
    let (mut out, mut from, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find(first) {
        let begin = at + found;
        match spelled(&text[begin..], value) {
            Some(len) => {
                out.push_str(&text[from..begin]);
                out.push_str(&shown(&text[begin..begin + len]));
                (from, at) = (begin + len, begin + len);
            }
            None => at = begin + first.len_utf8(),
        }
    }
    (from > 0).then(|| out + &text[from..])
}

/// How many bytes at the beginning of `text` spell `value`.
fn spelled(text: &str, value: &str) -> Option<usize> {
    let mut rest = text;
    for letter in value.chars() {
        rest = &rest[spelling(rest, letter)?..];
    }
    Some(text.len() - rest.len())
}

/// How many bytes at the beginning of `text` spell a letter: `/`, `\/`, `\u002f`, `%2F`, `&#47;`.
fn spelling(text: &str, letter: char) -> Option<usize> {
    let hex = |digits: Option<&str>| u32::from_str_radix(digits?, 16).ok();
    let is = |code: Option<u32>| code == Some(u32::from(letter));
    if !letter.is_ascii_alphanumeric() {
        if let Some(escaped) = text.strip_prefix('\\') {
            if escaped.starts_with(letter) {
                return Some(1 + letter.len_utf8());
            }
            if escaped.starts_with('u') && is(hex(escaped.get(1..5))) {
                return Some(6);
            }
        }
        if text.starts_with('%') && is(hex(text.get(1..3))) {
            return Some(3);
        }
        if let Some((name, _)) = text.strip_prefix('&').and_then(|entity| entity.split_once(';')) {
            let code = match name {
                "amp" => Some(u32::from('&')),
                "lt" => Some(u32::from('<')),
                "gt" => Some(u32::from('>')),
                "quot" => Some(u32::from('"')),
                "apos" => Some(u32::from('\'')),
                _ => match name.strip_prefix("#x").or(name.strip_prefix("#X")) {
                    Some(digits) => hex(Some(digits)),
                    None => name.strip_prefix('#').and_then(|digits| digits.parse().ok()),
                },
            };
            if is(code) {
                return Some(name.len() + 2);
            }
        }
    }
    text.starts_with(letter).then(|| letter.len_utf8())
}

/// Hides parts of a secret; shorter ones than [`PART`] are chance.
fn hide_parts(text: &mut String, value: &str) {
    for start in 0..value.len().saturating_sub(PART) {
        let Some(part) = value.get(start..start + PART).filter(|_| text.len() >= PART) else {
            continue;
        };
        if let Some(at) = text.find(part) {
            let rest = value[start + PART..].bytes().zip(text[at + PART..].bytes());
            let more = rest.take_while(|(ours, theirs)| ours == theirs).count();
            let end = (at + PART..=at + PART + more).rev().find(|end| text.is_char_boundary(*end));
            text.replace_range(at..end.unwrap_or(at + PART), SHOWN);
        }
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
    fn a_value_is_hidden_however_it_is_spelled() {
        let mut redactor = Redactor::default();
        redactor.register("sk-CANARY/abc&def=9XYZ");
        for spelled in [
            "sk-CANARY\\/abc&def\\u003d9XYZ",
            "sk-CANARY/abc\\u0026def=9XYZ",
            "sk-CANARY%2Fabc%26def%3d9XYZ",
            "sk-CANARY&#x2F;abc&amp;def&#61;9XYZ",
            "sk\\u002DCANARY/abc&amp;def=9XYZ",
        ] {
            let said = redactor.redact(&format!("token {spelled} bad, {spelled}")).into_owned();
            assert_eq!(said, "token *** bad, ***", "{spelled}");
            let masked = redactor.mask(spelled).into_owned();
            assert_eq!(masked, "*".repeat(spelled.len()));
        }
        for other in ["sk-CANARY", "sk-CANARY/abc&def=9XYz", "sk-CANARY%2", "s&", "sk\\u00"] {
            assert_eq!(redactor.redact(other), other);
        }
        assert_eq!(
            redactor.redact("Invalid key sk-CANARY/ab... given"),
            "Invalid key ***... given"
        );
    }

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
    fn what_a_server_says_is_short_and_without_secrets() {
        let mut redactor = Redactor::default();
        redactor.register("a \"quoted\" key");
        assert_eq!(redactor.said("stop a \"quoted\" key"), "stop ***");
        assert_eq!(redactor.redact(r#"{"x":"a \"quoted\" key"}"#), r#"{"x":"***"}"#);
        redactor.register("sk-live-0123456789abcdef");
        assert_eq!(
            redactor.said("m-0123456789abcdef and 23456789 and 01234 5"),
            "m*** and *** and 01234 5"
        );
        let long = redactor.said(&format!("{}ü", "x".repeat(252)).repeat(9));
        assert_eq!((long.len(), long.ends_with("x…")), (255, true));
    }

    #[test]
    fn masking_keeps_offsets() {
        let mut redactor = Redactor::default();
        redactor.register("geheim-ß");
        let text = "key: geheim-ß # x";
        assert_eq!(redactor.mask(text).find('#'), text.find('#'));
    }
}
