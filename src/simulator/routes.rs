//! One answer per path.
//!
//! In: a request. Out: a response as vLLM gives it; what generates text is in `generate`, whatever
//! its API.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::chat;
use super::engine::Counters;
use super::generate;
use super::http::{self, Connection, Incoming};
use super::server::Shared;
use super::tokens;
use crate::plan::SimulatorConfig;

/// Content type of JSON.
pub const JSON: &str = "application/json";
/// Content type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// As the client asked.
    Keep,
    /// It ends here, by a fault.
    Close,
}

/// Answers one request; an error means that the client is gone.
pub async fn answer(
    connection: &mut Connection,
    shared: &Arc<Shared>,
    request: Incoming,
    read_ns: u64,
) -> io::Result<Next> {
    let keep_alive = request.keep_alive;
    let config = &shared.config;
    let generates = generate::is_at(config, &request.path);
    // Like vLLM, the key guards the API and not the side doors.
    if (generates || request.path.starts_with("/v1/")) && !has_key(shared, &request) {
        let body = json!({"error": {
            "message": "Incorrect API key provided.",
            "type": "invalid_request_error", "param": null, "code": "invalid_api_key",
        }});
        return respond(connection, 401, &body.to_string(), keep_alive).await;
    }
    let reset = config.reset_prefix_cache;
    let (status, body) = match (request.method.as_str(), request.path.as_str()) {
        ("POST", _) if generates => {
            return generate::answer(connection, shared, request, read_ns).await;
        }
        ("GET", "/v1/models") => (200, models(shared)),
        ("POST", "/tokenize") => tokenize(shared, &request.body),
        ("GET", "/metrics") => {
            let text = metrics(config, &shared.advance().engine.counters());
            let response = http::response(200, PROMETHEUS, text.as_bytes(), keep_alive);
            connection.write(&response).await?;
            return Ok(Next::Keep);
        }
        ("POST", "/reset_prefix_cache") if reset => {
            let success = shared.advance().engine.reset_cache();
            (200, json!({"success": success}).to_string())
        }
        ("GET", "/version") => {
            let version = concat!("runner-simulator ", env!("CARGO_PKG_VERSION"));
            (200, json!({"version": version}).to_string())
        }
        ("GET", "/health") => (200, String::new()),
        (_, "/reset_prefix_cache") if !reset => (404, not_found()),
        (
            _,
            "/v1/models"
            | "/tokenize"
            | "/metrics"
            | "/reset_prefix_cache"
            | "/version"
            | "/health",
        ) => (405, json!({"detail": "Method Not Allowed"}).to_string()),
        _ if generates => (405, json!({"detail": "Method Not Allowed"}).to_string()),
        _ => (404, not_found()),
    };
    respond(connection, status, &body, keep_alive).await
}

/// Sends a whole JSON response.
pub async fn respond(
    connection: &mut Connection,
    status: u16,
    body: &str,
    keep_alive: bool,
) -> io::Result<Next> {
    connection.write(&http::response(status, JSON, body.as_bytes(), keep_alive)).await?;
    Ok(Next::Keep)
}

/// An error as vLLM words it.
pub fn error_body(status: u16, kind: &str, message: &str) -> String {
    json!({"error": {"message": message, "type": kind, "param": null, "code": status}}).to_string()
}

fn not_found() -> String {
    json!({"detail": "Not Found"}).to_string()
}

fn has_key(shared: &Shared, request: &Incoming) -> bool {
    let Some(key) = &shared.config.api_key else { return true };
    let given = request.authorization.as_deref().and_then(|value| value.split_once(' '));
    given
        .is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer") && given.trim() == key)
}

fn models(shared: &Shared) -> String {
    let config = &shared.config;
    json!({"object": "list", "data": [{
        "id": config.model, "object": "model", "created": chat::unix_seconds(),
        "owned_by": "runner-simulator", "root": config.model, "parent": null,
        "max_model_len": config.max_model_len, "permission": [],
    }]})
    .to_string()
}

/// `/tokenize`: plain text, or messages in the chat template.
#[derive(Debug, Deserialize)]
struct TokenizeBody {
    model: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<Value>>,
    tools: Option<Value>,
}

fn tokenize(shared: &Shared, body: &[u8]) -> (u16, String) {
    let bad = |message: &str| (400, error_body(400, "BadRequestError", message));
    let body: TokenizeBody = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return bad(&error.to_string()),
    };
    if let Some(refusal) = chat::unknown_model(shared, body.model.as_deref()) {
        return (404, refusal);
    }
    let mut ids = Vec::new();
    match (&body.prompt, &body.messages) {
        (Some(prompt), _) => tokens::push_text(prompt, &mut ids),
        (None, Some(messages)) => ids = tokens::chat(&body.tools, messages),
        (None, None) => return bad("either prompt or messages is needed"),
    }
    let max_model_len = shared.config.max_model_len;
    let body = json!({
        "count": ids.len(), "max_model_len": max_model_len, "tokens": ids, "token_strs": null,
    });
    (200, body.to_string())
}

fn metrics(config: &SimulatorConfig, counters: &Counters) -> String {
    let label = config.model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels = format!("engine=\"0\",model_name=\"{label}\"");
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
        // A counter's name carries its suffix on every line, as in the format's version 0.0.4.
        // Writing to a string can't fail.
        let _ = writeln!(out, "# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}");
        for (more, value) in samples {
            let _ = writeln!(out, "vllm:{name}{{{labels}{more}}} {value:?}");
        }
    };
    let Counters { running, waiting, kv_usage, cache_queries, cache_hits, .. } = *counters;
    let gauge = "gauge";
    family("num_requests_running", gauge, "Running requests.", &[("", running as f64)]);
    family("num_requests_waiting", gauge, "Waiting requests.", &[("", waiting as f64)]);
    family("kv_cache_usage_perc", gauge, "KV cache in use, 1 = full.", &[("", kv_usage)]);
    let block = format!(",block_size=\"{}\"", config.block_tokens);
    family("cache_config_info", gauge, "Settings of the cache.", &[(&block, 1.0)]);
    let counter = "counter";
    let queries = [("", cache_queries as f64)];
    family("prefix_cache_queries_total", counter, "Prompt tokens looked up.", &queries);
    let hits = [("", cache_hits as f64)];
    family("prefix_cache_hits_total", counter, "Prompt tokens found.", &hits);
    let prompt = [("", counters.prompt_tokens as f64)];
    family("prompt_tokens_total", counter, "Prompt tokens.", &prompt);
    let generated = [("", counters.generation_tokens as f64)];
    family("generation_tokens_total", counter, "Generated tokens.", &generated);
    let ended = [
        (",finished_reason=\"stop\"", counters.stopped as f64),
        (",finished_reason=\"length\"", counters.cut as f64),
        (",finished_reason=\"abort\"", counters.aborted as f64),
    ];
    family("request_success_total", counter, "Ended requests.", &ended);
    family("num_preemptions_total", counter, "Preempted requests.", &[("", 0.0)]);
    let seconds = |ns: u64| ns as f64 / 1e9;
    let (queued, prefill) = (seconds(counters.queued_ns), seconds(counters.prefill_ns));
    for (name, sum) in [
        ("request_queue_time_seconds", queued),
        ("request_prefill_time_seconds", prefill),
        ("time_to_first_token_seconds", queued + prefill),
    ] {
        // A histogram without its buckets, which nobody reads here.
        let count = counters.begun;
        let _ = writeln!(
            out,
            "# TYPE vllm:{name} histogram\nvllm:{name}_sum{{{labels}}} {sum:?}\n\
             vllm:{name}_count{{{labels}}} {count}"
        );
    }
    out
}
