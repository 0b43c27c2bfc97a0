//! What stands beside a prompt: of every format each field is the row's, the request's, or named.

use runner::workload::dataset::Row;
use serde_json::{Map, Value, json};

use super::{open, rows, write};

/// The only row of a file that holds `value`.
fn row_of(name: &str, value: &Value) -> Row {
    let folder = tempfile::tempdir().unwrap();
    let mut found = rows(&open(write(folder.path(), name, format!("{value}\n"))));
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0)
}

fn with(entry: &Value, more: &Value) -> Value {
    let mut all: Map<String, Value> = more.as_object().unwrap().clone();
    all.extend(entry.as_object().unwrap().clone());
    all.into()
}

#[test]
fn every_field_beside_a_prompt_is_read_or_named_in_every_format() {
    let chat = json!([{"role": "user", "content": "Which tide?"}]);
    let more = json!({
        "model": "oak", "max_tokens": 5, "max_completion_tokens": 9, "output_tokens": 3,
        "session_id": "s", "id": "first", "request_id": "second", "temperature": 0.5,
        "timestamp": 7, "delay": 2, "colour": "blue", "body": 5,
    });
    for (name, entry) in [
        ("generic.jsonl", json!({"prompt": "Which tide?"})),
        ("messages.jsonl", json!({"messages": chat})),
        ("sharegpt.jsonl", json!({"conversations": [{"from": "human", "value": "Which tide?"}]})),
        ("history.jsonl", json!({"cut_chat_history": chat})),
        ("mooncake.jsonl", json!({"text_input": "Which tide?", "output_length": 3})),
        ("batch.jsonl", json!({"custom_id": "first", "body": {"messages": chat}})),
        ("trace.jsonl", json!({"timestamp": 7, "body": {"messages": chat}})),
    ] {
        let row = row_of(name, &with(&entry, &more));
        assert_eq!(row.model.as_deref(), Some("oak"), "{name}");
        let limit = (row.max_tokens, row.max_tokens_field);
        assert_eq!(limit, (Some(9), Some("max_completion_tokens")), "{name}");
        assert_eq!((row.output_tokens, row.session.as_deref()), (Some(3), Some("s")), "{name}");
        assert_eq!(row.id.as_deref(), Some("first"), "{name}");
        assert_eq!(row.body["temperature"], 0.5, "{name}");
        let mut named = vec!["max_tokens", "request_id", "colour"];
        named.extend(row.timestamp_ns.is_none().then_some("timestamp"));
        named.extend(row.delay_ns.is_none().then_some("delay"));
        named.extend((entry.get("body").is_none()).then_some("body"));
        let mut left_out: Vec<&str> = row.left_out.iter().map(String::as_str).collect();
        named.sort_unstable();
        left_out.sort_unstable();
        assert_eq!(left_out, named, "{name}");
    }
}

#[test]
fn of_two_fields_that_differ_one_is_sent_and_the_other_is_named() {
    let chat = json!([{"role": "user", "content": "Which tide?"}]);
    let inner = json!({"messages": chat, "max_tokens": 5, "max_completion_tokens": 9, "seed": 1});
    let row = row_of("batch.jsonl", &json!({"custom_id": "a", "seed": 2, "body": inner}));
    assert_eq!((row.max_tokens, &row.body["seed"]), (Some(9), &json!(1)));
    assert_eq!(row.left_out, ["max_tokens", "seed"]);
    let inner = json!({"seed": 1, "model": "oak", "max_tokens": 4});
    let row = row_of("rows.jsonl", &json!({"prompt": "Which tide?", "seed": 1, "body": inner}));
    assert_eq!((row.model.as_deref(), row.max_tokens), (Some("oak"), Some(4)));
    assert_eq!(row.left_out, Vec::<String>::new(), "the same twice is one");
}

#[test]
fn rows_without_text_keep_the_fields_of_their_request() {
    let row = row_of("rows.jsonl", &json!({"input_tokens": 40, "stop": ["x"], "kind": "long"}));
    assert_eq!(row.body["stop"], json!(["x"]));
    assert_eq!(row.left_out, Vec::<String>::new(), "columns of a trace are what they are");
}
