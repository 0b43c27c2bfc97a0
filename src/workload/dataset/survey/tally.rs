//! Lengths and names, counted in bounded memory.
//!
//! In: one number or name after the other. Out: a distribution, a number of different names.
//! Invariant: memory does not grow with the dataset.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Bar, Lengths};

/// Counts of numbers in buckets that are at most 1/32 wide.
#[derive(Default)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    total: u64,
    min: u64,
    max: u64,
}

/// Buckets per power of two, as a power of two.
const FINE: u32 = 5;

impl Histogram {
    pub fn add(&mut self, value: u64) {
        let bucket = bucket_of(value);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += 1;
        self.total = self.total.saturating_add(value);
    }

    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, rows) in self.buckets.iter().enumerate() {
            seen += rows;
            if seen >= rank {
                return top_of(bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }

    pub fn lengths(&self, source: &str) -> Option<Lengths> {
        (self.count > 0).then(|| Lengths {
            source: source.to_owned(),
            count: self.count,
            total: self.total,
            min: self.min,
            max: self.max,
            mean: self.total as f64 / self.count as f64,
            p50: self.percentile(50),
            p90: self.percentile(90),
            p99: self.percentile(99),
            histogram: self.bars(),
        })
    }

    /// Bars from the shortest length to the longest, empty ones between them included.
    fn bars(&self) -> Vec<Bar> {
        let mut bars: Vec<Bar> = Vec::new();
        for (bucket, rows) in self.buckets.iter().enumerate() {
            let top = top_of(bucket);
            let from = if top == 0 { 0 } else { 1 << top.ilog2() };
            let to = if from == 0 { 0 } else { from - 1 + from };
            match bars.last_mut() {
                Some(bar) if bar.from == from => bar.count += rows,
                _ => bars.push(Bar { from, to, count: *rows }),
            }
        }
        let empty = bars.iter().take_while(|bar| bar.count == 0).count();
        bars.split_off(empty)
    }
}

fn bucket_of(value: u64) -> usize {
    let fine = 1_u64 << FINE;
    if value < fine {
        return usize::try_from(value).unwrap_or(0);
    }
    let shift = value.ilog2() - FINE;
    let within = (value >> shift) - fine;
    usize::try_from(u64::from(shift + 1) * fine + within).unwrap_or(usize::MAX)
}

/// The largest number of a bucket.
fn top_of(bucket: usize) -> u64 {
    let fine = 1_u64 << FINE;
    let bucket = bucket as u64;
    if bucket < fine {
        return bucket;
    }
    let shift = bucket / fine - 1;
    let within = bucket % fine;
    // The last bucket's top is the largest number of all.
    ((u128::from(fine + within + 1) << shift) - 1).try_into().unwrap_or(u64::MAX)
}

/// How many different names there are, in bounded memory: past [`Distinct::MOST`] names only those
/// with a small hash are kept, and they stand for the rest.
pub(super) struct Distinct {
    kept: HashSet<u64>,
    below: u64,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { kept: HashSet::new(), below: u64::MAX }
    }
}

impl Distinct {
    const MOST: usize = 1 << 18;

    pub fn add(&mut self, name: &str) {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let hash = hasher.finish();
        if hash <= self.below {
            self.kept.insert(hash);
        }
        while self.kept.len() > Self::MOST {
            self.below /= 2;
            let below = self.below;
            self.kept.retain(|hash| *hash <= below);
        }
    }

    pub fn is_estimate(&self) -> bool {
        self.below < u64::MAX
    }

    pub fn count(&self) -> u64 {
        (self.kept.len() as u64).saturating_mul(u64::MAX / self.below.max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_close_and_never_too_low() {
        let mut histogram = Histogram::default();
        for value in 1..=10_000 {
            histogram.add(value);
        }
        let lengths = histogram.lengths("trace").unwrap();
        assert_eq!((lengths.min, lengths.max, lengths.total), (1, 10_000, 50_005_000));
        assert!((5_000..=5_200).contains(&lengths.p50), "{}", lengths.p50);
        assert!((9_900..=10_000).contains(&lengths.p99), "{}", lengths.p99);
        assert_eq!(lengths.histogram.iter().map(|bar| bar.count).sum::<u64>(), 10_000);
        assert_eq!(lengths.histogram[0], Bar { from: 1, to: 1, count: 1 });
    }

    #[test]
    fn many_distinct_names_are_estimated_in_bounded_memory() {
        let mut distinct = Distinct::default();
        for name in 0..1_000_000 {
            distinct.add(&format!("session-{name}"));
            distinct.add(&format!("session-{name}"));
        }
        assert!(distinct.is_estimate());
        assert!(distinct.kept.len() <= Distinct::MOST);
        let error = distinct.count() as f64 / 1e6 - 1.0;
        assert!(error.abs() < 0.02, "{error}");
    }

    proptest! {
        #[test]
        fn a_number_lies_in_its_bucket(value: u64) {
            let bucket = bucket_of(value);
            prop_assert!(value <= top_of(bucket));
            prop_assert!(bucket == 0 || value > top_of(bucket - 1));
        }
    }
}
