//! A request is a document: what a row says is what is sent, in every API's words, or refused.

mod before_the_run;
mod beside_a_prompt;
mod items;
mod left_out;
mod nothing_lost;
mod sockets;
mod unmade;

use std::fs;

use runner::client::dialect::{self, Refused};
use runner::plan::Api;
use runner::plan::workload::{DatasetConfig, OutputLimit, Uniqueness};
use runner::request::{Message, Request};
use runner::workload::dataset::{self, Dataset, Row};
use runner::workload::synthetic::Ask;
use runner::workload::synthetic::text::Texts;
use runner::workload::tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, code};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn word(&mut self) -> String {
        format!("w{} ☂ \"{}\"", self.below(1000), self.below(9))
    }
}

/// A message or two of kinds that only some APIs have words for.
fn rare(dice: &mut Dice) -> Vec<Value> {
    let text = json!({"type": "text", "text": dice.word()});
    let asks = |part: Value| vec![json!({"role": "user", "content": [text, part]})];
    match dice.below(11) {
        0 => asks(
            json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        ),
        1 => asks(json!({"type": "file", "file": {"file_data": "JVBER", "filename": "tides.pdf"}})),
        2 => asks(json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA"}})),
        3 => asks(
            json!({"type": "text", "text": dice.word(), "cache_control": {"type": "ephemeral"}}),
        ),
        4 => asks(json!({"type": "text", "text": dice.word(), "tone": "dry"})),
        5 => asks(json!({"type": "image_url",
            "image_url": {"url": "data:image/png;base64,BB=", "detail": "high"}})),
        6 => vec![json!({"role": "user", "content": dice.word(), "mood": {"calm": true}})],
        7 => vec![json!({"role": "assistant", "content": dice.word(),
            "reasoning_content": dice.word()})],
        8 => vec![
            json!({"role": "assistant", "content": null,
                "function_call": {"name": "f", "arguments": "{\"n\":1}"}}),
            json!({"role": "function", "name": "f", "content": dice.word()}),
        ],
        9 => vec![
            json!({"role": "assistant", "content": dice.word(), "tool_calls": [
                {"id": "p", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "q", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}),
            json!({"role": "tool", "tool_call_id": "p", "content": dice.word()}),
            json!({"role": "tool", "tool_call_id": "q", "name": "g", "content": dice.word()}),
        ],
        _ => vec![json!({"role": "developer", "content": dice.word()})],
    }
}

/// A conversation that ends with a question, or with a recorded answer behind it.
fn row(dice: &mut Dice) -> Value {
    let mut messages = Vec::new();
    if dice.below(2) == 0 {
        messages.push(json!({"role": "system", "content": dice.word()}));
    }
    if dice.below(3) == 0 {
        messages.extend(rare(dice));
    }
    for turn in 0..=dice.below(3) {
        messages.push(match dice.below(5) {
            0 => json!({"role": "user", "content": [{"type": "text", "text": dice.word()},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,AA{turn}=")}}]}),
            1 => json!({"role": "user", "content": [{"type": "text", "text": dice.word()}]}),
            2 => json!({"role": "user", "content": dice.word(), "name": "ada"}),
            _ => json!({"role": "user", "content": dice.word()}),
        });
        if dice.below(3) == 0 {
            let (id, arguments) = (format!("c{turn}"), format!("{{\"n\":{}}}", dice.below(99)));
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{"id": id,
                "type": "function", "function": {"name": "f", "arguments": arguments}}]}));
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": dice.word()}));
        }
        if dice.below(3) == 0 {
            messages.push(json!({"role": "assistant", "content": dice.word()}));
        }
    }
    messages.push(json!({"role": "user", "content": dice.word()}));
    let mut row = json!({ "messages": messages });
    if dice.below(2) == 0 {
        let tool = json!({"name": "f", "parameters": {"type": "object"}});
        row["tools"] = json!([{"type": "function", "function": tool}]);
    }
    if dice.below(3) == 0 {
        row["stop"] = json!(["END"]);
    }
    if dice.below(3) == 0 {
        row["seed"] = json!(dice.below(99));
    }
    if dice.below(2) == 0 {
        let answer = json!({"role": "assistant", "content": "THE RECORDED ANSWER"});
        row["messages"].as_array_mut().unwrap().push(answer);
    }
    row
}

/// The requests of rows.
fn asked(rows: &[Value]) -> Vec<Request> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    let dataset = Dataset::open(&DatasetConfig::of(file.display().to_string())).unwrap();
    let texts = Texts::new(1, "run", Uniqueness::Never, Tokenizer::Estimate);
    let ask = Ask { stream: true, ..Ask::default() };
    let rows = (0..).zip(dataset.rows());
    let request = |(index, row): (u64, Result<Row, _>)| {
        dataset::request(&row.unwrap(), index, &texts, &ask, OutputLimit::Row).unwrap()
    };
    rows.map(request).collect()
}

/// What was said, free of spelling: who, and a text, an image, a call or a result.
type Said = Vec<(String, String)>;

fn of_chat(messages: &[Value]) -> Said {
    let mut said = Vec::new();
    for message in messages {
        let role = message["role"].as_str().unwrap();
        if role == "tool" {
            let (id, text) = (&message["tool_call_id"], text(&message["content"]));
            said.push(("result".into(), format!("{} {text}", id.as_str().unwrap())));
        } else {
            said.extend(parts(role, &message["content"]));
        }
        for image in message.get("images").and_then(Value::as_array).into_iter().flatten() {
            said.push((role.into(), format!("image {}", image.as_str().unwrap())));
        }
        for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let function = &call["function"];
            said.push((
                "call".into(),
                called(&call["id"], &function["name"], &function["arguments"]),
            ));
        }
        for (field, value) in message.as_object().unwrap() {
            let field = match field.as_str() {
                "role" | "content" | "tool_calls" | "tool_call_id" | "images" => continue,
                "tool_name" => "name",
                "thinking" => "reasoning_content",
                other => other,
            };
            said.push((role.into(), format!("{field} {value}")));
        }
    }
    said
}

fn called(id: &Value, name: &Value, arguments: &Value) -> String {
    let arguments = match arguments {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => other.clone(),
    };
    format!("{} {} {arguments}", id.as_str().unwrap(), name.as_str().unwrap())
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn parts(role: &str, content: &Value) -> Said {
    match content {
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![(role.to_owned(), text.clone())],
        Value::Array(parts) => parts.iter().flat_map(|it| part(role, it)).collect(),
        _ => Vec::new(),
    }
}

fn part(role: &str, part: &Value) -> Said {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let image = |url: &Value, detail: &Value| {
        let detail = detail.as_str().filter(|detail| *detail != "auto").unwrap_or_default();
        format!("image {}{detail}", word(url).rsplit(',').next().unwrap())
    };
    let of = |words: String| (role.to_owned(), words);
    let mut said = vec![match part["type"].as_str().unwrap() {
        "text" | "input_text" | "output_text" => of(word(&part["text"])),
        "image_url" => of(image(&part["image_url"]["url"], &part["image_url"]["detail"])),
        "input_image" => of(image(&part["image_url"], &part["detail"])),
        "image" => of(image(&part["source"]["data"], &Value::Null)),
        "file" => of(format!("file {} {}", part["file"]["filename"], part["file"]["file_data"])),
        "input_file" => of(format!("file {} {}", part["filename"], part["file_data"])),
        "tool_use" => ("call".to_owned(), called(&part["id"], &part["name"], &part["input"])),
        "tool_result" => {
            let id = part["tool_use_id"].as_str().unwrap();
            ("result".to_owned(), format!("{id} {}", text(&part["content"])))
        }
        // In the API's own words, or nobody's: as it is.
        _ => of(part.to_string()),
    }];
    for field in ["cache_control", "tone"] {
        said.extend(part.get(field).map(|value| of(format!("{field} {value}"))));
    }
    said
}

/// What a body says, read by an API's own spelling.
fn of_body(api: &str, body: &Value) -> Said {
    let list = |key: &str| body[key].as_array().cloned().unwrap_or_default();
    let mut said: Said = body.get("system").map(|it| parts("system", it)).unwrap_or_default();
    match api {
        "openai-chat" | "ollama-chat" => said.extend(of_chat(&list("messages"))),
        "anthropic-messages" => {
            for message in list("messages") {
                said.extend(parts(message["role"].as_str().unwrap(), &message["content"]));
            }
        }
        "openai-responses" => {
            for item in list("input") {
                match item.get("type").and_then(Value::as_str) {
                    Some("function_call") => said.push((
                        "call".into(),
                        called(&item["call_id"], &item["name"], &item["arguments"]),
                    )),
                    Some("function_call_output") => {
                        let id = item["call_id"].as_str().unwrap();
                        said.push(("result".into(), format!("{id} {}", text(&item["output"]))));
                    }
                    _ => said.extend(parts(item["role"].as_str().unwrap(), &item["content"])),
                }
            }
        }
        _ => {
            let keys = ["prompt", "inputs", "text_input", "text"];
            let prompt = keys.iter().find_map(|key| body[*key].as_str()).unwrap();
            said.push(("all".into(), prompt.to_owned()));
        }
    }
    said
}

/// A value under `key`, at any depth of the options beside the messages.
fn beside<'b>(body: &'b Value, keys: &[&str]) -> Option<&'b Value> {
    let objects = [body, &body["options"], &body["parameters"], &body["sampling_params"]];
    objects.into_iter().find_map(|object| keys.iter().find_map(|key| object.get(*key)))
}

#[test]
fn what_a_row_says_is_what_is_sent_or_it_is_refused() {
    let mut dice = Dice(11);
    let rows: Vec<Value> = (0..600).map(|_| row(&mut dice)).collect();
    let requests = asked(&rows);
    for name in Api::NAMES {
        let api = Api::of_name(name).unwrap();
        let (mut sent, mut refused) = (0, 0);
        for (line, (row, request)) in (1..).zip(rows.iter().zip(&requests)) {
            let http = match dialect::of(&api).encode(request, "m") {
                Ok(http) => http,
                Err(no_form) => {
                    refused += 1;
                    let part = no_form.part.clone();
                    let is_beside = row.get(&part).is_some();
                    assert!(is_beside || part.starts_with("messages/"), "{name}: {part} of {row}");
                    let said = Refused::new(request, name, no_form).to_string();
                    assert!(said.contains(&format!("rows.jsonl:{line}: `{part}`")), "{said}");
                    assert!(said.contains(&format!("the API {name}:")), "{said}");
                    continue;
                }
            };
            sent += 1;
            let body: Value = serde_json::from_slice(&http.body).unwrap();
            assert!(!body.to_string().contains("THE RECORDED ANSWER"), "{name}: {body}");
            let mut messages = row["messages"].as_array().unwrap().clone();
            while messages.last().unwrap()["role"] == "assistant" {
                messages.pop();
            }
            let mut right = of_chat(&messages);
            if matches!(name, "anthropic-messages" | "ollama-generate") {
                // Instructions have one place there, whoever gave them.
                let is_one = |(role, _): &(String, String)| role == "system" || role == "developer";
                let (asks, others): (Said, Said) = right.into_iter().partition(is_one);
                let asks: Vec<String> = asks.into_iter().map(|(_, text)| text).collect();
                let asks = Some(asks.join("\n\n")).filter(|asks| !asks.is_empty());
                right = asks.map(|asks| ("system".to_owned(), asks)).into_iter().collect();
                right.extend(others);
            }
            let mut said = of_body(name, &body);
            if said.iter().any(|(role, _)| role == "all") {
                let texts =
                    right.iter().filter(|(role, _)| role != "system" || name != "ollama-generate");
                let joined: Vec<&str> = texts.map(|(_, text)| text.as_str()).collect();
                let system = right.iter().filter(|(role, _)| role == "system").cloned();
                let mut all: Said =
                    if name == "ollama-generate" { system.collect() } else { Said::new() };
                all.push(("all".into(), joined.join("\n\n")));
                right = all;
            }
            if name == "openai-chat" {
                assert_eq!(body["messages"], json!(messages), "as written");
            }
            said.sort();
            right.sort();
            assert_eq!(said, right, "{name}: {row} became {body}");
            let stop = beside(&body, &["stop", "stop_sequences", "stop_words"]);
            assert_eq!(stop, row.get("stop"), "{name}: {body}");
            let seed = beside(&body, &["seed", "sampling_seed", "random_seed"]);
            assert_eq!(seed, row.get("seed"), "{name}: {body}");
            assert_eq!(body["tools"].is_array(), row["tools"].is_array(), "{name}: {body}");
        }
        assert!(sent > 10, "{name}: {refused} refused");
        assert_eq!(refused == 0, name == "openai-chat", "{name}: {sent} sent");
    }
}

#[test]
fn a_refusal_names_file_line_part_and_api() {
    let sandbox = Sandbox::new();
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}});
    let rows = [
        json!({"messages": [{"role": "user", "content": "what is a quay?"}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "which quay?"}, image]}]}),
    ];
    fs::write(sandbox.dir.path().join("quays.jsonl"), format!("{}\n{}\n", rows[0], rows[1]))
        .unwrap();
    let plan = "version: 1\nendpoint: { url: http://127.0.0.1:9/v1, api: openai-completions, model: m }\n\
                prompt: { dataset: quays.jsonl, unique: never }\n\
                stages: [ { id: s, kind: load, concurrency: 1, requests: 2 } ]\n";
    sandbox.plan(plan);
    for command in ["validate", "run"] {
        let output = sandbox.run(&[command, "plan.yaml"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), 3, "{said}");
        for part in ["quays.jsonl:2: `messages/0/content/1`", "openai-completions", "image_url"] {
            assert!(said.contains(part), "{command}: no {part} in {said}");
        }
    }
}

#[test]
fn what_is_left_out_of_rows_is_counted_and_named() {
    let sandbox = Sandbox::new();
    let row = |more: Value| {
        let mut row = json!({"messages": [{"role": "user", "content": "which tide?"}]});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row.to_string()
    };
    let rows = [
        row(json!({"tools": [], "topic": "sea", "temperature": 0.7})),
        row(json!({"topic": "sea", "source": "log"})),
    ];
    fs::write(sandbox.dir.path().join("tides.jsonl"), rows.join("\n")).unwrap();
    let plan = "version: 1\nendpoint: { simulator: {} }\n\
                prompt: { dataset: tides.jsonl, unique: never, max_tokens: 4, temperature: 0.1 }\n\
                stages: [ { id: s, kind: load, concurrency: 1, requests: 4 } ]\n";
    sandbox.plan(plan);
    let words = "left out of rows: source in 1, temperature (`prompt.temperature` says it) in 1, topic in 2";
    let validated = sandbox.run(&["validate", "plan.yaml"]);
    let said = String::from_utf8_lossy(&validated.stdout);
    assert!(said.contains(words), "{said}");
    let ran = sandbox.run(&["run", "plan.yaml", "--output-format", "json"]);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains(words), "{said}");
    let inspected = sandbox.run(&["dataset", "inspect", "tides.jsonl"]);
    let said = String::from_utf8_lossy(&inspected.stdout);
    assert!(said.contains("left out of rows: source in 1, topic in 2"), "{said}");
}

#[test]
fn what_templates_of_the_body_and_headers_read_of_rows_is_not_left_out() {
    for kind in ["load, concurrency: 1, requests: 2", "conversation"] {
        let sandbox = Sandbox::new();
        let row = json!({"messages": [{"role": "user", "content": "which quay?"}],
            "berth": 3, "flag": "NO", "depth": 9});
        let rows = [row.to_string(), row.to_string(), row.to_string()];
        fs::write(sandbox.dir.path().join("quays.jsonl"), rows.join("\n")).unwrap();
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ simulator: {{}}, headers: {{ x-flag: \"{{{{ row.flag }}}}\" }} }}\n\
             prompt: {{ dataset: quays.jsonl, unique: never, max_tokens: 4, \
             body: {{ place: [\"{{{{ row.berth }}}}\"] }} }}\n\
             stages: [ {{ id: s, kind: {kind} }} ]\n"
        ));
        let validated = sandbox.run(&["validate", "plan.yaml"]);
        let said = String::from_utf8_lossy(&validated.stdout);
        assert!(said.contains("left out of rows: depth in "), "{kind}: {said}");
        let ran = sandbox.run(&["run", "plan.yaml"]);
        assert_eq!(code(&ran), 0, "{kind}");
        let notes = sandbox.summary()["run"]["notes"].to_string();
        assert!(notes.contains("left out of rows: depth in "), "{kind}: {notes}");
        assert!(!notes.contains("flag") && !notes.contains("berth"), "{kind}: {notes}");
    }
}

#[test]
fn an_empty_system_message_is_sent_as_one() {
    let asks = json!([{"role": "system", "content": ""}, {"role": "user", "content": "which?"}]);
    let requests = asked(&[json!({ "messages": asks }), json!({ "messages": [asks[1]] })]);
    let system = |request| {
        let encoded = dialect::of(&Api::AnthropicMessages).encode(request, "m").unwrap();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        body.get("system").cloned()
    };
    assert_eq!(system(&requests[0]), Some(json!("")));
    assert_eq!(system(&requests[1]), None);
}

#[test]
fn token_ids_go_out_as_ids_or_not_at_all() {
    let requests =
        asked(&[json!({"custom_id": "r", "body": {"prompt": [7, 9, 11], "max_tokens": 5}})]);
    for name in Api::NAMES {
        let encoded = dialect::of(&Api::of_name(name).unwrap()).encode(&requests[0], "m");
        let key = match name {
            "openai-completions" | "llamacpp-completion" => "prompt",
            "sglang" => "input_ids",
            _ => {
                assert!(encoded.unwrap_err().why.contains("token ids"), "{name}");
                continue;
            }
        };
        let body: Value = serde_json::from_slice(&encoded.unwrap().body).unwrap();
        assert_eq!(body[key], json!([7, 9, 11]), "{name}");
    }
}

#[test]
fn a_call_that_is_answered_stays_in_a_live_history() {
    let call =
        json!([{"id": "c9", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let mut recorded = Message::text("assistant", "");
    recorded.more.insert("tool_calls".into(), call);
    let mut result = Message::text("tool", "low water at six");
    result.more.insert("tool_call_id".into(), json!("c9"));
    let first = vec![Message::text("user", "when is low water?")];
    let later = [first.clone(), vec![recorded, result]].concat();
    let mut history = runner::workload::conversation::LiveHistory::default();
    let mut swaps = runner::workload::conversation::Swaps::default();
    assert_eq!(history.next(first.clone(), &mut swaps), first);
    history.answered("I call nothing");
    assert_eq!(history.next(later.clone(), &mut swaps), later);
}
