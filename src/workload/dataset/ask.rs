//! Rows as requests.
//!
//! In: a [`Row`], and what the plan asks beside it. Out: a [`Request`]. Invariant: recorded text is
//! sent as it is; rows of lengths, blocks or token ids become text of exactly that length in which
//! equal blocks are equal text; a row without a prompt is an error that names its place.

use serde_json::{Map, json};

use super::indexed::IndexedDataset;
use super::row::{Blocks, DatasetError, Row, RowPrompt};
use crate::plan::LIMIT_NAMES;
use crate::plan::workload::OutputLimit;
use crate::request::{Message, Request, field_in, said_by_plan};
use crate::workload::synthetic::Ask;
use crate::workload::synthetic::text::{MOST_TOKENS, Texts, key_of};
use crate::workload::{Workload, WorkloadError};

/// The rows of a dataset, one request each, over and over.
pub struct DatasetWorkload {
    rows: IndexedDataset,
    texts: Texts,
    ask: Ask,
    limit: OutputLimit,
}

impl DatasetWorkload {
    /// Requests from `rows`; `texts` makes the text of rows that have none.
    pub fn new(rows: IndexedDataset, texts: Texts, ask: Ask, limit: OutputLimit) -> Self {
        Self { rows, texts, ask, limit }
    }

    /// Its rows.
    pub fn rows(&self) -> &IndexedDataset {
        &self.rows
    }

    /// The request of one row.
    pub fn request_of(&self, row: &Row, index: u64) -> Result<Request, WorkloadError> {
        request(row, index, &self.texts, &self.ask, self.limit)
    }
}

impl Workload for DatasetWorkload {
    fn request(&self, index: u64) -> Result<Request, WorkloadError> {
        let row = self.rows.cycled(index)?;
        self.request_of(&row, index)
    }
}

impl From<DatasetError> for WorkloadError {
    fn from(error: DatasetError) -> Self {
        Self(error.to_string())
    }
}

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
    let mut say = |name: &str, key: &str| left_out.push(said_by_plan(name, key));
    for (name, value) in &row.body {
        match name.as_str() {
            // What the plan says goes over what was recorded.
            _ if body.contains_key(name) => say(name, &format!("prompt.body.{name}")),
            "temperature" if temperature.is_some() => say(name, "prompt.temperature"),
            "temperature" if value.is_number() => temperature = value.as_f64(),
            "stream" if value.as_bool() == Some(ask.stream) => {}
            "stream" => say(name, "prompt.stream"),
            "stream_options" if *value == json!({"include_usage": true}) => {}
            // These the request has in places of their own.
            "messages"
            | "prompt"
            | "input"
            | "model"
            | "stream_options"
            | "max_tokens"
            | "max_completion_tokens"
            | "max_output_tokens" => say(name, "prompt"),
            _ => {
                recorded.insert(name.clone(), value.clone());
            }
        }
    }
    let instead = field_in(&body, |name, _| LIMIT_NAMES.contains(&name));
    if let (Some(_), Some(name)) = (row.max_tokens, &instead) {
        say("max_tokens", &format!("prompt.body.{name}"));
    }
    let max_tokens = match (limit, row.output_tokens) {
        (OutputLimit::Recorded, Some(tokens)) => {
            if !body.contains_key("ignore_eos") {
                recorded.insert("ignore_eos".into(), true.into());
            }
            Some(tokens)
        }
        (OutputLimit::Plan, _) => {
            let is_other = row.max_tokens.is_some_and(|tokens| ask.max_tokens != Some(tokens));
            if is_other && instead.is_none() {
                say("max_tokens", "prompt.dataset.output");
            }
            ask.max_tokens
        }
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

/// Fields of its request that are not sent where the plan's own texts are: all but those that the
/// templates read, as `is_read` says of a name.
pub fn unsaid(
    row: &Row,
    ask: &Ask,
    limit: OutputLimit,
    is_read: impl Fn(&str) -> bool,
) -> Vec<String> {
    let said = request_saying(Vec::new(), row, 0, ask, limit);
    let over = said.left_out.into_iter().skip(row.unsent().len());
    let more = said.recorded.keys().filter(|name| row.body.contains_key(*name));
    let temperature = (said.temperature != ask.temperature).then(|| "temperature".to_owned());
    let all = over.chain(more.cloned()).chain(temperature);
    all.filter(|name| !is_read(name.split(' ').next().unwrap_or_default())).collect()
}

/// The messages of a row; text is made where it has none.
pub fn messages(row: &Row, texts: &Texts) -> Result<Vec<Message>, WorkloadError> {
    if let Some(messages) = row.ask() {
        return Ok(messages);
    }
    let most = match &row.prompt {
        RowPrompt::Blocks(blocks) => blocks.tokens.max(blocks.block_tokens),
        _ => row.known_input_tokens().unwrap_or(0),
    };
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

/// Keys that mean the same text wherever the same id of the same scope stands.
fn keys(blocks: &Blocks) -> Vec<u64> {
    let scope = blocks.scope.as_deref().unwrap_or_default().as_bytes();
    blocks.ids.iter().map(|id| key_of(&[scope, &id.to_le_bytes()])).collect()
}
