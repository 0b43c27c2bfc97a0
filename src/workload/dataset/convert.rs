//! Rows of any format → files that this and other tools read.
//!
//! In: a [`Dataset`]. Out: our JSONL (`OpenAI` messages with session and time), `ShareGPT` or
//! Mooncake. Invariant: rows are written as they are read, never held; what the target can't say
//! is an error that names the row, never a guess; our JSONL is read back the same.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Dataset;
use super::row::{Blocks, DatasetError, Row, RowPrompt};
use crate::request::{Message, Request, Words};

/// What a dataset is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvertTo {
    /// One object per line: messages (or lengths, blocks), session, time, limits.
    OpenaiMessages,
    /// `[{id, conversations: [{from, value}]}]`.
    ShareGpt,
    /// `{timestamp, input_length, output_length, hash_ids}` per line.
    Mooncake,
}

/// Why a dataset can't be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// It can't be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The output can't be written.
    #[error("can't write the output: {0}")]
    Output(#[from] io::Error),
    /// A row that the target has no words for.
    #[error("{place}: {reason}")]
    Row {
        /// Where the row stands.
        place: String,
        /// What is missing.
        reason: String,
    },
}

/// Says a request in the words of chat completions, or why they have no form for it.
pub type InChatWords = dyn Fn(&Request) -> Result<Request, String>;

/// Characters of a Mooncake block: text is measured at four characters per token.
const BLOCK_CHARS: u64 = super::mooncake::BLOCK_TOKENS * 4;

/// Writes every row; returns how many, and how many malformed ones were left out. What of rows the
/// target has no words for is counted among what is left out of the dataset. Our own lines are in the
/// words of chats: rows in others are told by `translate`.
pub fn convert(
    dataset: &Dataset,
    to: ConvertTo,
    translate: &InChatWords,
    out: &mut impl Write,
) -> Result<(u64, u64), ConvertError> {
    let mut rows = dataset.rows();
    let mut first_ns = None;
    let mut number = 0_u64;
    if to == ConvertTo::ShareGpt {
        out.write_all(b"[")?;
    }
    for row in rows.by_ref() {
        let row = row?;
        dataset.count_left_out(row.number, &lost(&row, to));
        let value = match to {
            ConvertTo::OpenaiMessages => own(&in_chat_words(row, translate)?),
            ConvertTo::ShareGpt => sharegpt(&row, number)?,
            ConvertTo::Mooncake => {
                let start = *first_ns.get_or_insert(row.timestamp_ns.unwrap_or(0));
                mooncake(&row, start)?
            }
        };
        if to == ConvertTo::ShareGpt {
            out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
        }
        serde_json::to_writer(&mut *out, &value).map_err(io::Error::from)?;
        if to != ConvertTo::ShareGpt {
            out.write_all(b"\n")?;
        }
        number += 1;
    }
    if to == ConvertTo::ShareGpt {
        out.write_all(b"\n]\n")?;
    }
    Ok((number, rows.counts().malformed))
}

/// What of a row the target has no words for, by name. A trace is one of lengths by its nature.
fn lost(row: &Row, to: ConvertTo) -> Vec<String> {
    let own = row.left_out.iter();
    let all = own.clone().chain(row.body.keys()).cloned();
    let limit = row.limit_name();
    // The length of a trace is the limit, where there is one.
    let is_other = row.output_tokens.is_some() && row.output_tokens != row.token_limit();
    let (has_limit, has_length) = (row.max_tokens.is_some(), row.output_tokens.is_some());
    let has_both = row.id.is_some() && row.session.is_some() && row.id != row.session;
    let parts = match to {
        ConvertTo::OpenaiMessages => {
            // Our own lines say everything as chats do.
            let words = (row.words != Words::Chat)
                .then(|| "that it is in the words of the responses API".to_owned());
            return own.filter(|name| !is_kept(row, name)).cloned().chain(words).collect();
        }
        ConvertTo::ShareGpt => vec![
            (limit, has_limit),
            ("output_tokens", has_length),
            ("timestamp", row.timestamp_ns.is_some()),
            ("delay", row.delay_ns.is_some()),
            ("session", has_both),
        ],
        ConvertTo::Mooncake => vec![("output_tokens", is_other), ("id", row.id.is_some())],
    };
    let about = [("model", row.model.is_some()), ("failed", row.failed)];
    let parts = parts.into_iter().chain(about).filter(|(_, is_there)| *is_there);
    all.chain(parts.map(|(name, _)| name.to_owned())).collect()
}

/// Whether our own lines have room for what was left out under a name: it must not be read as more than
/// it was.
fn is_kept(row: &Row, name: &str) -> bool {
    let means_more = match name {
        "messages" => true,
        "body" => !row.body.is_empty(),
        "timestamp" | "timestamp_ns" => row.timestamp_ns.is_none(),
        "delay_ns" => row.delay_ns.is_none(),
        _ => false,
    };
    !means_more && row.fields.get(name).is_some()
}

fn refuse(row: &Row, reason: impl Into<String>) -> ConvertError {
    ConvertError::Row { place: row.place.to_string(), reason: reason.into() }
}

/// The row in the words of chat completions, all of it.
fn in_chat_words(row: Row, translate: &InChatWords) -> Result<Row, ConvertError> {
    let RowPrompt::Messages(messages) = &row.prompt else { return Ok(row) };
    if row.words == Words::Chat {
        return Ok(row);
    }
    let (messages, recorded) = (messages.clone(), row.body.clone());
    let own = Request { messages, recorded, words: row.words, ..Request::default() };
    let chat = translate(&own).map_err(|why| refuse(&row, why))?;
    Ok(Row { prompt: RowPrompt::Messages(chat.messages), body: chat.recorded, ..row })
}

fn put<T: Into<Value>>(object: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}

/// A row in our own words.
fn own(row: &Row) -> Value {
    // Fields for templates stay as they were; nothing else is known about such a row.
    if let (RowPrompt::Fields, Value::Object(_)) = (&row.prompt, &row.fields) {
        return row.fields.clone();
    }
    let mut object = Map::new();
    put(&mut object, "id", row.id.as_deref());
    put(&mut object, "session", row.session.as_deref());
    put(&mut object, "timestamp_ns", row.timestamp_ns);
    put(&mut object, "delay_ns", row.delay_ns);
    put(&mut object, "model", row.model.as_deref());
    match &row.prompt {
        RowPrompt::Messages(messages) => put(&mut object, "messages", Some(json!(messages))),
        RowPrompt::Ids(ids) => put(&mut object, "prompt", Some(ids.clone())),
        RowPrompt::Text(text) => put(&mut object, "prompt", Some(text.as_str())),
        RowPrompt::TokenIds(messages) => {
            let messages: Value =
                messages.iter().map(|(role, ids)| json!({"role": role, "content": ids})).collect();
            object.insert("messages".into(), messages);
        }
        RowPrompt::Length(tokens) => put(&mut object, "input_tokens", Some(*tokens)),
        RowPrompt::Blocks(blocks) => {
            put(&mut object, "input_tokens", Some(blocks.tokens));
            put(&mut object, "hash_ids", Some(blocks.ids.clone()));
            put(&mut object, "block_size", Some(blocks.block_tokens));
            put(&mut object, "hash_scope", blocks.scope.as_deref());
        }
        RowPrompt::Fields => {}
    }
    put(&mut object, row.limit_name(), row.max_tokens);
    put(&mut object, "output_tokens", row.output_tokens);
    put(&mut object, "failed", row.failed.then_some(true));
    // What is about the row and belongs to no request stays with it.
    for name in row.left_out.iter().filter(|name| is_kept(row, name)) {
        put(&mut object, name, row.fields.get(name).cloned());
    }
    put(&mut object, "body", (!row.body.is_empty()).then(|| row.body.clone()));
    Value::Object(object)
}

fn sharegpt(row: &Row, number: u64) -> Result<Value, ConvertError> {
    let messages = match &row.prompt {
        RowPrompt::Messages(messages) => messages.clone(),
        RowPrompt::Text(text) => vec![Message::text("user", text)],
        _ => return Err(refuse(row, "has no text, and ShareGPT holds nothing else")),
    };
    let turns = messages
        .into_iter()
        .map(|message| {
            let text = message.only_text().ok_or_else(|| {
                refuse(row, "has more than text in a message, and ShareGPT holds nothing else")
            })?;
            let from = match message.role.as_str() {
                "user" => "human",
                "assistant" => "gpt",
                other => other,
            };
            Ok(json!({"from": from, "value": text}))
        })
        .collect::<Result<Value, ConvertError>>()?;
    let id = row.id.clone().or_else(|| row.session.clone()).unwrap_or_else(|| number.to_string());
    Ok(json!({"id": id, "conversations": turns}))
}

fn mooncake(row: &Row, start_ns: u64) -> Result<Value, ConvertError> {
    let mut object = Map::new();
    if let Some(ns) = row.timestamp_ns {
        put(&mut object, "timestamp", Some(millis(ns.saturating_sub(start_ns))));
    }
    put(&mut object, "session_id", row.session.as_deref());
    put(&mut object, "delay", row.delay_ns.map(millis));
    let (tokens, ids) = match &row.prompt {
        RowPrompt::Length(tokens) => (*tokens, None),
        RowPrompt::Blocks(blocks) => {
            if blocks.block_tokens != super::mooncake::BLOCK_TOKENS {
                put(&mut object, "block_size", Some(blocks.block_tokens));
            }
            (blocks.tokens, Some(global_ids(blocks)))
        }
        RowPrompt::Fields => return Err(refuse(row, "has no prompt, only fields for a template")),
        RowPrompt::Ids(ids) => {
            let mut chain = Chain::new(super::mooncake::BLOCK_TOKENS);
            for id in ids {
                chain.push(&id.to_le_bytes());
            }
            (chain.length, Some(chain.finish()))
        }
        RowPrompt::TokenIds(_) => {
            let mut chain = Chain::new(super::mooncake::BLOCK_TOKENS);
            for (role, ids) in row.asked_ids() {
                chain.role(role);
                for id in ids {
                    chain.push(&id.to_le_bytes());
                }
            }
            (chain.length, Some(chain.finish()))
        }
        RowPrompt::Messages(_) | RowPrompt::Text(_) => {
            let mut chain = Chain::new(BLOCK_CHARS);
            for message in row.ask().unwrap_or_default() {
                chain.role(&message.role);
                let mut bytes = [0; 4];
                for char in message.texts().flat_map(str::chars) {
                    chain.push(char.encode_utf8(&mut bytes).as_bytes());
                }
            }
            (chain.length.div_ceil(4), Some(chain.finish()))
        }
    };
    put(&mut object, "input_length", Some(tokens));
    let answer = || row.answer().map(|answer| (answer.said().chars().count() as u64).div_ceil(4));
    put(&mut object, "output_length", row.token_limit().or_else(answer));
    put(&mut object, "hash_ids", ids);
    Ok(Value::Object(object))
}

/// Milliseconds; whole ones without a fraction, as the published traces have them.
fn millis(ns: u64) -> Value {
    match ns % 1_000_000 {
        0 => Value::from(ns / 1_000_000),
        _ => Value::from(ns as f64 / 1e6),
    }
}

/// Ids that mean the same in the whole file: those of a scope are mixed with its name.
fn global_ids(blocks: &Blocks) -> Vec<u64> {
    let Some(scope) = &blocks.scope else { return blocks.ids.clone() };
    blocks
        .ids
        .iter()
        .map(|id| {
            let mut hash = Sha256::new();
            hash.update(scope.as_bytes());
            hash.update([0]);
            hash.update(id.to_le_bytes());
            short(&hash)
        })
        .collect()
}

/// 53 bits of a hash: what every JSON reader takes for a whole number.
fn short(hash: &Sha256) -> u64 {
    let digest = hash.clone().finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(bytes) >> 11
}

/// Ids of the blocks of a text: each stands for all that comes before it too, as in a prefix
/// cache.
struct Chain {
    hash: Sha256,
    block: u64,
    length: u64,
    ids: Vec<u64>,
}

impl Chain {
    fn new(block: u64) -> Self {
        Self { hash: Sha256::new(), block, length: 0, ids: Vec::new() }
    }

    /// Who speaks tells prompts apart, but has no length.
    fn role(&mut self, role: &str) {
        self.hash.update([0xff]);
        self.hash.update(role.as_bytes());
        self.hash.update([0xff]);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.length += 1;
        if self.length.is_multiple_of(self.block) {
            self.ids.push(short(&self.hash));
        }
    }

    fn finish(mut self) -> Vec<u64> {
        if !self.length.is_multiple_of(self.block) {
            self.ids.push(short(&self.hash));
        }
        self.ids
    }
}
