//! What a row says beside its messages, in an API's own words.
//!
//! In: the fields of a recorded chat completion, and what an API calls each. Out: the same fields in a
//! body. Invariant: a field of chat completions that the API does not know is refused; what chat
//! completions don't know either is some server's own and is sent as it is written.

use serde_json::{Map, Value, json};

use super::NoForm;
use super::body::Body;
use super::prompt::says;
use crate::request::Request;

/// How an API says a field.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Under its own name.
    Same,
    /// Under another.
    As(&'static str),
    /// In an object of options, under this name.
    In(&'static str, &'static str),
    /// Under another name, as a list.
    ListAs(&'static str),
    /// In an object of options, as a list.
    ListIn(&'static str, &'static str),
    /// As another value, under this name; nothing where there is nothing to say. `Err` says why it
    /// can't be said.
    By(&'static str, fn(&Value) -> Result<Option<Value>, &'static str>),
}

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
    "top_p",
    "top_k",
    "min_p",
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
    "best_of",
    "min_tokens",
];

/// Lays what the row says beside its messages into `body`, by the API's `forms`.
pub(super) fn lay<'a>(
    mut body: Body<'a>,
    request: &'a Request,
    forms: &[(&str, Form)],
) -> Result<Body<'a>, NoForm> {
    for (name, value) in &request.recorded {
        let form = forms.iter().find(|(known, _)| known == name).map(|(_, form)| *form);
        let form = form.or_else(|| (!CHAT.contains(&name.as_str())).then_some(Form::Same));
        body = match form {
            Some(Form::Same) => body.lay(name, value.clone()),
            Some(Form::As(name)) => body.lay(name, value.clone()),
            Some(Form::In(object, name)) => body.lay(object, json!({ name: value })),
            Some(Form::By(..) | Form::ListIn(..) | Form::ListAs(_)) | None if !says(value) => body,
            Some(Form::ListAs(name)) => body.lay(name, as_list(value)),
            Some(Form::ListIn(object, name)) => body.lay(object, json!({ name: as_list(value) })),
            Some(Form::By(own, say)) => match say(value).map_err(|why| NoForm::of(name, why))? {
                Some(said) => body.lay(own, said),
                None => body,
            },
            None => return Err(NoForm::of(name, "it has no such field")),
        };
    }
    Ok(body)
}

/// A list of texts, also where one stands by itself.
fn as_list(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        one => json!([one]),
    }
}

/// A function as chat completions wrap it: what stands in `function`, and what else there is.
pub(super) fn function(tool: &Value) -> Option<&Map<String, Value>> {
    let alone = tool.as_object()?.keys().all(|key| matches!(key.as_str(), "type" | "function"));
    let is_function = tool.get("type").is_none_or(|kind| kind == "function");
    tool.get("function").filter(|_| alone && is_function)?.as_object()
}
