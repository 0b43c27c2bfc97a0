//! The server's own tokenizer.
//!
//! In: text. Out: its number of tokens, without the special tokens that a chat template adds, or why
//! there is none. Invariant: every question ends within [`LIMIT`], and is put at most twice.

use std::time::Duration;

use serde_json::{Value, json};

use super::Client;
use super::probe::{Server, ServerKind};
use super::side_door::Cause;

/// Longest question.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How many tokens `text` has by the server's `/tokenize`; else, in one line, why it did not say.
pub async fn tokenize(client: &Client, server: &Server, text: &str) -> Result<u64, String> {
    count(client, server.kind, &server.model, text).await
}

pub(super) async fn count(
    client: &Client,
    kind: ServerKind,
    model: &str,
    text: &str,
) -> Result<u64, String> {
    let body = if kind == ServerKind::LlamaCpp {
        json!({ "content": text })
    } else {
        json!({ "model": model, "prompt": text, "add_special_tokens": false })
    };
    let ask = || client.post(client.root_url("tokenize"), Some(&body), LIMIT);
    let mut answer = ask().await;
    // A server may close an idle connection just as it is used again; a question changes nothing
    // there, so it can be asked once more.
    if answer.as_ref().is_err_and(|error| error.cause == Cause::Broken) {
        answer = ask().await;
    }
    let answer = answer.map_err(|error| error.to_string())?;
    if !answer.ok() {
        return Err(answer.line());
    }
    let reply = answer.json().unwrap_or_default();
    let listed = || reply.get("tokens")?.as_array().map(|tokens| tokens.len() as u64);
    let count = reply.get("count").and_then(Value::as_u64).or_else(listed);
    count.ok_or_else(|| "the answer has no count of tokens".to_owned())
}
