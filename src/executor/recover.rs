//! `runner recover RUN`: a run whose process died becomes one that has ended.
//!
//! In: the directory of a run that nobody writes any more. Out: the same, with whole lines only and a
//! manifest that says how it ended; its summary and report are then rebuilt like any other's. Invariants:
//! no byte is thrown away (what is cut off lies beside the log); lines that are missing or unreadable in
//! the middle stay as they are, for nothing can be known of them; done again, it changes nothing.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::manifest::{Host, MANIFEST_VERSION, Manifest, ManifestEndpoint, ManifestPlan};
use super::rebuild::{self, RebuildError};
use super::run_dir::{self, MANIFEST, RunDirError};
use crate::metrics::aggregator::Aggregator;
use crate::metrics::quantity::plural;
use crate::record::{Line, RunLine, StageStart};
use crate::sink::atomic_file;

/// Why a run can't be put in order.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Its log or manifest.
    #[error(transparent)]
    Read(#[from] RebuildError),
    /// Its directory.
    #[error(transparent)]
    Write(#[from] RunDirError),
    /// A file of its log.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Another process writes it.
    #[error("{0} still goes on\n  help: wait for its end, or stop it")]
    Running(PathBuf),
    /// Not even its first line can be read.
    #[error("{0}: its log has no first line, so nothing is known of it\n  help: run the plan anew")]
    Nameless(PathBuf),
}

/// Puts the run in `run` in order; says what was done, one line each.
pub fn recover(run: &Path) -> Result<Vec<String>, RecoverError> {
    if run_dir::is_locked(run) {
        return Err(RecoverError::Running(run.to_owned()));
    }
    let mut done = Vec::new();
    if let Err(RunDirError::Content { path, message }) = run_dir::read_manifest(run) {
        let aside = run.join(format!("{MANIFEST}.unreadable"));
        rename(&path, &aside)?;
        done.push(format!("{MANIFEST} could not be read ({message}): kept as {}", shown(&aside)));
    }
    let (mut first, mut stages) = (None, Vec::new());
    let mut aggregator = Aggregator::new();
    let read = rebuild::lines(run, |_, line| {
        aggregator.line(line);
        match line {
            Line::Run(line) => first = first.take().or_else(|| Some(line.clone())),
            Line::StageStart(start) => stages.push(start.clone()),
            _ => {}
        }
    })?;
    if let Some((path, length)) = &read.losses.torn_from {
        done.push(cut(path, *length)?);
    }
    let manifest = match (read.manifest, first) {
        (Some(manifest), _) if manifest.end.is_some() => return Ok(done),
        (Some(manifest), _) => manifest,
        (None, Some(line)) => {
            done.push(format!(
                "{MANIFEST} was missing: written anew by what the records say, without the plan's text"
            ));
            manifest_of(line, &stages)
        }
        (None, None) => return Err(RecoverError::Nameless(run.to_owned())),
    };
    if let Some(why) = read.losses.data_loss() {
        aggregator.distrust(why);
    }
    let exit_code = Some(aggregator.finish(&read.end).verdict.exit_code);
    let state = read.end.state;
    run_dir::close(run, &Manifest { state, exit_code, end: Some(read.end), ..manifest })?;
    done.push(format!("{MANIFEST} says now that the run ended before its time"));
    Ok(done)
}

/// Cuts a segment to its whole lines; what follows them is kept beside it.
fn cut(path: &Path, length: u64) -> Result<String, RecoverError> {
    let failed = |source| RecoverError::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(length)).map_err(failed)?;
    file.read_to_end(&mut torn).map_err(failed)?;
    let aside = path.with_extension("torn");
    atomic_file::write(&aside, &torn).map_err(failed)?;
    file.set_len(length).and_then(|()| file.sync_all()).map_err(failed)?;
    let bytes = plural(torn.len() as u64, "byte");
    Ok(format!(
        "{} ended in {bytes} of a line that was cut short: kept as {}",
        shown(path),
        shown(&aside)
    ))
}

fn rename(from: &Path, to: &Path) -> Result<(), RecoverError> {
    std::fs::rename(from, to).map_err(|source| RecoverError::Io { path: from.to_owned(), source })
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a log says of a run that has no manifest.
fn manifest_of(run: RunLine, stages: &[StageStart]) -> Manifest {
    let mut endpoints: Vec<ManifestEndpoint> = Vec::new();
    for stage in stages {
        if endpoints.iter().all(|known| known.name != stage.endpoint) {
            endpoints.push(ManifestEndpoint {
                name: stage.endpoint.clone(),
                model: stage.model.clone(),
                ..ManifestEndpoint::default()
            });
        }
    }
    Manifest {
        schema_version: MANIFEST_VERSION,
        run_id: run.run_id,
        state: crate::metrics::summary::RunState::Aborted,
        resumes: None,
        plan: ManifestPlan {
            name: run.plan,
            path: String::new(),
            hash: run.plan_hash,
            resolved: serde_json::Value::Null,
        },
        simulated: run.simulated,
        seed: run.seed,
        params: std::collections::BTreeMap::new(),
        cells: Vec::new(),
        tags: std::collections::BTreeMap::new(),
        endpoints,
        arguments: Vec::new(),
        choices: Vec::new(),
        runner_version: run.runner_version,
        host: Host { os: "unknown".into(), arch: "unknown".into(), cores: 0, hostname: None },
        started_at: run.started_at,
        ended_at: None,
        ended_ns: None,
        exit_code: None,
        end: None,
    }
}
