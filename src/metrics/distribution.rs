//! Exact statistics from samples.
//!
//! In: finite samples, sorted. Out: [`Distribution`]. Invariant: without samples there is no
//! distribution, so no figure is ever NaN or infinite.
//!
//! Percentiles interpolate linearly between the closest ranks: with n samples, percentile p lies at
//! rank (n - 1)·p/100 counted from 0 (Hyndman and Fan's type 7; the default of numpy, and so of
//! most tools whose figures ours stand beside).

use statrs::statistics::Statistics;

use super::certified::Certified;
use super::summary::Distribution;
use crate::plan::Aggregate;

/// The statistics of `sorted`, or `None` without samples. How certain they are is not known from
/// sorted samples: that takes their order in time ([`super::samples`]).
pub fn distribution(sorted: &[f64], unit: &str) -> Option<Distribution> {
    Some(Distribution {
        unit: unit.to_owned(),
        count: sorted.len() as u64,
        mean: mean(sorted)?,
        std: std(sorted),
        min: *sorted.first()?,
        max: *sorted.last()?,
        p50: percentile(sorted, 50.0)?,
        p90: percentile(sorted, 90.0)?,
        p95: percentile(sorted, 95.0)?,
        p99: percentile(sorted, 99.0)?,
        certified: Certified::default(),
        p50_interval: None,
        effective: None,
        histogram: None,
    })
}

/// One aggregate of `sorted`, or `None` without (enough) samples. A count needs none.
pub fn aggregate(sorted: &[f64], aggregate: Aggregate) -> Option<f64> {
    match aggregate {
        Aggregate::Mean => mean(sorted),
        Aggregate::Std => std(sorted),
        Aggregate::Min => sorted.first().copied(),
        Aggregate::Max => sorted.last().copied(),
        Aggregate::Count => Some(sorted.len() as f64),
        Aggregate::Percentile(percent) => percentile(sorted, percent),
    }
}

/// Percentile `percent` (0 to 100, clamped) of `sorted`, interpolated linearly.
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = last as f64 * (percent / 100.0).clamp(0.0, 1.0);
    let below = whole(rank).min(last);
    let above = (below + 1).min(last);
    let share = rank - below as f64;
    Some(sorted[below] + (sorted[above] - sorted[below]) * share)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank lies between 0 and a slice's length"
)]
fn whole(rank: f64) -> usize {
    rank.floor() as usize
}

fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().mean())
}

fn std(samples: &[f64]) -> Option<f64> {
    (samples.len() > 1).then(|| samples.iter().std_dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: Option<f64>, right: f64) {
        let left = left.expect("a figure");
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([15, 20, 35, 40, 50], p)
        let samples = [15.0, 20.0, 35.0, 40.0, 50.0];
        close(percentile(&samples, 0.0), 15.0);
        close(percentile(&samples, 5.0), 16.0);
        close(percentile(&samples, 30.0), 23.0);
        close(percentile(&samples, 40.0), 29.0);
        close(percentile(&samples, 50.0), 35.0);
        close(percentile(&samples, 99.0), 49.6);
        close(percentile(&samples, 100.0), 50.0);
        close(percentile(&[1.0, 2.0, 3.0, 4.0], 50.0), 2.5);
    }

    #[test]
    fn moments_are_known() {
        let samples = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let figures = distribution(&samples, "ms").expect("samples");
        close(Some(figures.mean), 5.0);
        close(figures.std, (32.0f64 / 7.0).sqrt());
        assert_eq!((figures.min, figures.max, figures.count), (2.0, 9.0, 8));
    }

    #[test]
    fn one_sample_has_no_deviation_and_none_has_nothing() {
        let one = distribution(&[3.0], "ms").expect("a sample");
        assert_eq!((one.std, one.p50, one.p99), (None, 3.0, 3.0));
        assert_eq!(distribution(&[], "ms"), None);
        assert_eq!(aggregate(&[], Aggregate::Percentile(50.0)), None);
        assert_eq!(aggregate(&[], Aggregate::Count), Some(0.0));
    }
}
