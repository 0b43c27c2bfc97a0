//! Percentiles from the tail, and what they are worth.

use super::{Cell, StageSummary};
use crate::metrics::certified::{self, MARK, is_certified};
use crate::metrics::quantity::show;
use crate::metrics::summary::Distribution;
use crate::report::view::Mood;

/// A percentile of a metric, marked where too few samples certify it.
pub(super) fn tail(
    stage: &StageSummary,
    metric: &str,
    percent: f64,
    take: fn(&Distribution) -> f64,
) -> Cell {
    let Some(found) = stage.shown(metric) else { return Cell::text("–") };
    let value = take(found);
    let mark = if is_certified(found, percent) { "" } else { MARK };
    let text = format!("{}{mark}", show(value, &found.unit));
    Cell { text, value: Some(value), mood: Mood::Plain }
}

/// What the marks in a table mean, where it has any.
pub(super) fn legend(rows: &[Vec<Cell>]) -> String {
    let is_marked = rows.iter().flatten().any(|cell| cell.text.ends_with(MARK));
    if is_marked { certified::legend(&[95.0, 99.0]) } else { String::new() }
}

/// What percentiles are at most: `p90 ≤ 12 ms, p95 ≤ 14 ms`.
pub(super) fn at_most(of: &Distribution) -> Cell {
    let bounds = [90.0, 95.0, 99.0].into_iter().filter_map(|percent| {
        let bound = of.certified.bound(percent)?;
        Some(format!("p{percent} ≤ {}", show(bound, &of.unit)))
    });
    let bounds: Vec<String> = bounds.collect();
    Cell::text(if bounds.is_empty() { "–".to_owned() } else { bounds.join(", ") })
}
