//! "Did you mean".
//!
//! In: a word and the words allowed. Out: the nearest of them, if near enough.

/// The allowed word nearest to `word`; `None` when nothing is close.
pub(crate) fn nearest<'w>(
    word: &str,
    allowed: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' ', '.'], "_");
    let word = plain(word);
    allowed
        .into_iter()
        .map(|other| (strsim::jaro_winkler(&word, &plain(other)), other))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, other)| other)
}

/// `did you mean `x`?`, or nothing.
pub(crate) fn did_you_mean<'w>(word: &str, allowed: impl IntoIterator<Item = &'w str>) -> String {
    nearest(word, allowed).map_or_else(String::new, |near| format!("did you mean `{near}`?"))
}

/// Words as `a, b, c`.
pub(crate) fn list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_letter_is_close_and_a_stranger_is_not() {
        let allowed = ["duration", "requests", "concurrency"];
        assert_eq!(nearest("durration", allowed), Some("duration"));
        assert_eq!(nearest("banana", allowed), None);
        assert_eq!(nearest("max-tokens", ["max_tokens"]), Some("max_tokens"));
    }
}
