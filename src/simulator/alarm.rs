//! The thread that wakes the server when something is due.
//!
//! In: the next due time. Out: a notification at that time. The runtime's own timer counts whole
//! milliseconds and is about one late; a condition variable's timeout is about 60 µs late and costs
//! nothing while it waits, which is near enough since the truth log tells when each byte really
//! left. Invariant: an earlier due time always replaces a later one.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::Notify;

/// A settable alarm.
#[derive(Debug)]
pub struct Alarm {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    rang: Notify,
}

#[derive(Debug, Default)]
struct State {
    due: Option<Instant>,
    stopped: bool,
}

impl Alarm {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("simulator-alarm".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Rings at `due`, unless it is set to ring earlier already.
    pub fn set(&self, due: Instant) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.due.is_none_or(|earlier| due < earlier) {
            state.due = Some(due);
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// Waits until it rings; a ring that nobody waited for is not lost.
    pub async fn rings(&self) {
        self.shared.rang.notified().await;
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.stopped {
            let Some(due) = state.due else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let now = Instant::now();
            if due <= now {
                state.due = None;
                self.rang.notify_one();
            } else {
                let waited = self.changed.wait_timeout(state, due - now);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread does not panic; if it did, there is nothing left to stop.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn rings_at_the_earliest_time_set_and_never_before() {
        let alarm = Alarm::start().unwrap();
        let start = Instant::now();
        alarm.set(start + Duration::from_secs(60));
        alarm.set(start + Duration::from_millis(5));
        alarm.rings().await;
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_ring_before_anybody_waits_is_not_lost() {
        let alarm = Alarm::start().unwrap();
        alarm.set(Instant::now());
        tokio::time::sleep(Duration::from_millis(20)).await;
        tokio::time::timeout(Duration::from_secs(30), alarm.rings()).await.unwrap();
    }

    #[test]
    fn dropping_it_ends_a_long_wait() {
        let alarm = Alarm::start().unwrap();
        alarm.set(Instant::now() + Duration::from_secs(3600));
        drop(alarm);
    }
}
