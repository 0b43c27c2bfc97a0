//! Two cells of one run against each other, request by request.
//!
//! In: a run whose cells took turns. Out: a [`Comparison`] of one cell with another. Invariant:
//! requests are paired by their number within the stage, so both of a pair asked the same at nearly
//! the same time, and what drifted meanwhile is in both.

use super::evidence::Evidence;
use super::stage::{self, Pair};
use super::{Comparison, Options, RunRef, StageComparison, flags, judge, method, run_ref};
use crate::metrics::summary::StageSummary;

/// The cells of a run that measured anything, in the order in which they sent their first request:
/// cells that take turns begin at the same moment, and the plan's first one sends first.
pub fn cells(run: &Evidence) -> Vec<String> {
    let mut cells: Vec<(u64, String)> = Vec::new();
    for stage in run.measured() {
        let Some(cell) = stage.cell.clone() else { continue };
        let first = run.samples(stage).and_then(super::evidence::Samples::span);
        let first = first.map_or(u64::MAX, |(first, _)| first);
        match cells.iter_mut().find(|(_, known)| *known == cell) {
            Some((earliest, _)) => *earliest = first.min(*earliest),
            None => cells.push((first, cell)),
        }
    }
    cells.sort_by_key(|(first, _)| *first);
    cells.into_iter().map(|(_, cell)| cell).collect()
}

/// Compares cell `new` with cell `base` of the same run.
pub fn compare_cells(run: &Evidence, base: &str, new: &str, options: &Options) -> Comparison {
    let of = |cell: &str| -> Vec<&StageSummary> {
        run.measured().filter(|stage| stage.cell.as_deref() == Some(cell)).collect()
    };
    let (lefts, rights) = (of(base), of(new));
    let matched = lefts.iter().filter_map(|left| {
        let right = rights.iter().find(|right| alike(left, right))?;
        let pair = Pair { base: run, new: run, left, right, is_paired: true };
        let mut found = stage::compare(&pair, options);
        found.label = label(left);
        found.cell = None;
        found.flags.extend(one_after_the_other(run, left, right));
        Some(found)
    });
    let mut stages: Vec<StageComparison> = matched.collect();
    let tests = judge::judge(&mut stages, options);
    let only = |these: &[&StageSummary], those: &[&StageSummary]| -> Vec<String> {
        let alone = these.iter().filter(|stage| !those.iter().any(|other| alike(stage, other)));
        alone.map(|stage| label(stage)).collect()
    };
    let (flags, doubtful) = flags::of_run(run);
    let named = |cell: &str| RunRef { name: cell.to_owned(), ..run_ref(run) };
    Comparison {
        base: named(base),
        new: named(new),
        verdict: judge::over(stages.iter().map(|stage| stage.verdict)),
        flags,
        doubtful,
        capacity: Vec::new(),
        only_base: only(&lefts, &rights),
        only_new: only(&rights, &lefts),
        stages,
        method: method(options, tests, true),
    }
}

fn alike(left: &StageSummary, right: &StageSummary) -> bool {
    left.id == right.id && left.rung.map(f64::to_bits) == right.rung.map(f64::to_bits)
}

/// The stage's id and rung, without its cell.
fn label(stage: &StageSummary) -> String {
    stage.rung.map_or_else(|| stage.id.clone(), |rung| format!("{}@{rung}", stage.id))
}

/// Says so when the two did not take turns.
fn one_after_the_other(
    run: &Evidence,
    left: &StageSummary,
    right: &StageSummary,
) -> Option<String> {
    let span = |stage| run.samples(stage).and_then(super::evidence::Samples::span);
    let (before, after) = (span(left)?, span(right)?);
    (before.1 < after.0 || after.1 < before.0).then(|| {
        let advice = if matches!(left.kind.as_str(), "cold" | "warm") {
            "`interleave: true` in the plan's matrix lets them take turns".to_owned()
        } else {
            format!("stages of kind `{}` never take turns, so compare several runs", left.kind)
        };
        format!(
            "the cells ran one after the other, so what drifted meanwhile counts as a difference; \
             {advice}"
        )
    })
}
