//! Sessions played through before anybody answers.
//!
//! In: the sessions of a plan, and a text that stands for every answer. Out: their turns, session
//! after session, each to its end. Invariant: turns come in the order of their numbers.

use std::time::Duration;

use super::{Conversations, DueTurn, Swaps};
use crate::plan::workload::{ConversationConfig, TurnDelay};
use crate::plan::{Conversation, Think};
use crate::workload::WorkloadError;
use crate::workload::prompt::PromptSettings;
use crate::workload::store::Store;
use crate::workload::tokenizer::Tokenizer;

/// The turns of a conversation as they would be asked if every answer were the same.
pub struct Rehearsal {
    talks: Conversations,
    answer: String,
}

impl Rehearsal {
    /// All sessions are answered with `answer`.
    pub fn new(
        conversation: &Conversation,
        settings: &PromptSettings<'_>,
        store: &Store,
        tokenizer: &Tokenizer,
        answer: String,
    ) -> Result<Self, WorkloadError> {
        let config = ConversationConfig {
            delay: TurnDelay::Think(Think::None),
            concurrency: Some(1),
            join_every: Duration::ZERO,
            ..conversation.config.clone()
        };
        let one_by_one = Conversation { config, ..conversation.clone() };
        let talks = Conversations::planned(&one_by_one, settings, store, tokenizer)?;
        Ok(Self { talks, answer })
    }

    /// What was asked with another history than the plan says, so far.
    pub fn swaps(&self) -> Swaps {
        self.talks.swaps()
    }
}

impl Iterator for Rehearsal {
    type Item = Result<DueTurn, WorkloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.talks.next_turns(0) {
            Ok(mut due) => {
                let turn = due.pop()?;
                self.talks.finished(turn.id, Some(&self.answer), 0);
                Some(Ok(turn))
            }
            Err(error) => Some(Err(error)),
        }
    }
}
