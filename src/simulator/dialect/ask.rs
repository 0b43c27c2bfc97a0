//! What a request asks, in every API's words.
//!
//! In: an API and a JSON body. Out: an [`Ask`], or what is missing. Invariant: fields nobody knows
//! are let pass, as servers do.

use serde_json::{Value, json};

use crate::plan::Api;

/// A generation as a client asks for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// Messages with all that they have, in order; a plain prompt is one of role `user`.
    pub messages: Vec<Value>,
    /// The tools beside them.
    pub tools: Option<Value>,
    /// Token ids in place of messages.
    pub ids: Vec<Value>,
    /// The model named, if any.
    pub model: Option<String>,
    /// Most tokens to generate.
    pub max_tokens: Option<u64>,
    /// Fewest tokens to generate.
    pub min_tokens: Option<u64>,
    /// Whether the answer goes on to its limit.
    pub ignore_eos: bool,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream is to end with usage.
    pub include_usage: bool,
}

/// The body asks for nothing that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AskError(pub String);

impl Ask {
    /// Reads a body. `stream` is what the path says, where paths say it.
    pub fn read(api: &Api, body: &Value, stream: Option<bool>) -> Result<Self, AskError> {
        // Where an API keeps its prompt and its limits.
        let (prompt, limit, options) = match api {
            Api::OpenaiChat | Api::AnthropicMessages => ("messages", "max_tokens", ""),
            Api::OpenaiCompletions | Api::Json(_) => ("prompt", "max_tokens", ""),
            Api::OpenaiResponses => ("input", "max_output_tokens", ""),
            Api::OllamaChat => ("messages", "num_predict", "/options"),
            Api::OllamaGenerate => ("prompt", "num_predict", "/options"),
            Api::Tgi => ("inputs", "max_new_tokens", "/parameters"),
            Api::Triton => ("text_input", "max_tokens", ""),
            Api::Sglang => ("text", "max_new_tokens", "/sampling_params"),
            Api::LlamacppCompletion => ("prompt", "n_predict", ""),
        };
        // Top-level fields reach every server; those among the options are the API's own.
        let option = |name: &str| {
            let nested = body.pointer(options).and_then(|options| options.get(name));
            nested.or_else(|| body.get(name)).filter(|value| !value.is_null())
        };
        let count = |name: &str| option(name).and_then(Value::as_u64);
        let flag = |value: Option<&Value>| value.and_then(Value::as_bool);
        let said = |role: &str, content: &Value| json!({"role": role, "content": content});
        let mut messages = Vec::new();
        for name in ["system", "instructions"] {
            messages.extend(body.get(name).filter(|it| says(it)).map(|it| said("system", it)));
        }
        let mut ids = Vec::new();
        match body.get(prompt).or_else(|| body.get("input_ids")) {
            Some(Value::Array(items)) if items.iter().any(Value::is_object) => {
                messages.extend(items.iter().cloned());
            }
            Some(Value::Array(items)) if !items.is_empty() && items.iter().all(Value::is_u64) => {
                ids.clone_from(items);
            }
            Some(plain @ Value::String(_)) => {
                let mut message = said("user", plain);
                if let Some(images) = body.get("images") {
                    message["images"] = images.clone();
                }
                messages.push(message);
            }
            // A body of the plan's own making may keep its prompt anywhere: all its text it is.
            _ if matches!(api, Api::Json(_)) => messages.push(said("user", &texts(body).into())),
            _ => return Err(AskError(format!("`{prompt}` is missing or no text"))),
        }
        if *api == Api::AnthropicMessages && count(limit).is_none() {
            return Err(AskError("max_tokens: Field required".into()));
        }
        // Ollama streams unless told not to; so does a body of the plan's own making, which says
        // nothing of it, where answers are streams.
        let default_stream = match api {
            Api::OllamaChat | Api::OllamaGenerate => true,
            Api::Json(json) => json.body.is_some(),
            _ => false,
        };
        Ok(Self {
            messages,
            tools: body.get("tools").cloned(),
            ids,
            model: body.get("model").and_then(Value::as_str).map(str::to_owned),
            max_tokens: count(limit).or_else(|| {
                matches!(api, Api::Json(_))
                    .then(|| LIMITS.iter().find_map(|key| found(body, key)))?
            }),
            min_tokens: count("min_tokens"),
            ignore_eos: flag(option("ignore_eos")).unwrap_or(false),
            stream: stream.or(flag(body.get("stream"))).unwrap_or(default_stream),
            include_usage: flag(body.pointer("/stream_options/include_usage")).unwrap_or(false),
        })
    }
}

/// Names under which bodies of the plan's own making may keep their limit.
const LIMITS: [&str; 5] =
    ["max_tokens", "max_new_tokens", "max_output_tokens", "num_predict", "n_predict"];

/// The number under `key`, at any depth.
fn found(value: &Value, key: &str) -> Option<u64> {
    match value {
        Value::Object(fields) => fields
            .get(key)
            .and_then(Value::as_u64)
            .or_else(|| fields.values().find_map(|value| found(value, key))),
        Value::Array(items) => items.iter().find_map(|value| found(value, key)),
        _ => None,
    }
}

/// All strings at any depth, in order, but for what names the model.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| *key != "model")
            .map(|(_, value)| texts(value))
            .collect(),
        _ => String::new(),
    }
}

/// Whether a system prompt says something.
fn says(value: &Value) -> bool {
    !matches!(value, Value::Null) && value.as_str() != Some("")
}
