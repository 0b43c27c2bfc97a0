//! A log whose conversations keep their order: turns that are due wait for the one before.
//!
//! In: a log's schedule and requests that are ready. Out: each request sent when it is due and the turn
//! before it in its conversation is over. Invariants: a turn that had to wait is due when it may go, so
//! that its latency is the server's and its wait is not taken for the generator's; a turn behind one
//! that failed, was dropped or never began is not sent, and recorded as never started.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::ahead::Ahead;
use super::lane::{Driven, Ended, Lane};
use crate::plan::{Late, Pacing};
use crate::record::Outcome;
use crate::request::Message;
use crate::schedule::admission::{Admission, Admit};
use crate::schedule::pacer::{self, Pacer, Verdict};
use crate::schedule::turns::{After, Arrived, Turns};
use crate::stage::StageContext;
use crate::stage::exchange::{Ready, Unsent};
use crate::stage::log::{Log, Turn};
use crate::workload::conversation::{LiveHistory, Swaps};

/// A conversation: its first row, and how often the log was gone round before.
type Conversation = (u64, u64);

/// A request whose time has come.
struct Due {
    ready: Ready,
    turn: Turn,
    at: Instant,
}

/// A turn that was under way.
struct Over {
    turn: Turn,
    is_ok: bool,
}

/// What conversations said here, where their answers are to stand in later turns.
struct Live {
    histories: Mutex<Histories>,
    /// Turns of each conversation that has several.
    lengths: HashMap<u64, u32>,
}

#[derive(Default)]
struct Histories {
    open: HashMap<Conversation, LiveHistory>,
    swaps: Swaps,
}

/// The stage as it goes.
struct Talk<'a> {
    context: &'a StageContext<'a>,
    lane: &'a Arc<Lane>,
    pacing: &'a Pacing,
    turns: Turns<Conversation, Due>,
    admission: Admission<Due>,
    in_flight: JoinSet<Over>,
    live: Option<Arc<Live>>,
    /// Turns that will never be sent.
    never: Vec<Unsent>,
    /// Longest that a turn waited for the one before it.
    longest_wait: Duration,
    /// When the stage waits no longer, once all of its log was due.
    drain_by: Option<Instant>,
}

/// Sends the log's requests. Where `is_live`, the answers of this run stand in later turns.
pub(super) async fn drive(
    context: &StageContext<'_>,
    lane: &Arc<Lane>,
    pacing: &Pacing,
    (log, is_live): (&Log, bool),
    ahead: &tokio::sync::Mutex<Ahead>,
) -> Driven {
    let mut ahead = ahead.lock().await;
    let started = Pacer::start(log.schedule.iter(), lane.start, pacing);
    let (pacer, mut dues) = match started {
        Ok(started) => started,
        Err(error) => return Driven::none(format!("the system gives no pacer thread: {error}")),
    };
    let live =
        is_live.then(|| Arc::new(Live { histories: Mutex::default(), lengths: log.lengths() }));
    let mut talk = Talk {
        context,
        lane,
        pacing,
        turns: Turns::default(),
        admission: Admission::new(pacing),
        in_flight: JoinSet::new(),
        live,
        never: Vec::new(),
        longest_wait: Duration::ZERO,
        drain_by: None,
    };
    let (mut taken, mut failed) = (0, None);
    while !talk.is_over() && failed.is_none() {
        let drain_by = talk.drain_by;
        tokio::select! {
            biased;
            () = lane.drain.cancelled() => break,
            () = tokio::time::sleep_until(drain_by.unwrap_or(lane.start).into()), if drain_by.is_some() => break,
            Some(over) = talk.in_flight.join_next() => talk.ended(over.ok()).await,
            released = dues.recv(), if drain_by.is_none() => {
                let Some(released) = released else {
                    talk.drain_by = Some(Instant::now() + lane.drain_limit);
                    continue;
                };
                let ready = match ahead.due().await {
                    Ok(ready) => ready,
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                };
                taken = released.index + 1;
                talk.due(ready, log.turn(released.index), released).await;
            }
        }
    }
    pacer.stop();
    let Talk { mut turns, mut admission, mut in_flight, mut never, longest_wait, live, .. } = talk;
    let note = note(&turns, never.len(), longest_wait);
    never.extend(admission.abandon().map(|due| Unsent::from(due.ready)));
    never.extend(turns.abandon().into_iter().map(|due| Unsent::from(due.ready)));
    lane.finish(&mut in_flight).await;
    let swaps = live.and_then(|live| live.swaps().in_words());
    let note = note.into_iter().chain(swaps).reduce(|all, more| format!("{all}; {more}"));
    let ended = failed.map_or_else(|| lane.ended(), Ended::Failed);
    Driven { ended, taken, waiting: never, note }
}

impl Talk<'_> {
    /// Whether all of the log was due and nobody waits to be sent.
    fn is_over(&self) -> bool {
        self.drain_by.is_some() && self.admission.waiting() == 0 && self.turns.waiting() == 0
    }

    /// A request's time has come.
    async fn due(&mut self, ready: Ready, turn: Turn, released: pacer::Due) {
        let due = Due { ready, turn, at: released.due };
        let is_late = released.verdict == Verdict::DroppedLate;
        match self.turns.arrive(turn.conversation, due) {
            Arrived::Go(due) if is_late => self.dropped(due).await,
            Arrived::Go(due) => self.offer(due).await,
            Arrived::Held => {}
            Arrived::Never(due) => self.never.push(due.ready.into()),
        }
    }

    /// A turn may go, as far as its conversation is concerned.
    async fn offer(&mut self, due: Due) {
        match self.admission.offer(due) {
            Admit::Send(due) => self.send(due),
            Admit::Queued => {}
            Admit::Drop(due) => self.dropped(due).await,
        }
    }

    fn send(&mut self, due: Due) {
        let (lane, live) = (Arc::clone(self.lane), self.live.clone());
        let due_ns = self.context.clock.ns(due.at);
        self.in_flight.spawn(async move {
            let Due { ready, turn, .. } = due;
            let ready = match &live {
                Some(live) => lane.again(ready, |asked| live.next(turn, asked)),
                None => ready,
            };
            let (outcome, answer) = lane.send_for_answer(ready, due_ns).await;
            let answer = (outcome == Outcome::Ok).then_some(answer);
            let is_ok = answer.is_some();
            if let Some(live) = &live {
                live.over(turn, answer.as_deref());
            }
            Over { turn, is_ok }
        });
    }

    /// A turn that will not be sent, so that those behind it won't be, either.
    async fn dropped(&mut self, due: Due) {
        let due_ns = self.context.clock.ns(due.at);
        self.lane.drop_late(due.ready, due_ns).await;
        let After { never, .. } = self.turns.over(due.turn.conversation, false);
        self.never.extend(never.into_iter().map(|due| Unsent::from(due.ready)));
        if let Some(live) = &self.live {
            live.over(due.turn, None);
        }
    }

    /// A request came to its end: its place in flight and its conversation are free.
    async fn ended(&mut self, over: Option<Over>) {
        while let Some(due) = self.admission.finished() {
            match self.pacing.late {
                // Its place is free again, for the next that waits.
                Late::Drop { after } if due.at.elapsed() > after => self.dropped(due).await,
                _ => {
                    self.send(due);
                    break;
                }
            }
        }
        let Some(Over { turn, is_ok }) = over else { return };
        let After { next, never } = self.turns.over(turn.conversation, is_ok);
        self.never.extend(never.into_iter().map(|due| Unsent::from(due.ready)));
        if let Some(mut due) = next {
            let now = Instant::now();
            self.longest_wait = self.longest_wait.max(now.saturating_duration_since(due.at));
            due.at = due.at.max(now);
            if self.drain_by.is_some() {
                self.drain_by = Some(now + self.lane.drain_limit);
            }
            self.offer(due).await;
        }
    }
}

impl Live {
    /// What a turn asks here.
    fn next(&self, turn: Turn, asked: Vec<Message>) -> Vec<Message> {
        if !self.lengths.contains_key(&turn.conversation.1) {
            return asked;
        }
        let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        let Histories { open, swaps } = &mut *histories;
        open.entry(turn.conversation).or_default().next(asked, swaps)
    }

    /// What was asked with another history than that of this run.
    fn swaps(&self) -> Swaps {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner).swaps
    }

    /// A turn was answered, or its conversation breaks off.
    fn over(&self, turn: Turn, answer: Option<&str>) {
        let Some(length) = self.lengths.get(&turn.conversation.1) else { return };
        let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.filter(|_| turn.number + 1 < *length) {
            Some(answer) => {
                if let Some(history) = histories.open.get_mut(&turn.conversation) {
                    history.answered(answer);
                }
            }
            None => drop(histories.open.remove(&turn.conversation)),
        }
    }
}

/// What people should know of the conversations.
fn note<T>(turns: &Turns<Conversation, T>, never: usize, longest: Duration) -> Option<String> {
    let mut parts = Vec::new();
    if turns.cut_short() > 0 {
        let (broken, s) = (turns.cut_short(), if turns.cut_short() == 1 { "" } else { "s" });
        parts.push(format!(
            "{broken} conversation{s} broke off; {never} of their turns never started"
        ));
    }
    if turns.held() > 0 {
        let (held, s) = (turns.held(), if turns.held() == 1 { "" } else { "s" });
        let longest = longest.as_secs_f64();
        parts.push(format!("{held} turn{s} waited for the one before, at most {longest:.1} s"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
