//! Which models an endpoint lists, and what it says of them.
//!
//! In: a client. Out: a [`Listing`], or why the endpoint is not what the plan thinks. Invariant: an
//! answer that is no list is told with what would be one.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use super::super::side_door::{Answer, Cause, NoAnswer};
use super::super::{Client, join};
use super::{CALL, EXTRA, PreflightError, ServerKind, json, text};

/// The answer of `/models`.
#[derive(Default)]
pub(super) struct Listing {
    pub models: Vec<Value>,
    pub server: Option<String>,
    /// The server, when it was known by a door of its own, and its version.
    pub native: Option<ServerKind>,
    pub version: Option<String>,
}

pub(super) async fn listing(
    client: &Client,
    model: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Listing, PreflightError> {
    // Where the API itself is at the server's root, the URL may lack its /v1.
    let url = if client.is_at_root() { client.root_url("v1/models") } else { client.url("models") };
    let answer =
        client.get(url.clone(), CALL).await.map_err(|error| unreachable(client, &error))?;
    let entries = answer.json().and_then(|json| json.get("data")?.as_array().cloned());
    match (answer.status, entries) {
        (200..=299, Some(models)) => {
            return Ok(Listing { models, server: answer.server, ..Listing::default() });
        }
        (401 | 403, _) => {
            return Err(PreflightError::new(
                format!("{url} refuses the API key: {}", answer.line()),
                "set the endpoint's `api_key` to one the server accepts, such as \
                 ${secret:OPENAI_API_KEY}",
            ));
        }
        (300..=399, _) => {
            let target = answer.location.as_deref().unwrap_or("elsewhere");
            return Err(PreflightError::new(
                format!("{url} redirects to {target}"),
                "set the endpoint's url to where the API really is; redirects are not followed",
            ));
        }
        (503, _) => {
            return Err(PreflightError::new(
                format!("{url} is not ready: {}", answer.line()),
                "wait until the server has loaded its model, then run again",
            ));
        }
        _ => {}
    }
    if let Some(native) = native(client).await {
        return Ok(native);
    }
    if let Some(base) = better_base(client).await {
        return Err(PreflightError::new(
            format!("{} is not the API's base: {}", client.base_url(), short(&answer)),
            format!("did you mean {base} ?"),
        ));
    }
    if model.is_none() && client.needs_model() {
        return Err(PreflightError::new(
            format!("{url} lists no models: {}", short(&answer)),
            "set the endpoint's `model`, or correct its url (it usually ends in /v1)",
        ));
    }
    if model.is_some() {
        warnings.push(format!(
            "{url} lists no models ({}), so the model's name is unchecked",
            short(&answer)
        ));
    }
    Ok(Listing { server: answer.server, ..Listing::default() })
}

/// Servers that list their models in ways of their own, each known by a door that no other has.
async fn native(client: &Client) -> Option<Listing> {
    if let Some(tags) = json(client, "api/tags").await
        && let Some(list) = tags.get("models").and_then(Value::as_array)
    {
        let named = |model: &Value| {
            let mut model = model.clone();
            let name = model.get("model").or(model.get("name"))?.clone();
            model.as_object_mut()?.insert("id".into(), name);
            Some(model)
        };
        let version = json(client, "api/version").await;
        return Some(Listing {
            models: list.iter().filter_map(named).collect(),
            native: Some(ServerKind::Ollama),
            version: version.and_then(|it| text(&it, "version")),
            ..Listing::default()
        });
    }
    if let Some(info) = tgi(client).await {
        return Some(Listing {
            version: text(&info, "version"),
            models: vec![info],
            native: Some(ServerKind::Tgi),
            ..Listing::default()
        });
    }
    let v2 = json(client, "v2").await.filter(|v2| v2.get("extensions").is_some())?;
    Some(Listing {
        native: Some(ServerKind::Triton),
        version: text(&v2, "version"),
        ..Listing::default()
    })
}

/// What TGI says of the model it serves, as an entry of a list of models.
pub(super) async fn tgi(client: &Client) -> Option<Value> {
    let mut info = json(client, "info").await?;
    let model = info.get("model_id")?.clone();
    let longest = info.get("max_total_tokens").cloned();
    let fields = info.as_object_mut()?;
    fields.insert("id".into(), model);
    fields.extend(longest.map(|longest| ("max_model_len".to_owned(), longest)));
    Some(info)
}

/// What a listed model says of itself, as far as it tells two models apart.
pub(super) fn details(model: &Value) -> BTreeMap<String, Value> {
    const TELLING: [&str; 11] = [
        "root",
        "parent",
        "digest",
        "model_sha",
        "model_dtype",
        "size",
        "created",
        "modified_at",
        "max_model_len",
        "meta",
        "details",
    ];
    let known = |key: &&str| {
        let value = model.get(*key).filter(|value| !value.is_null())?;
        Some(((*key).to_owned(), value.clone()))
    };
    TELLING.iter().filter_map(known).collect()
}

/// `BASE/v1`, if the API is there.
async fn better_base(client: &Client) -> Option<Url> {
    if client.base_url().path().trim_end_matches('/').ends_with("/v1") {
        return None;
    }
    let base = client.url("v1");
    let answer = client.get(join(&base, "models"), EXTRA).await.ok()?;
    answer.json()?.get("data")?.is_array().then_some(base)
}

pub(super) fn id(model: &Value) -> Option<String> {
    text(model, "id")
}

/// The context length as vLLM and `SGLang`, llama.cpp, and hosted APIs name it.
pub(super) fn context(model: &Value) -> Option<u64> {
    ["/max_model_len", "/meta/n_ctx", "/context_length", "/context_window"]
        .iter()
        .find_map(|path| model.pointer(path)?.as_u64())
}

fn short(answer: &Answer) -> String {
    if answer.ok() { "the answer is no list of models".to_owned() } else { answer.line() }
}

fn unreachable(client: &Client, error: &NoAnswer) -> PreflightError {
    let base = client.base_url();
    match error.cause {
        Cause::Connect(kind) => {
            let what = match kind {
                "refused" => format!("nothing listens at {base}"),
                "dns" => format!("the host of {base} does not resolve"),
                "tls" => format!("no TLS connection to {base}"),
                _ => format!("no connection to {base}"),
            };
            PreflightError::new(what, error.message.clone())
        }
        Cause::Timeout => PreflightError::new(
            format!("{base} does not answer: {}", error.message),
            "is the host right, and is the server up and not overloaded?",
        ),
        Cause::Broken => PreflightError::new(
            format!("{base} does not answer as an HTTP server: {}", error.message),
            "is the port right, and does it speak the url's scheme (http, https)?",
        ),
    }
}
