//! Requests made ready before they are due.
//!
//! In: a workload. Out: its requests in order of their index, rendered and serialised by a thread
//! of its own. Invariant: at most [`AHEAD`] of them wait, however long the stage is.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, Receiver};

use crate::stage::exchange::{Post, Ready};
use crate::workload::Workload;
use crate::workload::tokenizer::Tokenizer;

/// Most requests that wait ready.
const AHEAD: usize = 128;

/// Longest wait for them to be ready before the first is due.
const FILL_LIMIT: Duration = Duration::from_secs(20);

/// The requests that are ready.
pub(super) struct Ahead {
    ready: Receiver<Result<Ready, String>>,
}

impl Ahead {
    /// Begins with request 0; ends after `count` of them, if there is a count. Fails only when the
    /// system gives no thread.
    pub(super) fn start(
        post: &Post,
        workload: impl Workload + 'static,
        tokenizer: Arc<Tokenizer>,
        count: Option<u64>,
    ) -> io::Result<Self> {
        let (sender, ready) = mpsc::channel(AHEAD);
        let post = post.clone();
        thread::Builder::new().name("preparer".into()).spawn(move || {
            for index in 0..count.unwrap_or(u64::MAX) {
                let made = post.prepare(&workload, &tokenizer, index);
                let made = made.map_err(|error| error.to_string());
                let is_last = made.is_err();
                if sender.blocking_send(made).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Self { ready })
    }

    /// Waits until as many are ready as may wait, or all.
    pub(super) async fn fill(&mut self) {
        let began = Instant::now();
        while self.ready.len() < AHEAD && !self.ready.is_closed() && began.elapsed() < FILL_LIMIT {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The next one; `None` after the last, an error when it can't be made.
    pub(super) async fn next(&mut self) -> Option<Result<Ready, String>> {
        self.ready.recv().await
    }
}
