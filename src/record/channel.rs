//! The way from stages to the recorder.
//!
//! In: lines. Out: the same in their order. Invariant: bounded, so that a slow disk slows the run's
//! bookkeeping and never its memory.

use tokio::sync::{mpsc, oneshot};

use super::Line;

/// The way from stages to the recorder: bounded, so that a slow disk slows the run's bookkeeping
/// and never its memory.
#[derive(Debug, Clone)]
pub struct RecordSender {
    parcels: mpsc::Sender<Parcel>,
}

/// What goes to the recorder.
#[derive(Debug)]
pub enum Parcel {
    /// A line to be recorded; boxed, so that a slot of the queue is small.
    Line(Box<Line>),
    /// To be answered once all that was sent before is recorded, with what the slowest sink has yet
    /// to take.
    Mark(oneshot::Sender<u64>),
}

/// The recorder's end of the channel.
pub type RecordReceiver = mpsc::Receiver<Parcel>;

impl RecordSender {
    /// A channel that holds up to `capacity` lines.
    pub fn channel(capacity: usize) -> (Self, RecordReceiver) {
        let (parcels, receiver) = mpsc::channel(capacity);
        (Self { parcels }, receiver)
    }

    /// Hands one line to the recorder; waits while the queue is full. A recorder that is gone has
    /// already reported why, so the line is dropped.
    pub async fn send(&self, line: Line) {
        let _gone = self.parcels.send(Parcel::Line(Box::new(line))).await;
    }

    /// The same from a thread that may block.
    pub fn send_blocking(&self, line: Line) {
        let _gone = self.parcels.blocking_send(Parcel::Line(Box::new(line)));
    }

    /// Waits until every line sent before is recorded, and judged where it ended a stage.
    pub async fn caught_up(&self) {
        let (mark, answered) = oneshot::channel();
        if self.parcels.send(Parcel::Mark(mark)).await.is_ok() {
            let _gone = answered.await;
        }
    }

    /// The same from a thread that may block; gives the number of messages that the slowest sink has
    /// yet to take.
    pub fn backlog_blocking(&self) -> u64 {
        let (mark, answered) = oneshot::channel();
        if self.parcels.blocking_send(Parcel::Mark(mark)).is_err() {
            return 0;
        }
        answered.blocking_recv().unwrap_or(0)
    }
}
