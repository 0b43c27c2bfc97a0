//! What a client that holds requests back would hide (coordinated omission).
//!
//! In: the figures of a stage. Out: since when its latencies count, and what its users would have met
//! had none of them waited for an answer before asking again. Invariants: from due no latency is shorter
//! than from sent, and where nothing held requests back both are the same but for what is too little to
//! matter; so figures from sent are shown and judged only where those from due say the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::samples::Samples;
use super::summary::Distribution;
use crate::plan::metric::{LATENCIES, Origin};

/// A figure from due says something else than the one from sent when it is longer by more than this
/// share of it…
const SHARE: f64 = 0.1;
/// …and by more milliseconds than this.
const LEAST_MS: f64 = 2.0;
/// Users who ask on would have met a 99th percentile so many times as long, or it is not worth a word.
const TIMES: f64 = 2.0;

/// What the users of a closed loop would have met had they not waited for answers that were late.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Paced {
    /// How often each of them asked as a rule, in milliseconds: users over the achieved rate.
    pub every_ms: f64,
    /// The 99th percentile of their times to first token, had they asked so often all along.
    pub p99_ms: f64,
}

/// Whether a figure from due says something else than the one from sent (both in milliseconds).
pub fn differs(sent: f64, due: f64) -> bool {
    due - sent > LEAST_MS && due > sent * (1.0 + SHARE)
}

/// Since when the latencies of a stage count: from due where any percentile that is shown says
/// something else from there.
pub fn times_from(metrics: &BTreeMap<String, Distribution>) -> Origin {
    let late = LATENCIES.iter().any(|(sent, due)| {
        let (Some(sent), Some(due)) = (metrics.get(*sent), metrics.get(*due)) else { return false };
        let figures: [fn(&Distribution) -> f64; 4] =
            [|it| it.p50, |it| it.p90, |it| it.p95, |it| it.p99];
        figures.iter().any(|take| differs(take(sent), take(due)))
    });
    if late { Origin::Due } else { Origin::Sent }
}

/// What the users of a closed loop would have met had each of them gone on asking every `every_ms`,
/// their usual pace: an answer that took several such times stands for all that was not asked meanwhile,
/// each of which would have waited so much less (Tene's correction, `recordValueWithExpectedInterval` of
/// `HdrHistogram`). `None` where that is no more than twice what they met.
pub fn paced(met: &Samples, every_ms: f64) -> Option<Paced> {
    if !(every_ms > 0.0 && every_ms.is_finite()) {
        return None;
    }
    // How many would have taken longer than `ms`.
    let beyond = |ms: f64| -> f64 {
        let longer = met.times().filter(|(value, _)| *value > ms);
        let stands_for = |(value, count): (f64, u64)| {
            // `value` less once, twice, … the pace, as long as that is more than the pace and than `ms`.
            let unasked = (((value - ms.max(every_ms)) / every_ms).ceil() - 1.0).max(0.0);
            count as f64 * (1.0 + unasked)
        };
        longer.map(stands_for).sum()
    };
    let (met_p99, longest) = (met.percentile(99.0)?, met.percentile(100.0)?);
    let limit = beyond(0.0) / 100.0;
    let (mut low, mut high) = (0.0, longest);
    // To a millionth of the longest.
    for _ in 0..20 {
        let middle = f64::midpoint(low, high);
        if beyond(middle) > limit { low = middle } else { high = middle }
    }
    (high > TIMES * met_p99).then_some(Paced { every_ms, p99_ms: high })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl Iterator<Item = f64>) -> Samples {
        let mut samples = Samples::default();
        samples.extend(values);
        samples.finish();
        samples
    }

    #[test]
    fn little_is_no_difference() {
        assert!(!differs(10.0, 11.5), "1.5 ms");
        assert!(!differs(500.0, 540.0), "8 %");
        assert!(differs(12.0, 933.0) && differs(20.0, 23.0));
    }

    #[test]
    fn a_stall_counts_for_all_that_was_not_asked_meanwhile() {
        // One user, an answer every 10 ms for 9 s, then one that takes a second: of a request every
        // 10 ms, a tenth would have met the stall, and a hundredth would have waited 0.9 s or more.
        let met = samples((0..900).map(|_| 10.0).chain([1_000.0]));
        let found = paced(&met, 10.0).expect("a stall");
        assert!((found.p99_ms - 900.0).abs() < 12.0, "{found:?}");
        assert!(met.percentile(99.0).is_some_and(|p99| p99 < 11.0));
    }

    #[test]
    fn late_answers_stand_for_as_many_as_would_have_been_asked() {
        let (every, late) = (7.3, [61.7, 100.1, 18.9, 83.3]);
        let met: Vec<f64> = (0..300).map(|_| 5.0).chain(late).collect();
        // Each by itself: an answer less one pace, less two, … as long as that is a pace or more.
        let unasked = |value: f64| {
            std::iter::successors(Some(value - every), move |it| Some(it - every))
                .take_while(move |it| *it >= every)
        };
        let mut all: Vec<f64> =
            met.iter().copied().chain(late.into_iter().flat_map(unasked)).collect();
        all.sort_unstable_by(|one, other| other.total_cmp(one));
        let found = paced(&samples(met.into_iter()), every).expect("late answers");
        let right = all[all.len() / 100];
        assert!((found.p99_ms - right).abs() < 1e-3, "{found:?}, and not {right}");
    }

    #[test]
    fn users_who_meet_what_there_is_hide_nothing() {
        // Longer and shorter answers, none of which is longer than a user's pace.
        let met = samples((0..1_000).map(|number| f64::from(number % 100)));
        assert_eq!(paced(&met, 120.0), None);
        // Exponential: what is left of a long answer is as long as any other.
        let drawn = (0..1_000).map(|number| -20.0 * ((f64::from(number) + 0.5) / 1_000.0).ln());
        assert_eq!(paced(&samples(drawn), 20.0), None);
        assert_eq!(paced(&samples(std::iter::empty()), 20.0), None);
        assert_eq!(paced(&samples([5.0].into_iter()), f64::NAN), None);
    }
}
