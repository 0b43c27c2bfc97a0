//! The written form of `endpoint:` and `endpoints:`.
//!
//! In: a bound tree. Out: overlays, each key present or not.

use schemars::JsonSchema;
use serde::Deserialize;

use super::json_api::JsonKeys;
use super::param::TextOrList;
use super::scalar::{Count, Ratio, Span};
use crate::plan::CallMethod;
use crate::plan::bind::{Named, Spanned};

/// An endpoint: the name of a profile, a URL, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Endpoint", untagged)]
pub(crate) enum EndpointFile {
    /// The name of a profile, or a URL.
    Text(Spanned<String>),
    /// An endpoint in detail.
    Map(Box<EndpointKeys>),
}

/// An endpoint in detail.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointKeys {
    /// Name of the profile under `endpoints` that these keys change, or a URL.
    pub(crate) profile: Option<Spanned<String>>,
    /// Base URL including `/v1`, such as `http://127.0.0.1:8000/v1`.
    pub(crate) url: Option<Spanned<String>>,
    /// The embedded simulator instead of a URL; `{}` takes every default.
    pub(crate) simulator: Option<Spanned<SimulatorKeys>>,
    /// The API of the endpoint. Default: `openai-chat`.
    pub(crate) api: Option<ApiWord>,
    /// Requests and answers of an endpoint with `api: json`.
    pub(crate) json: Option<Spanned<JsonKeys>>,
    /// The model to ask for. If empty, the first one that `/models` lists.
    pub(crate) model: Option<Spanned<String>>,
    /// What to do with an answer whose `model` is not the one that was asked for: `any` (count it,
    /// and note it; the default) or `same` (it is a failure, and so is an answer that names no
    /// model). Names with a date or `:latest` count as the same model.
    pub(crate) require_model: Option<Spanned<RequireModelWord>>,
    /// Whether the server's list of models must contain `model`. `false` is for gateways that route
    /// by names that they do not list. Default: true.
    pub(crate) check_model: Option<Spanned<bool>>,
    /// Key to send as `Authorization: Bearer`; `${secret:NAME}` takes it from the environment
    /// variable NAME. `none` sends no such header. Default: `EMPTY`.
    pub(crate) api_key: Option<Spanned<String>>,
    /// Further headers of every request; write credentials as `${secret:NAME}`. A value with `{{ …
    /// }}` is rendered for each request, as `prompt.text` is, and is sent with generation requests
    /// only.
    pub(crate) headers: Option<Named<Spanned<String>>>,
    /// Name of a header that carries the id of the conversation, if the dataset or log has one, for
    /// gateways that route by it. Such as `X-Flow-Conversation-Id`. Not sent by default.
    pub(crate) session_header: Option<Spanned<String>>,
    /// How long to wait for each part of a request.
    pub(crate) timeouts: Option<TimeoutKeys>,
    /// PEM file of an extra certificate authority; relative to the plan's file.
    pub(crate) ca_file: Option<Spanned<String>>,
    /// Accept any certificate. Every report says so.
    pub(crate) insecure: Option<bool>,
    /// URL of a proxy. Proxy variables of the environment are ignored.
    pub(crate) proxy: Option<Spanned<String>>,
    /// Which addresses of the URL's host to connect to: `all` that its name resolves to, in turn
    /// (the default), `first` (the lowest one only), or a list of IP addresses to use instead of
    /// resolving the name. If an address refuses or does not answer, the next one is tried. The
    /// report says how many requests each got.
    pub(crate) addresses: Option<TextOrList>,
    /// How `runner` counts tokens: `auto` (by the server's `/tokenize`, if the server is recognised
    /// as vLLM, `SGLang`, llama.cpp, TGI or the simulator; else `estimate`), `server`, `estimate`
    /// (four characters per token), or the path of a `tokenizer.json`. The server is asked before
    /// the first request of a stage, not while requests are measured.
    pub(crate) tokenizer: Option<Spanned<String>>,
    /// The server's metrics page, read before, during and after each stage: `auto` (`/metrics` at
    /// the server's root, if the server is recognised as vLLM, `SGLang`, llama.cpp, TGI or the
    /// simulator; the default), `off`, the URL of a Prometheus page, or a map.
    pub(crate) metrics: Option<MetricsFile>,
    /// The HTTP request that empties this server's prefix cache. It replaces the ones for vLLM,
    /// `SGLang`, llama.cpp, Ollama and the simulator; no other is tried.
    pub(crate) flush: Option<Spanned<FlushCallKeys>>,
}

/// The server's metrics page: `auto`, `off`, a URL, or a map.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Metrics", untagged)]
pub(crate) enum MetricsFile {
    /// `auto`, `off`, or the URL of a Prometheus page.
    Text(Spanned<String>),
    /// A metrics page in detail.
    Map(Spanned<MetricsKeys>),
}

/// The server's metrics page in detail.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsKeys {
    /// URL of the server's Prometheus page. Default: `/metrics` at the server's root.
    pub(crate) url: Option<Spanned<String>>,
    /// Time between two readings while a stage runs. Default: 1s.
    pub(crate) interval: Option<Spanned<Span>>,
    /// URL of a DCGM exporter's page, for series of the GPUs.
    pub(crate) gpu: Option<Spanned<String>>,
    /// Names of further metrics of the page to keep. For counters (by their type, or names that end
    /// in `_total`, `_sum` or `_count`) the increase is reported.
    #[serde(default)]
    pub(crate) names: Vec<String>,
}

/// An HTTP request that empties a prefix cache.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlushCallKeys {
    /// HTTP method. Default: `POST`.
    pub(crate) method: Option<CallMethod>,
    /// Path at the server's root, with its query, such as `/cache/clear?all=true`.
    #[schemars(required)]
    pub(crate) path: Option<Spanned<String>>,
    /// JSON body. Default: none.
    pub(crate) body: Option<serde_json::Value>,
}

/// Which model has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RequireModelWord {
    /// Any model.
    Any,
    /// The model that was asked for.
    Same,
}

/// The APIs of endpoints.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ApiWord {
    /// `OpenAI` chat completions.
    OpenaiChat,
    /// `OpenAI` completions: a prompt without roles.
    OpenaiCompletions,
    /// `OpenAI` responses.
    OpenaiResponses,
    /// Anthropic messages.
    AnthropicMessages,
    /// Ollama `/api/chat`.
    OllamaChat,
    /// Ollama `/api/generate`.
    OllamaGenerate,
    /// Text Generation Inference `/generate_stream` and `/generate`.
    Tgi,
    /// Triton's generate extension.
    Triton,
    /// `SGLang` `/generate`.
    Sglang,
    /// llama.cpp `/completion`.
    LlamacppCompletion,
    /// Any JSON endpoint: `{prompt, max_tokens, temperature}` in, `{text, cached}` out, unless its
    /// `json` says otherwise.
    Json,
}

/// How long to wait for each part of a request.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeoutKeys {
    /// For TCP and TLS. Default: 5s.
    pub(crate) connect: Option<Spanned<Span>>,
    /// From sending to the response headers. Default: 300s.
    pub(crate) headers: Option<Spanned<Span>>,
    /// From sending to the first token. Default: 300s.
    pub(crate) first_token: Option<Spanned<Span>>,
    /// Between two reads. Default: 60s.
    pub(crate) idle: Option<Spanned<Span>>,
    /// For the whole exchange. Default: 600s.
    pub(crate) total: Option<Spanned<Span>>,
}

/// The embedded simulator: an OpenAI-style server with a real prefix cache. It counts one token per
/// four characters of text, one per token id, 256 per image, sound or file of any size, and the
/// names and values of everything else in a request (tools, calls, results). The cache considers
/// all of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimulatorKeys {
    /// Model name it serves.
    pub(crate) model: Option<String>,
    /// Maximum length of prompt plus answer, in tokens. Default: 131072.
    pub(crate) max_model_len: Option<Spanned<Count>>,
    /// Capacity of the prefix cache in tokens, 0 for none. Default: 200k.
    pub(crate) cache_tokens: Option<Spanned<Count>>,
    /// Tokens per cache block. Default: 16.
    pub(crate) block_tokens: Option<Spanned<Count>>,
    /// Prompt tokens computed per second, shared by all in prefill. Default: 8k.
    pub(crate) prefill_rate: Option<Spanned<Ratio>>,
    /// Tokens generated per second by one sequence alone. Default: 100.
    pub(crate) decode_rate: Option<Spanned<Ratio>>,
    /// Relative slow-down of decoding per further running sequence. Default: 0.02.
    pub(crate) batch_cost: Option<Spanned<Ratio>>,
    /// Sequences running at once. Default: 64.
    pub(crate) max_num_seqs: Option<Spanned<Count>>,
    /// Waiting sequences before it answers 503. Default: 1024.
    pub(crate) max_queue: Option<Spanned<Count>>,
    /// Fixed time before prefill starts. Default: 5ms.
    pub(crate) overhead: Option<Spanned<Span>>,
    /// Relative spread of its times, 0 for none. Default: 0.05.
    pub(crate) jitter: Option<Spanned<Ratio>>,
    /// Seed of jitter and of the generated text. Default: the plan's seed.
    pub(crate) seed: Option<Spanned<Count>>,
    /// Key that requests must have. Default: none is needed.
    pub(crate) api_key: Option<Spanned<String>>,
    /// Whether it has `/reset_prefix_cache`. Default: true.
    pub(crate) reset_prefix_cache: Option<bool>,
    /// Whether usage reports cached tokens. Default: true.
    pub(crate) report_cached_tokens: Option<bool>,
    /// Scripted faults.
    #[serde(default)]
    pub(crate) faults: Vec<Spanned<FaultKeys>>,
}

/// One scripted fault: which requests, and exactly one of `status`, `truncate`, `disconnect`,
/// `stall`, `error_event`, `malformed` and `crash`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultKeys {
    /// First generation request it applies to, from 0. Default: 0.
    pub(crate) from: Option<Spanned<Count>>,
    /// How many requests in a row. Default: 1.
    pub(crate) count: Option<Spanned<Count>>,
    /// Answer with this HTTP status.
    pub(crate) status: Option<Spanned<Count>>,
    /// Close the connection cleanly after this many tokens.
    pub(crate) truncate: Option<Spanned<Count>>,
    /// Cut the body after this many tokens.
    pub(crate) disconnect: Option<Spanned<Count>>,
    /// Go silent after this many tokens.
    pub(crate) stall: Option<Spanned<Count>>,
    /// Send an error event inside the stream after this many tokens.
    pub(crate) error_event: Option<Spanned<Count>>,
    /// Send half a JSON object after this many tokens.
    pub(crate) malformed: Option<Spanned<Count>>,
    /// The whole server goes away.
    pub(crate) crash: Option<bool>,
}
