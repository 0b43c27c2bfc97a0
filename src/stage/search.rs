//! `search`: probe after probe, until the highest level that holds is known.
//!
//! In: the plan's search. Out: a `stage_start` and a `stage_end` line for each probe, which is a level
//! of load like the rung of a ladder. Invariant: what comes next is decided by the summaries that
//! the recorder makes of the probes, so the log alone tells why each level was tried, and the probes
//! of an earlier run, told again, count like any other.

use std::sync::Arc;

use super::load::{self, Level};
use super::{StageContext, StageOutcome, skip};
use crate::metrics::search::{Search, Settings, Step, probe};
use crate::metrics::summary::StageSummary;
use crate::plan::{self, ClosedLoop, OpenLoop, Rate, SearchAxis, Shape, Stage};
use crate::record::{SearchLine, StageState};

/// Runs the probes.
pub(super) async fn run(context: &StageContext<'_>, plan: &plan::Search) -> StageOutcome {
    let tokenizer = Arc::new(context.tokenizer.clone());
    let mut line = line(context.stage, plan);
    let mut search = Search::new(Settings::from(&line), Vec::new());
    // A check that ended an earlier run's probe leaves the next ones alone, too.
    let _told = context.early.arm(context.stop);
    let told = match context.retell().await {
        Ok(done) => done.len(),
        Err(reason) => {
            skip(*context, StageState::Failed, &reason).await;
            return StageOutcome::failed(reason);
        }
    };
    for _ in 0..told {
        match observe(context, &mut search).await {
            Ok(()) => line.probe += 1,
            Err(outcome) => return outcome,
        }
    }
    let mut is_warm = false;
    while let Step::Probe(at) = search.next() {
        if context.stop.drain.is_cancelled() {
            let outcome = StageOutcome::interrupted();
            if line.probe == 0 {
                let reason = outcome.reason.as_deref().unwrap_or_default();
                skip(*context, outcome.state, reason).await;
            }
            return outcome;
        }
        let level = level(plan, at, &line);
        super::flush::wait_until_idle(context).await;
        if !is_warm && level.traffic.warmup_requests > 0 {
            load::warm_up(context, &level, &tokenizer).await;
        }
        is_warm = true;
        // A check that ends one probe leaves the next ones alone.
        let stop = context.early.arm(context.stop);
        let own = StageContext { stop: &stop, ..*context };
        let outcome = load::drive(&own, &level, &tokenizer).await;
        if outcome.state != StageState::Completed {
            return outcome;
        }
        match observe(context, &mut search).await {
            Ok(()) => line.probe += 1,
            Err(outcome) => return outcome,
        }
    }
    StageOutcome::completed()
}

/// Tells the search what the probe that has just ended came to.
async fn observe(context: &StageContext<'_>, search: &mut Search) -> Result<(), StageOutcome> {
    let measured = measured(context).await;
    let (summary, settling) = measured.ok_or_else(StageOutcome::interrupted)?;
    let probe = probe(&summary, settling);
    search.observe(probe.ok_or_else(|| StageOutcome::failed("a probe could not be judged"))?);
    Ok(())
}

/// The level of the first probe.
pub(super) fn first_level<'p>(stage: &Stage, plan: &'p plan::Search) -> Level<'p> {
    level(plan, plan.low, &line(stage, plan))
}

/// What the recorder makes of the probe that has just ended, and how many requests settled before
/// it; `None` when the run is cut.
async fn measured(context: &StageContext<'_>) -> Option<(StageSummary, u64)> {
    let mut settling = 0;
    loop {
        let summary = super::unless_cut(context, context.rungs.next()).await??;
        if summary.probe.is_some() {
            return Some((summary, settling));
        }
        settling =
            summary.counts.planned - summary.counts.never_started.min(summary.counts.planned);
    }
}

fn line(stage: &Stage, plan: &plan::Search) -> SearchLine {
    SearchLine {
        probe: 0,
        whole: matches!(plan.over, SearchAxis::Concurrency { .. }),
        from: plan.low,
        to: Some(plan.high),
        tolerance: plan.tolerance,
        confirmations: plan.confirmations,
        max_probes: plan.max_probes,
        max_requests: plan.max_requests,
        at_least: plan.at_least,
        location: stage.location.to_string(),
    }
}

fn level<'p>(plan: &'p plan::Search, at: f64, line: &SearchLine) -> Level<'p> {
    let (shape, target_rate) = match plan.over {
        SearchAxis::Rate { arrival, pacing } => {
            let rate = Rate::Constant(at);
            (Shape::Open(OpenLoop { arrival, rate, pacing }), Some(at))
        }
        SearchAxis::Concurrency { spread, think } => {
            let users = whole(at);
            let load = ClosedLoop {
                users,
                start_users: users,
                ramp: std::time::Duration::ZERO,
                spread,
                think,
            };
            (Shape::Closed(load), None)
        }
    };
    Level {
        rung: Some(at),
        traffic: &plan.traffic,
        shape,
        until: plan.step,
        repeats: 1,
        measure: plan.measure,
        target_rate,
        replay: None,
        search: Some(line.clone()),
    }
}

/// A level that the search keeps whole.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 1 and bounded by the plan; the cast saturates"
)]
fn whole(level: f64) -> u64 {
    level as u64
}
