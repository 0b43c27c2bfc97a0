//! Which models an endpoint lists, and what it says of them.
//!
//! In: a client. Out: a [`Listing`], or why the endpoint is not what the plan thinks. Invariant: an
//! answer that is no list is told with what would be one.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use super::super::dialect::Catalogue;
use super::super::side_door::{Answer, Cause, NoAnswer};
use super::super::{Client, join};
use super::software::of_header;
use super::{CALL, EXTRA, PreflightError, ServerKind, json, text};

/// What an endpoint lists.
#[derive(Default)]
pub(super) struct Listing {
    pub models: Vec<Value>,
    /// The server, where its header or the form of its answer names it.
    pub kind: Option<ServerKind>,
    pub version: Option<String>,
}

pub(super) async fn listing(
    client: &Client,
    model: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Listing, PreflightError> {
    let (mut catalogue, mut url) = client.catalogue();
    // A body that names a model, of which the plan says nothing: it is for the server to say.
    if catalogue == Catalogue::None && model.is_none() && client.needs_model() {
        (catalogue, url) = (Catalogue::Models, client.url("models"));
    }
    let ask = async |url: &Url| {
        client.get(url.clone(), CALL).await.map_err(|error| unreachable(client, &error))
    };
    let mut answer = ask(&url).await?;
    let named = answer.server.as_deref().and_then(of_header);
    // Servers that give their name have OpenAI's list beside every API.
    if named.is_some() && catalogue != Catalogue::Models {
        (catalogue, url) = (Catalogue::Models, client.root_url("v1/models"));
        answer = ask(&url).await?;
    }
    let listed = answer.json().filter(|_| answer.ok()).and_then(|json| read(catalogue, json));
    match (answer.status, listed) {
        (_, Some(listed)) => return Ok(Listing { kind: named.or(listed.kind), ..listed }),
        // Whatever it answers to a question that it may not know, it is there.
        _ if catalogue == Catalogue::None => return Ok(Listing::default()),
        (401 | 403, _) => {
            let verb = if client.has_key { "refuses the API key" } else { "asks for a key" };
            return Err(PreflightError::new(
                format!("{url} {verb}: {}", answer.line()),
                "set the endpoint's `api_key` to one the server accepts, such as \
                 ${secret:OPENAI_API_KEY}; without a plan, set RUNNER_API_KEY",
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
    if catalogue == Catalogue::Models
        && let Some(base) = better_base(client).await
    {
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
    Ok(Listing { kind: named, ..Listing::default() })
}

/// What a catalogue of this form lists.
fn read(catalogue: Catalogue, json: Value) -> Option<Listing> {
    match catalogue {
        Catalogue::Models => {
            let models = json.get("data")?.as_array()?.clone();
            Some(Listing { models, ..Listing::default() })
        }
        Catalogue::OllamaTags => {
            let named = |model: &Value| {
                let mut model = model.clone();
                let name = model.get("model").or(model.get("name"))?.clone();
                model.as_object_mut()?.insert("id".into(), name);
                Some(model)
            };
            let models = json.get("models")?.as_array()?.iter().filter_map(named).collect();
            Some(Listing { models, kind: Some(ServerKind::Ollama), version: None })
        }
        Catalogue::TgiInfo => {
            let (version, model) = (text(&json, "version"), text(&json, "model_id")?);
            let mut info = json;
            let longest = info.get("max_total_tokens").cloned();
            let fields = info.as_object_mut()?;
            fields.insert("id".into(), model.into());
            fields.extend(longest.map(|longest| ("max_model_len".to_owned(), longest)));
            Some(Listing { models: vec![info], kind: Some(ServerKind::Tgi), version })
        }
        Catalogue::TritonV2 => {
            json.get("extensions")?;
            let version = text(&json, "version");
            Some(Listing { models: Vec::new(), kind: Some(ServerKind::Triton), version })
        }
        Catalogue::None => None,
    }
}

/// What TGI says of the model it serves.
pub(super) async fn tgi(client: &Client) -> Option<Listing> {
    read(Catalogue::TgiInfo, json(client, "info").await?)
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

/// Where the API is, if its URL was written as that of a request, with too much or too little.
async fn better_base(client: &Client) -> Option<Url> {
    for base in near_bases(client.base_url()) {
        let answer = client.get(join(&base, "models"), EXTRA).await.ok();
        let found = answer.and_then(|answer| answer.json());
        if found.is_some_and(|json| json.get("data").is_some_and(Value::is_array)) {
            return Some(base);
        }
    }
    None
}

/// URLs that may have been meant by `written`: without the path of a request, with one `/v1`.
fn near_bases(written: &Url) -> impl Iterator<Item = Url> {
    const REQUESTS: [&str; 6] =
        ["/chat/completions", "/completions", "/responses", "/messages", "/embeddings", "/models"];
    let path = written.path().trim_end_matches('/');
    let base = REQUESTS.iter().find_map(|request| path.strip_suffix(request)).unwrap_or(path);
    let mut above = base;
    while let Some(rest) = above.strip_suffix("/v1") {
        above = rest;
    }
    [base.to_owned(), format!("{above}/v1")].into_iter().filter(move |it| it != path).map(|path| {
        let mut url = written.clone();
        url.set_path(&path);
        url
    })
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
                "refused" => format!("no server at {base}"),
                "dns" => format!("the host of {base} does not resolve"),
                "tls" => format!("no TLS connection to {base}"),
                _ => format!("no connection to {base}"),
            };
            PreflightError::new(what, error.message.clone())
        }
        Cause::Timeout => PreflightError::new(
            format!("{base} does not answer: {}", error.message),
            if base.scheme() == "https" {
                "is the host right, is the server up and not overloaded, and does it speak https (else write \
                 http://)?"
            } else {
                "is the host right, and is the server up and not overloaded?"
            },
        ),
        Cause::TooLong => PreflightError::new(
            format!("{base} lists no models: {}", error.message),
            "is this the base URL of the API?",
        ),
        Cause::Broken => PreflightError::new(
            format!("{base} does not answer as an HTTP server: {}", error.message),
            "is the port right, and does it speak the url's scheme (http, https)?",
        ),
    }
}
