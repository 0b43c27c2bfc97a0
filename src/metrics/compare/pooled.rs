//! Metrics of which one request gives many samples, such as the gaps between its tokens.
//!
//! In: the samples of a stage, request by request. Out: what they are worth. Invariant: the requests are the witnesses, not their samples: a thousand gaps of one slow
//! answer prove no more than that answer.
//!
//! The share of samples above a percentile is a ratio of sums over requests, so its variance is that
//! of the ratio estimator over clusters (Cochran, Sampling Techniques, §9A); divided by the variance
//! that independent samples would have it is the design effect.

use crate::metrics::distribution::percentile;
use crate::metrics::effective::{Dependence, Weight};

/// Fewest requests whose spread tells how much the samples of one resemble each other.
const MIN_CLUSTERS: f64 = 20.0;

/// One side of a comparison of pooled samples.
pub(super) struct Pooled<'a> {
    /// The samples of each request, in the order of time.
    clusters: Vec<&'a [f64]>,
    /// All of them, sorted.
    pub(super) sorted: Vec<f64>,
    /// How the means of requests hang together.
    dependence: Dependence,
}

impl<'a> Pooled<'a> {
    /// The samples of requests in the order of time; `in_flight` is how many others were in flight
    /// when each was sent.
    pub(super) fn new(clusters: Vec<&'a [f64]>, in_flight: &[f64]) -> Self {
        let mut sorted = clusters.concat();
        sorted.sort_unstable_by(f64::total_cmp);
        let means: Vec<f64> = clusters
            .iter()
            .map(|samples| samples.iter().sum::<f64>() / samples.len().max(1) as f64)
            .collect();
        let dependence = Dependence::of(&means, Some(in_flight));
        Self { clusters, sorted, dependence }
    }

    /// Requests with any sample.
    pub(super) fn requests(&self) -> u64 {
        self.clusters.len() as u64
    }

    /// How the requests hang together.
    pub(super) fn dependence(&self) -> &Dependence {
        &self.dependence
    }

    /// What the samples are worth at a percentile (0 to 100); `None` where too few requests are at
    /// hand to tell.
    pub(super) fn weight(&self, percent: f64) -> Option<Weight> {
        let Some(limit) = percentile(&self.sorted, percent) else {
            return Some(Weight::independent(0));
        };
        let above = |samples: &[f64]| samples.iter().filter(|it| **it > limit).count() as f64;
        let counts: Vec<(f64, f64)> =
            self.clusters.iter().map(|it| (above(it), it.len() as f64)).collect();
        let (all, clusters) = (self.sorted.len() as f64, counts.len() as f64);
        let share = counts.iter().map(|(above, _)| above).sum::<f64>() / all;
        let away: Vec<f64> = counts.iter().map(|(above, of)| above - share * of).collect();
        let of_requests = self.dependence.weigh(percent, &away)?;
        let independent = all * share * (1.0 - share);
        let freedom = of_requests.freedom;
        if independent <= 0.0 || clusters < MIN_CLUSTERS {
            // All samples are alike, or the requests too few to tell how alike those of one are:
            // then each request says as much as one sample.
            let of_one = (all / clusters.max(1.0)).max(1.0);
            return Some(Weight { design_effect: of_one * of_requests.design_effect, freedom });
        }
        let squares: f64 = away.iter().map(|it| it * it).sum();
        let clustered = squares * clusters / (clusters - 1.0) * of_requests.design_effect;
        Some(Weight { design_effect: (clustered / independent).max(1.0), freedom })
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
        let pooled = Pooled::new(alike, &[]);
        assert_eq!((pooled.requests(), pooled.sorted.len()), (100, 2_000));
        let effect = pooled.weight(50.0).expect("requests enough").design_effect;
        assert!((15.0..30.0).contains(&effect), "{effect}");
    }

    #[test]
    fn samples_that_are_scattered_over_requests_count_each() {
        let scattered: Vec<Vec<f64>> = (0..200_u32)
            .map(|request| (0..10).map(|n| f64::from((request * 10 + n) * 7_919 % 2_003)).collect())
            .collect();
        let pooled = Pooled::new(scattered.iter().map(Vec::as_slice).collect(), &[]);
        let effect = pooled.weight(90.0).expect("requests enough").design_effect;
        assert!((1.0..1.6).contains(&effect), "{effect}");
        assert!(Pooled::new(Vec::new(), &[]).weight(50.0).is_some());
    }
}
