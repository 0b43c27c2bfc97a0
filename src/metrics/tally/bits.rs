//! Which requests of a stage have ended.
//!
//! In: their numbers. Out: whether one came before. Invariant: one bit for each of a dense series,
//! so that a million requests cost 125 kB.

use std::collections::HashSet;

/// The numbers seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    far: HashSet<u64>,
}

impl Bits {
    /// Beyond this, an index is not one of a dense series (a foreign or broken log).
    const DENSE: u64 = 1 << 28;

    /// Marks `index`; false when it was marked already.
    pub(super) fn insert(&mut self, index: u64) -> bool {
        let Some(word) = usize::try_from(index / 64).ok().filter(|_| index < Self::DENSE) else {
            return self.far.insert(index);
        };
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }
}
