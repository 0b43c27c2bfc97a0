//! The simulator's own log of what it sent and when.

use std::time::Duration;

use runner::plan::SimulatorConfig;
use runner::simulator::{Simulator, SimulatorError, Truth, TruthOutcome};
use serde_json::Value;

use super::raw_client::Client;
use super::{ANYWHERE, fast, paced, question, start};

#[test]
fn the_truth_log_agrees_with_what_a_client_saw() {
    let simulator = start(SimulatorConfig { prefill_rate: 1_000.0, ..paced(10.0) });
    let mut client = Client::new(&simulator);
    let body = question("Hello there", 12).to_string();
    let sent = simulator.clock().now_ns();
    client.send("POST", "/v1/chat/completions", "x-request-id: mine-1\r\n", &body);
    let response = client.receive();
    let first: Value = serde_json::from_str(response.events()[0]).unwrap();
    assert_eq!(first["id"], "chatcmpl-mine-1");

    let truth: Truth = simulator.truth().remove(0);
    assert_eq!((truth.number, truth.request_id.as_deref()), (0, Some("mine-1")));
    assert_eq!((truth.prompt_tokens, truth.cached_tokens), (14, Some(0)));
    assert_eq!(truth.outcome, TruthOutcome::Complete);
    assert!(truth.read_ns >= sent);
    assert_eq!(truth.token_ns.len(), 12);
    // Chunk 0 is the role's, and came with the first token.
    for (at, (arrived, _)) in truth.token_ns.iter().zip(&response.chunks[1..]) {
        assert!(*at <= simulator.clock().ns(*arrived), "nothing arrives before it is written");
    }
    let headers = truth.headers_ns.unwrap();
    assert!(truth.read_ns <= headers && headers < truth.token_ns[0]);
    assert!(truth.token_ns.is_sorted());
    assert_eq!(truth.end_ns, truth.token_ns.last().copied());
    // 14 tokens at 1,000 a second, then 11 gaps of 10 ms: never early, and not late for long.
    let took = |to: u64| Duration::from_nanos(to - truth.read_ns);
    assert!(took(truth.token_ns[0]) >= Duration::from_millis(14));
    assert!(took(truth.token_ns[11]) >= Duration::from_millis(14 + 110));
    assert!(took(truth.token_ns[11]) < Duration::from_secs(5));

    assert_eq!(simulator.take_truth().len(), 1);
    assert!(simulator.truth().is_empty());
    assert_eq!(simulator.first_truth(), 1);
}

#[test]
fn the_truth_file_has_one_line_per_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("truth.jsonl");
    let simulator = Simulator::start_with_truth(fast(), ANYWHERE, &file).unwrap();
    let mut client = Client::new(&simulator);
    for _ in 0..3 {
        client.chat(&question("Hi", 2));
    }
    simulator.shutdown();
    let lines: Vec<Value> = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.iter().map(|line| &line["number"]).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(lines.iter().all(|line| line["outcome"] == "complete"));
    assert!(lines.iter().all(|line| line["token_ns"].as_array().unwrap().len() == 2));
    let missing = folder.path().join("no/such/folder");
    assert!(matches!(
        Simulator::start_with_truth(fast(), ANYWHERE, &missing),
        Err(SimulatorError::Truth { .. })
    ));
}
