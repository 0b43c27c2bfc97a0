//! What a row says beside its messages, in an API's own words.
//!
//! In: the fields of a recorded chat completion, and what an API calls each. Out: the same fields in a
//! body. Invariant: a field of chat completions that the API does not know is refused; what chat
//! completions don't know either is some server's own and is sent as it is written.

use serde_json::{Map, Value, json};

use super::NoForm;
use super::body::Body;
use super::prompt::says;
use crate::request::{Request, field_in, fields};

/// What an API calls fields of chat completions. Those it names nowhere it does not have.
pub(super) struct Forms {
    /// The object of options in which they stand; the body itself when `None`.
    pub within: Option<&'static str>,
    /// Those that it has under their own names.
    pub same: &'static [&'static str],
    /// Those that it has otherwise.
    pub own: &'static [(&'static str, Form)],
}

/// How an API says a field that it has under another name, or as another value.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Under another name.
    As(&'static str),
    /// Under another name, as a list.
    ListAs(&'static str),
    /// In an object, under this name.
    In(&'static str, &'static str),
    /// As another value, under this name in the body; nothing where there is nothing to say. `Err` says
    /// why it can't be said.
    By(&'static str, fn(&Value) -> Result<Option<Value>, &'static str>),
}

/// Forms of an API of completions, a prompt without roles.
pub(super) const COMPLETIONS: Forms = Forms {
    within: None,
    same: &[
        "stop",
        "seed",
        "n",
        "best_of",
        "top_p",
        "top_k",
        "min_p",
        "min_tokens",
        "logit_bias",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "user",
        "suffix",
    ],
    own: &[],
};

/// Refuses what only other APIs have, in an API that takes all else of a chat as it is written.
pub(super) fn nothing_foreign(request: &Request) -> Result<(), NoForm> {
    let mut said = request.recorded.iter().filter(|(_, value)| says(value));
    match said.find(|(name, _)| fields::is_of_another(name)) {
        None => Ok(()),
        Some((name, _)) => Err(NoForm::of(name, NO_FIELD)),
    }
}

/// Lays what the row says beside its messages into `body`, by the API's `forms`.
pub(super) fn lay<'a>(
    mut body: Body<'a>,
    request: &'a Request,
    forms: &Forms,
) -> Result<Body<'a>, NoForm> {
    let tells_choices = forms.same.contains(&"n");
    let asks_several = |name: &str, value: &Value| {
        matches!(name, "n" | "n_cmpl") && value.as_u64().is_some_and(|count| count > 1)
    };
    if let Some(several) = field_in(&request.body, asks_several).filter(|_| !tells_choices) {
        return Err(NoForm::of(format!("prompt.body.{several}"), ONE_ANSWER));
    }
    for (name, value) in &request.recorded {
        let laid = |body: Body<'a>, name: &str, value: Value| match forms.within {
            Some(object) => body.lay(object, json!({ name: value })),
            None => body.lay(name, value),
        };
        let form = forms.own.iter().find(|(known, _)| known == name).map(|(_, form)| *form);
        body = match form {
            Some(Form::As(own)) => laid(body, own, value.clone())?,
            Some(Form::In(object, own)) => body.lay(object, json!({ own: value }))?,
            None if forms.same.contains(&name.as_str()) => laid(body, name, value.clone())?,
            None if !fields::needs_form(name) => body.lay(name, value.clone())?,
            Some(Form::By(..) | Form::ListAs(_)) | None if !says(value) => body,
            Some(Form::ListAs(own)) => laid(body, own, as_list(value))?,
            Some(Form::By(own, say)) => match say(value).map_err(|why| NoForm::of(name, why))? {
                Some(said) => body.lay(own, said)?,
                None => body,
            },
            None if name == "n" && *value == 1 => body,
            None if name == "n" => return Err(NoForm::of(name, ONE_ANSWER)),
            None => return Err(NoForm::of(name, NO_FIELD)),
        };
    }
    Ok(body)
}

/// Why a field is refused.
const NO_FIELD: &str = "it has no such field";

/// Why an API is asked for one answer at a time.
const ONE_ANSWER: &str = "its answers don't say which of several they are of";

/// A value in the body itself, and not among options.
#[expect(clippy::unnecessary_wraps, reason = "one of several forms")]
pub(super) fn as_it_is(value: &Value) -> Result<Option<Value>, &'static str> {
    Ok(Some(value.clone()))
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
