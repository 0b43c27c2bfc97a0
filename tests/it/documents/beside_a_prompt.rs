//! What stands beside a prompt in a row goes out, or is refused by name; what is data about the row is
//! counted.

use std::fs;

use runner::client::dialect;
use runner::plan::Api;
use runner::plan::workload::DatasetConfig;
use runner::workload::dataset::Dataset;
use serde_json::{Value, json};

use super::asked;
use crate::sandbox::{Sandbox, code, stderr, text};

/// Fields that APIs and servers document beside those of chats, and the APIs that must take each; `*` is
/// all of them.
fn documented() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("suffix", json!("\nreturn tide"), "openai-completions ollama-generate json"),
        ("echo", json!(true), "*"),
        ("prompt_cache_retention", json!("24h"), "openai-chat openai-responses"),
        ("truncation", json!("disabled"), "openai-responses"),
        ("include", json!(["reasoning.encrypted_content"]), "openai-responses"),
        ("max_tool_calls", json!(71), "openai-responses"),
        ("background", json!(false), "openai-responses"),
        ("previous_response_id", json!("resp_81"), "openai-responses"),
        ("stop_sequences", json!(["ebb"]), "anthropic-messages json"),
        ("thinking", json!({"type": "enabled", "budget_tokens": 1061}), "*"),
        ("inference_geo", json!("eu"), "anthropic-messages"),
        ("parameters", json!({"typical_p": 0.31}), "tgi json"),
        ("sampling_params", json!({"no_stop_trim": true}), "sglang json"),
        ("options", json!({"num_gpu": 3}), "ollama-chat ollama-generate json"),
        ("keep_alive", json!("7m"), "*"),
        ("do_sample", json!(true), "*"),
        ("top_n_tokens", json!(37), "*"),
        ("typical_p", json!(0.37), "*"),
        ("stop_token_ids", json!([7, 11]), "*"),
        ("min_new_tokens", json!(43), "*"),
        ("guided_choice", json!(["high", "low"]), "*"),
        ("structured_outputs", json!({"regex": "[0-9]+"}), "*"),
        ("skip_special_tokens", json!(false), "*"),
        ("include_stop_str_in_output", json!(true), "*"),
        ("length_penalty", json!(1.07), "*"),
        ("truncate_prompt_tokens", json!(2_048), "*"),
        ("prompt_logprobs", json!(13), "*"),
        ("cache_salt", json!("brine"), "*"),
        ("priority", json!(17), "*"),
        ("vllm_xargs", json!({"a": 19}), "*"),
        ("repeat_penalty", json!(1.13), "*"),
        ("mirostat", json!(2), "*"),
        ("samplers", json!(["top_k"]), "*"),
        ("lora_path", json!("tides/v2"), "*"),
        ("max_new_tokens", json!(4_099), "*"),
        ("n_predict", json!(4_111), "*"),
    ]
}

fn holds(body: &Value, wanted: &Value) -> bool {
    body == wanted
        || match body {
            Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
            Value::Object(fields) => {
                let same = |(name, value): (&String, &Value)| fields.get(name) == Some(value);
                let is_part = wanted.as_object().is_some_and(|it| it.iter().all(same));
                is_part || fields.values().any(|item| holds(item, wanted))
            }
            _ => false,
        }
}

#[test]
fn a_documented_field_of_a_request_is_sent_or_refused_by_name_in_every_api() {
    for (name, value, takers) in documented() {
        let request = &asked(&[json!({"prompt": "Which tide?", name: value})])[0];
        assert_eq!(request.left_out, Vec::<String>::new(), "{name}");
        for api in Api::NAMES {
            let encoded = dialect::of(&Api::of_name(api).unwrap()).encode(request, "m");
            let takes = takers == "*" || takers.split(' ').any(|taker| taker == api);
            match encoded {
                Ok(http) => {
                    let body: Value = serde_json::from_slice(&http.body).unwrap();
                    assert!(holds(&body, &value), "{api} lost {name}: {body}");
                    assert!(takes, "{api} has no {name}: {body}");
                }
                Err(no_form) => {
                    assert!(!takes, "{api} takes {name}: {}", no_form.why);
                    assert_eq!(no_form.part, name, "{api}");
                }
            }
        }
    }
}

#[test]
fn settings_of_servers_stand_where_their_apis_read_them() {
    let row = json!({"prompt": "Which tide?", "typical_p": 0.5, "skip_special_tokens": false});
    let request = &asked(&[row])[0];
    for (api, pointer) in [
        ("tgi", "/parameters/typical_p"),
        ("ollama-chat", "/options/typical_p"),
        ("sglang", "/sampling_params/skip_special_tokens"),
        ("openai-completions", "/skip_special_tokens"),
    ] {
        let http = dialect::of(&Api::of_name(api).unwrap()).encode(request, "m").unwrap();
        let body: Value = serde_json::from_slice(&http.body).unwrap();
        assert!(body.pointer(pointer).is_some(), "{api}: {body}");
    }
}

#[test]
fn columns_that_only_have_the_name_of_a_field_are_data() {
    let data = json!({"priority": "high", "options": ["ebb", "flood"], "echo": "loud",
        "thinking": "The moon pulls.", "reasoning": "So it does.", "include": "yes", "details": "none",
        "parameters": 7, "truncation": 5, "raw": "<p>", "user": "ada", "store": true});
    let mut row = data.clone();
    row["prompt"] = json!("Which tide?");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    fs::write(&path, row.to_string()).unwrap();
    let dataset = Dataset::open(&DatasetConfig::of(path.to_str().unwrap())).unwrap();
    let row = dataset.rows().next().unwrap().unwrap();
    assert_eq!(Value::Object(row.body), json!({}));
    let mut left_out = row.left_out;
    left_out.sort();
    let mut names: Vec<String> = data.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(left_out, names);
}

#[test]
fn a_system_prompt_beside_a_prompt_is_said_where_the_api_says_it() {
    let asks = json!([{"role": "user", "content": "Which tide?"}]);
    let blocks =
        json!([{"type": "text", "text": "Metric.", "cache_control": {"type": "ephemeral"}}]);
    let body = |api: &str, row: Value| -> Value {
        let request = &asked(&[row])[0];
        assert_eq!(request.left_out, Vec::<String>::new(), "{api}");
        let http = dialect::of(&Api::of_name(api).unwrap()).encode(request, "m").unwrap();
        serde_json::from_slice(&http.body).unwrap()
    };
    let inner = json!({"messages": asks, "system": "Metric."});
    for row in [
        json!({"messages": asks, "system": "Metric."}),
        json!({"prompt": "Which tide?", "system": "Metric."}),
        json!({"custom_id": "a", "body": inner}),
    ] {
        let chat = body("openai-chat", row.clone());
        let said = json!([{"role": "system", "content": "Metric."}, asks[0]]);
        assert_eq!((&chat["messages"], chat.get("system")), (&said, None));
        let anthropic = body("anthropic-messages", row.clone());
        assert_eq!((&anthropic["system"], &anthropic["messages"]), (&json!("Metric."), &asks));
        assert_eq!(body("ollama-generate", row)["system"], "Metric.");
    }
    let sent = body("anthropic-messages", json!({"messages": asks, "system": blocks}));
    assert_eq!(sent["system"], blocks, "with its marks");
}

#[test]
fn a_run_sends_what_stands_beside_its_prompts() {
    let sandbox = Sandbox::new();
    let row =
        json!({"prompt": "def tide(", "suffix": "return tide", "echo": false, "topic": "code"});
    fs::write(sandbox.dir.path().join("rows.jsonl"), row.to_string()).unwrap();
    let plan = |api: &str| {
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ simulator: {{}}, api: {api} }}\n\
             prompt: {{ dataset: rows.jsonl, max_tokens: 4 }}\n\
             stages: [ {{ id: s, kind: load, concurrency: 1, requests: 1 }} ]\n"
        ));
    };
    plan("openai-completions");
    let shown = text(&sandbox.run(&["plan", "plan.yaml", "--request", "s"]).stdout);
    let (_, body) = shown.split_once("\n\n").expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&body["suffix"], &body["echo"]), (&row["suffix"], &row["echo"]));
    let ran = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&ran), 0, "{}", stderr(&ran));
    let notes = sandbox.summary()["run"]["notes"].to_string();
    assert!(notes.contains("left out of rows: topic in 1\""), "{notes}");
    plan("openai-chat");
    let refused = sandbox.run(&["validate", "plan.yaml"]);
    assert_eq!(code(&refused), 3, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("rows.jsonl:1: `suffix` can't be sent"));
}
