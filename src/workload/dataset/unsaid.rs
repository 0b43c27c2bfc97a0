//! What an API does not say of a row that it takes.
//!
//! In: a request, its row, and the API of its endpoint. Out: names, as they are counted. Invariant: what
//! is named here is not in the body; what can't be said otherwise is refused by the dialect.

use serde_json::Value;

use crate::plan::{Api, JsonAnswer, JsonApi, LIMIT_NAMES, Prompt, names};
use crate::request::{Message, Request, said_by_plan};

use super::row::Row;

/// Notes what `api` does not say of `row` in `request`, which is asked as `prompt` says.
pub fn note_unsaid(request: &mut Request, row: &Row, prompt: &Prompt, api: &Api) {
    let mut unsaid = Vec::new();
    if api.is_without_roles() && has_roles(&request.messages, api) {
        unsaid.push("roles".to_owned());
    }
    if row.max_tokens == Some(0) && request.max_tokens == Some(1) {
        unsaid.push("max_tokens of 0 (1 is sent)".to_owned());
    }
    unsaid.extend(stream(request, row, prompt, api));
    if let Api::Json(api) = api {
        json(request, row, api, &mut unsaid);
    }
    request.left_out.append(&mut unsaid);
}

/// That a row was streamed, or was not, where it is asked otherwise.
fn stream(request: &Request, row: &Row, prompt: &Prompt, api: &Api) -> Option<String> {
    let recorded = row.body.get("stream")?;
    let own = match api {
        Api::Json(api) => api.body.as_ref(),
        _ => None,
    };
    let (sent, key) = match (own.and_then(|body| body.get("stream")), api) {
        (Some(own), _) if !names(own, "stream") => (own.clone(), Some("json.body.stream")),
        (_, Api::Json(api)) if api.answer == JsonAnswer::Whole => (false.into(), None),
        _ => (request.stream.into(), prompt.stream.map(|_| "prompt.stream")),
    };
    let by_default = || match api {
        Api::Json(_) if sent == Value::Bool(false) => {
            "stream (answers are whole by default)".into()
        }
        _ => "stream (streams are asked for by default)".into(),
    };
    (*recorded != sent).then(|| key.map_or_else(by_default, |key| said_by_plan("stream", key)))
}

/// Whether the messages say more than one user's one text does.
fn has_roles(messages: &[Message], api: &Api) -> bool {
    let is_apart = |message: &&Message| {
        *api == Api::OllamaGenerate && matches!(message.role.as_str(), "system" | "developer")
    };
    let apart = messages.iter().take_while(is_apart).count();
    let joined = &messages[apart..];
    joined.len() > 1 || joined.iter().any(|message| message.role != "user")
}

/// What the body of the plan's own making has no place for, or says itself.
fn json(request: &Request, row: &Row, api: &JsonApi, unsaid: &mut Vec<String>) {
    let Some(template) = &api.body else { return };
    let is_said = |name: &str| api.takes(name) || request.body.contains_key(name);
    let mut say = |name: &str, key: &str| unsaid.push(said_by_plan(name, key));
    let has_limit = row.max_tokens.is_some() && request.max_tokens.is_some();
    if has_limit && !api.takes("max_tokens") && !LIMIT_NAMES.iter().any(|name| is_said(name)) {
        say(row.limit_name(), "json.body");
    }
    let has_temperature = request.temperature.is_some()
        && row.body.get("temperature").and_then(Value::as_f64) == request.temperature;
    if has_temperature && !is_said("temperature") {
        say("temperature", "json.body");
    }
    for name in request.recorded.keys() {
        if template.get(name).is_some_and(|value| !names(value, name)) {
            say(name, &format!("json.body.{name}"));
        }
    }
}
