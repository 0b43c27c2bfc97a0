//! How sure a percentile is, for any number of samples: the bootstrap in closed form.
//!
//! In: sorted samples, how many independent ones they are worth, a seed. Out: an [`Estimate`].
//! Invariant: the same input and seed give the same interval on every machine.
//!
//! The k-th smallest of n values drawn with replacement from a sample is the sample's value at a
//! share that follows the beta distribution (k, n + 1 − k). Drawing that share is the bootstrap of
//! a percentile without its n draws, so a million samples cost no more than ten.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use statrs::distribution::{ContinuousCDF, Normal};

use super::rank::Side;
use crate::metrics::distribution::percentile;
use crate::metrics::effective::{Weight, student};
use crate::metrics::estimate::Estimate;

/// A standard normal lies within as many deviations with 95 %.
const NORMAL: f64 = 1.959_964;

/// Resamples behind each interval.
pub const REPLICATES: usize = 2_000;

/// `new / base` at percentile `percent` with its 95 % interval, and `new − base` with its own.
/// `None` when a side is empty or its percentile is not above zero.
pub fn difference(base: Side, new: Side, percent: f64, seed: u64) -> Option<(Estimate, Estimate)> {
    let values = (percentile(base.sorted, percent)?, percentile(new.sorted, percent)?);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bases = replicates(base, percent, &mut rng);
    let news = replicates(new, percent, &mut rng);
    let pairs: Vec<(f64, f64)> = bases.into_iter().zip(news).collect();
    estimates(values, &pairs)
}

/// The median of `new / base` over pairs that are worth `weight`, and that of `new − base`, each with
/// its 95 % interval.
pub fn paired(pairs: &[(f64, f64)], weight: Weight, seed: u64) -> Option<(Estimate, Estimate)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut median = |take: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> =
            pairs.iter().map(take).filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let side = Side { sorted: &values, weight };
        let value = percentile(&values, 50.0)?;
        let mut drawn = replicates(side, 50.0, &mut rng);
        Some(estimate(value, &mut drawn))
    };
    Some((median(|(base, new)| new / base)?, median(|(base, new)| new - base)?))
}

/// The difference of two shares with its 95 % interval, by Newcombe's hybrid of Wilson's intervals,
/// which stays sound where a share is 0 or 1. `None` when a side has nothing counted.
pub fn shares(base: (u64, u64), new: (u64, u64)) -> Option<Estimate> {
    let (base, new) = (wilson(base)?, wilson(new)?);
    let value = new.value - base.value;
    let root = |left: f64, right: f64| (left.powi(2) + right.powi(2)).sqrt();
    Some(Estimate {
        value,
        low: value - root(new.value - new.low, base.high - base.value),
        high: value + root(new.high - new.value, base.value - base.low),
    })
}

/// A share with Wilson's 95 % interval.
fn wilson((errors, all): (u64, u64)) -> Option<Estimate> {
    const Z: f64 = NORMAL;
    if all == 0 {
        return None;
    }
    let n = all as f64;
    let value = errors as f64 / n;
    let centre = (value + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (value * (1.0 - value) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Estimate {
        value,
        low: (centre - half).clamp(0.0, value),
        high: (centre + half).clamp(value, 1.0),
    })
}

fn estimates(values: (f64, f64), pairs: &[(f64, f64)]) -> Option<(Estimate, Estimate)> {
    let ratio = Some(values.1 / values.0).filter(|ratio| ratio.is_finite())?;
    let mut ratios: Vec<f64> =
        pairs.iter().map(|(base, new)| new / base).filter(|ratio| ratio.is_finite()).collect();
    let mut differences: Vec<f64> = pairs.iter().map(|(base, new)| new - base).collect();
    Some((estimate(ratio, &mut ratios), estimate(values.1 - values.0, &mut differences)))
}

fn estimate(value: f64, replicates: &mut [f64]) -> Estimate {
    replicates.sort_unstable_by(f64::total_cmp);
    let at = |percent| percentile(replicates, percent).unwrap_or(value);
    Estimate { value, low: at(2.5).min(value), high: at(97.5).max(value) }
}

/// The percentile of [`REPLICATES`] resamples.
fn replicates(side: Side, percent: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    // A variance of few degrees of freedom is uncertain itself: Student's t, in samples.
    let n = (side.effective() * (NORMAL / student(side.weight.freedom)).powi(2)).max(1.0);
    let rank = percent / 100.0 * (n - 1.0) + 1.0;
    let draw = |_| {
        let (below, above) = (gamma(rank, rng), gamma(n + 1.0 - rank, rng));
        at_share(side.sorted, below / (below + above))
    };
    (0..REPLICATES).map(draw).collect()
}

/// The sample's value at a share of it, interpolated between the middles of its steps.
fn at_share(sorted: &[f64], share: f64) -> f64 {
    let n = sorted.len() as f64;
    let place = (share * n - 0.5) / (n - 1.0).max(1.0);
    percentile(sorted, place * 100.0).unwrap_or(f64::NAN)
}

/// A gamma variate of this shape (at least 1) by Marsaglia and Tsang's method.
fn gamma(shape: f64, rng: &mut ChaCha8Rng) -> f64 {
    let d = shape.max(1.0) - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = Normal::standard().inverse_cdf(open_unit(rng));
        let v = (1.0 + c * normal).powi(3);
        if v > 0.0 && open_unit(rng).ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A uniform number between 0 and 1, neither of them included.
fn open_unit(rng: &mut ChaCha8Rng) -> f64 {
    (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn independent() -> Weight {
        Weight { design_effect: 1.0, freedom: f64::INFINITY }
    }

    fn ramp(count: u32) -> Vec<f64> {
        (0..count).map(|n| 100.0 + f64::from((n * n) % 997) / 10.0).collect()
    }

    #[test]
    fn it_is_the_bootstrap_that_draws_every_sample() {
        let mut samples = ramp(201);
        samples.sort_unstable_by(f64::total_cmp);
        let median = percentile(&samples, 50.0).expect("samples");
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let resampled = |_| {
            let mut drawn: Vec<f64> =
                (0..201).map(|_| samples[rng.next_u32() as usize % samples.len()]).collect();
            drawn.sort_unstable_by(f64::total_cmp);
            percentile(&drawn, 50.0).expect("samples")
        };
        let mut medians: Vec<f64> = (0..1_000).map(resampled).collect();
        let drawn = estimate(median, &mut medians);
        let side = Side { sorted: &samples, weight: independent() };
        let ours = estimate(median, &mut replicates(side, 50.0, &mut rng));
        let width = drawn.high - drawn.low;
        assert!((ours.low - drawn.low).abs() < 0.15 * width, "{ours:?} {drawn:?}");
        assert!((ours.high - drawn.high).abs() < 0.15 * width, "{ours:?} {drawn:?}");
    }

    #[test]
    fn a_known_ratio_lies_in_its_interval_and_more_samples_narrow_it() {
        let mut widths = Vec::new();
        for count in [50, 800] {
            let mut base = ramp(count);
            base.sort_unstable_by(f64::total_cmp);
            let new: Vec<f64> = base.iter().map(|value| value * 1.1).collect();
            let side = |sorted| Side { sorted, weight: independent() };
            let (ratio, difference) =
                super::difference(side(&base), side(&new), 50.0, 7).expect("samples");
            assert!((ratio.value - 1.1).abs() < 1e-9, "{ratio:?}");
            assert!(ratio.low < 1.1 && 1.1 < ratio.high, "{ratio:?}");
            assert!(difference.low < difference.value && difference.value < difference.high);
            widths.push(ratio.high - ratio.low);
        }
        assert!(widths[1] < widths[0] / 2.0, "{widths:?}");
    }

    #[test]
    fn a_difference_of_shares_is_newcombes() {
        // Newcombe (1998), method 10: 56/70 against 48/80 gives 0.2 with 0.0524 to 0.3339.
        let found = shares((48, 80), (56, 70)).expect("counted");
        assert!((found.low - 0.0524).abs() < 1e-3 && (found.high - 0.3339).abs() < 1e-3);
        let none = shares((0, 100), (0, 100)).expect("counted");
        assert!(none.low < -0.03 && none.high > 0.03 && none.value.abs() < 1e-12, "{none:?}");
        assert_eq!(shares((0, 0), (1, 2)), None);
    }

    #[test]
    fn pairs_cancel_what_they_share() {
        let pairs: Vec<(f64, f64)> =
            ramp(100).into_iter().map(|value| (value, value * 1.1)).collect();
        let (ratio, _) = paired(&pairs, independent(), 7).expect("pairs");
        assert!(ratio.high - ratio.low < 1e-9 && (ratio.value - 1.1).abs() < 1e-9, "{ratio:?}");
        assert_eq!(paired(&[], independent(), 7), None);
        assert_eq!(
            difference(
                Side { sorted: &[], weight: independent() },
                Side { sorted: &[1.0], weight: independent() },
                50.0,
                7
            ),
            None
        );
    }
}
