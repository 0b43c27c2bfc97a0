//! `abort:` and `stop_when:` while a stage runs.
//!
//! In: lines, on the recorder's thread, away from whatever is being timed. Out: the stage's own two
//! ways to stop, pulled with a reason. Invariant: each stage has its own, so that ending one leaves
//! the others alone; a signal still ends them all.

use crate::metrics::live::LiveTally;
use crate::plan::{Ending, LiveCheck, Plan};
use crate::record::{Line, Record};
use crate::stage::{EarlyEnd, Stop};

/// How one stage is stopped.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// Its own ways to stop, below those of the run.
    pub stop: Stop,
    /// Why its own plan ended it.
    pub early: EarlyEnd,
}

/// One for each stage of the plan.
pub(super) fn guards(plan: &Plan, stop: &Stop) -> Vec<Guard> {
    let guard = |_| Guard { stop: stop.child(), early: EarlyEnd::default() };
    plan.stages.iter().map(guard).collect()
}

/// The checks on running stages.
pub(super) struct Watch {
    stages: Vec<Watched>,
}

struct Watched {
    id: String,
    checks: Vec<LiveCheck>,
    tallies: Vec<LiveTally>,
    guard: Guard,
}

impl Watch {
    /// Watches the stages that ask for it.
    pub(super) fn new(plan: &Plan, guards: &[Guard]) -> Self {
        let stages = plan.stages.iter().zip(guards).filter(|(stage, _)| !stage.live.is_empty());
        let watched = stages.map(|(stage, guard)| Watched {
            id: stage.id.clone(),
            checks: stage.live.clone(),
            tallies: Vec::new(),
            guard: guard.clone(),
        });
        Self { stages: watched.collect() }
    }

    /// Takes a line of the record log.
    pub(super) fn observe(&mut self, line: &Line) {
        match line {
            Line::StageStart(start) => {
                if let Some(stage) = self.stages.iter_mut().find(|it| it.id == start.stage) {
                    // Each rung is judged by itself.
                    stage.tallies = stage.checks.iter().map(LiveTally::new).collect();
                }
            }
            Line::End(record) => {
                if let Some(stage) = self.stages.iter_mut().find(|it| it.id == record.stage) {
                    stage.take(record);
                }
            }
            _ => {}
        }
    }
}

impl Watched {
    fn take(&mut self, record: &Record) {
        if self.guard.stop.drain.is_cancelled() {
            return;
        }
        for (tally, check) in self.tallies.iter_mut().zip(&self.checks) {
            let Some(why) = tally.take(record) else { continue };
            self.guard.early.set(check.ending, why);
            self.guard.stop.drain.cancel();
            if check.ending == Ending::Abort {
                self.guard.stop.cut.cancel();
            }
            return;
        }
    }
}
