//! The summary of a run that still goes on.
//!
//! In: the run line and the stages that have ended. Out: a [`Summary`] in state `running`, for sinks
//! that show the run so far. Invariant: it passes for no verdict: it says `running` and not passed.

use crate::metrics::saturation;
use crate::metrics::search;
use crate::metrics::summary::{
    RunState, RunSummary, SUMMARY_VERSION, StageSummary, Summary, Verdict,
};
use crate::metrics::verdict::INCOMPLETE;
use crate::record::RunLine;

/// What is known while the run goes on.
pub(super) fn so_far(run: &RunLine, stages: &[StageSummary]) -> Summary {
    Summary {
        schema_version: SUMMARY_VERSION,
        run: RunSummary {
            id: run.run_id.clone(),
            plan: run.plan.clone(),
            state: RunState::Running,
            valid: true,
            simulated: run.simulated,
            insecure: run.insecure,
            started_at: run.started_at.clone(),
            seed: run.seed,
            notes: Vec::new(),
        },
        saturation: saturation::of_stages(stages),
        searches: search::of_stages(stages),
        stages: stages.to_vec(),
        verdict: Verdict { pass: false, exit_code: INCOMPLETE },
        claims: Vec::new(),
    }
    .with_claims()
}
