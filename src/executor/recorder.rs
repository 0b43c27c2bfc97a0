//! Record → log → aggregates → sinks, on two threads.
//!
//! In: [`Line`]s from the stages. Out: the record log, the summary, the sinks. Invariants: the log
//! has each line before it is counted and before anyone is told of it at a stage's end; what is in the
//! log is what the summary counts; neither counting, nor a sync, nor a sink that fails or hangs ever holds
//! up the log; a log that can't be written ends the run.
//!
//! The first thread does nothing but write: lines go out some milliseconds after they came, and at the
//! latest every 64 KiB, so the death of the process loses no more than that. The second counts what was
//! written. A third makes it survive the machine (`writer`).

mod meter;
mod outlet;
mod syncer;
mod writer;

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use self::meter::Meter;
use self::outlet::Outlet;
pub use self::outlet::SinkFailure;
use self::writer::LogWriter;
use crate::machine;
use crate::metrics::aggregator::Aggregator;
use crate::metrics::summary::{RunEnd, StageSummary, Summary};
use crate::plan::Durability;
use crate::record::{Line, Parcel, RecordReceiver, RecordSender, Room, RunLine};
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
    writing: JoinHandle<LogWriter>,
    counting: JoinHandle<Desk>,
    log_failed: CancellationToken,
    sender: RecordSender,
    /// The task that looks how late this machine lets us see things.
    watching: Option<AbortHandle>,
}

impl Recorder {
    /// Creates the log in `run_dir` with `run` as its first line and starts the threads. The observer
    /// hears of that first line before this returns, and of all others on a thread of the recorder's.
    pub fn start(
        run_dir: &Path,
        run: RunLine,
        durability: Durability,
        sinks: Vec<OpenSink>,
        observer: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<(RecordSender, Self), RecorderError> {
        let (sender, lines) = RecordSender::channel(QUEUE);
        let log_failed = CancellationToken::new();
        let mut pen = Pen {
            log: LogWriter::create(run_dir, durability)?,
            log_failed: log_failed.clone(),
            meter: Meter::default(),
        };
        let mut desk = Desk {
            aggregator: Aggregator::new(),
            outlet: Outlet::start(sinks)?,
            observer: Box::new(observer),
            room: lines.room(),
        };
        let (seq, first) = pen.write(Box::new(Line::Run(run)));
        pen.log.settle();
        if let Some((why, _)) = pen.log.failure() {
            return Err(RecorderError::Start(std::io::Error::other(why.to_owned())));
        }
        desk.count(seq, *first);
        // Where nobody sends requests (records told again by hand), nothing is late.
        let watching = tokio::runtime::Handle::try_current()
            .ok()
            .map(|runtime| runtime.spawn(pen.meter.wakes().watch()).abort_handle());
        let (written, to_count) = channel();
        let counting = thread::Builder::new().name("counter".into()).spawn(move || {
            machine::come_second();
            desk.work(&to_count);
            desk
        })?;
        let died = log_failed.clone().drop_guard();
        let writing = thread::Builder::new().name("recorder".into()).spawn(move || {
            machine::come_second();
            if pen.work(&lines, &written) {
                died.disarm();
            }
            pen.log
        })?;
        let recorder = Self { writing, counting, log_failed, sender: sender.clone(), watching };
        Ok((sender, recorder))
    }

    /// Cancelled as soon as the log can't be written any more (a full disk): the run must stop,
    /// since nothing it does from now on is kept.
    pub fn log_failed(&self) -> CancellationToken {
        self.log_failed.clone()
    }

    /// Waits until every line sent so far is recorded, then sums up and finishes the sinks. Blocks
    /// the calling thread, for seconds at most: senders that still exist are cut off.
    pub fn finish(self, mut end: RunEnd) -> Result<Recorded, RecorderError> {
        self.sender.close();
        if let Some(watching) = self.watching {
            watching.abort();
        }
        let log = self.writing.join().map_err(|_| RecorderError::Died)?;
        let Desk { mut aggregator, outlet, .. } =
            self.counting.join().map_err(|_| RecorderError::Died)?;
        if let Some((why, lost)) = log.failure() {
            end.invalid
                .push(format!("the record log could not be written ({why}): {lost} lines lost"));
        } else {
            end.invalid.extend(log.tampered());
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

/// What was written, or asks to be told when all before it is counted.
enum Written {
    Line(u64, Box<Line>),
    Mark(oneshot::Sender<u64>),
}

/// What the thread that writes works with.
struct Pen {
    log: LogWriter,
    log_failed: CancellationToken,
    meter: Meter,
}

impl Pen {
    /// Writes what comes until there is nothing more; false when nobody counts it any more.
    fn work(&mut self, lines: &RecordReceiver, written: &Sender<Vec<Written>>) -> bool {
        let mut is_over = false;
        while !is_over {
            let Ok(mut next) = lines.recv(self.log.due()) else { break };
            let mut batch = Vec::new();
            while let Some(parcel) = next.take() {
                match parcel {
                    Parcel::Line(line) => {
                        let (seq, line) = self.write(line);
                        batch.push(Written::Line(seq, line));
                    }
                    Parcel::Mark(mark) => batch.push(Written::Mark(mark)),
                    Parcel::Close => is_over = true,
                }
                if self.log.is_full() || is_over {
                    break;
                }
                next = lines.try_recv();
            }
            let is_quiet = next.is_none() && !self.log.is_full();
            self.log.write_what_is_due();
            lines.written();
            self.watch_log();
            if !batch.is_empty() && written.send(batch).is_err() {
                return false;
            }
            if is_quiet && !is_over {
                lines.rest(GATHER);
            }
        }
        self.log.close();
        self.watch_log();
        true
    }

    /// Puts a line among those that are written next, and gives its number.
    fn write(&mut self, mut line: Box<Line>) -> (u64, Box<Line>) {
        self.meter.read(&mut line);
        let seq = self.log.push(&line);
        if matches!(*line, Line::StageEnd(_)) {
            // Whoever hears that a stage is over may look into the log.
            self.log.settle();
        }
        (seq, line)
    }

    fn watch_log(&self) {
        if self.log.failure().is_some() {
            self.log_failed.cancel();
        }
    }
}

/// What the thread that counts works with.
struct Desk {
    aggregator: Aggregator,
    outlet: Outlet,
    observer: Box<dyn FnMut(Event<'_>) + Send>,
    room: Room,
}

impl Desk {
    fn work(&mut self, written: &Receiver<Vec<Written>>) {
        for each in written.iter().flatten() {
            match each {
                Written::Line(seq, line) => self.count(seq, *line),
                Written::Mark(mark) => {
                    let _nobody_waits_any_more = mark.send(self.outlet.backlog());
                }
            }
        }
    }

    fn count(&mut self, seq: u64, line: Line) {
        (self.observer)(Event::Line(&line));
        if let Some(stage) = self.aggregator.line(&line) {
            (self.observer)(Event::Stage(stage));
            if self.outlet.is_open() {
                self.outlet.stage(stage.clone());
            }
        }
        self.room.done(&line);
        self.outlet.line(seq, line);
    }
}
