//! Rows → what a session says, turn by turn.
//!
//! In: rows of conversations, or rows that name their session. Out: one [`Script`] after the other.
//! Invariant: turns keep the order of their rows; memory holds one session. Rows of one session are
//! found together where they stand together, as all multi-turn formats write them.

use std::sync::Arc;

use crate::plan::workload::ConversationConfig;
use crate::request::Message;
use crate::workload::WorkloadError;
use crate::workload::dataset::{self, Dataset, Row, RowPrompt, Rows};
use crate::workload::synthetic::text::Texts;

/// What a session says.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// Its turns; at least one.
    pub turns: Vec<Turn>,
}

/// What one turn says.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What is said.
    pub says: Says,
    /// The recorded answer.
    pub answer: Option<Message>,
    /// Nanoseconds between the previous answer and this turn, where recorded.
    pub delay_ns: Option<u64>,
    /// When it was recorded, in nanoseconds from the trace's zero.
    pub timestamp_ns: Option<u64>,
    /// The row that it stands in.
    pub row: Arc<Row>,
}

/// What a turn says.
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// Messages that follow the session's history.
    More(Vec<Message>),
    /// All messages, the recorded history included.
    Whole(Vec<Message>),
}

/// Scripts from a dataset, one after the other; over and over with `cycle`.
pub struct Scripts {
    dataset: Dataset,
    texts: Texts,
    rows: Rows,
    /// The first row of the next session, read to see that the last one was over.
    next: Option<Arc<Row>>,
    cycle: bool,
    max_turns: usize,
    round: u64,
    found: u64,
}

impl Scripts {
    /// Scripts of `dataset`; `texts` makes the text of rows that have none.
    pub fn new(dataset: Dataset, texts: Texts, config: &ConversationConfig) -> Self {
        let max_turns = config.max_turns.unwrap_or(u64::MAX).max(1);
        Self {
            rows: dataset.rows(),
            dataset,
            texts,
            next: None,
            cycle: config.cycle,
            max_turns: usize::try_from(max_turns).unwrap_or(usize::MAX),
            round: 0,
            found: 0,
        }
    }

    /// The next script; `None` at the end.
    pub fn next_script(&mut self) -> Result<Option<Script>, WorkloadError> {
        let first = match self.next.take() {
            Some(row) => row,
            None => match self.rows.next().transpose()? {
                Some(row) => Arc::new(row),
                // A dataset without a single session would be gone round for ever.
                None if self.cycle && self.found > 0 => {
                    self.round += 1;
                    self.found = 0;
                    self.rows = self.dataset.rows();
                    return self.next_script();
                }
                None => return Ok(None),
            },
        };
        self.found += 1;
        let name = match &first.session {
            Some(session) => session.clone(),
            None => first.number.to_string(),
        };
        let mut turns = self.turns_of(&first, &[])?;
        let mut before = first;
        while before.session.is_some() {
            let Some(row) = self.rows.next().transpose()?.map(Arc::new) else { break };
            if row.session != before.session {
                self.next = Some(row);
                break;
            }
            // Past the limit rows are still read over, since they belong to this session.
            if turns.len() < self.max_turns {
                let said = before.ask().unwrap_or_default();
                turns.extend(self.turns_of(&row, &said)?);
            }
            before = row;
        }
        turns.truncate(self.max_turns);
        let name = if self.round == 0 { name } else { format!("{name}#{}", self.round + 1) };
        Ok(Some(Script { name, turns }))
    }

    /// The turns of a row; `said` is what the session's row before said in all.
    fn turns_of(&self, row: &Arc<Row>, said: &[Message]) -> Result<Vec<Turn>, WorkloadError> {
        let turn = |says, answer: Option<&Message>| Turn {
            says,
            answer: answer.cloned(),
            delay_ns: row.delay_ns,
            timestamp_ns: row.timestamp_ns,
            row: Arc::clone(row),
        };
        match &row.prompt {
            RowPrompt::Messages(messages) => {
                let is_alone = said.is_empty();
                let is_longer = messages.len() > said.len() && messages.starts_with(said);
                if is_alone && row.timestamp_ns.is_none() {
                    return Ok(split(messages, &turn));
                }
                let asked = row.ask().unwrap_or_default();
                let says =
                    if is_alone || is_longer { Says::Whole(asked) } else { Says::More(asked) };
                Ok(vec![turn(says, row.answer())])
            }
            RowPrompt::Text(_) | RowPrompt::Ids(_) => {
                Ok(vec![turn(Says::More(dataset::messages(row, &self.texts)?), None)])
            }
            // Lengths and blocks count the whole prompt, history included.
            _ => Ok(vec![turn(Says::Whole(dataset::messages(row, &self.texts)?), None)]),
        }
    }
}

/// A recorded conversation, cut where an answer follows. A greeting by the assistant belongs to the
/// first turn.
fn split(messages: &[Message], turn: &impl Fn(Says, Option<&Message>) -> Turn) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut says: Vec<Message> = Vec::new();
    for message in messages {
        let asks =
            says.iter().any(|said| matches!(said.role.as_str(), "user" | "tool" | "function"));
        if message.role == "assistant" && asks {
            turns.push(turn(Says::More(std::mem::take(&mut says)), Some(message)));
        } else {
            says.push(message.clone());
        }
    }
    if !says.is_empty() && (turns.is_empty() || says.iter().any(|said| said.role != "assistant")) {
        turns.push(turn(Says::More(says), None));
    }
    // Delay and time are those of the conversation's beginning.
    for turn in turns.iter_mut().skip(1) {
        turn.delay_ns = None;
        turn.timestamp_ns = None;
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::workload::{DatasetConfig, Uniqueness};
    use crate::workload::tokenizer::Tokenizer;

    fn scripts(name: &str, config: &ConversationConfig) -> Scripts {
        let path = format!("{}/datasets/samples/{name}", env!("CARGO_MANIFEST_DIR"));
        let dataset = Dataset::open(&DatasetConfig::of(path)).unwrap();
        let texts = Texts::new(1, "run", Uniqueness::PerRun, Tokenizer::Estimate);
        Scripts::new(dataset, texts, config)
    }

    fn all(name: &str) -> Vec<Script> {
        let mut scripts = scripts(name, &ConversationConfig::default());
        std::iter::from_fn(|| scripts.next_script().unwrap()).collect()
    }

    #[test]
    fn a_conversation_is_cut_into_turns_at_its_answers() {
        let scripts = all("sharegpt.json");
        assert_eq!(scripts.len(), 3);
        assert_eq!(scripts[0].name, "cooper-1");
        assert_eq!(scripts[0].turns.len(), 2);
        assert_eq!(scripts[0].turns[1].answer, Some(Message::text("assistant", "Mostly oak.")));
        match &scripts[1].turns[0].says {
            Says::More(messages) => assert_eq!(messages.len(), 2),
            Says::Whole(_) => panic!("a first turn has no history"),
        }
    }

    #[test]
    fn a_greeting_belongs_to_the_first_turn() {
        let scripts = all("chat-history.json");
        assert_eq!(scripts[1].turns.len(), 1);
        match &scripts[1].turns[0].says {
            Says::More(messages) => {
                let roles: Vec<&str> =
                    messages.iter().map(|message| message.role.as_str()).collect();
                assert_eq!(roles, ["system", "assistant", "user"]);
            }
            Says::Whole(_) => panic!("a first turn has no history"),
        }
    }

    #[test]
    fn rows_of_one_session_are_its_turns() {
        let scripts = all("mooncake-sessions.jsonl");
        assert_eq!(scripts.len(), 2);
        assert_eq!(scripts[0].turns.len(), 2);
        assert_eq!(scripts[0].turns[1].delay_ns, Some(1_500_000_000));
        assert!(matches!(scripts[0].turns[1].says, Says::More(_)));
        assert!(matches!(scripts[1].turns[0].says, Says::Whole(_)));
    }

    #[test]
    fn going_round_gives_sessions_new_names_and_a_limit_cuts_them() {
        let config =
            ConversationConfig { cycle: true, max_turns: Some(1), ..ConversationConfig::default() };
        let mut scripts = scripts("sharegpt.json", &config);
        let names: Vec<String> = (0..7)
            .map(|_| {
                let script = scripts.next_script().unwrap().unwrap();
                assert_eq!(script.turns.len(), 1);
                script.name
            })
            .collect();
        assert_eq!(names[3], "cooper-1#2");
        assert_eq!(names[6], "cooper-1#3");
    }
}
