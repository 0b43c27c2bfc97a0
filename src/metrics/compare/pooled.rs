//! Metrics of which one request gives many samples, such as the gaps between its tokens.
//!
//! In: the samples of a stage, request by request. Out: how many of them count for one independent
//! one. Invariant: the requests are the witnesses, not their samples: a thousand gaps of one slow
//! answer prove no more than that answer.
//!
//! The share of samples above a percentile is a ratio of sums over requests, so its variance is that
//! of the ratio estimator over clusters (Cochran, Sampling Techniques, §9A); divided by the variance
//! that independent samples would have it is the design effect.

use super::rank::design_effect;
use crate::metrics::distribution::percentile;

/// Fewest requests whose spread tells how much the samples of one resemble each other.
const MIN_CLUSTERS: f64 = 20.0;

/// One side of a comparison of pooled samples.
pub(super) struct Pooled<'a> {
    /// The samples of each request, in the order of time.
    clusters: Vec<&'a [f64]>,
    /// All of them, sorted.
    pub(super) sorted: Vec<f64>,
    /// How many requests count for one, since neighbours in time resemble each other.
    between: f64,
}

impl<'a> Pooled<'a> {
    /// The samples of requests in the order of time.
    pub(super) fn new(clusters: Vec<&'a [f64]>) -> Self {
        let mut sorted = clusters.concat();
        sorted.sort_unstable_by(f64::total_cmp);
        let means: Vec<f64> = clusters
            .iter()
            .map(|samples| samples.iter().sum::<f64>() / samples.len().max(1) as f64)
            .collect();
        let between = design_effect(&means);
        Self { clusters, sorted, between }
    }

    /// Requests with any sample.
    pub(super) fn requests(&self) -> u64 {
        self.clusters.len() as u64
    }

    /// How many samples count for one independent one at a percentile (0 to 100), 1 or more.
    pub(super) fn design_effect(&self, percent: f64) -> f64 {
        let Some(limit) = percentile(&self.sorted, percent) else { return 1.0 };
        let above = |samples: &[f64]| samples.iter().filter(|it| **it > limit).count() as f64;
        let counts: Vec<(f64, f64)> =
            self.clusters.iter().map(|samples| (above(samples), samples.len() as f64)).collect();
        let all = self.sorted.len() as f64;
        let requests = counts.len() as f64;
        let share = counts.iter().map(|(above, _)| above).sum::<f64>() / all;
        let independent = all * share * (1.0 - share);
        if independent <= 0.0 || requests < MIN_CLUSTERS {
            // All samples are alike, or the requests too few to tell how alike those of one are:
            // then each request says as much as one sample.
            return (all / requests.max(1.0)).max(1.0);
        }
        let squares: f64 = counts.iter().map(|(above, of)| (above - share * of).powi(2)).sum();
        let clustered = squares * requests / (requests - 1.0);
        (clustered / independent).max(1.0) * self.between
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_request_that_are_alike_count_once() {
        // Each request is slow or fast throughout: 20 samples tell as much as one.
        let slow = [2.0; 20];
        let fast = [1.0; 20];
        let alike: Vec<&[f64]> =
            (0..100).map(|n| if n * 61 % 100 < 30 { &slow[..] } else { &fast[..] }).collect();
        let pooled = Pooled::new(alike);
        assert_eq!((pooled.requests(), pooled.sorted.len()), (100, 2_000));
        let effect = pooled.design_effect(50.0);
        assert!((15.0..30.0).contains(&effect), "{effect}");
    }

    #[test]
    fn samples_that_are_scattered_over_requests_count_each() {
        let scattered: Vec<Vec<f64>> = (0..200_u32)
            .map(|request| (0..10).map(|n| f64::from((request * 10 + n) * 7_919 % 2_003)).collect())
            .collect();
        let pooled = Pooled::new(scattered.iter().map(Vec::as_slice).collect());
        let effect = pooled.design_effect(90.0);
        assert!((1.0..1.6).contains(&effect), "{effect}");
        assert!((Pooled::new(Vec::new()).design_effect(50.0) - 1.0).abs() < 1e-9);
    }
}
