//! `conversation` stages: which sessions there are, and how their turns follow each other.
//!
//! In: a written stage. Out: a resolved one. Invariant: its prompt has a dataset whose rows are asked
//! as they are, in the order of the files, since sessions stand together there.

use std::time::Duration;

use super::{Draft, Lowering, Shared};
use crate::plan::diagnostic::Code;
use crate::plan::file::ConversationKeys;
use crate::plan::workload::{ConversationConfig, RowOrder, TurnDelay};
use crate::plan::{Conversation, Think, units};

/// Longest recorded pause unless the plan says otherwise.
const THINK_MAX: Duration = Duration::from_secs(60);

impl Lowering<'_> {
    pub(super) fn conversation(
        &mut self,
        draft: &Draft,
        keys: &ConversationKeys,
        shared: &Shared,
    ) -> Option<Conversation> {
        let concurrency = self.users("concurrency", keys.concurrency).unwrap_or(1);
        let sessions = self.positive("sessions", keys.sessions);
        let max_turns = self.positive("turns", keys.turns);
        if let Some(length) = keys.duration.filter(|length| length.value.0.is_zero()) {
            self.error(Code::Value, length.at.span, "`duration` must be more than zero", "");
        }
        let delay = self.delay(keys);
        let help = "add `prompt: { dataset: … }` to the plan or to the stage";
        let prompt = self.asks(draft, keys.prompt.as_ref(), shared, help)?;
        let at = keys.prompt.as_ref().map_or(draft.span, |prompt| prompt.at.span);
        match &prompt.dataset {
            Some(source) if prompt.messages.is_empty() => {
                if source.order == RowOrder::Shuffled {
                    let message = "sessions are taken in the order of their files";
                    self.error(Code::Conflict, at, message, "remove `order: shuffle`");
                }
            }
            _ => {
                let message = format!("the stage `{}` has no recorded sessions", draft.id);
                let help = "give it `prompt: { dataset: … }` without `text` and `messages`";
                self.error(Code::Incomplete, at, message, help);
                return None;
            }
        }
        Some(Conversation {
            prompt,
            config: ConversationConfig {
                history: keys.history.map(|word| word.value).unwrap_or_default(),
                delay: delay?,
                system: keys.system.as_ref().map(|text| text.value.clone()),
                concurrency: Some(concurrency),
                join_every: keys.join_every.map_or(Duration::ZERO, |time| time.value.0),
                max_turns,
                cycle: sessions.is_some() || keys.duration.is_some(),
            },
            sessions,
            duration: keys.duration.map(|length| length.value.0),
        })
    }

    fn delay(&mut self, keys: &ConversationKeys) -> Option<TurnDelay> {
        let is_recorded = keys.think.as_ref().is_some_and(|think| think.value == "recorded");
        for (key, span) in [
            ("speed", keys.speed.map(|it| it.at.span)),
            ("think_max", keys.think_max.map(|it| it.at.span)),
        ] {
            if let (Some(span), false) = (span, is_recorded) {
                let message = format!("`{key}` is about recorded pauses");
                self.error(Code::Conflict, span, message, "add `think: recorded`, or remove it");
            }
        }
        let Some(think) = &keys.think else { return Some(TurnDelay::Think(Think::None)) };
        if is_recorded {
            let speed = keys.speed.map_or(1.0, |speed| speed.value.0);
            if let (Some(written), true) = (keys.speed, speed <= 0.0) {
                self.error(
                    Code::Value,
                    written.at.span,
                    "`speed` must be above 0",
                    "2 is twice as fast",
                );
                return None;
            }
            let max = keys.think_max.map_or(THINK_MAX, |max| max.value.0);
            return Some(TurnDelay::Recorded { factor: 1.0 / speed, max });
        }
        match units::duration(&think.value) {
            Ok(Duration::ZERO) => Some(TurnDelay::Think(Think::None)),
            Ok(pause) => Some(TurnDelay::Think(Think::Constant(pause))),
            Err(problem) => {
                let message = format!("`think` is neither a duration nor `recorded`: {problem}");
                self.error(Code::Value, think.at.span, message, "write `2s`, or `recorded`");
                None
            }
        }
    }
}
