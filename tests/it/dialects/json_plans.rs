//! `api: json` as plans write it, and requests as `runner plan --request` shows them.

use std::process::{Command, Output};

use serde_json::Value;

use super::run::records;

fn runner(folder: &std::path::Path, plan: &str, args: &[&str]) -> Output {
    std::fs::write(folder.join("plan.yaml"), plan).unwrap();
    Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("TEAM_KEY", "key-very-secret")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The plan of an endpoint whose `json` says this.
fn plan(json: &str) -> String {
    format!(
        "version: 1\n\
         endpoint:\n  simulator: {{ prefill_rate: 200k, decode_rate: 1k, overhead: 1ms }}\n  \
         api: json\n  json: {json}\n\
         prompt:\n  context: {{ from: filler, tokens: 300 }}\n  text: Summarize.\n  max_tokens: 5\n\
         stages:\n  - {{ id: cold, kind: cold, requests: 2 }}\n  - {{ id: warm, kind: warm }}\n"
    )
}

fn run(json: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let output = runner(folder.path(), &plan(json), &["run", "plan.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{json}\n{}", said(&output));
    let records = records(folder.path());
    assert_eq!(records.len(), 4, "{json}");
    for record in &records {
        assert_eq!(record["outcome"], "ok", "{json}\n{record:#}");
        assert_eq!(record["cache"], record["stage"], "{json}\n{record:#}");
    }
    records
}

#[test]
fn a_generate_endpoint_needs_no_keys_at_all() {
    for record in run("{}") {
        assert_eq!(
            record["flags"][1],
            match record["stage"].as_str() {
                Some("warm") => "from_cache",
                _ => "not_from_cache",
            }
        );
    }
}

#[test]
fn answers_come_whole_as_events_and_as_lines_wherever_the_plan_says() {
    let pointers = "text: /out/0/say, finish_reason: /why, input_tokens: /n/in, \
                    output_tokens: /n/out, cached: /n/hit, model: /who";
    for (answer, more) in [
        ("whole", ""),
        ("sse", ""),
        ("ndjson", "done: /end, "),
        ("sse", "cumulative: true, "),
        ("ndjson", "body: { q: \"{{ prompt }}\", deep: { max_tokens: \"{{ max_tokens }}\" } }, "),
    ] {
        let json = format!("{{ path: ask/it, answer: {answer}, {more}{pointers} }}");
        for record in run(&json) {
            assert_eq!(record["finish_reason"], "length", "{json}");
            assert_eq!(record["output_tokens"]["server"], 5, "{json}");
            assert!(record["input_tokens"]["server"].as_u64() > Some(300), "{json}");
            assert!(record["cached_tokens"].is_u64(), "{json}");
            let streamed = answer != "whole";
            let stamps = record["token_ns"].as_array().unwrap().len();
            assert_eq!(stamps, if streamed { 5 } else { 0 }, "{json}");
        }
    }
}

#[test]
fn a_stages_request_is_shown_as_it_will_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "\
version: 1
nonce: fixed
endpoint:
  url: http://127.0.0.1:9/v1
  api_key: ${secret:TEAM_KEY}
  model: m
prompt:
  text: \"Question {{ i }}\"
  max_tokens: 7
  body:
    ignore_eos: true
    min_tokens: 7
    stream_options: { continuous_usage_stats: true }
    chat_template_kwargs: { enable_thinking: false }
stages:
  - { id: cold, kind: cold, requests: 3 }
  - { id: rest, kind: pause, duration: 1s }
";
    let shown = runner(folder.path(), plan, &["plan", "plan.yaml", "--request", "cold"]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    let text = String::from_utf8(shown.stdout).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap();
    assert!(head.starts_with("POST http://127.0.0.1:9/v1/chat/completions\n"), "{text}");
    assert!(head.contains("authorization: Bearer ***") && !text.contains("very-secret"), "{text}");
    let body: Value = serde_json::from_str(body).unwrap();
    let content = body["messages"][0]["content"].as_str().unwrap();
    assert!(content.ends_with("]\nQuestion 0"), "{content}");
    assert_eq!(body["chat_template_kwargs"], serde_json::json!({"enable_thinking": false}));
    assert_eq!(
        body["stream_options"],
        serde_json::json!({"include_usage": true, "continuous_usage_stats": true})
    );
    assert_eq!((&body["ignore_eos"], &body["min_tokens"]), (&true.into(), &7.into()));

    let past =
        runner(folder.path(), plan, &["plan", "plan.yaml", "--request", "cold", "--index", "3"]);
    assert_eq!(past.status.code(), Some(2));
    assert!(said(&past).contains("`cold` has 3 requests; give `--index`"), "{}", said(&past));
    let second =
        runner(folder.path(), plan, &["plan", "plan.yaml", "--request", "cold", "--index", "1"]);
    assert!(String::from_utf8_lossy(&second.stdout).contains("Question 1"), "{}", said(&second));
    for (stage, problem) in [
        ("colt", "no stage is called `colt`; did you mean `cold`?"),
        ("rest", "`rest` is a pause stage, which has no prompt of the plan"),
    ] {
        let refused = runner(folder.path(), plan, &["plan", "plan.yaml", "--request", stage]);
        assert_eq!(refused.status.code(), Some(2), "{stage}");
        assert!(said(&refused).contains(problem), "{}", said(&refused));
    }
}
