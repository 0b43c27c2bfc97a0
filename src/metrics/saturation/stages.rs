//! The rungs of a run's ladders and ramps → one [`Saturation`] each.
//!
//! In: the summaries of all stages. Out: findings by stage id. Invariant: a ladder of which a rung was
//! broken off, or never ran, finds nothing, unless the plan's own `stop_when` ended it.

use std::collections::BTreeMap;

use super::{Axis, Limits, Rung, Saturation, saturation};
use crate::metrics::claims::Withheld;
use crate::metrics::pace::KeepingUp;
use crate::metrics::summary::StageSummary;
use crate::metrics::verdict;
use crate::record::StageState;

/// What each ladder and ramp among `stages` found.
pub fn of_stages(stages: &[StageSummary]) -> BTreeMap<String, Saturation> {
    let mut ladders: BTreeMap<String, (Axis, Vec<&StageSummary>)> = BTreeMap::new();
    for stage in stages.iter().filter(|stage| stage.reported) {
        let axis = match stage.kind.as_str() {
            "qps_ladder" => Axis::Rate,
            "concurrency_ramp" => Axis::Concurrency,
            _ => continue,
        };
        ladders.entry(stage.key()).or_insert_with(|| (axis, Vec::new())).1.push(stage);
    }
    ladders
        .into_iter()
        .map(|(id, (axis, levels))| {
            let run: Vec<Rung> = levels.iter().filter_map(|stage| rung(stage)).collect();
            let limits = Limits::default();
            // A level that the plan's `stop_when` ended says something if it fails by what it did; of
            // those after it nothing was to be known.
            let forgone = levels.iter().filter(|stage| stage.was_stopped());
            let forgone = forgone.filter(|stage| stage.counts.ended_or_dropped() == 0).count();
            let told: Vec<Rung> = run.iter().copied().filter(|it| it.tells(&limits)).collect();
            let found = saturation(axis, &told, &limits);
            let mut found = if run.len() + forgone == levels.len() {
                found
            } else {
                Saturation {
                    incomplete: true,
                    generator_limited: found.generator_limited,
                    not_reached: found.not_reached,
                    unclear: found.unclear,
                    needed_s: found.needed_s,
                    ..Saturation::unknown(axis)
                }
            };
            if let Some(why) = Withheld::of(&levels) {
                found.withhold(why.why());
            }
            (id, found)
        })
        .collect()
}

fn rung(stage: &StageSummary) -> Option<Rung> {
    let ended = stage.counts.ended_or_dropped();
    if stage.state != StageState::Completed || ended == 0 {
        return None;
    }
    // From due where there is a schedule: what waited for its turn has waited for the server.
    let from_due = |due: &str, sent: &str| stage.metrics.get(due).or(stage.metrics.get(sent));
    let latency = from_due("e2e_due", "e2e");
    let load = stage.load?;
    let untold = stage.has_untold_check();
    Some(Rung {
        level: stage.rung?,
        achieved: load.achieved_rate.unwrap_or(0.0),
        answers: stage.counts.ok,
        interval: load.achieved_interval,
        keeping_up: match load.keeping_up {
            Some(KeepingUp::FellBehind) => Some(KeepingUp::FellBehind),
            _ if untold => Some(KeepingUp::Unclear),
            // Without an interval nobody waited for all of its users to have had an answer.
            None if load.target_rate.is_none() && load.achieved_interval.is_none() => {
                Some(KeepingUp::Unclear)
            }
            told => told,
        },
        needed_s: load.needed_s.filter(|_| !untold),
        // What was cut or dropped got no answer either.
        success_rate: Some(stage.counts.ok as f64 / ended as f64),
        p50_ms: latency.map(|latency| latency.p50),
        p99_ms: latency.map(|latency| latency.p99),
        output_tokens_per_second: stage.throughput.output_tokens_per_second,
        // A warning that was not met is worth a look and no limit.
        thresholds_held: (!stage.thresholds.is_empty())
            .then(|| !stage.thresholds.iter().any(|it| verdict::fails(it) && !it.is_untold())),
        ttft_p50_ms: from_due("ttft_due", "ttft").map(|ttft| ttft.p50),
        generator_limited: load.generator_limited,
        not_reached: stage.level_missed().is_some(),
        stopped: stage.was_stopped(),
    })
}
