//! The extra sinks, on a thread of their own.
//!
//! In: lines and stage summaries. Out: what the sinks make of them. Invariant: nothing here ever
//! makes the recorder wait: when the sinks can't keep up (a full pipe, a dead disk), lines are
//! dropped and counted. The record log has them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::metrics::summary::{StageSummary, Summary};
use crate::record::Line;
use crate::sink::{OpenSink, Sink, SinkError};

/// Messages that may wait: seconds of a busy run, some tens of megabytes at most.
const QUEUE: usize = 8192;
/// At the end, sinks that do nothing for this long are given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A sink that did not get or keep everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkFailure {
    /// `kind:target`.
    pub sink: String,
    /// Whether it changes the exit code.
    pub required: bool,
    /// Records that it lacks.
    pub lost_records: u64,
    /// What happened.
    pub message: String,
}

enum Message {
    Line(u64, Box<Line>),
    Stage(Box<StageSummary>),
    Finish(Box<Summary>),
}

/// The recorder's way to the sinks.
pub(super) struct Outlet {
    names: Vec<(String, bool)>,
    queue: Option<SyncSender<Message>>,
    failures: Receiver<Vec<SinkFailure>>,
    /// Steps done, to tell slow from stuck.
    steps: Arc<AtomicU64>,
    /// Which sink is at work.
    at_work: Arc<AtomicUsize>,
    overflowed: u64,
}

impl Outlet {
    /// Starts the thread, if there is a sink at all.
    pub(super) fn start(sinks: Vec<OpenSink>) -> std::io::Result<Self> {
        let names = sinks.iter().map(|sink| (sink.name.clone(), sink.required)).collect();
        let (queue, messages) = sync_channel(QUEUE);
        let (report, failures) = sync_channel(1);
        let (steps, at_work) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let queue = (!sinks.is_empty()).then_some(queue);
        if queue.is_some() {
            let mut worker = Worker {
                slots: sinks.into_iter().map(Slot::new).collect(),
                steps: Arc::clone(&steps),
                at_work: Arc::clone(&at_work),
            };
            thread::Builder::new().name("sinks".into()).spawn(move || {
                let failures = worker.work(&messages);
                let _nobody_waits_any_more = report.send(failures);
            })?;
        }
        Ok(Self { names, queue, failures, steps, at_work, overflowed: 0 })
    }

    /// Passes a line on if there is room.
    pub(super) fn line(&mut self, seq: u64, line: Line) {
        let record = u64::from(matches!(line, Line::End(_)));
        if let Some(queue) = &self.queue
            && queue.try_send(Message::Line(seq, Box::new(line))).is_err()
        {
            self.overflowed += record;
        }
    }

    /// Whether anything is to be passed on.
    pub(super) fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Passes a stage's summary on if there is room.
    pub(super) fn stage(&mut self, stage: StageSummary) {
        if let Some(queue) = &self.queue {
            let _told_by_the_lines_lost = queue.try_send(Message::Stage(Box::new(stage)));
        }
    }

    /// Lets the sinks finish, for as long as they get on with it, and returns what went wrong.
    pub(super) fn finish(mut self, summary: &Summary) -> Vec<SinkFailure> {
        let Some(queue) = self.queue.take() else { return Vec::new() };
        let mut message = Some(Message::Finish(Box::new(summary.clone())));
        let mut watch = (self.steps.load(Ordering::Relaxed), Instant::now());
        loop {
            if let Some(pending) = message.take()
                && let Err(TrySendError::Full(back)) = queue.try_send(pending)
            {
                message = Some(back);
            }
            match self.failures.recv_timeout(Duration::from_millis(20)) {
                Ok(failures) => return self.with_overflow(failures),
                Err(RecvTimeoutError::Disconnected) => return self.given_up("died at its work"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let steps = self.steps.load(Ordering::Relaxed);
            if steps != watch.0 {
                watch = (steps, Instant::now());
            } else if watch.1.elapsed() > PATIENCE {
                return self.given_up(&format!("stalled for {} s", PATIENCE.as_secs()));
            }
        }
    }

    fn with_overflow(&self, mut failures: Vec<SinkFailure>) -> Vec<SinkFailure> {
        if self.overflowed == 0 {
            return failures;
        }
        for (name, required) in &self.names {
            match failures.iter_mut().find(|failure| failure.sink == *name) {
                Some(failure) => failure.lost_records += self.overflowed,
                None => failures.push(SinkFailure {
                    sink: name.clone(),
                    required: *required,
                    lost_records: self.overflowed,
                    message: "could not keep up with the run".to_owned(),
                }),
            }
        }
        failures
    }

    /// One sink hangs or died, and those behind it never had their turn.
    fn given_up(&self, what_happened: &str) -> Vec<SinkFailure> {
        let at_work = self.at_work.load(Ordering::Relaxed);
        let failure = |(index, (name, required)): (usize, &(String, bool))| SinkFailure {
            sink: name.clone(),
            required: *required,
            lost_records: self.overflowed,
            message: if index == at_work {
                format!("{what_happened} and was given up")
            } else {
                format!("not finished, because {} {what_happened}", self.names[at_work].0)
            },
        };
        self.names.iter().enumerate().map(failure).collect()
    }
}

struct Worker {
    slots: Vec<Slot>,
    steps: Arc<AtomicU64>,
    at_work: Arc<AtomicUsize>,
}

struct Slot {
    name: String,
    required: bool,
    /// Absent once it failed or finished.
    sink: Option<Box<dyn Sink>>,
    lost_records: u64,
    message: Option<String>,
}

impl Worker {
    /// Serves the queue until the finish (or until the recorder is gone).
    fn work(&mut self, messages: &Receiver<Message>) -> Vec<SinkFailure> {
        for message in messages {
            match message {
                Message::Line(seq, line) => {
                    self.each(|slot| slot.line(seq, &line));
                }
                Message::Stage(stage) => {
                    self.each(|slot| slot.attempt(|sink| sink.stage(&stage)));
                }
                Message::Finish(summary) => {
                    self.each(|slot| slot.finish(&summary));
                    break;
                }
            }
        }
        self.slots.iter_mut().filter_map(Slot::failure).collect()
    }

    fn each(&mut self, mut act: impl FnMut(&mut Slot)) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            self.at_work.store(index, Ordering::Relaxed);
            act(slot);
            self.steps.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Slot {
    fn new(open: OpenSink) -> Self {
        let OpenSink { name, required, sink } = open;
        Self { name, required, sink: Some(sink), lost_records: 0, message: None }
    }

    fn line(&mut self, seq: u64, line: &Line) {
        self.attempt(|sink| sink.line(seq, line));
        if self.sink.is_none() && matches!(line, Line::End(_)) {
            self.lost_records += 1;
        }
    }

    /// A sink that failed once is left alone: half a file with a hole in it helps nobody.
    fn attempt(&mut self, act: impl FnOnce(&mut dyn Sink) -> Result<(), SinkError>) {
        if let Some(sink) = &mut self.sink
            && let Err(error) = act(sink.as_mut())
        {
            self.message = Some(error.message);
            self.sink = None;
        }
    }

    fn finish(&mut self, summary: &Summary) {
        if let Some(sink) = self.sink.take()
            && let Err(error) = sink.finish(summary)
        {
            self.message = Some(error.message);
        }
    }

    fn failure(&mut self) -> Option<SinkFailure> {
        Some(SinkFailure {
            sink: self.name.clone(),
            required: self.required,
            lost_records: self.lost_records,
            message: self.message.take()?,
        })
    }
}
