//! The pacer: arrivals released on time, by one thread of its own.
//!
//! In: [`Arrival`]s, the stage's start, the plan's [`Pacing`]. Out: one [`Due`] per arrival into a
//! bounded channel. Invariant: deadlines are absolute, so lateness never adds up; every arrival
//! comes out exactly once, as release or as dropped, even after the whole process was stopped for
//! a while; only [`Pacer::stop`] (or a receiver that is gone) ends it early, and then at once.
//!
//! An async runtime's timer has a grain of a millisecond. This thread sleeps on the system's clock
//! until shortly before the deadline and spins for the rest. It spins for at most half of the gap
//! between two deadlines, so that it never takes more than half of a core.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};

use super::arrivals::Arrival;
use crate::metrics::histogram::LiveQuantiles;
use crate::plan::{Late, Pacing};

/// How long to spin before a deadline unless the plan says otherwise: about what a sleeping
/// thread takes to wake up.
pub const DEFAULT_SPIN: Duration = Duration::from_micros(100);

/// Releases that may lie in the channel unread. A stage that falls behind by more makes the pacer
/// wait; the lag is in each [`Due`] then.
pub const QUEUE: usize = 1024;

/// How long to wait for a place in the channel before looking again.
const FULL_WAIT: Duration = Duration::from_micros(200);

/// What is to be done with a due request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it now.
    Release,
    /// Record it as `dropped_late`: the plan forbids to send it this late.
    DroppedLate,
}

/// An arrival whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its number within the stage.
    pub index: u64,
    /// When it was due.
    pub due: Instant,
    /// How much later than that the pacer got to it.
    pub lag: Duration,
    /// What is to be done with it.
    pub verdict: Verdict,
}

/// How the pacer did.
#[derive(Debug, Clone)]
pub struct PacerReport {
    /// Requests released.
    pub released: u64,
    /// Requests dropped as too late.
    pub dropped_late: u64,
    /// True when all arrivals came out; false after [`Pacer::stop`] or a lost receiver.
    pub complete: bool,
    /// The pacer's own lateness, over released and dropped.
    pub lag: LiveQuantiles,
    /// The worst of it.
    pub worst_lag: Duration,
}

/// A running pacer. Dropping it stops it.
#[derive(Debug)]
pub struct Pacer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<PacerReport>>,
}

impl Pacer {
    /// Starts pacing: an arrival is due at `start` plus its offset. Fails only when the system
    /// gives no thread.
    pub fn start(
        arrivals: impl Iterator<Item = Arrival> + Send + 'static,
        start: Instant,
        pacing: &Pacing,
    ) -> io::Result<(Self, Receiver<Due>)> {
        let (releases, receiver) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Pace {
            start,
            late: pacing.late,
            spin: spin(pacing.spin),
            releases,
            stop: Arc::clone(&stop),
        };
        let thread = thread::Builder::new().name("pacer".into()).spawn(move || {
            ask_for_exact_timers();
            pace.run(arrivals)
        })?;
        Ok((Self { stop, thread: Some(thread) }, receiver))
    }

    /// Ends it at once. What was not released by then never comes out: it is for the stage to
    /// record as `never_started`.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Waits for its end and tells how it did. Call it when the channel has run dry or after
    /// [`Pacer::stop`]; it takes no longer than a release then.
    pub fn finish(mut self) -> PacerReport {
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Default for PacerReport {
    fn default() -> Self {
        Self {
            released: 0,
            dropped_late: 0,
            complete: false,
            lag: LiveQuantiles::new(),
            worst_lag: Duration::ZERO,
        }
    }
}

/// The time to spin: as the plan says, else [`DEFAULT_SPIN`] where there is a core to spare.
pub fn spin(asked: Option<Duration>) -> Duration {
    asked.unwrap_or_else(|| match thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => DEFAULT_SPIN,
        _ => Duration::ZERO,
    })
}

/// The pacer's side of the channel.
struct Pace {
    start: Instant,
    late: Late,
    spin: Duration,
    releases: Sender<Due>,
    stop: Arc<AtomicBool>,
}

impl Pace {
    fn run(&self, arrivals: impl Iterator<Item = Arrival>) -> PacerReport {
        let mut report = PacerReport::default();
        let mut previous = self.start;
        for arrival in arrivals {
            // Past the end of time nothing is due any more.
            let Some(due) = self.start.checked_add(Duration::from_nanos(arrival.offset_ns)) else {
                break;
            };
            let spin = self.spin.min(due.saturating_duration_since(previous) / 2);
            previous = due;
            let released = self.wait_until(due, spin).then(|| self.release(arrival.index, due));
            let Some(released) = released.flatten() else {
                return report;
            };
            report.count(&released);
        }
        report.complete = true;
        report
    }

    /// Sleeps, then spins; false when it was stopped.
    fn wait_until(&self, due: Instant, spin: Duration) -> bool {
        loop {
            if self.stopped() {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let sleep = left.saturating_sub(spin);
            if sleep.is_zero() {
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
            } else {
                thread::park_timeout(sleep); // `stop` unparks it.
            }
        }
    }

    /// Hands it over as soon as there is a place; `None` when it was stopped or nobody listens.
    fn release(&self, index: u64, due: Instant) -> Option<Due> {
        loop {
            // Judged anew after each wait for a place, so that the lag is that of the release.
            let lag = Instant::now().saturating_duration_since(due);
            let verdict = match self.late {
                Late::Drop { after } if lag > after => Verdict::DroppedLate,
                _ => Verdict::Release,
            };
            let released = Due { index, due, lag, verdict };
            match self.releases.try_send(released) {
                Ok(()) => return Some(released),
                Err(TrySendError::Closed(_)) => return None,
                Err(TrySendError::Full(_)) => thread::park_timeout(FULL_WAIT),
            }
            if self.stopped() {
                return None;
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

impl PacerReport {
    fn count(&mut self, due: &Due) {
        match due.verdict {
            Verdict::Release => self.released += 1,
            Verdict::DroppedLate => self.dropped_late += 1,
        }
        self.lag.record_ms(due.lag.as_secs_f64() * 1e3);
        self.worst_lag = self.worst_lag.max(due.lag);
    }
}

/// Linux rounds a thread's wake-ups by up to 50 µs to save power unless the thread asks otherwise.
/// It only makes the pacer better, so whether it works does not matter.
fn ask_for_exact_timers() {
    if let Ok(thread) = std::fs::read_link("/proc/thread-self")
        && let Some(id) = thread.file_name().and_then(|id| id.to_str())
    {
        let _unsupported = std::fs::write(format!("/proc/{id}/timerslack_ns"), "1");
    }
}

#[cfg(test)]
mod tests;
