//! What the cells of a matrix have in common: a range over them, or nothing.

use std::collections::BTreeMap;

use super::words::number;
use super::{Claim, ClaimFigure, ClaimKind};
use crate::metrics::quantity::{plural, show, significant};
use crate::metrics::summary::Summary;

/// A claim over the cells of each stage that has the same kind of claim in several.
pub(super) fn claims(summary: &Summary, found: &[Claim]) -> Vec<Claim> {
    let speed_up = over(summary, found, ClaimKind::CacheSpeedUp, "ratio");
    let sustained = over(summary, found, ClaimKind::Sustained, "sustainable");
    let speed_up = speed_up.map(|range| {
        let text = format!(
            "The cache makes the first token come {} to {} × sooner in {} ({}).",
            significant(range.low.value, 3),
            significant(range.high.value, 3),
            range.of_cells(),
            range.stage,
        );
        range.claim(ClaimKind::CacheSpeedUpOverCells, text)
    });
    let sustained = sustained.map(|range| {
        let text = format!(
            "{}: sustains {} to {} {} in {}.",
            range.stage,
            number(range.low.value),
            number(range.high.value),
            range.low.unit,
            range.of_cells()
        );
        range.claim(ClaimKind::SustainedOverCells, text)
    });
    speed_up.chain(sustained).collect()
}

/// What the stage with the most answers measured in each of its cells.
pub(super) fn measured(summary: &Summary, each: &[Claim]) -> Option<Claim> {
    let names = [("TTFT", "ttft_p50"), ("E2E", "e2e_p50")];
    let (name, range) = names.into_iter().find_map(|(name, figure)| {
        Some((name, over(summary, each, ClaimKind::Measured, figure).next()?))
    })?;
    let text = format!(
        "{}: {name} p50 {} to {} over {}.",
        range.stage,
        show(range.low.value, "ms"),
        show(range.high.value, "ms"),
        range.of_cells(),
    );
    Some(range.claim(ClaimKind::MeasuredOverCells, text))
}

/// The lowest and highest value of a figure over cells.
struct Range<'a> {
    stage: &'a str,
    low: &'a ClaimFigure,
    high: &'a ClaimFigure,
    cells: u64,
    /// All cells that the stage ran in.
    all: u64,
}

impl Range<'_> {
    /// `3 of 4 cells`
    fn of_cells(&self) -> String {
        let all = plural(self.all, "cell");
        if self.all == self.cells { all } else { format!("{} of {all}", self.cells) }
    }

    fn claim(&self, kind: ClaimKind, text: String) -> Claim {
        Claim {
            stage: Some(self.stage.to_owned()),
            ..Claim::new(kind, text)
                .with("lowest", self.low.clone())
                .with("highest", self.high.clone())
                .with("cells", ClaimFigure::count(self.cells, "cells"))
                .with("cells_in_all", ClaimFigure::count(self.all, "cells"))
        }
    }
}

/// Stages with such a claim in several cells: the range over them.
fn over<'a>(
    summary: &'a Summary,
    found: &'a [Claim],
    kind: ClaimKind,
    figure: &'a str,
) -> impl Iterator<Item = Range<'a>> {
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
        (cells > 1).then_some(Range { stage, low, high, cells, all })
    })
}
