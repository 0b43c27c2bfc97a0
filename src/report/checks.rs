//! Judged thresholds, one mark and one sentence each.
//!
//! In: stages with their [`ThresholdResult`]s. Out: lines of text. Invariants: a check that failed
//! stands first, in full, and says where in the plan it stands; of one that held at several levels, or in
//! several cells, it is said how many those are, and only with `--verbose` each.

use super::escape::{columns, padded, printable};
use super::look::Look;
use crate::metrics::quantity::grouped;
use crate::metrics::summary::{Judgement, StageSummary, ThresholdResult};
use crate::metrics::verdict;

/// Checks that did not hold and are told unless all are asked for.
const MOST: usize = 10;

/// Results of one check of one stage that came out alike.
struct Line<'s> {
    stages: Vec<&'s StageSummary>,
    result: &'s ThresholdResult,
}

/// The checks of all `stages`; nothing when there are none.
pub(super) fn render(stages: &[&StageSummary], look: Look) -> Vec<String> {
    let mut told: Vec<Line> = Vec::new();
    let judged =
        stages.iter().flat_map(|stage| stage.thresholds.iter().map(move |it| (*stage, it)));
    for (stage, result) in judged {
        let is_calm = matches!(result.judgement(), Judgement::Held | Judgement::NotMade);
        let alike = told.iter_mut().find(|line| {
            is_calm
                && !look.verbose
                && line.stages.iter().all(|it| it.id == stage.id && it.label() != stage.label())
                && line.result.check == result.check
                && line.result.judgement() == result.judgement()
        });
        match alike {
            Some(line) => line.stages.push(stage),
            None => told.push(Line { stages: vec![stage], result }),
        }
    }
    told.sort_by_key(|line| match line.result.judgement() {
        Judgement::Failed => 0,
        Judgement::Warned => 1,
        Judgement::NotMade => 2,
        Judgement::Held => 3,
    });
    let is_bad =
        |line: &Line| matches!(line.result.judgement(), Judgement::Failed | Judgement::Warned);
    let bad = told.iter().filter(|line| is_bad(line)).count();
    let left_out = if look.verbose { 0 } else { bad.saturating_sub(MOST) };
    told.drain(bad - left_out..bad);
    // A long name makes its own line longer, and not all of them.
    let most = look.width.map_or(usize::MAX, |width| width / 3);
    let names = told.iter().map(|line| columns(&line.name()));
    let stage_width = names.filter(|width| *width <= most).max().unwrap_or(0);
    let widths = (stage_width, told.iter().map(Line::check_width).max().unwrap_or(0));
    let mut lines = Vec::new();
    for (place, line) in told.iter().enumerate() {
        if place == bad - left_out && left_out > 0 {
            let left_out = grouped(left_out as u64);
            lines.push(format!("  … and {left_out} more of these: `--verbose` tells all"));
        }
        lines.extend(line.told(widths, look));
    }
    lines
}

impl Line<'_> {
    fn name(&self) -> String {
        let (first, several) = (self.stages[0], self.stages.len() > 1);
        printable(&if several { first.id.clone() } else { first.label_of_checks() }).into_owned()
    }

    fn check_width(&self) -> usize {
        columns(&printable(&self.result.check))
    }

    fn told(&self, (stage_width, check_width): (usize, usize), look: Look) -> Vec<String> {
        let (result, name) = (self.result, self.name());
        let check = printable(&result.check);
        let judgement = result.judgement();
        let (mark, coloured) = match judgement {
            Judgement::Held => ("✓", look.good("✓")),
            Judgement::Failed => ("✗", look.bad("✗")),
            Judgement::Warned => ("!", look.doubtful("!")),
            Judgement::NotMade => ("–", look.dim("–")),
        };
        let reason = self.reason();
        let one = |reason: &str| {
            format!(
                "  {mark} {}  {}  {reason}",
                padded(&name, stage_width),
                padded(&check, check_width)
            )
        };
        // What held is told as far as there is room, by whole clauses; the rest, with what it is.
        let brief = [
            reason.as_str(),
            reason.split("; ").next().unwrap_or_default(),
            reason.split(" = ").next().unwrap_or_default(),
        ];
        let mut lines = match brief.iter().find(|reason| look.fits(&one(reason))) {
            Some(reason) if **reason == self.reason() || judgement == Judgement::Held => {
                vec![one(reason).trim_end().to_owned()]
            }
            _ => {
                let mut lines =
                    look.wrap("", 4, &format!("  {mark} {}  {check}", padded(&name, stage_width)));
                if judgement != Judgement::Held || look.verbose {
                    lines.extend(look.wrap("      ", 6, &reason));
                }
                lines
            }
        };
        if let Some(line) = lines.first_mut() {
            *line = line.replacen(mark, &coloured, 1);
        }
        if !result.pass && !result.location.is_empty() {
            lines.push(look.dim(&format!("      --> {}", printable(&result.location))));
        }
        lines
    }

    fn reason(&self) -> String {
        let result = self.result;
        let warning = !result.pass && !verdict::fails(result);
        let reason = printable(&result.reason);
        let reason = format!("{reason}{}", if warning { " (warning only)" } else { "" });
        let count = self.stages.len();
        if count == 1 {
            return reason;
        }
        let first = self.stages[0];
        let where_ = match self.stages.iter().all(|stage| stage.cell == first.cell) {
            true => format!("at {count} levels"),
            false if first.rung.is_none() => format!("in {count} cells"),
            false => format!("at {count} levels and cells"),
        };
        match result.judgement() {
            Judgement::Held => format!("holds {where_}"),
            _ => format!("not made {where_}: {reason}"),
        }
    }
}
