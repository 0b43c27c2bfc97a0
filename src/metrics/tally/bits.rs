//! Which requests of a stage have ended.
//!
//! In: their numbers. Out: whether one came before. Invariant: one bit for each of a dense series,
//! so that a million requests cost 125 kB.

use std::collections::HashSet;
use std::ops::Range;

/// The numbers seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    far: HashSet<u64>,
    /// What was marked as a whole.
    ranges: Vec<Range<u64>>,
}

impl Bits {
    /// Beyond this, an index is not one of a dense series (a foreign or broken log).
    const DENSE: u64 = 1 << 28;

    /// Marks all of `range`; false when any of it was marked already. Takes as long as the marks so far,
    /// and not as the range.
    pub(super) fn insert_all(&mut self, range: Range<u64>) -> bool {
        let overlaps = |other: &Range<u64>| other.start < range.end && range.start < other.end;
        let from = usize::try_from(range.start / 64).unwrap_or(usize::MAX);
        let words = self.words.iter().enumerate().skip(from).filter(|(_, bits)| **bits != 0);
        let mut marks = words.flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u64 * 64 + bit)
        });
        let new = !self.ranges.iter().any(overlaps)
            && !self.far.iter().any(|index| range.contains(index))
            && !marks.any(|index| range.contains(&index));
        self.ranges.push(range);
        new
    }

    /// Marks `index`; false when it was marked already.
    pub(super) fn insert(&mut self, index: u64) -> bool {
        if self.ranges.iter().any(|range| range.contains(&index)) {
            return false;
        }
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
