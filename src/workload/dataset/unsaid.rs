//! What an API does not say of a row that it takes.
//!
//! In: a request, its row, and the API of its endpoint. Out: names, as they are counted. Invariant: what
//! is named here is not in the body; what can't be said otherwise is refused by the dialect.

use serde_json::Value;

use crate::plan::{Api, JsonAnswer, JsonApi, LIMIT_NAMES, Prompt, names};
use crate::request::{Request, said_by_plan};

use super::row::{Row, RowPrompt};

/// Notes what `api` does not say of `row` in `request`, which is asked as `prompt` says.
pub fn note_unsaid(request: &mut Request, row: &Row, prompt: &Prompt, api: &Api) {
    let mut unsaid = Vec::new();
    let roles = request.messages.iter().map(|message| message.role.as_str());
    if has_unsaid_roles(roles, api) {
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

/// Notes what of `row` is not sent where texts of the plan stand in place of its own: its prompt, and
/// that it was streamed or was not.
pub fn note_replaced(request: &mut Request, row: &Row, prompt: &Prompt, api: &Api) {
    const PROMPTS: [&str; 9] = [
        "messages",
        "prompt",
        "text",
        "conversations",
        "conversation",
        "cut_chat_history",
        "text_input",
        "payload",
        "body",
    ];
    if !matches!(row.prompt, RowPrompt::Fields | RowPrompt::Length(_) | RowPrompt::Blocks(_)) {
        let name = PROMPTS.iter().find(|name| !row.fields[**name].is_null());
        let name = name.unwrap_or(&"prompt");
        request.left_out.push(format!("{name} (the plan's own text is sent)"));
    }
    request.left_out.extend(stream(request, row, prompt, api));
}

/// The roles of the plan's own messages, where its endpoint's API sends none: in words.
pub fn roles_of_plan(prompt: &Prompt, api: &Api) -> Option<String> {
    let roles = || prompt.messages.iter().map(|message| message.role.as_str());
    let mut named: Vec<&str> = Vec::new();
    for role in roles() {
        if !named.contains(&role) {
            named.push(role);
        }
    }
    has_unsaid_roles(roles(), api).then(|| {
        format!(
            "the API {} takes one text: the roles of `prompt.messages` ({}) are not sent, and their texts \
             are joined by blank lines",
            api.name(),
            named.join(", ")
        )
    })
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

/// Whether messages of these roles say more than the one text of an API without roles does.
fn has_unsaid_roles<'m>(roles: impl Iterator<Item = &'m str>, api: &Api) -> bool {
    let is_apart =
        |role: &&str| *api == Api::OllamaGenerate && matches!(*role, "system" | "developer");
    let mut joined = roles.skip_while(is_apart);
    let first = joined.next();
    api.is_without_roles() && (first.is_some_and(|role| role != "user") || joined.next().is_some())
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
