//! What a server gets over a real socket is what the row says: images, calls of tools and their results.

use std::fs;

use serde_json::{Value, json};

use crate::faulty_server::{FaultyServer, answer, json as json_answer};
use crate::sandbox::{Sandbox, code, stderr};

const ANSWER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ebb tide\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A server that answers anything with the same two words and keeps what it was asked.
fn server() -> FaultyServer {
    FaultyServer::answers(|request| match request {
        _ if request.starts_with("POST /v1/chat/completions") => {
            answer(200, "Content-Type: text/event-stream\r\n", ANSWER)
        }
        _ if request.contains("/models") => json_answer(200, r#"{"data":[{"id":"m"}]}"#),
        _ => json_answer(404, "{}"),
    })
}

fn bodies(server: &FaultyServer) -> Vec<Value> {
    let posts = server.requests().into_iter();
    let posts = posts.filter(|request| request.starts_with("POST /v1/chat/completions"));
    posts.map(|it| serde_json::from_str(it.split_once("\r\n\r\n").unwrap().1).unwrap()).collect()
}

/// A chat with everything in it, and an answer at its end.
fn chat() -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}});
    let function = json!({"name": "tide", "arguments": "{\"port\":\"Husum\"}"});
    let call = json!([{"id": "c7", "type": "function", "function": function}]);
    json!([
        {"role": "system", "content": "You read charts."},
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": "What is here?"}, image]},
        {"role": "assistant", "content": null, "tool_calls": call},
        {"role": "tool", "tool_call_id": "c7", "content": "low water"},
        {"role": "assistant", "content": "A shoal.", "reasoning_content": "It is brown."},
        {"role": "user", "content": [{"type": "text", "text": "And here?",
            "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "A wreck."},
    ])
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}])
}

/// Runs a plan of one stage over `rows` at `endpoint`; it must go well.
fn run(rows: &[Value], endpoint: &str, stage: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(sandbox.dir.path().join("charts.jsonl"), lines.join("\n")).expect("rows");
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ {endpoint}, tokenizer: estimate }}\n\
         prompt: {{ dataset: charts.jsonl, max_tokens: 4 }}\nstages: [ {{ id: s, {stage} }} ]\n"
    ));
    let ran = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&ran), 0, "{}", stderr(&ran));
    sandbox
}

fn url(server: &FaultyServer) -> String {
    format!("url: \"http://{}/v1\", metrics: off", server.address())
}

const SIMULATED: &str = "simulator: { prefill_rate: 1M, overhead: 0ms }";

#[test]
fn turns_of_a_conversation_keep_all_that_the_row_has() {
    let row = json!({"messages": chat(), "tools": tools()});
    let all = chat();
    let all = all.as_array().unwrap();
    for history in ["recorded", "live"] {
        let server = server();
        let stage = format!("kind: conversation, concurrency: 1, history: {history}");
        run(std::slice::from_ref(&row), &url(&server), &stage);
        let sent = bodies(&server);
        let mut right = [all[..2].to_vec(), all[..4].to_vec(), all[..6].to_vec()];
        if history == "live" {
            // The call stays, since its result names it.
            right[2][4] = json!({"role": "assistant", "content": "ebb tide"});
        }
        assert_eq!(sent.len(), 3, "{history}");
        for (turn, (body, right)) in sent.iter().zip(&right).enumerate() {
            assert_eq!(body["messages"], json!(right), "{history}, turn {turn}");
            assert_eq!(body["tools"], tools(), "{history}, turn {turn}");
        }
    }
}

#[test]
fn a_replay_sends_what_the_log_says_but_for_the_recorded_answer() {
    let all = chat();
    let all = all.as_array().unwrap();
    let rows: Vec<Value> = [(0, 3), (1, 5), (2, 7)]
        .iter()
        .map(|(at, end)| {
            json!({"timestamp": f64::from(*at) / 100.0, "session": "a", "tools": tools(),
                "messages": all[..*end]})
        })
        .collect();
    for history in ["recorded", "live"] {
        let server = server();
        let stage = format!("kind: replay, max_lag: 60s, history: {history}");
        let sandbox = run(&rows, &url(&server), &stage);
        let sent = bodies(&server);
        let mut right = [all[..2].to_vec(), all[..4].to_vec(), all[..6].to_vec()];
        if history == "live" {
            right[2][4] = json!({"role": "assistant", "content": "ebb tide"});
        }
        assert_eq!(sent.len(), 3, "{history}");
        for (turn, (body, right)) in sent.iter().zip(&right).enumerate() {
            assert_eq!(body["messages"], json!(right), "{history}, turn {turn}");
            assert_eq!(body["tools"], tools(), "{history}, turn {turn}");
        }
        let notes = sandbox.summary()["run"]["notes"].to_string();
        assert!(notes.contains("left out of rows: recorded answers in 3"), "{notes}");
    }
}

#[test]
fn the_simulator_reads_images_calls_and_ids_as_parts_of_the_prompt() {
    let image = |data: &str| {
        let url = format!("data:image/png;base64,{data}");
        json!({"type": "image_url", "image_url": {"url": url}})
    };
    let text = json!({"type": "text", "text": "Which light is this on the chart? ".repeat(8)});
    let row = |data: &str| json!({"messages": [{"role": "user", "content": [text, image(data)]}], "tools": tools()});
    let rows = [row("QQ=="), row("Qg=="), row("QQ==")];
    let sandbox = run(&rows, SIMULATED, "kind: load, concurrency: 1, requests: 3");
    let records = crate::sandbox::records(&sandbox.run_dir());
    let count = |of: &dyn Fn(&Value) -> Option<u64>| -> Vec<u64> {
        records.iter().map(|it| of(it).unwrap_or_else(|| panic!("{it}"))).collect()
    };
    let prompt = count(&|it| it["input_tokens"]["server"].as_u64());
    let cached = count(&|it| it["cached_tokens"].as_u64());
    assert!(prompt.iter().all(|tokens| *tokens == prompt[0] && *tokens > 256 + 64), "{prompt:?}");
    assert_eq!(cached[0], 0);
    assert!(cached[1] > 0 && cached[1] + 256 <= prompt[1], "text and tools alone: {cached:?}");
    assert!(cached[2] > prompt[2] - 32, "all of it: {cached:?} of {prompt:?}");

    // Whole conversations and token ids go through it, too.
    let row = json!({"messages": chat(), "tools": tools()});
    for history in ["recorded", "live"] {
        let stage = format!("kind: conversation, concurrency: 1, history: {history}");
        let summary = run(std::slice::from_ref(&row), SIMULATED, &stage).summary();
        assert_eq!(summary["stages"][0]["counts"]["ok"], 3, "{history}");
    }
    for api in ["openai-completions", "llamacpp-completion", "sglang"] {
        let ids: Vec<u64> = (0..99).collect();
        let rows = [json!({"custom_id": "a", "method": "POST", "url": "/v1/completions",
            "body": {"prompt": ids}})];
        let endpoint = format!("{SIMULATED}, api: {api}");
        let sandbox = run(&rows, &endpoint, "kind: load, concurrency: 1, requests: 1");
        let records = crate::sandbox::records(&sandbox.run_dir());
        assert_eq!(records[0]["input_tokens"]["server"], 99, "{api}: {}", records[0]);
    }
}

#[test]
fn a_replay_with_live_history_is_shown_as_it_is_sent() {
    let user = |text: &str| json!({"role": "user", "content": text});
    let answer = |text: &str| json!({"role": "assistant", "content": text});
    let row = |at: u64, messages: Value| json!({"timestamp": at as f64 / 100.0, "session": "a", "messages": messages});
    let whole = [
        row(0, json!([user("Ebb?")])),
        row(1, json!([user("Ebb?"), answer("recorded 1"), user("Flow?")])),
        row(
            2,
            json!([
                user("Ebb?"),
                answer("recorded 1"),
                user("Flow?"),
                answer("recorded 2"),
                user("Neap?")
            ]),
        ),
    ];
    let new = [
        row(0, json!([user("Ebb?")])),
        row(1, json!([user("Flow?")])),
        row(2, json!([user("Neap?")])),
    ];
    for rows in [whole, new] {
        for unique in ["never", "request", "run"] {
            let server = server();
            let sandbox = Sandbox::new();
            let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
            fs::write(sandbox.dir.path().join("log.jsonl"), lines.join("\n")).expect("rows");
            sandbox.plan(&format!(
                "version: 1\nnonce: fixed\nendpoint: {{ {}, model: m, tokenizer: estimate }}\n\
                 prompt: {{ unique: {unique}, max_tokens: 4 }}\n\
                 stages: [ {{ id: s, kind: replay, log: log.jsonl, history: live, max_lag: 60s }} ]\n",
                url(&server)
            ));
            let ran = sandbox.run(&["run", "plan.yaml"]);
            assert_eq!(code(&ran), 0, "{}", stderr(&ran));
            let sent = bodies(&server);
            for (index, sent) in sent.iter().enumerate() {
                let shown = sandbox.run(&[
                    "plan",
                    "plan.yaml",
                    "--request",
                    "s",
                    "--index",
                    &index.to_string(),
                ]);
                assert_eq!(code(&shown), 0, "{}", stderr(&shown));
                assert_eq!(stderr(&shown).contains("ANSWER stands for"), index > 0);
                let shown =
                    crate::sandbox::text(&shown.stdout).replace("\"ANSWER\"", "\"ebb tide\"");
                let (_, body) = shown.split_once("\n\n").expect("a body");
                let body: Value = serde_json::from_str(body).expect("JSON");
                assert_eq!(*sent, body, "{unique}, turn {index}");
            }
        }
    }
}

#[test]
fn a_recorded_length_bounds_the_last_turn_of_a_conversation_and_a_limit_all() {
    let turns = json!([
        {"role": "user", "content": "Ebb?"}, {"role": "assistant", "content": "Soon."},
        {"role": "user", "content": "Flow?"}, {"role": "assistant", "content": "Later."},
    ]);
    let pairs = json!([{"from": "human", "value": "Ebb?"}, {"from": "gpt", "value": "Soon."},
        {"from": "human", "value": "Flow?"}, {"from": "gpt", "value": "Later."}]);
    for (row, right) in [
        (json!({"messages": turns, "output_tokens": 7}), [4, 7]),
        (json!({"messages": turns, "max_tokens": 9}), [9, 9]),
        (json!({"messages": turns, "max_tokens": 9, "output_tokens": 7}), [9, 9]),
        (json!({"messages": turns}), [4, 4]),
        (json!({"conversations": pairs, "output_tokens": 7}), [4, 7]),
        (json!({"cut_chat_history": turns, "output_tokens": 7}), [4, 7]),
        (json!({"messages": turns, "input_length": 30, "output_length": 7}), [4, 7]),
    ] {
        let server = server();
        run(std::slice::from_ref(&row), &url(&server), "kind: conversation, concurrency: 1");
        let sent: Vec<Value> = bodies(&server).iter().map(|it| it["max_tokens"].clone()).collect();
        assert_eq!(json!(sent), json!(right), "{row}");
    }
}

#[test]
fn a_live_history_quotes_the_first_of_several_answers() {
    let choice = |index: u64, said: Value| json!({"index": index, "delta": said});
    let says = |index, text: &str| choice(index, json!({"content": text}));
    let thinks = |index, text: &str| choice(index, json!({"reasoning_content": text}));
    // Why the others stopped says nothing of the first.
    let why = |index: u64| if index == 0 { "stop" } else { "tool_calls" };
    let end = |index: u64| json!({"index": index, "delta": {}, "finish_reason": why(index)});
    let ends = [json!([end(0)]), json!([end(1)])];
    let stream = |events: &[Value]| {
        let events = events.iter().chain(&ends).map(|it| json!({"choices": it}).to_string());
        let lines: Vec<String> = events.collect();
        format!("data: {}\n\ndata: [DONE]\n\n", lines.join("\n\ndata: "))
    };
    let whole = |index: u64, text: &str| {
        json!({"index": index, "finish_reason": why(index),
        "message": {"role": "assistant", "content": text}})
    };
    let answers = [
        stream(&[
            json!([says(1, "spring")]),
            json!([says(0, "ebb")]),
            json!([says(1, " flood")]),
            json!([thinks(0, "hm")]),
            json!([says(0, " tide")]),
        ]),
        stream(&[
            json!([says(1, "spring"), says(0, "ebb")]),
            json!([thinks(1, "hm"), says(0, " tide"), says(1, " flood")]),
        ]),
        json!({"choices": [whole(1, "spring flood"), whole(0, "ebb tide")]}).to_string(),
        json!({"choices": [whole(0, "ebb tide"), whole(1, "spring flood")]}).to_string(),
    ];
    let turns = json!([
        {"role": "user", "content": "Now?"}, {"role": "assistant", "content": "High."},
        {"role": "user", "content": "And then?"}, {"role": "assistant", "content": "Low."},
    ]);
    for text in answers {
        let is_whole = text.starts_with('{');
        let kind = if is_whole { "application/json" } else { "text/event-stream" };
        let said = text.clone();
        let server = FaultyServer::answers(move |request| match request {
            _ if request.starts_with("POST /v1/chat/completions") => {
                answer(200, &format!("Content-Type: {kind}\r\n"), &said)
            }
            _ if request.contains("/models") => json_answer(200, r#"{"data":[{"id":"m"}]}"#),
            _ => json_answer(404, "{}"),
        });
        let prompt = format!("{{ dataset: charts.jsonl, max_tokens: 4, stream: {} }}", !is_whole);
        let stage = format!("kind: conversation, concurrency: 1, history: live, prompt: {prompt}");
        run(&[json!({"messages": turns, "n": 2})], &url(&server), &stage);
        let sent = bodies(&server);
        assert_eq!((sent.len(), &sent[0]["n"]), (2, &json!(2)), "{text}");
        let quoted = json!({"role": "assistant", "content": "ebb tide"});
        assert_eq!(sent[1]["messages"], json!([turns[0], quoted, turns[2]]), "{text}");
    }
}

#[test]
fn an_answer_alone_is_malformed_and_never_sent_unless_it_is_to_be_gone_on_with() {
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let prefix = json!({"role": "assistant", "content": "{", "prefix": true});
    let rows = [
        json!({"messages": [said("An answer.")]}),
        json!({"messages": [{"role": "user", "content": "High?"}, said("Low.")]}),
        json!({"messages": [said("One."), said("Another.")]}),
        json!({"messages": [prefix]}),
        json!({"messages": [{"role": "system", "content": "Be brief."}, said("Yes.")]}),
    ];
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    for stage in ["kind: load, requests: 3, concurrency: 1", "kind: conversation, concurrency: 1"] {
        let server = server();
        let sandbox = Sandbox::new();
        fs::write(sandbox.dir.path().join("charts.jsonl"), lines.join("\n")).expect("rows");
        let plan = |dataset: &str| {
            sandbox.plan(&format!(
                "version: 1\nendpoint: {{ {}, tokenizer: estimate }}\n\
                 prompt: {{ dataset: {dataset}, max_tokens: 4 }}\nstages: [ {{ id: s, {stage} }} ]\n",
                url(&server)
            ));
            let ran = sandbox.run(&["run", "plan.yaml"]);
            (code(&ran), stderr(&ran))
        };
        let (refused, told) = plan("charts.jsonl");
        let why = "charts.jsonl:1: expected a prompt before the answer, found an answer alone";
        assert!(refused == 3 && told.contains(why), "{refused} {told}");
        assert!(bodies(&server).is_empty(), "nothing is sent");
        let (ran, told) = plan("{ path: charts.jsonl, on_malformed: skip }");
        assert!(ran == 0 && told.contains("2 malformed rows are left out"), "{ran} {told}");
        let sent: Vec<Value> = bodies(&server).iter().map(|it| it["messages"].clone()).collect();
        let asked = [
            json!([rows[1]["messages"][0]]),
            rows[3]["messages"].clone(),
            json!([rows[4]["messages"][0]]),
        ];
        assert_eq!(sent, asked, "{stage}");
    }
}
