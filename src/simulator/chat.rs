//! `/v1/chat/completions`: what is asked, and whether it can be had.
//!
//! In: a request body. Out: a job for the engine and a reply to write, or a refusal in vLLM's
//! words. Invariant: only requests that pass all checks get a number, in the order of arrival.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::json;

use super::engine::Job;
use super::http::{Connection, Incoming};
use super::reply::{Reply, ReplyText};
use super::routes::{Next, error_body, respond};
use super::server::{Shared, TruthEntry};
use super::tokens::{self, Answer};
use super::truth::TruthOutcome;
use crate::plan::{Fault, FaultKind};

/// Length of an answer that nothing else limits.
const ANSWER_TOKENS: u64 = 64;

#[derive(Debug, Deserialize)]
struct ChatBody {
    model: Option<String>,
    messages: Vec<ChatMessage>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    min_tokens: Option<u64>,
    ignore_eos: Option<bool>,
    n: Option<u64>,
}

/// One message of a chat.
#[derive(Debug, Deserialize)]
pub struct ChatMessage {
    role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The tokens of these messages in the chat template.
pub fn prompt(messages: &[ChatMessage]) -> Vec<u32> {
    let texts: Vec<(&str, std::borrow::Cow<'_, str>)> = messages
        .iter()
        .map(|message| {
            let text = match &message.content {
                None => "".into(),
                Some(Content::Text(text)) => text.as_str().into(),
                Some(Content::Parts(parts)) => {
                    parts.iter().filter_map(|part| part.text.as_deref()).collect()
                }
            };
            (message.role.as_str(), text)
        })
        .collect();
    tokens::chat(texts.iter().map(|(role, text)| (*role, text.as_ref())))
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

/// A request that passed the checks.
#[derive(Debug)]
pub struct Order {
    prompt: Vec<u32>,
    output_tokens: u64,
    stream: bool,
    /// Length of `prompt`.
    pub prompt_tokens: u64,
    /// What will be said.
    pub answer: Answer,
    /// Whether the request's limit ends the answer.
    pub cut: bool,
    /// Whether a stream ends with usage.
    pub include_usage: bool,
}

/// Checks a body; an error is a status and a body.
fn check(shared: &Shared, body: &[u8]) -> Result<Order, (u16, String)> {
    let bad = |message: &str| (400, error_body(400, "BadRequestError", message));
    let body: ChatBody = serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))?;
    if let Some(refusal) = unknown_model(shared, body.model.as_deref()) {
        return Err((404, refusal));
    }
    if body.messages.is_empty() {
        return Err(bad("messages must not be empty"));
    }
    if body.n.is_some_and(|n| n != 1) {
        return Err(bad("the simulator gives one choice only: n must be 1"));
    }
    let asked = body.max_completion_tokens.or(body.max_tokens);
    if asked == Some(0) {
        return Err(bad("max_tokens must be at least 1, got 0."));
    }
    let prompt = prompt(&body.messages);
    let (longest, length) = (shared.config.max_model_len, prompt.len() as u64);
    let wanted = length.saturating_add(asked.unwrap_or(1));
    if wanted > longest {
        return Err(bad(&format!(
            "This model's maximum context length is {longest} tokens. However, you requested \
             {wanted} tokens ({length} in the messages, {} in the completion). Please reduce the \
             length of the messages or completion.",
            asked.unwrap_or(1)
        )));
    }
    let most = asked.unwrap_or(longest - length);
    let natural = match body.ignore_eos {
        Some(true) => most,
        _ => ANSWER_TOKENS.max(body.min_tokens.unwrap_or(0)),
    };
    Ok(Order {
        answer: Answer::new(shared.config.seed, &prompt),
        prompt,
        prompt_tokens: length,
        output_tokens: natural.min(most),
        cut: natural >= most,
        stream: body.stream.unwrap_or(false),
        include_usage: body.stream_options.and_then(|options| options.include_usage) == Some(true),
    })
}

/// Answers a generation request.
pub async fn answer(
    connection: &mut Connection,
    shared: &Arc<Shared>,
    request: Incoming,
    read_ns: u64,
) -> io::Result<Next> {
    let keep_alive = request.keep_alive;
    let order = match check(shared, &request.body) {
        Ok(order) => order,
        Err((status, body)) => return respond(connection, status, &body, keep_alive).await,
    };
    let (request_id, prompt_tokens) = (request.request_id, order.prompt_tokens);
    let mut entry = TruthEntry::open(shared, request_id.clone(), read_ns, prompt_tokens);
    let number = entry.number;
    let fault = fault(&shared.config.faults, number);
    match fault {
        Some(FaultKind::Crash) => {
            entry.end(TruthOutcome::Fault("crash"));
            shared.stop.cancel();
            return Ok(Next::Close);
        }
        Some(&FaultKind::Status(status)) => {
            entry.write(0, None, Some(TruthOutcome::Status(status)));
            let body = error_body(status, "SimulatedError", "a scripted fault");
            return respond(connection, status, &body, keep_alive).await;
        }
        _ => {}
    }
    let text = ReplyText::new(shared, request_id.as_deref(), &order, &entry);
    let Order { prompt, answer, output_tokens, cut, stream, .. } = order;
    let job = Job { number, prompt, answer, output_tokens, cut };
    let Ok(generation) = shared.submit(job) else {
        entry.write(0, None, Some(TruthOutcome::Status(503)));
        let message = "The engine is currently busy: its queue is full.";
        let body = error_body(503, "ServiceUnavailableError", message);
        return respond(connection, 503, &body, keep_alive).await;
    };
    let reply = Reply { connection, generation, entry, text, fault, keep_alive };
    if stream { reply.stream().await } else { reply.whole().await }
}

fn fault(faults: &[Fault], number: u64) -> Option<&FaultKind> {
    faults
        .iter()
        .find(|fault| number.checked_sub(fault.from).is_some_and(|past| past < fault.count))
        .map(|fault| &fault.kind)
}
