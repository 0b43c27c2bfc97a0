//! What a request has beside its messages, in the words of chat completions.
//!
//! In: the name of a field, and its value. Out: whether it is one of a request, and of which APIs. Invariant:
//! one table serves whoever reads rows and whoever sends them, so that no field is read as one of a request
//! and then unknown.

use serde_json::Value;

use Kind::{List, Number, Object, Text, TextOrTree, Tree, Truth, TruthOrNumber, Whole};

/// What the value of a field is.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// Text, or a list or an object.
    TextOrTree,
    Number,
    Whole,
    Truth,
    TruthOrNumber,
    List,
    Object,
    /// A list or an object.
    Tree,
}

type Fields = &'static [(Kind, &'static [&'static str])];

/// Fields of chat completions, which other APIs have under names of their own or not at all.
const CHAT: Fields = &[
    (
        Tree,
        &[
            "tools",
            "functions",
            "response_format",
            "modalities",
            "audio",
            "prediction",
            "web_search_options",
            "logit_bias",
            "metadata",
        ],
    ),
    (TextOrTree, &["tool_choice", "function_call", "stop"]),
    (Truth, &["parallel_tool_calls", "store"]),
    (
        Text,
        &[
            "reasoning_effort",
            "verbosity",
            "service_tier",
            "safety_identifier",
            "prompt_cache_key",
            "prompt_cache_retention",
            "user",
        ],
    ),
    (Whole, &["seed", "n", "best_of", "top_k", "min_tokens", "top_logprobs"]),
    (Number, &["top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"]),
    (TruthOrNumber, &["logprobs"]),
];

/// Those of some servers, sent to every API as they are; and those that every API has a place of its
/// own for.
const SERVERS: Fields = &[
    (Number, &["temperature"]),
    (
        Truth,
        &[
            "stream",
            "ignore_eos",
            "continue_final_message",
            "add_generation_prompt",
            "cache_prompt",
        ],
    ),
    (Tree, &["stream_options", "chat_template_kwargs"]),
    (TextOrTree, &["guided_json"]),
];

/// Further ones of servers (vLLM, `SGLang`, llama.cpp, TGI, Ollama, Anthropic), sent to every API as they are.
/// Tables have columns of such names, too: a value of another kind is something about the row.
const EXTRAS: Fields = &[
    (
        Truth,
        &[
            "echo",
            "include_stop_str_in_output",
            "skip_special_tokens",
            "spaces_between_special_tokens",
            "use_beam_search",
            "add_special_tokens",
            "return_tokens_as_token_ids",
            "return_token_ids",
            "include_reasoning",
            "separate_reasoning",
            "stream_reasoning",
            "no_stop_trim",
            "return_logprob",
            "return_text_in_logprobs",
            "return_hidden_states",
            "penalize_nl",
            "return_tokens",
            "timings_per_token",
            "return_progress",
            "post_sampling_probs",
            "do_sample",
            "return_full_text",
            "decoder_input_details",
            "details",
            "watermark",
            "raw",
            "think",
        ],
    ),
    (
        Whole,
        &[
            "truncate_prompt_tokens",
            "prompt_logprobs",
            "priority",
            "thinking_token_budget",
            "min_new_tokens",
            "logprob_start_len",
            "top_logprobs_num",
            "n_probs",
            "mirostat",
            "repeat_last_n",
            "dry_allowed_length",
            "dry_penalty_last_n",
            "id_slot",
            "n_keep",
            "n_indent",
            "t_max_predict_ms",
            "top_n_tokens",
            "truncate",
            "num_ctx",
        ],
    ),
    (
        Number,
        &[
            "length_penalty",
            "typical_p",
            "repeat_penalty",
            "mirostat_tau",
            "mirostat_eta",
            "dynatemp_range",
            "dynatemp_exponent",
            "xtc_probability",
            "xtc_threshold",
            "dry_multiplier",
            "dry_base",
            "top_n_sigma",
            "tfs_z",
        ],
    ),
    (
        Text,
        &[
            "chat_template",
            "guided_regex",
            "guided_grammar",
            "guided_decoding_backend",
            "guided_whitespace_pattern",
            "cache_salt",
            "lora_path",
            "ebnf",
            "custom_logit_processor",
            "reasoning_format",
            "adapter_id",
            "keep_alive",
        ],
    ),
    (
        List,
        &[
            "stop_token_ids",
            "allowed_token_ids",
            "bad_words",
            "guided_choice",
            "logits_processors",
            "token_ids_logprob",
            "samplers",
            "dry_sequence_breakers",
            "response_fields",
        ],
    ),
    (
        Object,
        &[
            "mm_processor_kwargs",
            "structured_outputs",
            "kv_transfer_params",
            "vllm_xargs",
            "json_schema",
            "session_params",
            "custom_params",
            "thinking",
            "reasoning",
            "cache_control",
        ],
    ),
];

/// Those that one API alone has, or two: any other refuses them.
const OF_ONE_API: Fields = &[
    (Text, &["suffix", "previous_response_id", "truncation", "inference_geo"]),
    (Truth, &["background"]),
    (Whole, &["max_tool_calls"]),
    (List, &["include", "stop_sequences", "mcp_servers"]),
    (Object, &["parameters", "sampling_params", "options", "output_config", "output_format"]),
    (Tree, &["context_management"]),
];

/// The same, where beside a prompt nothing tells them from data about the row.
const ANYTHING: [&str; 4] = ["system", "instructions", "conversation", "container"];

/// Those of chats that are as often columns of a table.
const COLUMNS: [&str; 3] = ["user", "metadata", "store"];

/// Fields of a message beside its role and content.
const MESSAGE: [&str; 7] = [
    "name",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "reasoning_content",
    "refusal",
    "audio",
];

fn kind(fields: Fields, name: &str) -> Option<Kind> {
    fields.iter().find(|(_, names)| names.contains(&name)).map(|(kind, _)| *kind)
}

/// Whether an API that has it says so: it is a field of chat completions, or of some other API alone.
pub fn needs_form(name: &str) -> bool {
    kind(CHAT, name).is_some() || is_of_another(name)
}

/// Whether it is a field of APIs other than chat completions.
pub fn is_of_another(name: &str) -> bool {
    kind(OF_ONE_API, name).is_some() || ANYTHING.contains(&name)
}

/// Whether a row that has it beside its prompt means a field of the request, and not something about
/// the row.
pub fn is_of_request(name: &str, value: &Value) -> bool {
    let is_certain = || kind(CHAT, name).or_else(|| kind(SERVERS, name)).is_some();
    let fits = |kind: Kind| match value {
        Value::String(text) => kind.of_cell(text).is_ok(),
        value => kind.is_of(value),
    };
    let more = || kind(EXTRAS, name).or_else(|| kind(OF_ONE_API, name));
    !COLUMNS.contains(&name) && (is_certain() || more().is_some_and(fits))
}

/// The value of a field that the text of a table's cell stands for; what was expected, if it can't.
pub fn of_cell(name: &str, text: &str) -> Result<Value, &'static str> {
    let mut all = [CHAT, SERVERS, EXTRAS, OF_ONE_API].into_iter();
    all.find_map(|fields| kind(fields, name)).unwrap_or(Tree).of_cell(text)
}

/// Whether it is a field of a message.
pub fn is_of_message(name: &str) -> bool {
    MESSAGE.contains(&name)
}

impl Kind {
    fn is_of(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::TextOrTree => value.is_string() || value.is_array() || value.is_object(),
            Self::Number => value.is_number(),
            Self::Whole => value.is_i64() || value.is_u64(),
            Self::Truth => value.is_boolean(),
            Self::TruthOrNumber => value.is_boolean() || value.is_number(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
            Self::Tree => value.is_array() || value.is_object(),
        }
    }

    fn of_cell(self, text: &str) -> Result<Value, &'static str> {
        let written = || Value::String(text.to_owned());
        let trimmed = text.trim();
        let parsed = || serde_json::from_str::<Value>(trimmed).ok().filter(|it| self.is_of(it));
        let truth = || trimmed.to_lowercase().parse::<bool>().map(Value::from);
        match self {
            Self::Text => Ok(written()),
            Self::TextOrTree => Ok(parsed().filter(|it| !it.is_string()).unwrap_or_else(written)),
            Self::Number => parsed().ok_or("a number"),
            Self::Whole => {
                // Tables that knew missing values write `3.0`.
                let is_zero = |rest: &str| rest.bytes().all(|it| it == b'0');
                let whole = trimmed.split_once('.').filter(|(_, rest)| is_zero(rest));
                let digits = whole.map_or(trimmed, |(whole, _)| whole);
                digits.parse::<i64>().map(Value::from).map_err(|_| "a whole number")
            }
            Self::Truth => truth().map_err(|_| "true or false"),
            Self::TruthOrNumber => truth().ok().or_else(parsed).ok_or("true, false or a number"),
            Self::List => parsed().ok_or("a list in JSON"),
            Self::Object => parsed().ok_or("an object in JSON"),
            Self::Tree => parsed().ok_or("a list or an object in JSON"),
        }
    }
}
