//! Conversations: sessions of several turns, each turn after the answer to the one before.
//!
//! In: scripts, the time, and how turns ended. Out: the turns that are due. Invariant: no clock and
//! no waiting here: a stage asks for [`Conversations::next_turns`] and tells
//! [`Conversations::finished`]; of one session at most one turn is under way; every planned turn
//! is done, failed, skipped (a turn before it failed), under way or waiting, and [`Tally`] counts
//! them all.

mod live;
mod rehearsal;
mod requests;
mod script;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::WorkloadError;
use super::dataset::{Dataset, Row, Timeline};
use super::prompt::PromptSettings;
use super::store::Store;
use super::synthetic::text::Texts;
use super::tokenizer::Tokenizer;
use crate::plan::Conversation;
use crate::plan::workload::{ConversationConfig, History, Unique, Uniqueness};
use crate::request::Message;

use live::with_answers;
use session::{Session, nanos};

pub use live::{LiveHistory, Swaps};
pub use rehearsal::Rehearsal;
pub use requests::TurnRequests;
pub use script::{Says, Script, Scripts, Turn};

/// One turn of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId {
    /// The session, numbered in the order of joining, from 0.
    pub session: u64,
    /// The turn within it, from 0.
    pub turn: usize,
}

/// A turn to send.
#[derive(Debug, Clone, PartialEq)]
pub struct DueTurn {
    /// Which turn it is.
    pub id: TurnId,
    /// The session's name.
    pub session: String,
    /// When it is due, in nanoseconds on the clock of `now_ns`.
    pub due_ns: u64,
    /// All messages, history included.
    pub messages: Vec<Message>,
    /// The row that it stands in, for what it asks beside its messages.
    pub row: Arc<Row>,
    /// The recorded answer to it.
    pub answer: Option<Message>,
    /// Whether the session ends with it.
    pub is_last: bool,
    /// Turns of its session in all.
    pub turns: usize,
}

/// How many sessions and turns are where. `planned` is the sum of the five below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Sessions that joined.
    pub joined: u64,
    /// Sessions whose last turn was answered.
    pub completed: u64,
    /// Sessions that ended with a failed turn.
    pub broken: u64,
    /// Turns of all sessions that joined.
    pub planned: u64,
    /// Turns answered.
    pub answered: u64,
    /// Turns that failed.
    pub failed: u64,
    /// Turns never sent because one before them failed.
    pub skipped: u64,
    /// Turns under way.
    pub in_flight: u64,
    /// Turns to come.
    pub waiting: u64,
}

/// The state of all sessions.
pub struct Conversations {
    config: ConversationConfig,
    seed: u64,
    source: Source,
    sessions: BTreeMap<u64, Session>,
    /// Turns whose time is known, by that time.
    ready: BTreeSet<(u64, TurnId)>,
    /// When the next session may join, room aside.
    next_join_ns: Option<u64>,
    /// When a session last made room.
    room_ns: u64,
    is_source_dry: bool,
    tally: Tally,
    swaps: Swaps,
}

type Source = Box<dyn FnMut() -> Result<Option<Script>, WorkloadError> + Send>;

impl Conversations {
    /// Sessions as `source` gives them (see [`Scripts::next_script`]); `None` ends them. With
    /// neither `concurrency` nor `join_every` sessions join only when [`Self::join`] says so.
    pub fn new(
        config: ConversationConfig,
        seed: u64,
        source: impl FnMut() -> Result<Option<Script>, WorkloadError> + Send + 'static,
    ) -> Self {
        Self {
            config,
            seed,
            source: Box::new(source),
            sessions: BTreeMap::new(),
            ready: BTreeSet::new(),
            next_join_ns: None,
            room_ns: 0,
            is_source_dry: false,
            tally: Tally::default(),
            swaps: Swaps::default(),
        }
    }

    /// The sessions of the stage's dataset, as many as the plan says. Nobody is asked to count: texts
    /// of rows that have none are made while others are measured.
    pub fn planned(
        conversation: &Conversation,
        settings: &PromptSettings<'_>,
        store: &Store,
        tokenizer: &Tokenizer,
    ) -> Result<Self, WorkloadError> {
        let source = conversation.prompt.dataset.as_deref();
        let config = source.map(|source| source.config.clone()).unwrap_or_default();
        let dataset = match store.dataset(&config) {
            Some(rows) => rows.dataset().clone(),
            None => Dataset::open(&config)?,
        };
        let order = match store.sessions(&config) {
            Some(order) => order,
            None => Timeline::read(&dataset, |_| true)?.by_session(),
        };
        let runs = match conversation.prompt.unique_in(true) {
            Unique::Never => Uniqueness::Never,
            Unique::Request | Unique::Run => Uniqueness::PerRun,
        };
        let PromptSettings { seed, run_nonce, .. } = *settings;
        let texts = Texts::new(seed, run_nonce, runs, tokenizer.without_asking());
        let mut scripts = Scripts::new(dataset, order, texts, &conversation.config);
        let mut left = conversation.sessions.unwrap_or(u64::MAX);
        Ok(Self::new(conversation.config.clone(), seed, move || {
            let Some(less) = left.checked_sub(1) else { return Ok(None) };
            left = less;
            scripts.next_script()
        }))
    }

    /// Lets sessions join as the plan says, and gives all turns that are due, earliest first.
    pub fn next_turns(&mut self, now_ns: u64) -> Result<Vec<DueTurn>, WorkloadError> {
        while self.may_join(now_ns) {
            // A session that had to wait for room is due when there was some.
            let due_ns = self.next_join_ns.unwrap_or(now_ns).max(self.room_ns).min(now_ns);
            self.next_join_ns = Some(due_ns.saturating_add(nanos(self.config.join_every)));
            if !self.join(due_ns)? {
                break;
            }
        }
        let mut due = Vec::new();
        while let Some((due_ns, id)) = self.ready.first().copied() {
            if due_ns > now_ns {
                break;
            }
            self.ready.pop_first();
            due.extend(self.send(id, due_ns));
        }
        Ok(due)
    }

    /// When to ask again: `None` while all depends on turns under way, or when all is over.
    pub fn next_due_ns(&self) -> Option<u64> {
        let turn = self.ready.first().map(|(due_ns, _)| *due_ns);
        let join = if self.has_room() { self.next_join_ns.or(Some(0)) } else { None };
        match (turn, join) {
            (Some(turn), Some(join)) => Some(turn.min(join)),
            (turn, join) => turn.or(join),
        }
    }

    /// One session joins, its first turn due at `due_ns`. `false` when there are no more.
    pub fn join(&mut self, due_ns: u64) -> Result<bool, WorkloadError> {
        if self.is_source_dry {
            return Ok(false);
        }
        let Some(script) = (self.source)()? else {
            self.is_source_dry = true;
            return Ok(false);
        };
        if script.turns.is_empty() {
            return Ok(true);
        }
        let turns = script.turns.len() as u64;
        let id = TurnId { session: self.tally.joined, turn: 0 };
        self.tally.joined += 1;
        self.tally.planned += turns;
        self.tally.waiting += turns;
        let session = Session {
            script,
            history: Vec::new(),
            answers: Vec::new(),
            due_ns,
            is_in_flight: false,
        };
        self.sessions.insert(id.session, session);
        self.ready.insert((due_ns, id));
        Ok(true)
    }

    /// A turn has ended: answered with `text` (content only, no reasoning), or failed when `None`.
    /// Says nothing of a turn that is not under way, which changes nothing.
    pub fn finished(&mut self, id: TurnId, text: Option<&str>, now_ns: u64) {
        let Some(session) = self.sessions.get_mut(&id.session) else { return };
        if !session.is_in_flight || session.answers.len() != id.turn {
            return;
        }
        session.is_in_flight = false;
        self.tally.in_flight -= 1;
        let to_come = (session.script.turns.len() - id.turn - 1) as u64;
        let Some(text) = text else {
            self.tally.failed += 1;
            self.tally.skipped += to_come;
            self.tally.waiting -= to_come;
            self.tally.broken += 1;
            self.leave(id.session, now_ns);
            return;
        };
        self.tally.answered += 1;
        if to_come == 0 {
            self.tally.completed += 1;
            self.leave(id.session, now_ns);
            return;
        }
        session.answered(id.turn, text, self.config.history, &mut self.swaps);
        let next = TurnId { turn: id.turn + 1, ..id };
        let due_ns = session.due_after(next, now_ns, self.config.delay, self.seed);
        self.ready.insert((due_ns, next));
    }

    /// No session joins any more; those under way go on to their ends.
    pub fn close(&mut self) {
        self.is_source_dry = true;
    }

    /// Whether no turn is under way or to come.
    pub fn is_over(&self) -> bool {
        self.sessions.is_empty() && (self.is_source_dry || !self.joins_by_itself())
    }

    /// Who is where.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What was asked with another history than the plan says.
    pub fn swaps(&self) -> Swaps {
        self.swaps
    }

    fn leave(&mut self, session: u64, now_ns: u64) {
        self.sessions.remove(&session);
        if self.config.concurrency.is_some() {
            self.room_ns = now_ns;
        }
    }

    fn joins_by_itself(&self) -> bool {
        self.config.concurrency.is_some() || !self.config.join_every.is_zero()
    }

    fn has_room(&self) -> bool {
        let limit = self.config.concurrency.unwrap_or(u64::MAX).max(1);
        self.joins_by_itself() && !self.is_source_dry && (self.sessions.len() as u64) < limit
    }

    fn may_join(&self, now_ns: u64) -> bool {
        self.has_room() && self.next_join_ns.is_none_or(|join_ns| join_ns <= now_ns)
    }

    /// The messages of a turn, which is now under way.
    fn send(&mut self, id: TurnId, due_ns: u64) -> Option<DueTurn> {
        let session = self.sessions.get_mut(&id.session)?;
        let turn = session.script.turns.get(id.turn)?;
        match &turn.says {
            Says::More(more) => session.history.extend(more.iter().cloned()),
            Says::Whole(whole) => {
                session.history = match self.config.history {
                    History::Recorded => whole.clone(),
                    History::Live => with_answers(whole, 0, &session.answers, &mut self.swaps),
                };
            }
        }
        if let Some(system) = &self.config.system
            && session.history.first().is_none_or(|first| first.role != "system")
        {
            let system = Message::text("system", system);
            session.history.insert(0, system);
        }
        session.due_ns = due_ns;
        session.is_in_flight = true;
        self.tally.waiting -= 1;
        self.tally.in_flight += 1;
        Some(DueTurn {
            id,
            session: session.script.name.clone(),
            due_ns,
            messages: session.history.clone(),
            row: Arc::clone(&turn.row),
            answer: turn.answer.clone(),
            is_last: id.turn + 1 == session.script.turns.len(),
            turns: session.script.turns.len(),
        })
    }
}
