//! What the requests in flight of one level share.
//!
//! In: prepared requests and when each was due. Out: their lines. Invariants: a request that was
//! due while the level settles is recorded there; an endpoint that takes no connection is watched by
//! one task until it is back, or for as long as the plan waits, after which nothing new is sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::level::Level;
use crate::client::{Client, probe};
use crate::record::Outcome;
use crate::request::{Message, Request};
use crate::stage::exchange::{Post, Ready, Unsent};
use crate::stage::{SETTLE_SUFFIX, StageContext};
use crate::workload::tokenizer::Tokenizer;

/// An endpoint that is away is asked so often whether it is back.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How the driving of a level ended.
pub(super) enum Ended {
    /// As planned, or by a signal.
    Whole,
    /// As planned, but not one request succeeded.
    Unanswered,
    /// It could not go on.
    Failed(String),
}

impl Ended {
    /// Whether another round may follow.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }
}

/// What became of a round's requests.
pub(super) struct Driven {
    pub ended: Ended,
    /// So many of them were taken: sent, dropped, or [`Driven::waiting`].
    pub taken: u64,
    /// Requests that were due and will not be sent any more.
    pub waiting: Vec<Unsent>,
    /// What people should know of how it went.
    pub note: Option<String>,
}

impl Driven {
    /// Nothing was sent.
    pub(super) fn none(reason: impl Into<String>) -> Self {
        Self { ended: Ended::Failed(reason.into()), taken: 0, waiting: Vec::new(), note: None }
    }
}

/// The way of a level's requests.
pub(super) struct Lane {
    counted: Post,
    settling: Post,
    settle_until_ns: u64,
    settling_count: AtomicU64,
    client: Client,
    tokenizer: Arc<Tokenizer>,
    /// The level's first moment.
    pub start: Instant,
    /// Send nothing new: a signal, or an endpoint that is gone.
    pub drain: CancellationToken,
    cut: CancellationToken,
    /// Longest wait for answers after the last request was due.
    pub drain_limit: Duration,
    /// Longest that the endpoint may take no connection.
    unreachable_wait: Duration,
    /// Whether it takes none.
    is_away: watch::Sender<bool>,
    /// Nobody needs to know any more whether it is back.
    is_over: CancellationToken,
    any_sent: AtomicBool,
    any_ok: AtomicBool,
    /// Why nothing more is sent.
    gone: OnceLock<String>,
}

impl Lane {
    pub(super) fn new(
        context: &StageContext<'_>,
        level: &Level<'_>,
        post: Post,
        tokenizer: &Tokenizer,
        start: Instant,
    ) -> Self {
        let cut = context.stop.cut.child_token();
        let counted = post.cut_by(cut.clone());
        let settling = counted.clone().renamed(format!("{}{SETTLE_SUFFIX}", context.stage.id));
        let settle = level.measure.settle;
        Self {
            counted,
            settling,
            settle_until_ns: if settle.is_zero() { 0 } else { context.clock.ns(start + settle) },
            settling_count: AtomicU64::new(0),
            client: context.client.clone(),
            // A question for each answer would be load that the plan did not ask for.
            tokenizer: Arc::new(tokenizer.without_asking()),
            start,
            drain: context.stop.drain.child_token(),
            cut,
            drain_limit: level.measure.drain,
            unreachable_wait: level.measure.unreachable_wait,
            is_away: watch::Sender::new(false),
            is_over: CancellationToken::new(),
            any_sent: AtomicBool::new(false),
            any_ok: AtomicBool::new(false),
            gone: OnceLock::new(),
        }
    }

    /// Where requests of the settling part, or those that count, are recorded.
    pub(super) fn post(&self, is_settling: bool) -> &Post {
        if is_settling { &self.settling } else { &self.counted }
    }

    /// Requests that were sent or dropped in the settling part.
    pub(super) fn settling_count(&self) -> u64 {
        self.settling_count.load(Ordering::Relaxed)
    }

    fn post_of(&self, due_ns: u64) -> &Post {
        let is_settling = due_ns < self.settle_until_ns;
        self.settling_count.fetch_add(u64::from(is_settling), Ordering::Relaxed);
        self.post(is_settling)
    }

    /// Makes a request again, whose messages are known only now. Blocks where it is counted.
    pub(super) fn again(
        &self,
        mut ready: Ready,
        say: impl FnOnce(Vec<Message>) -> Vec<Message>,
    ) -> Ready {
        let Some(request) = ready.request.take() else { return ready };
        let messages = say(request.messages.clone());
        if messages == request.messages {
            return ready;
        }
        let request = Request { messages, ..*request };
        tokio::task::block_in_place(|| self.counted.prepare_request(&request, &self.tokenizer))
    }

    /// Sends a request and records how it ended.
    pub(super) async fn send(self: &Arc<Self>, ready: Ready, due_ns: u64) -> Outcome {
        self.send_for_answer(ready, due_ns).await.0
    }

    /// The same; gives how it ended and what was answered, without its reasoning.
    pub(super) async fn send_for_answer(
        self: &Arc<Self>,
        ready: Ready,
        due_ns: u64,
    ) -> (Outcome, String) {
        let post = self.post_of(due_ns);
        let (outcome, answer) = post.send_for_answer(ready, due_ns, &self.tokenizer).await;
        self.any_sent.store(true, Ordering::Relaxed);
        if outcome == Outcome::Ok {
            self.any_ok.store(true, Ordering::Relaxed);
        }
        // What this machine lacks says nothing of the endpoint.
        if matches!(outcome, Outcome::Connect(_))
            && !outcome.is_local()
            && !self.is_away.send_replace(true)
        {
            let lane = Arc::clone(self);
            tokio::spawn(async move {
                tokio::select! {
                    () = lane.is_over.cancelled() => {}
                    () = lane.drain.cancelled() => {}
                    () = lane.until_it_is_back() => {}
                }
                lane.is_away.send_replace(false);
            });
        }
        (outcome, answer)
    }

    /// Asks the endpoint until it answers, or gives the level up.
    async fn until_it_is_back(&self) {
        let since = Instant::now();
        while let Err(error) = probe::is_back(&self.client).await {
            if since.elapsed() >= self.unreachable_wait {
                let waited = match self.unreachable_wait.as_secs_f64() {
                    0.0 => String::new(),
                    seconds => format!(" for {seconds} s (`unreachable: {{ wait: … }}`)"),
                };
                let why = format!("the endpoint stopped answering{waited}: {error}");
                let _said_before = self.gone.set(why);
                self.drain.cancel();
                return;
            }
            tokio::time::sleep(ASK_AGAIN.min(self.unreachable_wait)).await;
        }
    }

    /// Waits while the endpoint takes no connections.
    pub(super) async fn reachable(&self) {
        if *self.is_away.borrow() {
            let mut is_away = self.is_away.subscribe();
            let _it_is_back = is_away.wait_for(|is_away| !is_away).await;
        }
    }

    /// Records a request that was due and is not sent.
    pub(super) async fn drop_late(&self, request: Ready, due_ns: u64) {
        self.post_of(due_ns).dropped_late(request, due_ns).await;
    }

    /// How the level ended, as far as the endpoint is concerned.
    pub(super) fn ended(&self) -> Ended {
        let all_failed =
            self.any_sent.load(Ordering::Relaxed) && !self.any_ok.load(Ordering::Relaxed);
        match self.gone.get() {
            Some(reason) => Ended::Failed(reason.clone()),
            None if all_failed => Ended::Unanswered,
            None => Ended::Whole,
        }
    }

    /// Waits for what is in flight, at most as long as the plan allows; then cuts it.
    pub(super) async fn finish<T: Send + 'static>(&self, in_flight: &mut JoinSet<T>) {
        let all = async { while in_flight.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain_limit, all).await.is_err() {
            self.cut.cancel();
            while in_flight.join_next().await.is_some() {}
        }
        self.is_over.cancel();
    }
}
