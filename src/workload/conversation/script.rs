//! Rows → what a session says, turn by turn.
//!
//! In: rows of conversations, or rows that name their session. Out: one [`Script`] after the other.
//! Invariant: turns keep the order of their rows, wherever in the dataset those stand; memory holds one
//! session, and the numbers of the rows.

use std::sync::Arc;

use super::live::answers_in;
use crate::plan::workload::ConversationConfig;
use crate::request::Message;
use crate::workload::WorkloadError;
use crate::workload::dataset::{self, Dataset, IndexedDataset, Row, RowPrompt};
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
    rows: IndexedDataset,
    /// Numbers of its rows, those of one session together.
    order: Arc<[u64]>,
    /// The place of the next session's first row in `order`.
    next: usize,
    texts: Texts,
    cycle: bool,
    max_turns: usize,
    round: u64,
}

impl Scripts {
    /// Scripts of `dataset`, whose rows are asked in `order`: session after session (see
    /// [`dataset::Timeline::by_session`]); `texts` makes the text of rows that have none.
    pub fn new(
        dataset: Dataset,
        order: Arc<[u64]>,
        texts: Texts,
        config: &ConversationConfig,
    ) -> Self {
        let max_turns = config.max_turns.unwrap_or(u64::MAX).max(1);
        Self {
            rows: dataset.indexed(),
            order,
            next: 0,
            texts,
            cycle: config.cycle,
            max_turns: usize::try_from(max_turns).unwrap_or(usize::MAX),
            round: 0,
        }
    }

    /// The next script; `None` at the end.
    pub fn next_script(&mut self) -> Result<Option<Script>, WorkloadError> {
        if self.next == self.order.len() && self.cycle {
            self.round += 1;
            self.next = 0;
        }
        let Some(first) = self.row()? else { return Ok(None) };
        self.next += 1;
        let name = first.session.clone().unwrap_or_else(|| first.number.to_string());
        let mut turns = self.turns_of(&first, &[])?;
        let mut before = first;
        while before.session.is_some() {
            let Some(row) = self.row()?.filter(|row| row.session == before.session) else { break };
            self.next += 1;
            // Past the limit rows are still passed over, since they belong to this session.
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

    /// The row that comes next.
    fn row(&self) -> Result<Option<Arc<Row>>, WorkloadError> {
        let Some(number) = self.order.get(self.next) else { return Ok(None) };
        Ok(self.rows.row(*number)?)
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
                // One that is to go on with its last answer is one request, as it is anywhere else.
                if is_alone && row.timestamp_ns.is_none() && !row.goes_on() {
                    return Ok(split(messages, row, &turn));
                }
                let asked = row.ask().unwrap_or_default();
                // A row with answers of its own tells the history itself, however it was changed.
                let is_whole = is_alone || is_longer || answers_in(&asked) > 0;
                let says = if is_whole { Says::Whole(asked) } else { Says::More(asked) };
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
fn split(
    messages: &[Message],
    row: &Arc<Row>,
    turn: &impl Fn(Says, Option<&Message>) -> Turn,
) -> Vec<Turn> {
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
    if turns.is_empty() {
        turns.push(turn(Says::More(row.ask().unwrap_or_default()), row.answer()));
    } else if says.iter().any(|said| said.role != "assistant") {
        turns.push(turn(Says::More(says), None));
    }
    // What the row says was generated is its last answer, and no earlier one.
    if let Some((_, earlier)) = turns.split_last_mut().filter(|_| row.output_tokens.is_some()) {
        let of_unknown_length = Arc::new(Row { output_tokens: None, ..row.as_ref().clone() });
        for turn in earlier {
            turn.row = Arc::clone(&of_unknown_length);
        }
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
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::workload::{DatasetConfig, Uniqueness};
    use crate::workload::dataset::Timeline;
    use crate::workload::tokenizer::Tokenizer;

    fn scripts(name: &str, config: &ConversationConfig) -> Scripts {
        scripts_of(format!("{}/datasets/samples/{name}", env!("CARGO_MANIFEST_DIR")), config)
    }

    fn scripts_of(path: String, config: &ConversationConfig) -> Scripts {
        let dataset = Dataset::open(&DatasetConfig::of(path)).unwrap();
        let texts = Texts::new(1, "run", Uniqueness::PerRun, Tokenizer::Estimate);
        let order = Timeline::read(&dataset, |_| true).unwrap().by_session();
        Scripts::new(dataset, order, texts, config)
    }

    /// Whether a turn is whole, and its texts.
    type Said = (bool, Vec<String>);

    /// What the sessions of these rows say, turn by turn.
    fn said(rows: &[Value]) -> Vec<(String, Vec<Said>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let mut scripts = scripts_of(path, &ConversationConfig::default());
        let turn = |turn: &Turn| {
            let (is_whole, messages) = match &turn.says {
                Says::More(messages) => (false, messages),
                Says::Whole(messages) => (true, messages),
            };
            (is_whole, messages.iter().map(Message::said).collect())
        };
        std::iter::from_fn(|| scripts.next_script().unwrap())
            .map(|script| (script.name, script.turns.iter().map(turn).collect()))
            .collect()
    }

    #[test]
    fn rows_of_one_session_are_its_turns_wherever_they_stand() {
        let row = |session: &str, text: &str| json!({"session": session, "prompt": text});
        let rows = [row("a", "a1"), row("b", "b1"), json!({"prompt": "c1"}), row("a", "a2")];
        let turn = |text: &str| (false, vec![text.to_owned()]);
        assert_eq!(
            said(&rows),
            [
                ("a".to_owned(), vec![turn("a1"), turn("a2")]),
                ("b".to_owned(), vec![turn("b1")]),
                ("2".to_owned(), vec![turn("c1")]),
            ]
        );
    }

    #[test]
    fn a_row_with_answers_of_its_own_is_asked_whole_however_its_history_was_changed() {
        let message = |role: &str, text: &str| json!({"role": role, "content": text});
        let row = |messages: Value| json!({"session": "a", "messages": messages});
        let rows = [
            row(json!([message("system", "S"), message("user", "u1")])),
            row(json!([
                message("system", "T"),
                message("user", "u1"),
                message("assistant", "x"),
                message("user", "u2")
            ])),
            row(json!([message("user", "u3")])),
        ];
        let all = said(&rows);
        let turn = |is_whole, texts: &[&str]| {
            (is_whole, texts.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(all[0].1[1..], [turn(true, &["T", "u1", "x", "u2"]), turn(false, &["u3"])]);
    }

    #[test]
    fn an_answer_that_is_to_be_gone_on_with_is_asked() {
        let mut last = json!({"role": "assistant", "content": "It is"});
        let first = json!({"role": "user", "content": "Which tide?"});
        let told = json!({"messages": [first, last], "continue_final_message": true});
        last["prefix"] = json!(true);
        for row in [told, json!({"messages": [first, last]})] {
            let texts = vec!["Which tide?".to_owned(), "It is".to_owned()];
            assert_eq!(said(&[row]), [("0".to_owned(), vec![(true, texts)])]);
        }
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
