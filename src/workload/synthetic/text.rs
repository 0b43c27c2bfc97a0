//! Text of exactly so many tokens, made of pieces.
//!
//! In: a seed, the run's nonce, who counts, and keys. Out: texts. Invariant: the same key gives the
//! same text; a text that is put together from pieces is counted whole, and what the seams added
//! or took away is made good at its end, so that its beginning stays the shared piece it is. By
//! rate (no tokenizer file) lengths are exact in characters.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::plan::workload::Uniqueness;
use crate::workload::filler::filler;
use crate::workload::seed::keyed_rng;
use crate::workload::tokenizer::Tokenizer;

/// Attempts to make a length exact. With a wrong seam the second does; the rest are for tokenizers
/// whose counts jump.
const MOST_ROUNDS: u64 = 12;

/// Attempts at the length of one text before another text is tried.
const SAME: u64 = 3;

/// What every block ends with and every next block begins after: a seam that tokenizers split the
/// same way whatever stands on either side.
const BLOCK_END: &str = ".\n";

/// The longest prompt that is made, in tokens: ten times what any model reads. A trace that says
/// more is wrong, and would fill the memory.
pub const MOST_TOKENS: u64 = 16_000_000;

/// Bytes of pieces that are kept for the next request.
const MOST_KEPT_BYTES: usize = 32 * 1024 * 1024;

/// Makes texts.
pub struct Texts {
    tokenizer: Tokenizer,
    seed: u64,
    nonce: Option<String>,
    kept: Mutex<Kept>,
    words: Vec<String>,
}

/// Pieces made before, oldest first.
#[derive(Default)]
struct Kept {
    pieces: HashMap<Key, Arc<str>>,
    order: VecDeque<Key>,
    bytes: usize,
}

type Key = (&'static str, u64, u64);

impl Texts {
    /// Texts of `seed`; new in each run (told apart by `run_nonce`) unless `unique` says never.
    pub fn new(seed: u64, run_nonce: &str, unique: Uniqueness, tokenizer: Tokenizer) -> Self {
        let nonce = match unique {
            Uniqueness::PerRun => Some(run_nonce.to_owned()),
            Uniqueness::Never => None,
        };
        let seed = match &nonce {
            Some(nonce) => key_of(&[&seed.to_le_bytes(), nonce.as_bytes()]),
            None => seed,
        };
        let words = solid_words(seed, &tokenizer);
        Self { tokenizer, seed, nonce, kept: Mutex::default(), words }
    }

    /// Who counts.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The run's nonce, unless texts repeat from run to run.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// A text of `tokens` tokens that no other `purpose` and `key` has. A longer one continues a
    /// shorter one of the same key.
    pub fn piece(&self, purpose: &'static str, key: u64, tokens: u64) -> String {
        let seed = key_of(&[&self.seed.to_le_bytes(), purpose.as_bytes()]);
        filler(seed, key, tokens, &self.tokenizer)
    }

    /// The same, kept for the next that asks: for pieces that many prompts share.
    pub fn shared_piece(&self, purpose: &'static str, key: u64, tokens: u64) -> Arc<str> {
        self.keep((purpose, key, tokens), || self.piece(purpose, key, tokens))
    }

    /// `head`, continued so that the whole has `tokens` tokens, by a text of that key. A head that
    /// is too long already is cut.
    pub fn continued(&self, head: &str, tokens: u64, purpose: &'static str, key: u64) -> String {
        if head.is_empty() {
            return self.piece(purpose, key, tokens);
        }
        self.closed(head, tokens, |length, round| {
            let tail = self.piece(purpose, variant(key, round), length);
            if head.ends_with(char::is_whitespace) { tail } else { format!(" {tail}") }
        })
    }

    /// `head` and a tail of the right length; `tail` makes one of about so many tokens.
    fn closed(&self, head: &str, tokens: u64, tail: impl Fn(u64, u64) -> String) -> String {
        let have = self.tokenizer.count(head);
        if have >= tokens {
            return self.tokenizer.truncate(head, tokens);
        }
        if !self.tokenizer.is_exact() {
            // Lengths are characters here: a tail with a few too many, cut.
            let text = format!("{head}{}", tail(tokens - have + 2, 0));
            return self.tokenizer.truncate(&text, tokens);
        }
        let mut length = tokens - have;
        let mut best: Option<(u64, String)> = None;
        for round in 0..MOST_ROUNDS {
            let text = format!("{head}{}", tail(length, round / SAME));
            let count = self.tokenizer.count(&text);
            let off = count.abs_diff(tokens);
            if best.as_ref().is_none_or(|(least, _)| off < *least) {
                best = Some((off, text));
            }
            if off == 0 {
                break;
            }
            length = (length + tokens).saturating_sub(count).max(1);
        }
        best.map_or_else(String::new, |(_, text)| text)
    }

    /// The text of a block: the same for the same key wherever it stands, and `tokens` tokens long
    /// after another block.
    pub fn block(&self, key: u64, tokens: u64) -> Arc<str> {
        self.keep(("block", key, tokens), || self.new_block(key, tokens))
    }

    fn new_block(&self, key: u64, tokens: u64) -> String {
        if !self.tokenizer.is_exact() {
            let text = self.piece("block", key, tokens);
            return match text.len().checked_sub(BLOCK_END.len()) {
                Some(keep) => format!("{}{BLOCK_END}", &text[..keep]),
                None => text,
            };
        }
        let seam = self.tokenizer.count(BLOCK_END);
        let mut length = tokens.saturating_sub(seam).max(1);
        let mut best: Option<(u64, String)> = None;
        for round in 0..MOST_ROUNDS {
            let body = self.piece("block", variant(key, round / SAME), length);
            let block = format!("{}{BLOCK_END}", body.trim_end_matches(['.', ',', ' ']));
            let count = self.tokenizer.count(&format!("{BLOCK_END}{block}")).saturating_sub(seam);
            let off = count.abs_diff(tokens);
            if best.as_ref().is_none_or(|(least, _)| off < *least) {
                best = Some((off, block));
            }
            if off == 0 {
                break;
            }
            length = (length + tokens).saturating_sub(count).max(1);
        }
        best.map_or_else(String::new, |(_, block)| block)
    }

    /// A prompt of `tokens` tokens from blocks of `block_tokens`: equal keys are equal text. What
    /// the keys don't cover is text of `own_key`.
    pub fn from_blocks(
        &self,
        keys: &[u64],
        block_tokens: u64,
        tokens: u64,
        own_key: u64,
    ) -> String {
        let whole = usize::try_from(tokens / block_tokens.max(1)).unwrap_or(usize::MAX);
        let mut text = String::new();
        for key in keys.iter().take(whole) {
            text.push_str(&self.block(*key, block_tokens));
        }
        match keys.get(whole) {
            // The last block is not full: its beginning.
            Some(last) => {
                let block = self.block(*last, block_tokens);
                self.closed(&text, tokens, |length, round| {
                    let start = self.tokenizer.truncate(&block, length);
                    // Where the beginning can't be cut to length, a word stands in for its end.
                    if round == 0 {
                        start
                    } else {
                        format!("{start}{}", self.piece("seam", round, 1))
                    }
                })
            }
            None if text.is_empty() => self.piece("own", own_key, tokens),
            None => self.closed(&text, tokens, |length, round| {
                self.piece("own", variant(own_key, round), length)
            }),
        }
    }

    /// A text that stands for token ids: equal ids in equal places are equal text, so that prompts
    /// that shared a beginning share one again; as many tokens as there are ids.
    pub fn from_ids(&self, ids: &[u64]) -> String {
        let mut text = String::new();
        for (place, id) in ids.iter().enumerate() {
            let mut rng = keyed_rng(self.seed, "token", *id);
            text.push(' ');
            if self.words.is_empty() {
                // By rate: letters up to where the next token begins.
                let end = self.tokenizer.chars_per_token() * (place + 1) as f64;
                while (text.len() as f64) < end.floor() {
                    text.push(char::from(rng.random_range(b'a'..=b'z')));
                }
            } else {
                text.push_str(&self.words[rng.random_range(0..self.words.len())]);
            }
        }
        let tokens = ids.len() as u64;
        if self.tokenizer.count(&text) == tokens {
            return text;
        }
        self.continued(&text, tokens, "ids", tokens)
    }

    fn keep(&self, key: Key, make: impl FnOnce() -> String) -> Arc<str> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = lock().pieces.get(&key) {
            return piece.clone();
        }
        let piece: Arc<str> = make().into();
        let mut kept = lock();
        if kept.pieces.insert(key, piece.clone()).is_none() {
            kept.bytes += piece.len();
            kept.order.push_back(key);
        }
        while kept.bytes > MOST_KEPT_BYTES {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(gone) = kept.pieces.remove(&oldest) {
                kept.bytes -= gone.len();
            }
        }
        piece
    }
}

/// Words that are one token each after a blank; none where tokens go by rate.
fn solid_words(seed: u64, tokenizer: &Tokenizer) -> Vec<String> {
    if !tokenizer.is_exact() {
        return Vec::new();
    }
    let sample = filler(seed, 0, 4_000, tokenizer);
    let words: BTreeSet<String> = sample
        .split(|char: char| !char.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let is_solid = |word: &String| {
        tokenizer.count(&format!(" {word}")) == 1
            && tokenizer.count(&format!(" {word} {word}")) == 2
    };
    let (solid, other): (Vec<_>, Vec<_>) = words.into_iter().partition(is_solid);
    // With a vocabulary of word pieces alone, the end makes good what words are too long.
    if solid.len() < 16 { other } else { solid }
}

/// The key itself, and others made of it.
fn variant(key: u64, number: u64) -> u64 {
    if number == 0 { key } else { key_of(&[&key.to_le_bytes(), &number.to_le_bytes()]) }
}

/// 64 bits of a hash over parts.
pub fn key_of(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Tokenizer; 3] {
        let bundled = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json");
        [Tokenizer::from_file(bundled).unwrap(), Tokenizer::Estimate, Tokenizer::Rate(10.0 / 3.0)]
    }

    fn texts(tokenizer: Tokenizer) -> Texts {
        Texts::new(7, "run-1", Uniqueness::PerRun, tokenizer)
    }

    #[test]
    fn continued_texts_have_exact_lengths_and_keep_their_heads() {
        for tokenizer in all() {
            let texts = texts(tokenizer);
            let heads =
                ["", "A head.", "A head without end", "ends in a blank ", "naïve 日本語 🙂"];
            for (key, head) in heads.into_iter().enumerate() {
                for tokens in [30, 31, 64, 257, 1_000] {
                    let text = texts.continued(head, tokens, "test", key as u64);
                    assert_eq!(texts.tokenizer().count(&text), tokens, "{head:?} {tokens}");
                    assert!(text.starts_with(head));
                }
            }
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_cut() {
        for tokenizer in all() {
            let texts = texts(tokenizer);
            let head = texts.piece("head", 0, 100);
            let text = texts.continued(&head, 40, "test", 0);
            assert_eq!(texts.tokenizer().count(&text), 40);
            assert!(head.starts_with(&text));
        }
    }

    #[test]
    fn prompts_of_blocks_are_exact_and_share_text_as_the_ids_say() {
        for tokenizer in all() {
            let texts = texts(tokenizer);
            let one = texts.from_blocks(&[1, 2, 3], 64, 170, 100);
            let two = texts.from_blocks(&[1, 2, 4], 64, 192, 101);
            let long = texts.from_blocks(&[1, 2, 3], 64, 500, 102);
            for (text, tokens) in [(&one, 170), (&two, 192), (&long, 500)] {
                assert_eq!(texts.tokenizer().count(text), tokens);
            }
            let shared = format!("{}{}", texts.block(1, 64), texts.block(2, 64));
            assert!(one.starts_with(&shared) && two.starts_with(&shared));
            assert!(texts.tokenizer().count(&shared).abs_diff(128) <= 1);
            // The third block of the first is the beginning of the whole third block.
            let common = one.bytes().zip(long.bytes()).take_while(|(a, b)| a == b).count();
            assert!(common + 8 >= one.len(), "{common} of {}", one.len());
            let apart = one.bytes().zip(two.bytes()).take_while(|(a, b)| a == b).count();
            assert!(apart < shared.len() + 24);
        }
    }

    #[test]
    fn many_blocks_do_not_drift() {
        for tokenizer in all() {
            let texts = texts(tokenizer);
            let keys: Vec<u64> = (0..40).collect();
            let text = texts.from_blocks(&keys, 64, 40 * 64, 0);
            assert_eq!(texts.tokenizer().count(&text), 40 * 64);
            let joined: String = keys.iter().map(|key| texts.block(*key, 64).to_string()).collect();
            assert!(texts.tokenizer().count(&joined).abs_diff(40 * 64) <= 4);
        }
    }

    #[test]
    fn token_ids_become_as_many_tokens_and_shared_beginnings_stay_shared() {
        for tokenizer in all() {
            let texts = texts(tokenizer);
            let ids: Vec<u64> = (0..200).map(|id| id * 31 % 97).collect();
            let one = texts.from_ids(&ids);
            assert_eq!(texts.tokenizer().count(&one), 200);
            let mut other = ids.clone();
            other[120] = 5_000;
            let two = texts.from_ids(&other);
            let common = one.bytes().zip(two.bytes()).take_while(|(a, b)| a == b).count();
            let shared = texts.tokenizer().count(&one[..common]);
            assert!((118..=122).contains(&shared), "{shared}");
        }
    }

    #[test]
    fn every_text_is_new_in_a_new_run_unless_asked_otherwise() {
        let make = |nonce: &str, unique| {
            let texts = Texts::new(7, nonce, unique, Tokenizer::Estimate);
            [texts.piece("a", 1, 50), texts.block(1, 16).to_string(), texts.from_ids(&[1, 2])]
        };
        let (monday, tuesday) = (make("mon", Uniqueness::PerRun), make("tue", Uniqueness::PerRun));
        for (a, b) in monday.iter().zip(&tuesday) {
            assert_ne!(a, b);
        }
        assert_eq!(make("mon", Uniqueness::Never), make("tue", Uniqueness::Never));
    }

    #[test]
    fn kept_pieces_are_bounded() {
        let texts = texts(Tokenizer::Estimate);
        for key in 0..9 {
            texts.block(key, 1_000_000);
        }
        let kept = texts.kept.lock().unwrap();
        assert!(kept.bytes <= MOST_KEPT_BYTES && !kept.pieces.is_empty());
        assert_eq!(kept.order.len(), kept.pieces.len());
    }
}
