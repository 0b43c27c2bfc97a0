//! `--baseline FILE` → the limits of `baseline ± n%` checks.
//!
//! In: a plan and the summary of an earlier run. Out: the numbers of that run beside each check, or
//! diagnostics at the checks that it can't answer. Invariant: stages are matched by id, cell and
//! rung, never by position, and nothing is sent while a baseline is missing.

use super::gate;
use super::summary::{Distribution, StageSummary, Summary};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::metric::Origin;
use crate::plan::{Aggregate, BaselineValue, Limit, MetricRef, Plan};

/// Whether any check of the plan compares with a baseline.
pub fn is_asked_for(plan: &Plan) -> bool {
    let live = plan.stages.iter().flat_map(|stage| &stage.live).map(|check| &check.when);
    let checks = plan.stages.iter().flat_map(|stage| &stage.thresholds).chain(live);
    checks.into_iter().any(|check| matches!(check.right, Limit::Baseline { .. }))
}

/// Puts the baseline's numbers beside every check that asks for them.
pub fn resolve(plan: &mut Plan, baseline: Option<(&Summary, &str)>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for stage in &mut plan.stages {
        let live = stage.live.iter_mut().map(|check| &mut check.when);
        for threshold in stage.thresholds.iter_mut().chain(live) {
            let Limit::Baseline { values, .. } = &mut threshold.right else { continue };
            let id = threshold.left.stage.as_deref().unwrap_or(&stage.id);
            match numbers(&threshold.left, threshold.from, id, baseline) {
                Ok(numbers) => *values = numbers,
                Err((message, help)) => found.push(
                    Diagnostic::error(Code::Baseline, message)
                        .at(threshold.location.clone())
                        .help(help),
                ),
            }
        }
    }
    found
}

/// Every number that the baseline has for a metric of a stage; what is wrong and what to do else.
fn numbers(
    of: &MetricRef,
    from: Option<Origin>,
    id: &str,
    baseline: Option<(&Summary, &str)>,
) -> Result<Vec<BaselineValue>, (String, String)> {
    let Some((summary, file)) = baseline else {
        let message = "this check compares with an earlier run, and none is given".to_owned();
        let help = "`--baseline RUN` names it: its directory, or its summary.json";
        return Err((message, help.to_owned()));
    };
    let stages: Vec<&StageSummary> = summary.stages.iter().filter(|it| it.id == id).collect();
    if stages.is_empty() {
        let mut ids: Vec<&str> = summary.stages.iter().map(|it| it.id.as_str()).collect();
        ids.dedup();
        let message = format!("the baseline `{file}` has no stage `{id}`");
        return Err((message, format!("stages there: {}", ids.join(", "))));
    }
    let values: Vec<BaselineValue> = stages
        .iter()
        .filter_map(|stage| {
            let value = number(of, from, stage)?;
            Some(BaselineValue { cell: stage.cell.clone(), rung: stage.rung, value })
        })
        .collect();
    if values.is_empty() {
        let name = gate::name(&MetricRef { stage: Some(id.to_owned()), ..of.clone() });
        let message = format!("the baseline `{file}` has no {name}");
        let help = "summaries keep mean, std, min, max, count, p50, p90, p95 and p99 of what was \
                    measured; run the baseline again if it measured nothing";
        return Err((message, help.to_owned()));
    }
    Ok(values)
}

/// A number out of a summary, as far as it keeps it. Its latencies count from `from`; when absent,
/// from where the stage's do.
pub fn number(of: &MetricRef, from: Option<Origin>, stage: &StageSummary) -> Option<f64> {
    let Some(aggregate) = of.aggregate else {
        return match super::catalogue::source(&of.metric)? {
            super::catalogue::Source::Stage(take) => take(stage).map(|(value, _)| value),
            _ => None,
        };
    };
    let Distribution { count, mean, std, min, max, p50, p90, p95, p99, .. } =
        stage.metrics.get(from.unwrap_or(stage.times_from).of(&of.metric))?;
    match aggregate {
        Aggregate::Mean => Some(*mean),
        Aggregate::Std => *std,
        Aggregate::Min => Some(*min),
        Aggregate::Max => Some(*max),
        Aggregate::Count => Some(*count as f64),
        Aggregate::Percentile(percent) => {
            let kept =
                [(0.0, min), (50.0, p50), (90.0, p90), (95.0, p95), (99.0, p99), (100.0, max)];
            kept.iter().find(|(at, _)| at.eq(&percent)).map(|(_, value)| **value)
        }
    }
}
