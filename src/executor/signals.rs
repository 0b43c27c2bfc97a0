//! Signals: the first asks the run to drain, the second cuts it.
//!
//! In: SIGINT and SIGTERM. Out: the two tokens of [`Stop`] and the exit code 130 or 143.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use crate::output::note;
use crate::stage::Stop;

/// How long requests in flight may take after the first signal.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Exit codes by convention: 128 plus the signal's number.
pub(super) const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// The signals seen so far.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    seen: Arc<AtomicI32>,
}

impl Signals {
    /// Listens until the process ends.
    pub(super) fn listen(stop: Stop) -> Self {
        let seen = Arc::new(AtomicI32::new(0));
        let signals = Self { seen: Arc::clone(&seen) };
        tokio::spawn(async move {
            seen.store(next_signal().await, Ordering::Relaxed);
            note!(
                "\ninterrupted: waiting up to {} s for requests in flight; once more to leave at once",
                DRAIN_LIMIT.as_secs()
            );
            stop.drain.cancel();
            tokio::select! {
                _ = next_signal() => {}
                () = tokio::time::sleep(DRAIN_LIMIT) => {}
            }
            stop.cut.cancel();
        });
        signals
    }

    /// The exit code that a signal asks for, if one came.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.seen.load(Ordering::Relaxed) {
            0 => None,
            code => Some(code),
        }
    }
}

#[cfg(unix)]
async fn next_signal() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return wait_for_interrupt().await;
    };
    tokio::select! {
        code = wait_for_interrupt() => code,
        _ = terminate.recv() => TERMINATED,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> i32 {
    wait_for_interrupt().await
}

async fn wait_for_interrupt() -> i32 {
    if tokio::signal::ctrl_c().await.is_err() {
        // No handler could be installed: the default action ends the process.
        std::future::pending::<()>().await;
    }
    INTERRUPTED
}
