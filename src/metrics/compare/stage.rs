//! Two stages of one name → their differences, not judged yet.
//!
//! In: summaries and samples of both. Out: a [`StageComparison`] whose tests are made and whose
//! verdicts are still open. Invariant: a figure comes from the summaries, so it is the one that
//! reports show; an interval or a p-value comes from samples only.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{ALIKE, Evidence};
use super::judge::significant_count;
use super::pooled::Pooled;
use super::rank::{Side, apart, counts, mann_whitney, signed_rank, tail};
use super::{ALPHA, Difference, Options, StageComparison, Test, Verdict, interval};
use crate::metrics::catalogue::{self, Source};
use crate::metrics::distribution::percentile;
use crate::metrics::effective::{Dependence, ranks};
use crate::metrics::estimate::Estimate;
use crate::metrics::generator;
use crate::metrics::quantity::significant;
use crate::metrics::summary::StageSummary;
use crate::metrics::token_account::TokenBasis;
use crate::plan::metric::{self, Origin};

/// Figures of a whole stage that stand beside the judged ones.
const SHOWN: [&str; 2] = ["requests_per_second", "output_tokens_per_second"];
/// Lengths of prompts and answers that differ by more than this make times incomparable.
const ALIKE_WITHIN: f64 = 0.02;

/// Two stages of one name.
pub(super) struct Pair<'a> {
    pub(super) base: &'a Evidence,
    pub(super) new: &'a Evidence,
    pub(super) left: &'a StageSummary,
    pub(super) right: &'a StageSummary,
    /// Whether request k of one side belongs to request k of the other.
    pub(super) is_paired: bool,
}

/// Every difference between the two.
pub(super) fn compare(pair: &Pair, options: &Options) -> StageComparison {
    let mut differences: Vec<Difference> =
        options.metrics.iter().flat_map(|metric| distribution(pair, metric, options)).collect();
    differences.extend(SHOWN.iter().filter_map(|metric| figure(pair, metric)));
    differences.extend(errors(pair));
    StageComparison {
        label: pair.left.label(),
        id: pair.left.id.clone(),
        cell: pair.left.cell.clone(),
        rung: pair.left.rung,
        verdict: Verdict::NotEnoughData,
        differences,
        flags: flags(pair),
    }
}

/// The samples of one side.
enum Series<'a> {
    /// One of each request.
    Single { in_time: Vec<f64>, sorted: Vec<f64>, dependence: Dependence },
    /// Any number of each request.
    Pooled(Pooled<'a>),
}

impl<'a> Series<'a> {
    fn of(run: &'a Evidence, stage: &StageSummary, metric: &str) -> Self {
        let samples = run.samples(stage);
        if let Some((clusters, in_flight)) = samples.and_then(|samples| samples.clusters(metric)) {
            return Self::Pooled(Pooled::new(clusters, &in_flight));
        }
        let (in_time, in_flight) =
            samples.map_or_else(Default::default, |samples| samples.in_time(metric));
        let dependence = Dependence::of(&in_time, Some(&in_flight));
        let mut sorted = in_time.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        Self::Single { in_time, sorted, dependence }
    }

    /// The samples of single requests, in the order in which these were due.
    fn in_time(&self) -> &[f64] {
        match self {
            Self::Single { in_time, .. } => in_time,
            Self::Pooled(_) => &[],
        }
    }

    fn sorted(&self) -> &[f64] {
        match self {
            Self::Single { sorted, .. } => sorted,
            Self::Pooled(pooled) => &pooled.sorted,
        }
    }

    fn dependence(&self) -> &Dependence {
        match self {
            Self::Single { dependence, .. } => dependence,
            Self::Pooled(pooled) => pooled.dependence(),
        }
    }

    /// Its samples, and what they are worth at a percentile; `None` where they are too few to tell.
    fn side(&self, percent: f64) -> Option<Side<'_>> {
        let weight = match self {
            Self::Single { in_time, sorted, dependence } => {
                // The median is judged by ranks, a tail by the share above it.
                let scores = if (percent - 50.0).abs() < f64::EPSILON {
                    ranks(in_time)
                } else {
                    let limit = percentile(sorted, percent)?;
                    in_time.iter().map(|it| f64::from(u8::from(*it > limit))).collect()
                };
                dependence.weigh(percent, &scores)?
            }
            Self::Pooled(pooled) => pooled.weight(percent)?,
        };
        Some(Side { sorted: self.sorted(), weight })
    }

    /// What its figures rest on: samples, or the requests that gave them.
    fn witnesses(&self, stage: &StageSummary, metric: &str) -> u64 {
        match self {
            Self::Single { .. } => stage.metrics.get(metric).map_or(0, |it| it.count),
            Self::Pooled(pooled) => pooled.requests(),
        }
    }
}

fn test(name: &'static str, p: f64, superiority: Option<f64>) -> Test {
    Test { name, p, p_adjusted: p, superiority }
}

/// A test, the ratio and the difference with their intervals; where there are too few samples, how many would
/// do, if that is known.
type Judged = (Option<Test>, Option<(Estimate, Estimate)>, Option<Option<u64>>);

/// Requests that were asked in turns, pair by pair.
fn by_pairs(pairs: &[(f64, f64)], seed: u64) -> Judged {
    // Ratios, so that a change of 10 % weighs the same in fast and slow requests.
    let leans: Vec<f64> = pairs.iter().map(|(base, new)| (new / base).ln()).collect();
    let dependence = Dependence::of(&leans, None);
    let Some(weight) = dependence.weigh(50.0, &ranks(&leans)) else {
        return (None, None, Some(dependence.needed(50.0)));
    };
    let found = signed_rank(&leans, weight);
    (
        found.map(|found| test("Wilcoxon signed-rank", found.p, None)),
        interval::paired(pairs, weight, seed),
        None,
    )
}

/// Why the median is not judged of two sides of which neither is the other, moved.
const SHAPES: &str = "their medians lean one way and the rest of the times another";

/// Whether a test of ranks speaks of the medians: the quartiles lean as these do, or the interval of their
/// ratio says by itself that they differ.
fn is_one_shift(base: &[f64], new: &[f64], ratio: Option<Estimate>) -> bool {
    let leans =
        |percent: f64| Some(percentile(new, percent)?.total_cmp(&percentile(base, percent)?));
    let is_sure = ratio.is_some_and(|it| it.low > 1.0 || it.high < 1.0);
    is_sure || (leans(25.0) == leans(50.0) && leans(75.0) == leans(50.0))
}

/// Why samples whose requests queue are too few, and how many would do, if that is known.
fn too_few(needed: Option<u64>) -> String {
    let would = match needed {
        Some(needed) => format!("about {} a side would do", significant_count(needed as f64)),
        None => "too few were seen to say how many would do: run ten times as many".to_owned(),
    };
    format!("requests that follow one another resemble each other; {would}")
}

/// The chosen percentiles of a metric; percentiles of the tail only where samples are enough.
fn distribution(pair: &Pair, metric: &'static str, options: &Options) -> Vec<Difference> {
    // Where either run held requests back, both count from due.
    let is_late = [pair.left, pair.right].iter().any(|stage| stage.times_from == Origin::Due);
    let metric = metric::from_due(metric).filter(|_| is_late).unwrap_or(metric);
    let Some(of) = metric::find(metric).filter(|metric| metric.distribution) else {
        return Vec::new();
    };
    if [pair.left, pair.right].iter().any(|stage| stage.untold.contains_key(metric)) {
        return Vec::new();
    }
    let base = Series::of(pair.base, pair.left, metric);
    let new = Series::of(pair.new, pair.right, metric);
    let is_pooled = matches!((&base, &new), (Series::Pooled(_), _) | (_, Series::Pooled(_)));
    let seed = pair.base.summary.run.seed;
    let both = pair.base.samples(pair.left).zip(pair.new.samples(pair.right));
    let pairs = both.filter(|_| pair.is_paired && !is_pooled);
    let pairs = pairs.map(|(base, new)| base.pairs(new, metric));
    let row = |percent: f64| {
        let is_median = (percent - 50.0).abs() < f64::EPSILON;
        let pairs = pairs.as_ref().filter(|_| is_median);
        let sides = base.side(percent).zip(new.side(percent));
        let (found, estimates, needed) = if let Some(pairs) = pairs {
            by_pairs(pairs, seed)
        } else if let Some((left, right)) = sides {
            let found = if is_median && !is_pooled {
                mann_whitney(left, right)
                    .map(|found| test("Mann-Whitney U", found.p, Some(found.superiority)))
            } else {
                let p = tail(left, right, percent);
                if p.is_none() && !is_median {
                    return None;
                }
                p.map(|p| test("share above the pooled percentile", p, None))
            };
            (found, interval::difference(left, right, percent, seed), None)
        } else if is_median {
            let needed = |series: &Series| series.dependence().needed(percent);
            let needed = needed(&base).zip(needed(&new)).map(|(base, new)| base.max(new));
            let found = apart(base.in_time(), new.in_time());
            (found.map(|p| test(super::APART, p, None)), None, Some(needed))
        } else {
            return None;
        };
        let (ratio, difference) = estimates.unzip();
        let turns = is_median
            && found.as_ref().is_some_and(|it| it.superiority.is_some() && it.p < ALPHA)
            && !is_one_shift(base.sorted(), new.sorted(), ratio);
        let known = |stage: &StageSummary, sorted: &[f64]| {
            let found = stage.metrics.get(metric);
            percentile(sorted, percent).or_else(|| found.filter(|_| is_median).map(|it| it.p50))
        };
        let samples = |series: &Series, stage: &StageSummary| match pairs {
            Some(pairs) => pairs.len() as u64,
            None => series.witnesses(stage, metric),
        };
        let found = Difference {
            metric: metric.to_owned(),
            percentile: Some(percent),
            unit: of.unit.to_owned(),
            base: known(pair.left, base.sorted()),
            new: known(pair.right, new.sorted()),
            base_samples: samples(&base, pair.left),
            new_samples: samples(&new, pair.right),
            ratio,
            difference,
            test: found.filter(|_| !turns),
            needed: needed.flatten(),
            verdict: of.lower_is_better.map(|_| Verdict::NotEnoughData),
            reason: match needed {
                Some(needed) => too_few(needed),
                None if turns => SHAPES.to_owned(),
                None => String::new(),
            },
        };
        (found.base.is_some() || found.new.is_some()).then_some(found)
    };
    let tails = options.percentiles.iter().copied().filter(|percent| (percent - 50.0).abs() > 0.0);
    std::iter::once(50.0).chain(tails).filter_map(row).collect()
}

/// A figure of the whole stage: shown, not judged, since one number has no spread.
fn figure(pair: &Pair, metric: &str) -> Option<Difference> {
    let Some(Source::Stage(take)) = catalogue::source(metric) else { return None };
    let (base, new) = (take(pair.left), take(pair.right));
    (base.is_some() || new.is_some()).then(|| Difference {
        metric: metric.to_owned(),
        percentile: None,
        unit: metric::find(metric).map_or("", |metric| metric.unit).to_owned(),
        base: base.map(|(value, _)| value),
        new: new.map(|(value, _)| value),
        base_samples: base.map_or(0, |(_, requests)| requests),
        new_samples: new.map_or(0, |(_, requests)| requests),
        ratio: None,
        difference: None,
        test: None,
        needed: None,
        verdict: None,
        reason: "one figure a run: not judged".to_owned(),
    })
}

fn errors(pair: &Pair) -> Option<Difference> {
    let counted =
        |stage: &StageSummary| (stage.counts.errors, stage.counts.ok + stage.counts.errors);
    let (base, new) = (counted(pair.left), counted(pair.right));
    let share = |(errors, all): (u64, u64)| (all > 0).then(|| errors as f64 / all as f64);
    if base.1 + new.1 == 0 {
        return None;
    }
    // Where a queue is full one failure follows another, as slow answers do.
    let worth = |run: &Evidence, stage: &StageSummary| {
        let series = Series::of(run, stage, "e2e");
        Some(series.side(50.0)?.weight.design_effect.max(1.0))
    };
    let (left, right) = (worth(pair.base, pair.left), worth(pair.new, pair.right));
    let is_far = share(base).zip(share(new)).is_some_and(|(base, new)| (new - base).abs() > 0.5);
    let effective = |(errors, all): (u64, u64), effect: Option<f64>| {
        let of = |count: u64| whole(count as f64 / effect.unwrap_or(1.0));
        (of(errors), of(all))
    };
    let is_known = (left.is_some() && right.is_some()) || is_far || base.0 + new.0 == 0;
    let reason = if is_known { "" } else { "failures may follow one another, as slow answers do" };
    let (weighed, weighed_new) = (effective(base, left), effective(new, right));
    let estimate = interval::shares(weighed, weighed_new).filter(|_| is_known);
    let value = share(base).zip(share(new)).map(|(base, new)| new - base);
    let estimate = estimate.map(|it| Estimate { value: value.unwrap_or(it.value), ..it });
    let p = counts(weighed, weighed_new);
    let name = "two proportions";
    Some(Difference {
        metric: "error_rate".to_owned(),
        percentile: None,
        unit: "share".to_owned(),
        base: share(base),
        new: share(new),
        base_samples: base.1,
        new_samples: new.1,
        ratio: None,
        difference: estimate,
        test: is_known.then_some(Test { name, p, p_adjusted: p, superiority: None }),
        needed: None,
        verdict: Some(Verdict::NotEnoughData),
        reason: reason.to_owned(),
    })
}

/// A count of independent requests.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no more than there were"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

/// What differs between the stages though they are compared.
fn flags(pair: &Pair) -> Vec<String> {
    let (left, right) = (pair.left, pair.right);
    let mut untold: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (metric, why) in [left, right].iter().flat_map(|stage| &stage.untold) {
        untold.entry(why).or_default().insert(metric.to_uppercase());
    }
    let mut flags: Vec<String> = Vec::new();
    flags.extend(untold.into_iter().map(|(why, metrics)| {
        let metrics: Vec<String> = metrics.into_iter().collect();
        format!("not compared: {}: {why}", metrics.join(", "))
    }));
    let mut differs = |what: &str, left: String, right: String| {
        if left != right {
            flags.push(format!("{what}: {left}, then {right}"));
        }
    };
    let source = |stage: &StageSummary| {
        let source = stage.tokens.as_ref().and_then(|tokens| tokens.output.source);
        source.map_or("nobody", TokenBasis::word).to_owned()
    };
    differs("tokens counted by", source(left), source(right));
    differs("stage kind", left.kind.clone(), right.kind.clone());
    let word = |text: Option<&str>| text.unwrap_or("none").to_owned();
    if !pair.is_paired {
        differs("model", word(left.model.as_deref()), word(right.model.as_deref()));
    }
    differs("cache", left.cache.verdict.to_string(), right.cache.verdict.to_string());
    for metric in ALIKE {
        let mean = |stage: &StageSummary| stage.metrics.get(metric).map(|found| found.mean);
        if let Some((left, right)) = mean(left).zip(mean(right))
            && (right / left - 1.0).abs() > ALIKE_WITHIN
        {
            let what = if metric == "input_tokens" { "prompt" } else { "answer" };
            flags.push(format!(
                "{what}s differ in length: {} tokens on average, then {}; times differ for that \
                 reason too",
                significant(left, 3),
                significant(right, 3),
            ));
        }
    }
    for (run, stage) in [("base", left), ("new", right)] {
        flags.extend(
            generator::spoiled(stage)
                .map(|why| format!("the {run} run says little of the endpoint: {why}")),
        );
    }
    flags
}
