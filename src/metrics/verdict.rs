//! Whether a run passed, and the exit code that says so.
//!
//! In: the run, its stages, how it ended. Out: [`Verdict`]. Invariants: 5 (incomplete or invalid)
//! stands above 10 (thresholds failed), because numbers that can't be trusted are not judged; a
//! signal's code stands above both; a run of which a stage measured nothing is incomplete.

use super::summary::{RunEnd, RunState, RunSummary, StageSummary, ThresholdResult, Verdict};
use crate::plan::Level;
use crate::record::StageState;

/// Every threshold held on a complete, valid run.
pub const PASS: i32 = 0;
/// The run is incomplete or invalid.
pub const INCOMPLETE: i32 = 5;
/// Thresholds failed on a complete run.
pub const THRESHOLDS_FAILED: i32 = 10;

/// The end result of a run.
pub fn verdict(run: &RunSummary, stages: &[StageSummary], end: &RunEnd) -> Verdict {
    let exit_code = exit_code(run, stages, end);
    Verdict { pass: exit_code == PASS, exit_code }
}

/// Whether a judged threshold fails the run.
pub fn fails(result: &ThresholdResult) -> bool {
    !result.pass && result.level == Level::Fail
}

fn exit_code(run: &RunSummary, stages: &[StageSummary], end: &RunEnd) -> i32 {
    let complete = run.state == RunState::Finished
        && end.incomplete.is_empty()
        && stages.iter().all(|stage| stage.state == StageState::Completed)
        && !stages.iter().any(StageSummary::measured_nothing);
    let judged = stages.iter().flat_map(|stage| &stage.thresholds);
    if let Some(code) = end.signal_exit_code {
        code
    } else if !run.valid || !complete {
        INCOMPLETE
    } else if judged.into_iter().any(fails) {
        THRESHOLDS_FAILED
    } else {
        PASS
    }
}
