//! The history of a recorded conversation, with the answers of this run in place of the recorded ones.
//!
//! In: what a log says was asked, turn by turn, and what was answered here. Out: what to ask here.
//! Invariant: a message of a user is never changed, and neither is an answer that calls tools, since the
//! results that follow name its calls; where the recorded history can't be matched with the answers, it
//! is asked as it was recorded. All that is asked otherwise than `history:` says is counted ([`Swaps`]).

use std::ops::AddAssign;

use crate::metrics::quantity::plural;
use crate::plan::workload::History;
use crate::request::Message;

/// Turns whose history is other than `history:` says, each counted by the answer before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swaps {
    /// Turns after an answer of this run, whose place in their history `history: live` gives to it.
    live: u64,
    /// Those of them that the recorded answer was sent with, since this run's had no text.
    silent: u64,
    /// The same, since the recorded answer calls tools.
    tools: u64,
    /// Those that were asked with the whole history as recorded.
    unmatched: u64,
    /// Turns with `history: recorded` that this run's answer was sent with, since none was recorded.
    unrecorded: u64,
}

impl Swaps {
    /// A turn's answer, with text or not, is told again by the next, which has only what is new.
    pub(super) fn told(&mut self, recorded: Option<&Message>, text: &str, history: History) {
        match (recorded, history) {
            (_, History::Live) => self.live(recorded, text),
            (None, History::Recorded) => self.unrecorded += 1,
            (Some(_), History::Recorded) => {}
        }
    }

    fn live(&mut self, recorded: Option<&Message>, text: &str) {
        self.live += 1;
        match recorded {
            Some(recorded) if recorded.calls_tools() => self.tools += 1,
            Some(_) if text.is_empty() => self.silent += 1,
            _ => {}
        }
    }

    /// One sentence for each kind; `None` when histories are as the plan says.
    pub fn in_words(self) -> Option<String> {
        let mut parts = Vec::new();
        if self.silent + self.tools > 0 {
            let why =
                [(self.silent, "had no text"), (self.tools, "where the recorded one calls tools")];
            let why: Vec<String> = why
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, why)| format!("{count} {why}"))
                .collect();
            parts.push(format!(
                "`history: live`: recorded answers stand in later turns for {} of this run's {} ({})",
                self.silent + self.tools,
                self.live,
                why.join(", ")
            ));
        }
        if self.unmatched > 0 {
            parts.push(format!(
                "`history: live`: {} of {} with the whole history as recorded, whose answers are not \
                 as many as this run's",
                self.unmatched,
                plural(self.live, "later turn"),
            ));
        }
        if self.unrecorded > 0 {
            parts.push(format!(
                "`history: recorded`: {} with this run's answer to the one before, since none is \
                 recorded",
                plural(self.unrecorded, "later turn"),
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl AddAssign for Swaps {
    fn add_assign(&mut self, other: Self) {
        self.live += other.live;
        self.silent += other.silent;
        self.tools += other.tools;
        self.unmatched += other.unmatched;
        self.unrecorded += other.unrecorded;
    }
}

/// One conversation so far.
#[derive(Debug, Default)]
pub struct LiveHistory {
    /// Answers in the first turn's own history: a greeting, or what was said before the log began.
    before: Option<usize>,
    /// What the last turn asked, as recorded.
    recorded: Vec<Message>,
    /// The same with this run's answers, and the last of them.
    said: Vec<Message>,
    answers: Vec<String>,
}

impl LiveHistory {
    /// What the next turn asks, when the log has `asked`: all of its messages, the recorded history
    /// included, or only what is new. What is asked otherwise goes to `swaps`.
    pub fn next(&mut self, asked: Vec<Message>, swaps: &mut Swaps) -> Vec<Message> {
        let before = *self.before.get_or_insert_with(|| answers_in(&asked));
        let is_longer = asked.len() > self.recorded.len() && asked.starts_with(&self.recorded);
        let asks = if self.answers.is_empty() || is_longer || answers_in(&asked) > 0 {
            with_answers(&asked, before, &self.answers, swaps)
        } else {
            let mut whole = std::mem::take(&mut self.said);
            whole.extend(asked.iter().cloned());
            swaps.live += 1;
            whole
        };
        self.recorded = asked;
        self.said.clone_from(&asks);
        asks
    }

    /// The turn was answered with `text` (content only, no reasoning).
    pub fn answered(&mut self, text: &str) {
        self.answers.push(text.to_owned());
        self.said.push(Message::text("assistant", text));
    }
}

/// Answers among messages.
pub(super) fn answers_in(messages: &[Message]) -> usize {
    messages.iter().filter(|message| message.role == "assistant").count()
}

/// Recorded messages in which the answers of this run stand for those that were recorded after the
/// first `before`, if there are as many.
pub(super) fn with_answers(
    messages: &[Message],
    before: usize,
    answers: &[String],
    swaps: &mut Swaps,
) -> Vec<Message> {
    if answers_in(messages) != before + answers.len() {
        let is_later = u64::from(!answers.is_empty());
        swaps.live += is_later;
        swaps.unmatched += is_later;
        return messages.to_vec();
    }
    if let Some(last) = answers.last() {
        swaps.live(messages.iter().rfind(|it| it.role == "assistant"), last);
    }
    let mut position = 0_usize;
    messages
        .iter()
        .map(|message| {
            if message.role != "assistant" {
                return message.clone();
            }
            position += 1;
            let live = position.checked_sub(before + 1).and_then(|place| answers.get(place));
            live.map_or_else(|| message.clone(), |live| in_place_of(message, live))
        })
        .collect()
}

/// An answer that says `text` in place of the recorded one. Its name stays; where nothing was said, or
/// the recorded answer calls tools, all of it does.
pub(super) fn in_place_of(recorded: &Message, text: &str) -> Message {
    if text.is_empty() || recorded.calls_tools() {
        return recorded.clone();
    }
    let mut answer = Message::text(&recorded.role, text);
    answer.more.extend(recorded.more.get_key_value("name").map(|(k, v)| (k.clone(), v.clone())));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<Message> {
        let message = |part: &str| {
            let (role, content) = part.split_once(':').expect("role:content");
            let role = if role == "a" { "assistant" } else { "user" };
            Message::text(role, content)
        };
        text.split_whitespace().map(message).collect()
    }

    #[test]
    fn recorded_answers_give_way_to_those_of_this_run() {
        let (mut history, mut swaps) = (LiveHistory::default(), Swaps::default());
        assert_eq!(history.next(messages("u:hi"), &mut swaps), messages("u:hi"));
        history.answered("live1");
        assert_eq!(
            history.next(messages("u:hi a:old1 u:so"), &mut swaps),
            messages("u:hi a:live1 u:so")
        );
        history.answered("live2");
        let third = history.next(messages("u:hi a:old1 u:so a:old2 u:and"), &mut swaps);
        assert_eq!(third, messages("u:hi a:live1 u:so a:live2 u:and"));
    }

    #[test]
    fn what_was_said_before_the_log_began_stays() {
        let (mut history, mut swaps) = (LiveHistory::default(), Swaps::default());
        history.next(messages("a:welcome u:hi"), &mut swaps);
        history.answered("live");
        assert_eq!(
            history.next(messages("a:welcome u:hi a:old u:so"), &mut swaps),
            messages("a:welcome u:hi a:live u:so")
        );
    }

    #[test]
    fn turns_that_say_only_what_is_new_follow_what_was_said_here() {
        let (mut history, mut swaps) = (LiveHistory::default(), Swaps::default());
        history.next(messages("u:hi"), &mut swaps);
        history.answered("live");
        assert_eq!(history.next(messages("u:so"), &mut swaps), messages("u:hi a:live u:so"));
        history.answered("more");
        assert_eq!(
            history.next(messages("u:x"), &mut swaps),
            messages("u:hi a:live u:so a:more u:x")
        );
    }

    #[test]
    fn a_history_that_does_not_match_is_asked_as_recorded() {
        let (mut history, mut swaps) = (LiveHistory::default(), Swaps::default());
        history.next(messages("u:hi"), &mut swaps);
        history.answered("live");
        let cut = messages("a:x u:y a:z u:so");
        assert_eq!(history.next(cut.clone(), &mut swaps), cut);
        assert_eq!((swaps.live, swaps.unmatched), (1, 1));
    }
}
