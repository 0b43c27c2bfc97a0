//! The software that answers.
//!
//! In: what an endpoint lists. Out: a [`ServerKind`] and its version. Invariant: a server is known by
//! what it said unasked, and no kind is tried out.

use serde_json::Value;

use super::super::Client;
use super::listing::id;
use super::{json, text};

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

    /// Whether it has `/metrics` and `/tokenize` at its root.
    pub fn has_doors(self) -> bool {
        match self {
            Self::Vllm | Self::Sglang | Self::LlamaCpp | Self::Tgi | Self::Simulator => true,
            Self::Ollama | Self::Triton | Self::Other => false,
        }
    }
}

/// Which software a `Server` header names.
pub(super) fn of_header(server: &str) -> Option<ServerKind> {
    let server = server.to_ascii_lowercase();
    match () {
        () if server.contains("simulator") => Some(ServerKind::Simulator),
        () if server.contains("llama.cpp") => Some(ServerKind::LlamaCpp),
        () => None,
    }
}

/// Which software lists its models as owned by the one that says so first.
pub(super) fn of_owner(models: &[Value]) -> ServerKind {
    let says_so = |model: &Value| Some((text(model, "owned_by")?, id(model)));
    let Some((owner, id)) = models.iter().find_map(says_so) else { return ServerKind::Other };
    match owner.as_str() {
        "llamacpp" => ServerKind::LlamaCpp,
        "vllm" => ServerKind::Vllm,
        "sglang" => ServerKind::Sglang,
        "library" => ServerKind::Ollama,
        owner if owner.contains("simulator") => ServerKind::Simulator,
        owner if id.is_some_and(|id| id == owner) => ServerKind::Tgi,
        _ => ServerKind::Other,
    }
}

/// The version of a server of this kind.
pub(super) async fn version(client: &Client, kind: ServerKind) -> Option<String> {
    let paths: &[&str] = match kind {
        ServerKind::Vllm | ServerKind::Simulator => &["version"],
        ServerKind::Sglang => &["server_info", "get_server_info"],
        ServerKind::Ollama => &["api/version"],
        _ => &[],
    };
    for path in paths {
        if let Some(said) = json(client, path).await {
            return text(&said, "version");
        }
    }
    None
}
