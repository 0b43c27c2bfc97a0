//! What an earlier run has measured, told again by the run that goes on with it.
//!
//! In: the record log of a run that did not come to its end. Out: the lines of its finished levels of
//! load (a `load`, a rung, a probe), as they stand there. Invariants: a level is taken over whole or
//! not at all, with every line between its first and its last, and not where its numbers are about the
//! machine that ran it; nothing of a log is kept in memory but
//! where its levels lie.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{SETTLE_SUFFIX, load};
use crate::metrics::aggregator::Aggregator;
use crate::metrics::generator;
use crate::metrics::quantity::plural;
use crate::metrics::record_log::{self, LogLosses, ReadLogError};
use crate::plan::{Action, Plan, Stage};
use crate::record::{Line, Place, RecordSender, StageState};

/// Lines that are told before it is asked how far the sinks are; several times that fit their queues.
const STRIDE: u64 = 1024;
/// Sinks that get nothing done for so long are waited for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the sinks have nearly all that was told, for lines come faster here than any run makes
/// them. False when one of them is stuck.
fn sinks_follow(records: &RecordSender) -> bool {
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        let backlog = records.backlog_blocking();
        if backlog < STRIDE {
            return true;
        }
        if backlog < least {
            (least, since) = (backlog, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The finished levels of an earlier run.
#[derive(Debug, Default)]
pub struct Earlier {
    run: PathBuf,
    levels: Vec<Finished>,
    /// The version of its records, where it says.
    pub record_version: Option<u32>,
    /// When the last of its levels ended, on its clock.
    pub last_ns: u64,
    /// Levels that came to their end, but whose numbers are about the machine that ran it.
    pub spoiled: u64,
}

/// A level that was measured to its end.
#[derive(Debug)]
struct Finished {
    place: Place,
    endpoint: String,
    /// Its first and last line, by number.
    lines: (u64, u64),
    /// Requests that it planned, as far as lines tell.
    requests: u64,
}

/// The place of a level, or of the settling before it.
fn level(stage: &str, cell: Option<&str>, rung: Option<f64>) -> Place {
    Place::of(stage.strip_suffix(SETTLE_SUFFIX).unwrap_or(stage), cell, rung)
}

/// Whether it is one of `stage`, in its cell.
fn is_in(place: &Place, stage: &Stage) -> bool {
    place.stage == stage.id && place.cell.as_deref() == stage.cell_id()
}

/// Where a line belongs; `None` for those of no level.
fn place(line: &Line) -> Option<Place> {
    Some(match line {
        Line::StageStart(it) => level(&it.stage, it.cell.as_deref(), it.rung),
        Line::Start(it) => level(&it.stage, it.cell.as_deref(), it.rung),
        Line::End(it) => level(&it.stage, it.cell.as_deref(), it.rung),
        Line::NeverStarted(it) => level(&it.stage, it.cell.as_deref(), it.rung),
        Line::StageEnd(it) => level(&it.stage, it.cell.as_deref(), it.rung),
        Line::Round(it) => level(&it.stage, it.cell.as_deref(), None),
        Line::Run(_) | Line::Flush(_) | Line::Server(_) => return None,
    })
}

impl Earlier {
    /// Looks through the log of the run in `run` for what is finished.
    pub fn read(run: &Path) -> Result<(Self, LogLosses), ReadLogError> {
        let mut earlier = Self { run: run.to_owned(), ..Self::default() };
        let mut aggregator = Aggregator::new();
        let mut open: HashMap<Place, Finished> = HashMap::new();
        let losses = record_log::read(run, |seq, line| {
            if let Line::Run(run) = &line {
                earlier.record_version = Some(run.record_version);
            }
            let over = aggregator.line(&line);
            let is_spoiled = over.is_some_and(|stage| generator::spoiled(stage).is_some());
            let Some(place) = place(&line) else { return };
            match &line {
                Line::StageStart(start) => {
                    // Settling begins before its level.
                    open.entry(place.clone()).or_insert(Finished {
                        place,
                        endpoint: start.endpoint.clone(),
                        lines: (seq, seq),
                        requests: 0,
                    });
                }
                Line::End(_) => {
                    if let Some(level) = open.get_mut(&place) {
                        level.requests += 1;
                    }
                }
                Line::NeverStarted(line) => {
                    if let Some(level) = open.get_mut(&place) {
                        level.requests += line.count;
                    }
                }
                Line::StageEnd(end) if !end.stage.ends_with(SETTLE_SUFFIX) => {
                    if let Some(mut level) = open.remove(&place)
                        && end.state == StageState::Completed
                    {
                        if is_spoiled {
                            earlier.spoiled += 1;
                            return;
                        }
                        level.lines.1 = seq;
                        earlier.last_ns = earlier.last_ns.max(end.at_ns);
                        earlier.levels.push(level);
                    }
                }
                _ => {}
            }
        })?;
        Ok((earlier, losses))
    }

    /// What a run of `plan` takes over, in words, by stage; empty when that is nothing.
    pub fn taken_over(&self, plan: &Plan) -> Vec<String> {
        let of = |stage: &Stage| {
            let one = match &stage.action {
                _ if !stage.record => return None,
                Action::Search(_) => "probe",
                Action::QpsLadder(_) | Action::ConcurrencyRamp(_) => "rung",
                _ if load::levels(stage).is_some() => "stage",
                _ => return None,
            };
            let levels = self.levels.iter().filter(|level| is_in(&level.place, stage));
            let (mut count, mut requests) = (0, 0);
            for level in levels {
                count += 1;
                requests += level.requests;
            }
            let cell = stage.cell_id().map(|cell| format!("[{cell}]")).unwrap_or_default();
            (count > 0).then(|| {
                let (levels, requests) = (plural(count, one), plural(requests, "request"));
                format!("`{}{cell}`: {levels}, {requests}", stage.id)
            })
        };
        plan.stages.iter().filter_map(of).collect()
    }

    /// Hands every line of the finished levels of `stage` to the recorder, in order. Returns the
    /// rungs that are done, or why the log can't be read any more.
    pub(super) async fn retell(
        self: &Arc<Self>,
        stage: &Stage,
        records: &RecordSender,
    ) -> Result<Vec<Option<f64>>, String> {
        let rungs = |level: &Finished| level.place.rung.map(f64::from_bits);
        let ours: Vec<_> = (0..self.levels.len())
            .filter(|&number| is_in(&self.levels[number].place, stage))
            .collect();
        let done = ours.iter().map(|&number| rungs(&self.levels[number])).collect();
        if !ours.is_empty() {
            let (earlier, records) = (Arc::clone(self), records.clone());
            let read = tokio::task::spawn_blocking(move || earlier.send(&ours, &records));
            let read = read.await.map_err(|error| error.to_string())?;
            read.map_err(|error| format!("the earlier run's records can't be read: {error}"))?;
        }
        Ok(done)
    }

    fn send(&self, ours: &[usize], records: &RecordSender) -> Result<(), ReadLogError> {
        let mut ours = ours.iter().map(|&number| &self.levels[number]).peekable();
        let (mut told, mut is_patient) = (0_u64, true);
        record_log::read(&self.run, |seq, line| {
            while ours.next_if(|level| level.lines.1 < seq).is_some() {}
            let Some(level) = ours.peek().filter(|level| level.lines.0 <= seq) else { return };
            let belongs = match &line {
                Line::Server(reading) => reading.endpoint == level.endpoint,
                line => place(line).as_ref() == Some(&level.place),
            };
            if belongs {
                records.send_blocking(line);
                told += 1;
                if is_patient && told.is_multiple_of(STRIDE) {
                    is_patient = sinks_follow(records);
                }
            }
        })?;
        Ok(())
    }
}
