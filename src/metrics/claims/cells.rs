//! What the cells of a matrix have in common: a range over them, or nothing.

use std::collections::BTreeMap;

use super::{Claim, ClaimFigure, ClaimKind};
use crate::metrics::quantity::{plural, show, significant};
use crate::metrics::summary::Summary;

/// A claim over the cells of each stage that has the same kind of claim in several.
pub(super) fn claims(summary: &Summary, found: &[Claim]) -> Vec<Claim> {
    let speed_up = over(summary, found, ClaimKind::CacheSpeedUp, "ratio");
    let sustained = over(summary, found, ClaimKind::Sustained, "sustainable");
    let speed_up = speed_up.map(|(range, of)| {
        let text = format!(
            "The cache makes the first token come {} to {} × sooner in {} ({}).",
            significant(range.low.value, 3),
            significant(range.high.value, 3),
            of,
            range.stage,
        );
        range.claim(ClaimKind::CacheSpeedUpOverCells, text)
    });
    let sustained = sustained.map(|(range, of)| {
        let text = format!(
            "{}: sustains {} to {} {} in {of}.",
            range.stage, range.low.value, range.high.value, range.low.unit
        );
        range.claim(ClaimKind::SustainedOverCells, text)
    });
    speed_up.chain(sustained).collect()
}

/// What the stage with the most answers measured in each of its cells.
pub(super) fn measured(summary: &Summary, each: &[Claim]) -> Option<Claim> {
    let names = [("TTFT", "ttft_p50"), ("E2E", "e2e_p50")];
    let (name, range, of) = names.into_iter().find_map(|(name, figure)| {
        let (range, of) = over(summary, each, ClaimKind::Measured, figure).next()?;
        Some((name, range, of))
    })?;
    let text = format!(
        "{}: {name} p50 {} to {} over {of}.",
        range.stage,
        show(range.low.value, "ms"),
        show(range.high.value, "ms"),
    );
    Some(range.claim(ClaimKind::MeasuredOverCells, text))
}

/// The lowest and highest value of a figure over cells.
struct Range<'a> {
    stage: &'a str,
    low: &'a ClaimFigure,
    high: &'a ClaimFigure,
    cells: u64,
}

impl Range<'_> {
    fn claim(&self, kind: ClaimKind, text: String) -> Claim {
        Claim {
            stage: Some(self.stage.to_owned()),
            ..Claim::new(kind, text)
                .with("lowest", self.low.clone())
                .with("highest", self.high.clone())
                .with("cells", ClaimFigure::count(self.cells, "cells"))
        }
    }
}

/// Stages with such a claim in several cells: the range, and of how many cells (`3 of 4 cells`).
fn over<'a>(
    summary: &'a Summary,
    found: &'a [Claim],
    kind: ClaimKind,
    figure: &'a str,
) -> impl Iterator<Item = (Range<'a>, String)> {
    let mut by_stage: BTreeMap<&str, Vec<&ClaimFigure>> = BTreeMap::new();
    for claim in found.iter().filter(|claim| claim.kind == kind && claim.cell.is_some()) {
        if let (Some(stage), Some(figure)) = (&claim.stage, claim.figures.get(figure)) {
            by_stage.entry(stage).or_default().push(figure);
        }
    }
    by_stage.into_iter().filter_map(|(stage, figures)| {
        let low = figures.iter().copied().min_by(|a, b| a.value.total_cmp(&b.value))?;
        let high = figures.iter().copied().max_by(|a, b| a.value.total_cmp(&b.value))?;
        let cells = figures.len() as u64;
        let of_stage = summary.stages.iter().filter(|it| it.reported && it.id == stage);
        let all: std::collections::BTreeSet<_> = of_stage.map(|stage| &stage.cell).collect();
        let all = all.len() as u64;
        let of = if all == cells {
            plural(cells, "cell")
        } else {
            format!("{cells} of {}", plural(all, "cell"))
        };
        (cells > 1).then_some((Range { stage, low, high, cells }, of))
    })
}
