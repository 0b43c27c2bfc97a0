//! The software that answers.
//!
//! In: what an endpoint lists, and doors that one server has and no other. Out: a [`ServerKind`] and
//! its version. Invariant: a door that is not there costs a question and no more.

use serde_json::Value;

use super::super::Client;
use super::listing::Listing;
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
}

pub(super) async fn recognise(client: &Client, listing: &Listing) -> (ServerKind, Option<String>) {
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
