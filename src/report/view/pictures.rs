//! The charts of a report.
//!
//! In: stages with their numbers and samples. Out: [`Picture`]s. Invariants: every dot is a request,
//! every curve is what its caption says; a chart without data is left out.

use super::ladder::{Ladder, Load};
use super::{Group, Picture};
use crate::metrics::distribution::percentile;
use crate::metrics::quantity::{grouped, show};
use crate::metrics::summary::{Distribution, StageSummary, Throughput};
use crate::metrics::token_account::TokenBasis;
use crate::report::chart::{Axis, Chart, Mark, Range, Shape, TONES, Tone};
use crate::report::samples::StageSamples;

/// Dots of one row of the side-by-side chart.
const ROW_DOTS: usize = 250;
/// Samples that span more than this factor are drawn on a logarithmic axis.
pub(super) const LOG_RATIO: f64 = 12.0;

/// A chart with its place in the page.
pub(super) fn picture(id: &str, caption: impl Into<String>, chart: Chart) -> Picture {
    Picture { id: id.to_owned(), caption: caption.into(), chart }
}

/// The colour of the n-th series.
pub(super) fn series_tone(number: usize) -> Tone {
    Tone::Series(u8::try_from(number % TONES).unwrap_or(0))
}

/// Charts over all stages.
pub(super) fn comparisons(groups: &[Group]) -> Vec<Picture> {
    let mut pictures = Vec::new();
    pictures.extend(side_by_side(groups));
    let curves = [
        ("ttft", "Time to first token", "cdf-ttft"),
        ("e2e", "End to end", "cdf-e2e"),
        ("itl", "Inter-token latency", "cdf-itl"),
        ("tpot", "Time per output token", "cdf-tpot"),
    ];
    for (metric, title, id) in curves {
        pictures.extend(distribution(groups, metric, title, id));
    }
    pictures
}

/// What must be said when not every request has its dot.
pub(super) fn sampled(shown: u64, all: u64) -> String {
    if shown >= all {
        return String::new();
    }
    let (shown, all) = (grouped(shown), grouped(all));
    format!(" ({shown} of {all}: a uniform random sample and the slowest of each stage)")
}

/// TTFT of each stage as dots, median and interval, one row per stage.
fn side_by_side(groups: &[Group]) -> Option<Picture> {
    let measured: Vec<(&Group, &Distribution)> = groups
        .iter()
        .filter(|group| group.ladder.is_none())
        .filter_map(|group| Some((group, group.ttft()?)))
        .collect();
    if measured.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    let (mut ranges, mut dots) = (Vec::new(), Vec::new());
    for (row, (group, ttft)) in measured.iter().enumerate() {
        let tone = group.tone;
        rows.push(group.name());
        let (median, interval) = (ttft.p50, ttft.p50_interval);
        ranges.push(Range { row, tone, value: median, interval, label: show(median, "ms") });
        let samples = group.samples.first().copied().flatten();
        let points = samples
            .map(|samples| samples.dots(ROW_DOTS, group.first().times_from))
            .unwrap_or_default();
        let scattered = points.iter().enumerate().map(|(number, [_, ttft])| {
            // A fixed scatter around the middle of the row, so that dots do not hide each other.
            let turn = (number as f64 * 0.618_034).fract() - 0.5;
            [*ttft, row as f64 + 0.5 + turn * 0.5]
        });
        dots.push((group.name(), tone, scattered.collect::<Vec<_>>()));
    }
    let values = dots.iter().flat_map(|(_, _, points)| points.iter().map(|point| point[0]));
    let x = Axis::around("TTFT", "ms", values, LOG_RATIO / 2.0);
    let mut chart = Chart::new("TTFT, stage by stage", x, Axis::rows(rows));
    chart.ranges = ranges;
    for (name, tone, points) in dots {
        chart.add(&name, Shape::Dots, tone, points);
    }
    let shown = chart.series.iter().map(|series| series.points.len() as u64).sum();
    let all = measured.iter().filter_map(|(group, _)| group.samples.first().copied().flatten());
    let caption = format!(
        "Each dot is a request{}, the bar its stage's median, the box the median's 95 % interval.",
        sampled(shown, all.map(StageSamples::timed).sum())
    );
    Some(picture("ttft", caption, chart))
}

/// How a metric is distributed in each stage.
fn distribution(groups: &[Group], metric: &str, title: &str, id: &str) -> Option<Picture> {
    let mut curves = Vec::new();
    for group in groups.iter().filter(|group| group.ladder.is_none()) {
        let samples = group.samples.first().copied().flatten();
        curves.extend(samples.and_then(|samples| {
            Some((group.name(), group.tone, curve(samples, group.first(), metric)?))
        }));
    }
    let what = if metric == "itl" { "gaps between tokens" } else { "requests" };
    let caption = format!("Share of {what} that took at most this long; further left is better.");
    curves_chart(curves, title).map(|chart| picture(id, caption, chart))
}

fn curves_chart(curves: Vec<(String, Tone, Vec<[f64; 2]>)>, title: &str) -> Option<Chart> {
    if curves.is_empty() {
        return None;
    }
    let values = curves.iter().flat_map(|(_, _, points)| points.iter().map(|point| point[0]));
    let x = Axis::spanning("ms", &values.collect::<Vec<_>>(), LOG_RATIO);
    let y = Axis::linear("share of samples", "share", 0.0, 1.0);
    let mut chart = Chart::new(title, x, y);
    for (name, tone, points) in curves {
        chart.add(&name, Shape::Line, tone, points);
    }
    Some(chart)
}

/// The distribution function of a metric: each hundredth, finer in the slow tail.
fn curve(samples: &StageSamples, stage: &StageSummary, metric: &str) -> Option<Vec<[f64; 2]>> {
    let figures = stage.shown(metric)?;
    let (sorted, _) = samples.sample(stage.times_from.of(metric));
    // A gap of nothing (tokens of one chunk) has no place on a logarithmic axis.
    let hundredths = (0..=98).map(f64::from);
    let tail = (0..=9).map(|tenth| 99.0 + f64::from(tenth) / 10.0);
    let mut points: Vec<[f64; 2]> = hundredths
        .chain(tail)
        .filter_map(|percent| Some([percentile(&sorted, percent)?, percent / 100.0]))
        .collect();
    points.push([figures.max, 1.0]);
    (sorted.len() > 1).then_some(points)
}

/// The charts of one stage: those of a ladder.
pub(super) fn stage(group: &Group, anchor: &str) -> Vec<Picture> {
    let Some(ladder) = group.ladder.as_ref().filter(|ladder| ladder.rungs.len() > 1) else {
        return Vec::new();
    };
    let id = |name: &str| format!("{anchor}-{name}");
    let mut pictures = vec![throughput(ladder, &id("throughput")), success(ladder, &id("success"))];
    for (metric, title) in [("ttft", "TTFT"), ("e2e", "E2E"), ("tpot", "TPOT")] {
        pictures.extend(percentiles(ladder, metric, title, &id(metric)));
    }
    pictures.extend(tokens(ladder, &id("tokens")));
    pictures.extend(rung_curves(group, ladder, &id("cdf")));
    pictures
}

fn load_axis(ladder: &Ladder) -> Axis {
    let levels = || ladder.rungs.iter().map(|rung| rung.level);
    let mut axis = Axis::around(ladder.load.label(), ladder.load.unit(), levels(), LOG_RATIO);
    axis.stops = levels().collect();
    axis
}

fn ladder_chart(ladder: &Ladder, title: &str, y: Axis) -> Chart {
    let mut chart = Chart::new(title, load_axis(ladder), y);
    let limit = if ladder.search.is_some() { "does not hold" } else { "saturated" };
    chart.marks = ladder
        .saturated
        .into_iter()
        .map(|level| Mark { at: level, label: limit.to_owned() })
        .collect();
    chart
}

fn points(ladder: &Ladder, take: impl Fn(&StageSummary) -> Option<f64>) -> Vec<[f64; 2]> {
    ladder.rungs.iter().filter_map(|rung| Some([rung.level, take(rung.stage)?])).collect()
}

/// The vertical places of lines.
pub(super) fn heights<'a>(lines: impl IntoIterator<Item = &'a Vec<[f64; 2]>>) -> Vec<f64> {
    lines.into_iter().flatten().map(|point| point[1]).collect()
}

fn throughput(ladder: &Ladder, id: &str) -> Picture {
    let served = points(ladder, |stage| stage.throughput.requests_per_second);
    let asked = match ladder.load {
        Load::Rate => points(ladder, |stage| stage.rung),
        Load::Concurrency => Vec::new(),
    };
    let values = heights([&served, &asked]);
    let y = Axis::around("achieved", "requests/s", values.into_iter(), LOG_RATIO);
    let mut chart = ladder_chart(ladder, "Throughput", y);
    chart.add("as asked", Shape::Guide, Tone::Muted, asked);
    chart.add("achieved", Shape::LineDots, series_tone(0), served);
    let caption = match ladder.load {
        Load::Rate => {
            "Answers per second as long as they keep up with the schedule; less where they trail."
        }
        Load::Concurrency => {
            "Answers per second from when as many had ended as there are users until the last request \
             was sent (of all the time, where that is less than a third of it)."
        }
    };
    picture(id, caption, chart)
}

fn success(ladder: &Ladder, id: &str) -> Picture {
    let rates = points(ladder, |stage| stage.success_rate);
    let lowest = rates.iter().map(|point| point[1]).fold(1.0, f64::min);
    // Close to 100 % the interesting part is what is missing.
    let floor = if lowest > 0.9 { 0.9 } else { 0.0 };
    let y = Axis::linear("success", "share", floor, 1.0);
    let mut chart = ladder_chart(ladder, "Success rate", y);
    chart.add("success rate", Shape::LineDots, series_tone(2), rates);
    picture(id, "ok / (ok + errors).", chart)
}

/// One percentile of a metric: name, figure, colour.
type Percentile = (&'static str, fn(&Distribution) -> f64, u8);

fn percentiles(ladder: &Ladder, metric: &str, title: &str, id: &str) -> Option<Picture> {
    const SHOWN: [Percentile; 3] =
        [("p50", |d| d.p50, 0), ("p95", |d| d.p95, 4), ("p99", |d| d.p99, 1)];
    let lines = SHOWN.map(|(name, take, tone)| {
        (name, tone, points(ladder, |stage| stage.shown(metric).map(take)))
    });
    let values = heights(lines.iter().map(|(_, _, points)| points));
    if values.is_empty() {
        return None;
    }
    let y = Axis::around("", "ms", values.into_iter(), LOG_RATIO);
    let mut chart = ladder_chart(ladder, title, y);
    for (name, tone, points) in lines {
        chart.add(name, Shape::LineDots, Tone::Series(tone), points);
    }
    chart.direct_labels = true;
    Some(picture(id, "Percentiles over answered requests.", chart))
}

fn tokens(ladder: &Ladder, id: &str) -> Option<Picture> {
    let of = |take: fn(&Throughput) -> Option<f64>| points(ladder, |stage| take(&stage.throughput));
    let tokens = of(|rate| rate.output_tokens_per_second);
    let events = of(|rate| rate.output_events_per_second);
    let (output, title, unit) = if tokens.is_empty() {
        (events, "Output events (tokens were not counted)", "events/s")
    } else {
        (tokens, "Output tokens", "tokens/s")
    };
    if output.is_empty() {
        return None;
    }
    let y = Axis::around("generated", unit, heights([&output]).into_iter(), LOG_RATIO);
    let mut chart = ladder_chart(ladder, title, y);
    chart.add("generated", Shape::LineDots, series_tone(5), output);
    let sources = ladder.rungs.iter().filter_map(|rung| rung.stage.tokens.as_ref()?.output.source);
    let source = sources.map(TokenBasis::word).next().unwrap_or("nobody");
    let caption = format!(
        "What answered requests generated per second, by the same clock as answers per second, \
         counted by: {source}."
    );
    Some(picture(id, caption, chart))
}

/// TTFT of some rungs as curves: the first, the last and evenly spaced ones between. E2E where answers
/// came whole and have none.
fn rung_curves(group: &Group, ladder: &Ladder, id: &str) -> Option<Picture> {
    let count = ladder.rungs.len();
    let shown = count.min(TONES);
    let chosen = (0..shown).map(|step| step * (count - 1) / shown.max(2).saturating_sub(1));
    let has_ttft = group.stages.iter().any(|stage| stage.metrics.contains_key("ttft"));
    let (metric, title, what) = if has_ttft {
        (
            "ttft",
            "TTFT at each level",
            "Share of requests whose first token took at most this long.",
        )
    } else {
        ("e2e", "E2E at each level", "Share of requests whose answer took at most this long.")
    };
    let curves = chosen.enumerate().filter_map(|(step, number)| {
        let rung = ladder.rungs.get(number)?;
        let place = group.stages.iter().position(|stage| std::ptr::eq(*stage, rung.stage))?;
        let samples = group.samples.get(place).copied().flatten()?;
        let step = if shown > 1 { step * (TONES - 1) / (shown - 1) } else { 0 };
        let tone = Tone::Ramp(u8::try_from(step).unwrap_or(0));
        Some((
            ladder.load.say(rung.level) + &rung.number(),
            tone,
            curve(samples, rung.stage, metric)?,
        ))
    });
    let chart = curves_chart(curves.collect(), title)?;
    let which = if shown < count {
        format!("{shown} of {count} levels, evenly chosen. ")
    } else {
        String::new()
    };
    Some(picture(id, format!("{which}{what}"), chart))
}
