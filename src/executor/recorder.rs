//! One thread: record → log → aggregates → sinks.
//!
//! In: [`Line`]s from the stages. Out: the record log, the summary, the sinks. Invariants: the log
//! has each line before anyone is told of it at a stage's end; what is in the log is what the
//! summary counts; a sink that fails or hangs never holds up the log; a log that can't be written
//! ends the run.
//!
//! Lines are written out some milliseconds after they came, and at the latest every 64 KiB, so the
//! death of the process loses only lines that were still in the queue. `fdatasync` follows within a
//! second, at the end of each stage and at the end. The runtime in the thread has no I/O and no
//! workers: it is there for the one wait with a deadline that a channel of tokio's needs.

mod meter;
mod outlet;
mod writer;

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use self::meter::Meter;
use self::outlet::Outlet;
pub use self::outlet::SinkFailure;
use self::writer::LogWriter;
use crate::machine;
use crate::metrics::aggregator::Aggregator;
use crate::metrics::summary::{RunEnd, StageSummary, Summary};
use crate::record::{Line, Parcel, RecordReceiver, RecordSender, RunLine};
use crate::sink::OpenSink;

/// Lines that may wait for the recorder; some megabytes.
const QUEUE: usize = 8192;
/// Once it has written, the recorder lets lines gather for so long: being woken for each of them
/// would cost the senders more than the line itself.
const GATHER: Duration = Duration::from_millis(2);

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The log or its thread could not be made.
    #[error("record log: {0}")]
    Start(#[from] std::io::Error),
    /// The recorder's thread is gone: a bug.
    #[error("the recorder died; the record log holds what it wrote until then")]
    Died,
}

/// What the recorder tells its observer, which must be quick: the log waits for it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line came in.
    Line(&'a Line),
    /// A stage (or rung) is over and measured.
    Stage(&'a StageSummary),
}

/// What is known once all is recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The run's summary, as `summary.json` shall have it.
    pub summary: Summary,
    /// How the run ended, with what recording adds to it; goes into the manifest.
    pub end: RunEnd,
    /// Sinks that lack something.
    pub sink_failures: Vec<SinkFailure>,
    /// Lines numbered in all.
    pub lines: u64,
}

/// A recorder at work.
#[derive(Debug)]
pub struct Recorder {
    thread: JoinHandle<Desk>,
    log_failed: CancellationToken,
    close: CancellationToken,
    /// The task that looks how late this machine lets us see things.
    watching: Option<AbortHandle>,
}

impl Recorder {
    /// Creates the log in `run_dir` with `run` as its first line and starts the thread. The observer
    /// hears of that first line before this returns, and of all others on the recorder's thread.
    pub fn start(
        run_dir: &Path,
        run: RunLine,
        sinks: Vec<OpenSink>,
        observer: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<(RecordSender, Self), RecorderError> {
        let (sender, lines) = RecordSender::channel(QUEUE);
        let log_failed = CancellationToken::new();
        let close = CancellationToken::new();
        let mut desk = Desk {
            log: LogWriter::create(run_dir)?,
            aggregator: Aggregator::new(),
            outlet: Outlet::start(sinks)?,
            observer: Box::new(observer),
            log_failed: log_failed.clone(),
            meter: Meter::default(),
        };
        desk.take(Line::Run(run));
        desk.settle();
        if let Some((why, _)) = desk.log.failure() {
            return Err(RecorderError::Start(std::io::Error::other(why.to_owned())));
        }
        // Where nobody sends requests (records told again by hand), nothing is late.
        let watching = tokio::runtime::Handle::try_current()
            .ok()
            .map(|runtime| runtime.spawn(desk.meter.wakes().watch()).abort_handle());
        let (closing, died) = (close.clone(), log_failed.clone().drop_guard());
        let thread = thread::Builder::new().name("recorder".into()).spawn(move || {
            machine::come_second();
            match tokio::runtime::Builder::new_current_thread().enable_time().build() {
                Ok(runtime) => {
                    runtime.block_on(desk.work(lines, closing));
                    died.disarm();
                }
                Err(error) => desk.log.fail(&error),
            }
            desk
        })?;
        Ok((sender, Self { thread, log_failed, close, watching }))
    }

    /// Cancelled as soon as the log can't be written any more (a full disk): the run must stop,
    /// since nothing it does from now on is kept.
    pub fn log_failed(&self) -> CancellationToken {
        self.log_failed.clone()
    }

    /// Waits until every line sent so far is recorded, then sums up and finishes the sinks. Blocks
    /// the calling thread, for seconds at most: senders that still exist are cut off.
    pub fn finish(self, mut end: RunEnd) -> Result<Recorded, RecorderError> {
        self.close.cancel();
        if let Some(watching) = self.watching {
            watching.abort();
        }
        let Desk { log, mut aggregator, outlet, .. } =
            self.thread.join().map_err(|_| RecorderError::Died)?;
        if let Some((why, lost)) = log.failure() {
            end.invalid
                .push(format!("the record log could not be written ({why}): {lost} lines lost"));
        }
        let summary = aggregator.finish(&end);
        let sink_failures = outlet.finish(&summary);
        for failure in &sink_failures {
            let note = failure.note();
            if failure.required { end.incomplete.push(note) } else { end.notes.push(note) }
        }
        let summary = if sink_failures.is_empty() { summary } else { aggregator.finish(&end) };
        Ok(Recorded { summary, end, sink_failures, lines: log.lines() })
    }
}

/// Everything the thread works with.
struct Desk {
    log: LogWriter,
    aggregator: Aggregator,
    outlet: Outlet,
    observer: Box<dyn FnMut(Event<'_>) + Send>,
    log_failed: CancellationToken,
    meter: Meter,
}

impl Desk {
    async fn work(&mut self, mut lines: RecordReceiver, closing: CancellationToken) {
        loop {
            let sync_due = self.log.sync_due();
            tokio::select! {
                biased;
                parcel = lines.recv() => match parcel {
                    Some(parcel) => {
                        self.take_all(parcel, &mut lines);
                        if lines.is_empty() && !closing.is_cancelled() {
                            tokio::time::sleep(GATHER).await;
                        }
                    }
                    None => break,
                },
                () = async { sleep_until(sync_due.unwrap_or_else(std::time::Instant::now).into()).await },
                    if sync_due.is_some() => self.log.sync(),
                () = closing.cancelled(), if !lines.is_closed() => lines.close(),
            }
        }
        self.settle();
    }

    /// Takes a line and those that wait behind it, and writes them out together.
    fn take_all(&mut self, first: Parcel, lines: &mut RecordReceiver) {
        let mut next = Some(first);
        while let Some(parcel) = next {
            match parcel {
                Parcel::Line(line) => self.take(*line),
                Parcel::Mark(mark) => {
                    let _nobody_waits_any_more = mark.send(self.outlet.backlog());
                }
            }
            if self.log.is_full() {
                break;
            }
            next = lines.try_recv().ok();
        }
        self.log.write_out();
        // Under constant load the wait above never comes to its deadline.
        if self.log.sync_due().is_some_and(|due| due <= std::time::Instant::now()) {
            self.log.sync();
        }
        self.watch_log();
    }

    fn take(&mut self, mut line: Line) {
        self.meter.read(&mut line);
        let seq = self.log.push(&line);
        if matches!(line, Line::StageEnd(_)) {
            // Whoever hears that a stage is over may look into the log.
            self.settle();
        }
        (self.observer)(Event::Line(&line));
        if let Some(stage) = self.aggregator.line(&line) {
            (self.observer)(Event::Stage(stage));
            if self.outlet.is_open() {
                self.outlet.stage(stage.clone());
            }
        }
        self.outlet.line(seq, line);
    }

    /// Makes all lines so far safe on disk.
    fn settle(&mut self) {
        self.log.write_out();
        self.log.sync();
        self.watch_log();
    }

    fn watch_log(&self) {
        if self.log.failure().is_some() {
            self.log_failed.cancel();
        }
    }
}
