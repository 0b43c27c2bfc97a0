//! What a request has beside its messages, in the words of chat completions.
//!
//! In: the name of a field. Out: whether it is one of a request. Invariant: one list serves whoever
//! reads rows and whoever sends them, so that no field is read as one of a request and then unknown.

/// Fields of chat completions, which other APIs have under names of their own or not at all.
const CHAT: [&str; 32] = [
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "modalities",
    "audio",
    "prediction",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
    "stop",
    "seed",
    "n",
    "best_of",
    "top_p",
    "top_k",
    "min_p",
    "min_tokens",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
];

/// Those of some servers, sent to every API as they are; and the temperature, which every API has.
const SERVERS: [&str; 7] = [
    "temperature",
    "ignore_eos",
    "chat_template_kwargs",
    "continue_final_message",
    "add_generation_prompt",
    "guided_json",
    "cache_prompt",
];

/// Those that are as often columns of a table.
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

/// Whether it is a field of chat completions.
pub fn is_of_chat(name: &str) -> bool {
    CHAT.contains(&name)
}

/// Whether a row that has it beside its messages means a field of the request, and not something about
/// the row.
pub fn is_of_request(name: &str) -> bool {
    (is_of_chat(name) || SERVERS.contains(&name)) && !COLUMNS.contains(&name)
}

/// Whether it is a field of a message.
pub fn is_of_message(name: &str) -> bool {
    MESSAGE.contains(&name)
}
