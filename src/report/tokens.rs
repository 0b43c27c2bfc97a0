//! Tokens as everyone counted them, side by side, one line per stage.
//!
//! In: stages. Out: lines of text. Invariant: a count that nobody made is not there, and where only
//! one was made there is nothing to set beside it.

use super::escape::{named, printable};
use crate::metrics::summary::StageSummary;
use crate::metrics::token_account::{TokenAccount, by_stage};

/// A line for each stage whose tokens were counted at least twice; the rungs of a ladder together.
pub(super) fn lines(stages: &[&StageSummary]) -> Vec<String> {
    let told: Vec<(String, String)> = by_stage(stages.iter().copied())
        .into_iter()
        .filter_map(|(name, account)| Some((printable(&name).into_owned(), in_words(&account)?)))
        .collect();
    named(&told)
}

/// `prompts: server 16,808, tokenizer 16,616 (1.1 % fewer); answers: …`.
pub(super) fn in_words(account: &TokenAccount) -> Option<String> {
    let sides = [("prompts", &account.input), ("answers", &account.output)];
    let sides = sides.into_iter().filter_map(|(name, side)| {
        let words = side.in_words()?;
        Some(format!("{name}: {words}"))
    });
    let words = sides.collect::<Vec<_>>().join("; ");
    (!words.is_empty()).then_some(words)
}
