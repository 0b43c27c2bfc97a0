//! The `flush` stage against the simulator: by which means, how much of it, and what it may claim.

use std::net::SocketAddr;

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;
use serde_json::Value;

use crate::faulty_server::{FaultyServer, answer, stream};
use crate::sandbox::{Sandbox, code, stage, stderr};

/// Cold, flush as asked, cold again. Prefill is quick, so that foreign traffic is, too.
fn plan(simulator: &str, flush: &str) -> String {
    format!(
        "\
version: 1
endpoint:
  simulator: {{ prefill_rate: 2M, decode_rate: 500, overhead: 1ms, {simulator} }}
prompt:
  context: {{ from: filler, tokens: 600 }}
  text: Summarize.
  max_tokens: 2
stages:
  - {{ id: cold, kind: cold, requests: 3 }}
  - {{ id: flush, kind: flush, {flush} }}
  - {{ id: after_flush, kind: cold, like: cold }}
"
    )
}

/// Runs a plan: the exit code, the whole summary, and its flush stage's report.
fn run(plan: &str) -> (i32, Value, Value) {
    let sandbox = Sandbox::new();
    let path = sandbox.plan(plan);
    let output = sandbox.run(&["run", path.to_str().expect("utf-8")]);
    let summary = sandbox.summary();
    let flush = stage(&summary, "flush")["flush"].clone();
    assert!(flush.is_object(), "{}", stderr(&output));
    (code(&output), summary, flush)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value:#}"))
}

fn methods(flush: &Value) -> Vec<&str> {
    let attempts = flush["attempts"].as_array().expect("attempts");
    attempts.iter().map(|tried| text(tried, "method")).collect()
}

#[test]
fn traffic_of_the_first_seed_empties_the_cache() {
    let (code, summary, flush) = run(&plan("reset_prefix_cache: true", "with: traffic"));
    assert_eq!((code, text(&flush, "state")), (0, "proven"), "{flush:#}");
    assert_eq!(methods(&flush), ["traffic 10 × 25000 tokens"], "ten times 100,000 characters");
    assert_eq!(stage(&summary, "after_flush")["cache"]["verdict"], "cold");
}

#[test]
fn traffic_can_be_sized_by_tokens() {
    let (code, _, flush) = run(&plan("cache_tokens: 30k", "with: traffic, tokens: 40k"));
    assert_eq!((code, text(&flush, "state")), (0, "proven"), "{flush:#}");
    assert_eq!(methods(&flush), ["traffic 10 × 4000 tokens"]);
}

#[test]
fn what_traffic_sends_is_what_it_says() {
    let simulator = Simulator::start(
        SimulatorConfig { prefill_rate: 2e6, cache_tokens: 30_000, ..SimulatorConfig::default() },
        SocketAddr::from(([127, 0, 0, 1], 0)),
    )
    .expect("it starts");
    let sandbox = Sandbox::new();
    let path = sandbox.plan(&plan("cache_tokens: 1", "with: traffic, tokens: 40k"));
    let url = simulator.base_url();
    let output = sandbox.run(&["run", path.to_str().expect("utf-8"), "--endpoint", &url]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let truth = simulator.truth();
    let foreign: Vec<_> = truth.iter().filter(|it| it.prompt_tokens > 3_000).collect();
    assert_eq!(foreign.len(), 10);
    for one in foreign {
        assert!((3_600..4_600).contains(&one.prompt_tokens), "{one:?}");
        assert_eq!((one.token_ns.len(), one.cached_tokens), (1, Some(0)), "{one:?}");
    }
}

#[test]
fn too_little_traffic_fails_the_flush_and_the_run() {
    let (code, summary, flush) = run(&plan("cache_tokens: 200k", "with: traffic, tokens: 1k"));
    assert_eq!((code, text(&flush, "state")), (10, "failed"), "{flush:#}");
    assert!(text(&flush, "summary").contains("still warm"), "{flush:#}");
    assert_eq!(stage(&summary, "after_flush")["cache"]["verdict"], "warm");
}

#[test]
fn a_server_without_the_call_is_said_to_have_none() {
    let (code, _, flush) = run(&plan("reset_prefix_cache: false", "with: http"));
    assert_eq!((code, text(&flush, "state")), (10, "failed"), "{flush:#}");
    let summary = text(&flush, "summary");
    assert!(summary.contains("was not accepted"), "{summary}");
    assert!(summary.contains("`reset_prefix_cache: false`"), "says what to do: {summary}");
}

#[test]
fn auto_falls_back_to_traffic() {
    let (code, _, flush) = run(&plan("reset_prefix_cache: false", "with: auto"));
    assert_eq!((code, text(&flush, "state")), (0, "proven"), "{flush:#}");
    let methods = methods(&flush);
    assert_eq!(methods.len(), 2, "{methods:?}");
    assert!(methods[0].contains("/reset_prefix_cache") && methods[1].starts_with("traffic"));
    assert_eq!(flush["attempts"][0]["accepted"], false);
}

#[test]
fn without_a_sign_from_the_server_nothing_is_claimed() {
    let silent = plan("report_cached_tokens: false", "with: auto");
    let silent = silent.replace("endpoint:\n", "endpoint:\n  metrics: off\n");
    let (code, summary, flush) = run(&silent);
    assert_eq!((code, text(&flush, "state")), (0, "unproven"), "{flush:#}");
    assert!(text(&flush, "summary").contains("does not report cached tokens"), "{flush:#}");
    assert!(flush["ttft_cold_ms"].is_number(), "the evidence there is: {flush:#}");
    assert_eq!(stage(&summary, "after_flush")["cache"]["verdict"], "unknown");
}

#[test]
fn where_nothing_is_cached_there_is_nothing_to_flush() {
    let (code, _, flush) = run(&plan("cache_tokens: 0", "with: auto"));
    assert_eq!((code, text(&flush, "state")), (0, "unproven"), "{flush:#}");
    assert!(text(&flush, "summary").contains("nothing to flush"), "{flush:#}");
}

#[test]
fn counts_that_can_not_be_are_said_and_prove_nothing() {
    let server = FaultyServer::answers(|request| {
        if !request.starts_with("POST /v1/chat/completions ") {
            let is_list = request.starts_with("GET /v1/models ");
            return answer(if is_list { 200 } else { 404 }, "", r#"{"data":[{"id":"m"}]}"#);
        }
        let details = serde_json::json!({"cached_tokens": 9000});
        let said = serde_json::json!({
            "choices": [{"delta": {"content": "so"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": details},
        });
        stream(&format!("data: {said}\n\ndata: [DONE]\n\n"))
    });
    let text = plan("", "with: traffic, tokens: 1k");
    let from = text.find("endpoint:").expect("an endpoint");
    let to = text.find("prompt:").expect("a prompt");
    let url = format!("endpoint: {{ url: \"http://{}/v1\", metrics: off }}\n", server.address());
    let (code, _, flush) = run(&[&text[..from], &url, &text[to..]].concat());
    assert_eq!((code, self::text(&flush, "state")), (0, "unproven"), "{flush:#}");
    let said = self::text(&flush, "summary");
    assert!(said.contains("can't be (cached_tokens 9,000, input_tokens 100)"), "{said}");
    assert!(!said.contains("does not report"), "{said}");
}
