//! The written form of `endpoint:` and `endpoints:`.
//!
//! In: a bound tree. Out: overlays, each key present or not.

use schemars::JsonSchema;
use serde::Deserialize;

use super::json_api::JsonKeys;
use super::param::TextOrList;
use super::scalar::{Count, Ratio, Span};
use crate::plan::bind::{Named, Spanned};

/// An endpoint: a profile's name, a URL, or a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Endpoint", untagged)]
pub(crate) enum EndpointFile {
    /// A profile's name or a URL.
    Text(Spanned<String>),
    /// An endpoint in detail.
    Map(Box<EndpointKeys>),
}

/// An endpoint in detail.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointKeys {
    /// Name of the profile under `endpoints` that these keys are laid over, or a URL.
    pub(crate) profile: Option<Spanned<String>>,
    /// Base URL including `/v1`, such as `http://127.0.0.1:8000/v1`.
    pub(crate) url: Option<Spanned<String>>,
    /// The embedded simulator instead of a URL; `{}` takes every default.
    pub(crate) simulator: Option<Spanned<SimulatorKeys>>,
    /// The API spoken there; `openai-chat` unless given.
    pub(crate) api: Option<ApiWord>,
    /// How an endpoint with `api: json` is asked and read.
    pub(crate) json: Option<Spanned<JsonKeys>>,
    /// The model to ask for; the first of `/models` when empty.
    pub(crate) model: Option<Spanned<String>>,
    /// What becomes of an answer by another model than was asked for, as its `model` says: `any` (it
    /// counts, and the run says so; the default) or `same` (it is a failure, and so is one that names
    /// no model). Dated names and `:latest` stand for the same model.
    pub(crate) require_model: Option<Spanned<RequireModelWord>>,
    /// Whether the server's list of models must have `model`; true unless given. `false` is for
    /// gateways that route by names which they do not list.
    pub(crate) check_model: Option<Spanned<bool>>,
    /// Key sent as `Authorization: Bearer`, as `${secret:NAME}` from the environment variable
    /// NAME; `EMPTY` unless given. With `none` no such header is sent.
    pub(crate) api_key: Option<Spanned<String>>,
    /// Further headers of every request; credentials as `${secret:NAME}`. A value with `{{ … }}` is
    /// rendered for each request, as `prompt.text` is, and goes out with generations only.
    pub(crate) headers: Option<Named<Spanned<String>>>,
    /// Header that carries the id of a request's conversation, where a dataset or log has one, such
    /// as `X-Flow-Conversation-Id`: for gateways that route by it. Not sent unless given.
    pub(crate) session_header: Option<Spanned<String>>,
    /// How long to wait for each part of a request.
    pub(crate) timeouts: Option<TimeoutKeys>,
    /// PEM file of an extra certificate authority; relative to the plan's file.
    pub(crate) ca_file: Option<Spanned<String>>,
    /// Accept any certificate; said in every report.
    pub(crate) insecure: Option<bool>,
    /// Proxy URL; proxy variables of the environment are ignored.
    pub(crate) proxy: Option<Spanned<String>>,
    /// Which addresses of the URL's host are connected to: `all` that its name stands for, one
    /// connection each in turn (the default), `first` (only the lowest), or a list of IP addresses
    /// instead of asking the resolver. One that refuses or is silent is left for the next; the report
    /// says what went where.
    pub(crate) addresses: Option<TextOrList>,
    /// How tokens are counted on our side: `auto` (the server's `/tokenize`, where the server is
    /// recognised as one of vLLM, `SGLang`, llama.cpp, TGI and the simulator; else the estimate),
    /// `server`, `estimate` (four characters per token), or the path of a `tokenizer.json`. The
    /// server is asked before the first request of a stage and not while requests are measured.
    pub(crate) tokenizer: Option<Spanned<String>>,
    /// The server's own account, read before, during and after each stage: `auto` (`/metrics` at
    /// the server's root, where the server is recognised as one of vLLM, `SGLang`, llama.cpp, TGI and
    /// the simulator; the default), `off`, the URL of a Prometheus page, or a map.
    pub(crate) metrics: Option<MetricsFile>,
    /// The call that empties this server's prefix cache, instead of the one that vLLM, `SGLang`,
    /// llama.cpp, Ollama and the simulator have; no other is tried.
    pub(crate) flush: Option<Spanned<FlushCallKeys>>,
}

/// Where the server's own account is read: `auto`, `off`, a URL, or a map.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Metrics", untagged)]
pub(crate) enum MetricsFile {
    /// `auto`, `off`, or the URL of a Prometheus page.
    Text(Spanned<String>),
    /// In detail.
    Map(Spanned<MetricsKeys>),
}

/// Where and how often the server's own account is read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsKeys {
    /// URL of the server's Prometheus page; `/metrics` at the server's root unless given.
    pub(crate) url: Option<Spanned<String>>,
    /// From one reading to the next while a stage runs; 1s unless given.
    pub(crate) interval: Option<Spanned<Span>>,
    /// URL of a DCGM exporter's page, for series of the GPUs.
    pub(crate) gpu: Option<Spanned<String>>,
    /// Further metrics of the page to keep, by name; those that end in `_total`, `_sum` or `_count`
    /// or are typed as counters are told by what they grew by.
    #[serde(default)]
    pub(crate) names: Vec<String>,
}

/// A call that empties a prefix cache.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlushCallKeys {
    /// `POST` unless given.
    pub(crate) method: Option<MethodWord>,
    /// Path at the server's root, with its query, such as `/cache/clear?all=true`.
    #[schemars(required)]
    pub(crate) path: Option<Spanned<String>>,
    /// JSON body; none unless given.
    pub(crate) body: Option<serde_json::Value>,
}

/// Which model must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RequireModelWord {
    /// Whichever does.
    Any,
    /// The one that was asked for.
    Same,
}

/// The methods of a call.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum MethodWord {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
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
    /// TCP and TLS; 5s unless given.
    pub(crate) connect: Option<Spanned<Span>>,
    /// From sent to response headers; 300s unless given.
    pub(crate) headers: Option<Spanned<Span>>,
    /// From sent to the first token; 300s unless given.
    pub(crate) first_token: Option<Spanned<Span>>,
    /// Between two reads; 60s unless given.
    pub(crate) idle: Option<Spanned<Span>>,
    /// The whole exchange; 600s unless given.
    pub(crate) total: Option<Spanned<Span>>,
}

/// The embedded simulator: an OpenAI-style server with a real prefix cache. A prompt has a token for four
/// characters of text, one for each token id, 256 for an image, a sound or a file of any size, and those
/// of names and values of all else that a request says (tools, calls, results); the cache goes by all of
/// it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimulatorKeys {
    /// Model name it serves.
    pub(crate) model: Option<String>,
    /// Longest prompt plus answer, in tokens; 131072 unless given.
    pub(crate) max_model_len: Option<Spanned<Count>>,
    /// Capacity of the prefix cache in tokens, 0 for none; 200k unless given.
    pub(crate) cache_tokens: Option<Spanned<Count>>,
    /// Tokens per cache block; 16 unless given.
    pub(crate) block_tokens: Option<Spanned<Count>>,
    /// Prompt tokens computed per second, shared by all in prefill; 8k unless given.
    pub(crate) prefill_rate: Option<Spanned<Ratio>>,
    /// Tokens generated per second by one sequence alone; 100 unless given.
    pub(crate) decode_rate: Option<Spanned<Ratio>>,
    /// Relative slow-down of decoding per further running sequence; 0.02 unless given.
    pub(crate) batch_cost: Option<Spanned<Ratio>>,
    /// Sequences running at once; 64 unless given.
    pub(crate) max_num_seqs: Option<Spanned<Count>>,
    /// Waiting sequences before it answers 503; 1024 unless given.
    pub(crate) max_queue: Option<Spanned<Count>>,
    /// Fixed time before prefill starts; 5ms unless given.
    pub(crate) overhead: Option<Spanned<Span>>,
    /// Relative spread of its times, 0 for none; 0.05 unless given.
    pub(crate) jitter: Option<Spanned<Ratio>>,
    /// Seed of jitter and of the generated text; the plan's seed unless given.
    pub(crate) seed: Option<Spanned<Count>>,
    /// Key it asks for; anyone may come in unless given.
    pub(crate) api_key: Option<Spanned<String>>,
    /// Whether it has `/reset_prefix_cache`; true unless given.
    pub(crate) reset_prefix_cache: Option<bool>,
    /// Whether usage reports cached tokens; true unless given.
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
    /// First generation request it applies to, from 0; 0 unless given.
    pub(crate) from: Option<Spanned<Count>>,
    /// How many requests in a row; 1 unless given.
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
