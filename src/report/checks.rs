//! Judged thresholds, one mark and one sentence each.
//!
//! In: stages with their [`ThresholdResult`]s. Out: lines of text. Invariant: a failed check says
//! where in the plan it stands.

use super::escape::{columns, padded, printable};
use super::look::Look;
use crate::metrics::summary::{Judgement, StageSummary, ThresholdResult};
use crate::metrics::verdict;

/// The checks of all `stages`; nothing when there are none.
pub(super) fn render(stages: &[&StageSummary], look: Look) -> Vec<String> {
    let judged = || {
        stages
            .iter()
            .flat_map(|stage| stage.thresholds.iter().map(move |result| (label(stage), result)))
    };
    let stage_width = judged().map(|(stage, _)| columns(&stage)).max().unwrap_or(0);
    let check_width = judged().map(|(_, it)| columns(&printable(&it.check))).max().unwrap_or(0);
    let long = |(stage, result): (String, &ThresholdResult)| {
        let reason = reason(result);
        let check = padded(&printable(&result.check), check_width);
        format!("  ✓ {}  {check}  {reason}", padded(&stage, stage_width))
    };
    // One line each if all fit, else two each: never a mixture.
    let fit = judged().map(long).all(|line| look.fits(&line));
    let mut lines = Vec::new();
    for (stage, result) in judged() {
        let (mark, reason, check) = (mark(result, look), reason(result), printable(&result.check));
        let stage = padded(&stage, stage_width);
        if fit {
            lines.push(format!("  {mark} {stage}  {}  {reason}", padded(&check, check_width)));
        } else {
            lines.push(format!("  {mark} {stage}  {check}"));
            lines.push(format!("      {reason}"));
        }
        if !result.pass && !result.location.is_empty() {
            lines.push(look.dim(&format!("      --> {}", printable(&result.location))));
        }
    }
    lines
}

fn mark(result: &ThresholdResult, look: Look) -> String {
    match result.judgement() {
        Judgement::Held => look.good("✓"),
        Judgement::Failed => look.bad("✗"),
        Judgement::Warned => look.doubtful("!"),
        Judgement::NotMade => look.dim("–"),
    }
}

fn reason(result: &ThresholdResult) -> String {
    let warning = !result.pass && !verdict::fails(result);
    format!("{}{}", printable(&result.reason), if warning { " (warning only)" } else { "" })
}

fn label(stage: &StageSummary) -> String {
    printable(&stage.label()).into_owned()
}
