//! The course of a load: its rounds, its steady part, its stretches.
//!
//! In: stages. Out: lines of text. Invariant: the steady part stands beside the whole and never in its
//! place; what was looked for and not found is said with the reason.

use super::escape::printable;
use crate::metrics::quantity::{grouped, plural, show};
use crate::metrics::rounds::RoundSummary;
use crate::metrics::steady::part::SteadySummary;
use crate::metrics::summary::{Distribution, StageSummary};
use crate::metrics::window::WindowStats;
use crate::plan::metric::Origin;

/// The figures that are shown of the spread over rounds, for people: metric, figure of it, name.
const SPREAD: [(&str, &str, &str); 4] = [
    ("ttft", ".p50", "TTFT p50"),
    ("ttft", ".p99", "TTFT p99"),
    ("requests_per_second", "", "answered"),
    ("output_tokens_per_second", "", "generated"),
];

/// Where each load was in steady state, where that is not all of it. Of the rungs of a ladder it is said
/// where a queue still grew when it ended, which shows before any limit is broken.
pub(super) fn steady(stages: &[&StageSummary]) -> Vec<String> {
    let still = |stage: &StageSummary| {
        stage.unsteady.as_ref().is_some_and(|why| why.contains("still rose"))
    };
    let is_told = |stage: &&&StageSummary| match stage.rung {
        None => !stage.steady.as_ref().is_some_and(|part| part.whole),
        Some(_) => still(stage),
    };
    let told = stages.iter().filter(is_told);
    told.filter_map(|stage| Some(format!("  {}: {}", label(stage), in_steady_state(stage)?)))
        .collect()
}

/// What is to be said of a stage's steady part; nothing where none was looked for.
pub(super) fn in_steady_state(stage: &StageSummary) -> Option<String> {
    match (&stage.steady, &stage.unsteady) {
        (Some(part), _) if part.whole => Some("all along".to_owned()),
        (Some(part), _) => Some(steady_part(part, stage.times_from)),
        // A handful of requests is no load that could settle, and nobody asks.
        (None, Some(why)) if why.starts_with("too few") => None,
        (None, Some(why)) => Some(format!("no steady part: {}", printable(why))),
        (None, None) => None,
    }
}

fn steady_part(part: &SteadySummary, from: Origin) -> String {
    let mut line = format!(
        "{}: {} of {} answered, {}",
        span(part.from_s, part.to_s),
        grouped(part.ok),
        plural(part.requests, "request"),
        show(part.requests_per_second, "requests/s"),
    );
    for (name, metric) in [("TTFT", "ttft"), ("ITL", "itl"), ("E2E", "e2e")] {
        line.push_str(
            &part.metrics.get(from.of(metric)).map(|it| times(name, it)).unwrap_or_default(),
        );
    }
    line
}

/// `, TTFT p50 12 ms, p99 30 ms`
fn times(name: &str, of: &Distribution) -> String {
    format!(", {name} p50 {}, p99 {}", show(of.p50, "ms"), show(of.p99, "ms"))
}

/// How far the rounds of each stage that has several lie apart, and, where asked for, `each`.
pub(super) fn rounds(stages: &[&StageSummary], each: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (stage, rounds) in stages.iter().filter_map(|it| Some((it, it.rounds.as_ref()?))) {
        lines.push(format!("  {}", label(stage)));
        let from = stage.times_from;
        let all = rounds.each.iter().filter(|_| each);
        lines.extend(all.map(|round| format!("    {}", one_round(round, from))));
        for (metric, figure, name) in SPREAD {
            let figure = format!("{}{figure}", from.of(metric));
            let Some(over) = rounds.over.get(&figure).filter(|over| over.rounds > 1) else {
                continue;
            };
            let unit = over.unit.as_str();
            let interval = over.interval.map(|(low, high)| {
                // None of these figures can be below 0.
                if low <= 0.0 && high > 0.0 {
                    return ", too far apart for an interval".to_owned();
                }
                format!(", 95 % CI of the mean {} to {}", show(low, unit), show(high, unit))
            });
            lines.push(format!(
                "    {name}: mean {}, from {} to {}{}",
                show(over.mean, unit),
                show(over.min, unit),
                show(over.max, unit),
                interval.unwrap_or_default()
            ));
        }
    }
    lines
}

fn one_round(round: &RoundSummary, from: Origin) -> String {
    let ttft = round.metrics.get(from.of("ttft")).map(|it| times("TTFT", it)).unwrap_or_default();
    let rate = round.achieved_rate.map(|rate| format!(", {}", show(rate, "requests/s")));
    format!(
        "round {}: {} of {} answered{}{ttft}",
        round.round + 1,
        grouped(round.counts.ok),
        plural(round.counts.planned, "request"),
        rate.unwrap_or_default(),
    )
}

/// The stretches of stages that keep statistics of each.
pub(super) fn windows(stages: &[&StageSummary]) -> Vec<String> {
    let mut lines = Vec::new();
    for stage in stages.iter().filter(|stage| !stage.windows.is_empty()) {
        // Stretches know no other times; where the stage's own are from due, that must be told.
        let from = if stage.times_from == Origin::Due { " (TTFT from sent)" } else { "" };
        lines.push(format!("  {}{from}", label(stage)));
        lines.extend(stage.windows.iter().map(|window| format!("    {}", one_window(window))));
    }
    lines
}

fn one_window(window: &WindowStats) -> String {
    let ttft = window
        .ttft_ms
        .map(|ttft| format!(", TTFT p50 {}, p99 {}", show(ttft.p50, "ms"), show(ttft.p99, "ms")));
    format!(
        "{}{}: {} of {} answered, {:.2}/s{}; tokens per minute {} in, {} out",
        span(window.start_s, window.end_s),
        if window.partial { " (cut short)" } else { "" },
        window.ok,
        plural(window.requests, "request"),
        window.requests_per_second,
        ttft.unwrap_or_default(),
        per_minute(window.input_tokens_per_minute),
        per_minute(window.output_tokens_per_minute),
    )
}

fn per_minute(tokens: Option<f64>) -> String {
    tokens.map_or_else(|| "–".to_owned(), |tokens| format!("{tokens:.0}"))
}

/// `10 s to 55 s`
fn span(from_s: f64, to_s: f64) -> String {
    format!("{} to {}", show(from_s * 1e3, "ms"), show(to_s * 1e3, "ms"))
}

fn label(stage: &StageSummary) -> String {
    printable(&stage.label()).into_owned()
}
