//! An endpoint that is away for a while, or for good, and a machine that has no connection left.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{count, figure, said};
use crate::faulty_server::{FaultyServer, answer, read_request, stream};
use crate::sandbox::{Sandbox, code, records, stage};

const MODELS: &str = "{\"data\":[{\"id\":\"m\"}]}";
const ANSWER: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\
                      \"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";

/// A server at `address` that takes a new connection for every request, and so long for it.
fn server(address: SocketAddr, takes: Duration) -> FaultyServer {
    loading(address, takes, 0)
}

/// The same, which says that it loads its model until it was asked for its models so often.
fn loading(address: SocketAddr, takes: Duration, asked: usize) -> FaultyServer {
    let listener = TcpListener::bind(address).expect("its port is free");
    let still = AtomicUsize::new(asked);
    FaultyServer::serve_at(listener, move |_, mut stream_of, stop, requests| {
        let Ok(request) = read_request(&mut stream_of, stop) else { return };
        let is_listing = request.starts_with("GET");
        let before = still.load(Ordering::SeqCst);
        if is_listing && before > 0 {
            still.store(before - 1, Ordering::SeqCst);
        }
        let reply = if before > 0 {
            answer(503, "Connection: close\r\n", "Loading model")
        } else if request.starts_with("GET") {
            answer(200, "Content-Type: application/json\r\nConnection: close\r\n", MODELS)
        } else {
            requests.lock().expect("no panic").push(request);
            thread::sleep(takes);
            stream(ANSWER)
        };
        let _the_client_may_be_gone = std::io::Write::write_all(&mut stream_of, &reply);
    })
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A sandbox with a plan of one stage.
fn plan(address: SocketAddr, stage: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"http://{address}/v1\", metrics: off, tokenizer: estimate }}\n\
         prompt: {{ text: \"Hello {{{{ i }}}}.\", max_tokens: 1 }}\n\
         stages:\n  - {{ id: load, kind: load, {stage} }}\n"
    ));
    sandbox
}

fn wait_until(what: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if what() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came");
}

/// `end` lines of the run so far that ended so; the last line may be half there.
fn ended(sandbox: &Sandbox, outcome: &str) -> usize {
    let wanted = format!("\"outcome\":\"{outcome}\"");
    let runs = sandbox.runs("results");
    let log = runs.first().map(|run| run.join("records-000001.jsonl"));
    let text = log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
    text.lines().filter(|line| line.contains(&wanted)).count()
}

/// Runs the stage while its server goes away after ten answers, until `enough` connections failed; back
/// again it `loads` until it was asked so often.
fn with_a_blip(settings: &str, enough: usize, loads: usize) -> (Value, Vec<Value>, String) {
    let takes = Duration::from_millis(20);
    let first = server(anywhere(), takes);
    let address = first.address();
    let sandbox = plan(address, settings);
    let output = thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.runner().args(["run", "plan.yaml"]).output());
        wait_until(|| ended(&sandbox, "ok") >= 10);
        drop(first);
        wait_until(|| ended(&sandbox, "connect") >= enough);
        let _second = loading(address, takes, loads);
        run.join().expect("no panic").expect("it starts")
    });
    // On a busy machine the run may be INVALID for that; the endpoint's moment away never ends it.
    assert!(matches!(code(&output), 0 | 5), "{}", said(&output));
    let summary = sandbox.summary();
    assert_eq!(stage(&summary, "load")["state"], "completed", "{}", said(&output));
    (summary, records(&sandbox.run_dir()), said(&output))
}

fn answered_after_the_first_failure(records: &[Value]) -> bool {
    let first = records.iter().position(|it| it["outcome"] == "connect").expect("one failed");
    records[first..].iter().any(|it| it["outcome"] == "ok")
}

/// What `summary.json` says of the time to recovery, from the records.
fn recovered_as_recorded(found: &Value, records: &[Value]) {
    let at = |it: &Value, stamp: &str| it[stamp].as_u64();
    let failed = records.iter().filter(|it| it["outcome"] == "connect");
    let since = failed.filter_map(|it| at(it, "sent_ns")).min().expect("one failed");
    let later = records.iter().filter(|it| at(it, "sent_ns") > Some(since));
    let back = later.filter_map(|it| at(it, "headers_ns")).min().expect("one answered");
    let longest = figure(found, "/unreachable/recovery_s");
    assert!(longest >= (back - since) as f64 / 1e9 - 1e-9, "{longest} of {found:#}");
}

#[test]
fn an_open_loop_outlives_a_moment_without_its_endpoint() {
    let (summary, records, said) = with_a_blip("rate: 40, requests: 120", 3, 0);
    let load = stage(&summary, "load");
    let counts = &load["counts"];
    let refused = records.iter().filter(|it| it["outcome"] == "connect").count() as u64;
    assert_eq!((count(counts, "planned"), count(counts, "never_started")), (120, 0));
    assert_eq!(count(&load["unreachable"], "requests"), refused);
    assert!(refused >= 3 && answered_after_the_first_failure(&records), "{load:#}");
    recovered_as_recorded(load, &records);
    assert!(said.contains("load: the endpoint took no connections ("), "{said}");
    assert!(said.contains("it answered again after"), "{said}");
}

#[test]
fn users_wait_until_their_endpoint_is_back() {
    let users = 4;
    // A server that is there and loads its model is not back.
    let (summary, records, _) = with_a_blip("concurrency: 4, requests: 600", 1, 3);
    let load = stage(&summary, "load");
    assert_eq!(count(&load["counts"], "planned"), 600);
    assert_eq!(count(&load["counts"], "never_started"), 0);
    // Nobody asks an endpoint that is known to be away.
    let away = &load["unreachable"];
    assert!(count(away, "requests") <= users * count(away, "times"), "{away:#}");
    assert!(load["errors"]["http.503"].is_null(), "{load:#}");
    assert!(answered_after_the_first_failure(&records), "{load:#}");
    recovered_as_recorded(load, &records);
}

#[test]
fn an_endpoint_that_stays_away_ends_the_stage_when_the_wait_is_over() {
    for settings in ["rate: 40, requests: 4000", "concurrency: 2, requests: 4000"] {
        let server = server(anywhere(), Duration::ZERO);
        let settings = format!("{settings}, unreachable: {{ wait: 500ms }}");
        let sandbox = plan(server.address(), &settings);
        let output = thread::scope(|scope| {
            let run = scope.spawn(|| sandbox.runner().args(["run", "plan.yaml"]).output());
            wait_until(|| ended(&sandbox, "ok") >= 2);
            drop(server);
            run.join().expect("no panic").expect("it starts")
        });
        assert_eq!(code(&output), 5, "{}", said(&output));
        let summary = sandbox.summary();
        let load = stage(&summary, "load");
        let reason = load["reason"].as_str().expect("a reason");
        assert!(reason.contains("stopped answering for 0.5 s (`unreachable: "), "{reason}");
        assert_eq!(
            (&load["state"], &load["unreachable"]["to_the_end"]),
            (&"failed".into(), &true.into())
        );
        let counts = &load["counts"];
        assert_eq!(count(counts, "planned"), 4000);
        assert!(count(counts, "never_started") > 0, "{counts:#}");
    }
}

#[test]
fn a_check_ends_it_sooner_than_the_wait() {
    let server = server(anywhere(), Duration::ZERO);
    let abort = "rate: 40, requests: 4000, abort: [\"error_rate > 20%\"]";
    let sandbox = plan(server.address(), abort);
    let output = thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.runner().args(["run", "plan.yaml"]).output());
        wait_until(|| ended(&sandbox, "ok") >= 2);
        drop(server);
        run.join().expect("no panic").expect("it starts")
    });
    let summary = sandbox.summary();
    let reason = stage(&summary, "load")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("error_rate"), "{reason} {}", said(&output));
}

/// A machine that has descriptors left for a few connections only.
fn out_of_descriptors(settings: &str) -> (Value, Vec<Value>, String) {
    let server = server(anywhere(), Duration::from_millis(500));
    let sandbox = plan(server.address(), settings);
    let script = "ulimit -n 56 && exec \"$0\" run plan.yaml";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_runner")])
        .current_dir(sandbox.dir.path())
        .env_clear()
        .output()
        .expect("sh starts");
    let run = sandbox.runs("results");
    assert_eq!(run.len(), 1, "{}", said(&output));
    assert_eq!(code(&output), 5, "{}", said(&output));
    (sandbox.summary(), records(&run[0]), said(&output))
}

#[test]
fn what_a_plan_needs_of_this_machine_is_told_before_anything_is_sent() {
    let (summary, _, said) = out_of_descriptors("concurrency: 70, requests: 200");
    let needs =
        "stage load: 70 requests at a time need about 134 open files, and this process may have 56";
    assert!(said.contains(&format!("warning: {needs}")), "{said}");
    assert!(summary["run"]["notes"].to_string().contains(needs), "{summary:#}");
}

#[test]
fn what_this_machine_lacks_is_its_own_fault_and_ends_nothing() {
    for settings in ["rate: 100, requests: 200", "concurrency: 70, requests: 200"] {
        let (summary, records, said) = out_of_descriptors(settings);
        let load = stage(&summary, "load");
        assert_eq!(
            (&load["state"], &summary["run"]["valid"]),
            (&"completed".into(), &false.into())
        );
        let short = count(&load["errors"], "connect.fd_limit");
        assert!(short > 0 && load["unreachable"].is_null(), "{load:#}");
        assert_eq!(count(&load["counts"], "planned"), records.len() as u64);
        let why = format!("generator exhausted: {short} request");
        assert!(said.contains(&why) && said.contains("ulimit -n"), "{said}");
        if settings.starts_with("concurrency") {
            // Each user asks again after a second.
            let seconds = figure(load, "/duration_s");
            assert!(short as f64 <= 70.0 * (seconds + 1.0), "{short} in {seconds} s");
        }
    }
}
