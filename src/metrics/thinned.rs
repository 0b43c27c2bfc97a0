//! Some of very many values, in bounded memory.
//!
//! In: values with their numbers. Out: all of them, or one of each pair, of each pair of these, … once
//! they would be too many. Invariants: the same numbers in any order keep the same values; which of a
//! pair is kept is chance (and the same in every run), so that rows that take turns all have their share.

/// Whether a value is the one that is kept of the `2^halvings` whose numbers lie in one block with its
/// own.
pub fn keeps(number: u64, halvings: u32) -> bool {
    (0..halvings.min(63)).all(|level| halves(number >> level, level))
}

/// Whether a block of `2^halvings` is the one that is kept of the pair that it is in.
pub fn halves(block: u64, halvings: u32) -> bool {
    block & 1 == coin(halvings, block >> 1)
}

/// Which of a pair of blocks is kept: 0 or 1, by the finaliser of splitmix64.
fn coin(level: u32, pair: u64) -> u64 {
    let mut mixed = pair ^ (u64::from(level) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed >> 63
}

/// Values by the number of their request.
#[derive(Debug, Clone)]
pub struct Thinned<T> {
    /// What is kept, with the number of its request.
    pub kept: Vec<(u64, T)>,
    /// The requests that each stands for.
    pub each: u64,
    halvings: u32,
    /// How large all that is kept is, and may be.
    size: usize,
    most: usize,
    size_of: fn(&T) -> usize,
}

impl<T> Thinned<T> {
    /// At most `most` of the size that `size_of` says.
    pub fn new(most: usize, size_of: fn(&T) -> usize) -> Self {
        Self { kept: Vec::new(), each: 1, halvings: 0, size: 0, most, size_of }
    }

    /// Takes a value, unless it is one of those that another stands for.
    pub fn put(&mut self, index: u64, value: impl FnOnce() -> T) {
        if !keeps(index, self.halvings) {
            return;
        }
        let value = value();
        self.size += (self.size_of)(&value);
        self.kept.push((index, value));
        while self.size > self.most && self.kept.len() > 1 {
            let before = self.kept.len();
            self.halvings += 1;
            self.each = self.each.saturating_mul(2);
            self.kept.retain(|(index, _)| keeps(*index, self.halvings));
            if self.kept.len() == before {
                // Numbers that are all alike (a broken log): half of them must do.
                self.kept.truncate(before / 2);
            }
            self.size = self.kept.iter().map(|(_, value)| (self.size_of)(value)).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_take_turns_keep_their_shares() {
        for rows in [2_u64, 3, 4, 8, 16, 100] {
            let mut thinned = Thinned::new(16_384, |()| 1);
            for number in 0..1_000_000 {
                thinned.put(number, || ());
            }
            let kept = thinned.kept.len() as f64;
            assert!((8_192.0..=16_384.0).contains(&kept));
            assert!((kept * thinned.each as f64 / 1e6 - 1.0).abs() < 0.01);
            let first = thinned.kept.iter().filter(|(number, ())| number % rows == 0).count();
            let (share, expected) = (first as f64 / kept, 1.0 / rows as f64);
            // Four standard errors of a draw.
            let error = (expected * (1.0 - expected) / kept).sqrt();
            assert!((share - expected).abs() < 4.0 * error, "{rows}: {share}");
        }
    }

    #[test]
    fn one_of_each_block_is_kept_whatever_came_first() {
        for halvings in 0..6 {
            let kept: Vec<u64> = (0..640).filter(|number| keeps(*number, halvings)).collect();
            let blocks: Vec<u64> = kept.iter().map(|number| number >> halvings).collect();
            assert_eq!(blocks, (0..640 >> halvings).collect::<Vec<u64>>());
        }
        let (mut up, mut down) = (Thinned::new(100, |_| 1), Thinned::new(100, |_| 1));
        (0..5_000_u64).for_each(|number| up.put(number, || number));
        (0..5_000_u64).rev().for_each(|number| down.put(number, || number));
        down.kept.reverse();
        assert_eq!((up.kept, up.each), (down.kept, down.each));
    }

    #[test]
    fn numbers_that_are_all_alike_are_bounded() {
        let mut thinned = Thinned::new(100, |()| 1);
        (0..10_000).for_each(|_| thinned.put(7, || ()));
        assert!(thinned.kept.len() <= 100);
    }
}
