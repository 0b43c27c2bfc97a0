//! Interrupts end a run soon, whatever was planned, and leave its results.
#![cfg(unix)]

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::{Sandbox, children, code, lines, records, shown, stage, stderr};

/// Promised are two seconds; the others are for busy cores. No run here would end by itself in time.
const SOON: Duration = Duration::from_secs(20);

fn plan(head: &str, simulator: &str, stages: &str) -> String {
    format!(
        "version: 1\nname: cut\n{head}endpoint: {{ simulator: {{ {simulator} }} }}\nseed: 1\n\
         prompt: {{ text: Say hello., max_tokens: 100 }}\nstages:\n{stages}"
    )
}

const QUICK: &str = "prefill_rate: 1M, decode_rate: 100k";
/// An answer takes 100 s.
const SLOW: &str = "prefill_rate: 1M, decode_rate: 1";

/// A run under way: as many requests have ended, or begun, as its log says.
fn start(sandbox: &Sandbox, text: &str, line: &str, count: usize) -> Child {
    sandbox.plan(text);
    // Whoever runs the tests may ignore SIGHUP, as nohup does; python3 hands on that it is not.
    let script = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); \
                  os.execv(sys.argv[1], sys.argv[1:])";
    let mut command = Command::new("python3");
    command.current_dir(sandbox.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
    command.args(["-c", script, env!("CARGO_BIN_EXE_runner"), "run", "plan.yaml"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("runner starts");
    await_lines(sandbox, line, count);
    child
}

fn await_lines(sandbox: &Sandbox, line: &str, count: usize) {
    let began = Instant::now();
    let has_come = || {
        let runs = children(&sandbox.dir.path().join("results/cut"));
        let logs =
            runs.iter().filter_map(|run| fs::read_to_string(run.join("records-000001.jsonl")).ok());
        logs.map(|log| log.matches(&format!("\"type\":\"{line}\"")).count()).any(|it| it >= count)
    };
    while !has_come() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never began");
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// What came of a run after a signal.
fn ended(child: Child, name: &str) -> Output {
    let began = Instant::now();
    signal(&child, name);
    let output = child.wait_with_output().expect("it ends");
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
    output
}

/// The identity of a stage's counts holds, and the log alone makes the same of it.
fn counts(sandbox: &Sandbox, id: &str) -> Value {
    let summary = sandbox.summary();
    let counts = stage(&summary, id)["counts"].clone();
    let count = |name: &str| counts[name].as_u64().expect("a count");
    let sum: u64 = ["ok", "errors", "cancelled", "dropped_late", "lost_in_flight", "never_started"]
        .map(count)
        .iter()
        .sum();
    assert_eq!(count("planned"), sum, "{counts}");
    let told = sandbox.run(&["report", shown(&sandbox.run_dir()), "--format", "json"]);
    let rebuilt: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(rebuilt["stages"], summary["stages"]);
    assert_eq!(summary["run"]["valid"], true, "{}", summary["run"]);
    counts
}

#[test]
fn a_million_million_requests_that_never_started_are_one_line() {
    const PLANNED: u64 = 1_000_000_000_000;
    let sandbox = Sandbox::new();
    // (A cold stage would have its prompts counted first, for up to a minute.)
    let stages = format!(
        "  - {{ id: big, kind: load, concurrency: 2, requests: {PLANNED} }}\n  - {{ id: next, kind: cold, requests: {PLANNED} }}\n"
    );
    let output = ended(start(&sandbox, &plan("", QUICK, &stages), "end", 3), "-TERM");
    assert_eq!(code(&output), 143, "{}", stderr(&output));
    let (big, next) = (counts(&sandbox, "big"), counts(&sandbox, "next"));
    assert_eq!(big["planned"], PLANNED);
    assert_eq!(next["never_started"], PLANNED);
    // Each request has a record, or is one of those that the two lines count.
    let run = sandbox.run_dir();
    let unmade = lines(&run, "never_started");
    assert_eq!(unmade.len(), 2, "{unmade:?}");
    let (first, count) = (unmade[0]["first"].as_u64(), unmade[0]["count"].as_u64());
    assert_eq!(first.zip(count).map(|(first, count)| first + count), Some(PLANNED));
    assert_eq!(Some(records(&run).len() as u64), first);
}

#[test]
fn a_soak_of_days_ends_at_once() {
    let sandbox = Sandbox::new();
    let day = "rate: 50, duration: 24h, max_lag: 1h";
    let stages =
        format!("  - {{ id: soak, kind: load, {day} }}\n  - {{ id: after, kind: load, {day} }}\n");
    let output = ended(start(&sandbox, &plan("", QUICK, &stages), "end", 3), "-INT");
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert_eq!(counts(&sandbox, "soak")["planned"], 50 * 24 * 3600);
    assert_eq!(counts(&sandbox, "after")["never_started"], 50 * 24 * 3600);
}

#[test]
fn requests_in_flight_are_cut_within_the_grace_of_the_plan() {
    for (name, exit) in [("-TERM", 143), ("-HUP", 129)] {
        let sandbox = Sandbox::new();
        let stages = "  - { id: slow, kind: load, requests: 50, concurrency: 5 }\n";
        let child = start(&sandbox, &plan("grace: 2s\n", SLOW, stages), "start", 5);
        let output = ended(child, name);
        assert_eq!(code(&output), exit, "{}", stderr(&output));
        assert!(stderr(&output).contains("waiting up to 2 s"), "{}", stderr(&output));
        let counts = counts(&sandbox, "slow");
        assert_eq!((&counts["cancelled"], &counts["never_started"]), (&5.into(), &45.into()));
    }
}

#[test]
fn a_second_signal_cuts_whatever_the_grace() {
    let sandbox = Sandbox::new();
    let stages = "  - { id: slow, kind: load, requests: 50, concurrency: 5 }\n";
    let child = start(&sandbox, &plan("grace: 1h\n", SLOW, stages), "start", 5);
    signal(&child, "-INT");
    // Two that come at once are one.
    thread::sleep(Duration::from_millis(500));
    let output = ended(child, "-INT");
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert_eq!(counts(&sandbox, "slow")["cancelled"], 5);
}

#[test]
fn a_hangup_that_nohup_ignores_ends_no_run() {
    let sandbox = Sandbox::new();
    sandbox.plan(&plan(
        "",
        QUICK,
        "  - { id: some, kind: load, rate: 20, duration: 2s, max_lag: 1h }\n",
    ));
    let script = format!("trap '' HUP; exec {} run plan.yaml", env!("CARGO_BIN_EXE_runner"));
    let mut shell = Command::new("/bin/sh");
    shell.current_dir(sandbox.dir.path()).env_clear().args(["-c", &script]);
    let child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell");
    await_lines(&sandbox, "end", 3);
    signal(&child, "-HUP");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(counts(&sandbox, "some")["ok"], 40);
}

#[test]
fn an_interrupt_ends_what_a_script_started_in_the_background() {
    let sandbox = Sandbox::new();
    let stages = "  - { id: slow, kind: load, requests: 50, concurrency: 5 }\n";
    sandbox.plan(&plan("grace: 1s\n", SLOW, stages));
    // As shells do for `&` in scripts.
    let script = format!("trap '' INT; exec {} run plan.yaml", env!("CARGO_BIN_EXE_runner"));
    let mut shell = Command::new("/bin/sh");
    shell.current_dir(sandbox.dir.path()).env_clear().args(["-c", &script]);
    let child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell");
    await_lines(&sandbox, "start", 5);
    assert_eq!(code(&ended(child, "-INT")), 130);
    assert_eq!(counts(&sandbox, "slow")["cancelled"], 5);
}

#[test]
fn a_schedule_without_an_end_in_sight_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.plan(&plan("", QUICK, "  - { kind: load, rate: 1000000, duration: 720h }\n"));
    let output = sandbox.run(&["validate", "plan.yaml"]);
    assert_eq!(code(&output), 3);
    assert!(
        stderr(&output).contains("comes to about 2592000000000 requests"),
        "{}",
        stderr(&output)
    );
}
