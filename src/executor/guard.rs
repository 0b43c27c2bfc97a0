//! `abort:` and `stop_when:` while a stage runs.
//!
//! In: lines, on the recorder's thread, away from whatever is being timed. Out: the stage's own two
//! ways to stop, pulled with a reason; and for a search the summaries of its probes. Invariant: each stage has its own, so that ending one leaves
//! the others alone; a signal still ends them all.

use tokio::sync::mpsc::UnboundedSender;

use crate::metrics::live::LiveTally;
use crate::metrics::summary::StageSummary;
use crate::plan::{Action, LiveCheck, Plan, Stage};
use crate::record::{Line, Record};
use crate::stage::{EarlyEnd, MeasuredRungs, SETTLE_SUFFIX, Stop};

/// How one stage is stopped.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// Its own ways to stop, below those of the run.
    pub stop: Stop,
    /// Why its own plan ended it.
    pub early: EarlyEnd,
    /// What the recorder makes of its rungs.
    pub rungs: MeasuredRungs,
    told: UnboundedSender<StageSummary>,
}

/// One for each stage of the plan.
pub(super) fn guards(plan: &Plan, stop: &Stop) -> Vec<Guard> {
    let guard = |_| {
        let stop = stop.child();
        let (told, rungs) = MeasuredRungs::channel();
        Guard { early: EarlyEnd::new(stop.clone()), stop, rungs, told }
    };
    plan.stages.iter().map(guard).collect()
}

/// The checks on running stages.
pub(super) struct Watch {
    stages: Vec<Watched>,
}

struct Watched {
    id: String,
    cell: Option<String>,
    checks: Vec<LiveCheck>,
    tallies: Vec<LiveTally>,
    is_search: bool,
    guard: Guard,
}

impl Watch {
    /// Watches the stages that ask for it.
    pub(super) fn new(plan: &Plan, guards: &[Guard]) -> Self {
        let is_search = |stage: &Stage| matches!(stage.action, Action::Search(_));
        let stages = plan.stages.iter().zip(guards);
        let stages = stages.filter(|(stage, _)| !stage.live.is_empty() || is_search(stage));
        let watched = stages.map(|(stage, guard)| Watched {
            id: stage.id.clone(),
            cell: stage.cell_id().map(str::to_owned),
            checks: stage.live.clone(),
            tallies: Vec::new(),
            is_search: is_search(stage),
            guard: guard.clone(),
        });
        Self { stages: watched.collect() }
    }

    /// Takes a line of the record log.
    pub(super) fn observe(&mut self, line: &Line) {
        match line {
            Line::StageStart(start) => {
                if let Some(stage) = self.find(&start.stage, start.cell.as_deref()) {
                    // Each rung is judged by itself.
                    stage.tallies = stage.checks.iter().map(LiveTally::new).collect();
                }
            }
            Line::End(record) => {
                if let Some(stage) = self.find(&record.stage, record.cell.as_deref()) {
                    stage.take(record);
                }
            }
            _ => {}
        }
    }

    /// Tells a search what its probe, or the settling part of it, came to.
    pub(super) fn measured(&mut self, summary: &StageSummary) {
        let id = summary.id.strip_suffix(SETTLE_SUFFIX).unwrap_or(&summary.id);
        if let Some(stage) = self.find(id, summary.cell.as_deref())
            && stage.is_search
        {
            // A stage that is over does not listen any more.
            let _over = stage.guard.told.send(summary.clone());
        }
    }

    fn find(&mut self, id: &str, cell: Option<&str>) -> Option<&mut Watched> {
        self.stages.iter_mut().find(|it| it.id == id && it.cell.as_deref() == cell)
    }
}

impl Watched {
    fn take(&mut self, record: &Record) {
        if self.guard.early.is_over() {
            return;
        }
        for (tally, check) in self.tallies.iter_mut().zip(&self.checks) {
            if let Some(why) = tally.take(record) {
                self.guard.early.pull(check.ending, why);
                return;
            }
        }
    }
}
