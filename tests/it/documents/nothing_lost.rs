//! What a dialect or a plan says itself replaces nothing of a row unnamed.

use std::fs;

use runner::client::dialect;
use runner::plan::{Api, JsonApi};
use serde_json::{Value, json};

use super::asked;
use crate::sandbox::{Sandbox, code, stderr, text};

fn encoded(api: &Api, row: Value) -> Result<Value, String> {
    let request = &asked(&[row])[0];
    let http = dialect::of(api).encode(request, "m").map_err(|it| it.part)?;
    Ok(serde_json::from_slice(&http.body).unwrap())
}

fn batch(body: &Value) -> Value {
    json!({"custom_id": "a", "method": "POST", "url": "/v1/x", "body": body})
}

#[test]
fn a_field_of_the_row_replaces_nothing_that_says_otherwise() {
    let turns =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
    let anthropic = Api::AnthropicMessages;
    let part = encoded(&anthropic, batch(&json!({"system": "Be kind.", "messages": turns})));
    assert_eq!(part, Err("system".into()));
    let same = encoded(&anthropic, batch(&json!({"system": "Be brief.", "messages": turns})));
    assert_eq!(same.unwrap()["system"], "Be brief.");
    let stops = json!({"messages": turns, "stop": "z", "stop_sequences": ["a"]});
    assert_eq!(encoded(&anthropic, batch(&stops)), Err("stop_sequences".into()));
    let user = json!({"messages": turns, "user": "u", "metadata": {"user_id": "v"}});
    assert!(encoded(&anthropic, batch(&user)).unwrap_err().starts_with("metadata"));
    let options = json!({"messages": turns, "seed": 3, "options": {"seed": 4}});
    assert_eq!(encoded(&Api::OllamaChat, batch(&options)), Err("options/seed".into()));
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}});
    let message = json!({"role": "user", "content": [image, "What?"], "images": ["Qg=="]});
    let sent = encoded(&Api::OllamaChat, json!({"messages": [message]})).unwrap();
    assert_eq!(sent["messages"][0]["images"], json!(["QQ==", "Qg=="]));
}

#[test]
fn parts_keep_their_order_and_their_bounds_where_messages_are_one_text() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = |data: &str| json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}});
    let said = |text: &str| json!({"role": "user", "content": text});
    let seen =
        |text: &str, images: &[&str]| json!({"role": "user", "content": text, "images": images});
    for (parts, messages) in [
        (
            json!([text("Look."), image("QQ=="), text("And?")]),
            json!([said("Look."), seen("And?", &["QQ=="])]),
        ),
        (
            json!([image("QQ=="), image("Qg=="), text("Both?")]),
            json!([seen("Both?", &["QQ==", "Qg=="])]),
        ),
        (json!([text("Look."), image("QQ==")]), json!([said("Look."), seen("", &["QQ=="])])),
        (json!([text("One."), text("Two.")]), json!([said("One."), said("Two.")])),
        (json!([text("One.")]), json!([said("One.")])),
    ] {
        let row = json!({"messages": [{"role": "user", "content": parts}]});
        let sent = encoded(&Api::OllamaChat, row).unwrap();
        assert_eq!(sent["messages"], messages, "{parts}");
    }
    let call = json!({"role": "assistant", "content": [text("So."), text("I look.")], "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "a", "content": [text("7"), text("m")]});
    let asks = json!({"role": "user", "content": "How deep?"});
    let row =
        json!({"messages": [asks, call, {"role": "tool", "tool_call_id": "a", "content": "7 m"}]});
    let sent = encoded(&Api::OllamaChat, row).unwrap();
    assert_eq!(sent["messages"][1], json!({"role": "assistant", "content": "So."}));
    assert_eq!(sent["messages"][2]["tool_calls"][0]["id"], "a");
    let part = encoded(&Api::OllamaChat, json!({"messages": [asks, call, result]}));
    assert_eq!(part, Err("messages/2/content".into()));
}

#[test]
fn parts_of_other_apis_are_no_blocks() {
    for kind in ["video_url", "audio_url", "input_file", "input_audio", "surprise"] {
        let row = json!({"messages": [{"role": "user", "content": [{"type": kind, kind: {"url": "u"}}]}]});
        let part = encoded(&Api::AnthropicMessages, row);
        assert_eq!(part, Err("messages/0/content/0".into()), "{kind}");
    }
    for kind in ["document", "thinking", "web_search_tool_result"] {
        let block = json!({"type": kind, "x": 1});
        let row = json!({"messages": [{"role": "user", "content": [block]}]});
        let sent = encoded(&Api::AnthropicMessages, row).unwrap();
        assert_eq!(sent["messages"][0]["content"][0], block);
    }
}

#[test]
fn rows_of_the_responses_api_are_said_in_the_words_of_the_api_that_is_asked() {
    let flat = json!({"type": "function", "name": "depth", "parameters": {"type": "object"}});
    let row = batch(&json!({
        "instructions": "Metric.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "How deep?"},
            {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "auto"}]}],
        "tools": [flat], "tool_choice": {"type": "function", "name": "depth"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        "reasoning": {"effort": "low", "summary": null},
    }));
    let chat = encoded(&Api::OpenaiChat, row.clone()).unwrap();
    let image = json!({"url": "data:image/png;base64,QQ==", "detail": "auto"});
    let parts =
        json!([{"type": "text", "text": "How deep?"}, {"type": "image_url", "image_url": image}]);
    assert_eq!(
        chat["messages"],
        json!([{"role": "system", "content": "Metric."}, {"role": "user", "content": parts}])
    );
    let function = json!({"name": "depth", "parameters": {"type": "object"}});
    assert_eq!(chat["tools"], json!([{"type": "function", "function": function}]));
    assert_eq!(chat["tool_choice"], json!({"type": "function", "function": {"name": "depth"}}));
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}});
    assert_eq!(chat["response_format"], format);
    assert_eq!(chat["reasoning_effort"], "low");
    assert!(chat.get("text").is_none() && chat.get("reasoning").is_none(), "{chat}");

    let own = encoded(&Api::OpenaiResponses, row).unwrap();
    assert_eq!(own["instructions"], "Metric.");
    assert_eq!(own["input"][0]["content"][0]["type"], "input_text");
    assert_eq!(own["tools"], json!([flat]), "as written");
    assert_eq!(own["reasoning"], json!({"effort": "low", "summary": null}));

    let asks = json!([{"role": "user", "content": "Hi"}]);
    let tools = batch(&json!({"input": asks, "tools": [flat]}));
    let anthropic = encoded(&Api::AnthropicMessages, tools).unwrap();
    assert_eq!(anthropic["tools"][0]["input_schema"], json!({"type": "object"}));
    for (name, value) in [
        ("tools", json!([{"type": "web_search"}])),
        ("text", json!({"shape": "round"})),
        ("reasoning", json!({"summary": "auto"})),
        ("previous_response_id", json!("r")),
    ] {
        let part = encoded(&Api::OpenaiChat, batch(&json!({"input": asks, name: value})));
        assert_eq!(part, Err(name.into()));
    }
    let reference = json!([asks[0], {"type": "item_reference", "id": "msg_1"}]);
    let sent = encoded(&Api::OpenaiResponses, batch(&json!({"input": reference}))).unwrap();
    assert_eq!(sent["input"], reference, "what is pointed to is no answer");
}

#[test]
fn a_body_of_the_plans_own_making_has_a_place_for_the_prompt() {
    let row = || json!({"messages": [{"role": "user", "content": "Hi"}]});
    for template in [json!({"q": "{prompt}"}), json!({"q": "fixed"})] {
        let body = template.as_object().cloned();
        let api = Api::Json(Box::new(JsonApi { body, ..JsonApi::default() }));
        assert_eq!(encoded(&api, row()), Err("prompt".into()), "{template}");
    }
    let sandbox = Sandbox::new();
    sandbox.plan(
        "version: 1\nendpoint: { url: \"http://127.0.0.1:9\", api: json, json: { body: { q: \"{prompt}\" } } }\n\
         prompt: { text: Hi }\nstages: [ { id: s, kind: load, concurrency: 1, requests: 1 } ]\n",
    );
    let validated = sandbox.run(&["validate", "plan.yaml"]);
    assert_eq!(code(&validated), 3, "{}", text(&validated.stdout));
    assert!(stderr(&validated).contains("{{ prompt }}"), "{}", stderr(&validated));
}

/// What validating says of rows that are not sent as they are.
fn validated(endpoint: &str, prompt: &str, rows: &[Value]) -> (i32, String) {
    let sandbox = Sandbox::new();
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(sandbox.dir.path().join("rows.jsonl"), lines.join("\n")).unwrap();
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"http://127.0.0.1:9\", model: m, {endpoint} }}\n\
         prompt: {{ unique: never, {prompt} }}\n\
         stages: [ {{ id: s, kind: load, concurrency: 1, requests: 2 }} ]\n"
    ));
    let output = sandbox.run(&["validate", "plan.yaml"]);
    (code(&output), text(&output.stdout) + &stderr(&output))
}

#[test]
fn what_an_api_does_not_say_of_a_row_is_counted() {
    let user = json!({"role": "user", "content": "Hi"});
    let rows = [
        json!({"messages": [{"role": "system", "content": "Be brief."}, user], "max_tokens": 0}),
        json!({"messages": [user], "temperature": 0.5, "stop": ["z"], "max_tokens": 5}),
    ];
    let zero = "max_tokens of 0 (1 is sent) in 1";
    for name in Api::NAMES {
        let (code, said) = validated(&format!("api: {name}"), "dataset: rows.jsonl", &rows);
        let roles = match name {
            // Ollama's generate has a place for instructions, the others for each role.
            "openai-chat" | "openai-responses" | "anthropic-messages" | "ollama-chat"
            | "ollama-generate" => "",
            _ => ", roles in 1",
        };
        if name == "openai-responses" {
            assert_eq!(code, 3, "it has no stop: {said}");
            continue;
        }
        assert_eq!(code, 0, "{name}: {said}");
        assert!(said.contains(&format!("left out of rows: {zero}{roles}")), "{name}: {said}");
        assert_eq!(said.contains("roles"), !roles.is_empty(), "{name}: {said}");
    }
    let own = "api: json, json: { body: { q: \"{{ prompt }}\", stop: mine } }";
    let (code, said) = validated(own, "dataset: rows.jsonl", &rows);
    assert_eq!(code, 0, "{said}");
    for part in [
        "max_tokens (`json.body` says it) in 2",
        "temperature (`json.body` says it) in 1",
        "stop (`json.body.stop` says it) in 1",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

#[test]
fn of_several_prompts_in_one_row_none_is_dropped() {
    let one = batch(&json!({"model": "m", "prompt": ["One."]}));
    let two = batch(&json!({"model": "m", "prompt": ["One.", "Two."]}));
    let rows = [one, two];
    for api in ["openai-completions", "openai-chat", "ollama-generate"] {
        let of = |rows| validated(&format!("api: {api}"), "dataset: rows.jsonl", rows);
        let (code, said) = of(&rows[..1]);
        assert_eq!(code, 0, "{api}: {said}");
        let (code, said) = of(&rows);
        assert_eq!(code, 3, "{api}: {said}");
        for part in ["rows.jsonl:2", "one prompt in `body/prompt`", "several prompts in one row"] {
            assert!(said.contains(part), "{api}: no {part} in {said}");
        }
    }
}

#[test]
fn recorded_lengths_are_asked_of_apis_that_can_be_told_to_go_on() {
    let rows = [json!({"messages": [{"role": "user", "content": "Hi"}], "output_tokens": 3})];
    let prompt = "dataset: { path: rows.jsonl, output: recorded }";
    for name in Api::NAMES {
        let (code, said) = validated(&format!("api: {name}"), prompt, &rows);
        let has = Api::of_name(name).unwrap().has_ignore_eos();
        assert_eq!(code, if has { 0 } else { 3 }, "{name}: {said}");
        assert_eq!(said.contains("`ignore_eos`, which the API"), !has, "{name}: {said}");
        let without = format!("{prompt}, body: {{ ignore_eos: null }}");
        let (code, said) = validated(&format!("api: {name}"), &without, &rows);
        assert_eq!(code, 0, "{name}: {said}");
    }
}
