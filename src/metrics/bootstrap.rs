//! How sure a median is: seeded bootstrap intervals.
//!
//! In: sorted samples (all of them, or a uniform sample of a known population) and a seed. Out: an
//! [`Estimate`] with its 95 % interval. Invariants: the same input and seed give the same interval
//! on every machine; fewer than [`MIN_SAMPLES`] samples give none, because below that no interval
//! of order statistics covers a median with 95 %.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::distribution::percentile;

/// Fewest samples that give an interval: with five, even their whole range covers the median with
/// only 94 %.
pub const MIN_SAMPLES: usize = 6;
/// Resamples behind each interval.
const REPLICATES: usize = 1_000;

/// A figure and where it would likely lie if the run were repeated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// Samples of one quantity.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// The samples at hand, sorted.
    pub sorted: &'a [f64],
    /// How many there were in all; more than `sorted` holds when it is a uniform sample of them.
    pub population: u64,
    /// Their median, when it is known better than from `sorted`.
    pub median: f64,
}

/// The median with its interval.
pub fn median(samples: &Samples, seed: u64) -> Option<Estimate> {
    let mut replicates = replicates(samples, seed)?;
    Some(estimate(samples.median, &mut replicates))
}

/// The median of `top` over the median of `bottom`, with its interval; the two are independent.
pub fn ratio_of_medians(top: &Samples, bottom: &Samples, seed: u64) -> Option<Estimate> {
    let value = Some(top.median / bottom.median).filter(|ratio| ratio.is_finite())?;
    let bottoms = replicates(bottom, seed ^ 1)?;
    let tops = replicates(top, seed)?;
    let ratios = tops.iter().zip(&bottoms).map(|(top, bottom)| top / bottom);
    let mut ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
    (!ratios.is_empty()).then(|| estimate(value, &mut ratios))
}

fn estimate(value: f64, replicates: &mut [f64]) -> Estimate {
    replicates.sort_unstable_by(f64::total_cmp);
    let at = |percent| percentile(replicates, percent).unwrap_or(value);
    Estimate { value, low: at(2.5).min(value), high: at(97.5).max(value) }
}

/// Medians of resamples with replacement. From a sample of m out of n, their spread is scaled by
/// √(m/n), as medians of n vary that much less (the m-out-of-n bootstrap).
fn replicates(samples: &Samples, seed: u64) -> Option<Vec<f64>> {
    let sorted = samples.sorted;
    if sorted.len() < MIN_SAMPLES || !samples.median.is_finite() {
        return None;
    }
    let centre = percentile(sorted, 50.0)?;
    let shrink = (sorted.len() as f64 / samples.population.max(1) as f64).sqrt().min(1.0);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = vec![0_u32; sorted.len()];
    let replicate =
        |_| samples.median + (resampled_median(sorted, &mut drawn, &mut rng) - centre) * shrink;
    Some((0..REPLICATES).map(replicate).collect())
}

/// Draws as many as there are, counts how often each was drawn, and walks to the middle: no sort.
fn resampled_median(sorted: &[f64], drawn: &mut [u32], rng: &mut ChaCha8Rng) -> f64 {
    drawn.fill(0);
    for _ in 0..sorted.len() {
        drawn[below(sorted.len(), rng)] += 1;
    }
    let lower = (sorted.len() - 1) / 2;
    let upper = sorted.len() / 2;
    at_rank(sorted, drawn, lower).midpoint(at_rank(sorted, drawn, upper))
}

fn at_rank(sorted: &[f64], drawn: &[u32], rank: usize) -> f64 {
    let mut passed = 0;
    for (value, count) in sorted.iter().zip(drawn) {
        passed += *count as usize;
        if passed > rank {
            return *value;
        }
    }
    sorted[sorted.len() - 1]
}

/// A uniform index below `len` (which is far below 2³², so the bias is far below the noise).
fn below(len: usize, rng: &mut ChaCha8Rng) -> usize {
    let scaled = u64::from(rng.next_u32()) * len as u64;
    usize::try_from(scaled >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: u32, step: f64) -> Vec<f64> {
        (0..count).map(|n| 100.0 + f64::from(n) * step).collect()
    }

    fn all(sorted: &[f64]) -> Samples<'_> {
        let median = percentile(sorted, 50.0).expect("samples");
        Samples { sorted, population: sorted.len() as u64, median }
    }

    #[test]
    fn the_interval_holds_the_median_and_repeats_under_a_seed() {
        let samples = ramp(41, 1.0);
        let first = median(&all(&samples), 7).expect("enough samples");
        assert!(first.low < 120.0 && 120.0 < first.high, "{first:?}");
        // Order statistics 14 and 28 of 41 cover the median with 97 %.
        assert!(first.low > 112.0 && first.high < 128.0, "{first:?}");
        assert_eq!(median(&all(&samples), 7), Some(first));
        assert_ne!(median(&all(&samples), 8), Some(first));
    }

    #[test]
    fn a_ratio_of_medians_holds_the_true_ratio() {
        let (cold, warm) = (ramp(40, 1.0), ramp(40, 0.1));
        let ratio = ratio_of_medians(&all(&cold), &all(&warm), 7).expect("enough samples");
        let truth = 119.5 / 101.95;
        assert!(ratio.low < truth && truth < ratio.high, "{ratio:?}");
        assert!(ratio.high - ratio.low < 0.15, "{ratio:?}");
    }

    #[test]
    fn a_sample_of_many_gives_the_narrower_interval_of_the_many() {
        let samples = ramp(400, 0.1);
        let few = median(&all(&samples), 7).expect("enough samples");
        let many = Samples { population: 40_000, ..all(&samples) };
        let many = median(&many, 7).expect("enough samples");
        let narrower = (few.high - few.low) / (many.high - many.low);
        assert!((narrower - 10.0).abs() < 0.01, "{narrower}");
    }

    #[test]
    fn few_or_impossible_samples_give_no_interval() {
        assert_eq!(median(&all(&ramp(5, 1.0)), 7), None);
        let zero = vec![0.0; 10];
        assert_eq!(ratio_of_medians(&all(&ramp(10, 1.0)), &all(&zero), 7), None);
    }
}
