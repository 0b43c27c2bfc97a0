//! What a request has beside its messages, in the words of chat completions.
//!
//! In: the name of a field. Out: whether it is one of a request. Invariant: one list serves whoever
//! reads rows and whoever sends them, so that no field is read as one of a request and then unknown.

use serde_json::Value;

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

/// Those of some servers, sent to every API as they are; and those that every API has a place of its
/// own for.
const SERVERS: [&str; 9] = [
    "temperature",
    "stream",
    "stream_options",
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

/// Those that are text, and those that may be: others are numbers, or yes or no, or lists and objects.
const TEXTS: [&str; 6] = [
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "user",
];
const MAYBE_TEXTS: [&str; 4] = ["stop", "tool_choice", "function_call", "guided_json"];
const NUMBERS: [&str; 7] = [
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "temperature",
    "logprobs",
];
const WHOLE_NUMBERS: [&str; 6] = ["seed", "n", "best_of", "top_k", "min_tokens", "top_logprobs"];
const TRUTHS: [&str; 7] = [
    "stream",
    "parallel_tool_calls",
    "ignore_eos",
    "continue_final_message",
    "add_generation_prompt",
    "cache_prompt",
    "logprobs",
];

/// The value of a field that the text of a table's cell stands for; what was expected, if it can't.
pub fn of_cell(name: &str, text: &str) -> Result<Value, &'static str> {
    let written = || Value::String(text.to_owned());
    let text = text.trim();
    let parsed = serde_json::from_str::<Value>(text).ok();
    let lists = parsed.clone().filter(|value| value.is_array() || value.is_object());
    let is_one_of = |names: &[&str]| names.contains(&name);
    if is_one_of(&TEXTS) {
        return Ok(written());
    }
    if is_one_of(&MAYBE_TEXTS) {
        return Ok(lists.unwrap_or_else(written));
    }
    if is_one_of(&TRUTHS)
        && let Ok(truth) = text.to_lowercase().parse::<bool>()
    {
        return Ok(truth.into());
    }
    let number = parsed.filter(Value::is_number);
    if is_one_of(&WHOLE_NUMBERS) {
        // Tables that knew missing values write `3.0`.
        let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|it| it == b'0'));
        let digits = whole.map_or(text, |(whole, _)| whole);
        return digits.parse::<i64>().map(Value::from).map_err(|_| "a whole number");
    }
    if is_one_of(&NUMBERS) {
        return number.ok_or("a number");
    }
    if is_one_of(&TRUTHS) {
        return Err("true or false");
    }
    lists.ok_or("a list or an object in JSON")
}

/// Whether it is a field of a message.
pub fn is_of_message(name: &str) -> bool {
    MESSAGE.contains(&name)
}
