//! Whether two sets of samples differ by more than chance.
//!
//! In: samples of two runs, and what they are worth ([`Weight`]). Out: two-sided p-values. Invariants:
//! every p lies in 0..=1; samples that hang together count for less, so that a queue that builds up
//! once is not taken for a thousand proofs, and how uncertain that is counts, too (Student's t with
//! Welch and Satterthwaite's degrees of freedom in place of the normal law).
//!
//! | question | test |
//! |---|---|
//! | is one side larger | Mann and Whitney's U, normal approximation with tie and continuity correction |
//! | do runs too short to tell lie far apart | the gap between them against how far each moved within itself |
//! | is one side's tail heavier | the share of each side above the pooled percentile, two proportions |
//! | are one side's errors more | two proportions; Fisher's exact test where fewer than five are expected |
//! | which of many are left | Holm's step-down correction, by weights |

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::stats_tests::Alternative;
use statrs::stats_tests::fisher::fishers_exact;

use super::ALPHA;
use crate::metrics::distribution::percentile;
use crate::metrics::effective::{MANY, Weight};

/// Samples of one quantity.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Sorted.
    pub sorted: &'a [f64],
    /// What they are worth.
    pub weight: Weight,
}

impl Side<'_> {
    fn len(&self) -> f64 {
        self.sorted.len() as f64
    }

    /// Independent samples that tell as much as these.
    pub fn effective(&self) -> f64 {
        (self.len() / self.weight.design_effect.max(1.0)).max(1.0)
    }
}

/// What the rank test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// Two-sided p-value.
    pub p: f64,
    /// The chance that a sample of `new` is larger than one of `base` (ties count half): 0.5 where
    /// nothing differs.
    pub superiority: f64,
}

/// Mann and Whitney's U test; `None` when a side is empty.
pub fn mann_whitney(base: Side, new: Side) -> Option<RankTest> {
    let (n, m) = (base.len(), new.len());
    if n < 1.0 || m < 1.0 {
        return None;
    }
    let (below, ties) = walk(base.sorted, new.sorted);
    let all = n + m;
    let spread = (all + 1.0) - ties / (all * (all - 1.0)).max(1.0);
    let independent = n * m / 12.0 * spread;
    // Of the variance of U, n·m²/12 comes of one side's samples and n²·m/12 of the other's.
    let (of_base, of_new) =
        (base.weight.design_effect.max(1.0) * m / all, new.weight.design_effect.max(1.0) * n / all);
    let deviation = (independent * (of_base + of_new)).max(0.0).sqrt();
    let away = (below - n * m / 2.0).abs() - 0.5;
    let freedom = freedom((of_base, base.weight.freedom), (of_new, new.weight.freedom));
    let p = if deviation > 0.0 { two_sided(away.max(0.0) / deviation, freedom) } else { 1.0 };
    Some(RankTest { p, superiority: below / (n * m) })
}

/// Batches into which [`apart`] cuts a run.
const BATCHES: usize = 10;
/// So many times further apart than either run moved, two runs of one queue lie once in twenty times at
/// most.
const ONCE_IN_TWENTY: f64 = 10.0;
/// Samples of a run for which that holds; shorter ones see less of how far they move.
const SAMPLES: f64 = 200.0;

/// A bound of the p-value of two runs of which neither says how long its memory is: how much further
/// apart they lie than either moved within itself. In: samples in the order of their requests. The gap
/// is that between the medians of ten batches of each, held against the larger range of these medians.
/// Two runs of one queue lie ten ranges apart in at most 5 % of draws, and *k* ranges in fewer than
/// 5 % × (10 / k)² (M/M/1, M/D/1, D/M/1, M/G/8 and G/G/1 up to 0.98 of their capacity, 30 to 1,000
/// requests: docs/statistics.md). 1 where that is more than 5 %; `None` of fewer than 30 requests.
pub fn apart(base: &[f64], new: &[f64]) -> Option<f64> {
    let length = base.len().min(new.len()) / BATCHES;
    if length < 3 {
        return None;
    }
    let range = |samples: &[f64]| {
        let medians = samples.chunks_exact(samples.len() / BATCHES).take(BATCHES).map(|batch| {
            let mut batch = batch.to_vec();
            batch.sort_unstable_by(f64::total_cmp);
            percentile(&batch, 50.0).unwrap_or(f64::NAN)
        });
        medians
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)))
    };
    let (base_range, new_range) = (range(base), range(new));
    let gap = (new_range.0 - base_range.1).max(base_range.0 - new_range.1);
    let moved = (base_range.1 - base_range.0).max(new_range.1 - new_range.0);
    let short = (SAMPLES / base.len().min(new.len()) as f64).max(1.0);
    let ranges = gap / (moved * short);
    let bound = ALPHA * (ONCE_IN_TWENTY / ranges).powi(2);
    Some(if ranges >= ONCE_IN_TWENTY { bound } else { 1.0 })
}

/// How many pairs have the sample of `base` below that of `new` (ties count half), and Σ(t³ − t)
/// over the groups of equal values.
fn walk(base: &[f64], new: &[f64]) -> (f64, f64) {
    let (mut at_base, mut at_new) = (0, 0);
    let (mut below, mut ties) = (0.0, 0.0);
    while at_base < base.len() || at_new < new.len() {
        let value = match (base.get(at_base), new.get(at_new)) {
            (Some(left), Some(right)) => left.min(*right),
            (Some(only), None) | (None, Some(only)) => *only,
            (None, None) => break,
        };
        // A value that is equal to nothing, such as NaN, would never be passed.
        let equal = |sorted: &[f64], from: usize| {
            sorted[from..].iter().take_while(|sample| sample.total_cmp(&value).is_le()).count()
        };
        let (in_base, in_new) = (equal(base, at_base), equal(new, at_new));
        below += in_new as f64 * (at_base as f64 + in_base as f64 / 2.0);
        let group = (in_base + in_new) as f64;
        ties += group.powi(3) - group;
        (at_base, at_new) = (at_base + in_base, at_new + in_new);
        if in_base + in_new == 0 {
            break;
        }
    }
    (below, ties)
}

/// Whether one side has more above the pooled percentile `percent` (0 to 100): Mood's median test
/// for any percentile. `None` when fewer than ten samples of a side are expected beyond it.
pub fn tail(base: Side, new: Side, percent: f64) -> Option<f64> {
    let beyond = 1.0 - percent / 100.0;
    if base.effective().min(new.effective()) * beyond.min(1.0 - beyond) < MIN_BEYOND {
        return None;
    }
    let mut pooled = [base.sorted, new.sorted].concat();
    pooled.sort_unstable_by(f64::total_cmp);
    let limit = percentile(&pooled, percent)?;
    let above = |side: Side| {
        let count = side.sorted.len() - side.sorted.partition_point(|sample| *sample <= limit);
        count as f64 / side.len()
    };
    let (one, other) = (above(base), above(new));
    let of =
        |share: f64, side: Side| (share * (1.0 - share) / side.effective(), side.weight.freedom);
    let freedom = freedom(of(one, base), of(other, new));
    Some(proportions((one, base.effective()), (other, new.effective()), freedom))
}

/// Fewest independent samples beyond a percentile that tell anything of it.
const MIN_BEYOND: f64 = 10.0;

/// Whether `errors` of `all` differ between two sides.
pub fn counts(base: (u64, u64), new: (u64, u64)) -> f64 {
    let (errors, all) = (base.0 + new.0, base.1 + new.1);
    if all == 0 {
        return 1.0;
    }
    let share = errors as f64 / all as f64;
    let least = base.1.min(new.1) as f64 * share.min(1.0 - share);
    if least >= 5.0 {
        let of = |side: (u64, u64)| side.0 as f64 / side.1 as f64;
        return proportions((of(base), base.1 as f64), (of(new), new.1 as f64), f64::INFINITY);
    }
    let table = [base.0, base.1 - base.0.min(base.1), new.0, new.1 - new.0.min(new.1)];
    fishers_exact(&table, Alternative::TwoSided).unwrap_or(1.0).clamp(0.0, 1.0)
}

/// The test of two proportions, each of so many, with a pooled variance.
fn proportions(base: (f64, f64), new: (f64, f64), freedom: f64) -> f64 {
    let pooled = (base.0 * base.1 + new.0 * new.1) / (base.1 + new.1);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / base.1 + 1.0 / new.1)).sqrt();
    if deviation > 0.0 { two_sided((new.0 - base.0).abs() / deviation, freedom) } else { 1.0 }
}

/// The degrees of freedom of a sum of two variances, each given with its own (Welch 1947).
fn freedom(base: (f64, f64), new: (f64, f64)) -> f64 {
    let sum = base.0 + new.0;
    let parts = base.0.powi(2) / base.1.max(1.0) + new.0.powi(2) / new.1.max(1.0);
    if parts > 0.0 { sum.powi(2) / parts } else { f64::INFINITY }
}

/// Whether paired differences lean to one side: Wilcoxon's signed-rank test, normal approximation
/// with tie and continuity correction; pairs without a difference are left out (Wilcoxon's own
/// rule). `weight` is what the differences are worth. `None` without pairs.
pub fn signed_rank(differences: &[f64], weight: Weight) -> Option<RankTest> {
    let mut apart: Vec<f64> =
        differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if differences.is_empty() {
        return None;
    }
    if apart.is_empty() {
        return Some(RankTest { p: 1.0, superiority: 0.5 });
    }
    apart.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = apart.len() as f64;
    let (mut positive, mut ties, mut from) = (0.0, 0.0, 0);
    for group in apart.chunk_by(|a, b| a.abs().total_cmp(&b.abs()).is_eq()) {
        let count = group.len() as f64;
        // Ranks from + 1 to from + t share their mean.
        let rank = from as f64 + f64::midpoint(count, 1.0);
        positive += rank * group.iter().filter(|difference| **difference > 0.0).count() as f64;
        ties += count.powi(3) - count;
        from += group.len();
    }
    let expected = n * (n + 1.0) / 4.0;
    let independent = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0).max(0.0);
    let deviation = (independent * weight.design_effect.max(1.0)).sqrt();
    let away = ((positive - expected).abs() - 0.5).max(0.0);
    let p = if deviation > 0.0 { two_sided(away / deviation, weight.freedom) } else { 1.0 };
    Some(RankTest { p, superiority: positive / (n * (n + 1.0) / 2.0) })
}

/// The chance of a value at least `z` deviations away from zero.
fn two_sided(z: f64, freedom: f64) -> f64 {
    let normal = || Normal::standard().sf(z);
    let beyond = match StudentsT::new(0.0, 1.0, freedom) {
        Ok(law) if freedom < MANY => law.sf(z),
        _ => normal(),
    };
    (2.0 * beyond).clamp(0.0, 1.0)
}

/// Holm's step-down correction of tests, each given as its p-value and its weight: p-values that hold for
/// all of them together, in the same order. A test of twice the weight has twice the chance of a false
/// alarm (Holm 1979, §4).
pub fn holm(tests: &[(f64, f64)]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..tests.len()).collect();
    let by_weight = |at: usize| tests[at].0 / tests[at].1;
    order.sort_by(|a, b| by_weight(*a).total_cmp(&by_weight(*b)));
    let mut adjusted = vec![1.0; tests.len()];
    let mut left: f64 = tests.iter().map(|(_, weight)| weight).sum();
    let mut largest: f64 = 0.0;
    for at in order {
        largest = largest.max((by_weight(at) * left).min(1.0));
        adjusted[at] = largest;
        left -= tests[at].1;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

    use super::*;

    fn weight(design_effect: f64) -> Weight {
        Weight { design_effect, freedom: f64::INFINITY }
    }

    fn side(sorted: &[f64]) -> Side<'_> {
        Side { sorted, weight: weight(1.0) }
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-6, "{left} is not {right}");
    }

    #[test]
    fn the_rank_test_agrees_with_statrs_with_and_without_ties() {
        let series = [
            (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], vec![3.5, 4.5, 6.5, 8.0, 9.0, 10.0]),
            (vec![1.0, 1.0, 2.0, 2.0, 2.0, 3.0], vec![2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 4.0]),
            (vec![5.0; 8], vec![5.0, 5.0, 6.0]),
        ];
        for (base, new) in series {
            let ours = mann_whitney(side(&base), side(&new)).expect("samples");
            let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
            let (_, theirs) =
                mannwhitneyu(&base, &new, method, Alternative::TwoSided).expect("samples");
            close(ours.p, theirs);
        }
        // scipy.stats.mannwhitneyu([19, 22, 16, 29, 24], [20, 11, 17, 12]): U = 17, p = 0.1113
        let (males, females) = ([16.0, 19.0, 22.0, 24.0, 29.0], [11.0, 12.0, 17.0, 20.0]);
        let found = mann_whitney(side(&females), side(&males)).expect("samples");
        close(found.superiority, 17.0 / 20.0);
        assert!((found.p - 0.111_34).abs() < 1e-4, "{}", found.p);
    }

    #[test]
    fn equal_constants_do_not_differ_and_empty_sides_have_no_test() {
        let same = mann_whitney(side(&[3.0; 9]), side(&[3.0; 9])).expect("samples");
        assert_eq!((same.p, same.superiority), (1.0, 0.5));
        assert_eq!(mann_whitney(side(&[]), side(&[1.0])), None);
        let apart = mann_whitney(side(&[3.0; 9]), side(&[4.0; 9])).expect("samples");
        assert!(apart.p < 0.001 && apart.superiority > 0.999, "{apart:?}");
    }

    #[test]
    fn runs_lie_apart_by_how_far_each_moved_within_itself() {
        let near = |level: f64, count: u32| -> Vec<f64> {
            (0..count).map(|n| level + f64::from(n % 7) / 10.0 + f64::from(n / 50) / 10.0).collect()
        };
        let found = apart(&near(7.0, 600), &near(42.0, 600)).expect("far apart");
        assert!(found < 0.01, "{found}");
        close(found, apart(&near(42.0, 600), &near(7.0, 600)).expect("either way"));
        // Half a millisecond is less than either moved.
        assert_eq!(apart(&near(7.0, 600), &near(7.5, 600)), Some(1.0));
        // Shorter runs must lie further apart, and very short ones tell nothing.
        let long = |short: &[f64]| -> Vec<f64> { short.iter().flat_map(|it| [*it; 10]).collect() };
        let (base, new) = (near(7.0, 60), near(42.0, 60));
        let short = apart(&base, &new).expect("far apart");
        let found = apart(&long(&base), &long(&new)).expect("far apart");
        assert!(short > found, "{short} of short runs, {found} of long ones that moved as far");
        assert_eq!(apart(&near(7.0, 29), &near(42.0, 29)), None);
        assert_eq!(apart(&[1.0; 50], &[1.0; 50]), Some(1.0));
        assert_eq!(apart(&[1.0; 50], &[2.0; 50]), Some(0.0));
    }

    #[test]
    fn samples_that_hang_together_prove_less() {
        let (base, new): (Vec<f64>, Vec<f64>) =
            (0..100).map(|n| (f64::from(n), f64::from(n) + 15.0)).unzip();
        let alone = mann_whitney(side(&base), side(&new)).expect("samples");
        let tied = |sorted| Side { sorted, weight: weight(4.0) };
        let together = mann_whitney(tied(&base), tied(&new)).expect("samples");
        assert!(alone.p < 0.001 && together.p > 0.05, "{alone:?} {together:?}");
    }

    #[test]
    fn a_heavier_tail_is_seen_where_medians_agree() {
        let base: Vec<f64> = (0..1_000).map(f64::from).collect();
        let new: Vec<f64> = base.iter().map(|n| if *n >= 960.0 { n * 2.0 } else { *n }).collect();
        let p = tail(side(&base), side(&new), 95.0).expect("samples enough");
        assert!(p > 0.05, "the tail is longer, not heavier: {p}");
        let heavy: Vec<f64> = base.iter().map(|n| if *n >= 900.0 { n * 2.0 } else { *n }).collect();
        let p = tail(side(&base), side(&heavy), 95.0).expect("samples enough");
        assert!(p < 0.001, "{p}");
        assert_eq!(tail(side(&base[..100]), side(&new), 95.0), None);
    }

    #[test]
    fn error_counts_are_tested_exactly_where_few() {
        // scipy.stats.fisher_exact([[8, 2], [1, 5]]): 0.03497
        assert!((counts((8, 10), (1, 6)) - 0.034_965).abs() < 1e-5);
        close(counts((0, 50), (0, 60)), 1.0);
        close(counts((0, 0), (0, 0)), 1.0);
        // 50 of 1,000 against 100 of 1,000: z = 4.244
        let p = counts((50, 1_000), (100, 1_000));
        assert!((p - 2.19e-5).abs() < 1e-6, "{p}");
    }

    #[test]
    fn the_signed_rank_test_is_that_of_the_books() {
        // scipy.stats.wilcoxon([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75],
        //     mode="approx", correction=True): W = 24, p = 0.0409
        let plants = [
            6.0, 8.0, 14.0, 16.0, 23.0, 24.0, 28.0, 29.0, 41.0, -48.0, 49.0, 56.0, 60.0, -67.0,
            75.0,
        ];
        let found = signed_rank(&plants, weight(1.0)).expect("pairs");
        assert!((found.p - 0.0440).abs() < 0.004, "{}", found.p);
        close(found.superiority, 96.0 / 120.0);
        assert_eq!(signed_rank(&[], weight(1.0)), None);
        assert_eq!(signed_rank(&[0.0; 5], weight(1.0)).map(|test| test.p), Some(1.0));
    }

    #[test]
    fn few_degrees_of_freedom_prove_less() {
        // scipy.stats.t.sf(2.2, 9) * 2 and scipy.stats.norm.sf(2.2) * 2
        assert!((two_sided(2.2, 9.0) - 0.055_32).abs() < 1e-4);
        assert!((two_sided(2.2, f64::INFINITY) - 0.027_81).abs() < 1e-4);
        close(freedom((1.0, 9.0), (1.0, 9.0)), 18.0);
    }

    #[test]
    fn holm_steps_down_and_never_reorders() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005].map(|p| (p, 1.0)));
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            close(*found, expected);
        }
        // Of five shares of the chance two are the first one's.
        let weighted = holm(&[(0.02, 2.0), (0.02, 1.0), (0.5, 2.0)]);
        for (found, expected) in weighted.iter().zip([0.05, 0.06, 0.5]) {
            close(*found, expected);
        }
        assert!(holm(&[]).is_empty());
    }
}
