//! The timeline of a run: what went on at each moment.
//!
//! In: stages with their samples. Out: [`Picture`]s that share their horizontal axis. Invariants:
//! every dot is a request; a chart without data is left out.

use super::pictures::{LOG_RATIO, heights, picture, sampled, series_tone};
use super::{Group, Picture, text};
use crate::report::chart::{Axis, Band, Chart, Shape, Tone};
use crate::report::samples::RunSamples;
use crate::report::server_series;
use crate::report::ticks::{plain, say};
use crate::report::timeline::Interval;

/// Dots on the timeline, over all stages.
const TIMELINE_DOTS: usize = 4_000;
/// Most intervals on the timeline: more would be narrower than a few pixels.
const INTERVALS: usize = 200;

/// What went on at each moment.
pub(super) fn timeline(groups: &[Group], samples: &RunSamples) -> Vec<Picture> {
    let timeline = samples.timeline.coarser(INTERVALS);
    let intervals = timeline.intervals();
    let last = samples.stages.iter().map(|stage| stage.last_ns).max().unwrap_or(0);
    let Some(end) = intervals.last().map(|interval| interval.at_s.max(last as f64 / 1e9)) else {
        return Vec::new();
    };
    let x = || Axis::linear("time of the run", "s", 0.0, end);
    let bands = bands(groups);
    let mut pictures = Vec::new();
    let mut add = |id: &str, caption: String, mut chart: Chart| {
        chart.bands.clone_from(&bands);
        pictures.push(picture(id, caption, chart));
    };
    if let Some(chart) = scatter(groups, x()) {
        let dots = chart.series.iter().filter(|series| series.shape == Shape::Dots);
        let shown = dots.map(|series| series.points.len() as u64).sum();
        let all = groups.iter().flat_map(|group| group.samples.iter().flatten());
        let how_many = sampled(shown, all.map(|samples| samples.timed()).sum());
        let crosses = if chart.series.iter().any(|series| series.shape == Shape::Crosses) {
            " Crosses are failed requests."
        } else {
            ""
        };
        let caption =
            format!("Each dot is a request{how_many} at the moment it was sent.{crosses}");
        add("time-ttft", caption, chart);
    }
    let line = |take: fn(&Interval) -> f64| -> Vec<[f64; 2]> {
        intervals.iter().map(|interval| [interval.at_s, take(interval)]).collect()
    };
    let width = say(timeline.width_s(), "s");
    let in_flight = line(|interval| interval.in_flight);
    let y = Axis::around("requests", "", heights([&in_flight]).into_iter(), f64::INFINITY);
    let mut chart = Chart::new("In flight", x(), y);
    chart.add("in flight", Shape::Area, series_tone(5), in_flight);
    add("time-in-flight", format!("Mean number of requests under way in each {width}."), chart);
    let arrivals = line(|interval| interval.arrivals);
    let completions = line(|interval| interval.completions);
    let y = Axis::around(
        "",
        "requests/s",
        heights([&arrivals, &completions]).into_iter(),
        f64::INFINITY,
    );
    let mut chart = Chart::new("Arrivals and answers", x(), y);
    chart.add("sent", Shape::Area, series_tone(7), arrivals);
    chart.add("answered", Shape::Line, series_tone(2), completions);
    add("time-rates", format!("Requests per second in each {width}."), chart);
    let tokens = line(|interval| interval.tokens);
    if tokens.iter().any(|point| point[1] > 0.0) {
        let y = Axis::around("events/s", "", heights([&tokens]).into_iter(), f64::INFINITY);
        let mut chart = Chart::new("Token events", x(), y);
        chart.add("token events", Shape::Area, series_tone(0), tokens);
        add(
            "time-tokens",
            format!("Token-bearing stream events per second in each {width}."),
            chart,
        );
    }
    for (id, title, places) in [
        ("time-server", "The server's own account: requests", &[0, 1][..]),
        ("time-server-use", "The server's own account: use", &[2, 3]),
    ] {
        let told: Vec<(usize, Vec<[f64; 2]>)> = places
            .iter()
            .map(|&place| (place, samples.server.points(place)))
            .filter(|(_, points)| !points.is_empty())
            .collect();
        let Some(&(first, _)) = told.first() else { continue };
        let tops = heights(told.iter().map(|(_, points)| points));
        let unit = server_series::DRAWN[first].2;
        let y = Axis::around(unit, "", tops.into_iter(), f64::INFINITY);
        let mut chart = Chart::new(title, x(), y);
        for (place, points) in &told {
            let name = server_series::DRAWN[*place].1;
            chart.add(name, Shape::Line, series_tone(*place + 3), points.clone());
        }
        let caption = "Read from the server's metrics before, during and after each stage.";
        add(id, caption.to_owned(), chart);
    }
    if intervals.iter().any(|interval| interval.errors > 0) {
        let errors = line(|interval| interval.errors as f64);
        let y = Axis::around("requests", "", heights([&errors]).into_iter(), f64::INFINITY);
        let mut chart = Chart::new("Errors", x(), y);
        chart.add("failed", Shape::Area, Tone::Bad, errors);
        add("time-errors", format!("Failed requests in each {width}."), chart);
    }
    pictures
}

fn bands(groups: &[Group]) -> Vec<Band> {
    let sampled = groups.iter().flat_map(|group| {
        let rungs = group.ladder.is_some();
        group.samples.iter().flatten().map(move |samples| (rungs, samples))
    });
    let mut bands: Vec<Band> = sampled
        .map(|(rungs, samples)| {
            let start = &samples.start;
            let label = match start.rung {
                Some(rung) if rungs => format!("@{}", plain(rung, 4)),
                _ => text(&start.stage),
            };
            Band { from: start.at_ns as f64 / 1e9, to: samples.last_ns as f64 / 1e9, label }
        })
        .collect();
    bands.sort_by(|left, right| left.from.total_cmp(&right.from));
    bands
}

fn scatter(groups: &[Group], x: Axis) -> Option<Chart> {
    let stages = groups.iter().map(|group| group.samples.iter().flatten().count()).sum::<usize>();
    let most = (TIMELINE_DOTS / stages.max(1)).max(20);
    let dots: Vec<(String, Tone, Vec<[f64; 2]>)> = groups
        .iter()
        .map(|group| {
            let seen = group.samples.iter().zip(&group.stages);
            let dots = seen.filter_map(|(samples, stage)| {
                samples.as_ref().map(|samples| samples.dots(most, stage.times_from))
            });
            let dots = dots.flatten();
            (group.name(), group.tone, dots.collect())
        })
        .collect();
    let values = heights(dots.iter().map(|(_, _, points)| points));
    if values.is_empty() {
        return None;
    }
    let y = Axis::around("", "ms", values.into_iter(), LOG_RATIO);
    let floor = y.min;
    let failed = groups.iter().flat_map(|group| group.samples.iter().flatten());
    let failed: Vec<[f64; 2]> =
        failed.flat_map(|samples| samples.failed_at.kept()).map(|at| [*at, floor]).collect();
    let mut chart = Chart::new("TTFT of each request", x, y);
    for (name, tone, points) in dots {
        chart.add(&name, Shape::Dots, tone, points);
    }
    chart.add("failed", Shape::Crosses, Tone::Bad, failed);
    Some(chart)
}
