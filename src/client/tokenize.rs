//! The server's own tokenizer.
//!
//! In: text. Out: its number of tokens, without the special tokens that a chat template adds.

use std::time::Duration;

use serde_json::{Value, json};

use super::Client;
use super::probe::{Server, ServerKind};

const LIMIT: Duration = Duration::from_secs(10);

/// How many tokens `text` has by the server's `/tokenize`; `None` when it has no such thing or did
/// not answer in 10 s.
pub async fn tokenize(client: &Client, server: &Server, text: &str) -> Option<u64> {
    count(client, server.kind, &server.model, text).await
}

pub(super) async fn count(
    client: &Client,
    kind: ServerKind,
    model: &str,
    text: &str,
) -> Option<u64> {
    let body = if kind == ServerKind::LlamaCpp {
        json!({ "content": text })
    } else {
        json!({ "model": model, "prompt": text, "add_special_tokens": false })
    };
    let answer = client.post(client.root_url("tokenize"), Some(&body), LIMIT).await.ok()?;
    let reply = answer.json().filter(|_| answer.ok())?;
    let listed = || reply.get("tokens")?.as_array().map(|tokens| tokens.len() as u64);
    reply.get("count").and_then(Value::as_u64).or_else(listed)
}
