//! What is asked, free of any API's spelling: a workload makes a [`Request`], a dialect encodes it.

use sha2::{Digest, Sha256};

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant` or any role the endpoint knows.
    pub role: String,
    /// The text, templates already rendered.
    pub content: String,
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
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// Further top-level fields of the request body, passed through as they are.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Top-level fields that are not sent, whoever would set them.
    pub without: Vec<String>,
    /// Headers of this request beside those of its endpoint.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A short fingerprint of the messages (16 hex digits of a SHA-256), to prove that two stages
    /// or two runs asked the same.
    pub fn prompt_hash(&self) -> String {
        let mut hash = Sha256::new();
        for message in &self.messages {
            for part in [&message.role, &message.content] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        hex(&hash.finalize()[..8])
    }

    /// Characters over all messages, the base of the 4-characters-per-token estimate.
    pub fn chars(&self) -> usize {
        self.messages.iter().map(|message| message.content.chars().count()).sum()
    }
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
