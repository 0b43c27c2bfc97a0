//! Who answers at an endpoint, before anything is measured.
//!
//! In: an endpoint. Out: a [`Server`], or a [`PreflightError`] that says what is wrong and how to
//! put it right. Invariant: it takes at most [`TOTAL`], changes nothing on the server, and asks only
//! what the API, the plan or an earlier answer says is there:
//!
//! | asked | of |
//! |---|---|
//! | `/models` | `OpenAI`'s APIs, Anthropic's; `/v1/models` at the root: SGLang's, llama.cpp's |
//! | `/api/tags`, `/info`, `/v2` | Ollama's APIs, TGI's, Triton's |
//! | the request's own URL; `/models` where its body names a model and the plan none | any JSON endpoint |
//! | `/v1/models` beside another API | simulators and llama.cpp, by their `Server` header |
//! | `BASE/v1/models` | where `/models` is missing and the run ends, to say which URL is right |
//! | `/version` · `/server_info`, `/get_server_info` · `/api/version` | vLLM, simulators · SGLang · Ollama |
//! | `/props`, `/slots` | llama.cpp |
//! | `/info` beside another API | a server whose model is owned by itself, as TGI lists it |
//! | `/metrics`, `/tokenize` | kinds that [have them](ServerKind::has_doors), or as the plan says |
//! | the calls that empty a cache | the kind that has them, or as the plan says |

mod listing;
mod model;
mod software;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::ending::seconds;
use super::{Client, ClientError};
use listing::{context, details, id, listing, tgi};
use model::choose;
pub use software::ServerKind;
use software::{of_owner, version};

/// Longest preflight.
pub const TOTAL: Duration = Duration::from_secs(20);
/// Longest single call of it.
const CALL: Duration = Duration::from_secs(10);
/// Longest call for something that is nice to know.
const EXTRA: Duration = Duration::from_secs(3);
/// Stands for the model where the API has no word for it.
const UNNAMED: &str = "unnamed";

/// What is known about the endpoint's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The software.
    pub kind: ServerKind,
    /// Its version, as it says it.
    pub version: Option<String>,
    /// The model to ask for: the plan's, else the first of `models`.
    pub model: String,
    /// All models it lists; empty when it lists none.
    pub models: Vec<String>,
    /// Longest prompt plus answer of one request, in tokens.
    pub context_tokens: Option<u64>,
    /// What it says of the model: its file, parent, size, quantisation, digest.
    pub model_details: BTreeMap<String, Value>,
    /// Requests it serves at once (llama.cpp's slots).
    pub slots: Option<u64>,
    /// Things worth knowing before a run; one line each.
    pub warnings: Vec<String>,
}

/// The endpoint cannot be measured as the plan says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct PreflightError {
    /// What is wrong, in one line.
    pub what: String,
    /// How to put it right.
    pub help: String,
}

impl PreflightError {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

impl From<ClientError> for PreflightError {
    fn from(error: ClientError) -> Self {
        Self::new(error.to_string(), "correct the endpoint in the plan")
    }
}

/// Asks the server who it is and whether it has `model` (its first when `None`), unless that is not
/// to be `checked`.
pub async fn probe(
    client: &Client,
    (model, checked): (Option<&str>, bool),
    cancel: &CancellationToken,
) -> Result<Server, PreflightError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(PreflightError::new("interrupted", "")),
        result = tokio::time::timeout(TOTAL, ask(client, model, checked)) => result.unwrap_or_else(|_| {
            Err(PreflightError::new(
                format!("{} did not answer within {}", client.base_url(), seconds(TOTAL)),
                "is the server overloaded or still starting?",
            ))
        }),
    }
}

/// Whether the server still answers at all: any HTTP answer counts.
pub async fn is_alive(client: &Client) -> Result<(), String> {
    match client.get(client.catalogue().1, EXTRA).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a server that was away serves again: one that still loads its model, or a gateway without
/// its server, answers 502 to 504.
pub async fn is_back(client: &Client) -> Result<(), String> {
    match client.get(client.catalogue().1, EXTRA).await {
        Ok(answer) if (502..=504).contains(&answer.status) => {
            Err(format!("HTTP {}", answer.status))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

async fn ask(
    client: &Client,
    model: Option<&str>,
    checked: bool,
) -> Result<Server, PreflightError> {
    let mut warnings = Vec::new();
    let mut listing = listing(client, model, &mut warnings).await?;
    let mut kind = listing.kind.unwrap_or_else(|| of_owner(&listing.models));
    // TGI lists its model as OpenAI's API does, and says more of it in a place of its own.
    if listing.kind.is_none() && kind == ServerKind::Tgi {
        match tgi(client).await {
            Some(info) => listing = info,
            None => kind = ServerKind::Other,
        }
    }
    let models: Vec<String> = listing.models.iter().filter_map(id).collect();
    let model = if model.is_none() && models.is_empty() && !client.needs_model() {
        UNNAMED.to_owned()
    } else {
        choose((model, checked), &models, kind, &mut warnings)?
    };
    let entry = listing.models.iter().find(|entry| id(entry).is_some_and(|id| id == model));
    let mut context_tokens = entry.and_then(context);
    let mut model_details = entry.map(details).unwrap_or_default();
    let mut version = match listing.version {
        None => version(client, kind).await,
        known => known,
    };
    let mut slots = None;
    if kind == ServerKind::LlamaCpp
        && let Some(props) = json(client, "props").await
    {
        slots = props.get("total_slots").and_then(Value::as_u64);
        version = text(&props, "build_info");
        let per_slot = props.pointer("/default_generation_settings/n_ctx").and_then(Value::as_u64);
        context_tokens = per_slot.or(context_tokens);
        if let Some(file) = props.get("model_path").filter(|file| file.is_string()) {
            model_details.insert("model_path".to_owned(), file.clone());
        }
    }
    Ok(Server { kind, version, model, models, context_tokens, model_details, slots, warnings })
}

/// A JSON answer from the server's root, if it gives one.
async fn json(client: &Client, path: &str) -> Option<Value> {
    let answer = client.get(client.root_url(path), EXTRA).await.ok()?;
    answer.json().filter(|_| answer.ok())
}

fn text(json: &Value, key: &str) -> Option<String> {
    json.get(key)?.as_str().map(str::to_owned)
}
