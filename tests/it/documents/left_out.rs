//! What of a row is not sent is counted and named, whoever reads the row; what two keys say is refused.

use std::fs;
use std::path::Path;

use runner::client::dialect;
use runner::plan::Api;
use serde_json::{Value, json};

use super::asked;
use crate::sandbox::{Sandbox, code, stderr, text};

/// What inspecting, validating and running say of a dataset, each with its line of what is left out.
fn said_of(rows: &Value, name: &str, kind: &str) -> [String; 3] {
    let sandbox = Sandbox::new();
    let lines: Vec<String> = match rows {
        Value::Array(rows) => rows.iter().map(Value::to_string).collect(),
        other => vec![other.to_string()],
    };
    let text_of_rows = if Path::new(name).extension().is_some_and(|it| it == "json") {
        rows.to_string()
    } else {
        lines.join("\n") + "\n"
    };
    fs::write(sandbox.dir.path().join(name), text_of_rows).unwrap();
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ simulator: {{ prefill_rate: 1000000, decode_rate: 1000 }} }}\n\
         prompt: {{ dataset: {name}, unique: never, max_tokens: 4 }}\n\
         stages: [ {{ id: s, kind: {kind} }} ]\n"
    ));
    let inspected = sandbox.run(&["dataset", "inspect", name]);
    assert_eq!(code(&inspected), 0, "{}", stderr(&inspected));
    let validated = sandbox.run(&["validate", "plan.yaml"]);
    assert_eq!(code(&validated), 0, "{}", text(&validated.stdout));
    let ran = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&ran), 0, "{}", stderr(&ran));
    let notes = sandbox.summary()["run"]["notes"].to_string();
    let line = |all: &str| {
        let (_, line) = all.split_once("left out of rows: ").unwrap_or_default();
        line.split(['\n', '"']).next().unwrap_or_default().to_owned()
    };
    [line(&text(&inspected.stdout)), line(&text(&validated.stdout)), line(&notes)]
}

#[test]
fn recorded_answers_and_skipped_turns_are_counted_and_named() {
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let mut named = turn("user", "And at the weir?");
    named["name"] = json!("ada");
    named["mood"] = json!("calm");
    let rows = json!([
        {"prompt_content": "You keep a lock.", "topic": "locks", "cut_chat_history": [
            turn("system", "Be quick."), turn("user", "Is it open?"), turn("assistant", "Yes.")]},
        {"prompt_content": "You keep a lock.", "cut_chat_history": [turn("user", "When?"), named]},
        {"prompt_content": "You keep a lock.", "cut_chat_history": [turn("user", "Why?"),
            turn("assistant", "It rained.")]},
    ]);
    let words =
        "mood of turns in 1, recorded answers in 2, system turns of the history in 1, topic in 1";
    let load = "load, concurrency: 1, requests: 6";
    assert_eq!(said_of(&rows, "locks.json", load), [words; 3]);
}

#[test]
fn every_format_names_what_it_does_not_send() {
    let human = json!({"from": "human", "value": "Which knot?", "weight": 1});
    let gpt = json!({"from": "gpt", "value": "A bowline."});
    let chat = |content: &str| json!([{"role": "user", "content": content}]);
    let load = "load, concurrency: 1, requests: 3";
    for (name, rows, words) in [
        (
            "sharegpt.json",
            json!([{"id": "a", "lang": "en", "conversations": [human, gpt]}]),
            "lang in 1, recorded answers in 1, weight of turns in 1",
        ),
        (
            "both.jsonl",
            json!([{"messages": chat("Which rope?"), "text": "unused", "output_tokens": 3}]),
            "text in 1",
        ),
        (
            "batch.jsonl",
            json!([{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "shard": 2,
                "body": {"messages": chat("Hi"), "prompt": "unused", "stream": false}}]),
            "prompt in 1, shard in 1",
        ),
        (
            "trace.jsonl",
            json!([{"timestamp": 1, "headers": {"x": "y"}, "body": {"messages": chat("Hi")}}]),
            "headers in 1",
        ),
    ] {
        let [inspected, validated, ran] = said_of(&rows, name, load);
        assert_eq!(inspected, words, "{name}");
        // The plan streams whatever the row did.
        let also = if name == "batch.jsonl" {
            ", stream (streams are asked for by default) in 1"
        } else {
            ""
        };
        assert_eq!(validated, format!("{words}{also}"), "{name}");
        assert_eq!(ran, validated, "{name}");
    }
}

#[test]
fn a_limit_of_the_row_is_named_where_the_body_goes_over_it() {
    let row =
        |limit: u64| json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": limit});
    let rows = json!([row(5), row(6)]);
    let kind = "load, concurrency: 1, requests: 2";
    assert_eq!(said_of(&rows, "rows.jsonl", kind), [""; 3], "limits of rows are sent");
    let sandbox = Sandbox::new();
    let lines = format!("{}\n{}\n", rows[0], rows[1]);
    fs::write(sandbox.dir.path().join("rows.jsonl"), lines).unwrap();
    sandbox.plan(
        "version: 1\nendpoint: { simulator: {} }\n\
         prompt: { dataset: rows.jsonl, body: { max_completion_tokens: 3 } }\n\
         stages: [ { id: s, kind: load, concurrency: 1, requests: 2 } ]\n",
    );
    let ran = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&ran), 0, "{}", stderr(&ran));
    let notes = sandbox.summary()["run"]["notes"].to_string();
    assert!(
        notes.contains("max_tokens (`prompt.body.max_completion_tokens` says it) in 2"),
        "{notes}"
    );
}

#[test]
fn instructions_stand_before_a_rows_own_system_messages() {
    let input = json!([{"role": "developer", "content": "Metric units."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How deep?"}]}]);
    let row = |instructions: &str, input: &Value| {
        json!({"custom_id": "a", "method": "POST", "url": "/v1/responses",
            "body": {"input": input, "instructions": instructions}})
    };
    let own =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
    let requests = asked(&[
        row("You sound depths.", &input),
        row("Be kind.", &own),
        row("Be brief.", &own),
        row("Be brief.", &json!("How wide?")),
    ]);
    let said = |at: usize| -> Vec<(String, String)> {
        let messages = requests[at].messages.iter();
        messages.map(|message| (message.role.clone(), message.said())).collect()
    };
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect()
    };
    let first =
        [("system", "You sound depths."), ("developer", "Metric units."), ("user", "How deep?")];
    assert_eq!(said(0), pairs(&first));
    assert_eq!(said(1), pairs(&[("system", "Be kind."), ("system", "Be brief."), ("user", "Hi")]));
    assert_eq!(said(2), pairs(&[("system", "Be brief."), ("user", "Hi")]), "said once");
    assert_eq!(said(3), pairs(&[("system", "Be brief."), ("user", "How wide?")]));
}

#[test]
fn several_answers_are_refused_where_nothing_tells_them_apart() {
    let requests = asked(&[
        json!({"messages": [{"role": "user", "content": "Hi"}], "n": 2}),
        json!({"messages": [{"role": "user", "content": "Hi"}], "n": 1}),
    ]);
    for name in Api::NAMES {
        let dialect = dialect::of(&Api::of_name(name).unwrap());
        let tells = dialect.tells_choices() || name == "json";
        assert_eq!(dialect.encode(&requests[0], "m").is_ok(), tells, "{name}");
        assert!(dialect.encode(&requests[1], "m").is_ok(), "{name}: one answer is what all give");
    }
    for (api, body, key) in [
        ("sglang", "{ sampling_params: { n: 2 } }", "prompt.body.sampling_params.n"),
        ("llamacpp-completion", "{ n: 3 }", "prompt.body.n"),
        ("llamacpp-completion", "{ n_cmpl: 3 }", "prompt.body.n_cmpl"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ url: \"http://127.0.0.1:9\", api: {api}, model: m }}\n\
             prompt:\n  text: Hi\n  body: {body}\n\
             stages: [ {{ id: s, kind: load, concurrency: 1, requests: 2 }} ]\n"
        ));
        for command in ["validate", "run"] {
            let output = sandbox.run(&[command, "plan.yaml"]);
            let said = stderr(&output);
            assert_eq!(code(&output), 3, "{command} {api}: {said}");
            for part in [key, api, "plan.yaml:5:"] {
                assert!(said.contains(part), "{command}: no {part} in {said}");
            }
        }
    }
}

#[test]
fn rows_of_a_large_dataset_that_will_be_asked_are_refused_before_anything_is_sent() {
    let sandbox = Sandbox::new();
    let pad = "low water ".repeat(6_500);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}});
    let row = |number: usize| {
        let content = match number {
            20.. if number.is_multiple_of(2) => {
                json!([{"type": "text", "text": "What is it?"}, image])
            }
            _ => json!(format!("{number} {pad}")),
        };
        json!({"messages": [{"role": "user", "content": content}]}).to_string()
    };
    let rows: Vec<String> = (0..600).map(row).collect();
    let rows = rows.join("\n");
    assert!(rows.len() > 16 << 20, "it is no small one");
    fs::write(sandbox.dir.path().join("charts.jsonl"), rows).unwrap();
    let plan = |order: &str, requests: u64| {
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ simulator: {{ prefill_rate: 1000M, overhead: 0ms }}, \
             api: openai-completions, tokenizer: estimate }}\n\
             prompt: {{ dataset: {{ path: charts.jsonl, order: {order} }}, max_tokens: 1 }}\n\
             stages: [ {{ id: s, kind: load, concurrency: 1, requests: {requests} }} ]\n"
        ));
    };
    plan("file", 30);
    for command in ["validate", "run"] {
        let output = sandbox.run(&[command, "plan.yaml"]);
        assert_eq!(code(&output), 3, "{command}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("charts.jsonl:21: `messages/0/content/1`"), "{said}");
        assert!(said.contains("(and 2 more rows)"), "of the 30 rows five: {said}");
    }
    // Rows that no request asks are nobody's concern.
    plan("file", 20);
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // In random order any of them may be asked.
    plan("shuffle", 4);
    let output = sandbox.run(&["run", "plan.yaml", "--results", "shuffled"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("(and 287 more rows)"), "{}", stderr(&output));
    assert!(!sandbox.dir.path().join("shuffled").exists(), "nothing was begun");
}
