//! Requests made ready before they are due.
//!
//! In: a workload. Out: its requests in order of their index, rendered, counted and serialised by a
//! thread of its own. Invariants: at most [`AHEAD`] of them wait, however long the stage is; from
//! when they were waited for until this is dropped, the server is asked for no counts, so that
//! nothing but the stage's requests goes there while they are measured.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, Receiver};

use crate::stage::exchange::{Post, Ready};
use crate::stage::tokens::input_counts;
use crate::workload::Workload;
use crate::workload::tokenizer::Tokenizer;

/// Most requests that wait ready.
const AHEAD: usize = 128;

/// Longest wait for them to be ready before the first is due.
const FILL_LIMIT: Duration = Duration::from_secs(20);

/// Longest that the server is asked to count prompts before that; the rest go by their estimate.
const SURVEY_LIMIT: Duration = Duration::from_secs(60);

/// The requests that are ready.
pub(in crate::stage) struct Ahead {
    ready: Receiver<Result<Ready, String>>,
    tokenizer: Arc<Tokenizer>,
    limit: Duration,
}

impl Ahead {
    /// Begins with request 0; ends after `count` of them, if there is a count. Fails only when the
    /// system gives no thread. Where the server counts tokens, it counts those that are ready before
    /// the first is due and no others: load may go on for as long as it likes.
    pub(in crate::stage) fn start(
        post: &Post,
        workload: impl Workload + 'static,
        tokenizer: Arc<Tokenizer>,
        count: Option<u64>,
    ) -> io::Result<Self> {
        Self::surveyed(post, workload, tokenizer, count, 0)
    }

    /// The same, but where the server counts tokens, it first counts the prompts of `survey`
    /// requests, so that all of them are known when the first is due.
    pub(in crate::stage) fn surveyed(
        post: &Post,
        workload: impl Workload + 'static,
        tokenizer: Arc<Tokenizer>,
        count: Option<u64>,
        survey: u64,
    ) -> io::Result<Self> {
        let (sender, ready) = mpsc::channel(AHEAD);
        let post = post.clone();
        let survey = if matches!(*tokenizer, Tokenizer::Server(_)) { survey } else { 0 };
        let limit = FILL_LIMIT + if survey > 0 { SURVEY_LIMIT } else { Duration::ZERO };
        let counter = Arc::clone(&tokenizer);
        thread::Builder::new().name("preparer".into()).spawn(move || {
            let began = Instant::now();
            for index in 0..survey {
                // What is wrong with a request is said when it is made for good.
                let Ok(request) = workload.request(index) else { break };
                let is_counted = input_counts(&request, &counter).tokenizer.is_some();
                if !is_counted || sender.is_closed() || began.elapsed() > SURVEY_LIMIT {
                    break;
                }
            }
            for index in 0..count.unwrap_or(u64::MAX) {
                let made = post.prepare(&workload, &counter, index);
                let made = made.map_err(|error| error.to_string());
                let is_last = made.is_err();
                if sender.blocking_send(made).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Self { ready, tokenizer, limit })
    }

    /// Waits until as many are ready as may wait, or all; then the server is asked no more.
    pub(in crate::stage) async fn fill(&mut self) {
        let began = Instant::now();
        while self.ready.len() < AHEAD && !self.ready.is_closed() && began.elapsed() < self.limit {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.tokenizer.rest(true);
    }

    /// The next one; `None` after the last, an error when it can't be made.
    pub(in crate::stage) async fn next(&mut self) -> Option<Result<Ready, String>> {
        self.ready.recv().await
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.tokenizer.rest(false);
    }
}
