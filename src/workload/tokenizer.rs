//! Counting tokens on our side. The only file that knows the tokenizers crate.
//!
//! In: text. Out: how many tokens it has, or its first so many tokens. Invariant: an estimate never
//! passes for a count: [`Tokenizer::source`] says where every number comes from.

mod served;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use served::{Served, Silence};

/// Characters of a token where nothing better is known.
const CHARS_PER_TOKEN: f64 = 4.0;

/// More characters than a token of prose has on average, whatever the server's tokenizer: its words
/// have seven with the blank before them.
const MOST_CHARS_PER_TOKEN: f64 = 12.0;

/// How tokens are counted.
#[derive(Clone)]
pub enum Tokenizer {
    /// By a `tokenizer.json`: exact for its model.
    File(Arc<tokenizers::Tokenizer>),
    /// By the server's own, text by text; by the rate of a sample where it is not asked.
    Server(Arc<Served>),
    /// By that rate alone, in characters per token: asks nothing, and is the same whenever it is asked.
    Rate(f64),
    /// Four characters per token.
    Estimate,
}

/// Why tokens can't be counted as asked.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file can't be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not a `tokenizer.json`.
    #[error("{} is not a usable tokenizer.json: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let text = std::fs::read(path).map_err(|error| TokenizerError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let wrong = |reason: String| TokenizerError::Malformed { path: path.to_owned(), reason };
        let mut tokenizer =
            tokenizers::Tokenizer::from_bytes(text).map_err(|error| wrong(error.to_string()))?;
        // A file may ask for padding or cutting, which would falsify counts.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| wrong(error.to_string()))?;
        Ok(Self::File(Arc::new(tokenizer)))
    }

    /// Counts by asking the server, which found `tokens` tokens in `sample`. Asking may block, so
    /// whoever counts, cuts or makes texts must not be a task that others wait for.
    pub fn served(
        ask: impl Fn(&str) -> Result<u64, Silence> + Send + Sync + 'static,
        sample: &str,
        tokens: u64,
    ) -> Self {
        Self::Server(Arc::new(Served::new(ask, sample.chars().count(), tokens)))
    }

    /// Tokens of `text`, without any that a template or model would add around it; by rate where
    /// they can't be counted.
    pub fn count(&self, text: &str) -> u64 {
        self.counted(text).unwrap_or_else(|| self.count_chars(text.chars().count()))
    }

    /// Tokens of `text` if they are counted and not estimated.
    pub fn counted(&self, text: &str) -> Option<u64> {
        match self {
            // The fast form gives the same tokens and no offsets.
            Self::File(tokenizer) => {
                tokenizer.encode_fast(text, false).ok().map(|encoding| encoding.len() as u64)
            }
            Self::Server(served) => served.count(text),
            Self::Rate(_) | Self::Estimate => None,
        }
    }

    /// Tokens of an answer just received, if they can be counted: the server is asked even while it
    /// is left alone otherwise.
    pub fn counted_now(&self, text: &str) -> Option<u64> {
        match self {
            Self::Server(served) => served.count_now(text),
            Self::File(_) | Self::Rate(_) | Self::Estimate => self.counted(text),
        }
    }

    /// The same without questions, for texts made while others are measured: their length must not
    /// depend on whether there was time to ask.
    #[must_use]
    pub fn without_asking(&self) -> Self {
        match self {
            Self::Server(served) => Self::Rate(served.chars_per_token()),
            Self::File(_) | Self::Rate(_) | Self::Estimate => self.clone(),
        }
    }

    /// Leaves the server alone, or asks it again.
    pub fn rest(&self, is_resting: bool) {
        if let Self::Server(served) = self {
            served.rest(is_resting);
        }
    }

    /// Tokens of a text with so many characters, by rate.
    pub fn count_chars(&self, chars: usize) -> u64 {
        as_count((chars as f64 / self.chars_per_token()).ceil())
    }

    /// The longest start of `text` found that has at most so many tokens; exactly so many with a
    /// tokenizer file, unless no start of the text has.
    pub fn truncate(&self, text: &str, tokens: u64) -> String {
        match self {
            Self::File(tokenizer) => self.truncate_exactly(tokenizer, text, tokens),
            Self::Server(served) => text[..served.cut(text, tokens)].to_owned(),
            Self::Rate(_) | Self::Estimate => {
                let chars = as_count((tokens as f64 * self.chars_per_token()).floor());
                text.chars().take(usize::try_from(chars).unwrap_or(usize::MAX)).collect()
            }
        }
    }

    /// Whether every count is the model's own and costs no question.
    pub fn is_exact(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// What its counts are called in records and reports.
    pub fn source(&self) -> &'static str {
        match self {
            Self::File(_) => "tokenizer",
            Self::Server(_) => "server",
            Self::Rate(_) => "server rate",
            Self::Estimate => "estimate",
        }
    }

    /// Characters per token where counts go by rate (and a first guess where they don't).
    pub(super) fn chars_per_token(&self) -> f64 {
        match self {
            Self::Server(served) => served.chars_per_token(),
            Self::Rate(rate) => *rate,
            Self::File(_) | Self::Estimate => CHARS_PER_TOKEN,
        }
    }

    /// Characters of prose that are sure to have a token where it is cut by counting.
    pub(super) fn most_chars_per_token(&self) -> f64 {
        match self {
            Self::Server(_) => MOST_CHARS_PER_TOKEN,
            Self::File(_) | Self::Rate(_) | Self::Estimate => self.chars_per_token(),
        }
    }

    /// Cuts where the encoding of the whole says, then encodes again: the start alone may merge
    /// differently from the start of the whole, so that a little less has to be tried.
    fn truncate_exactly(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
        tokens: u64,
    ) -> String {
        let Ok(encoding) = tokenizer.encode(text, false) else {
            return Self::Estimate.truncate(text, tokens);
        };
        let offsets = encoding.get_offsets();
        let most = usize::try_from(tokens).unwrap_or(usize::MAX);
        if offsets.len() <= most {
            return text.to_owned();
        }
        for keep in (1..=most).rev() {
            // A character of several tokens is not divided: it is in or out.
            let start = text.get(..offsets[keep - 1].1);
            if let Some(start) = start.filter(|start| self.count(start) <= tokens) {
                return start.to_owned();
            }
        }
        String::new()
    }
}

impl std::fmt::Debug for Tokenizer {
    /// A vocabulary is of no use in a message.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(served) => write!(f, "Server(~{})", served.chars_per_token()),
            Self::Rate(rate) => write!(f, "Rate({rate})"),
            Self::File(_) | Self::Estimate => f.write_str(self.source()),
        }
    }
}

/// A rounded number as a count; what no memory holds becomes the largest.
fn as_count(value: f64) -> u64 {
    // Float to integer casts saturate, and NaN becomes 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let count = value as u64;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../datasets/document.txt");

    fn bundled() -> Tokenizer {
        Tokenizer::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json"))
            .unwrap()
    }

    #[test]
    fn a_text_cut_to_n_tokens_has_n_tokens_and_is_its_start() {
        let tokenizer = bundled();
        for tokens in [0, 1, 2, 17, 500, 4_096] {
            let cut = tokenizer.truncate(DOCUMENT, tokens);
            assert!(DOCUMENT.starts_with(&cut));
            assert_eq!(tokenizer.count(&cut), tokens);
        }
    }

    #[test]
    fn a_short_text_is_left_alone() {
        for tokenizer in [bundled(), Tokenizer::Estimate, four_letters()] {
            assert_eq!(tokenizer.truncate("A few words.", 1_000), "A few words.");
            assert_eq!(tokenizer.truncate("", 5), "");
            assert_eq!(tokenizer.count(""), 0);
        }
    }

    #[test]
    fn cutting_never_divides_a_character_nor_exceeds_the_count() {
        let tokenizer = bundled();
        let text = "naïve 日本語 🙂🙂 Zażółć gęślą jaźń ".repeat(4);
        for tokens in 0..tokenizer.count(&text) {
            let cut = tokenizer.truncate(&text, tokens);
            assert!(text.starts_with(&cut));
            assert!(tokenizer.count(&cut) <= tokens);
        }
    }

    #[test]
    fn the_estimate_is_four_characters_per_token_rounded_up() {
        assert_eq!(Tokenizer::Estimate.count("12345"), 2);
        assert_eq!(Tokenizer::Estimate.count_chars(8), 2);
        assert_eq!(Tokenizer::Estimate.truncate("żółw płynie", 2), "żółw pły");
    }

    /// A server whose tokens have four characters, whatever its sample said.
    fn four_letters() -> Tokenizer {
        let ask = |text: &str| Ok(text.chars().count().div_ceil(4) as u64);
        Tokenizer::served(ask, "ten chars!", 4)
    }

    #[test]
    fn a_server_counts_each_text_and_its_sample_stands_in_while_it_rests() {
        let tokenizer = four_letters();
        assert_eq!(tokenizer.count("five!"), 2);
        assert_eq!(tokenizer.count(&tokenizer.truncate("more than ten chars!", 2)), 2);
        assert_eq!(tokenizer.source(), "server");
        assert!(!tokenizer.is_exact());
        tokenizer.rest(true);
        assert_eq!(tokenizer.counted("ten chars!"), None);
        assert_eq!(tokenizer.count("ten chars!"), 4);
        assert_eq!(tokenizer.counted_now("ten chars!"), Some(3));
        assert_eq!(tokenizer.truncate("some other text", 2), "some ");
        let by_rate = tokenizer.without_asking();
        assert_eq!((by_rate.counted("ten chars!"), by_rate.count("ten chars!")), (None, 4));
        assert_eq!(by_rate.truncate("some other text", 2), "some ");
        assert_eq!(Tokenizer::Estimate.counted("text"), None);
    }

    #[test]
    fn a_wrong_file_is_named_with_the_reason() {
        let missing = Tokenizer::from_file("no/such.json").unwrap_err().to_string();
        assert!(missing.starts_with("no/such.json: "), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"not\": \"a tokenizer\"}").unwrap();
        assert!(matches!(Tokenizer::from_file(file.path()), Err(TokenizerError::Malformed { .. })));
    }

    #[test]
    fn the_bundled_tokenizer_is_small_and_reads_english_as_others_do() {
        let tokenizer = bundled();
        let rate = DOCUMENT.chars().count() as f64 / tokenizer.count(DOCUMENT) as f64;
        assert!((3.0..5.5).contains(&rate), "{rate} characters per token");
    }
}
