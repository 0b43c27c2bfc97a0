//! The run's claims on a terminal.
//!
//! In: a summary. Out: lines of text. Invariant: the sentences of the claims, in their order, and no
//! others.

use super::escape::printable;
use super::look::Look;
use crate::metrics::claims::{Claim, ClaimKind, Ending};
use crate::metrics::summary::Summary;

/// What a run that did not go well opens with.
pub(super) fn opening(summary: &Summary, look: Look) -> Vec<String> {
    let opens = |claim: &&Claim| matches!(claim.kind, ClaimKind::Ended | ClaimKind::AllFailed);
    let opening = summary.claims.iter().take_while(opens);
    opening.map(|claim| paint(summary, claim, look)).collect()
}

/// Its findings; how it ended comes last, where a terminal leaves the eye.
pub(super) fn lines(summary: &Summary, look: Look) -> Vec<String> {
    let findings = summary.claims.iter().filter(|claim| !claim.kind.is_detail());
    let (last, findings): (Vec<&Claim>, Vec<&Claim>) =
        findings.partition(|claim| claim.kind == ClaimKind::Ended);
    let mut lines: Vec<String> =
        findings.iter().map(|claim| format!("  {}", printable(&claim.text))).collect();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.extend(last.iter().map(|claim| format!("  {}", look.bold(&paint(summary, claim, look)))));
    lines
}

fn paint(summary: &Summary, claim: &Claim, look: Look) -> String {
    let text = printable(&claim.text);
    match (claim.kind, Ending::of(summary)) {
        (ClaimKind::Ended, Ending::Pass) => look.good(&text),
        // Complete, and nothing was judged.
        (ClaimKind::Ended, Ending::Done) => text.into_owned(),
        (ClaimKind::Ended, Ending::Running | Ending::Interrupted) => look.doubtful(&text),
        _ => look.bad(&text),
    }
}
