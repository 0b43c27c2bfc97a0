//! `/v1/chat/completions`: what is asked.
//!
//! In: a request body. Out: a [`Wish`], or what is wrong with it. It is typed, unlike the other
//! APIs' bodies, because calibration drives this path as fast as it goes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use super::generate::Wish;
use super::server::Shared;
use super::tokens;

#[derive(Debug, Deserialize)]
struct ChatBody {
    model: Option<String>,
    messages: Vec<Value>,
    tools: Option<Value>,
    functions: Option<Value>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    min_tokens: Option<u64>,
    ignore_eos: Option<bool>,
    n: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The 404 body for a model that is not served here.
pub fn unknown_model(shared: &Shared, model: Option<&str>) -> Option<String> {
    let model = model.filter(|model| *model != shared.config.model)?;
    let message = format!("The model `{model}` does not exist.");
    Some(
        json!({"error": {
            "message": message, "type": "NotFoundError", "param": "model", "code": 404,
        }})
        .to_string(),
    )
}

/// Seconds since 1970, for `created`.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a chat body asks; an error is the 400's message.
pub fn read(body: &[u8]) -> Result<Wish, String> {
    let body: ChatBody = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if body.messages.is_empty() {
        return Err("messages must not be empty".into());
    }
    if let Some(other) = body.messages.iter().find(|message| message["role"].as_str().is_none()) {
        return Err(format!("a message needs a role: {other}"));
    }
    if body.n.is_some_and(|n| n != 1) {
        return Err("the simulator gives one choice only: n must be 1".into());
    }
    Ok(Wish {
        prompt: tokens::chat(body.tools.iter().chain(&body.functions), &body.messages),
        model: body.model,
        max_tokens: body.max_completion_tokens.or(body.max_tokens),
        min_tokens: body.min_tokens,
        ignore_eos: body.ignore_eos == Some(true),
        stream: body.stream.unwrap_or(false),
        include_usage: body.stream_options.and_then(|options| options.include_usage) == Some(true),
    })
}
