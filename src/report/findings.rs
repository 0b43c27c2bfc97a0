//! The run's claims on a terminal.
//!
//! In: a summary. Out: lines of text. Invariant: the sentences of the claims, in their order, and no
//! others; how the run ended comes first.

use super::escape::printable;
use super::look::Look;
use crate::metrics::claims::{Claim, ClaimKind, Ending};
use crate::metrics::quantity::plural;
use crate::metrics::summary::Summary;

/// Findings that are told unless all are asked for.
const MOST: usize = 12;

/// How the run ended.
pub(super) fn ending(summary: &Summary, look: Look) -> Vec<String> {
    let ended = summary.claims.iter().filter(|claim| claim.kind == ClaimKind::Ended);
    let paint = |line: String| {
        look.bold(&match Ending::of(summary) {
            Ending::Pass => look.good(&line),
            // Complete, and nothing was judged.
            Ending::Done => line,
            Ending::Running | Ending::Interrupted => look.doubtful(&line),
            Ending::Invalid | Ending::Incomplete | Ending::Fail => look.bad(&line),
        })
    };
    ended.flat_map(|claim| look.wrap("", 2, &printable(&claim.text))).map(paint).collect()
}

/// What else was found.
pub(super) fn lines(summary: &Summary, look: Look) -> Vec<String> {
    let is_finding = |claim: &&Claim| !claim.kind.is_detail() && claim.kind != ClaimKind::Ended;
    let findings: Vec<&Claim> = summary.claims.iter().filter(is_finding).collect();
    let most = if look.verbose { findings.len() } else { MOST };
    let told = findings.iter().take(most).flat_map(|claim| {
        let paint = |line: String| match claim.kind {
            ClaimKind::AllFailed => look.bad(&line),
            _ => line,
        };
        look.wrap("  ", 4, &printable(&claim.text)).into_iter().map(paint)
    });
    let more = findings.len().saturating_sub(most);
    let more = (more > 0).then(|| {
        look.dim(&format!("  … and {}: `--verbose` tells all", plural(more as u64, "more finding")))
    });
    told.chain(more).collect()
}
