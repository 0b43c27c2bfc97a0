//! Counting by the server's own tokenizer.
//!
//! In: a way to ask the server, and one count to begin with. Out: how many tokens a text has, and
//! how much of it has so many. Invariants: a text is counted once and cut once, and whoever asks
//! again gets the same answer (the prompts of `warm` are those of `cold`, byte for byte); while it
//! rests, and once the server has failed to answer, nothing is asked, and what is not known goes by
//! the rate of that first count.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::as_count;

/// Questions for one cut; four do for prose.
const MOST_ROUNDS: usize = 16;

/// Texts whose numbers are remembered, about 100 bytes each.
const MOST_REMEMBERED: usize = 1 << 20;

/// Why the server gave no count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// The run is being ended; the server is not to blame.
    Interrupted,
    /// It failed, and how.
    Failed(String),
}

/// Asks the server how many tokens a text has; waits for the answer.
type Ask = dyn Fn(&str) -> Result<u64, Silence> + Send + Sync;

/// The server's tokenizer.
pub struct Served {
    ask: Box<Ask>,
    /// Characters of a token, by the first count.
    chars_per_token: f64,
    known: Mutex<Known>,
    is_resting: AtomicBool,
    failure: OnceLock<String>,
}

/// A hash of a text.
type Key = [u8; 16];

#[derive(Default)]
struct Known {
    counts: HashMap<Key, u64>,
    /// Where a text is cut to have so many tokens, in bytes.
    cuts: HashMap<(Key, u64), usize>,
}

impl Served {
    /// Counts by `ask`, which may block; `chars` characters were found to have `tokens` tokens.
    pub(super) fn new(
        ask: impl Fn(&str) -> Result<u64, Silence> + Send + Sync + 'static,
        chars: usize,
        tokens: u64,
    ) -> Self {
        Self {
            ask: Box::new(ask),
            chars_per_token: (chars.max(1) as f64) / (tokens.max(1) as f64),
            known: Mutex::default(),
            is_resting: AtomicBool::new(false),
            failure: OnceLock::new(),
        }
    }

    /// Characters of a token where the server is not asked.
    pub(super) fn chars_per_token(&self) -> f64 {
        self.chars_per_token
    }

    /// Whether the server is left alone, for as long as requests are measured.
    pub(super) fn rest(&self, is_resting: bool) {
        self.is_resting.store(is_resting, Ordering::Relaxed);
    }

    /// How the server failed to answer, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The tokens of a text; `None` where they are not known and the server is not to be asked.
    pub(super) fn count(&self, text: &str) -> Option<u64> {
        if text.is_empty() {
            return Some(0);
        }
        let key = key(text);
        if let Some(count) = self.known().counts.get(&key) {
            return Some(*count);
        }
        let count = self.asked(text)?;
        self.known().remember(key, count);
        Some(count)
    }

    /// The tokens of a text, asked even now and not kept: for an answer just received.
    pub(super) fn count_now(&self, text: &str) -> Option<u64> {
        if text.is_empty() || self.failure.get().is_some() { None } else { self.put(text) }
    }

    /// How many bytes of a text have `tokens` tokens, or as few less as can be found; all of them
    /// where it has no more.
    pub(super) fn cut(&self, text: &str, tokens: u64) -> usize {
        if tokens == 0 || text.is_empty() {
            return 0;
        }
        let key = (key(text), tokens);
        if let Some(bytes) = self.known().cuts.get(&key) {
            return *bytes;
        }
        let (bytes, count) = self.search(text, tokens);
        let mut known = self.known();
        if let Some(count) = count {
            known.remember(self::key(&text[..bytes]), count);
        }
        if known.cuts.len() < MOST_REMEMBERED {
            known.cuts.insert(key, bytes);
        }
        bytes
    }

    /// Guesses by the rate, then along the line through what was counted below and above.
    fn search(&self, text: &str, tokens: u64) -> (usize, Option<u64>) {
        let by_rate = tokens as f64 * self.chars_per_token;
        let mut at = text
            .char_indices()
            .nth(usize::try_from(as_count(by_rate)).unwrap_or(usize::MAX))
            .map_or(text.len(), |(at, _)| at);
        let mut low: (usize, u64) = (0, 0);
        let mut high: Option<(usize, u64)> = None;
        for round in 0..MOST_ROUNDS {
            let Some(count) = self.asked(&text[..at]) else {
                return if round == 0 { (at, None) } else { (low.0, Some(low.1)) };
            };
            if count == tokens || (count < tokens && at == text.len()) {
                return (at, Some(count));
            }
            if count < tokens {
                low = (at, count);
            } else {
                high = Some((at, count));
            }
            let missing = (tokens - low.1) as f64;
            let slope = match high {
                Some(high) => (high.0 - low.0) as f64 / (high.1 - low.1) as f64,
                None => low.0.max(1) as f64 / low.1.max(1) as f64,
            };
            let step = usize::try_from(as_count(missing * slope)).unwrap_or(usize::MAX).max(1);
            at = low.0.saturating_add(step).min(text.len());
            if let Some(high) = high {
                at = at.min(high.0 - 1);
            }
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            if at <= low.0 {
                // The next character, if there is one between the two.
                let next = text[low.0..].chars().next().map_or(0, char::len_utf8);
                at = low.0 + next;
                if next == 0 || high.is_some_and(|high| at >= high.0) {
                    break;
                }
            }
        }
        (low.0, Some(low.1))
    }

    fn asked(&self, text: &str) -> Option<u64> {
        let is_quiet = self.is_resting.load(Ordering::Relaxed) || self.failure.get().is_some();
        if is_quiet { None } else { self.put(text) }
    }

    fn put(&self, text: &str) -> Option<u64> {
        match (self.ask)(text) {
            Ok(count) => Some(count),
            Err(Silence::Interrupted) => None,
            Err(Silence::Failed(why)) => {
                let _the_first_is_told = self.failure.set(why);
                None
            }
        }
    }

    /// What another thread left half done is only something not yet known.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, key: Key, count: u64) {
        if self.counts.len() < MOST_REMEMBERED {
            self.counts.insert(key, count);
        }
    }
}

fn key(text: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    key
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// A server whose tokens are words and what stands between them, and how often it was asked.
    fn server(fails_after: u64) -> (Served, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let ask = move |text: &str| {
            if counter.fetch_add(1, Ordering::Relaxed) >= fails_after {
                return Err(Silence::Failed("HTTP 500".to_owned()));
            }
            Ok(words(text))
        };
        (Served::new(ask, 16, 4), asked)
    }

    fn words(text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    const TEXT: &str = "żółw płynie i płynie po morzu tak długo jak długo morze jest morzem a żółw \
        żółwiem i nikt mu nie powie że jest inaczej bo kto by to miał zrobić w taki piękny dzień";

    #[test]
    fn a_text_is_cut_to_exactly_the_tokens_asked_for_in_few_questions() {
        for tokens in 1..=words(TEXT) {
            let (served, asked) = server(u64::MAX);
            let bytes = served.cut(TEXT, tokens);
            assert_eq!(words(&TEXT[..bytes]), tokens);
            assert!(asked.load(Ordering::Relaxed) <= 8, "{tokens}: {asked:?}");
        }
        let (served, _) = server(u64::MAX);
        assert_eq!(served.cut(TEXT, 1_000), TEXT.len());
        assert_eq!((served.cut(TEXT, 0), served.cut("", 9)), (0, 0));
    }

    #[test]
    fn nothing_is_asked_twice() {
        let (served, asked) = server(u64::MAX);
        let bytes = served.cut(TEXT, 9);
        let questions = asked.load(Ordering::Relaxed);
        assert_eq!(served.cut(TEXT, 9), bytes);
        assert_eq!(served.count(&TEXT[..bytes]), Some(9));
        assert_eq!(asked.load(Ordering::Relaxed), questions);
        assert_eq!(served.count("one more"), Some(2));
        assert_eq!(served.count("one more"), Some(2));
        assert_eq!(asked.load(Ordering::Relaxed), questions + 1);
    }

    #[test]
    fn at_rest_nothing_is_asked_and_what_was_cut_by_rate_stays_so() {
        let (served, asked) = server(u64::MAX);
        served.rest(true);
        assert_eq!(served.count("two words"), None);
        let bytes = served.cut(TEXT, 5);
        assert_eq!(TEXT[..bytes].chars().count(), 20);
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        served.rest(false);
        assert_eq!(served.cut(TEXT, 5), bytes);
        assert_eq!(served.count("two words"), Some(2));
    }

    #[test]
    fn a_server_that_fails_is_asked_no_more_and_its_failure_is_told() {
        let (served, asked) = server(2);
        assert_eq!((served.count("a"), served.count("b c")), (Some(1), Some(2)));
        assert_eq!(served.failure(), None);
        for _ in 0..5 {
            assert_eq!(served.count("d"), None);
            assert_eq!(served.count_now("e"), None);
        }
        assert_eq!(served.failure(), Some("HTTP 500"));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        assert_eq!(served.count("b c"), Some(2), "what was known stays known");
    }

    #[test]
    fn a_cut_that_is_interrupted_takes_the_best_so_far() {
        for fails_after in 0..4 {
            let (served, _) = server(fails_after);
            let bytes = served.cut(TEXT, 20);
            assert!(TEXT.is_char_boundary(bytes));
            assert!(fails_after == 0 || words(&TEXT[..bytes]) <= 20);
        }
        let served = Served::new(|_| Err(Silence::Interrupted), 4, 1);
        assert_eq!(served.cut(TEXT, 2), TEXT.char_indices().nth(8).map_or(0, |it| it.0));
        assert_eq!(served.failure(), None);
    }
}
