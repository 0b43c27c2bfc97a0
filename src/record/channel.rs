//! The way from stages to the recorder.
//!
//! In: lines. Out: the same in their order. Invariants: bounded, so that a slow disk slows the run and
//! never fills its memory; what is sent and not yet written is at most [`UNWRITTEN`], and what is under way
//! then; what waits is a request that is about to be sent, and never one that has ended, whose line could
//! then be lost.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, oneshot};

use super::Line;

/// Bytes that may wait to be written before no further request is sent.
pub const UNWRITTEN: usize = 64 * 1024;

/// Bytes that wake a resting recorder: early enough that it writes before anybody has to wait.
const WAKES: usize = UNWRITTEN / 2;

/// Waits for lines at most so long when nothing is due: for ever, in effect.
const LONG: Duration = Duration::from_secs(3600);

/// The way from stages to the recorder: bounded, so that a slow disk slows the run's bookkeeping
/// and never its memory.
#[derive(Debug, Clone)]
pub struct RecordSender {
    parcels: Sender<Parcel>,
    room: Arc<Semaphore>,
    unwritten: Arc<Unwritten>,
}

/// What goes to the recorder.
#[derive(Debug)]
pub enum Parcel {
    /// A line to be recorded; boxed, so that a slot of the queue is small.
    Line(Box<Line>),
    /// To be answered once all that was sent before is recorded, with what the slowest sink has yet
    /// to take.
    Mark(oneshot::Sender<u64>),
    /// Nothing that comes after it counts.
    Close,
}

/// The recorder's end of the channel.
#[derive(Debug)]
pub struct RecordReceiver {
    parcels: Receiver<Parcel>,
    room: Arc<Semaphore>,
    unwritten: Arc<Unwritten>,
    /// Bytes of what was taken and is not written.
    taken: Cell<usize>,
}

/// About how much was sent and is not written.
#[derive(Debug, Default)]
struct Unwritten {
    bytes: AtomicUsize,
    written: Notify,
    /// The thread to wake, once it has rested.
    recorder: OnceLock<Thread>,
}

/// Room for lines that were sent and are not done with.
#[derive(Debug)]
pub struct Room(Arc<Semaphore>);

/// Whether a line waits for room. The end of a request that was sent does not: its beginning did.
fn waits(line: &Line) -> bool {
    !matches!(line, Line::End(record) if record.sent_ns.is_some())
}

/// About how long it is in the log; to know it would take to write it.
fn bytes(line: &Line) -> usize {
    match line {
        Line::End(record) => 600 + 4 * record.token_ns.len(),
        _ => 150,
    }
}

impl Unwritten {
    /// Counts what is sent.
    fn add(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before < WAKES
            && before + bytes >= WAKES
            && let Some(recorder) = self.recorder.get()
        {
            recorder.unpark();
        }
    }

    /// Waits until there is less of it.
    async fn is_little(&self, room: &Semaphore) {
        while self.bytes.load(Ordering::Relaxed) >= UNWRITTEN && !room.is_closed() {
            let written = self.written.notified();
            if self.bytes.load(Ordering::Relaxed) >= UNWRITTEN {
                written.await;
            }
        }
    }
}

impl RecordSender {
    /// A channel that has room for `capacity` lines, and for the ends of their requests.
    pub fn channel(capacity: usize) -> (Self, RecordReceiver) {
        let (parcels, receiver) = mpsc::channel();
        let room = Arc::new(Semaphore::new(capacity));
        let unwritten = Arc::new(Unwritten::default());
        let receiver = RecordReceiver {
            parcels: receiver,
            room: Arc::clone(&room),
            unwritten: Arc::clone(&unwritten),
            taken: Cell::new(0),
        };
        (Self { parcels, room, unwritten }, receiver)
    }

    /// Hands one line to the recorder; waits while there is no room. A recorder that is gone has
    /// already reported why, so the line is dropped.
    pub async fn send(&self, line: Line) {
        if waits(&line)
            && let Ok(place) = self.room.acquire().await
        {
            place.forget();
            self.unwritten.is_little(&self.room).await;
        }
        self.unwritten.add(bytes(&line));
        let _gone = self.parcels.send(Parcel::Line(Box::new(line)));
    }

    /// The same from a thread of the runtime's that may block.
    pub fn send_blocking(&self, line: Line) {
        tokio::runtime::Handle::current().block_on(self.send(line));
    }

    /// Waits until every line sent before is recorded, and judged where it ended a stage.
    pub async fn caught_up(&self) {
        let (mark, answered) = oneshot::channel();
        if self.parcels.send(Parcel::Mark(mark)).is_ok() {
            let _gone = answered.await;
        }
    }

    /// The same from a thread that may block; gives the number of messages that the slowest sink has
    /// yet to take.
    pub fn backlog_blocking(&self) -> u64 {
        let (mark, answered) = oneshot::channel();
        if self.parcels.send(Parcel::Mark(mark)).is_err() {
            return 0;
        }
        answered.blocking_recv().unwrap_or(0)
    }

    /// Lets nothing more in, whoever still has a sender.
    pub fn close(&self) {
        self.room.close();
        self.unwritten.written.notify_waiters();
        let _gone = self.parcels.send(Parcel::Close);
    }
}

impl RecordReceiver {
    /// The next parcel; `Ok(None)` when there is none until `deadline`, an error when no sender is left.
    pub fn recv(&self, deadline: Option<Instant>) -> Result<Option<Parcel>, RecvTimeoutError> {
        let wait = deadline.map_or(LONG, |it| it.saturating_duration_since(Instant::now()));
        match self.parcels.recv_timeout(wait) {
            Ok(parcel) => Ok(Some(self.taken(parcel))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A parcel that is there already.
    pub fn try_recv(&self) -> Option<Parcel> {
        self.parcels.try_recv().ok().map(|parcel| self.taken(parcel))
    }

    fn taken(&self, parcel: Parcel) -> Parcel {
        if let Parcel::Line(line) = &parcel {
            self.taken.set(self.taken.get() + bytes(line));
        }
        parcel
    }

    /// All that was taken so far is written.
    pub fn written(&self) {
        self.unwritten.bytes.fetch_sub(self.taken.take(), Ordering::Relaxed);
        self.unwritten.written.notify_waiters();
    }

    /// Lets lines gather for `at_most`, or until so much waits that it should be written.
    pub fn rest(&self, at_most: Duration) {
        self.unwritten.recorder.get_or_init(thread::current);
        if self.unwritten.bytes.load(Ordering::Relaxed) < WAKES {
            thread::park_timeout(at_most);
        }
    }

    /// The channel's room, for whoever is done with a line.
    pub fn room(&self) -> Room {
        Room(Arc::clone(&self.room))
    }
}

impl Room {
    /// The line is done with.
    pub fn done(&self, line: &Line) {
        if waits(line) {
            self.0.add_permits(1);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Nobody waits for a recorder that is gone.
        self.0.close();
    }
}

impl Drop for RecordReceiver {
    fn drop(&mut self) {
        self.room.close();
        self.unwritten.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StartLine;

    fn start(index: u64) -> Line {
        let (stage, cell, rung) = ("a".to_owned(), None, None);
        Line::Start(StartLine { stage, cell, rung, index, due_ns: 0, sent_ns: 0 })
    }

    #[tokio::test]
    async fn what_is_about_to_be_sent_waits_until_the_lines_before_it_are_written() {
        let (sender, receiver) = RecordSender::channel(10_000);
        let mut sent = 0;
        let wait = Duration::from_millis(50);
        while tokio::time::timeout(wait, sender.send(start(sent))).await.is_ok() {
            sent += 1;
        }
        assert_eq!(sent, UNWRITTEN.div_ceil(bytes(&start(0))) as u64);
        while receiver.try_recv().is_some() {}
        assert!(tokio::time::timeout(wait, sender.send(start(sent))).await.is_err(), "not written");
        receiver.written();
        sender.send(start(sent)).await;
        drop(receiver);
        for index in 0..1_000 {
            sender.send(start(index)).await;
        }
    }

    #[test]
    fn a_resting_recorder_wakes_before_anybody_waits() {
        let (sender, receiver) = RecordSender::channel(10_000);
        let senders = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let lines = WAKES.div_ceil(bytes(&start(0))) as u64;
            runtime.block_on(async {
                for index in 0..lines {
                    sender.send(start(index)).await;
                }
            });
            sender
        });
        let (begin, minute) = (Instant::now(), Duration::from_secs(60));
        while receiver.unwritten.bytes.load(Ordering::Relaxed) < WAKES {
            receiver.rest(minute);
        }
        receiver.rest(minute);
        assert!(begin.elapsed() < minute, "it rested though it was woken");
        drop(senders.join());
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_lines_until_they_are_counted() {
        let (sender, receiver) = RecordSender::channel(2);
        let room = receiver.room();
        let wait = Duration::from_millis(50);
        sender.send(start(0)).await;
        sender.send(start(1)).await;
        assert!(tokio::time::timeout(wait, sender.send(start(2))).await.is_err());
        room.done(&start(0));
        sender.send(start(2)).await;
        drop(room);
        sender.send(start(3)).await;
    }
}
