//! Floor 5: walks the graph, records, shows progress.
//!
//! In: a checked plan and its graph. Out: a run directory and a [`Finished`] run. Order of events:
//! the run directory is made, the plan's files are read, the sinks are opened, then every endpoint is reached (preflight), and only
//! then is the first request sent. Invariant: nothing is sent when any of these fails, and the
//! directory is finished whatever happens after.

pub mod calibration;
mod connect;
mod guard;
pub mod manifest;
mod needs;
pub mod progress;
pub mod prompts;
pub mod rebuild;
pub mod recorder;
pub mod recover;
pub mod refusals;
pub mod resume;
pub mod run_dir;
mod signals;
mod walk;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::probe::PreflightError;
use crate::graph::Graph;
use crate::metrics::summary::{RunEnd, RunState, Summary};
use crate::output::note;
use crate::plan::{Action, Nonce, Plan, Redactor, Target};
use crate::record::{RECORD_VERSION, RunClock, RunLine};
use crate::report::view::Background;
use crate::sink::{self, OpenSink, SinkError};
use crate::stage::Stop;
use crate::stage::log::Log;
use crate::workload::store::{Store, StoreError};
use connect::Connections;
use guard::{FailedChecks, Watch, guards};
use manifest::{Host, MANIFEST_VERSION, Manifest, ManifestPlan};
use progress::{Progress, ProgressMode};
use recorder::{Event, Recorder, RecorderError};
use resume::{ResumeError, Resumed};
use run_dir::{RunDir, RunDirError};
use signals::Signals;
use walk::Walk;

/// What the command line adds to the plan.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The command line, redacted, for the manifest.
    pub arguments: Vec<String>,
    /// What of it changed the plan and is not in its document, sorted.
    pub choices: Vec<String>,
    /// How progress is shown on standard error.
    pub progress: ProgressMode,
    /// How often plain progress says how far the run is; zero for never.
    pub heartbeat: Duration,
    /// Skip what is left when a stage does not complete or fails a check.
    pub fail_fast: bool,
    /// What the reader of the numbers should know beforehand; goes into the notes.
    pub warnings: Vec<String>,
    /// What nothing that is kept may show, beside each endpoint's own.
    pub secrets: Redactor,
    /// The run to go on with.
    pub resumed: Option<Resumed>,
}

/// A run that got past preflight.
#[derive(Debug)]
pub struct Finished {
    /// Everything that was measured and judged.
    pub summary: Summary,
    /// Where the evidence lies.
    pub directory: PathBuf,
    /// Why the directory could not be finished; its records may still be read.
    pub unfinished: Option<String>,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run directory could not be made or written.
    #[error(
        "the run directory can't be used: {0}\n  help: choose another folder with --results FOLDER or the plan's `results:`"
    )]
    Directory(#[from] RunDirError),
    /// A file of the plan can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log can't be replayed.
    #[error("stage `{stage}`: {why}")]
    Log {
        /// The stage's id.
        stage: String,
        /// What is wrong and how to mend it.
        why: String,
    },
    /// A sink could not be opened.
    #[error("sink {0}")]
    Sink(#[from] SinkError),
    /// The record log could not be opened.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// An endpoint is not what the plan needs.
    #[error("endpoint `{endpoint}`: {error}\n  help: {}", error.help)]
    Preflight {
        /// Its name in the plan.
        endpoint: String,
        /// What is wrong and how to mend it.
        error: PreflightError,
    },
    /// The run to go on with measured something else.
    #[error("--resume: {0}")]
    Resume(#[from] ResumeError),
    /// The embedded simulator did not start.
    #[error("the embedded simulator did not start: {0}")]
    Simulator(String),
    /// Signals can't be listened for.
    #[error("signals can't be listened for: {0}")]
    Signals(std::io::Error),
    /// A signal came before the first request; holds the exit code.
    #[error("interrupted before the first request")]
    Interrupted(i32),
}

/// Runs a plan to its end.
pub async fn run(plan: &Plan, graph: &Graph, options: RunOptions) -> Result<Finished, RunError> {
    let stop = Stop::default();
    let signals = Signals::listen(stop.clone(), plan.grace).map_err(RunError::Signals)?;
    let resumed = options.resumed;
    let (clock, started_at) = match &resumed {
        Some(resumed) => (resumed.clock(), resumed.started_at.clone()),
        None => (RunClock::start_now(), jiff::Timestamp::now().to_string()),
    };

    let directory = RunDir::create(&plan.results, &plan.name)?;
    signals.would_discard(Some(directory.path().to_owned()));
    let mut progress = Progress::new(plan, options.progress, options.heartbeat);
    let opened = open(plan, clock, (&stop, &options.secrets)).await.and_then(|opened| {
        resumed.iter().try_for_each(|it| it.meets(&opened.connections.described()))?;
        Ok(opened)
    });
    let Opened { store, sinks, connections } = match opened {
        Ok(opened) if !stop.drain.is_cancelled() => opened,
        result => {
            // An empty directory would look like a run that was lost.
            directory.discard()?;
            let interrupted = signals.exit_code().map(RunError::Interrupted);
            return Err(interrupted
                .or(result.err())
                .unwrap_or(RunError::Interrupted(signals::INTERRUPTED)));
        }
    };

    let run_line = run_line(plan, &directory, &connections, started_at);
    let mut warnings = options.warnings;
    warnings.extend(connections.warnings());
    warnings.extend(needs::warnings(plan, directory.path()));
    for warning in &warnings {
        note!("warning: {warning}");
    }
    let mut manifest = manifest(plan, &run_line, &connections, options.arguments);
    manifest.choices = options.choices;
    manifest.resumes = resumed.as_ref().map(|resumed| resumed.run_id.clone());
    directory.write_manifest(&manifest)?;
    tracing::info!("run {} writes to {}", run_line.run_id, directory.path().display());
    progress.show(connections.answering());
    let run_nonce = run_nonce(plan, &run_line.run_id);
    let guards = guards(plan, &stop);
    let failed = FailedChecks::default();
    let mut watch = Watch::new(plan, &guards, failed.clone());
    let (records, recorder) =
        Recorder::start(directory.path(), run_line, plan.durability, sinks, move |event| {
            watch.observe(&event);
            match event {
                Event::Line(line) => progress.observe(line),
                Event::Stage(stage) => progress.measured(stage),
            }
        })?;

    signals.would_discard(None);
    let log_failed = recorder.log_failed();
    let walk = Walk {
        plan,
        graph,
        connections: &connections,
        store: &store,
        run_nonce: &run_nonce,
        records: &records,
        clock,
        stop: &stop,
        guards: &guards,
        fail_fast: options.fail_fast,
        failed: &failed,
        earlier: resumed.as_ref().map(|resumed| &resumed.earlier),
    };
    tokio::select! {
        () = walk.run() => {}
        () = stop_when(&log_failed, &stop) => {}
    }
    drop(records);

    let mut end = RunEnd::new(match signals.exit_code() {
        Some(_) => RunState::Interrupted,
        None if log_failed.is_cancelled() => RunState::Aborted,
        None => RunState::Finished,
    });
    end.signal_exit_code = signals.exit_code();
    end.notes.extend(resumed.map(|resumed| resumed.note(plan)));
    end.notes.extend(warnings);
    end.notes.extend(prompts::notes(plan, |stage| &connections.get(stage).server.model));
    end.notes.extend(connections.notes());
    end.notes.extend(store.notes());
    end.notes.extend(connections.silent());
    let done = recorder.finish(end)?;
    manifest.state = done.end.state;
    manifest.ended_at = Some(jiff::Timestamp::now().to_string());
    manifest.ended_ns = Some(clock.now_ns());
    manifest.exit_code = Some(done.summary.verdict.exit_code);
    manifest.end = Some(done.end);
    let path = directory.path().to_owned();
    // From here on requests have been sent: whatever fails now is said beside the numbers.
    let unfinished =
        directory.finish(&manifest, &done.summary).err().map(|error| error.to_string());
    signals.is_over();
    Ok(Finished { summary: done.summary, directory: path, unfinished })
}

/// What a run needs, open.
struct Opened {
    store: Store,
    sinks: Vec<OpenSink>,
    connections: Connections,
}

/// Opens what a run needs, in the order in which it costs the world something.
async fn open(plan: &Plan, clock: RunClock, ways: (&Stop, &Redactor)) -> Result<Opened, RunError> {
    let store = Store::open(plan)?;
    for stage in &plan.stages {
        if let Action::Replay(replay) = &stage.action {
            let of = |why| RunError::Log { stage: stage.id.clone(), why };
            Log::of(replay, &store, plan.seed, &stage.key()).map_err(of)?;
        }
    }
    let sinks = sink::open_all(&plan.sinks, Path::new("."), &Background::of(plan))?;
    let connections = Connections::open(plan, &store, clock, ways).await?;
    Ok(Opened { store, sinks, connections })
}

/// Ends the run when nothing of it is kept any more: what is in flight is cut, and the walk is
/// dropped where it stands, since nobody would hear what it still has to say.
async fn stop_when(log_failed: &tokio_util::sync::CancellationToken, stop: &Stop) {
    log_failed.cancelled().await;
    stop.drain.cancel();
    stop.cut.cancel();
}

fn run_line(
    plan: &Plan,
    directory: &RunDir,
    connections: &Connections,
    started_at: String,
) -> RunLine {
    RunLine {
        record_version: RECORD_VERSION,
        run_id: directory.id().to_owned(),
        plan: plan.name.clone(),
        plan_hash: plan.hash.clone(),
        started_at,
        seed: plan.seed,
        simulated: connections.any_simulated(),
        insecure: connections.any_insecure(),
        runner_version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// What makes this run's prompts unlike those of other runs. The embedded simulator is born empty,
/// so there the seed alone decides and a run can be repeated byte for byte.
pub fn run_nonce(plan: &Plan, run_id: &str) -> String {
    let all_simulated =
        plan.stages.iter().all(|stage| matches!(stage.endpoint.target, Target::Simulator(_)));
    match &plan.nonce {
        Nonce::Fixed(text) => text.clone(),
        Nonce::Run if all_simulated => format!("seed-{}", plan.seed),
        Nonce::Run => run_id.to_owned(),
    }
}

fn manifest(
    plan: &Plan,
    run: &RunLine,
    connections: &Connections,
    arguments: Vec<String>,
) -> Manifest {
    Manifest {
        schema_version: MANIFEST_VERSION,
        run_id: run.run_id.clone(),
        state: RunState::Running,
        resumes: None,
        plan: ManifestPlan {
            name: plan.name.clone(),
            path: plan.path.display().to_string(),
            hash: plan.hash.clone(),
            resolved: plan.resolved.clone(),
        },
        simulated: run.simulated,
        seed: run.seed,
        params: plan.params.iter().map(|param| (param.name.clone(), param.value.clone())).collect(),
        cells: plan.cells.iter().map(|cell| cell.id.clone()).collect(),
        tags: plan.tags.clone(),
        endpoints: connections.described(),
        arguments,
        choices: Vec::new(),
        runner_version: run.runner_version.clone(),
        host: Host::this(),
        started_at: run.started_at.clone(),
        ended_at: None,
        ended_ns: None,
        exit_code: None,
        end: None,
    }
}
