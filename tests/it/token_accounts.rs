//! Tokens as server, tokenizer and events count them, side by side, and the warning where they part.

use serde_json::{Value, json};

use crate::faulty_server::{FaultyServer, answer};
use crate::sandbox::{Sandbox, code, stage, stderr};

/// A server whose `usage` says 2,000 prompt tokens and `generated` tokens of an answer of three
/// events, and whose own tokenizer counts words.
pub fn server(generated: u64) -> FaultyServer {
    FaultyServer::answers(move |request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
        if head.starts_with("GET /v1/models ") {
            return answer(200, "", r#"{"data":[{"id":"m"}]}"#);
        }
        if head.starts_with("POST /tokenize ") {
            let asked: Value = serde_json::from_str(body).unwrap_or_default();
            let words = asked["prompt"].as_str().unwrap_or_default().split_whitespace().count();
            return answer(200, "", &json!({ "count": words }).to_string());
        }
        if !head.starts_with("POST /v1/chat/completions ") {
            return answer(404, "", "{}");
        }
        let event = |value: Value| format!("data: {value}\n\n");
        let piece = |text: &str| event(json!({ "choices": [{ "delta": { "content": text } }] }));
        let usage = json!({
            "choices": [{ "delta": {}, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 2000, "completion_tokens": generated },
        });
        let stream =
            [piece("one two"), piece(" three four"), piece(" five six"), event(usage)].concat();
        let stream = format!("{stream}data: [DONE]\n\n");
        answer(200, "Content-Type: text/event-stream\r\n", &stream)
    })
}

/// Runs three cold requests of a thousand tokens; gives the summary and what was printed.
fn run(server: &FaultyServer, tokenizer: &str) -> (Value, String) {
    let sandbox = Sandbox::new();
    let path = sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"http://{}/v1\", metrics: off, tokenizer: {tokenizer} }}\n\
         prompt: {{ context: {{ from: filler, tokens: 1000 }}, text: Summarize., max_tokens: 8 }}\n\
         stages: [{{ id: ask, kind: load, concurrency: 1, requests: 3 }}]\n",
        server.address()
    ));
    let output = sandbox.run(&["run", "-v", path.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let directory = sandbox.run_dir();
    let directory = directory.to_str().expect("utf-8");
    let markdown = sandbox.run(&["report", "--format", "markdown", directory]);
    let text = [output.stdout, markdown.stdout].concat();
    (sandbox.summary(), String::from_utf8_lossy(&text).into_owned())
}

fn divergence<'a>(side: &'a Value, source: &str) -> &'a Value {
    let all = side["divergence"].as_array().expect("divergence");
    let found = all.iter().find(|it| it["source"] == source && it["against"] == "server");
    found.unwrap_or_else(|| panic!("{source} is not held against the server: {side:#}"))
}

#[test]
fn counts_that_lie_far_apart_are_warned_about_with_advice() {
    let (summary, text) = run(&server(12), "server");
    let tokens = &stage(&summary, "ask")["tokens"];
    assert_eq!(tokens["input"]["sums"]["server"], 6000);
    assert_eq!(tokens["output"]["sums"], json!({ "server": 36, "events": 9, "estimate": 21 }));
    let prompts = divergence(&tokens["input"], "tokenizer");
    assert_eq!((&prompts["requests"], &prompts["is_large"]), (&json!(3), &json!(true)));
    let events = divergence(&tokens["output"], "events");
    assert_eq!((&events["tokens"], &events["against_tokens"]), (&json!(9), &json!(36)));
    assert_eq!((&events["share"], &events["is_large"]), (&json!(-0.75), &json!(true)));
    for said in [
        "answers: server 36, events 9 (75 % fewer)",
        "stage ask: tokens of answers: 9 by events, 36 by the server (75 % fewer): several tokens",
        " by the tokenizer, 6,000 by the server (",
        "give the model's own tokenizer.json",
    ] {
        assert!(text.contains(said), "{said} is missing:\n{text}");
    }
    assert!(text.contains("Tokens of prompts"), "the markdown says it, too:\n{text}");
}

#[test]
fn counts_that_agree_stand_side_by_side_and_warn_of_nothing() {
    let (summary, text) = run(&server(3), "estimate");
    let tokens = &stage(&summary, "ask")["tokens"];
    assert_eq!(tokens["output"]["sums"], json!({ "server": 9, "events": 9, "estimate": 21 }));
    assert_eq!(divergence(&tokens["output"], "events")["is_large"], false);
    assert_eq!(tokens["input"]["sums"]["tokenizer"], Value::Null);
    assert!(text.contains("answers: server 9, events 9\n"), "{text}");
    let notes = summary["run"]["notes"].to_string();
    assert!(!notes.contains("tokens of"), "estimates are held against nobody: {notes}");
}
