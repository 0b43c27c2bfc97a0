//! The charts of a comparison: changes with their intervals, and runs over each other.
//!
//! In: comparisons, and the runs behind them. Out: [`Picture`]s. Invariant: a curve is drawn from the
//! exact percentiles of all samples, never from a part of them.

use super::words::{judged, name, signed};
use super::{Arm, clean};
use crate::metrics::compare::{Comparison, Verdict};
use crate::metrics::distribution::percentile;
use crate::metrics::summary::StageSummary;
use crate::plan::metric::Origin;
use crate::report::chart::{Axis, Chart, Mark, Range, Shape, TONES, Tone};
use crate::report::view::Picture;

/// Most rows of the picture of changes.
const MOST_ROWS: usize = 40;
/// Most stages whose distributions are drawn.
const MOST_STAGES: usize = 12;
/// Samples that span more than this factor are drawn on a logarithmic axis.
const LOG_RATIO: f64 = 12.0;

/// The change of every median with its interval, one row each.
pub(super) fn changes(number: usize, found: &Comparison) -> Option<Picture> {
    let mut rows = Vec::new();
    let mut ranges = Vec::new();
    for stage in &found.stages {
        for difference in stage.differences.iter().filter(|it| it.percentile == Some(50.0)) {
            if !difference.has_samples() {
                continue;
            }
            let Some((change, unit)) = judged(difference).filter(|(_, unit)| *unit == "%") else {
                continue;
            };
            if rows.len() == MOST_ROWS || !(change.low.is_finite() && change.high.is_finite()) {
                continue;
            }
            let tone = match difference.verdict {
                Some(Verdict::Worse) => Tone::Bad,
                Some(Verdict::Better) => Tone::Series(2),
                _ => Tone::Muted,
            };
            ranges.push(Range {
                row: rows.len(),
                tone,
                value: change.value,
                interval: Some([change.low, change.high]),
                label: format!("{} {unit}", signed(change.value)),
            });
            rows.push(format!("{} {}", clean(&stage.label), name(difference)));
        }
    }
    let ends = || ranges.iter().filter_map(|range| range.interval).flatten();
    let reach = ends().map(f64::abs).fold(2.0 * found.method.min_effect, f64::max) * 1.08;
    if ranges.is_empty() {
        return None;
    }
    let low = ends().fold(-2.0 * found.method.min_effect, f64::min) * 1.08;
    let x = Axis::linear("change", "share", low, reach);
    let mut chart = Chart::new("What changed", x, Axis::rows(rows));
    chart.ranges = ranges;
    chart.marks = vec![Mark { at: 0.0, label: "no change".to_owned() }];
    let caption = "Medians: the bar is the change, the box its 95 % interval.".to_owned();
    Some(Picture { id: format!("changes-{}", number + 1), caption, chart })
}

/// The distributions and ladders of all runs over each other; the base first.
pub(super) fn overlays(runs: &[Arm]) -> Vec<Picture> {
    let mut pictures = Vec::new();
    let Some(base) = runs.first() else { return pictures };
    let mut ladders: Vec<(&str, Option<&str>)> = Vec::new();
    for stage in base.stages() {
        if stage.rung.is_some() {
            let key = (stage.id.as_str(), stage.cell.as_deref());
            if !ladders.contains(&key) {
                ladders.push(key);
            }
            continue;
        }
        if pictures.len() >= 2 * MOST_STAGES {
            continue;
        }
        // As in the table: where any run held requests back, all count from due.
        let mut matched = runs.iter().filter_map(|arm| arm.matching(stage));
        let is_late = matched.any(|it| it.times_from == Origin::Due);
        let from = if is_late { Origin::Due } else { Origin::Sent };
        for (metric, title) in [("ttft", "TTFT"), ("e2e", "E2E")] {
            let metric = from.of(metric);
            let curves: Vec<(String, Vec<f64>)> = runs
                .iter()
                .enumerate()
                .filter_map(|(number, arm)| {
                    let samples = arm.run.sorted(arm.matching(stage)?, metric);
                    (samples.len() > 1).then(|| (run_name(number, runs.len()), samples))
                })
                .collect();
            if curves.len() > 1 {
                let id = format!("cdf-{}", pictures.len());
                pictures.push(curves_chart(&id, &format!("{title} of {}", stage.label()), &curves));
            }
        }
    }
    for (id, cell) in ladders {
        pictures.extend(ladder(runs, id, cell, pictures.len()));
    }
    pictures
}

fn run_name(number: usize, runs: usize) -> String {
    match (number, runs) {
        (0, _) => "base".to_owned(),
        (_, 2) => "new".to_owned(),
        (number, _) => format!("new {number}"),
    }
}

fn tone(number: usize) -> Tone {
    Tone::Series(u8::try_from(number % TONES).unwrap_or(0))
}

fn curves_chart(id: &str, title: &str, curves: &[(String, Vec<f64>)]) -> Picture {
    let lines: Vec<Vec<[f64; 2]>> = curves.iter().map(|(_, samples)| curve(samples)).collect();
    let values: Vec<f64> = lines.iter().flatten().map(|point| point[0]).collect();
    let x = Axis::spanning("ms", &values, LOG_RATIO);
    let mut chart =
        Chart::new(&clean(title), x, Axis::linear("share of samples", "share", 0.0, 1.0));
    for (number, ((name, _), points)) in curves.iter().zip(lines).enumerate() {
        chart.add(name, Shape::Line, tone(number), points);
    }
    let caption = "Share of requests that took at most this long; further left is better.".into();
    Picture { id: id.to_owned(), caption, chart }
}

/// Each hundredth, finer in the slow tail.
fn curve(sorted: &[f64]) -> Vec<[f64; 2]> {
    let tail = (0..=10).map(|tenth| 99.0 + f64::from(tenth) / 10.0);
    let percents = (0..=98).map(f64::from).chain(tail);
    percents.filter_map(|percent| Some([percentile(sorted, percent)?, percent / 100.0])).collect()
}

/// A figure of a rung.
type Figure = (&'static str, &'static str, &'static str, fn(&StageSummary) -> Option<f64>);

/// What the rungs of a ladder gave in each run.
fn ladder(runs: &[Arm], id: &str, cell: Option<&str>, from: usize) -> Vec<Picture> {
    const FIGURES: [Figure; 3] = [
        ("TTFT p50", "ms", "Median time to first token at each level.", |stage| {
            stage.shown("ttft").map(|ttft| ttft.p50)
        }),
        ("E2E p99", "ms", "99th percentile of the end-to-end latency at each level.", |stage| {
            stage.shown("e2e").map(|e2e| e2e.p99)
        }),
        ("Throughput", "requests/s", "Answered requests per second at each level.", |stage| {
            stage.throughput.requests_per_second
        }),
    ];
    let mut pictures = Vec::new();
    for (title, unit, caption, take) in FIGURES {
        let lines: Vec<(String, Vec<[f64; 2]>)> = runs
            .iter()
            .enumerate()
            .map(|(number, arm)| {
                let of_cell =
                    |stage: &&StageSummary| arm.cell.is_some() || stage.cell.as_deref() == cell;
                let levels = arm.stages().filter(|stage| stage.id == id).filter(of_cell);
                let points = levels.filter_map(|stage| Some([stage.rung?, take(stage)?])).collect();
                (run_name(number, runs.len()), points)
            })
            .collect();
        let (xs, ys): (Vec<f64>, Vec<f64>) =
            lines.iter().flat_map(|(_, points)| points).map(|[x, y]| (*x, *y)).unzip();
        if ys.len() < 2 {
            continue;
        }
        let mut x = Axis::around("level", "", xs.iter().copied(), LOG_RATIO);
        x.stops = xs;
        x.stops.sort_unstable_by(f64::total_cmp);
        x.stops.dedup();
        let mut chart = Chart::new(
            &clean(&format!("{title} of {id}")),
            x,
            Axis::around("", unit, ys.into_iter(), LOG_RATIO),
        );
        for (number, (name, points)) in lines.into_iter().enumerate() {
            chart.add(&name, Shape::LineDots, tone(number), points);
        }
        let id = format!("ladder-{}", from + pictures.len());
        pictures.push(Picture { id, caption: caption.to_owned(), chart });
    }
    pictures
}
