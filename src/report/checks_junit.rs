//! A run's checks as test cases.
//!
//! In: a summary, also of a run that goes on. Out: one [`Suite`] per stage and cell with a case per
//! check and rung, and a case that says whether the stage completed; a last suite says whether the
//! run is complete and valid. Invariants: whatever makes the run fail is a failed or broken case;
//! a failed check says what was measured, the limit, the samples and where in the plan it stands.

use super::junit::{Case, CaseResult, Suite};
use crate::metrics::quantity::{plural, show};
use crate::metrics::summary::{Judgement, RunState, StageSummary, Summary, ThresholdResult};
use crate::metrics::verdict;
use crate::record::StageState;

/// The suites of a run.
pub fn suites(summary: &Summary) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    for stage in &summary.stages {
        if !stage.reported && stage.thresholds.is_empty() && stage.state == StageState::Completed {
            continue;
        }
        let cell = stage.cell.as_ref().map(|cell| format!("[{cell}]")).unwrap_or_default();
        let name = format!("{}.{}{cell}", summary.run.plan, stage.id);
        let cases = cases(stage);
        match suites.iter_mut().find(|suite| suite.name == name) {
            Some(suite) => suite.cases.extend(cases),
            None => suites.push(Suite { name, cases }),
        }
    }
    suites.push(Suite { name: summary.run.plan.clone(), cases: vec![whole_run(summary)] });
    suites
}

fn cases(stage: &StageSummary) -> Vec<Case> {
    let rung = stage.rung.map(|rung| format!(" @{rung}")).unwrap_or_default();
    let why = stage.reason.clone().unwrap_or_else(|| "without a reason".to_owned());
    let completed = Case {
        name: format!("completed{rung}"),
        seconds: stage.duration_s,
        result: match stage.state {
            StageState::Completed => CaseResult::Passed,
            StageState::Failed => CaseResult::Broken(format!("the stage failed: {why}")),
            StageState::Interrupted => CaseResult::Broken(format!("the stage was cut: {why}")),
            StageState::Skipped => CaseResult::Skipped(why),
        },
        at: None,
        remark: None,
    };
    let rung = if stage.probe.is_some() { "" } else { &rung };
    let checks = stage.thresholds.iter().map(|result| check(result, rung));
    std::iter::once(completed).chain(checks).collect()
}

fn check(result: &ThresholdResult, rung: &str) -> Case {
    let fails = verdict::fails(result);
    Case {
        name: format!("{}{rung}", result.check),
        seconds: 0.0,
        result: match result.judgement() {
            Judgement::Failed => CaseResult::Failed(failure(result)),
            Judgement::NotMade => CaseResult::Skipped(result.reason.clone()),
            Judgement::Held | Judgement::Warned => CaseResult::Passed,
        },
        at: place(&result.location),
        remark: match (result.pass, fails) {
            (true, _) => Some(result.reason.clone()).filter(|_| result.judged),
            (false, true) => None,
            (false, false) => Some(format!("warning only: {}", failure(result))),
        },
    }
}

/// The sentence, then its parts.
fn failure(result: &ThresholdResult) -> String {
    let shown = |value: &Option<serde_json::Value>| match value {
        None => "no data".to_owned(),
        Some(serde_json::Value::String(word)) => word.clone(),
        Some(number) => match number.as_f64() {
            Some(number) => show(number, &result.unit),
            None => number.to_string(),
        },
    };
    let mut lines = vec![
        result.reason.clone(),
        format!("check: {}", result.check),
        format!("actual: {}", shown(&result.actual)),
    ];
    lines.extend(result.limit.is_some().then(|| format!("limit: {}", shown(&result.limit))));
    lines.push(format!("samples: {}", plural(result.samples, "sample")));
    if !result.location.is_empty() {
        lines.push(format!("at: {}", result.location));
    }
    lines.join("\n")
}

fn whole_run(summary: &Summary) -> Case {
    let run = &summary.run;
    let notes = (!run.notes.is_empty()).then(|| run.notes.join("\n"));
    let bad = |what: &str| {
        let notes = notes.as_deref().unwrap_or_default();
        CaseResult::Broken(format!("{what}\n{notes}").trim_end().to_owned())
    };
    let result = match run.state {
        RunState::Running => CaseResult::Skipped("the run still goes on".to_owned()),
        RunState::Aborted => bad("the run could not go on"),
        RunState::Interrupted => bad("the run was interrupted"),
        RunState::Finished if !run.valid => bad("the run's numbers must not be trusted"),
        RunState::Finished if summary.verdict.exit_code == verdict::INCOMPLETE => {
            bad("the run is incomplete")
        }
        RunState::Finished => CaseResult::Passed,
    };
    let remark = notes.clone().filter(|_| result == CaseResult::Passed);
    Case { name: "complete and valid".to_owned(), seconds: 0.0, result, at: None, remark }
}

/// `file:line:column`, taken apart from the right: a file's name may hold colons.
fn place(location: &str) -> Option<(String, usize)> {
    let (rest, _column) = location.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}
