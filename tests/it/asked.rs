//! What a plan says of its requests is what a server gets: names, types, headers, models, texts.
//!
//! Each plan runs against a server that logs what it gets, and its bodies and headers are compared
//! with what the plan and its rows say.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::faulty_server::{FaultyServer, answer, json as json_answer};
use crate::sandbox::{Sandbox, code, stderr};

/// One answer of two words.
const ANSWER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"two\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" words\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n\
    data: [DONE]\n\n";

/// A server with two models that answers to anything whose body `takes` lets in.
fn server_that(takes: fn(&Value) -> Result<(), &'static str>) -> FaultyServer {
    FaultyServer::answers(move |request| {
        if request.starts_with("GET") {
            return if request.contains("/models") {
                json_answer(200, r#"{"data":[{"id":"m"},{"id":"lora-a"}]}"#)
            } else {
                json_answer(404, "{}")
            };
        }
        if request.contains("/tokenize") {
            return json_answer(404, "{}");
        }
        match takes(&body(request)) {
            Ok(()) => answer(200, "Content-Type: text/event-stream\r\n", ANSWER),
            Err(why) => json_answer(400, &json!({ "error": { "message": why } }).to_string()),
        }
    })
}

fn server() -> FaultyServer {
    server_that(|_| Ok(()))
}

fn body(request: &str) -> Value {
    let (_, body) = request.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

/// Generations that a server was asked for, head and all.
fn posts(server: &FaultyServer) -> Vec<String> {
    let is_generation = |request: &String| request.starts_with("POST /v1/chat/completions ");
    server.requests().into_iter().filter(is_generation).collect()
}

/// The bodies that a server was asked with, in the order of the requests' numbers.
fn bodies(server: &FaultyServer) -> Vec<Value> {
    posts(server).iter().map(|request| body(request)).collect()
}

fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let head = request.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A plan beside its rows; the endpoint's other keys and what stands below it.
struct Case {
    sandbox: Sandbox,
    server: FaultyServer,
}

impl Case {
    fn new(server: FaultyServer) -> Self {
        Self { sandbox: Sandbox::new(), server }
    }

    fn rows(self, name: &str, text: &str) -> Self {
        fs::write(self.sandbox.dir.path().join(name), text).expect("rows");
        self
    }

    fn plan(&self, endpoint: &str, rest: &str) -> String {
        let address = self.server.address();
        let text = format!(
            "version: 1\nseed: 3\nendpoint: {{ url: \"http://{address}/v1\", metrics: off, \
             tokenizer: estimate{endpoint} }}\n{rest}\n"
        );
        self.sandbox.plan(&text).to_str().expect("utf-8").to_owned()
    }

    /// Runs it, which must go well; gives what is said on standard error.
    fn run(&self, endpoint: &str, rest: &str) -> String {
        let path = self.plan(endpoint, rest);
        // Once: the server's bodies are counted.
        let ran = self.sandbox.runner().args(["run", &path]).output().expect("runner starts");
        assert_eq!(code(&ran), 0, "{}", stderr(&ran));
        stderr(&ran)
    }
}

/// A model that knows `max_completion_tokens` alone, and no temperature.
fn strict(body: &Value) -> Result<(), &'static str> {
    match body {
        _ if body.get("max_tokens").is_some() => Err("use max_completion_tokens"),
        _ if body.get("temperature").is_some() => Err("no temperature"),
        _ if body.get("max_completion_tokens").is_none() => Err("no max_completion_tokens"),
        _ => Ok(()),
    }
}

#[test]
fn the_bound_of_tokens_goes_out_under_the_name_of_the_plan() {
    for prompt in [
        "{ text: Say so., max_tokens: 6, max_tokens_field: max_completion_tokens }",
        "{ text: Say so., body: { max_completion_tokens: 6 } }",
        "{ synthetic: { input_tokens: 20, output_tokens: 6 }, \
         max_tokens_field: max_completion_tokens }",
    ] {
        let case = Case::new(server_that(strict));
        // Canaries and foreign traffic are asked in the same way.
        let stages = "stages:\n  - { kind: cold, id: c, requests: 2 }\n  \
                      - { kind: flush, id: f, with: traffic, tokens: 2k, retries: 1 }\n  \
                      - { kind: load, id: l, concurrency: 1, requests: 2 }";
        let path = case.plan("", &format!("prompt: {prompt}\n{stages}"));
        let ran = case.sandbox.run(&["run", &path]);
        let said = stderr(&ran);
        let summary = case.sandbox.summary();
        for stage in summary["stages"].as_array().expect("stages") {
            assert_eq!(stage["requests"]["errors"].as_u64().unwrap_or(0), 0, "{prompt}: {said}");
        }
        let sent = bodies(&case.server);
        assert!(sent.iter().filter(|body| body["max_completion_tokens"] == 1).count() > 2);
        assert_eq!(sent.iter().filter(|body| body["max_completion_tokens"] == 6).count(), 4);
        assert!(sent.iter().all(|body| strict(body).is_ok()), "{prompt}");
    }
}

#[test]
fn the_bound_of_tokens_goes_out_under_the_name_of_the_row() {
    let rows = "{\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\
                \"max_completion_tokens\":5}}\n";
    let rows = [rows, &rows.replace("max_completion_tokens", "max_tokens")].concat();
    let rows = rows.replace(
        "{\"body\"",
        "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\"",
    );
    let case = Case::new(server()).rows("batch.jsonl", &rows);
    case.run(
        "",
        "prompt: { dataset: batch.jsonl }\nstages: [{ kind: load, concurrency: 1, requests: 2 }]",
    );
    let sent = bodies(&case.server);
    assert_eq!(sent[0]["max_completion_tokens"], 5);
    assert_eq!(sent[0].get("max_tokens"), None);
    assert_eq!(sent[1]["max_tokens"], 5);
    assert_eq!(sent[1].get("max_completion_tokens"), None);
}

#[test]
fn a_limit_that_nobody_states_is_not_sent_unless_recorded_lengths_are_asked_for() {
    let row = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},\
               {\"role\":\"assistant\",\"content\":\"Eight chars make two.\"}]}\n";
    let stated = row.replace("}]}", "}],\"output_tokens\":7}");
    let rows = [row, stated.as_str()].concat();
    for (output, limits) in [
        ("", [None, Some(7)]),
        (", output: recorded", [Some(6), Some(7)]),
        (", output: row", [Some(6), Some(7)]),
        (", output: plan", [None, None]),
    ] {
        let case = Case::new(server()).rows("rows.jsonl", &rows);
        case.run(
            "",
            &format!(
                "prompt: {{ dataset: {{ path: rows.jsonl{output} }} }}\n\
                 stages: [{{ kind: load, concurrency: 1, requests: 2 }}]"
            ),
        );
        let sent = bodies(&case.server);
        let found: Vec<_> = sent.iter().map(|body| body["max_tokens"].as_u64()).collect();
        assert_eq!(found, limits, "{output}");
        let notes = case.sandbox.summary()["run"]["notes"].to_string();
        let is_estimated = notes.contains("estimated from their characters");
        assert_eq!(is_estimated, limits[0].is_some(), "{notes}");
    }
}

#[test]
fn a_null_of_the_body_is_a_field_that_is_not_sent() {
    let rows = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\
                \"body\":{\"temperature\":0.5,\"user\":\"u\",\"stop\":null,\
                \"tools\":[{\"default\":null}]}}\n";
    let case = Case::new(server()).rows("rows.jsonl", rows);
    case.run(
        "",
        "prompt: { dataset: rows.jsonl, body: { temperature: null, \
         user: null, logit_bias: \"{{ none }}\", stream_options: { include_usage: null }, \
         chat_template_kwargs: { think: null, deep: { er: null, list: [1, null] } } } }\n\
         stages: [{ kind: load, concurrency: 1, requests: 1 }]",
    );
    let sent = bodies(&case.server);
    for field in ["temperature", "user"] {
        assert_eq!(sent[0].get(field), None, "{field}");
    }
    assert_eq!(sent[0]["stream_options"], json!({}));
    // An element of a list is no field.
    assert_eq!(sent[0]["chat_template_kwargs"], json!({"deep": {"list": [1, null]}}));
    assert_eq!(sent[0]["tools"], json!([{"default": null}]), "as the row has it");
    // What the row says goes out as it stands there, and a null can be said.
    assert_eq!(sent[0].get("stop"), Some(&Value::Null));
    assert_eq!(sent[0].get("logit_bias"), Some(&Value::Null));
}

#[test]
fn the_last_line_end_of_every_text_goes_out() {
    let case = Case::new(server()).rows("note.txt", "A note.\n");
    case.run(
        "",
        "prompt:\n  unique: never\n  messages:\n    - role: system\n      content: |\n        \
         Be terse.\n    - { role: user, content: \"{{ read('note.txt') }}\" }\n    \
         - { role: user, content: \"tail\\n\\n\" }\n  body: { stop: [\"\\n\", \"END\\n\"], \
         suffix: \"{{ i }}\\n\" }\nstages: [{ kind: load, concurrency: 1, requests: 1 }]",
    );
    let sent = &bodies(&case.server)[0];
    let contents: Vec<&str> = sent["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter_map(|message| message["content"].as_str())
        .collect();
    assert_eq!(contents, ["Be terse.\n", "A note.\n", "tail\n\n"]);
    assert_eq!(sent["stop"], json!(["\n", "END\n"]));
    assert_eq!(sent["suffix"], "0\n");
}

#[test]
fn values_of_the_body_keep_the_type_of_what_they_say() {
    let rows = "{\"q\":\"hello {{ x }}\",\"n\":12,\"docs\":[\"a\",\"b\"],\"tools\":[{\"type\":\"f\",\"b\":{\"z\":1,\"a\":2}}]}\n";
    let case = Case::new(server()).rows("rows.jsonl", rows);
    case.run(
        "",
        "prompt:\n  dataset: rows.jsonl\n  text: \"{{ row.q }}\"\n  unique: never\n  body:\n    \
         priority: \"{{ i - 1 }}\"\n    tools: \"{{ row.tools }}\"\n    nvext: { docs: \
         \"{{ row.docs }}\", n: \"{{ row.docs | length }}\", flag: \"{{ row.n > 3 }}\" }\n    \
         label: \"n{{ row.n }}\"\nstages: [{ kind: load, concurrency: 1, requests: 1 }]",
    );
    let sent = &bodies(&case.server)[0];
    assert_eq!(sent["messages"][0]["content"], "hello {{ x }}");
    assert_eq!(sent["priority"], -1);
    assert_eq!(sent["tools"].to_string(), r#"[{"type":"f","b":{"z":1,"a":2}}]"#);
    assert_eq!(sent["nvext"], json!({ "docs": ["a", "b"], "n": 2, "flag": true }));
    assert_eq!(sent["label"], "n12");
}

#[test]
fn headers_are_templates_too_and_no_credential_is_sent_where_none_is_wanted() {
    let case = Case::new(server());
    case.run(
        ", api_key: none, headers: { x-rank: \"{{ i % 2 }}\", x-fixed: yes }",
        "prompt: Say so.\nstages:\n  - { kind: load, id: l, concurrency: 1, requests: 3 }\n  \
         - { kind: flush, id: f, with: traffic, tokens: 2k, retries: 1 }",
    );
    let sent = posts(&case.server);
    let mut ranks: Vec<_> = sent.iter().map(|it| header(it, "x-rank").expect("a rank")).collect();
    assert_eq!(ranks[..3], ["0", "1", "0"]);
    // Canaries and traffic go where the first request went.
    ranks.drain(..3);
    assert!(!ranks.is_empty() && ranks.iter().all(|rank| *rank == "0"), "{ranks:?}");
    for request in case.server.requests() {
        assert_eq!(header(&request, "authorization"), None, "{request}");
        assert_eq!(header(&request, "x-fixed"), Some("yes"));
    }
}

#[test]
fn turns_know_their_session_and_number() {
    let rows: String = [("a", "one"), ("a", "two"), ("b", "uno")]
        .map(|(session, text)| format!("{{\"session\":\"{session}\",\"prompt\":\"{text}\"}}\n"))
        .concat();
    for stage in ["{ kind: conversation, concurrency: 1 }", "{ kind: replay, rate: 50 }"] {
        let case = Case::new(server()).rows("rows.jsonl", &rows);
        case.run(
            ", headers: { x-session: \"{{ session }}\" }",
            &format!(
                "prompt: {{ dataset: rows.jsonl, body: {{ user: \"{{{{ row.prompt }}}}\", \
                 metadata: {{ turn: \"{{{{ turn }}}}\", of: \"{{{{ session }}}}\" }} }} }}\n\
                 stages: [{stage}]"
            ),
        );
        let sent = posts(&case.server);
        let mut said: Vec<(String, u64)> = sent
            .iter()
            .map(|request| {
                let body = body(request);
                let session = body["metadata"]["of"].as_str().expect("a session").to_owned();
                assert_eq!(header(request, "x-session"), Some(session.as_str()));
                (
                    format!("{session} {}", body["user"].as_str().expect("a user")),
                    body["metadata"]["turn"].as_u64().expect("a number"),
                )
            })
            .collect();
        said.sort();
        assert_eq!(
            said,
            [("a one".into(), 0), ("a two".into(), 1), ("b uno".into(), 0)],
            "{stage}"
        );
    }
}

#[test]
fn a_model_that_is_not_listed_is_asked_for_unchecked() {
    let case = Case::new(server());
    let rest = "prompt: Say so.\nstages: [{ kind: load, concurrency: 1, requests: 1 }]";
    let path = case.plan(", model: routed", rest);
    let ran = case.sandbox.run(&["run", &path]);
    assert_eq!(code(&ran), 4);
    assert!(stderr(&ran).contains("check_model: false"), "{}", stderr(&ran));
    let said = case.run(", model: routed, check_model: false", rest);
    assert!(said.contains("`routed`, which the server does not list"), "{said}");
    assert_eq!(bodies(&case.server)[0]["model"], "routed");
}

#[test]
fn a_slash_at_the_end_of_what_is_called_stays() {
    let case = Case::new(FaultyServer::answers(|request| {
        if request.starts_with("POST /gen/ ") {
            json_answer(200, r#"{"text":"two words"}"#)
        } else {
            json_answer(404, "{}")
        }
    }));
    let address = case.server.address();
    let plan = format!(
        "version: 1\nendpoint: {{ url: \"http://{address}/gen/\", api: json, metrics: off }}\n\
         prompt: Say so.\nstages: [{{ kind: load, concurrency: 1, requests: 1 }}]\n"
    );
    let path = case.sandbox.plan(&plan);
    let ran = case.sandbox.run(&["run", path.to_str().expect("utf-8")]);
    assert_eq!(code(&ran), 0, "{}", stderr(&ran));
}

#[test]
fn rows_that_are_not_asked_are_not_said_to_name_other_models() {
    let case = Case::new(server()).rows("rows.jsonl", NAMED);
    case.run(
        "",
        "prompt: { dataset: rows.jsonl }\n\
         stages: [{ kind: load, id: l, concurrency: 1, requests: 1 }]",
    );
    let notes = case.sandbox.summary()["run"]["notes"].to_string();
    assert!(notes.contains("1 row of its dataset names another model, lora-a (1)"), "{notes}");
}

/// Two rows for two other models, and one that names none.
const NAMED: &str = "{\"model\":\"lora-a\",\"prompt\":\"uno\"}\n{\"model\":\"gpt\",\"prompt\":\"dos\"}\n\
    {\"prompt\":\"tres\"}\n";

#[test]
fn rows_that_name_a_model_are_asked_of_it_where_the_plan_says_so() {
    for (model, asked) in [
        ("", ["m", "m", "m"]),
        (", model: endpoint", ["m", "m", "m"]),
        (", model: row", ["lora-a", "gpt", "m"]),
        (", model: { lora-a: base, gpt: m }", ["base", "m", "m"]),
    ] {
        let case = Case::new(server()).rows("rows.jsonl", NAMED);
        case.run(
            "",
            &format!(
                "prompt: {{ dataset: rows.jsonl{model} }}\n\
                 stages: [{{ kind: load, id: l, concurrency: 1, requests: 3 }}]"
            ),
        );
        let sent = bodies(&case.server);
        let models: Vec<_> = sent.iter().map(|body| body["model"].as_str().unwrap()).collect();
        assert_eq!(models, asked, "{model}");
        let notes = case.sandbox.summary()["run"]["notes"].to_string();
        let said = "2 rows of its dataset name another model, gpt (1), lora-a (1): `m` was asked";
        let is_silent = model.contains("row") || model.contains("base");
        assert_eq!(notes.contains(said), !is_silent, "{notes}");
        let log = crate::sandbox::records(&case.sandbox.run_dir());
        let own: Vec<_> = log.iter().filter_map(|record| record["asked_model"].as_str()).collect();
        let named: Vec<&str> = if is_silent { asked[..2].to_vec() } else { Vec::new() };
        assert_eq!(own, named, "{model}");
        // What was asked of each stands by itself, in the summary and in what people read.
        let split = case.sandbox.summary()["stages"][0]["models"].clone();
        let run_dir = case.sandbox.run_dir();
        let shown = case.sandbox.run(&["report", run_dir.to_str().expect("utf-8")]);
        let shown = crate::sandbox::text(&shown.stdout);
        assert_eq!(split.as_object().map_or(0, serde_json::Map::len), named.len(), "{split}");
        for name in named {
            let of = log.iter().filter(|it| it["asked_model"] == name).count();
            assert_eq!(split[name]["ok"], of, "{split}");
            assert_eq!(split[name]["metrics"]["ttft"]["count"], of, "{split}");
            assert!(shown.contains(&format!("{name} {of} ok, TTFT p50 ")), "{shown}");
        }
    }
}

#[test]
fn a_model_that_the_map_lacks_is_found_before_anything_is_sent() {
    let case = Case::new(server()).rows("rows.jsonl", NAMED);
    let path = case.plan(
        "",
        "prompt: { dataset: rows.jsonl, model: { lora-a: base } }\n\
         stages: [{ kind: load, concurrency: 1, requests: 2 }]",
    );
    let ran = case.sandbox.run(&["run", &path]);
    assert_eq!(code(&ran), 3, "{}", stderr(&ran));
    assert!(
        stderr(&ran).contains("rows.jsonl:2: the row names the model `gpt`"),
        "{}",
        stderr(&ran)
    );
    assert!(posts(&case.server).is_empty());
}

#[test]
fn answers_are_as_long_as_recorded_ones_whose_text_is_known() {
    let long = "One, two, three, four, five, six, seven, eight.";
    let rows = format!(
        "[{{\"id\":\"a\",\"conversations\":[{{\"from\":\"human\",\"value\":\"Name one.\"}},\
         {{\"from\":\"gpt\",\"value\":\"Blue\"}}]}},{{\"id\":\"b\",\"conversations\":\
         [{{\"from\":\"human\",\"value\":\"Count.\"}},{{\"from\":\"gpt\",\"value\":\"{long}\"}}]}}]"
    );
    let tokens = |text: &str| text.chars().count().div_ceil(4) as u64;
    // Where the plan names a limit and does not choose the rows' lengths, its limit is sent.
    let case = Case::new(server()).rows("share.json", &rows);
    case.run(
        "",
        "prompt: { dataset: share.json, max_tokens: 33 }\n\
         stages: [{ kind: load, concurrency: 1, requests: 2 }]",
    );
    assert!(bodies(&case.server).iter().all(|body| body["max_tokens"] == 33));
    for (output, beside, exact) in [
        ("recorded", "", true),
        ("row", "", false),
        ("recorded", ", text: \"Say {{ row.id }}.\"", true),
        ("row", ", messages: [{ role: user, content: \"{{ row.id }}\" }]", false),
    ] {
        let case = Case::new(server()).rows("share.json", &rows);
        case.run(
            "",
            &format!(
                "prompt: {{ dataset: {{ path: share.json, output: {output} }}, max_tokens: 33{beside} }}\n\
                 stages: [{{ kind: load, concurrency: 1, requests: 2 }}]"
            ),
        );
        let sent = bodies(&case.server);
        let lengths: Vec<_> =
            sent.iter().map(|body| body["max_tokens"].as_u64().unwrap()).collect();
        assert_eq!(lengths, [tokens("Blue"), tokens(long)], "{output}{beside}");
        for body in sent {
            assert_eq!(body.get("ignore_eos").is_some(), exact, "{output}{beside}");
        }
    }
}

#[test]
fn no_nonce_is_hidden_in_what_a_stage_of_load_sends() {
    let stages = "stages:\n  - { kind: cold, id: c, requests: 2 }\n  - { kind: warm, id: w, like: c }\n  \
                  - { kind: load, id: l, concurrency: 1, requests: 4 }\n  \
                  - { kind: load, id: own, concurrency: 1, requests: 2, prompt: { text: Other., unique: request } }";
    let case = Case::new(server());
    let path = case.plan("", &format!("prompt: Say so.\n{stages}"));
    let shown = case.sandbox.run(&["plan", &path]);
    let shown = String::from_utf8(shown.stdout).expect("utf-8");
    assert_eq!(shown.matches("a nonce of its own opens each prompt").count(), 3, "{shown}");
    assert_eq!(shown.matches("prompts are sent as they are written").count(), 1, "{shown}");
    case.sandbox.run(&["run", &path]);
    let sent = bodies(&case.server);
    let texts: Vec<&str> =
        sent.iter().map(|body| body["messages"][0]["content"].as_str().expect("text")).collect();
    let mut halves = [texts[..2].to_vec(), texts[2..4].to_vec()];
    for half in &mut halves {
        half.sort_unstable();
    }
    assert_eq!(halves[0], halves[1], "warm is cold, byte for byte");
    assert!(halves[0].iter().all(|text| text.starts_with('[') && text.ends_with("]\nSay so.")));
    assert_eq!(texts[4..8], ["Say so."; 4]);
    assert!(texts[8..].iter().all(|text| text.ends_with("]\nOther.")) && texts[8] != texts[9]);
    let notes = case.sandbox.summary()["run"]["notes"].to_string();
    let said = "prompts: each has a nonce of its own in `c`, `own`; those of the stage that `like:` \
                names, nonces too, in `w`; sent as they are written, without a nonce, in `l`";
    assert!(notes.contains(said), "{notes}");
    assert!(notes.contains("`l`: 4 requests planned with one and the same prompt"), "{notes}");
}

#[test]
fn few_rows_that_go_round_are_said_to() {
    let case = Case::new(server()).rows("rows.jsonl", NAMED);
    case.run(
        "",
        "prompt: { dataset: rows.jsonl, model: row }\n\
         stages: [{ kind: load, id: l, concurrency: 1, requests: 12 }]",
    );
    let notes = case.sandbox.summary()["run"]["notes"].to_string();
    assert!(notes.contains("`l`: 12 requests planned for 3 rows, 4.0 for each"), "{notes}");
}

#[test]
fn a_log_says_what_is_asked_and_the_prompt_beside_it_how() {
    let rows = "{\"session\":\"a\",\"prompt\":\"uno\"}\n{\"session\":\"b\",\"prompt\":\"dos\"}\n";
    let replay = "stages:\n  - { kind: replay, log: rows.jsonl, rate: 50";
    let how = "{ max_tokens: 6, body: { user: \"{{ session }}\" } }";
    for rest in [
        format!("{replay}, prompt: {how} }}"),
        // The plan's prompt says how, too, whether or not it has something to ask for other stages.
        format!("prompt: {how}\n{replay} }}"),
        format!("prompt: {}\n{replay} }}", how.replacen('{', "{ text: Say so.,", 1)),
    ] {
        let case = Case::new(server()).rows("rows.jsonl", rows);
        case.run("", &rest);
        let mut sent: Vec<_> = bodies(&case.server)
            .iter()
            .map(|it| {
                (it["messages"][0]["content"].clone(), it["user"].clone(), it["max_tokens"].clone())
            })
            .collect();
        sent.sort_by_key(|(said, ..)| said.to_string());
        assert_eq!(json!(sent), json!([["dos", "b", 6], ["uno", "a", 6]]), "{rest}");
    }
    // A prompt that says only how asks nothing in other stages.
    let case = Case::new(server()).rows("rows.jsonl", rows);
    let load =
        format!("prompt: {how}\n{replay} }}\n  - {{ kind: load, concurrency: 1, requests: 1 }}");
    let ran = case.sandbox.run(&["run", &case.plan("", &load)]);
    assert_eq!(code(&ran), 3, "{}", stderr(&ran));
    assert!(stderr(&ran).contains("`load` has nothing to ask"), "{}", stderr(&ran));
}

/// The stage and the document of each generation, where the text is `{{ stage }}|{{ context }}`.
fn documents(server: &FaultyServer) -> Vec<(String, String)> {
    let of = |body: Value| {
        let said = body["messages"][0]["content"].as_str().expect("a text").to_owned();
        let (stage, document) = said.split_once('|').expect("stage|document");
        (stage.rsplit('\n').next().unwrap_or(stage).to_owned(), document.to_owned())
    };
    bodies(server).into_iter().map(of).collect()
}

#[test]
fn no_two_levels_probes_or_stages_of_load_share_a_document() {
    let prompt = "prompt: { context: { from: filler, tokens: 60 }, text: \"{{ stage }}|{{ context }}\", \
                  max_tokens: 2 }";
    for stages in [
        "[{ id: a, kind: load, concurrency: 2, requests: 6, rounds: 2 }, \
         { id: b, kind: load, rate: 200, requests: 6, max_lag: 10s }]",
        "[{ id: ramp, kind: concurrency_ramp, concurrency: \"1,2,4\", requests: 6 }]",
        "[{ id: find, kind: search, over: concurrency, from: 1, to: 4, requests: 6, \
         thresholds: [\"error_rate <= 1%\"] }]",
    ] {
        let case = Case::new(server());
        case.run("", &format!("matrix: {{ side: [a, b] }}\n{prompt}\nstages: {stages}"));
        let sent = documents(&case.server);
        let distinct: BTreeSet<&str> = sent.iter().map(|(_, document)| document.as_str()).collect();
        assert!(sent.len() >= 24, "{} requests of {stages}", sent.len());
        assert_eq!(distinct.len(), sent.len(), "{stages}");
    }
}

#[test]
fn warm_repeats_cold_and_cells_that_take_turns_ask_the_same_documents() {
    let prompt = "prompt: { context: { from: filler, tokens: 60 }, text: \"{{ stage }}|{{ context }}\", \
                  max_tokens: 2 }";
    let case = Case::new(server());
    case.run(
        "",
        &format!(
            "matrix: {{ interleave: true, side: [a, b] }}\n{prompt}\nstages: [{{ id: cold, kind: cold, \
             requests: 5 }}, {{ id: warm, kind: warm, like: cold }}, {{ id: other, kind: cold, requests: 5 }}]"
        ),
    );
    let sent = documents(&case.server);
    let of = |stage: &str| -> Vec<&str> {
        let mut all: Vec<&str> = sent
            .iter()
            .filter(|(of, _)| of == stage)
            .map(|(_, document)| document.as_str())
            .collect();
        all.sort_unstable();
        all
    };
    let (cold, warm, other) = (of("cold"), of("warm"), of("other"));
    assert_eq!((cold.len(), cold == warm), (10, true));
    // Each by both sides.
    assert!([&cold, &other].iter().all(|all| all.chunks(2).all(|pair| pair[0] == pair[1])));
    assert_eq!(cold.iter().collect::<BTreeSet<_>>().len(), 5);
    assert!(other.iter().all(|document| !cold.contains(document)));
}
