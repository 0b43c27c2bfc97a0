//! Differences → verdicts.
//!
//! In: stages with their tests made. Out: the same with p-values corrected and verdicts given.
//! Invariant: a verdict follows from the numbers that stand beside it.

use super::rank::holm;
use super::{ALPHA, APART, Difference, MIN_SHARE, Options, StageComparison, Verdict};
use crate::metrics::estimate::{Estimate, MIN_SAMPLES};
use crate::metrics::quantity::{plural, significant};
use crate::plan::metric;

/// Judges every difference and stage; returns how many tests shared the chance of a false alarm.
pub(super) fn judge(stages: &mut [StageComparison], options: &Options) -> usize {
    let all = || stages.iter().flat_map(|stage| &stage.differences);
    let tests: Vec<(f64, f64)> = all()
        .filter(|it| could_tell(it))
        .filter_map(|it| Some((it.test.as_ref()?.p, weight(it))))
        .collect();
    let mut adjusted = holm(&tests).into_iter();
    for stage in &mut *stages {
        for difference in &mut stage.differences {
            if difference.verdict.is_none() {
                continue;
            }
            if could_tell(difference)
                && let Some(test) = &mut difference.test
            {
                test.p_adjusted = adjusted.next().unwrap_or(1.0);
            }
            let (verdict, reason) = verdict(difference, options);
            (difference.verdict, difference.reason) = (Some(verdict), reason);
            // Of runs too short for any other test, either the bound tells or the length that would.
            if verdict == Verdict::NotEnoughData {
                difference.test = difference.test.take().filter(|test| test.name != APART);
            } else {
                difference.needed = None;
            }
        }
        stage.verdict = over_figures(&stage.differences);
    }
    tests.len()
}

/// Whether a test of this difference may find anything. One that can't takes no share of the chance of a
/// false alarm (Tarone 1990): that of errors, where neither side has any.
fn could_tell(difference: &Difference) -> bool {
    let is_zero = |share: Option<f64>| share.is_some_and(|share| share <= 0.0);
    let no_errors =
        difference.unit == "share" && is_zero(difference.base) && is_zero(difference.new);
    difference.verdict.is_some() && difference.has_samples() && !no_errors
}

/// The share of the chance of a false alarm that a test has: of few samples a tail tells little, and must
/// not cost the median its power.
fn weight(difference: &Difference) -> f64 {
    if difference.percentile.is_some_and(|percent| (percent - 50.0).abs() > 1e-9) {
        1.0
    } else {
        2.0
    }
}

/// The verdict over several stages: any that is worse makes all worse, and one that can't be told
/// leaves the whole open.
pub(super) fn over(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Worse => 3,
        Verdict::Better => 2,
        Verdict::NotEnoughData => 1,
        Verdict::Same => 0,
    };
    verdicts.max_by_key(rank).unwrap_or(Verdict::NotEnoughData)
}

/// The verdict over the figures of a stage: the same only if every median is, since few errors on
/// both sides say nothing of times; a tail that can't be told takes nothing away from that.
fn over_figures(differences: &[Difference]) -> Verdict {
    let is_median =
        |it: &&Difference| it.percentile.is_some_and(|percent| (percent - 50.0).abs() < 1e-9);
    let decided = differences
        .iter()
        .filter_map(|it| it.verdict)
        .filter(|verdict| matches!(verdict, Verdict::Better | Verdict::Worse));
    let medians = differences.iter().filter(is_median).filter_map(|it| it.verdict);
    let any = differences.iter().filter_map(|it| it.verdict);
    match over(decided.chain(medians)) {
        Verdict::NotEnoughData if differences.iter().all(|it| it.percentile.is_none()) => over(any),
        verdict => verdict,
    }
}

fn verdict(difference: &Difference, options: &Options) -> (Verdict, String) {
    let samples = difference.base_samples.min(difference.new_samples);
    if !difference.has_samples() {
        let reason = format!("{}; {MIN_SAMPLES} are the least", plural(samples, "sample"));
        return (Verdict::NotEnoughData, reason);
    }
    let is_share = difference.unit == "share";
    if let Some(found) = apart(difference, options) {
        return found;
    }
    if !difference.reason.is_empty() {
        return (Verdict::NotEnoughData, difference.reason.clone());
    }
    let effect = if is_share { difference.difference } else { difference.ratio.map(less_one) };
    let (Some(effect), Some(test)) = (effect, &difference.test) else {
        let reason = match effect {
            None => "no records at hand, so nothing can be tested",
            Some(_) => "requests resemble each other too much for so few to tell",
        };
        return (Verdict::NotEnoughData, reason.to_owned());
    };
    let least = if is_share { MIN_SHARE } else { options.min_effect };
    let (change, needed) = (percent(effect.value, is_share), percent(least, is_share));
    let odds = format!("p {}", p_value(test.p_adjusted));
    let is_real = test.p_adjusted < ALPHA;
    if is_real && effect.value.abs() >= least {
        // The ranks of all requests tell more than the interval of one percentile.
        let holds_none = effect.low <= 0.0 && effect.high >= 0.0;
        let by =
            if holds_none { ", by all requests; the interval is of the figure alone" } else { "" };
        return (worse_if(effect.value > 0.0, difference), format!("certain ({odds}{by})"));
    }
    let widest = effect.low.abs().max(effect.high.abs());
    if is_real && widest <= least {
        return (Verdict::Same, format!("certain ({odds}), but {change} is less than {needed}"));
    }
    if is_real {
        let reason =
            format!("a change is certain ({odds}), and not whether it is {needed} or more");
        return (Verdict::NotEnoughData, reason);
    }
    if is_share {
        return (Verdict::Same, "within chance".to_owned());
    }
    if widest <= least {
        return (Verdict::Same, format!("within chance, and surely within {needed}"));
    }
    // An interval narrows with the square root of the samples. Of two that are alike the change found lies
    // within 0.8 halves of it with 88 %, and with it must lie within the least one that matters.
    let half = (effect.high - effect.low) / 2.0;
    let requests = significant_count(samples as f64 * (1.8 * half / least).powi(2).max(1.0));
    let reason = format!(
        "about {requests} requests a side would show that they are within {needed} if they are alike"
    );
    (Verdict::NotEnoughData, reason)
}

/// The verdict on runs too short to say how much their requests resemble each other, where they lie so
/// far apart that this does not matter.
fn apart(difference: &Difference, options: &Options) -> Option<(Verdict, String)> {
    let test = difference.test.as_ref().filter(|test| test.name == APART)?;
    let change = difference.new? / difference.base? - 1.0;
    if test.p_adjusted >= ALPHA || change.abs() < options.min_effect {
        return None;
    }
    let reason = format!(
        "the runs lie far further apart than either moved within itself (p {} at most, for servers up to \
         0.98 of their capacity)",
        p_value(test.p_adjusted)
    );
    Some((worse_if(change > 0.0, difference), reason))
}

/// Worse or better, for a figure that is higher than it was, or lower.
fn worse_if(is_higher: bool, difference: &Difference) -> Verdict {
    let metric = metric::find(&difference.metric);
    let lower_is_better = metric.and_then(|metric| metric.lower_is_better);
    if is_higher == (lower_is_better == Some(true)) { Verdict::Worse } else { Verdict::Better }
}

fn less_one(ratio: Estimate) -> Estimate {
    Estimate { value: ratio.value - 1.0, low: ratio.low - 1.0, high: ratio.high - 1.0 }
}

/// `+10.1 %`, or `+1.2 points` of shares.
fn percent(effect: f64, is_share: bool) -> String {
    let unit = if is_share { "points" } else { "%" };
    let number = significant(effect.abs() * 100.0, 3);
    let number = match number.trim_end_matches('0').trim_end_matches('.') {
        short if number.contains('.') => short,
        _ => &number,
    };
    format!("{}{number} {unit}", if effect < 0.0 { "−" } else { "" })
}

/// A p-value for people.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// A count to two significant digits, rounded up.
pub(super) fn significant_count(count: f64) -> String {
    let step = 10_f64.powf((count.max(1.0).log10().floor() - 1.0).max(0.0));
    format!("{:.0}", (count / step).ceil() * step)
}
