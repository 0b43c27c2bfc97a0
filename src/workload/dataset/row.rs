//! One row of any dataset.
//!
//! In: what a format's file read. Out: [`Row`], the one type that the rest of the house sees.
//! Invariant: a row keeps what its file says and nothing else; what is missing is `None`, never a
//! guess.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::plan::printable::printable;
pub use crate::request::Place;
use crate::request::{Message, Words};

/// What a row asks.
#[derive(Debug, Clone, PartialEq)]
pub enum RowPrompt {
    /// Messages as recorded; a last `assistant` message is the recorded answer.
    Messages(Vec<Message>),
    /// A plain prompt.
    Text(String),
    /// Token ids, which are what the endpoint is to read.
    Ids(Vec<u64>),
    /// Messages whose text was replaced by token ids (role, ids): equal ids stand for equal text.
    TokenIds(Vec<(String, Vec<u64>)>),
    /// Only the number of its tokens is known.
    Length(u64),
    /// Only the number of its tokens and the ids of its blocks are known.
    Blocks(Blocks),
    /// Nothing: the fields are for a template.
    Fields,
}

/// A prompt known by the ids of its blocks: equal ids stand for equal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// Ids in prompt order.
    pub ids: Vec<u64>,
    /// Tokens in a block; the last may have fewer.
    pub block_tokens: u64,
    /// Tokens of the whole prompt.
    pub tokens: u64,
    /// Ids mean something only within this scope (a Weka session); everywhere when `None`.
    pub scope: Option<String>,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number in the dataset as it is read (what is left out is not counted), from 0.
    pub number: u64,
    /// Where it stands.
    pub place: Place,
    /// What it asks.
    pub prompt: RowPrompt,
    /// Upper bound of generated tokens that was asked for.
    pub max_tokens: Option<u64>,
    /// The name that the bound had in the row.
    pub max_tokens_field: Option<&'static str>,
    /// Tokens that were generated.
    pub output_tokens: Option<u64>,
    /// When it arrived, in nanoseconds from the trace's own zero (1970 for calendar stamps): only
    /// differences mean something.
    pub timestamp_ns: Option<u64>,
    /// Nanoseconds between the previous turn's answer and this turn.
    pub delay_ns: Option<u64>,
    /// Its session.
    pub session: Option<String>,
    /// Its own id.
    pub id: Option<String>,
    /// The model that was asked.
    pub model: Option<String>,
    /// Whether the trace marks it as failed.
    pub failed: bool,
    /// Fields of the recorded request body beside messages, model, stream and token limits: `tools`,
    /// `stop`, …
    pub body: Map<String, Value>,
    /// The words in which messages and these fields are written.
    pub words: Words,
    /// Fields of the row that belong to no request, by name.
    pub left_out: Vec<String>,
    /// The row as it stands in the file, for `row` in templates. Recorded URLs and headers stay
    /// here: where a request goes is the plan's alone to say.
    pub fields: Value,
}

impl Row {
    /// A row that asks `prompt`; everything else is unknown.
    pub(in crate::workload) fn new(prompt: RowPrompt) -> Self {
        Self {
            number: 0,
            place: Place { file: Arc::from(Path::new("")), line: 0 },
            prompt,
            max_tokens: None,
            max_tokens_field: None,
            output_tokens: None,
            timestamp_ns: None,
            delay_ns: None,
            session: None,
            id: None,
            model: None,
            failed: false,
            body: Map::new(),
            words: Words::default(),
            left_out: Vec::new(),
            fields: Value::Null,
        }
    }

    /// The messages to send: everything up to the last that is not the recorded answer. `None`
    /// for rows without text.
    pub fn ask(&self) -> Option<Vec<Message>> {
        match &self.prompt {
            RowPrompt::Messages(messages) => Some(self.asked(messages).to_vec()),
            RowPrompt::Text(text) => Some(vec![Message::text("user", text)]),
            RowPrompt::Ids(ids) => Some(vec![Message::ids(ids.clone())]),
            _ => None,
        }
    }

    /// Tokens of the messages to send, by `count`; `None` for rows without text.
    pub fn count_input(&self, count: impl Fn(&str) -> u64) -> Option<u64> {
        match &self.prompt {
            RowPrompt::Messages(messages) => {
                Some(self.asked(messages).iter().flat_map(Message::texts).map(count).sum())
            }
            RowPrompt::Text(text) => Some(count(text)),
            _ => None,
        }
    }

    /// The recorded answer, when the messages end with one.
    pub fn answer(&self) -> Option<&Message> {
        match &self.prompt {
            RowPrompt::Messages(messages) => messages[self.asked(messages).len()..].last(),
            _ => None,
        }
    }

    /// Messages of token ids (role, ids) to send; none where its prompt is another.
    pub fn asked_ids(&self) -> &[(String, Vec<u64>)] {
        match &self.prompt {
            RowPrompt::TokenIds(messages) => without_answer(messages, |(role, _)| role),
            _ => &[],
        }
    }

    /// Who speaks in its recorded messages, each once.
    pub fn roles(&self) -> BTreeSet<&str> {
        match &self.prompt {
            RowPrompt::Messages(messages) => messages.iter().map(|it| it.role.as_str()).collect(),
            RowPrompt::TokenIds(messages) => {
                messages.iter().map(|(role, _)| role.as_str()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Notes that a part of it is not sent, by name.
    pub(super) fn leave_out(&mut self, name: &str) {
        if !self.left_out.iter().any(|known| known == name) {
            self.left_out.push(name.to_owned());
        }
    }

    /// What of it is sent under no plan, by name: fields that belong to no request, and the recorded
    /// answer.
    pub fn unsent(&self) -> Vec<String> {
        let has_answer = match &self.prompt {
            RowPrompt::TokenIds(messages) => self.asked_ids().len() < messages.len(),
            _ => self.answer().is_some(),
        };
        let answer = has_answer.then(|| RECORDED_ANSWER.to_owned());
        self.left_out.iter().cloned().chain(answer).collect()
    }

    /// Takes a field of its request. Of two that differ the first is sent, and the other is not.
    pub(super) fn request_field(&mut self, name: &str, value: &Value) {
        match self.body.get(name) {
            None => drop(self.body.insert(name.to_owned(), value.clone())),
            Some(known) if known == value => {}
            Some(_) => self.leave_out(name),
        }
    }

    /// Notes the bound that a body asks for.
    pub(super) fn limit(&mut self, found: Option<(u64, &'static str)>) {
        (self.max_tokens, self.max_tokens_field) = found.unzip();
    }

    fn asked<'m>(&self, messages: &'m [Message]) -> &'m [Message] {
        if self.goes_on() { messages } else { without_answer(messages, |message| &message.role) }
    }

    /// Whether the row asks that its last answer be gone on with, so that it is part of the prompt.
    pub fn goes_on(&self) -> bool {
        let says = |fields: &Map<String, Value>, name| fields.get(name) == Some(&Value::Bool(true));
        says(&self.body, "continue_final_message")
            || matches!(&self.prompt, RowPrompt::Messages(messages)
                if messages.last().is_some_and(|last| says(&last.more, "prefix")))
    }

    /// Whether it has nothing but recorded answers, which nobody asked for.
    pub(super) fn is_answer_alone(&self) -> bool {
        match &self.prompt {
            RowPrompt::Messages(messages) => self.asked(messages).is_empty(),
            RowPrompt::TokenIds(_) => self.asked_ids().is_empty(),
            _ => false,
        }
    }

    /// What the bound is called that the row asked for.
    pub fn limit_name(&self) -> &'static str {
        self.max_tokens_field.unwrap_or("max_tokens")
    }

    /// Tokens to ask for at most: what was asked for, else what was generated.
    pub fn token_limit(&self) -> Option<u64> {
        self.max_tokens.or(self.output_tokens)
    }

    /// Prompt tokens as far as the row itself knows them; text has to be counted.
    pub fn known_input_tokens(&self) -> Option<u64> {
        match &self.prompt {
            RowPrompt::Length(tokens) => Some(*tokens),
            RowPrompt::Blocks(blocks) => Some(blocks.tokens),
            RowPrompt::Ids(ids) => Some(ids.len() as u64),
            RowPrompt::TokenIds(_) => {
                Some(self.asked_ids().iter().map(|(_, ids)| ids.len() as u64).sum())
            }
            RowPrompt::Messages(_) | RowPrompt::Text(_) | RowPrompt::Fields => None,
        }
    }
}

/// What recorded answers at the ends of rows are called among what is not sent.
const RECORDED_ANSWER: &str = "recorded answers";

/// Messages without the recorded answer; none when there is nothing but answers.
fn without_answer<M>(messages: &[M], role: impl Fn(&M) -> &str) -> &[M] {
    let last = messages.iter().rposition(|message| role(message) != "assistant");
    last.map_or(&[], |last| &messages[..=last])
}

/// What a row was expected to be, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What was expected.
    pub expected: String,
    /// What was found, in a few words.
    pub found: String,
}

impl Expected {
    /// Expected one thing, found another. What stands in a file is shown and never obeyed.
    pub(super) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        let shown = |text: String| printable(&text).into_owned();
        Self { expected: shown(expected.into()), found: shown(found.into()) }
    }
}

/// A row that is not what its format promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found {found}")]
pub struct Malformed {
    /// Where.
    pub place: Place,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Malformed {
    /// Whether it is a row that asks nothing.
    pub fn lacks_prompt(&self) -> bool {
        self.expected == A_PROMPT
    }
}

/// What a row that is asked as it is must have.
pub(super) const A_PROMPT: &str =
    "a prompt of its own (messages, a text, token ids, blocks or a length)";

/// Why a dataset can't be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file can't be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No file has this name, or none matches this pattern.
    #[error("{pattern}: no such file")]
    NoFile {
        /// As written in the plan.
        pattern: String,
    },
    /// A pattern that is none.
    #[error("{pattern}: not a pattern: {reason}")]
    Pattern {
        /// As written in the plan.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder, pipe or device.
    #[error("{}: not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// A file outside the plan's root.
    #[error("{}: lies outside of {}", path.display(), root.display())]
    Outside {
        /// The file, links followed.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// A file of a kind that is not read.
    #[error("{}: this is {what}; {help}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What it is, with its article.
        what: String,
        /// What to do.
        help: String,
    },
    /// A malformed row under the policy `error`.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Nothing can be read past a place, whatever the policy.
    #[error("{place}: {reason}")]
    Broken {
        /// Where.
        place: Place,
        /// Why.
        reason: String,
    },
    /// A file in random order of which much must be read for each row.
    #[error(
        "{}: a packed file (or a row group of Parquet) of this size can't be read in random order; unpack it (`runner dataset convert` writes plain rows), or remove `order: shuffle`",
        path.display()
    )]
    Shuffled {
        /// The file.
        path: PathBuf,
    },
    /// There is no row at all.
    #[error("{}: the dataset has no rows{}", path.display(), hint)]
    Empty {
        /// The first file.
        path: PathBuf,
        /// What was left out, if anything was.
        hint: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: &str, content: &str) -> Message {
        Message::text(role, content)
    }

    #[test]
    fn a_last_assistant_message_is_the_answer_and_not_sent() {
        let row = Row::new(RowPrompt::Messages(vec![
            message("user", "q1"),
            message("assistant", "a1"),
            message("user", "q2"),
            message("assistant", "a2"),
        ]));
        assert_eq!(row.ask().unwrap().len(), 3);
        assert_eq!(row.answer(), Some(&message("assistant", "a2")));
    }

    #[test]
    fn messages_without_an_answer_are_sent_whole() {
        let row = Row::new(RowPrompt::Messages(vec![message("user", "q1")]));
        assert_eq!(row.ask().unwrap().len(), 1);
        assert_eq!(row.answer(), None);
    }
}
