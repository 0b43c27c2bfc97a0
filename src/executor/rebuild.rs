//! A run directory → the summary of its records.
//!
//! In: the directory of a run that finished, was interrupted or killed, or still goes on. Out: the
//! same summary that the run itself made (or would have made). Invariant: nothing is written.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use super::manifest::Manifest;
use super::run_dir::{self, RunDirError};
use crate::metrics::aggregator::Aggregator;
use crate::metrics::quantity::plural;
use crate::metrics::record_log::{self, LogLosses, ReadLogError};
use crate::metrics::summary::{RunEnd, RunState, Summary};
use crate::record::Line;

pub use crate::metrics::record_log::is_segment;

/// A summary made from a record log.
#[derive(Debug)]
pub struct Rebuilt {
    /// The numbers.
    pub summary: Summary,
    /// The run's manifest, if it has one.
    pub manifest: Option<Manifest>,
    /// What the log lacks.
    pub losses: LogLosses,
}

/// What is known of a run beside its lines.
#[derive(Debug)]
pub struct Read {
    /// The run's manifest, if it has one.
    pub manifest: Option<Manifest>,
    /// What the log lacks.
    pub losses: LogLosses,
    /// How the run ended, as far as can be told.
    pub end: RunEnd,
}

/// Why a summary can't be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The record log.
    #[error(transparent)]
    Log(#[from] ReadLogError),
    /// The manifest.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
}

/// Hands every line of the run in `run` to `each`, with its number and in order.
pub fn lines(run: &Path, mut each: impl FnMut(u64, &Line)) -> Result<Read, RebuildError> {
    let manifest = if run.is_dir() { run_dir::read_manifest(run)? } else { None };
    let mut begun = BTreeSet::new();
    let mut moment = LastMoment::default();
    let losses = record_log::read(run, |seq, line| {
        if let Line::StageStart(start) = &line {
            begun.insert(start.stage.clone());
        }
        moment.take(&line);
        each(seq, &line);
    })?;
    let mut end =
        manifest.as_ref().and_then(|manifest| manifest.end.clone()).unwrap_or_else(|| {
            if run_dir::is_locked(run) {
                RunEnd {
                    notes: vec!["the run still goes on".into()],
                    ..RunEnd::new(RunState::Running)
                }
            } else {
                let died = "the run never came to its end: its process died".to_owned();
                let behind = manifest.as_ref().and_then(|manifest| never_begun(manifest, &begun));
                let is_lazy = manifest.as_ref().is_some_and(is_lazy);
                let lacking = moment.lacking(&losses, is_lazy);
                let notes = std::iter::once(died).chain(lacking).chain(behind).collect();
                RunEnd { notes, ..RunEnd::new(RunState::Aborted) }
            }
        });
    end.notes.extend(losses.note());
    Ok(Read { manifest, losses, end })
}

/// Answers per second at the end of a log, to say how many more there may have been.
#[derive(Debug, Default)]
struct LastMoment {
    answers: u64,
    /// When those of the last second ended.
    last: VecDeque<u64>,
}

impl LastMoment {
    fn take(&mut self, line: &Line) {
        const SECOND: u64 = 1_000_000_000;
        let Line::End(record) = line else { return };
        let Some(end) = record.end_ns else { return };
        self.answers += 1;
        while self.last.front().is_some_and(|first| first.saturating_add(SECOND) < end) {
            self.last.pop_front();
        }
        self.last.push_back(end);
    }

    /// What the log may lack, where its process died: as many answers as come at its last rate in the time
    /// that lines may wait to be written, and not more than fit the buffer in which they wait.
    fn lacking(&self, losses: &LogLosses, is_lazy: bool) -> Option<String> {
        let (part, bytes, promise) =
            if is_lazy { (1, 1 << 20, "1 s and 1 MiB") } else { (4, 1 << 16, "250 ms and 64 KiB") };
        let in_time = (self.last.len() as u64).div_ceil(part);
        let in_buffer = bytes / losses.bytes.checked_div(self.answers)?.max(1);
        Some(format!(
            "at the rate of its last second ({}/s), about {} of the last moment may lack their line: what \
             waits to be written is as a rule less than {promise}",
            self.last.len(),
            plural(in_time.min(in_buffer).max(1), "answer"),
        ))
    }
}

/// Whether the run's records were written now and then only (`durability: none`).
fn is_lazy(manifest: &Manifest) -> bool {
    manifest.plan.resolved.get("durability").is_some_and(|word| word == "none")
}

/// The stages that a run which died never came to, if the whole plan was to run.
fn never_begun(manifest: &Manifest, begun: &BTreeSet<String>) -> Option<String> {
    let selects = |word: &String| {
        let option = word.split('=').next().unwrap_or_default();
        ["--select", "--exclude"].contains(&option)
    };
    if manifest.arguments.iter().any(selects) {
        return None;
    }
    let stages = manifest.plan.resolved.get("stages")?.as_array()?;
    let ids = stages.iter().filter_map(|stage| stage.get("id")?.as_str());
    let behind: Vec<&str> = ids.filter(|id| !begun.contains(*id)).collect();
    (!behind.is_empty()).then(|| format!("it never came to {}", behind.join(", ")))
}

/// Reads the records of the run in `run` and sums them up.
pub fn rebuild(run: &Path) -> Result<Rebuilt, RebuildError> {
    let mut aggregator = Aggregator::new();
    let Read { manifest, losses, end } = lines(run, |_, line| {
        aggregator.line(line);
    })?;
    if let Some(why) = losses.data_loss() {
        aggregator.distrust(why);
    }
    Ok(Rebuilt { summary: aggregator.finish(&end), manifest, losses })
}
