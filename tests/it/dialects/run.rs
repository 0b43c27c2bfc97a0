//! `runner run` in every API on the simulator: what the records say is what the simulator did.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use runner::plan::{Api, SimulatorConfig};
use runner::simulator::{Simulator, Truth, TruthOutcome};
use serde_json::Value;

const OUTPUT_TOKENS: usize = 5;

fn start() -> Simulator {
    let config = SimulatorConfig {
        prefill_rate: 200_000.0,
        decode_rate: 1_000.0,
        overhead: Duration::from_millis(1),
        ..SimulatorConfig::default()
    };
    Simulator::start(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port")
}

/// Runs a cold and a warm stage of two requests each; the records in order, and the truth.
fn run(api: &str, stream: bool) -> (Vec<Value>, Vec<Truth>) {
    let simulator = start();
    let url = match api {
        // The URL itself is the endpoint.
        "json" => format!("http://{}/generate", simulator.address()),
        _ => simulator.base_url(),
    };
    let plan = format!(
        "version: 1\n\
         endpoint: {{ url: \"{url}\", api: {api}, model: simulated-8b }}\n\
         prompt:\n  context: {{ from: filler, tokens: 300 }}\n  text: Summarize.\n  \
         max_tokens: {OUTPUT_TOKENS}\n  stream: {stream}\n\
         stages:\n  - {{ id: cold, kind: cold, requests: 2 }}\n  \
         - {{ id: warm, kind: warm, like: cold, thresholds: [] }}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["run", "plan.yaml", "--results", "results"])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    // Where the API has no word for cached tokens, cold and warm stages can't be proven.
    assert!(matches!(code, Some(0 | 10)), "{api} stream={stream}: {code:?}\n{said}");
    let mut truth = simulator.truth();
    truth.retain(|entry| entry.outcome != TruthOutcome::Running);
    (records(folder.path()), truth)
}

/// The `end` lines of the only run under `folder`, in order.
pub fn records(folder: &std::path::Path) -> Vec<Value> {
    let log = log(folder);
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "end").collect()
}

/// The only record log under `folder`.
fn log(folder: &std::path::Path) -> String {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.ends_with("records-000001.jsonl") {
                return std::fs::read_to_string(path).unwrap();
            }
        }
    }
    panic!("no record log")
}

fn check(api: &str, stream: bool) {
    let (records, truth) = run(api, stream);
    let what = format!("{api} stream={stream}");
    assert_eq!((records.len(), truth.len()), (4, 4), "{what}");
    for (record, truth) in records.iter().zip(&truth) {
        let what = format!("{what}: {record:#}\n{truth:?}");
        assert_eq!(record["outcome"], "ok", "{what}");
        assert_eq!(truth.outcome, TruthOutcome::Complete, "{what}");
        assert_eq!(truth.token_ns.len(), OUTPUT_TOKENS, "{what}");
        assert_eq!(record["request_id"].as_str(), truth.request_id.as_deref(), "{what}");
        let counts_tokens = !matches!(api, "triton" | "json");
        if counts_tokens {
            assert_eq!(record["input_tokens"]["server"], truth.prompt_tokens, "{what}");
            assert_eq!(record["output_tokens"]["server"], OUTPUT_TOKENS, "{what}");
        }
        let counts_cached =
            counts_tokens && !matches!(api, "ollama-chat" | "ollama-generate" | "tgi");
        let is_warm = record["stage"] == "warm";
        if counts_cached {
            assert_eq!(record["cached_tokens"].as_u64(), truth.cached_tokens, "{what}");
        }
        let verdict = match (counts_cached || api == "json", is_warm) {
            (false, _) => "unknown",
            (true, true) => "warm",
            (true, false) => "cold",
        };
        assert_eq!(record["cache"], verdict, "{what}");
        let finish = match api {
            "triton" | "json" => Value::Null,
            "openai-responses" => "max_output_tokens".into(),
            "anthropic-messages" => "max_tokens".into(),
            "llamacpp-completion" => "limit".into(),
            _ => "length".into(),
        };
        assert_eq!(record["finish_reason"], finish, "{what}");
        let streamed = stream && api != "json";
        let stamps = record["token_ns"].as_array().unwrap().len();
        assert_eq!(stamps, if streamed { OUTPUT_TOKENS } else { 0 }, "{what}");
        assert_eq!(record["first_token_ns"].is_null(), !streamed, "{what}");
    }
}

#[test]
fn every_api_runs_on_the_simulator_streaming() {
    for api in Api::NAMES {
        check(api, true);
    }
}

#[test]
fn every_api_runs_on_the_simulator_without_streaming() {
    for api in Api::NAMES {
        check(api, false);
    }
}
