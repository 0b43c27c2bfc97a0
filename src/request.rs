//! What is asked, free of any API's spelling: a workload makes a [`Request`], a dialect encodes it.
//!
//! A request is a document: its messages keep every part and field that they came with, and what a row
//! said beside them stands beside them. A dialect translates all of it or refuses; it drops nothing.

pub mod fields;
mod message;
mod words;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::plan::OPTIONS;
pub use message::{Content, Message, text_of};
pub use words::Words;

/// Where a row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as found.
    pub file: Arc<Path>,
    /// The line on which it begins, from 1, in the text (unpacked where the file is packed).
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// The name under which the upper bound of generated tokens is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LimitName {
    /// That of the API.
    #[default]
    Api,
    /// That of the row, where the API has that name, too.
    Row(&'static str),
    /// That of the plan, whatever the API's is.
    Plan(String),
}

impl LimitName {
    /// The name for an API that has these; the first is its usual one.
    pub fn among<'a>(&'a self, names: &[&'a str]) -> &'a str {
        match self {
            Self::Plan(name) => name,
            Self::Row(name) if names.contains(name) => name,
            Self::Row(_) | Self::Api => names.first().copied().unwrap_or_default(),
        }
    }
}

/// One generation to ask of an endpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// Its number within the stage, from 0. The same index of the same plan and seed is the same
    /// request, whoever asks.
    pub index: u64,
    /// The conversation so far; a plain prompt is one `user` message.
    pub messages: Vec<Message>,
    /// Upper bound of generated tokens; the server's default when `None`.
    pub max_tokens: Option<u64>,
    /// The name that the bound is sent under.
    pub limit_name: LimitName,
    /// The model to ask for, where it is not the endpoint's.
    pub model: Option<String>,
    /// Sampling temperature; the server's default when `None`.
    pub temperature: Option<f64>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The conversation that it is a turn of, where its dataset names one.
    pub session: Option<String>,
    /// The words in which messages and the fields beside them are written.
    pub words: Words,
    /// What its row says beside the messages (`tools`, `stop`, …), in those words. A dialect translates it or refuses.
    pub recorded: Map<String, Value>,
    /// The plan's own fields of the body, in the words of the endpoint's API: sent as they are, and
    /// over everything else.
    pub body: Map<String, Value>,
    /// Fields of the body that are not sent, whoever would set them: names, or paths such as
    /// `stream_options/include_usage`.
    pub without: Vec<String>,
    /// Headers of this request beside those of its endpoint.
    pub headers: Vec<(String, String)>,
    /// The row that it was made of.
    pub row: Option<Place>,
    /// What of its row is not sent, by name.
    pub left_out: Vec<String>,
}

impl Request {
    /// A short fingerprint of the messages and of the tools beside them (16 hex digits of a SHA-256),
    /// to prove that two stages or two runs asked the same.
    pub fn prompt_hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        for message in &self.messages {
            if let Some(text) = message.plain() {
                add(message.role.as_bytes());
                add(text.as_bytes());
            } else {
                // Writing JSON into memory has no way to fail.
                add(&serde_json::to_vec(message).unwrap_or_default());
            }
        }
        for name in ["tools", "functions"] {
            if let Some(tools) = self.beside(name) {
                add(tools.to_string().as_bytes());
            }
        }
        hex(&hash.finalize()[..8])
    }

    /// Takes out what the plan says is not sent, whoever would set it.
    pub fn leave_out(&mut self, paths: &[String]) {
        for path in paths {
            take_out(&mut self.body, path);
            take_out(&mut self.recorded, path);
        }
        self.without = paths.to_vec();
    }

    /// A field of the body beside the messages: the plan's, else the row's.
    pub fn beside(&self, name: &str) -> Option<&Value> {
        self.body.get(name).or_else(|| self.recorded.get(name)).filter(|it| !it.is_null())
    }

    /// Characters of text over all messages, the base of the 4-characters-per-token estimate.
    pub fn chars(&self) -> usize {
        self.texts().map(|text| text.chars().count()).sum()
    }

    /// The texts of all messages, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().flat_map(Message::texts)
    }

    /// Whether its prompt is text and nothing else, so that counting its texts counts the prompt.
    pub fn is_text(&self) -> bool {
        let has_tools = ["tools", "functions"].iter().any(|name| self.beside(name).is_some());
        !has_tools && self.messages.iter().all(Message::is_text)
    }
}

/// Takes a field out of a body: by its name, or by the path to it.
pub fn take_out(fields: &mut Map<String, Value>, path: &str) -> bool {
    match path.split_once('/') {
        None => fields.shift_remove(path).is_some(),
        Some((object, rest)) => match fields.get_mut(object) {
            Some(Value::Object(inner)) => take_out(inner, rest),
            _ => false,
        },
    }
}

/// What a part of a row is called that a key of the plan goes over.
pub fn said_by_plan(name: &str, key: &str) -> String {
    format!("{name} (`{key}` says it)")
}

/// The path of a field that `is` one, in a body or in its objects of options.
pub fn field_in(body: &Map<String, Value>, is: impl Fn(&str, &Value) -> bool) -> Option<String> {
    let own = body.iter().find(|(name, value)| is(name, value)).map(|(name, _)| name.clone());
    own.or_else(|| {
        OPTIONS.iter().find_map(|object| {
            let mut inner = body.get(*object)?.as_object()?.iter();
            let (name, _) = inner.find(|(name, value)| is(name, value))?;
            Some(format!("{object}.{name}"))
        })
    })
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
