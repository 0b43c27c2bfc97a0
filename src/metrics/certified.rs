//! How high a percentile of what was sampled can be, for all that the samples show.
//!
//! In: the number of samples, and the sample at a rank. Out: a value that the true percentile does not
//! exceed, with 99 % confidence, or nothing where there are too few. Samples that hang together count
//! for as many as they are worth ([`super::effective`]). One percentile at a time.
//!
//! This is the early-stopping bound of `MLPerf` Inference (c = 0.99, d = 0): of n samples the t-th
//! highest bounds percentile p, where t is the most for which n samples with a share of 1 − p above it
//! would show t or fewer with a chance below 1 %. It takes 64 samples for p90, 130 for p95, 662 for p99.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::quantity::grouped;
use super::summary::Distribution;

/// The chance that a bound is too low.
const DOUBT: f64 = 0.01;

/// Upper bounds of the tail, each with 99 % confidence; absent with too few samples, or where
/// samples are not independent (gaps between the tokens of an answer).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Certified {
    /// The 90th percentile is at most this; takes 64 samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// The 95th percentile is at most this; takes 130 samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// The 99th percentile is at most this; takes 662 samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

impl Certified {
    /// The bounds by `count` samples; `at` gives the sample at a rank from 0, lowest first.
    pub fn of(count: u64, at: impl Fn(u64) -> Option<f64>) -> Self {
        let bound = |percent| at(count - budget(count, percent)?);
        Self { p90: bound(90.0), p95: bound(95.0), p99: bound(99.0) }
    }

    /// The bounds by `count` samples that tell as much as `effective` independent ones; none where
    /// that is not known.
    pub fn of_effective(
        count: u64,
        effective: Option<f64>,
        at: impl Fn(u64) -> Option<f64>,
    ) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the number of samples"
        )]
        let whole = |number: f64| number.clamp(0.0, count as f64) as u64;
        let independent = effective.map_or(0, whole);
        let each = count as f64 / independent.max(1) as f64;
        // The highest of the samples that stand for an independent one.
        Self::of(independent, |rank| at(whole(((rank + 1) as f64 * each).ceil()) - 1))
    }

    /// Whether nothing is certified.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The bound of that percentile, where it is one of those kept.
    pub fn bound(&self, percent: f64) -> Option<f64> {
        let kept = [(90.0, self.p90), (95.0, self.p95), (99.0, self.p99)];
        kept.into_iter().find(|(kept, _)| (kept - percent).abs() < 1e-9)?.1
    }
}

/// What stands behind a percentile that is not certified, in tables.
pub const MARK: &str = "*";

/// Whether a percentile may stand without a mark. A median has its own interval.
pub fn is_certified(of: &Distribution, percent: f64) -> bool {
    let is_kept = [90.0, 95.0, 99.0].iter().any(|kept| (kept - percent).abs() < 1e-9);
    percent <= 50.0
        || if is_kept {
            of.certified.bound(percent).is_some()
        } else {
            budget(of.count, percent).is_some()
        }
}

/// What [`MARK`] means, for these percentiles.
pub fn legend(percents: &[f64]) -> String {
    let takes: Vec<String> = percents
        .iter()
        .filter_map(|percent| Some(format!("p{percent} {}", grouped(fewest(*percent)?))))
        .collect();
    format!("{MARK} uncertified: too few independent samples (takes {})", takes.join(", "))
}

/// The fewest samples that certify a percentile; `None` for one that no number does.
fn fewest(percent: f64) -> Option<u64> {
    let mut high = 2_u64;
    while budget(high, percent).is_none() {
        high = high.checked_mul(2).filter(|high| *high < 1 << 40)?;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low.midpoint(high);
        if budget(middle, percent).is_some() {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// The t of the t-th highest of `count` samples, which bounds percentile `percent` (50 to 100);
/// `None` when there are too few.
pub fn budget(count: u64, percent: f64) -> Option<u64> {
    let over = Binomial::new(1.0 - percent / 100.0, count).ok()?;
    let unlikely = |above: u64| over.cdf(above) < DOUBT;
    if !unlikely(1) {
        return None;
    }
    let (mut low, mut high) = (1, count);
    while low + 1 < high {
        let middle = low.midpoint(high);
        if unlikely(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fewest samples that certify each percentile, by the published tables of the bound.
    #[test]
    fn the_fewest_samples_are_those_of_the_early_stopping_tables() {
        for (percent, least) in [
            (50.0, 11),
            (75.0, 24),
            (80.0, 31),
            (90.0, 64),
            (95.0, 130),
            (97.0, 219),
            (99.0, 662),
            (99.9, 6_636),
            (99.99, 66_381),
        ] {
            assert_eq!(budget(least - 1, percent), None, "p{percent} of {}", least - 1);
            assert!(budget(least, percent).is_some(), "p{percent} of {least}");
            assert_eq!(fewest(percent), Some(least), "p{percent}");
        }
    }

    #[test]
    fn the_legend_says_what_each_percentile_takes() {
        let told =
            "* uncertified: too few independent samples (takes p95 130, p99 662, p99.9 6,636)";
        assert_eq!(legend(&[95.0, 99.0, 99.9]), told);
    }

    #[test]
    fn budgets_are_those_of_the_published_vectors() {
        for (count, percent, t) in [
            (100, 90.0, 3),
            (500, 90.0, 34),
            (1_000, 90.0, 78),
            (1_000, 95.0, 34),
            (1_000, 99.0, 2),
            (3_000, 99.0, 17),
            (10_000, 99.0, 77),
        ] {
            assert_eq!(budget(count, percent), Some(t), "p{percent} of {count}");
        }
    }

    #[test]
    fn the_bound_is_the_t_th_highest_sample() {
        let bounds = Certified::of(100, |rank| Some(rank as f64));
        assert_eq!(bounds, Certified { p90: Some(97.0), p95: None, p99: None });
        let half = Certified::of_effective(200, Some(100.0), |rank| Some(rank as f64));
        assert_eq!(half, Certified { p90: Some(195.0), p95: None, p99: None });
        assert!(Certified::of_effective(200, None, |rank| Some(rank as f64)).is_empty());
        assert!(Certified::of(0, |_| None).is_empty());
        assert!(Certified::of(1, |_| Some(1.0)).is_empty());
    }
}
