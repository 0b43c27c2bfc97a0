//! A comparison in sentences: what is better or worse, by how much, and how that was judged.
//!
//! In: a [`Comparison`]. Out: sentences, and figures in words. Invariant: an interval stands beside
//! its change, and what is not certain is not called a difference.

use super::clean;
use crate::metrics::compare::interval::REPLICATES;
use crate::metrics::compare::{APART, Comparison, Difference, Verdict};
use crate::metrics::estimate::Estimate;
use crate::metrics::quantity::{plural, show};
use crate::metrics::saturation::Axis;
use crate::report::ticks::plain;

/// The largest difference, or that there is none.
pub(super) fn headline(found: &Comparison) -> String {
    let all = found.stages.len();
    let decided = |verdict: Verdict| {
        let stages = found.stages.iter().filter(move |stage| stage.verdict == verdict);
        stages.flat_map(move |stage| {
            let figures = stage.differences.iter().filter(move |it| it.verdict == Some(verdict));
            figures.map(move |figure| (stage, figure))
        })
    };
    for (verdict, word) in [(Verdict::Worse, "Worse"), (Verdict::Better, "Better")] {
        let largest = decided(verdict).max_by(|a, b| effect(a.1).total_cmp(&effect(b.1)));
        if let Some((stage, figure)) = largest {
            let count = found.stages.iter().filter(|stage| stage.verdict == verdict).count();
            let (stage, change) = (clean(&stage.label), change(figure));
            let stages = plural(all as u64, "stage");
            let figure = name(figure);
            return format!(
                "{word} in {count} of {stages}; most of all {figure} of {stage}: {change}."
            );
        }
    }
    let min = plain(found.method.min_effect * 100.0, 3);
    match found.verdict {
        _ if found.stages.is_empty() => "The runs have no stage in common.".to_owned(),
        Verdict::Same => {
            format!(
                "The same: no certain difference of {min} % or more in {}.",
                plural(all as u64, "stage")
            )
        }
        _ => format!("Not enough data to tell a difference of {min} %."),
    }
}

/// What is worse, better, the same, or open, stage by stage.
pub(super) fn findings(found: &Comparison) -> Vec<String> {
    let min = format!("{} %", plain(found.method.min_effect * 100.0, 3));
    let mut sentences = Vec::new();
    for (verdict, word) in [(Verdict::Worse, "Worse"), (Verdict::Better, "Better")] {
        for stage in &found.stages {
            let mut figures: Vec<&Difference> =
                stage.differences.iter().filter(|it| it.verdict == Some(verdict)).collect();
            if figures.is_empty() {
                continue;
            }
            figures.sort_by(|a, b| effect(b).total_cmp(&effect(a)));
            let all: Vec<String> = figures.iter().map(|figure| in_words(figure)).collect();
            sentences.push(format!("{word} in {}: {}.", clean(&stage.label), all.join("; ")));
        }
    }
    let labels = |verdict: Verdict| -> Vec<String> {
        let stages = found.stages.iter().filter(|stage| stage.verdict == verdict);
        stages.map(|stage| clean(&stage.label)).collect()
    };
    let same = labels(Verdict::Same);
    let undecided = found.stages.iter().filter(|stage| stage.verdict == Verdict::NotEnoughData);
    let open: Vec<String> = undecided
        .map(|stage| {
            let open =
                stage.differences.iter().filter(|it| it.verdict == Some(Verdict::NotEnoughData));
            let figures: Vec<String> = open.map(name).collect();
            format!("{} ({})", clean(&stage.label), figures.join(", "))
        })
        .collect();
    if !same.is_empty() {
        sentences.push(format!("The same, to within {min}: {}.", same.join(", ")));
    }
    if !open.is_empty() {
        sentences.push(format!("Not enough data to tell: {}.", open.join(", ")));
    }
    if found.stages.is_empty() {
        sentences.push("The runs have no stage in common, so there is nothing to compare.".into());
    }
    for capacity in &found.capacity {
        let unit = if capacity.axis == Axis::Rate { " requests/s" } else { " at a time" };
        let level = |level: Option<f64>| {
            level.map_or_else(|| "nothing".to_owned(), |level| format!("{}{unit}", plain(level, 3)))
        };
        let (base, new) = (level(capacity.base), level(capacity.new));
        let stage = clean(&capacity.stage);
        sentences.push(if base == new {
            format!("{stage} sustains {base}, as before.")
        } else {
            format!("{stage} sustains {new}; the base sustained {base}.")
        });
    }
    sentences
}

/// How large the change is, whichever way it goes.
fn effect(difference: &Difference) -> f64 {
    let share = difference.difference.filter(|_| difference.unit == "share");
    let ratio = difference.ratio.map(|ratio| ratio.value - 1.0);
    ratio.or(share.map(|share| share.value)).map_or(0.0, f64::abs)
}

/// `TTFT p50 261 ms → 287 ms, +10.1 % (95 % CI +9.2 to +10.9 %)`.
fn in_words(difference: &Difference) -> String {
    let figure = |value: Option<f64>| {
        value.map_or_else(|| "–".to_owned(), |value| show(value, &difference.unit))
    };
    let interval = interval(difference);
    let interval = interval.map_or_else(String::new, |it| format!(" (95 % CI {it})"));
    format!(
        "{} {} → {}, {}{interval}",
        name(difference),
        figure(difference.base),
        figure(difference.new),
        change(difference),
    )
}

/// `TTFT p50`.
pub(super) fn name(difference: &Difference) -> String {
    let metric = match difference.metric.as_str() {
        short @ ("ttft" | "ttfo" | "e2e" | "tpot" | "itl") => short.to_uppercase(),
        late @ ("ttft_due" | "ttfo_due" | "e2e_due") => {
            format!("{} from due,", late.trim_end_matches("_due").to_uppercase())
        }
        "requests_per_second" => "requests/s".to_owned(),
        "output_tokens_per_second" => "tokens/s".to_owned(),
        other => other.replace('_', " "),
    };
    match difference.percentile {
        Some(percentile) => format!("{metric} p{}", plain(percentile, 4)),
        None => metric,
    }
}

/// The change that is judged: relative, or in points where shares are compared.
pub(super) fn judged(difference: &Difference) -> Option<(Estimate, &'static str)> {
    if difference.unit == "share" {
        return difference.difference.map(|it| (it, "points"));
    }
    let ratio = difference.ratio?;
    let less_one =
        Estimate { value: ratio.value - 1.0, low: ratio.low - 1.0, high: ratio.high - 1.0 };
    Some((less_one, "%"))
}

/// `+10.1 %`, or `+1.2 points` of shares.
pub(super) fn change(difference: &Difference) -> String {
    if let Some((estimate, unit)) = judged(difference) {
        return format!("{} {unit}", signed(estimate.value));
    }
    match difference.base.zip(difference.new) {
        Some((base, new)) if base > 0.0 => format!("{} %", signed(new / base - 1.0)),
        _ => "–".to_owned(),
    }
}

/// `+9.2 to +10.9 %`; nothing of samples too few to have one.
pub(super) fn interval(difference: &Difference) -> Option<String> {
    let (it, unit) = judged(difference).filter(|_| difference.has_samples())?;
    Some(format!("{} to {} {unit}", signed(it.low), signed(it.high)))
}

/// A share in percent with its sign.
pub(super) fn signed(share: f64) -> String {
    let percent = share * 100.0;
    // 9.96 is shown as 10, so that it has no more digits than 10.04.
    let digits = usize::from(percent.abs() < 9.95);
    let text = format!("{:.digits$}", percent.abs());
    if text == "0.0" {
        return "0".to_owned();
    }
    format!("{}{text}", if percent < 0.0 { "−" } else { "+" })
}

/// How it was judged.
pub(super) fn method(found: &Comparison) -> Vec<String> {
    let method = &found.method;
    let min = plain(method.min_effect * 100.0, 3);
    let mut sentences = vec![format!(
        "A figure is better or worse when the difference is beyond chance (p under {} after \
             Holm's correction over the {} of the comparison, of which those of tails count half) and at least {min} % (error rates: {} \
             percentage points). It is the same when it is a certain difference smaller than that, or \
             when the 95 % interval lies within ± {min} %. Else there is not enough data.",
        method.alpha,
        plural(method.tests as u64, "test"),
        plain(method.min_share * 100.0, 2),
    )];
    sentences.push(if method.paired {
        "Medians: Wilcoxon's signed-rank test over pairs of requests that were sent one after the \
         other; the change is the median of the ratios within pairs."
            .into()
    } else {
        "Medians: Mann-Whitney U, normal approximation with tie and continuity correction. Other \
         percentiles: the share of each side above the pooled percentile (Mood's test), where ten \
         samples or more lie beyond it. Error rates: two proportions, exact where fewer than five \
         errors are expected."
            .into()
    });
    let is_apart = |it: &Difference| it.test.as_ref().is_some_and(|test| test.name == APART);
    if found.stages.iter().flat_map(|stage| &stage.differences).any(is_apart) {
        sentences.push(
            "Medians of runs too short for that: how many times further apart the runs lie than either \
             moved within itself (medians of ten batches), held against queues up to 0.98 of their \
             capacity."
                .into(),
        );
    }
    let is_pooled = |it: &Difference| it.metric == "itl";
    if found.stages.iter().flat_map(|stage| &stage.differences).any(is_pooled) {
        sentences.push(
            "Gaps between tokens (ITL): all gaps of a stage in one pool, tested and resampled as if \
             there were as many as the requests are worth, since the gaps of one answer resemble \
             each other (design effect of clusters)."
                .into(),
        );
    }
    sentences.push(format!(
        "Intervals: seeded bootstrap of the percentiles, {REPLICATES} resamples; error rates by \
         Newcombe. Requests that resemble their neighbours in time (a queue that builds up) count \
         for less, by their rank correlation."
    ));
    sentences.push(
        "All this is about chance among the requests of these runs. What differed between the runs as \
         a whole (another neighbour on the machine, a warmer GPU) is not chance and looks like a \
         change: repeat runs, or compare endpoints within one run."
            .into(),
    );
    sentences
}
