//! What stands beside a prompt: of every format each field is the row's, the request's, or named.

use std::fs;

use runner::plan::workload::DatasetConfig;
use runner::workload::dataset::{Dataset, Row};
use serde_json::{Map, Value, json};

use super::{open, rows, write};
use crate::sandbox::{Sandbox, code, stderr, text};

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
    assert_eq!(row.left_out, ["kind"]);
}

#[test]
fn traces_keep_the_fields_of_requests_and_name_what_is_none() {
    for (name, row) in [
        ("weka.jsonl", json!({"t": 0, "in": 9, "out": 2, "type": "n", "stop": "end_turn"})),
        (
            "bailian.jsonl",
            json!({"chat_id": 1, "parent_chat_id": -1, "timestamp": 0, "turn": 1,
            "type": "text", "input_length": 9, "output_length": 2, "hash_ids": [1]}),
        ),
        ("mooncake.jsonl", json!({"timestamp": 0, "input_length": 9, "output_length": 2})),
        (
            "azure.csv",
            json!({"TIMESTAMP": "2023-11-16 18:15:46", "ContextTokens": "9",
            "GeneratedTokens": "2"}),
        ),
        (
            "burstgpt.csv",
            json!({"Timestamp": "0", "Session ID": "1", "Elapsed time": "1",
            "Model": "m", "Request tokens": "9", "Response tokens": "2", "Total tokens": "11",
            "Log Type": "API"}),
        ),
    ] {
        let mut row = row;
        row["seed"] = json!("7");
        row["colour"] = json!("blue");
        let fields = row.as_object().unwrap();
        let text = if name.contains("csv") {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            let cells: Vec<&str> = fields.values().filter_map(Value::as_str).collect();
            format!("{}\n{}\n", names.join(","), cells.join(","))
        } else {
            row["seed"] = json!(7);
            row.to_string()
        };
        let folder = tempfile::tempdir().unwrap();
        let row = rows(&open(write(folder.path(), name, &text))).remove(0);
        assert_eq!(Value::Object(row.body.clone()), json!({"seed": 7}), "{name}");
        assert_eq!(row.left_out, ["colour"], "{name}");
        assert_eq!(row.output_tokens, Some(2), "{name}");
    }
}

/// The fields of the requests in a CSV file, or why a row is malformed.
fn cells(text: &str) -> Result<Vec<Value>, String> {
    let folder = tempfile::tempdir().unwrap();
    let config = DatasetConfig::of(write(folder.path(), "rows.csv", text));
    let dataset = Dataset::open(&DatasetConfig { asked: true, ..config }).unwrap();
    let body = |row: Row| Value::Object(row.body);
    dataset.rows().map(|row| row.map(body).map_err(|it| it.to_string())).collect()
}

#[test]
fn cells_of_a_request_have_the_type_of_their_field() {
    let header = "prompt,temperature,seed,stop,ignore_eos,tools,reasoning_effort,topic\n";
    let rows = "hi,0.7,3.0,END,True,\"[{\"\"type\"\": \"\"function\"\"}]\",low,\n\
                hi,,,\"[\"\"A\"\", \"\"B\"\"]\",,,,sea\n";
    let tools = json!([{"type": "function"}]);
    let first = json!({"temperature": 0.7, "seed": 3, "stop": "END", "ignore_eos": true,
        "tools": tools, "reasoning_effort": "low"});
    let read = cells(&format!("{header}{rows}"));
    assert_eq!(read, Ok(vec![first, json!({"stop": ["A", "B"]})]), "empty cells say nothing");
    for (name, cell, expected) in [
        ("temperature", "warm", "a number in `temperature`"),
        ("seed", "1.5", "a whole number in `seed`"),
        ("ignore_eos", "perhaps", "true or false in `ignore_eos`"),
        ("tools", "hammer", "a list or an object in JSON in `tools`"),
    ] {
        let wrong = cells(&format!("prompt,{name}\nhi,{cell}\n")).unwrap_err();
        assert!(wrong.contains(expected), "{wrong}");
    }
}

#[test]
fn lines_keep_the_blanks_around_their_text() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "  indented\r\n \n\ttab and blank \nlast";
    let all = rows(&open(write(folder.path(), "lines.txt", lines)));
    let all: Vec<&str> = all.iter().map(super::text).collect();
    assert_eq!(all, ["  indented", "\ttab and blank ", "last"]);
}

#[test]
fn what_a_plan_with_texts_of_its_own_does_not_ask_of_its_rows_is_named() {
    let row = json!({"question": "Which tide?", "temperature": 0.5, "stop": ["x"], "seed": 4,
        "max_tokens": 9, "topic": "sea"});
    let words = |prompt: &str| {
        let sandbox = Sandbox::new();
        fs::write(sandbox.dir.path().join("rows.jsonl"), row.to_string()).unwrap();
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ simulator: {{}} }}\n\
             prompt: {{ dataset: rows.jsonl, {prompt} }}\n\
             stages: [ {{ id: s, kind: load, concurrency: 1, requests: 2 }} ]\n"
        ));
        let ran = sandbox.run(&["run", "plan.yaml"]);
        assert_eq!(code(&ran), 0, "{}", stderr(&ran));
        let notes = sandbox.summary()["run"]["notes"].to_string();
        let (_, words) = notes.split_once("left out of rows: ").unwrap_or_default();
        words.split('"').next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        words("text: \"{{ row.question }} {{ row.seed }}\", temperature: 0.1, max_tokens: 3"),
        "max_tokens (`prompt.max_tokens` says it) in 1, stop in 1, temperature \
         (`prompt.temperature` says it) in 1"
    );
    assert_eq!(
        words("text: \"{{ row.question }}\", body: { stop: [y] }, temperature: 0.5"),
        "max_tokens (by default no limit of a row is sent with texts of the plan) in 1, seed in 1, \
         stop (`prompt.body.stop` says it) in 1"
    );
    let whole = "text: \"{% for name in row %}{{ name }} {% endfor %}\"";
    assert_eq!(words(whole), "", "any field may be read");
}

#[test]
fn a_prompt_that_texts_of_the_plan_replace_is_named_unless_they_read_it() {
    let asks = json!([{"role": "user", "content": "Which tide?"}]);
    let inner = json!({"messages": asks, "stream": false});
    for (row, text, words) in [
        (json!({"messages": asks, "stream": false}), "Hi", "messages, stream"),
        (json!({"messages": asks, "stream": true}), "{{ row.messages[0].content }}", ""),
        (json!({"prompt": "Which tide?"}), "Hi", "prompt"),
        (json!({"text": "Which tide?"}), "On: {{ row.text }}", ""),
        (json!({"custom_id": "a", "body": inner}), "Hi", "body, stream"),
        (json!({"prompt": [1, 2, 3]}), "Hi", "prompt"),
        (json!({"input_tokens": 9}), "Hi", ""),
    ] {
        let sandbox = Sandbox::new();
        fs::write(sandbox.dir.path().join("rows.jsonl"), row.to_string()).unwrap();
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ simulator: {{}} }}\n\
             prompt: {{ dataset: rows.jsonl, text: \"{text}\" }}\n\
             stages: [ {{ id: s, kind: load, concurrency: 1, requests: 1 }} ]\n"
        ));
        let validated = text_of(&sandbox);
        let (_, line) = validated.split_once("left out of rows: ").unwrap_or_default();
        let names = line.lines().next().unwrap_or_default().split(", ");
        let names: Vec<&str> = names.map(|name| name.split(' ').next().unwrap()).collect();
        assert_eq!(names.join(", "), words, "{row}, {text}: {validated}");
    }
}

fn text_of(sandbox: &Sandbox) -> String {
    let validated = sandbox.run(&["validate", "plan.yaml"]);
    assert_eq!(code(&validated), 0, "{}", stderr(&validated));
    text(&validated.stdout)
}

#[test]
fn a_null_of_the_plan_is_named_where_it_takes_out_what_a_row_says() {
    let sandbox = Sandbox::new();
    let row = json!({"prompt": "Which tide?", "temperature": 0.5, "top_p": 0.9});
    fs::write(sandbox.dir.path().join("rows.jsonl"), row.to_string()).unwrap();
    sandbox.plan(
        "version: 1\nendpoint: { simulator: {} }\n\
         prompt: { dataset: rows.jsonl, body: { temperature: null, top_p: null, user: null } }\n\
         stages: [ { id: s, kind: load, concurrency: 1, requests: 1 } ]\n",
    );
    let ran = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&ran), 0, "{}", stderr(&ran));
    let words = "left out of rows: temperature (`prompt.body.temperature` says it) in 1, \
                 top_p (`prompt.body.top_p` says it) in 1";
    let notes = sandbox.summary()["run"]["notes"].to_string();
    assert!(notes.contains(words), "{notes}");
    let validated = text(&sandbox.run(&["validate", "plan.yaml"]).stdout);
    assert!(validated.contains(words), "{validated}");
}

#[test]
fn what_the_target_of_a_conversion_cannot_hold_is_named() {
    let sandbox = Sandbox::new();
    let row = json!({"prompt": "Which tide?", "model": "oak", "max_tokens": 5,
        "max_completion_tokens": 9, "output_tokens": 3, "timestamp": 7, "session": "s", "id": "a",
        "request_id": "b", "body": 5, "stop": "x", "colour": "blue"});
    fs::write(sandbox.dir.path().join("rows.jsonl"), row.to_string()).unwrap();
    for (to, words) in [
        ("openai-messages", Some("body in 1")),
        (
            "sharegpt",
            Some(
                "body in 1, colour in 1, max_completion_tokens in 1, max_tokens in 1, model in 1, \
                  output_tokens in 1, request_id in 1, session in 1, stop in 1, timestamp in 1",
            ),
        ),
        (
            "mooncake",
            Some(
                "body in 1, colour in 1, id in 1, max_tokens in 1, model in 1, output_tokens in 1, \
                  request_id in 1, stop in 1",
            ),
        ),
    ] {
        let out = format!("{to}.out");
        let done = sandbox.run(&["dataset", "convert", "rows.jsonl", "--to", to, "-o", &out]);
        assert_eq!(code(&done), 0, "{}", stderr(&done));
        let said = stderr(&done) + &text(&done.stdout);
        let line =
            said.split_once("left out of rows: ").map(|(_, line)| line.lines().next().unwrap());
        assert_eq!(line, words, "{to}: {said}");
    }
    let row = |name: &str| {
        let path = sandbox.dir.path().join(name).to_str().unwrap().to_owned();
        let row = rows(&open(path)).remove(0);
        (row.max_tokens, row.id, row.session, row.model, row.body, row.timestamp_ns, {
            let mut names = row.left_out;
            names.retain(|name| name != "body");
            names.sort();
            names
        })
    };
    assert_eq!(row("openai-messages.out"), row("rows.jsonl"), "our own lines hold all else of it");
}

#[test]
fn limits_among_the_extra_fields_of_a_trace_are_limits() {
    let extra = json!({"temperature": 0.5, "max_tokens": 9, "chat_template": "x"});
    let row = row_of(
        "rows.jsonl",
        &json!({"timestamp": 0, "input_length": 9, "output_length": 2, "extra": extra}),
    );
    assert_eq!((row.max_tokens, row.output_tokens), (Some(9), Some(2)));
    assert_eq!(Value::Object(row.body), json!({"temperature": 0.5, "chat_template": "x"}));
    assert_eq!(row.left_out, Vec::<String>::new());
}
