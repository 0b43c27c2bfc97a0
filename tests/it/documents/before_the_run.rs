//! What can't be asked is refused before anything is sent, wherever in a dataset it stands and whatever
//! kind of stage would meet it; and what is left out is named by keys that the plan has.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, code, stderr, text};

const ENDPOINT: &str = "simulator: {}";

/// A folder with these rows in `rows.jsonl`, and a plan of one stage.
fn folder(rows: &[Value], endpoint: &str, prompt: &str, stage: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(sandbox.dir.path().join("rows.jsonl"), lines.join("\n")).unwrap();
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ {endpoint} }}\nprompt: {{ {prompt} }}\n\
         stages: [ {{ id: s, {stage} }} ]\n"
    ));
    sandbox
}

/// Both commands refuse the plan and say these parts; no run is begun.
fn refused(sandbox: &Sandbox, parts: &[&str]) {
    for command in ["validate", "run"] {
        let output = sandbox.run(&[command, "plan.yaml"]);
        let said = stderr(&output);
        assert_eq!(code(&output), 3, "{command}: {said}{}", text(&output.stdout));
        for part in parts {
            assert!(said.contains(part), "{command}: no {part} in {said}");
        }
    }
    assert!(!sandbox.dir.path().join("results").exists(), "nothing was begun");
}

fn user(content: &Value) -> Value {
    json!([{"role": "user", "content": content}])
}

fn image() -> Value {
    json!([{"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}])
}

#[test]
fn a_row_that_fails_late_is_refused_by_every_kind_of_stage() {
    let completions = format!("{ENDPOINT}, api: openai-completions");
    let mut rows: Vec<Value> = (0..9)
        .map(|at| json!({"timestamp": at, "session": format!("s{at}"), "messages": user(&json!("Hi"))}))
        .collect();
    rows[7]["messages"] = user(&image());
    for stage in [
        "kind: load, concurrency: 1, duration: 1s",
        "kind: load, rate: 5, duration: 1s",
        "kind: qps_ladder, rates: [5, 9], step: 1s",
        "kind: concurrency_ramp, concurrency: \"1,2\", requests: 5",
        "kind: conversation, concurrency: 1",
        "kind: cold, requests: 8, concurrency: 1",
        "kind: replay, log: rows.jsonl, prompt: {}",
    ] {
        let prompt = if stage.contains("replay") { "max_tokens: 4" } else { "dataset: rows.jsonl" };
        let sandbox = folder(&rows, &completions, prompt, stage);
        refused(&sandbox, &["rows.jsonl:8: `messages/0/content/1`", "openai-completions"]);
    }
    // What is never asked is nobody's concern.
    for stage in [
        "kind: load, concurrency: 1, requests: 7",
        "kind: cold, requests: 7, concurrency: 1",
        "kind: conversation, concurrency: 1, sessions: 7",
    ] {
        let sandbox = folder(&rows, &completions, "dataset: rows.jsonl", stage);
        let output = sandbox.run(&["validate", "plan.yaml"]);
        assert_eq!(code(&output), 0, "{stage}: {}", stderr(&output));
    }
}

#[test]
fn a_template_that_fails_with_a_later_row_is_refused() {
    let rows = [json!({"q": "Which tide?"}), json!({"q": "Which moon?"}), json!({"a": "spring"})];
    let load = "kind: load, concurrency: 1, duration: 1s";
    let sandbox = folder(&rows, ENDPOINT, "dataset: rows.jsonl, text: \"{{ row.q }}\"", load);
    refused(&sandbox, &["rows.jsonl:3: ", "with row 3", "row.q"]);
    let body = "dataset: rows.jsonl, text: Hi, body: { user: \"{{ row.q }}\" }";
    refused(&folder(&rows, ENDPOINT, body, load), &["rows.jsonl:3: ", "`prompt.body.user`"]);
    let bears = "dataset: rows.jsonl, text: \"{{ row.q | default('Which?') }}\"";
    let output = folder(&rows, ENDPOINT, bears, load).run(&["validate", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn token_ids_are_not_asked_cold() {
    let rows = [json!({"prompt": "Hi"}), json!({"prompt": [5, 6, 7]})];
    let endpoint = format!("{ENDPOINT}, api: openai-completions");
    let cold = "kind: cold, requests: 2, concurrency: 1";
    let sandbox = folder(&rows, &endpoint, "dataset: rows.jsonl", cold);
    refused(&sandbox, &["rows.jsonl:2: ", "no text that a nonce could open"]);
}

#[test]
fn what_the_plan_says_itself_has_a_place_in_a_body_of_its_own_making() {
    let json = "url: \"http://127.0.0.1:9\", api: json, json: { body: { q: \"{{ prompt }}\" } }";
    let load = "kind: load, concurrency: 1, requests: 1";
    for (prompt, key) in [
        ("text: Hi, max_tokens: 5", "prompt.max_tokens"),
        ("text: Hi, temperature: 0", "prompt.temperature"),
        ("synthetic: { input_tokens: 9, output_tokens: 9 }", "prompt.synthetic.output_tokens"),
        ("dataset: { path: rows.jsonl, output: row }", "prompt.dataset.output"),
        ("dataset: rows.jsonl, model: row", "prompt.model"),
    ] {
        let rows = [json!({"prompt": "Hi", "output_tokens": 3, "model": "m"})];
        let sandbox = folder(&rows, json, prompt, load);
        refused(&sandbox, &[&format!("`{key}` would be sent to nobody")]);
        // In a body that has one, it stands there.
        let whole = json.replace(
            "\"{{ prompt }}\"",
            "\"{{ prompt }}\", m: \"{{ model }}\", n: \"{{ max_tokens }}\", t: \"{{ temperature }}\"",
        );
        let output = folder(&rows, &format!("{whole}, model: m"), prompt, load)
            .run(&["validate", "plan.yaml"]);
        assert_eq!(code(&output), 0, "{key}: {}", stderr(&output));
    }
    let rows = [json!({"prompt": "Hi", "model": "m"})];
    let sglang = "url: \"http://127.0.0.1:9\", api: sglang";
    refused(&folder(&rows, sglang, "dataset: rows.jsonl, model: row", load), &["`prompt.model`"]);
}

/// The parts that are left out of rows, each with the key that is named beside it.
fn parts(said: &str) -> Vec<(String, Option<String>)> {
    let line = said.split_once("left out of rows: ").map_or("", |(_, line)| line);
    let line = line.lines().next().unwrap_or_default();
    let part = |part: &str| {
        let name = part.split(' ').next().unwrap_or_default().to_owned();
        let key = part.split_once("(`").and_then(|(_, rest)| rest.split_once("` says it)"));
        (name, key.map(|(key, _)| key.to_owned()))
    };
    line.split(", ").filter(|it| !it.is_empty()).map(part).collect()
}

#[test]
fn a_key_that_is_named_stands_in_the_plan_and_what_is_sent_is_not_left_out() {
    let row = json!({
        "stream": false,
        "body": {"messages": user(&json!("No")), "stop": ["z"], "top_p": 0.5,
            "temperature": 0.5, "stream_options": {"include_usage": false}},
        "messages": user(&json!("Hi")), "max_tokens": 9, "model": "m",
    });
    let load = "kind: load, concurrency: 1, requests: 1";
    for (prompt, right) in [
        ("", "messages, stream, stream_options"),
        ("stream: false", "messages, stream_options"),
        ("stream: true", "messages, stream prompt.stream, stream_options"),
        ("body: { stop: [z] }", "messages, stream, stream_options"),
        (
            "body: { stop: [y], top_p: null }",
            "messages, stop prompt.body.stop, stream, stream_options, top_p prompt.body.top_p",
        ),
        (
            "body: { stream_options: null }",
            "messages, stream, stream_options prompt.body.stream_options",
        ),
        (
            "body: { stream_options: { include_usage: null } }",
            "messages, stream, stream_options prompt.body.stream_options",
        ),
        (
            "body: { max_tokens: null, temperature: null }",
            "max_tokens prompt.body.max_tokens, messages, stream, stream_options, temperature \
             prompt.body.temperature",
        ),
        ("temperature: 0.5", "messages, stream, stream_options"),
        (
            "temperature: 0.1, max_tokens: 9",
            "messages, stream, stream_options, temperature prompt.temperature",
        ),
        (
            "body: { max_completion_tokens: 3 }",
            "max_tokens prompt.body.max_completion_tokens, messages, stream, stream_options",
        ),
    ] {
        let more = if prompt.is_empty() { String::new() } else { format!(", {prompt}") };
        let written = format!("dataset: rows.jsonl{more}");
        let url = "url: \"http://127.0.0.1:9\", model: m";
        let sandbox = folder(std::slice::from_ref(&row), url, &written, load);
        let validated = sandbox.run(&["validate", "plan.yaml"]);
        assert_eq!(code(&validated), 0, "{prompt}: {}", stderr(&validated));
        let parts = parts(&text(&validated.stdout));
        let words: Vec<String> = parts
            .iter()
            .map(|(name, key)| key.as_ref().map_or(name.clone(), |key| format!("{name} {key}")))
            .collect();
        assert_eq!(words.join(", "), right, "{prompt}");
        for key in parts.iter().filter_map(|(_, key)| key.as_ref()) {
            let mut names = key.split('.').skip(1);
            assert!(names.all(|name| written.contains(&format!("{name}:"))), "{prompt}: {key}");
        }
        // What is sent agrees with what is said.
        let shown = sandbox.run(&["plan", "plan.yaml", "--request", "s"]);
        let shown = text(&shown.stdout);
        let (_, body) = shown.split_once("\n\n").expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        for name in ["stream", "stop", "top_p", "temperature", "max_tokens"] {
            let own = row["body"].get(name).unwrap_or(&row[name]);
            let is_left_out = parts.iter().any(|(part, _)| part == name);
            assert_eq!(body.get(name) != Some(own), is_left_out, "{prompt}: {name} in {body}");
        }
    }
}
