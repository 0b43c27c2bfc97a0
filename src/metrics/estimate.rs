//! How sure a median is, and the ratio of two.
//!
//! In: distributions with the interval of their median. Out: an [`Estimate`] with its 95 % interval.
//! Invariants: no randomness, so page, terminal and summary say the same; fewer than
//! [`MIN_SAMPLES`] samples give no interval, because below that no interval of order statistics
//! covers a median with 95 %.
//!
//! The median of n independent samples lies between two of them with a chance that only depends on
//! n: the binomial distribution (n, ½) says which ([`median_ranks`]). The interval of a ratio follows
//! from those of its sides by the method of variance estimates recovery (Zou and Donner 2008) on
//! logarithms.

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

use super::summary::Distribution;

/// Fewest samples that give an interval: with five, even their whole range covers the median with
/// only 94 %.
pub const MIN_SAMPLES: usize = 6;

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

impl Estimate {
    /// The median of a distribution.
    pub fn of_median(found: &Distribution) -> Option<Self> {
        let [low, high] = found.p50_interval?;
        Some(Self { value: found.p50, low, high })
    }

    /// The median of `top` over that of `bottom`; the two are independent. `None` unless all of it
    /// is above zero.
    pub fn ratio_of_medians(top: &Distribution, bottom: &Distribution) -> Option<Self> {
        let (top, bottom) = (Self::of_median(top)?, Self::of_median(bottom)?);
        if top.low <= 0.0 || bottom.low <= 0.0 {
            return None;
        }
        let apart = |left: f64, right: f64| (left / right).ln();
        let root = |left: f64, right: f64| left.hypot(right);
        let value = top.value / bottom.value;
        let below = root(apart(top.value, top.low), apart(bottom.high, bottom.value));
        let above = root(apart(top.high, top.value), apart(bottom.value, bottom.low));
        let found = Self { value, low: value * (-below).exp(), high: value * above.exp() };
        found.high.is_finite().then_some(found)
    }
}

/// The places, from 0, of the two of `count` sorted samples between which the median lies with at
/// least 95 %.
pub fn median_ranks(count: u64) -> Option<(u64, u64)> {
    if count < MIN_SAMPLES as u64 {
        return None;
    }
    let first_likely = Binomial::new(0.5, count).ok()?.inverse_cdf(0.025);
    let low = first_likely.saturating_sub(1);
    Some((low, count - 1 - low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::distribution::distribution;

    fn ramp(count: u32, step: f64) -> Distribution {
        let samples: Vec<f64> = (0..count).map(|n| 100.0 + f64::from(n) * step).collect();
        let interval = median_ranks(u64::from(count)).map(|(low, high)| {
            [low, high].map(|rank| samples[usize::try_from(rank).expect("small")])
        });
        let found = distribution(&samples, "ms").expect("samples");
        Distribution { p50_interval: interval, ..found }
    }

    #[test]
    fn ranks_are_those_of_the_sign_test() {
        // Conover, Practical Nonparametric Statistics, table A3, two-sided 5 %; places from 0.
        for (count, ranks) in
            [(6, (0, 5)), (8, (0, 7)), (12, (2, 9)), (20, (5, 14)), (41, (13, 27))]
        {
            assert_eq!(median_ranks(count), Some(ranks), "{count}");
        }
        assert_eq!(median_ranks(5), None);
        let (low, high) = median_ranks(1_000_000).expect("many");
        assert!((low.abs_diff(499_020) < 3) && high == 999_999 - low, "{low} {high}");
    }

    #[test]
    fn a_ratio_of_medians_holds_the_true_ratio() {
        let (cold, warm) = (ramp(40, 1.0), ramp(40, 0.1));
        let ratio = Estimate::ratio_of_medians(&cold, &warm).expect("enough samples");
        let truth = 119.5 / 101.95;
        assert!(ratio.low < truth && truth < ratio.high, "{ratio:?}");
        assert!(ratio.high - ratio.low < 0.15, "{ratio:?}");
    }

    #[test]
    fn few_or_impossible_samples_give_no_interval() {
        assert_eq!(Estimate::of_median(&ramp(5, 1.0)), None);
        let zero = distribution(&[0.0; 10], "ms").expect("samples");
        assert_eq!(Estimate::ratio_of_medians(&ramp(10, 1.0), &zero), None);
    }
}
