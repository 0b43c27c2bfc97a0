//! `cold` and `warm`: a list of prompts, sent in order, so many at a time.
//!
//! The two differ only in what they expect of the server's cache; prompts that must be unseen (or
//! seen) are the workload's doing. Invariant: as many `end` lines as `requests`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::join_all;
use tokio::sync::Mutex;

use super::exchange::Post;
use super::interleave::Turn;
use super::load::ahead::Ahead;
use super::{StageContext, StageOutcome, unless_cut, unless_drained};
use crate::client::probe;
use crate::plan::Repeat;
use crate::record::Outcome;
use crate::workload::prompt::{PromptSettings, PromptWorkload};
use crate::workload::tokenizer::Tokenizer;

/// What the slots of a stage share.
struct Shared<'a> {
    context: &'a StageContext<'a>,
    post: Post,
    tokenizer: &'a Tokenizer,
    ahead: Mutex<Ahead>,
    taken: AtomicU64,
    is_over: AtomicBool,
    any_ok: AtomicBool,
    /// Requests under way at most.
    slots: u64,
}

/// Sends the stage's requests.
pub(super) async fn run(context: &StageContext<'_>, repeat: &Repeat) -> StageOutcome {
    let tokenizer = context.tokenizer;
    // However this stage ends, the others of its turns must not wait for it.
    let _leaves = context.turn.map(Turn::leaving);
    let settings = PromptSettings {
        stage: &context.stage.id,
        seed: context.seed,
        run_nonce: context.run_nonce,
        params: context.params,
        context_tokens: context.server.context_tokens,
        headers: &context.stage.endpoint.header_templates,
        is_load: false,
        api: &context.stage.endpoint.api,
    };
    // Shared texts may have to be counted, by the server at that.
    let made = tokio::task::block_in_place(|| {
        PromptWorkload::new(repeat, &settings, context.store, tokenizer.clone())
    });
    let workload = match made {
        Ok(workload) => workload,
        Err(error) => return give_up(context, repeat.requests, 0, error.to_string()).await,
    };
    let post = Post::of(context, None);
    let survey = repeat.distinct.min(repeat.requests);
    let counter = Arc::new(tokenizer.clone());
    let ahead = Ahead::surveyed(&post, workload, counter, Some(repeat.requests), survey);
    let mut ahead = match ahead {
        Ok(ahead) => ahead,
        Err(error) => {
            let reason = format!("the system gives no thread to prepare requests: {error}");
            return give_up(context, repeat.requests, 0, reason).await;
        }
    };
    // A prompt that was abandoned, or a flush just done, may still keep the server busy.
    super::flush::wait_until_idle(context).await;
    unless_drained(context, ahead.fill()).await;

    let shared = Shared {
        context,
        post,
        tokenizer,
        ahead: Mutex::new(ahead),
        taken: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        any_ok: AtomicBool::new(false),
        slots: repeat.concurrency.clamp(1, repeat.requests.max(1)),
    };
    let reasons = join_all((0..shared.slots).map(|_| slot(&shared))).await;

    let taken = shared.taken.load(Ordering::Relaxed);
    match reasons.into_iter().flatten().next() {
        Some(reason) => give_up(context, repeat.requests, taken, reason).await,
        None if taken < repeat.requests && !context.stop.drain.is_cancelled() => {
            let reason = "the thread that prepares requests ended".to_owned();
            give_up(context, repeat.requests, taken, reason).await
        }
        None if taken < repeat.requests => {
            shared.post.never_made(taken, repeat.requests - taken).await;
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
        let next = {
            let mut ahead = shared.ahead.lock().await;
            if shared.is_over.load(Ordering::Relaxed) {
                return None;
            }
            let next = unless_drained(context, ahead.next()).await.flatten();
            if next.is_some() {
                shared.taken.fetch_add(1, Ordering::Relaxed);
            }
            next
        };
        let ready = next?;
        let pass = match context.turn {
            None => None,
            Some(turn) => {
                let turn = turn.take(ready.index, shared.slots);
                let Some(pass) = unless_drained(context, turn).await.flatten() else {
                    shared.post.never_made(ready.index, 1).await;
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
            shared.is_over.store(true, Ordering::Relaxed);
            context.turn.inspect(|turn| turn.leave());
            return Some(format!("the endpoint stopped answering: {error}"));
        }
    }
}

/// Ends the stage early: what was not sent never started.
async fn give_up(
    context: &StageContext<'_>,
    requests: u64,
    taken: u64,
    reason: String,
) -> StageOutcome {
    let post = Post::of(context, None);
    post.never_made(taken, requests.saturating_sub(taken)).await;
    StageOutcome::failed(reason)
}
