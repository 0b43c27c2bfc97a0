//! Any JSON endpoint: values put where a plan's pointers say.

use serde_json::{Map, Value, json};

use super::{Piece, Totals, Writer};
use crate::plan::{JsonAnswer, JsonApi};

pub(super) fn content_type(api: &JsonApi) -> &'static str {
    match api.answer {
        JsonAnswer::Whole => "application/json",
        JsonAnswer::Sse => "text/event-stream",
        JsonAnswer::Ndjson => "application/x-ndjson",
    }
}

pub(super) fn piece(writer: &Writer, api: &JsonApi, piece: Piece<'_>, out: &mut Vec<u8>) {
    let mut value = json!({});
    let (content, reasoning) = match (api.cumulative, piece) {
        (true, _) => (writer.content.as_str(), writer.reasoning.as_str()),
        (false, Piece::Content(text)) => (text, ""),
        (false, Piece::Reasoning(text)) => ("", text),
    };
    texts(api, content, reasoning, &mut value);
    push(api, &value, out);
}

pub(super) fn close(writer: &Writer, api: &JsonApi, totals: &Totals, out: &mut Vec<u8>) {
    let mut value = json!({});
    if api.cumulative {
        texts(api, &writer.content, &writer.reasoning, &mut value);
    }
    account(writer, api, totals, &mut value);
    push(api, &value, out);
}

pub(super) fn error(api: &JsonApi, message: &str, out: &mut Vec<u8>) {
    push(api, &refusal(api, message), out);
}

pub(super) fn refusal(api: &JsonApi, message: &str) -> Value {
    let mut value = json!({});
    put(&mut value, api.error.as_deref().unwrap_or("/error"), json!(message));
    value
}

pub(super) fn whole(writer: &Writer, api: &JsonApi, totals: &Totals) -> Value {
    let mut value = json!({});
    texts(api, &writer.content, &writer.reasoning, &mut value);
    account(writer, api, totals, &mut value);
    value
}

/// Without a place of its own reasoning goes into the text.
fn texts(api: &JsonApi, content: &str, reasoning: &str, value: &mut Value) {
    match &api.reasoning {
        Some(pointer) => {
            put(value, &api.text, json!(content));
            put(value, pointer, json!(reasoning));
        }
        None => put(value, &api.text, json!([reasoning, content].concat())),
    }
}

fn account(writer: &Writer, api: &JsonApi, totals: &Totals, value: &mut Value) {
    // Where tokens are not counted, the cache is a matter of yes or no: the second seed's way.
    let cached = match (totals.cached_tokens, &api.input_tokens) {
        (Some(cached), Some(_)) => json!(cached),
        (cached, _) => json!(cached.is_some_and(|cached| cached > totals.prompt_tokens / 2)),
    };
    for (pointer, part) in [
        (&api.finish_reason, json!(if totals.cut { "length" } else { "stop" })),
        (&api.done, json!(true)),
        (&api.model, json!(writer.identity.model)),
        (&api.input_tokens, json!(totals.prompt_tokens)),
        (&api.output_tokens, json!(totals.output_tokens)),
        (&api.cached, cached),
    ] {
        if let Some(pointer) = pointer {
            put(value, pointer, part);
        }
    }
}

/// Sets the value at a JSON pointer, making objects (or lists, for numbers) on the way.
fn put(value: &mut Value, pointer: &str, part: Value) {
    let mut place = value;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        place = match step.parse::<usize>() {
            Ok(index) if index < 64 => {
                if !place.is_array() {
                    *place = json!([]);
                }
                let Value::Array(items) = place else { return };
                if items.len() <= index {
                    items.resize(index + 1, Value::Null);
                }
                &mut items[index]
            }
            _ => {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                let Value::Object(fields) = place else { return };
                fields.entry(step).or_insert(Value::Null)
            }
        };
    }
    *place = part;
}

fn push(api: &JsonApi, value: &Value, out: &mut Vec<u8>) {
    let text = match api.answer {
        JsonAnswer::Ndjson => format!("{value}\n"),
        JsonAnswer::Whole | JsonAnswer::Sse => format!("data: {value}\n\n"),
    };
    out.extend_from_slice(text.as_bytes());
}
