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
    let body = match kind {
        ServerKind::LlamaCpp => json!({ "content": text }),
        ServerKind::Tgi => json!({ "inputs": text, "add_special_tokens": false }),
        _ => json!({ "model": model, "prompt": text, "add_special_tokens": false }),
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
    counted(&reply).ok_or_else(|| "the answer has no count of tokens".to_owned())
}

/// `{count}` (vLLM, `SGLang`), `{tokens: […]}` (llama.cpp), or TGI's list of `{id, text, start, stop}`,
/// in which special tokens, added whether wanted or not, stand for no part of the text.
fn counted(reply: &Value) -> Option<u64> {
    if let Some(list) = reply.as_array() {
        let part = |token: &&Value| {
            let at = |key| token.get(key).and_then(Value::as_u64);
            at("start").zip(at("stop")).is_none_or(|(start, stop)| start < stop)
        };
        return Some(list.iter().filter(part).count() as u64);
    }
    let listed = || reply.get("tokens")?.as_array().map(|tokens| tokens.len() as u64);
    reply.get("count").and_then(Value::as_u64).or_else(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_servers_answer_is_counted() {
        for (reply, expected) in [
            (json!({ "count": 2, "max_model_len": 8192, "tokens": [28120, 905] }), Some(2)),
            (json!({ "tokens": [28120, 905, 7] }), Some(3)),
            (
                json!([
                    { "id": 1, "text": "<s>", "start": 0, "stop": 0 },
                    { "id": 28120, "text": "one", "start": 0, "stop": 3 },
                    { "id": 905, "text": " two", "start": 3, "stop": 7 },
                ]),
                Some(2),
            ),
            (json!({ "error": "no" }), None),
            (json!(null), None),
        ] {
            assert_eq!(counted(&reply), expected, "{reply}");
        }
    }
}
