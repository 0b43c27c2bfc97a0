//! A uniform sample of a stream in constant memory.
//!
//! In: any number of items, one after the other. Out: up to `capacity` of them. Invariant: each
//! item seen is kept with the same probability (Vitter's algorithm R), and the same stream gives
//! the same sample on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The sample so far.
#[derive(Debug, Clone)]
pub struct Reservoir<T> {
    capacity: usize,
    seen: u64,
    kept: Vec<T>,
    rng: ChaCha8Rng,
}

impl<T> Reservoir<T> {
    /// An empty sample of at most `capacity` items.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, seen: 0, kept: Vec::new(), rng: ChaCha8Rng::seed_from_u64(0) }
    }

    /// Offers one item.
    pub fn offer(&mut self, item: T) {
        self.seen += 1;
        if self.kept.len() < self.capacity {
            self.kept.push(item);
            return;
        }
        let place = usize::try_from(self.rng.next_u64() % self.seen).unwrap_or(usize::MAX);
        if let Some(slot) = self.kept.get_mut(place) {
            *slot = item;
        }
    }

    /// How many items were offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// What was kept: everything in order while there was room, a uniform sample after that.
    pub fn kept(&self) -> &[T] {
        &self.kept
    }
}

impl Reservoir<f64> {
    /// What was kept, sorted.
    pub fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_kept_while_there_is_room() {
        let mut sample = Reservoir::new(3);
        for item in [3, 1, 2] {
            sample.offer(item);
        }
        assert_eq!((sample.kept(), sample.seen()), ([3, 1, 2].as_slice(), 3));
    }

    #[test]
    fn early_and_late_items_are_kept_alike() {
        let mut sample = Reservoir::new(1_000);
        for item in 0..100_000_u32 {
            sample.offer(f64::from(item));
        }
        assert_eq!((sample.kept().len(), sample.seen()), (1_000, 100_000));
        let mean = sample.sorted().iter().sum::<f64>() / 1_000.0;
        // The mean of 1,000 uniform draws deviates by 913; four times that is chance in 16,000.
        assert!((mean - 50_000.0).abs() < 4.0 * 913.0, "{mean}");
    }
}
