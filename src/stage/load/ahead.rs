//! Requests made ready before they are due.
//!
//! In: a workload. Out: its requests in order of their index, rendered, counted and serialised by a
//! thread of its own. Invariants: at most [`AHEAD`] batches of them wait, however long the stage
//! is; from when they were waited for until this is dropped, the server is asked for no counts, so
//! that nothing but the stage's requests goes there while they are measured.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{thread, vec};

use tokio::sync::mpsc::{self, Receiver};

use crate::machine;
use crate::stage::exchange::{Post, Ready};
use crate::stage::tokens::input_counts;
use crate::workload::Workload;
use crate::workload::tokenizer::Tokenizer;

/// Most batches that wait ready, and requests that are ready before the first is due.
const AHEAD: usize = 128;
/// Requests that are handed over at a time: waking a thread costs more than making a short request.
const BATCH: usize = 16;
/// A batch is handed over at the latest when this long was spent on it.
const BATCH_TIME: Duration = Duration::from_millis(1);

/// Longest wait for them to be ready before the first is due.
const FILL_LIMIT: Duration = Duration::from_secs(20);

/// Longest that the server is asked to count prompts before that; the rest go by their estimate.
const SURVEY_LIMIT: Duration = Duration::from_secs(60);

/// The requests that are ready.
pub(in crate::stage) struct Ahead {
    batches: Receiver<Vec<Ready>>,
    /// What is left of the batch that was begun.
    ready: vec::IntoIter<Ready>,
    /// How many were made so far.
    made: Arc<AtomicUsize>,
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
        let (sender, batches) = mpsc::channel(AHEAD);
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let post = post.clone();
        let survey = if matches!(*tokenizer, Tokenizer::Server(_)) { survey } else { 0 };
        let limit = FILL_LIMIT + if survey > 0 { SURVEY_LIMIT } else { Duration::ZERO };
        let theirs = Arc::clone(&tokenizer);
        thread::Builder::new().name("preparer".into()).spawn(move || {
            machine::come_second();
            let began = Instant::now();
            for index in 0..survey {
                // What is wrong with a request is said when it is made for good.
                let Ok(request) = workload.request(index) else { break };
                let is_counted = input_counts(&request, &theirs).tokenizer.is_some();
                if !is_counted || sender.is_closed() || began.elapsed() > SURVEY_LIMIT {
                    break;
                }
            }
            let mut indexes = 0..count.unwrap_or(u64::MAX);
            loop {
                let mut batch = Vec::with_capacity(BATCH);
                let began = Instant::now();
                for index in indexes.by_ref().take(BATCH) {
                    batch.push(post.prepare(&workload, &theirs, index));
                    if began.elapsed() >= BATCH_TIME {
                        break;
                    }
                }
                counted.fetch_add(batch.len(), Ordering::Relaxed);
                if batch.is_empty() || sender.blocking_send(batch).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { batches, ready: Vec::new().into_iter(), made, tokenizer, limit })
    }

    /// Waits until [`AHEAD`] are ready, or all; then the server is asked no more.
    pub(in crate::stage) async fn fill(&mut self) {
        let began = Instant::now();
        while self.made.load(Ordering::Relaxed) < AHEAD
            && !self.batches.is_closed()
            && began.elapsed() < self.limit
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.tokenizer.rest(true);
    }

    /// The next one; `None` after the last.
    pub(in crate::stage) async fn next(&mut self) -> Option<Ready> {
        if self.ready.len() == 0 {
            self.ready = self.batches.recv().await?.into_iter();
        }
        self.ready.next()
    }

    /// The next one for a request that is due: there must be one.
    pub(in crate::stage) async fn due(&mut self) -> Result<Ready, String> {
        self.next().await.ok_or_else(|| "the thread that prepares requests ended".to_owned())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.tokenizer.rest(false);
    }
}
