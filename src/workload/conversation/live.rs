//! The history of a recorded conversation, with the answers of this run in place of the recorded ones.
//!
//! In: what a log says was asked, turn by turn, and what was answered here. Out: what to ask here.
//! Invariant: a message of a user is never changed, and neither is an answer that calls tools, since the
//! results that follow name its calls; where the recorded history can't be matched with the answers, it
//! is asked as it was recorded.

use crate::request::Message;

/// One conversation so far.
#[derive(Debug, Default)]
pub struct LiveHistory {
    /// Answers in the first turn's own history: a greeting, or what was said before the log began.
    before: Option<usize>,
    /// What the last turn asked, as recorded.
    recorded: Vec<Message>,
    /// The same with this run's answers, and the last of them.
    said: Vec<Message>,
    answers: Vec<Message>,
}

impl LiveHistory {
    /// What the next turn asks, when the log has `asked`: all of its messages, the recorded history
    /// included, or only what is new.
    pub fn next(&mut self, asked: Vec<Message>) -> Vec<Message> {
        let before = *self.before.get_or_insert_with(|| answers_in(&asked));
        let is_longer = asked.len() > self.recorded.len() && asked.starts_with(&self.recorded);
        let asks = if self.answers.is_empty() || is_longer || answers_in(&asked) > 0 {
            with_answers(&asked, before, &self.answers)
        } else {
            let mut whole = std::mem::take(&mut self.said);
            whole.extend(asked.iter().cloned());
            whole
        };
        self.recorded = asked;
        self.said.clone_from(&asks);
        asks
    }

    /// The turn was answered with `text` (content only, no reasoning).
    pub fn answered(&mut self, text: &str) {
        let answer = Message::text("assistant", text);
        self.answers.push(answer.clone());
        self.said.push(answer);
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
    answers: &[Message],
) -> Vec<Message> {
    if answers_in(messages) != before + answers.len() {
        return messages.to_vec();
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
            live.map_or_else(|| message.clone(), |live| in_place_of(message, &live.said()))
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
        let mut history = LiveHistory::default();
        assert_eq!(history.next(messages("u:hi")), messages("u:hi"));
        history.answered("live1");
        assert_eq!(history.next(messages("u:hi a:old1 u:so")), messages("u:hi a:live1 u:so"));
        history.answered("live2");
        let third = history.next(messages("u:hi a:old1 u:so a:old2 u:and"));
        assert_eq!(third, messages("u:hi a:live1 u:so a:live2 u:and"));
    }

    #[test]
    fn what_was_said_before_the_log_began_stays() {
        let mut history = LiveHistory::default();
        history.next(messages("a:welcome u:hi"));
        history.answered("live");
        assert_eq!(
            history.next(messages("a:welcome u:hi a:old u:so")),
            messages("a:welcome u:hi a:live u:so")
        );
    }

    #[test]
    fn turns_that_say_only_what_is_new_follow_what_was_said_here() {
        let mut history = LiveHistory::default();
        history.next(messages("u:hi"));
        history.answered("live");
        assert_eq!(history.next(messages("u:so")), messages("u:hi a:live u:so"));
        history.answered("more");
        assert_eq!(history.next(messages("u:x")), messages("u:hi a:live u:so a:more u:x"));
    }

    #[test]
    fn a_history_that_does_not_match_is_asked_as_recorded() {
        let mut history = LiveHistory::default();
        history.next(messages("u:hi"));
        history.answered("live");
        let cut = messages("a:x u:y a:z u:so");
        assert_eq!(history.next(cut.clone()), cut);
    }
}
