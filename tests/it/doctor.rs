//! `doctor`: what it tells of servers that have something and of the same without it.

use std::net::SocketAddr;

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;
use serde_json::Value;

use crate::ci::{Folder, err, out};
use crate::faulty_server::{FaultyServer, answer};

fn simulator(config: SimulatorConfig) -> Simulator {
    let config = SimulatorConfig { decode_rate: 5e3, prefill_rate: 1e5, ..config };
    let simulator = Simulator::start(config, SocketAddr::from(([127, 0, 0, 1], 0)));
    simulator.expect("it starts")
}

/// The findings of a server by name, and the exit code.
fn examined(url: &str, more: &[&str]) -> (Value, Option<i32>) {
    let args = [&["doctor", url, "--format", "json"], more].concat();
    let output = Folder::new().runner(&args, false);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}{}", out(&output), err(&output));
    });
    (document, output.status.code())
}

fn finding<'a>(document: &'a Value, name: &str) -> &'a Value {
    let findings = document["findings"].as_array().expect("findings");
    findings.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}: {document}"))
}

fn state<'a>(document: &'a Value, name: &str) -> &'a str {
    finding(document, name)["state"].as_str().expect("a state")
}

#[test]
fn what_a_server_has_is_seen_and_nothing_is_emptied() {
    let served = simulator(SimulatorConfig::default());
    let (document, code) = examined(&served.base_url(), &[]);
    assert_eq!(code, Some(0));
    assert_eq!(document["server"], "simulator");
    for name in
        ["answers", "streaming", "usage", "cached tokens", "tokenizer", "cache reset", "metrics"]
    {
        assert_eq!(state(&document, name), "yes", "{document}");
    }
    // Its cache holds all but the last block of a prompt that it has seen.
    let cached = finding(&document, "cached tokens")["detail"].as_str().expect("words");
    assert!(cached.contains("for a prompt sent again") && !cached.starts_with('0'), "{cached}");
    assert_eq!(state(&document, "clock"), "untold");
    assert!(served.truth().len() >= 5, "two long prompts and three other APIs");
}

#[test]
fn what_a_server_lacks_is_told_with_what_to_switch_on() {
    let config = SimulatorConfig {
        report_cached_tokens: false,
        reset_prefix_cache: false,
        ..Default::default()
    };
    let (document, code) = examined(&simulator(config).base_url(), &[]);
    assert_eq!(code, Some(0));
    for (name, remedy) in
        [("cached tokens", "report_cached_tokens"), ("cache reset", "reset_prefix_cache")]
    {
        assert_eq!(state(&document, name), "no", "{document}");
        let help = finding(&document, name)["help"].as_str().expect("help");
        assert!(help.contains(remedy), "{help}");
    }
}

#[test]
fn a_server_of_no_known_kind_is_not_guessed_at() {
    let server = FaultyServer::answers(|head| {
        let json = "Content-Type: application/json\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        if head.contains("/models") {
            return answer(200, json, "{\"data\":[{\"id\":\"m\"}]}");
        }
        if !head.contains("/chat/completions") {
            return answer(404, json, "{\"error\":{\"message\":\"no such path\"}}");
        }
        // Whether a stream was asked for or not.
        let body = "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"Hi you.\"},\"finish_reason\":\"stop\"}]}";
        answer(200, json, body)
    });
    let (document, code) = examined(server.url().as_str(), &[]);
    assert_eq!(code, Some(0), "{document}");
    assert_eq!(document["server"], "unknown server");
    for (name, expected) in [
        ("answers", "yes"),
        ("streaming", "no"),
        ("usage", "no"),
        ("cached tokens", "no"),
        ("tokenizer", "untold"),
        ("cache reset", "untold"),
        ("metrics", "untold"),
        ("clock", "no"),
        ("other APIs", "no"),
    ] {
        assert_eq!(state(&document, name), expected, "{name}: {document}");
    }
    let clock = finding(&document, "clock")["detail"].as_str().expect("words");
    assert!(clock.contains("behind this machine's"), "{clock}");
}

#[test]
fn a_key_that_is_missing_is_asked_for_and_none_is_shown() {
    let config = SimulatorConfig { api_key: Some("sk-doctor-key".into()), ..Default::default() };
    let served = simulator(config);
    let url = served.base_url();
    let output = Folder::new().runner(&["doctor", &url], false);
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("asks for a key"), "{}", err(&output));
    let output = Folder::new().runner(&["doctor", &url, "--api-key", "sk-wrong-key"], false);
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("refuses the API key"), "{}", err(&output));
    let output = Folder::new().runner(&["doctor", &url, "--api-key", "sk-doctor-key"], false);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let said = out(&output) + &err(&output);
    assert!(said.contains("✓ answers") && !said.contains("sk-doctor-key"), "{said}");
    // Nor where a server says it in a name.
    let echoing = FaultyServer::answers(|_| {
        let json = "Content-Type: application/json\r\n";
        answer(200, json, "{\"data\":[{\"id\":\"m of sk-doctor-key\"}]}")
    });
    let url = echoing.url();
    for format in ["text", "json"] {
        let args = ["doctor", url.as_str(), "--api-key", "sk-doctor-key", "--format", format];
        let output = Folder::new().runner(&args, false);
        let said = out(&output) + &err(&output);
        assert!(said.contains("m of ***") && !said.contains("sk-doctor-key"), "{said}");
    }
}
