//! `cold` and `warm`: a list of prompts, sent in order, so many at a time.
//!
//! The two differ only in what they expect of the server's cache; prompts that must be unseen (or
//! seen) are the workload's doing. Invariant: as many `end` lines as `requests`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::join_all;

use super::exchange::Post;
use super::interleave::{Pass, Turn};
use super::{StageContext, StageOutcome, unless_cut};
use crate::client::probe;
use crate::plan::Repeat;
use crate::record::Outcome;
use crate::workload::Workload;
use crate::workload::prompt::{PromptSettings, PromptWorkload};
use crate::workload::tokenizer::Tokenizer;

/// What the slots of a stage share.
struct Shared<'a> {
    context: &'a StageContext<'a>,
    post: Post,
    workload: &'a dyn Workload,
    tokenizer: &'a Tokenizer,
    requests: u64,
    next: AtomicU64,
    is_endpoint_gone: AtomicBool,
    any_ok: AtomicBool,
    /// Requests under way at most.
    slots: u64,
}

/// Sends the stage's requests.
pub(super) async fn run(context: &StageContext<'_>, repeat: &Repeat) -> StageOutcome {
    let tokenizer = context.tokenizer;
    let settings = PromptSettings {
        stage: &context.stage.id,
        seed: context.seed,
        run_nonce: context.run_nonce,
        params: context.params,
        context_tokens: context.server.context_tokens,
        is_load: false,
    };
    let made = PromptWorkload::new(repeat, &settings, context.store, tokenizer.clone());
    let workload = match made {
        Ok(workload) => workload,
        Err(error) => return give_up(context, repeat.requests, 0, error.to_string()).await,
    };
    // A prompt that was abandoned, or a flush just done, may still keep the server busy.
    super::flush::wait_until_idle(context).await;

    let shared = Shared {
        context,
        post: Post::of(context, None),
        workload: &workload,
        tokenizer,
        requests: repeat.requests,
        next: AtomicU64::new(0),
        is_endpoint_gone: AtomicBool::new(false),
        any_ok: AtomicBool::new(false),
        slots: repeat.concurrency.clamp(1, repeat.requests.max(1)),
    };
    // However this stage ends, the others of its turns must not wait for it.
    let _leaves = context.turn.map(Turn::leaving);
    let reasons = join_all((0..shared.slots).map(|_| slot(&shared))).await;

    let sent = shared.next.load(Ordering::Relaxed).min(repeat.requests);
    match reasons.into_iter().flatten().next() {
        Some(reason) => give_up(context, repeat.requests, sent, reason).await,
        None if sent < repeat.requests => {
            for index in sent..repeat.requests {
                shared.post.never_started(index).await;
            }
            StageOutcome::interrupted()
        }
        None if context.stop.cut.is_cancelled()
            || (context.turn.is_some() && context.stop.drain.is_cancelled()) =>
        {
            StageOutcome::interrupted()
        }
        None if !shared.any_ok.load(Ordering::Relaxed) => {
            StageOutcome::failed("no request succeeded")
        }
        None => StageOutcome::completed(),
    }
}

/// Takes requests until there are none left. Returns why it gave up, if it did.
async fn slot(shared: &Shared<'_>) -> Option<String> {
    let Shared { context, .. } = shared;
    loop {
        if context.stop.drain.is_cancelled() || shared.is_endpoint_gone.load(Ordering::Relaxed) {
            return None;
        }
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        if index >= shared.requests {
            return None;
        }
        let ready = match shared.post.prepare(shared.workload, shared.tokenizer, index) {
            Ok(ready) => ready,
            Err(error) => {
                shared.is_endpoint_gone.store(true, Ordering::Relaxed);
                context.turn.inspect(|turn| turn.leave());
                shared.post.never_started(index).await;
                return Some(error.to_string());
            }
        };
        let pass = match context.turn {
            None => None,
            Some(turn) => {
                let pass = unless_drained(context, turn.take(index, shared.slots)).await;
                let Some(pass) = pass else {
                    shared.post.never_started(index).await;
                    return None;
                };
                Some(pass)
            }
        };
        // Without a schedule a request is due as soon as its slot is free and it is ready.
        let due_ns = context.clock.now_ns();
        let outcome = shared.post.send(ready, due_ns, shared.tokenizer).await;
        drop(pass);
        if outcome == Outcome::Ok {
            shared.any_ok.store(true, Ordering::Relaxed);
        }
        // One refused or broken exchange may be the server's bad moment. Whether it is gone is
        // asked once, so that a dead endpoint ends the stage in bounded time and a living one does
        // not lose its remaining requests.
        if matches!(outcome, Outcome::Connect(_) | Outcome::Stream(_) | Outcome::Timeout(_))
            && let Some(Err(error)) = unless_cut(context, probe::is_alive(context.client)).await
        {
            shared.is_endpoint_gone.store(true, Ordering::Relaxed);
            context.turn.inspect(|turn| turn.leave());
            return Some(format!("the endpoint stopped answering: {error}"));
        }
    }
}

/// Waits for a turn; `None` when there will be none.
async fn unless_drained(
    context: &StageContext<'_>,
    turn: impl Future<Output = Option<Pass>>,
) -> Option<Pass> {
    tokio::select! {
        biased;
        () = context.stop.drain.cancelled() => None,
        pass = turn => pass,
    }
}

/// Ends the stage early: what was not sent never started.
async fn give_up(
    context: &StageContext<'_>,
    requests: u64,
    sent: u64,
    reason: String,
) -> StageOutcome {
    let post = Post::of(context, None);
    for index in sent..requests {
        post.never_started(index).await;
    }
    StageOutcome::failed(reason)
}
