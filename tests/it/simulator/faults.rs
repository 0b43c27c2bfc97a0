//! Every scripted fault, as a client sees it and as the truth log tells it.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use runner::plan::{Fault, FaultKind, SimulatorConfig};
use runner::simulator::TruthOutcome;
use serde_json::Value;

use super::raw_client::Client;
use super::{fast, metric, paced, question, start, wait_for};

fn with_fault(kind: FaultKind) -> SimulatorConfig {
    SimulatorConfig { faults: vec![Fault { from: 0, count: 1, kind }], ..paced(2.0) }
}

#[test]
fn a_status_fault_hits_the_requests_it_names_and_no_other() {
    let fault = Fault { from: 1, count: 2, kind: FaultKind::Status(429) };
    let simulator = start(SimulatorConfig { faults: vec![fault], ..fast() });
    let mut client = Client::new(&simulator);
    let statuses: Vec<u16> = (0..4).map(|_| client.chat(&question("Hi", 1)).status).collect();
    assert_eq!(statuses, [200, 429, 429, 200]);
}

#[test]
fn a_truncated_stream_ends_cleanly_without_a_finish() {
    let simulator = start(with_fault(FaultKind::Truncate(3)));
    let response = Client::new(&simulator).chat(&question("Hi", 10));
    assert!(response.complete);
    assert_eq!(response.content().len(), 12);
    assert!(!String::from_utf8_lossy(&response.body).contains("[DONE]"));
    assert!(!String::from_utf8_lossy(&response.body).contains("\"length\""));
    assert_eq!(simulator.truth()[0].outcome, TruthOutcome::Fault("truncate"));
    assert_eq!(simulator.truth()[0].token_ns.len(), 3);
}

#[test]
fn a_disconnect_cuts_the_body() {
    let simulator = start(with_fault(FaultKind::Disconnect(2)));
    let mut client = Client::new(&simulator);
    let response = client.chat(&question("Hi", 10));
    assert!(!response.complete);
    assert_eq!(response.content().len(), 8);
    assert!(!client.fill(), "the connection is closed");
    // The next request is well.
    assert!(Client::new(&simulator).chat(&question("Hi", 10)).complete);
}

#[test]
fn a_stalled_stream_is_silent_until_the_client_leaves() {
    let simulator = start(with_fault(FaultKind::Stall(2)));
    let mut client = Client::new(&simulator);
    client.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    client.send("POST", "/v1/chat/completions", "", &question("Hi", 10).to_string());
    let mut read = Vec::new();
    let error = client.stream.read_to_end(&mut read).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert_eq!(simulator.truth()[0].outcome, TruthOutcome::Fault("stall"));
    assert_eq!(simulator.truth()[0].token_ns.len(), 2);
    drop(client);
    let mut watcher = Client::new(&simulator);
    wait_for(|| metric(&mut watcher, "num_requests_running") == 0);
}

#[test]
fn an_error_event_stands_inside_a_200_stream() {
    let simulator = start(with_fault(FaultKind::ErrorEvent(1)));
    let mut client = Client::new(&simulator);
    let response = client.chat(&question("Hi", 10));
    assert_eq!((response.status, response.complete), (200, true));
    let events = response.events();
    let error: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    assert_eq!(error["error"]["code"], 500);
    assert_eq!(events[events.len() - 1], "[DONE]");
    assert!(client.chat(&question("Hi", 10)).complete, "the connection is good for more");
}

#[test]
fn a_malformed_event_stands_among_good_ones() {
    let simulator = start(with_fault(FaultKind::Malformed(1)));
    let response = Client::new(&simulator).chat(&question("Hi", 4));
    let events = response.events();
    let wrong = events.iter().filter(|event| serde_json::from_str::<Value>(event).is_err()).count();
    assert_eq!(wrong, 2, "the half object and [DONE]");
    assert_eq!(response.content().len(), 12);
    assert_eq!(simulator.truth()[0].outcome, TruthOutcome::Fault("malformed"));
}

#[test]
fn faults_spoil_whole_answers_too() {
    let mut body = question("Hi", 10);
    body["stream"] = false.into();
    for (kind, status, complete) in [
        (FaultKind::Truncate(3), 200, false),
        (FaultKind::Disconnect(0), 200, false),
        (FaultKind::ErrorEvent(3), 500, true),
        (FaultKind::Malformed(3), 200, true),
    ] {
        let simulator = start(with_fault(kind.clone()));
        let response = Client::new(&simulator).chat(&body);
        assert_eq!((response.status, response.complete), (status, complete), "{kind:?}");
        let parses = serde_json::from_slice::<Value>(&response.body).is_ok();
        assert_eq!(parses, status == 500, "{kind:?}");
    }
}

#[test]
fn a_crash_closes_the_port_and_drops_every_connection() {
    let fault = Fault { from: 1, count: 1, kind: FaultKind::Crash };
    let simulator = start(SimulatorConfig { faults: vec![fault], ..paced(20.0) });
    let mut bystander = Client::new(&simulator);
    let mut endless = question("Hi", 100_000);
    endless["ignore_eos"] = true.into();
    bystander.send("POST", "/v1/chat/completions", "", &endless.to_string());
    assert_eq!(bystander.head().0, 200);
    assert!(simulator.is_up());
    let response = Client::new(&simulator).chat(&question("Hi", 1));
    assert_eq!((response.status, response.complete), (0, false), "no answer at all");
    assert!(!bystander.receive_rest());
    wait_for(|| !simulator.is_up());
    assert!(TcpStream::connect(simulator.address()).is_err(), "nobody listens any more");
    let outcomes: Vec<_> = simulator.truth().iter().map(|truth| truth.outcome).collect();
    assert_eq!(outcomes, [TruthOutcome::Stopped, TruthOutcome::Fault("crash")]);
}
