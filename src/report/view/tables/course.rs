//! The course of a load in tables: its steady part and its rounds beside the whole, and its stretches.
//!
//! In: a stage. Out: [`Table`]s, empty where there is nothing of the kind. Invariant: the whole stands
//! first, and its parts below it under the same columns.

use std::collections::BTreeMap;

use super::{Cell, Group, Table, rate, table};
use crate::metrics::quantity::grouped;
use crate::metrics::summary::Distribution;
use crate::metrics::window::Quantiles;
use crate::plan::metric::Origin;
use crate::report::view::Mood;

/// A part of a stage with figures of its own.
struct Part<'s> {
    name: String,
    from_s: f64,
    to_s: f64,
    ok: u64,
    requests: u64,
    per_second: Option<f64>,
    tokens_per_second: Option<f64>,
    metrics: &'s BTreeMap<String, Distribution>,
}

/// The whole of a stage, its steady part and its rounds; nothing where the whole is all there is.
pub(in crate::report::view) fn parts(group: &Group) -> Table {
    let stage = group.first();
    let steady = stage.steady.as_ref().filter(|part| !part.whole);
    if group.ladder.is_some() || (steady.is_none() && stage.rounds.is_none()) {
        return Table::default();
    }
    let from = stage.times_from;
    let mut rows = vec![row(
        from,
        &Part {
            name: "the whole".to_owned(),
            from_s: 0.0,
            to_s: stage.duration_s,
            ok: stage.counts.ok,
            requests: stage.counts.planned,
            per_second: stage.throughput.requests_per_second,
            tokens_per_second: stage.throughput.output_tokens_per_second,
            metrics: &stage.metrics,
        },
    )];
    rows.extend(steady.map(|part| {
        row(
            from,
            &Part {
                name: "its steady part".to_owned(),
                from_s: part.from_s,
                to_s: part.to_s,
                ok: part.ok,
                requests: part.requests,
                per_second: Some(part.requests_per_second),
                tokens_per_second: part.output_tokens_per_second,
                metrics: &part.metrics,
            },
        )
    }));
    rows.extend(stage.rounds.iter().flat_map(|rounds| &rounds.each).map(|round| {
        row(
            from,
            &Part {
                name: format!("round {}", round.round + 1),
                from_s: round.start_s,
                to_s: round.end_s,
                ok: round.counts.ok,
                requests: round.counts.planned,
                per_second: round.throughput.requests_per_second,
                tokens_per_second: round.throughput.output_tokens_per_second,
                metrics: &round.metrics,
            },
        )
    }));
    let columns = [
        "'part",
        "from",
        "to",
        "ok / requests",
        "requests/s",
        "TTFT p50",
        "TTFT p99",
        "E2E p50",
        "E2E p99",
        "TPOT p50",
        "ITL p99",
        "tokens/s",
    ];
    table(&columns, rows)
}

fn row(from: Origin, part: &Part<'_>) -> Vec<Cell> {
    let figure = |metric: &str, take: fn(&Distribution) -> f64| {
        Cell::number(part.metrics.get(from.of(metric)).map(take), "ms")
    };
    vec![
        Cell::text(part.name.clone()),
        seconds(part.from_s),
        seconds(part.to_s),
        answered(part.ok, part.requests),
        rate(part.per_second),
        figure("ttft", |it| it.p50),
        figure("ttft", |it| it.p99),
        figure("e2e", |it| it.p50),
        figure("e2e", |it| it.p99),
        figure("tpot", |it| it.p50),
        figure("itl", |it| it.p99),
        rate(part.tokens_per_second),
    ]
}

/// The stretches of a stage that keeps statistics of each.
pub(in crate::report::view) fn windows(group: &Group) -> Table {
    let windows = &group.first().windows;
    if windows.is_empty() || group.ladder.is_some() {
        return Table::default();
    }
    let rows = windows.iter().map(|window| {
        let figure = |of: Option<Quantiles>, take: fn(&Quantiles) -> f64| {
            Cell::number(of.as_ref().map(take), "ms")
        };
        let end = seconds(window.end_s);
        let cut = if window.partial { " (cut short)" } else { "" };
        let end = Cell { text: format!("{}{cut}", end.text), ..end };
        vec![
            seconds(window.start_s),
            end,
            answered(window.ok, window.requests),
            rate(Some(window.requests_per_second)),
            figure(window.ttft_ms, |it| it.p50),
            figure(window.ttft_ms, |it| it.p99),
            figure(window.tpot_ms, |it| it.p50),
            figure(window.e2e_ms, |it| it.p50),
            figure(window.e2e_ms, |it| it.p99),
            rate(window.input_tokens_per_minute),
            rate(window.output_tokens_per_minute),
        ]
    });
    let columns = [
        "from",
        "to",
        "ok / requests",
        "requests/s",
        "TTFT p50",
        "TTFT p99",
        "TPOT p50",
        "E2E p50",
        "E2E p99",
        "tokens/min in",
        "tokens/min out",
    ];
    let mut found = table(&columns, rows.collect());
    // Stretches know no other times; where the stage's own are from due, that must be told.
    if group.first().times_from == Origin::Due {
        for column in &mut found.columns {
            if ["TTFT", "E2E"].iter().any(|latency| column.name.starts_with(latency)) {
                column.name.push_str(" from sent");
            }
        }
    }
    found
}

fn seconds(seconds: f64) -> Cell {
    Cell { value: Some(seconds), ..Cell::number(Some(seconds * 1e3), "ms") }
}

fn answered(ok: u64, requests: u64) -> Cell {
    let mood = if ok < requests { Mood::Bad } else { Mood::Plain };
    let text = format!("{} / {}", grouped(ok), grouped(requests));
    Cell { text, value: Some(ok as f64), mood }
}
