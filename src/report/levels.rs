//! The levels that ladders and searches tried, one line each.
//!
//! In: a summary. Out: lines of text. What follows from them is said by the run's claims.

use super::escape::printable;
use crate::metrics::quantity::show;
use crate::metrics::saturation::Axis;
use crate::metrics::search::Verdict;
use crate::metrics::summary::{StageSummary, Summary};

/// The rungs of each ladder and ramp that were run.
pub(super) fn rungs(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for id in summary.saturation.keys() {
        lines.push(format!("  {}", printable(id)));
        for stage in of(summary, id) {
            if let (Some(rung), Some(load)) = (stage.rung, stage.load) {
                let answered = match stage.throughput.requests_per_second {
                    Some(rate) if stage.counts.ok > 0 => show(rate, "requests/s"),
                    _ if stage.counts.planned == 0 => "measured nothing".to_owned(),
                    _ if stage.counts.never_started == stage.counts.planned => {
                        "not sent".to_owned()
                    }
                    _ => "no answers".to_owned(),
                };
                let asked = match load.target_rate {
                    Some(_) => format!("{rung}/s asked"),
                    None => format!("{rung} at a time"),
                };
                // A queue that still grows when a rung ends shows before any limit is broken.
                let still = stage.unsteady.as_deref().filter(|why| why.contains("still rose"));
                let still = still.map(|why| format!("; {why}")).unwrap_or_default();
                lines.push(format!("    {asked}: {answered}{still}"));
            }
        }
    }
    lines
}

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
