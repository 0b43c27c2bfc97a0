//! `abort:` and `stop_when:` while a stage runs, and the checks that have failed so far.
//!
//! In: lines and measured stages, on the recorder's thread, away from whatever is being timed. Out:
//! the stage's own two ways to stop, pulled with a reason; for `--fail-fast`, what failed; for a
//! search, the summaries of its probes. Invariant: each stage of each cell has its own, so that
//! ending one leaves the others alone; a signal still ends them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::recorder::Event;
use crate::metrics::live::{Known, LiveTally};
use crate::metrics::search;
use crate::metrics::summary::StageSummary;
use crate::plan::{Action, Level, LiveCheck, Plan, Stage};
use crate::record::{Line, Record, StageStart};
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

/// A stage of a cell.
type Key = (String, Option<String>);

/// The first check that failed on each stage; whoever asks must have waited for the recorder.
#[derive(Debug, Clone, Default)]
pub(super) struct FailedChecks(Arc<Mutex<BTreeMap<Key, String>>>);

impl FailedChecks {
    /// The check of this stage that failed the run, if one did.
    pub(super) fn of(&self, stage: &Stage) -> Option<String> {
        let key = (stage.id.clone(), stage.cell_id().map(str::to_owned));
        self.all().get(&key).cloned()
    }

    fn note(&self, stage: &StageSummary) {
        let failed = stage.thresholds.iter().find(|it| !it.pass && it.level == Level::Fail);
        if let Some(failed) = failed {
            let key = (stage.id.clone(), stage.cell.clone());
            self.all().entry(key).or_insert_with(|| failed.check.clone());
        }
    }

    /// What the probes of a search so far come to: the next one may still find enough.
    fn note_search(&self, probes: &[StageSummary]) {
        let mut probes = probes.to_vec();
        let found = search::of_stages(&probes);
        search::gate(&mut probes, &found, None);
        if let Some(last) = probes.last() {
            self.all().remove(&(last.id.clone(), last.cell.clone()));
            self.note(last);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checks on running stages.
pub(super) struct Watch {
    stages: BTreeMap<Key, Watched>,
    known: Known,
    failed: FailedChecks,
}

struct Watched {
    checks: Vec<LiveCheck>,
    tallies: Vec<LiveTally>,
    is_search: bool,
    /// Of a search, in order.
    probes: Vec<StageSummary>,
    guard: Guard,
}

impl Watch {
    /// Watches the stages that ask for it.
    pub(super) fn new(plan: &Plan, guards: &[Guard], failed: FailedChecks) -> Self {
        let is_search = |stage: &Stage| matches!(stage.action, Action::Search(_));
        let stages = plan.stages.iter().zip(guards);
        let stages = stages.filter(|(stage, _)| !stage.live.is_empty() || is_search(stage));
        let watched = stages.map(|(stage, guard)| {
            let key = (stage.id.clone(), stage.cell_id().map(str::to_owned));
            let watched = Watched {
                checks: stage.live.clone(),
                tallies: Vec::new(),
                is_search: is_search(stage),
                probes: Vec::new(),
                guard: guard.clone(),
            };
            (key, watched)
        });
        let live = plan.stages.iter().flat_map(|stage| &stage.live);
        Self { stages: watched.collect(), known: Known::for_checks(live), failed }
    }

    /// Takes what the recorder tells.
    pub(super) fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Stage(stage) => {
                self.known.measured(stage);
                if !self.told_search(stage) {
                    self.failed.note(stage);
                }
            }
            Event::Line(_) if self.stages.is_empty() => {}
            Event::Line(Line::StageStart(start)) => {
                let key = (start.stage.clone(), start.cell.clone());
                if let Some(stage) = self.stages.get_mut(&key) {
                    stage.begin(start, &self.known);
                }
            }
            Event::Line(Line::End(record)) => {
                let key = (record.stage.clone(), record.cell.clone());
                if let Some(stage) = self.stages.get_mut(&key) {
                    stage.take(record);
                }
            }
            Event::Line(_) => {}
        }
    }

    /// Tells a search what its probe, or the settling part of it, came to: a probe beyond the limit
    /// is how a search goes, and no failed check. False for any other stage.
    fn told_search(&mut self, summary: &StageSummary) -> bool {
        let id = summary.id.strip_suffix(SETTLE_SUFFIX).unwrap_or(&summary.id);
        let key = (id.to_owned(), summary.cell.clone());
        let Some(stage) = self.stages.get_mut(&key).filter(|stage| stage.is_search) else {
            return false;
        };
        if summary.probe.is_some() {
            stage.probes.push(summary.clone());
            self.failed.note_search(&stage.probes);
        }
        // A stage that is over does not listen any more.
        let _over = stage.guard.told.send(summary.clone());
        true
    }
}

impl Watched {
    /// Each rung is judged by itself.
    fn begin(&mut self, start: &StageStart, known: &Known) {
        self.tallies.clear();
        for check in &self.checks {
            match known.limit(check, start) {
                Ok(limit) => self.tallies.push(LiveTally::new(check, limit)),
                Err(why) => {
                    let id = &start.stage;
                    tracing::warn!("`{}` does not watch {id}: {why}", check.when.check);
                }
            }
        }
    }

    fn take(&mut self, record: &Record) {
        if self.guard.early.is_over() {
            return;
        }
        for tally in &mut self.tallies {
            let Some(why) = tally.take(record) else { continue };
            self.guard.early.pull(tally.ending(), why);
            return;
        }
    }
}
