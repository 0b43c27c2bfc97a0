//! A run directory → the summary of its records.
//!
//! In: the directory of a run that finished, was interrupted or killed, or still goes on. Out: the
//! same summary that the run itself made (or would have made). Invariant: nothing is written.

use std::collections::BTreeSet;
use std::path::Path;

use super::manifest::Manifest;
use super::run_dir::{self, RunDirError};
use crate::metrics::aggregator::Aggregator;
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
    let losses = record_log::read(run, |seq, line| {
        if let Line::StageStart(start) = &line {
            begun.insert(start.stage.clone());
        }
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
                let notes = std::iter::once(died).chain(behind).collect();
                RunEnd { notes, ..RunEnd::new(RunState::Aborted) }
            }
        });
    end.notes.extend(losses.note());
    Ok(Read { manifest, losses, end })
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
