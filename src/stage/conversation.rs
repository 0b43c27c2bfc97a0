//! `conversation`: sessions of several turns, each turn after the answer to the one before.
//!
//! In: recorded sessions. Out: as many `end` lines as the sessions that joined have turns. Invariants:
//! of a session at most one turn is under way; a turn after one that failed never starts, and is
//! recorded as such; a turn's number is that of its session's first plus its place, in the order in
//! which sessions join.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::exchange::{Post, Unsent};
use super::{StageContext, StageOutcome, unless_cut};
use crate::client::probe;
use crate::plan::Conversation;
use crate::record::Outcome;
use crate::workload::conversation::{Conversations, DueTurn, Tally, TurnId, TurnRequests};
use crate::workload::prompt::PromptSettings;
use crate::workload::tokenizer::Tokenizer;

/// Longest wait until the state of all sessions is looked at again.
const LOOK: Duration = Duration::from_millis(250);

/// A session that joined and is not over.
struct Open {
    name: String,
    /// Number of its first turn among all of the stage.
    first: u64,
    turns: u64,
    /// Turns that were sent.
    sent: u64,
}

/// What a stage knows of its sessions.
struct Stage<'a> {
    context: &'a StageContext<'a>,
    conversation: &'a Conversation,
    post: Post,
    tokenizer: Arc<Tokenizer>,
    requests: TurnRequests,
    talks: Conversations,
    open: BTreeMap<u64, Open>,
    /// Turns of all sessions that joined.
    planned: u64,
    any_ok: bool,
    is_probed: bool,
    failed: Option<String>,
}

/// What became of a turn.
type Ended = (TurnId, (Outcome, String));

/// Has the sessions talk; gives the number of turns that were planned, too.
pub(super) async fn run(
    context: &StageContext<'_>,
    conversation: &Conversation,
) -> (StageOutcome, u64) {
    let settings = PromptSettings {
        stage: &context.stage.id,
        seed: context.seed,
        run_nonce: context.run_nonce,
        params: context.params,
        context_tokens: context.server.context_tokens,
        headers: &context.stage.endpoint.header_templates,
        is_load: true,
        api: &context.stage.endpoint.api,
    };
    // Turns are made while others are measured, so nobody is asked to count them.
    let tokenizer = context.tokenizer.without_asking();
    let talks = match Conversations::planned(conversation, &settings, context.store, &tokenizer) {
        Ok(talks) => talks,
        Err(error) => return (StageOutcome::failed(error.to_string()), 0),
    };
    super::flush::wait_until_idle(context).await;
    let mut stage = Stage {
        context,
        conversation,
        post: Post::of(context, None),
        requests: TurnRequests::new(
            &conversation.prompt,
            &settings,
            context.stage.key(),
            &tokenizer,
        )
        .counted_by(context.store),
        tokenizer: Arc::new(tokenizer),
        talks,
        open: BTreeMap::new(),
        planned: 0,
        any_ok: false,
        is_probed: false,
        failed: None,
    };
    stage.talk().await;
    stage.leave_rest().await;
    (stage.outcome(), stage.planned)
}

impl Stage<'_> {
    /// Sends turns as they are due until all sessions are over, or nothing new may be sent.
    async fn talk(&mut self) {
        let stop = self.context.stop;
        let end = self.conversation.duration.map(|length| Instant::now() + length);
        let mut in_flight: JoinSet<Ended> = JoinSet::new();
        loop {
            if end.is_some_and(|end| Instant::now() >= end) {
                self.talks.close();
            }
            let is_stopped = stop.drain.is_cancelled() || self.failed.is_some();
            if !is_stopped {
                match self.talks.next_turns(self.context.clock.now_ns()) {
                    Ok(due) => due.into_iter().for_each(|turn| self.send(turn, &mut in_flight)),
                    Err(error) => {
                        self.failed = Some(error.to_string());
                        continue;
                    }
                }
            }
            if in_flight.is_empty() && (is_stopped || self.talks.is_over()) {
                return;
            }
            let now_ns = self.context.clock.now_ns();
            let wait = match self.talks.next_due_ns() {
                Some(due_ns) if !is_stopped => {
                    Duration::from_nanos(due_ns.saturating_sub(now_ns)).min(LOOK)
                }
                _ => LOOK,
            };
            tokio::select! {
                Some(ended) = in_flight.join_next(), if !in_flight.is_empty() => {
                    if let Ok(ended) = ended {
                        self.ended(ended).await;
                    }
                }
                () = tokio::time::sleep(wait) => {}
                () = stop.drain.cancelled(), if !is_stopped => {}
            }
        }
    }

    /// Sends a turn in a task of its own.
    fn send(&mut self, turn: DueTurn, in_flight: &mut JoinSet<Ended>) {
        let DueTurn { id, due_ns, turns, .. } = turn;
        let open = self.open.entry(id.session).or_insert_with(|| {
            let name = turn.session.clone();
            let open = Open { name, first: self.planned, turns: turns as u64, sent: 0 };
            self.planned += open.turns;
            open
        });
        let (index, session) = (open.first + id.turn as u64, turn.session.clone());
        let request = self.requests.request(turn, index);
        open.sent = id.turn as u64 + 1;
        let (post, tokenizer) = (self.post.clone(), Arc::clone(&self.tokenizer));
        in_flight.spawn(async move {
            // A long history takes its time to be counted.
            let ready = tokio::task::block_in_place(|| match &request {
                Ok(request) => post.prepare_request(request, &tokenizer),
                Err(why) => post.unmade(index, Some(session), why),
            });
            (id, post.send_for_answer(ready, due_ns, &tokenizer).await)
        });
    }

    /// Takes an answer into its session, or ends the session of a turn that failed.
    async fn ended(&mut self, (id, (outcome, answer)): Ended) {
        let is_ok = outcome == Outcome::Ok;
        self.any_ok |= is_ok;
        let now_ns = self.context.clock.now_ns();
        self.talks.finished(id, is_ok.then_some(answer.as_str()), now_ns);
        let is_over =
            self.open.get(&id.session).is_some_and(|open| !is_ok || open.sent == open.turns);
        if is_over && let Some(open) = self.open.remove(&id.session) {
            self.never_sent(&open).await;
        }
        // As in cold stages: whether the endpoint is gone is asked once.
        let is_cut_off =
            matches!(outcome, Outcome::Connect(_) | Outcome::Stream(_) | Outcome::Timeout(_));
        if is_cut_off && !self.is_probed {
            self.is_probed = true;
            match unless_cut(self.context, probe::is_alive(self.context.client)).await {
                Some(Err(error)) => {
                    self.failed = Some(format!("the endpoint stopped answering: {error}"));
                }
                Some(Ok(())) => self.is_probed = false,
                None => {}
            }
        }
    }

    /// The turns of a session after those that were sent never start.
    async fn never_sent(&self, open: &Open) {
        for turn in open.sent..open.turns {
            let (index, session) = (open.first + turn, Some(open.name.clone()));
            self.post.never_started(Unsent { index, session }).await;
        }
    }

    /// Sessions that were under way when nothing new could be sent any more.
    async fn leave_rest(&mut self) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.never_sent(&open).await;
        }
    }

    fn outcome(&self) -> StageOutcome {
        let Tally { joined, broken, skipped, .. } = self.talks.tally();
        let broke = (broken > 0).then(|| {
            format!(
                "{broken} of {joined} sessions broke off; {skipped} of their turns never started"
            )
        });
        let notes: Vec<String> = broke.into_iter().chain(self.talks.swaps().in_words()).collect();
        match &self.failed {
            _ if self.context.stop.drain.is_cancelled() => StageOutcome::interrupted(),
            Some(reason) => StageOutcome::failed(reason.clone()),
            None if !self.any_ok => StageOutcome::failed("no request succeeded"),
            None => StageOutcome {
                reason: (!notes.is_empty()).then(|| notes.join("; ")),
                ..StageOutcome::completed()
            },
        }
    }
}
