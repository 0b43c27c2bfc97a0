//! Who answers at an endpoint, before anything is measured.
//!
//! In: an endpoint. Out: a [`Server`], or a [`PreflightError`] that says what is wrong and how to
//! put it right. Invariant: it takes at most [`TOTAL`], and it changes nothing on the server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::ending::seconds;
use super::side_door::{Answer, Cause, NoAnswer};
use super::{Client, ClientError, join, tokenize};

/// Longest preflight.
pub const TOTAL: Duration = Duration::from_secs(20);
/// Longest single call of it.
const CALL: Duration = Duration::from_secs(10);
/// Longest call for something that is nice to know.
const EXTRA: Duration = Duration::from_secs(3);
/// Stands for the model where the API has no word for it.
const UNNAMED: &str = "unnamed";
/// How many models an error lists.
const LISTED: usize = 10;

/// The software that answers, as far as it matters for cache control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// vLLM.
    Vllm,
    /// `SGLang`.
    Sglang,
    /// llama.cpp's `llama-server`.
    LlamaCpp,
    /// Ollama.
    Ollama,
    /// Text Generation Inference.
    Tgi,
    /// Triton.
    Triton,
    /// The embedded simulator, which has vLLM's side doors.
    Simulator,
    /// Anything else.
    Other,
}

impl ServerKind {
    /// Its name for people and for the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vLLM",
            Self::Sglang => "SGLang",
            Self::LlamaCpp => "llama.cpp",
            Self::Ollama => "Ollama",
            Self::Tgi => "TGI",
            Self::Triton => "Triton",
            Self::Simulator => "simulator",
            Self::Other => "unknown server",
        }
    }
}

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
    /// Whether `/tokenize` counts tokens.
    pub has_tokenize: bool,
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

/// Asks the server who it is and whether it has `model` (its first when `None`).
pub async fn probe(
    client: &Client,
    model: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Server, PreflightError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(PreflightError::new("interrupted", "")),
        result = tokio::time::timeout(TOTAL, ask(client, model)) => result.unwrap_or_else(|_| {
            Err(PreflightError::new(
                format!("{} did not answer within {}", client.base_url(), seconds(TOTAL)),
                "is the server overloaded or still starting?",
            ))
        }),
    }
}

/// Whether the server still answers at all: any HTTP answer counts.
pub async fn is_alive(client: &Client) -> Result<(), String> {
    match client.get(join(client.base_url(), "models"), EXTRA).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

async fn ask(client: &Client, model: Option<&str>) -> Result<Server, PreflightError> {
    let mut warnings = Vec::new();
    let listing = listing(client, model, &mut warnings).await?;
    let (mut kind, mut version) = match listing.native {
        Some(kind) => (kind, listing.version.clone()),
        None => recognise(client, &listing).await,
    };
    let models: Vec<String> = listing.models.iter().filter_map(id).collect();
    let model = if model.is_none() && models.is_empty() && !client.needs_model() {
        UNNAMED.to_owned()
    } else {
        choose(model, &models, kind, &mut warnings)?
    };
    let mut entry = listing.models.iter().find(|entry| id(entry).is_some_and(|id| id == model));
    // TGI lists its model as OpenAI's API does, and says more of it in a place of its own.
    let info = if kind == ServerKind::Other { tgi(client).await } else { None };
    if let Some(info) = &info {
        (kind, version) = (ServerKind::Tgi, text(info, "version"));
        entry = Some(info);
    }
    let mut context_tokens = entry.and_then(context);
    let mut model_details = entry.map(details).unwrap_or_default();
    let mut slots = None;
    // llama.cpp behind a proxy loses its `Server` header, but /props stays its own.
    if matches!(kind, ServerKind::LlamaCpp | ServerKind::Other)
        && let Some(props) = json(client, "props").await
        && let Some(total) = props.get("total_slots").and_then(Value::as_u64)
    {
        kind = ServerKind::LlamaCpp;
        slots = Some(total);
        version = props.get("build_info").and_then(Value::as_str).map(str::to_owned);
        let per_slot = props.pointer("/default_generation_settings/n_ctx").and_then(Value::as_u64);
        context_tokens = per_slot.or(context_tokens);
        if let Some(file) = props.get("model_path").filter(|file| file.is_string()) {
            model_details.insert("model_path".to_owned(), file.clone());
        }
    }
    let has_tokenize = tokenize::count(client, kind, &model, "one two").await.is_ok();
    Ok(Server {
        kind,
        version,
        model,
        models,
        context_tokens,
        model_details,
        slots,
        has_tokenize,
        warnings,
    })
}

/// The answer of `/models`.
#[derive(Default)]
struct Listing {
    models: Vec<Value>,
    server: Option<String>,
    /// The server, when it was known by a door of its own, and its version.
    native: Option<ServerKind>,
    version: Option<String>,
}

async fn listing(
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
async fn tgi(client: &Client) -> Option<Value> {
    let mut info = json(client, "info").await?;
    let model = info.get("model_id")?.clone();
    let longest = info.get("max_total_tokens").cloned();
    let fields = info.as_object_mut()?;
    fields.insert("id".into(), model);
    fields.extend(longest.map(|longest| ("max_model_len".to_owned(), longest)));
    Some(info)
}

/// What a listed model says of itself, as far as it tells two models apart.
fn details(model: &Value) -> BTreeMap<String, Value> {
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

async fn recognise(client: &Client, listing: &Listing) -> (ServerKind, Option<String>) {
    let owner = listing.models.iter().find_map(|model| model.get("owned_by")?.as_str());
    let server = listing.server.as_deref().unwrap_or_default().to_ascii_lowercase();
    let mut kind = match owner.unwrap_or_default() {
        _ if server.contains("simulator") => ServerKind::Simulator,
        _ if server.contains("llama.cpp") => ServerKind::LlamaCpp,
        "llamacpp" => ServerKind::LlamaCpp,
        "vllm" => ServerKind::Vllm,
        "sglang" => ServerKind::Sglang,
        owner if owner.contains("simulator") => ServerKind::Simulator,
        _ => ServerKind::Other,
    };
    if kind == ServerKind::LlamaCpp {
        return (kind, None);
    }
    let said = |json: Value| text(&json, "version");
    let mut version = json(client, "version").await.and_then(said);
    if version.is_none()
        && kind == ServerKind::Other
        && let Some(ollama) = json(client, "api/version").await.and_then(said)
    {
        return (ServerKind::Ollama, Some(ollama));
    }
    if version.is_none() && matches!(kind, ServerKind::Sglang | ServerKind::Other) {
        for path in ["server_info", "get_server_info"] {
            let Some(info) = json(client, path).await else { continue };
            // Only SGLang has this beside its version.
            if info.get("max_total_num_tokens").is_some() || info.get("tp_size").is_some() {
                kind = ServerKind::Sglang;
            }
            version = said(info);
            break;
        }
    }
    (kind, version)
}

/// The model to ask for.
fn choose(
    asked: Option<&str>,
    models: &[String],
    kind: ServerKind,
    warnings: &mut Vec<String>,
) -> Result<String, PreflightError> {
    let listed = || {
        let more = models.len().saturating_sub(LISTED);
        let names = models.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
        if more == 0 { names } else { format!("{names} and {more} more") }
    };
    match (asked, models.first()) {
        (None, Some(first)) => Ok(first.clone()),
        (None, None) => Err(PreflightError::new(
            "the server lists no models",
            "load a model into the server, or set the endpoint's `model`",
        )),
        (Some(asked), None) => Ok(asked.to_owned()),
        (Some(asked), Some(_)) if models.iter().any(|model| covers(model, asked)) => {
            Ok(asked.to_owned())
        }
        (Some(asked), Some(_)) if kind == ServerKind::LlamaCpp => {
            warnings.push(format!(
                "llama.cpp answers to any model name: `{asked}` will be answered by {}",
                listed()
            ));
            Ok(asked.to_owned())
        }
        (Some(asked), Some(_)) => {
            let near = models
                .iter()
                .map(|model| (strsim::jaro_winkler(model, asked), model))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(likeness, _)| *likeness > 0.7);
            let help = match near {
                Some((_, model)) => format!("did you mean `{model}`? it has: {}", listed()),
                None => format!("it has: {}", listed()),
            };
            Err(PreflightError::new(format!("the server has no model `{asked}`"), help))
        }
    }
}

/// Whether a listed model stands for `asked`; gateways list patterns such as `openai/*`.
fn covers(model: &str, asked: &str) -> bool {
    model == asked || model.strip_suffix('*').is_some_and(|stem| asked.starts_with(stem))
}

fn id(model: &Value) -> Option<String> {
    text(model, "id")
}

fn text(json: &Value, key: &str) -> Option<String> {
    json.get(key)?.as_str().map(str::to_owned)
}

/// The context length as vLLM and `SGLang`, llama.cpp, and hosted APIs name it.
fn context(model: &Value) -> Option<u64> {
    ["/max_model_len", "/meta/n_ctx", "/context_length", "/context_window"]
        .iter()
        .find_map(|path| model.pointer(path)?.as_u64())
}

/// A JSON answer from the server's root, if it gives one.
async fn json(client: &Client, path: &str) -> Option<Value> {
    let answer = client.get(client.root_url(path), EXTRA).await.ok()?;
    answer.json().filter(|_| answer.ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(
        asked: Option<&str>,
        models: &[&str],
        kind: ServerKind,
    ) -> Result<String, PreflightError> {
        let models: Vec<String> = models.iter().map(|&model| model.into()).collect();
        choose(asked, &models, kind, &mut Vec::new())
    }

    #[test]
    fn the_first_model_is_taken_when_none_is_asked_for() {
        assert_eq!(pick(None, &["a", "b"], ServerKind::Vllm).unwrap(), "a");
        assert!(pick(None, &[], ServerKind::Vllm).is_err());
    }

    #[test]
    fn an_unknown_model_lists_those_there_and_the_nearest() {
        let error = pick(Some("lama-8b"), &["qwen-7b", "llama-8b"], ServerKind::Vllm).unwrap_err();
        assert_eq!(error.what, "the server has no model `lama-8b`");
        assert_eq!(error.help, "did you mean `llama-8b`? it has: qwen-7b, llama-8b");
        let error = pick(Some("zz"), &["qwen-7b"], ServerKind::Vllm).unwrap_err();
        assert_eq!(error.help, "it has: qwen-7b");
    }

    #[test]
    fn wildcards_and_servers_without_a_list_take_any_name() {
        assert_eq!(pick(Some("openai/x"), &["openai/*"], ServerKind::Other).unwrap(), "openai/x");
        assert_eq!(pick(Some("x"), &[], ServerKind::Other).unwrap(), "x");
    }

    #[test]
    fn llama_cpp_takes_any_name_with_a_warning() {
        let mut warnings = Vec::new();
        let models = ["smollm2".to_owned()];
        let model = choose(Some("x"), &models, ServerKind::LlamaCpp, &mut warnings).unwrap();
        assert_eq!(model, "x");
        assert!(warnings[0].contains("smollm2"), "{warnings:?}");
    }
}
