//! The levels that searches tried, one line each.
//!
//! In: a summary. Out: lines of text. What follows from them is said by the run's claims.

use super::escape::printable;
use crate::metrics::saturation::Axis;
use crate::metrics::search::Verdict;
use crate::metrics::summary::{StageSummary, Summary};

/// The probes of each search in the order in which they were made.
pub(super) fn probes(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, found) in &summary.searches {
        lines.push(format!("  {}", printable(id)));
        let probes = of(summary, id);
        for (stage, probe) in probes.filter_map(|stage| Some((stage, stage.probe.as_ref()?))) {
            let level = stage.rung.map_or_else(String::new, |rung| match found.axis {
                Axis::Rate => format!("{rung}/s"),
                Axis::Concurrency => format!("{rung} at a time"),
            });
            let verdict = match probe.verdict {
                Verdict::Pass => "holds",
                Verdict::Fail => "does not hold",
                Verdict::Inconclusive => "can't be told",
            };
            let why = probe.reasons.first().map(|why| format!(": {}", printable(why)));
            lines.push(format!("    {level:>10}  {verdict}{}", why.unwrap_or_default()));
        }
    }
    lines
}

fn of<'s>(summary: &'s Summary, key: &str) -> impl Iterator<Item = &'s StageSummary> {
    summary.stages.iter().filter(move |stage| stage.reported && stage.key() == key)
}
