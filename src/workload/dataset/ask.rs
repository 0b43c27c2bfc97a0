//! Rows as requests.
//!
//! In: a [`Row`], and what the plan asks beside it. Out: a [`Request`]. Invariant: recorded text is
//! sent as it is; rows of lengths, blocks or token ids become text of exactly that length in which
//! equal blocks are equal text; a row without a prompt is an error that names its place.

use serde_json::{Map, json};

use super::row::{Blocks, DatasetError, Row, RowPrompt};
use crate::plan::LIMIT_NAMES;
use crate::plan::workload::OutputLimit;
use crate::request::{Message, Request, field_in, said_by_plan};
use crate::workload::WorkloadError;
use crate::workload::synthetic::Ask;
use crate::workload::synthetic::text::{MOST_TOKENS, Texts, key_of};

impl From<DatasetError> for WorkloadError {
    fn from(error: DatasetError) -> Self {
        Self(error.to_string())
    }
}

/// Fields of a request that a row has as parts of its own.
const ELSEWHERE: [&str; 7] = [
    "messages",
    "prompt",
    "input",
    "model",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
];

/// The request of a row, as number `index` of its stage.
pub fn request(
    row: &Row,
    index: u64,
    texts: &Texts,
    ask: &Ask,
    limit: OutputLimit,
) -> Result<Request, WorkloadError> {
    Ok(request_saying(messages(row, texts)?, row, index, ask, limit))
}

/// A request with these messages and everything else as the row and the plan say.
pub fn request_saying(
    messages: Vec<Message>,
    row: &Row,
    index: u64,
    ask: &Ask,
    limit: OutputLimit,
) -> Request {
    let body = ask.body.clone();
    let mut temperature = ask.temperature;
    let mut recorded = Map::new();
    let mut left_out = row.unsent();
    let mut unsaid = |what: String| left_out.push(what);
    for (name, value) in &row.body {
        match name.as_str() {
            // What the plan says goes over what was recorded.
            _ if body.get(name) == Some(value) => {}
            _ if body.contains_key(name) => {
                unsaid(said_by_plan(name, &format!("prompt.body.{name}")));
            }
            "temperature" if temperature.is_some() && temperature == value.as_f64() => {}
            "temperature" if temperature.is_some() => {
                unsaid(said_by_plan(name, "prompt.temperature"));
            }
            "temperature" if value.is_number() => temperature = value.as_f64(),
            // Whether it is sent depends on the API.
            "stream" => {}
            "stream_options" if *value == json!({"include_usage": true}) => {}
            "stream_options" => unsaid(format!("{name} (usage is asked for by default)")),
            // The request has them from another place of the row.
            _ if ELSEWHERE.contains(&name.as_str()) => unsaid(name.clone()),
            _ => {
                recorded.insert(name.clone(), value.clone());
            }
        }
    }
    let instead = field_in(&body, |name, _| LIMIT_NAMES.contains(&name));
    if let (Some(_), Some(name)) = (row.max_tokens, &instead) {
        unsaid(said_by_plan(row.limit_name(), &format!("prompt.body.{name}")));
    }
    let max_tokens = match (limit, row.output_tokens) {
        (OutputLimit::Recorded, Some(tokens)) => {
            if !body.contains_key("ignore_eos") {
                recorded.insert("ignore_eos".into(), true.into());
            }
            Some(tokens)
        }
        (OutputLimit::Plan, _) => ask.max_tokens,
        (OutputLimit::Numbers | OutputLimit::Row | OutputLimit::Recorded, _) => {
            row.token_limit().or(ask.max_tokens)
        }
    };
    Request {
        index,
        messages,
        // No server generates nothing.
        max_tokens: max_tokens.map(|tokens| tokens.max(1)),
        temperature,
        stream: ask.stream,
        session: row.session.clone(),
        words: row.words,
        recorded,
        body,
        row: Some(row.place.clone()),
        left_out,
        ..Request::default()
    }
}

/// Fields of its request that are not sent where the plan's own texts are, whatever those say.
pub fn unsaid(row: &Row, ask: &Ask, limit: OutputLimit) -> Vec<String> {
    let said = request_saying(Vec::new(), row, 0, ask, limit);
    let over = said.left_out.into_iter().skip(row.unsent().len());
    let more = said.recorded.keys().filter(|name| row.body.contains_key(*name));
    let temperature = (said.temperature != ask.temperature).then(|| "temperature".to_owned());
    over.chain(more.cloned()).chain(temperature).collect()
}

/// The messages of a row; text is made where it has none.
pub fn messages(row: &Row, texts: &Texts) -> Result<Vec<Message>, WorkloadError> {
    if let Some(messages) = row.ask() {
        return Ok(messages);
    }
    let most = made_tokens(row);
    if most > MOST_TOKENS {
        return Err(WorkloadError(format!(
            "{}: the row asks for {most} tokens; at most {MOST_TOKENS} can be made",
            row.place
        )));
    }
    let user = |content: String| vec![Message::text("user", content)];
    Ok(match &row.prompt {
        RowPrompt::Length(tokens) => user(texts.piece("row", row.number, (*tokens).max(1))),
        RowPrompt::Blocks(blocks) => user(texts.from_blocks(
            &keys(blocks),
            blocks.block_tokens,
            blocks.tokens.max(1),
            row.number,
        )),
        RowPrompt::TokenIds(_) => {
            let asked = row.asked_ids().iter();
            asked.map(|(role, ids)| Message::text(role, texts.from_ids(ids))).collect()
        }
        RowPrompt::Messages(_) | RowPrompt::Text(_) | RowPrompt::Ids(_) | RowPrompt::Fields => {
            return Err(WorkloadError(format!(
                "{}: the row has no prompt of its own; say in `prompt:` how its fields make one",
                row.place
            )));
        }
    })
}

/// The tokens of which text is made for a row, at least.
fn made_tokens(row: &Row) -> u64 {
    match &row.prompt {
        RowPrompt::Blocks(blocks) => blocks.tokens.max(blocks.block_tokens),
        _ => row.known_input_tokens().unwrap_or(0),
    }
}

/// The row with a word in place of each text that is made of its lengths, to see whether it can be asked
/// and not how long that takes.
pub fn shortened(mut row: Row) -> Row {
    if made_tokens(&row) <= MOST_TOKENS {
        match &mut row.prompt {
            RowPrompt::Length(_) | RowPrompt::Blocks(_) => row.prompt = RowPrompt::Length(1),
            RowPrompt::TokenIds(messages) => {
                for (_, ids) in messages {
                    ids.truncate(1);
                }
            }
            RowPrompt::Messages(_) | RowPrompt::Text(_) | RowPrompt::Ids(_) | RowPrompt::Fields => {
            }
        }
    }
    row
}

/// Keys that mean the same text wherever the same id of the same scope stands.
fn keys(blocks: &Blocks) -> Vec<u64> {
    let scope = blocks.scope.as_deref().unwrap_or_default().as_bytes();
    blocks.ids.iter().map(|id| key_of(&[scope, &id.to_le_bytes()])).collect()
}
