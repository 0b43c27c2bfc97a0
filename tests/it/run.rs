//! `runner run` as a person runs it: exit codes, streams, files, signals.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::{Sandbox, children, code, lines, records, stage, stderr};

/// A short plan on the simulator; `%s` is where further stages go.
const PLAN: &str = "\
version: 1
name: short
endpoint: { simulator: { prefill_rate: 20k, decode_rate: 500 } }
seed: 7
prompt:
  context: { from: filler, tokens: 600 }
  text: Summarize.
  max_tokens: 4
stages:
  - { id: cold, kind: cold, requests: 4 }
  - { id: warm, kind: warm }
  - { id: flush, kind: flush }
  - { id: after_flush, kind: cold, like: cold }
";

#[test]
fn cold_warm_flush_are_proven_on_the_simulator() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(PLAN);
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.to_lowercase().contains("simulated"), "{table}");

    let summary = sandbox.summary();
    assert_eq!(summary["run"]["simulated"], true);
    for (id, verdict) in [("cold", "cold"), ("warm", "warm"), ("after_flush", "cold")] {
        let stage = stage(&summary, id);
        assert_eq!(stage["cache"]["verdict"], verdict, "{id}: {stage:#}");
        assert_eq!(stage["counts"]["planned"], 4);
        assert_eq!(stage["counts"]["ok"], 4);
    }
    assert_eq!(stage(&summary, "flush")["flush"]["state"], "proven");
    let p50 = |id| stage(&summary, id)["metrics"]["ttft"]["p50"].as_f64().expect("a TTFT");
    assert!(p50("warm") < p50("cold"), "warm {} cold {}", p50("warm"), p50("cold"));
    assert!(p50("after_flush") > p50("warm"));
}

#[test]
fn warm_repeats_the_very_prompts_of_cold_in_order() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(PLAN);
    sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    let hashes = |id: &str| -> Vec<Value> {
        let of_stage =
            records(&sandbox.run_dir()).into_iter().filter(|record| record["stage"] == id);
        of_stage.map(|record| record["prompt_hash"].clone()).collect()
    };
    assert_eq!(hashes("cold"), hashes("warm"));
    assert_eq!(hashes("cold"), hashes("after_flush"));
    let distinct: std::collections::BTreeSet<String> =
        hashes("cold").iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn the_same_seed_gives_the_same_requests_in_the_same_order() {
    let hashes: Vec<Vec<Value>> = (0..2)
        .map(|_| {
            let sandbox = Sandbox::new();
            let plan = sandbox.plan(PLAN);
            sandbox.run(&["run", plan.to_str().expect("utf-8")]);
            records(&sandbox.run_dir()).iter().map(|record| record["prompt_hash"].clone()).collect()
        })
        .collect();
    assert_eq!(hashes[0].len(), 12);
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn a_wrong_plan_exits_3_and_sends_nothing() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan("version: 1\nendpoint: http://127.0.0.1:9/v1\nstagse: []\n");
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("plan.yaml:3:1"), "{}", stderr(&output));
    assert!(stderr(&output).contains("stages"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    assert!(!sandbox.dir.path().join("results").exists());
}

#[test]
fn a_dead_endpoint_exits_4_and_says_how_to_mend_it() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(PLAN);
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let url = format!("http://127.0.0.1:{port}/v1");
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8"), "--endpoint", &url]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing listens there"), "{}", stderr(&output));
    assert!(stderr(&output).contains("help: "), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing was sent"), "{}", stderr(&output));
    assert!(
        children(&sandbox.dir.path().join("results")).iter().all(|plan| children(plan).is_empty())
    );
}

#[test]
fn a_wrong_key_and_an_unknown_model_are_named_before_any_load() {
    let sandbox = Sandbox::new();
    let locked = PLAN.replace("decode_rate: 500 }", "decode_rate: 500, api_key: right }");
    let plan = sandbox.plan(&locked);
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("401"), "{}", stderr(&output));

    let other = PLAN.replace(
        "endpoint: { simulator: { prefill_rate: 20k, decode_rate: 500 } }",
        "endpoint: { model: simulated-9b, simulator: { prefill_rate: 20k } }",
    );
    let plan = sandbox.plan(&other);
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("simulated-8b"), "{}", stderr(&output));
}

#[test]
fn a_server_that_dies_ends_the_run_in_bounded_time_with_everything_recorded() {
    let sandbox = Sandbox::new();
    let dying = PLAN.replace(
        "decode_rate: 500 }",
        "decode_rate: 500, faults: [{ from: 6, count: 1, crash: true }] }",
    );
    let plan = sandbox.plan(&dying);
    let began = Instant::now();
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    assert!(began.elapsed() < Duration::from_secs(60));

    let summary = sandbox.summary();
    for stage in summary["stages"].as_array().expect("stages") {
        let counts = &stage["counts"];
        let sum: u64 =
            ["ok", "errors", "cancelled", "dropped_late", "lost_in_flight", "never_started"]
                .iter()
                .map(|name| counts[name].as_u64().expect("a count"))
                .sum();
        assert_eq!(counts["planned"].as_u64(), Some(sum), "{stage:#}");
    }
    let run = sandbox.run_dir();
    let unmade = lines(&run, "never_started").into_iter();
    let unmade: u64 = unmade.map(|line| line["count"].as_u64().expect("a count")).sum();
    assert_eq!(records(&run).len() as u64 + unmade, 12);
    assert_eq!(stage(&summary, "warm")["state"], "failed");
    assert_eq!(stage(&summary, "after_flush")["state"], "skipped");
}

#[test]
fn thresholds_that_fail_on_a_complete_run_exit_10_and_point_into_the_plan() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(&PLAN.replace(
        "{ id: warm, kind: warm }",
        "{ id: warm, kind: warm, thresholds: [\"ttft.p50 < 1us\"] }",
    ));
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 10, "{}", stderr(&output));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("plan.yaml:11:"), "{table}");
}

#[test]
fn an_unwritable_results_folder_is_said_before_the_first_request() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(PLAN);
    fs::write(sandbox.dir.path().join("results"), "a file in the way").expect("written");
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("results"), "{}", stderr(&output));
}

#[test]
fn report_rebuilds_the_summary_from_the_records() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(PLAN);
    sandbox.run(&["run", plan.to_str().expect("utf-8")]);
    let live = sandbox.summary();
    let run_dir = sandbox.run_dir();
    let output = sandbox.run(&["report", run_dir.to_str().expect("utf-8"), "--format", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let rebuilt: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(live["stages"], rebuilt["stages"]);
    assert_eq!(live["verdict"], rebuilt["verdict"]);
}

#[test]
fn json_on_standard_output_is_the_summary_and_nothing_else() {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(PLAN);
    let output = sandbox.run(&["run", plan.to_str().expect("utf-8"), "--output-format", "json"]);
    let printed: Value = serde_json::from_slice(&output.stdout).expect("only JSON");
    assert_eq!(printed, sandbox.summary());
}

/// A plan whose cold stage takes about ten seconds.
fn slow_plan() -> String {
    PLAN.replace("prefill_rate: 20k, decode_rate: 500", "prefill_rate: 20k, decode_rate: 20")
        .replace("max_tokens: 4", "max_tokens: 40")
        .replace("requests: 4", "requests: 8")
}

#[cfg(unix)]
fn signal(child: &std::process::Child, name: &str) {
    let status =
        Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
}

/// Starts a slow run and waits until its second request is under way.
#[cfg(unix)]
fn start_slow(sandbox: &Sandbox) -> std::process::Child {
    let plan = sandbox.plan(&slow_plan());
    let child = sandbox
        .runner()
        .args(["run", plan.to_str().expect("utf-8")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runner starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while ended_requests(sandbox) == 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    child
}

/// How many `end` lines the sandbox's run has so far.
#[cfg(unix)]
fn ended_requests(sandbox: &Sandbox) -> usize {
    let plans = children(&sandbox.dir.path().join("results"));
    let runs = plans.iter().flat_map(|plan| children(plan));
    let mut logs = runs.filter_map(|run| fs::read_to_string(run.join("records-000001.jsonl")).ok());
    logs.next().map_or(0, |log| log.matches("\"type\":\"end\"").count())
}

#[cfg(unix)]
#[test]
fn one_interrupt_drains_and_leaves_a_partial_report() {
    let sandbox = Sandbox::new();
    let child = start_slow(&sandbox);
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let summary = sandbox.summary();
    assert_eq!(summary["run"]["state"], "interrupted");
    let cold = &stage(&summary, "cold")["counts"];
    assert!(cold["ok"].as_u64() >= Some(1), "{cold}");
    assert!(cold["never_started"].as_u64() >= Some(1), "{cold}");
    assert!(!output.stdout.is_empty(), "a partial report is printed");
    assert!(!stderr(&output).contains(" 8/8 "), "what never started is not done: {output:?}");
}

#[cfg(unix)]
#[test]
fn two_interrupts_leave_within_a_second_with_the_cut_request_recorded() {
    let sandbox = Sandbox::new();
    let child = start_slow(&sandbox);
    signal(&child, "-INT");
    thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    // Promised is a second; the others are for busy cores. The run itself would take far longer.
    assert!(began.elapsed() < Duration::from_secs(10), "took {:?}", began.elapsed());
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let summary = sandbox.summary();
    assert_eq!(stage(&summary, "cold")["counts"]["cancelled"], 1, "{summary:#}");
}

#[cfg(unix)]
#[test]
fn after_a_kill_the_records_still_make_a_report() {
    let sandbox = Sandbox::new();
    let mut child = start_slow(&sandbox);
    signal(&child, "-KILL");
    child.wait().expect("it ends");
    let run_dir = sandbox.run_dir();
    let output = sandbox.run(&["report", run_dir.to_str().expect("utf-8"), "--format", "json"]);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    let rebuilt: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let counts = &stage(&rebuilt, "cold")["counts"];
    assert_eq!(counts["planned"], 8);
    assert!(counts["ok"].as_u64() >= Some(1), "{counts}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .runner()
        .args(["schema", "plan"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runner starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn simulate_serves_until_it_is_told_to_stop() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .runner()
        .args(["simulate", "--port", "0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("runner starts");
    let mut first = String::new();
    BufReader::new(child.stderr.take().expect("piped")).read_line(&mut first).expect("a line");
    let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.unwrap_or_else(|| panic!("no address in {first:?}"));
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket
        .write_all(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut socket, &mut answer).expect("answered");
    assert!(answer.contains("simulated-8b"), "{answer}");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn the_manifest_holds_the_plan_as_it_ran_without_its_secrets() {
    let sandbox = Sandbox::new();
    let plan = PLAN.replace(
        "endpoint: {",
        "params: { asked: { type: int, default: 2 } }\nendpoint: { api_key: \"${secret:KEY}\",",
    );
    let plan = sandbox.plan(&plan.replace("requests: 4", "requests: \"${asked}\""));
    let mut command = sandbox.runner();
    command.args(["run", plan.to_str().expect("utf-8"), "--param", "asked=3"]);
    let output = command.env("KEY", "tell-nobody").output().expect("runner starts");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = fs::read_to_string(sandbox.run_dir().join("manifest.json")).expect("a manifest");
    assert!(!text.contains("tell-nobody"), "{text}");
    let manifest: Value = serde_json::from_str(&text).expect("JSON");
    let resolved = &manifest["plan"]["resolved"];
    assert_eq!(resolved["stages"][0]["requests"], 3, "{resolved:#}");
    assert_eq!(resolved["endpoint"]["api_key"], "***");
    let length = manifest["ended_ns"].as_u64().expect("the run's clock at its end");
    assert!(length > 0);
}
