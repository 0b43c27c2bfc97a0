//! Generation in every API: what is asked, whether it can be had, and the answer.
//!
//! In: a POST to one of the paths of an API. Out: a job for the engine and a reply to write, or a
//! refusal in the API's words. Invariant: only requests that pass all checks get a number, in the
//! order of arrival.

use std::io;
use std::sync::Arc;

use serde_json::Value;

use super::chat;
use super::dialect::{self, Ask, Identity};
use super::engine::Job;
use super::http::{Connection, Incoming};
use super::reply::{ChatText, DialectText, Reply, ReplyText};
use super::routes::{Next, respond};
use super::server::{Shared, TruthEntry};
use super::tokens::{self, Answer};
use super::truth::TruthOutcome;
use crate::plan::{Api, Fault, FaultKind, JsonAnswer, SimulatorConfig};

/// Length of an answer that nothing else limits.
const ANSWER_TOKENS: u64 = 64;

/// What a body asks, whatever its API.
#[derive(Debug)]
pub struct Wish {
    pub prompt: Vec<u32>,
    pub model: Option<String>,
    pub max_tokens: Option<u64>,
    pub min_tokens: Option<u64>,
    pub ignore_eos: bool,
    pub stream: bool,
    pub include_usage: bool,
}

/// A refusal: status, kind and message.
type Refusal = (u16, &'static str, String);

/// Whether something is generated at this path.
pub fn is_at(config: &SimulatorConfig, path: &str) -> bool {
    path == "/v1/chat/completions"
        || path == "/generate"
        || dialect::api_of(path).is_some()
        || json_at(config, path)
}

/// Whether the plan's own JSON API is at this path.
fn json_at(config: &SimulatorConfig, path: &str) -> bool {
    let own = config.json.as_ref().map(|json| json.path.trim_matches('/'));
    own.is_some_and(|own| path.strip_prefix("/v1").unwrap_or(path).trim_matches('/') == own)
}

/// The API of a request, and what it asks.
fn read(config: &SimulatorConfig, request: &Incoming) -> (Api, Result<Wish, String>) {
    if request.path == "/v1/chat/completions" {
        return (Api::OpenaiChat, chat::read(&request.body));
    }
    let body = serde_json::from_slice::<Value>(&request.body);
    let nothing = Value::Null;
    let (api, by_path) = match &config.json {
        Some(json) if json_at(config, &request.path) => (Api::Json(json.clone()), None),
        _ => dialect::api_of(&request.path)
            .unwrap_or_else(|| dialect::generate_api(body.as_ref().unwrap_or(&nothing))),
    };
    let wish = body.map_err(|error| error.to_string()).and_then(|body| {
        let ask = Ask::read(&api, &body, by_path).map_err(|error| error.to_string())?;
        Ok(wish(&api, ask))
    });
    (api, wish)
}

fn wish(api: &Api, ask: Ask) -> Wish {
    let has_template = matches!(
        api,
        Api::OpenaiChat
            | Api::OpenaiResponses
            | Api::AnthropicMessages
            | Api::OllamaChat
            | Api::OllamaGenerate
    );
    let prompt = if has_template {
        tokens::chat(&ask.tools, &ask.messages)
    } else {
        let mut prompt = Vec::new();
        tokens::push_ids(&ask.ids, &mut prompt);
        ask.messages.iter().for_each(|message| tokens::push(&message["content"], &mut prompt));
        prompt
    };
    let can_stream = !matches!(api, Api::Json(json) if json.answer == JsonAnswer::Whole);
    Wish {
        prompt,
        model: ask.model,
        max_tokens: ask.max_tokens,
        min_tokens: ask.min_tokens,
        ignore_eos: ask.ignore_eos,
        stream: ask.stream && can_stream,
        include_usage: ask.include_usage,
    }
}

/// How many tokens the answer has, and whether the request's limit ends it; or why there is none.
fn length(config: &SimulatorConfig, wish: &Wish) -> Result<(u64, bool), Refusal> {
    let bad = |message: String| Err((400, "BadRequestError", message));
    if let Some(model) = wish.model.as_ref().filter(|model| **model != config.model) {
        return Err((404, "NotFoundError", format!("The model `{model}` does not exist.")));
    }
    if wish.max_tokens == Some(0) {
        return bad("max_tokens must be at least 1, got 0.".into());
    }
    let (longest, prompt_tokens) = (config.max_model_len, wish.prompt.len() as u64);
    let asked = wish.max_tokens.unwrap_or(1);
    let wanted = prompt_tokens.saturating_add(asked);
    if wanted > longest {
        return bad(format!(
            "This model's maximum context length is {longest} tokens. However, you requested \
             {wanted} tokens ({prompt_tokens} in the messages, {asked} in the completion). Please \
             reduce the length of the messages or completion.",
        ));
    }
    let most = wish.max_tokens.unwrap_or(longest - prompt_tokens);
    let natural =
        if wish.ignore_eos { most } else { ANSWER_TOKENS.max(wish.min_tokens.unwrap_or(0)) };
    Ok((natural.min(most), natural >= most))
}

/// Answers a generation request.
pub async fn answer(
    connection: &mut Connection,
    shared: &Arc<Shared>,
    request: Incoming,
    read_ns: u64,
) -> io::Result<Next> {
    let keep_alive = request.keep_alive;
    let (api, wish) = read(&shared.config, &request);
    let refusal = |(status, kind, message): (u16, &str, String)| {
        (status, dialect::refusal(&api, status, kind, &message).to_string())
    };
    let checked = wish.map_err(|message| (400, "BadRequestError", message)).and_then(|wish| {
        let (output_tokens, cut) = length(&shared.config, &wish)?;
        Ok((wish, output_tokens, cut))
    });
    let (wish, output_tokens, cut) = match checked {
        Ok(checked) => checked,
        Err(why) => {
            let (status, body) = refusal(why);
            return respond(connection, status, &body, keep_alive).await;
        }
    };
    let Wish { prompt, stream, include_usage, .. } = wish;
    let prompt_tokens = prompt.len() as u64;
    let mut entry = TruthEntry::open(shared, request.request_id.clone(), read_ns, prompt_tokens);
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
            let (status, body) = refusal((status, "SimulatedError", "a scripted fault".into()));
            return respond(connection, status, &body, keep_alive).await;
        }
        _ => {}
    }
    let answer = Answer::new(shared.config.seed, &prompt);
    let job = Job { number, prompt, answer, output_tokens, cut };
    let Ok(generation) = shared.submit(job) else {
        entry.write(0, None, Some(TruthOutcome::Status(503)));
        let message = "The engine is currently busy: its queue is full.".into();
        let (status, body) = refusal((503, "ServiceUnavailableError", message));
        return respond(connection, status, &body, keep_alive).await;
    };
    let identity = Identity {
        id: answer_id(&api, request.request_id.as_deref(), number),
        model: shared.config.model.clone(),
        created: chat::unix_seconds(),
        include_usage,
    };
    let report_cached = shared.config.report_cached_tokens;
    let text = match api {
        Api::OpenaiChat => {
            ReplyText::Chat(ChatText::new(identity, answer, prompt_tokens, cut, report_cached))
        }
        api => ReplyText::Dialect(Box::new(DialectText::new(
            api,
            identity,
            answer,
            prompt_tokens,
            cut,
            report_cached,
        ))),
    };
    let reply = Reply { connection, generation, entry, text, fault, keep_alive };
    if stream { reply.stream().await } else { reply.whole().await }
}

/// Like vLLM, the answer's id carries the client's; only a tame one, since it goes into JSON.
fn answer_id(api: &Api, request_id: Option<&str>, number: u64) -> String {
    let prefix = match api {
        Api::OpenaiChat => "chatcmpl",
        Api::OpenaiCompletions => "cmpl",
        Api::OpenaiResponses => "resp",
        Api::AnthropicMessages => "msg",
        _ => "gen",
    };
    match request_id.filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(id) => format!("{prefix}-{id}"),
        None => format!("{prefix}-{number:016x}"),
    }
}

fn fault(faults: &[Fault], number: u64) -> Option<&FaultKind> {
    faults
        .iter()
        .find(|fault| number.checked_sub(fault.from).is_some_and(|past| past < fault.count))
        .map(|fault| &fault.kind)
}
