//! The extra sinks, each on a thread of its own.
//!
//! In: lines and stage summaries. Out: what the sinks make of them. Invariant: nothing here ever
//! makes the recorder wait, nor one sink another: when a sink can't keep up (a full pipe, a dead
//! disk), lines are dropped for it and counted. The record log has them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread;
use std::time::{Duration, Instant};

use crate::metrics::quantity::plural;
use crate::metrics::summary::{RunState, StageSummary, Summary};
use crate::record::Line;
use crate::sink::{OpenSink, Sink, SinkError};

/// Messages that may wait: seconds of a busy run, some tens of megabytes at most.
const QUEUE: usize = 8192;
/// At the end, a sink that gets nothing done for this long is given up; the report of a million
/// requests takes a good part of it.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same after a signal.
const HURRIED: Duration = Duration::from_secs(2);
/// How often a sink shows the run so far.
const TICK: Duration = Duration::from_secs(1);

/// A sink that did not get or keep everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkFailure {
    /// `kind:target`.
    pub sink: String,
    /// Whether it changes the exit code.
    pub required: bool,
    /// Records that it lacks, at most: of those on their way when it failed, a few may be there.
    pub lost_records: u64,
    /// What happened.
    pub message: String,
}

impl SinkFailure {
    /// One line for the run's notes.
    pub(super) fn note(&self) -> String {
        let Self { sink, lost_records, message, .. } = self;
        let lost = match lost_records {
            0 => String::new(),
            lost => format!(" (up to {} lost)", plural(*lost, "record")),
        };
        format!("sink {sink}: {message}{lost}")
    }
}

enum Message {
    Line(u64, Arc<Line>),
    Stage(Arc<StageSummary>),
    Finish(Arc<Summary>),
}

/// The recorder's way to the sinks.
pub(super) struct Outlet {
    lanes: Vec<Lane>,
}

impl Outlet {
    /// Starts a thread for each sink.
    pub(super) fn start(sinks: Vec<OpenSink>) -> std::io::Result<Self> {
        Ok(Self { lanes: sinks.into_iter().map(Lane::start).collect::<Result<_, _>>()? })
    }

    /// Passes a line on wherever there is room.
    pub(super) fn line(&mut self, seq: u64, line: Line) {
        if self.lanes.is_empty() {
            return;
        }
        let line = Arc::new(line);
        for lane in &mut self.lanes {
            lane.line(seq, &line);
        }
    }

    /// Whether anything is to be passed on.
    pub(super) fn is_open(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Passes a stage's summary on wherever there is room.
    pub(super) fn stage(&mut self, stage: StageSummary) {
        let stage = Arc::new(stage);
        for lane in &mut self.lanes {
            let _told_by_the_lines_lost = lane.pass(Message::Stage(Arc::clone(&stage)));
        }
    }

    /// Messages that the slowest sink has yet to take.
    pub(super) fn backlog(&self) -> u64 {
        let of = |lane: &Lane| lane.passed.saturating_sub(lane.steps.load(Ordering::Relaxed));
        self.lanes.iter().map(of).max().unwrap_or(0)
    }

    /// Lets the sinks finish, each for as long as it gets on with it, and returns what went wrong.
    pub(super) fn finish(self, summary: &Summary) -> Vec<SinkFailure> {
        // Whoever interrupts a run waits for its end.
        let is_hurried = summary.run.state == RunState::Interrupted;
        let patience = if is_hurried { HURRIED } else { PATIENCE };
        let summary = Arc::new(summary.clone());
        let mut closing: Vec<Closing> =
            self.lanes.into_iter().map(|lane| Closing::new(lane, &summary)).collect();
        while closing.iter_mut().any(|lane| !lane.is_over(patience)) {
            thread::sleep(Duration::from_millis(5));
        }
        closing.into_iter().filter_map(Closing::failure).collect()
    }
}

/// The way to one sink.
struct Lane {
    name: String,
    required: bool,
    queue: SyncSender<Message>,
    result: Receiver<Loss>,
    /// Messages that found room in the queue.
    passed: u64,
    /// Messages done, to tell slow from stuck.
    steps: Arc<AtomicU64>,
    /// Records among the messages that found room.
    given: u64,
    /// Records that the sink has written out.
    kept: Arc<AtomicU64>,
    overflowed: u64,
}

/// What a sink lacks, as its thread knows it.
struct Loss {
    records: u64,
    /// Absent when it went well.
    message: Option<String>,
}

impl Lane {
    fn start(open: OpenSink) -> std::io::Result<Self> {
        let OpenSink { name, required, sink } = open;
        let (queue, messages) = sync_channel(QUEUE);
        let (report, result) = sync_channel(1);
        let (steps, kept) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let loss = Loss { records: 0, message: None };
        let mut slot = Slot { sink: Some(sink), loss, taken: 0, kept: Arc::clone(&kept) };
        let done = Arc::clone(&steps);
        thread::Builder::new().name("sink".into()).spawn(move || {
            slot.work(&messages, &done);
            let _nobody_waits_any_more = report.send(slot.loss);
        })?;
        Ok(Self { name, required, queue, result, passed: 0, steps, given: 0, kept, overflowed: 0 })
    }

    fn line(&mut self, seq: u64, line: &Arc<Line>) {
        let is_in = self.pass(Message::Line(seq, Arc::clone(line)));
        let records = u64::from(matches!(**line, Line::End(_)));
        *(if is_in { &mut self.given } else { &mut self.overflowed }) += records;
    }

    /// Puts a message into the queue, if there is room.
    fn pass(&mut self, message: Message) -> bool {
        let is_in = self.queue.try_send(message).is_ok();
        self.passed += u64::from(is_in);
        is_in
    }

    /// What the run's notes say, unless all went well.
    fn failure(self, loss: Loss) -> Option<SinkFailure> {
        let message = match loss.message {
            Some(message) => message,
            None if self.overflowed > 0 => "could not keep up with the run".to_owned(),
            None => return None,
        };
        let lost_records = loss.records + self.overflowed;
        Some(SinkFailure { sink: self.name, required: self.required, lost_records, message })
    }
}

/// A sink that is about to finish.
struct Closing {
    lane: Lane,
    /// The finish, until there was room for it.
    message: Option<Message>,
    /// The last count of steps, and since when it stands.
    watch: (u64, Instant),
    loss: Option<Loss>,
}

impl Closing {
    fn new(lane: Lane, summary: &Arc<Summary>) -> Self {
        let watch = (lane.steps.load(Ordering::Relaxed), Instant::now());
        let message = Some(Message::Finish(Arc::clone(summary)));
        Self { lane, message, watch, loss: None }
    }

    /// Whether it has finished, or was given up.
    fn is_over(&mut self, patience: Duration) -> bool {
        if self.loss.is_some() {
            return true;
        }
        if let Some(pending) = self.message.take()
            && let Err(TrySendError::Full(back)) = self.lane.queue.try_send(pending)
        {
            self.message = Some(back);
        }
        let records = self.lane.given.saturating_sub(self.lane.kept.load(Ordering::Relaxed));
        let given_up = |why: String| Loss { records, message: Some(why) };
        self.loss = match self.lane.result.try_recv() {
            Ok(loss) => Some(loss),
            Err(TryRecvError::Disconnected) => {
                Some(given_up("died at its work and was given up".to_owned()))
            }
            Err(TryRecvError::Empty) => {
                let steps = self.lane.steps.load(Ordering::Relaxed);
                if steps != self.watch.0 {
                    self.watch = (steps, Instant::now());
                }
                let stalled = format!("stalled for {} s and was given up", patience.as_secs());
                (self.watch.1.elapsed() > patience).then(|| given_up(stalled))
            }
        };
        self.loss.is_some()
    }

    fn failure(self) -> Option<SinkFailure> {
        self.lane.failure(self.loss?)
    }
}

/// A sink on its thread.
struct Slot {
    /// Absent once it failed or finished.
    sink: Option<Box<dyn Sink>>,
    loss: Loss,
    /// Records it was handed.
    taken: u64,
    /// Those that it has written out.
    kept: Arc<AtomicU64>,
}

impl Slot {
    /// Serves the queue until the finish (or until the recorder is gone).
    fn work(&mut self, messages: &Receiver<Message>, steps: &AtomicU64) {
        let mut tick = Instant::now() + TICK;
        loop {
            let message = messages.recv_timeout(tick.saturating_duration_since(Instant::now()));
            let is_step = message.is_ok();
            match message {
                Ok(Message::Line(seq, line)) => self.line(seq, &line),
                Ok(Message::Stage(stage)) => self.attempt(|sink| sink.stage(&stage)),
                Ok(Message::Finish(summary)) => {
                    self.finish(&summary);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if tick <= Instant::now() {
                self.attempt(|sink| sink.tick());
                tick = Instant::now() + TICK;
            }
            if let Some(sink) = &self.sink {
                self.kept.store(self.taken.saturating_sub(sink.pending()), Ordering::Relaxed);
            }
            steps.fetch_add(u64::from(is_step), Ordering::Relaxed);
        }
    }

    fn line(&mut self, seq: u64, line: &Line) {
        let records = u64::from(matches!(line, Line::End(_)));
        self.taken += records;
        if self.sink.is_none() {
            self.loss.records += records;
        }
        self.attempt(|sink| sink.line(seq, line));
    }

    /// A sink that failed once is left alone: half a file with a hole in it helps nobody.
    fn attempt(&mut self, act: impl FnOnce(&mut dyn Sink) -> Result<(), SinkError>) {
        if let Some(sink) = &mut self.sink
            && let Err(error) = act(sink.as_mut())
        {
            let pending = sink.pending();
            self.fail(error, pending);
        }
    }

    fn finish(&mut self, summary: &Summary) {
        if let Some(sink) = self.sink.take() {
            let pending = sink.pending();
            if let Err(error) = sink.finish(summary) {
                self.fail(error, pending);
            }
        }
    }

    fn fail(&mut self, error: SinkError, pending: u64) {
        self.loss.message = Some(error.message);
        self.loss.records += pending;
        self.sink = None;
    }
}
