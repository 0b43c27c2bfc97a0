//! Why answers ended, one line per stage.
//!
//! In: stages. Out: lines of text. Invariant: shares are over the answers that give a reason, and the
//! rungs of a stage count together.

use super::escape::printable;
use crate::metrics::answers::AnswerSummary;
use crate::metrics::summary::StageSummary;

/// A line for each stage whose answers give reasons.
pub(super) fn lines(stages: &[&StageSummary]) -> Vec<String> {
    let same = |a: &&StageSummary, b: &&StageSummary| a.id == b.id && a.cell == b.cell;
    let told: Vec<(String, String)> = stages
        .chunk_by(same)
        .filter_map(|rungs| {
            let first = rungs.first()?;
            let cell = first.cell.as_ref().map(|cell| format!("[{cell}]")).unwrap_or_default();
            let name = format!("{}{cell}", first.id);
            Some((printable(&name).into_owned(), in_words(rungs)?))
        })
        .collect();
    let width = told.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    told.iter().map(|(name, words)| format!("  {name:width$}  {words}")).collect()
}

/// `finish reasons: stop 75 %, length 25 %`, of all these stages together.
pub(super) fn in_words(stages: &[&StageSummary]) -> Option<String> {
    let answers = stages.iter().filter_map(|stage| stage.answers.as_ref());
    let words = AnswerSummary::together(answers).reasons_in_words()?;
    Some(format!("finish reasons: {}", printable(&words)))
}
