//! `load`, `qps_ladder` and `concurrency_ramp` against the simulator, whose truth log says what
//! really arrived and when.
//!
//! Two noisy cores run these tests: bounds are wide, and what must be exact is counted.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use runner::plan::SimulatorConfig;
use runner::simulator::{Simulator, Truth};
use serde_json::Value;

use crate::sandbox::{Sandbox, records, text};

fn sandbox(plan: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plan(plan);
    sandbox
}

fn run(sandbox: &Sandbox) -> Output {
    sandbox.run(&["run", "plan.yaml"])
}

/// The `end` lines of a stage.
fn ends_of(sandbox: &Sandbox, stage: &str) -> Vec<Value> {
    let ends = records(&sandbox.run_dir()).into_iter();
    ends.filter(|line| line["stage"] == stage).collect()
}

/// How many requests each `never_started` line of a stage counts.
fn never_made(sandbox: &Sandbox, stage: &str) -> Vec<u64> {
    let lines = crate::sandbox::lines(&sandbox.run_dir(), "never_started").into_iter();
    let ours = lines.filter(|line| line["stage"] == stage);
    ours.map(|line| line["count"].as_u64().expect("a count")).collect()
}

fn simulator(config: SimulatorConfig) -> Simulator {
    Simulator::start(config, SocketAddr::from(([127, 0, 0, 1], 0))).expect("it starts")
}

/// A simulator that takes `tokens / decode_rate` per request, `seqs` at a time.
fn plain(seqs: u64, decode_rate: f64) -> SimulatorConfig {
    SimulatorConfig {
        max_num_seqs: seqs,
        decode_rate,
        batch_cost: 0.0,
        jitter: 0.0,
        overhead: Duration::from_millis(1),
        ..SimulatorConfig::default()
    }
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn stages<'a>(summary: &'a Value, id: &str) -> Vec<&'a Value> {
    let stages = summary["stages"].as_array().expect("stages");
    stages.iter().filter(|stage| stage["id"] == id).collect()
}

/// Most requests that the simulator had at once.
fn most_at_once(truth: &[Truth]) -> usize {
    let running = |at: u64| {
        truth.iter().filter(|it| it.read_ns <= at && it.end_ns.is_some_and(|end| end > at)).count()
    };
    truth.iter().map(|it| running(it.read_ns)).max().unwrap_or(0)
}

#[test]
fn an_open_loop_keeps_its_rate_as_the_server_sees_it() {
    let server = simulator(plain(256, 2_000.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 4 }}\n\
         stages:\n  - {{ kind: load, rate: 100/s, duration: 3s, warmup_requests: 3, max_lag: 1s }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let summary = sandbox.summary();
    let load = stages(&summary, "load")[0];
    assert_eq!((&load["counts"]["planned"], &load["counts"]["ok"]), (&300.into(), &300.into()));
    assert_eq!(ends_of(&sandbox, "load").len(), 300);
    assert_eq!(ends_of(&sandbox, "load.warmup").len(), 3);
    assert_eq!(stages(&summary, "load.warmup")[0]["reported"], false);
    let rate = load["load"]["achieved_rate"].as_f64().expect("a rate");
    assert!((90.0..=101.0).contains(&rate), "{rate}");

    let truth = server.truth();
    let reads: Vec<u64> = truth
        .iter()
        .filter(|it| it.request_id.as_ref().is_some_and(|id| !id.contains(".warmup")))
        .map(|it| it.read_ns)
        .collect();
    assert_eq!(reads.len(), 300);
    let span = (reads.iter().max().expect("some") - reads.iter().min().expect("some")) as f64 / 1e9;
    assert!((299.0 / span - 100.0).abs() < 6.0, "{} per second", 299.0 / span);
}

#[test]
fn a_ladder_finds_the_rung_on_which_the_simulator_saturates() {
    // 4 at a time, 100 ms each: 40 per second at most.
    let server = simulator(plain(4, 200.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 20 }}\n\
         stages:\n  - {{ id: ladder, kind: qps_ladder, rates: \"20,30,80\", step: 2s, \
         settle: 200ms, max_lag: 2s }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let summary = sandbox.summary();
    let found = &summary["saturation"]["ladder"];
    assert_eq!(found["saturated_at"], 80.0, "{found:#}");
    let best = found["best_requests_per_second"].as_f64().expect("a figure");
    assert!((28.0..=42.0).contains(&best), "{best}");
    // A busy machine may leave it open whether the levels below are kept up with; advice then has none
    // to stand on.
    let held = found["sustainable"].as_f64();
    assert!(held.is_none_or(|held| [20.0, 30.0].contains(&held)), "{found:#}");
    assert_eq!(found["recommended"][0].as_f64(), held.map(|held| 0.7 * held), "{found:#}");
    let said = said(&output);
    assert_eq!(said.contains("ladder: run production at "), held.is_some(), "{said}");
    // Settling and counted requests together are the schedule.
    let rungs = stages(&summary, "ladder");
    let counted: Vec<u64> =
        rungs.iter().map(|it| it["counts"]["planned"].as_u64().expect("a count")).collect();
    assert_eq!(counted, [36, 54, 144]);
    assert_eq!(ends_of(&sandbox, "ladder").len(), 234);
    assert_eq!(ends_of(&sandbox, "ladder.settle").len(), 4 + 6 + 16);
}

#[test]
fn a_closed_loop_never_exceeds_its_concurrency() {
    let server = simulator(plain(64, 500.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 10, unique: request }}\n\
         stages:\n  - {{ kind: load, concurrency: 5, requests: 60, repeat_ratio: 0.5 }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let load = sandbox.summary();
    assert_eq!(stages(&load, "load")[0]["counts"]["ok"], 60);
    let truth = server.truth();
    assert_eq!(truth.len(), 60);
    assert!((2..=5).contains(&most_at_once(&truth)), "{}", most_at_once(&truth));
    let hashes: std::collections::BTreeSet<String> =
        ends_of(&sandbox, "load").iter().map(|end| end["prompt_hash"].to_string()).collect();
    assert!((15..=50).contains(&hashes.len()), "{} different prompts", hashes.len());
}

#[test]
fn a_ramp_names_the_concurrency_at_which_throughput_stops_growing() {
    let server = simulator(plain(4, 200.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 10 }}\n\
         stages:\n  - {{ id: ramp, kind: concurrency_ramp, concurrency: \"1,4,16\", requests: 48 }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let found = &sandbox.summary()["saturation"]["ramp"];
    // The level after the knee may be a little faster on a noisy machine, never the first.
    let at = found["sustainable"].as_f64().expect("a level");
    assert!((4.0..=16.0).contains(&at), "{found:#}");
    assert_eq!(ends_of(&sandbox, "ramp").len(), 144);
}

#[test]
fn a_closed_loop_for_a_time_plans_what_it_sent() {
    let server = simulator(plain(64, 500.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 5 }}\n\
         stages:\n  - {{ kind: load, concurrency: 3, duration: 800ms, settle: 200ms }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let summary = sandbox.summary();
    let ends = ends_of(&sandbox, "load").len() + ends_of(&sandbox, "load.settle").len();
    assert_eq!(server.truth().len(), ends);
    assert_eq!(stages(&summary, "load")[0]["counts"]["planned"], ends_of(&sandbox, "load").len());
    assert!(ends > 6, "{ends}");
}

#[test]
fn a_full_lane_drops_and_counts() {
    let server = simulator(plain(64, 100.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 30 }}\n\
         stages:\n  - {{ kind: load, rate: 50, requests: 40, max_in_flight: 2, when_full: drop }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    let summary = sandbox.summary();
    let counts = &stages(&summary, "load")[0]["counts"];
    let count = |name: &str| counts[name].as_u64().expect("a count");
    assert_eq!(
        (count("planned"), count("ok") + count("dropped_late")),
        (40, 40),
        "{}",
        said(&output)
    );
    assert!(count("dropped_late") > 10, "{counts}");
    assert!(most_at_once(&server.truth()) <= 2);
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_never_started_lines_for_the_rest() {
    let server = simulator(plain(64, 500.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 4 }}\n\
         stages:\n  - {{ kind: qps_ladder, rates: \"20,40\", step: 20s, settle: 100ms }}\n",
        server.base_url()
    ));
    let mut command = sandbox.runner();
    command.args(["run", "plan.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("runner starts");
    let began = std::time::Instant::now();
    while server.truth().len() < 10 && began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let (alone, counted) = (ends_of(&sandbox, "qps_ladder"), never_made(&sandbox, "qps_ladder"));
    let settled = ends_of(&sandbox, "qps_ladder.settle").len() as u64;
    assert_eq!(alone.len() as u64 + settled + counted.iter().sum::<u64>(), 400 + 800);
    // However many they are, they take a line for each rung.
    assert_eq!((counted.len(), counted[1]), (2, 800), "{counted:?}");
    for rung in stages(&sandbox.summary(), "qps_ladder") {
        let counts = &rung["counts"];
        let sum: u64 = ["ok", "errors", "cancelled", "never_started"]
            .iter()
            .map(|name| counts[*name].as_u64().expect("a count"))
            .sum();
        assert_eq!(counts["planned"], sum, "{rung:#}");
    }
}

#[test]
fn a_ladder_that_stops_itself_forgoes_the_rungs_that_are_left() {
    let server = simulator(plain(64, 500.0));
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 10 }}\n\
         stages:\n  - {{ kind: qps_ladder, rates: \"20,40\", step: 3s, max_lag: 2s, \
         stop_when: [\"e2e.p99 > 1ms\"] }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let summary = sandbox.summary();
    let rungs = stages(&summary, "qps_ladder");
    assert_eq!(rungs.len(), 2);
    assert!(rungs[0]["counts"]["never_started"].as_u64() > Some(20), "{:#}", rungs[0]);
    assert_eq!(rungs[1]["counts"]["never_started"], 120);
    assert_eq!(rungs[1]["state"], "completed");
    let counted: u64 = never_made(&sandbox, "qps_ladder").iter().sum();
    assert_eq!(ends_of(&sandbox, "qps_ladder").len() as u64 + counted, 180);
}

#[test]
fn users_begin_out_of_step_where_the_beginning_does_not_count() {
    let server = simulator(plain(64, 1_000.0));
    let users = "concurrency: 5, duration: 2s, think: 1500ms";
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 2 }}\n\
         stages:\n  \
         - {{ id: settled, kind: load, settle: 1s, {users} }}\n  \
         - {{ id: warmed, kind: load, warmup: 1s, {users} }}\n  \
         - {{ id: written, kind: load, settle: 1s, spread: 0s, {users} }}\n  \
         - {{ id: bare, kind: load, {users} }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let span_ms = |stage: &str| {
        let dues =
            ends_of(&sandbox, stage).into_iter().map(|it| it["due_ns"].as_u64().expect("due"));
        let mut dues: Vec<u64> = dues.collect();
        dues.sort_unstable();
        (dues[4] - dues[0]) / 1_000_000
    };
    // Five users share out half a second: the last begins 400 ms after the first, and later only
    // where the machine is busy.
    let (settled, warmed) = (span_ms("settled.settle"), span_ms("warmed"));
    assert!(settled >= 350 && warmed >= 350, "{settled} {warmed}");
    let (written, bare) = (span_ms("written.settle"), span_ms("bare"));
    assert!(written < settled && bare < warmed, "{written} {settled} {bare} {warmed}");
}

/// Runs the search and says what is wrong with what it found.
fn search_once() -> Result<(), String> {
    // 4 at a time, 101 ms each (1 ms of overhead, 20 gaps of 5 ms).
    let capacity = 4.0 / 0.101;
    let server = simulator(SimulatorConfig { prefill_rate: 1e9, ..plain(4, 200.0) });
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 21 }}\n\
         stages:\n  - {{ id: capacity, kind: search, over: rate, from: 3.7, step: 2s, \
         tolerance: 5%, warmup_requests: 4, max_lag: 2s, thresholds: [\"ttft.p95 < 2s\"] }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let summary = sandbox.summary();
    let found = &summary["searches"]["capacity"];
    let best = found["best"].as_f64().expect("a level");
    let used = found["requests"].as_u64().expect("a count");
    // Probes of some eighty requests may not tell it as closely as asked; then they say so.
    let reason = found["reason"].as_str().expect("a reason");
    assert!(["converged", "wide"].contains(&reason), "{found:#}");
    assert!(found["interval"][0].as_f64() < found["interval"][1].as_f64(), "{found:#}");
    assert_eq!(ends_of(&sandbox, "capacity").len() as u64, used);
    // No two probes share an id, even of the same level.
    let ids: std::collections::BTreeSet<String> =
        ends_of(&sandbox, "capacity").iter().map(|end| end["request_id"].to_string()).collect();
    assert_eq!(ids.len() as u64, used);
    // The thresholds decide about levels; the run is judged by what was found.
    let probes = stages(&summary, "capacity");
    assert!(probes.iter().any(|it| it["probe"]["verdict"] == "fail"));
    let checks = probes.iter().filter_map(|it| it["thresholds"].as_array()).flatten();
    let checks: Vec<(&Value, &Value)> = checks.map(|it| (&it["check"], &it["pass"])).collect();
    assert_eq!(checks, [(&"best >= 3.7".into(), &true.into())]);
    // The log alone says the same.
    let report = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["report", "--format", "json"])
        .arg(sandbox.run_dir())
        .output()
        .expect("runner starts");
    let rebuilt: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!(rebuilt["searches"], summary["searches"]);

    // Rungs of the same length, 5 % apart, from the same level up to the first that fails.
    let ladder = std::iter::successors(Some(3.7), |level| Some(level * 1.05));
    let ladder: f64 = ladder.take_while(|level| *level < capacity * 1.05).map(|it| it * 2.0).sum();
    let is_near = (best / capacity - 1.0).abs() < 0.05;
    let is_cheap = (used as f64) < ladder;
    if is_near && is_cheap {
        return Ok(());
    }
    Err(format!("{best} of {capacity}, {used} requests of {ladder}: {}", said(&output)))
}

#[test]
fn a_search_finds_the_capacity_with_fewer_requests_than_a_ladder() {
    // A machine that is busy with other things may spoil one search.
    let mut failed = Vec::new();
    for _ in 0..3 {
        match search_once() {
            Ok(()) => return,
            Err(why) => failed.push(why),
        }
    }
    panic!("{failed:#?}");
}

#[test]
fn a_search_over_users_stops_where_a_latency_limit_breaks() {
    // One at a time, 20 ms each: with n users a first token waits about (n - 1) · 20 ms.
    let server = simulator(SimulatorConfig { prefill_rate: 1e9, ..plain(1, 500.0) });
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 10 }}\n\
         stages:\n  - {{ id: users, kind: search, over: concurrency, from: 1, to: 64, requests: 40, \
         at_least: 6, thresholds: [\"ttft.p50 < 95ms\"], abort: [\"ttft.p50 > 250ms\"] }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    let summary = sandbox.summary();
    let found = &summary["searches"]["users"];
    let best = found["best"].as_f64().expect("a level");
    assert!((3.0..=5.0).contains(&best), "{best}: {}", said(&output));
    assert_eq!(found["axis"], "concurrency");
    // It is asked for six.
    assert_eq!(output.status.code(), Some(10), "{}", said(&output));
    // Of the search as a whole, and not of its last probe.
    assert!(said(&output).contains("users  best >= 6"), "{}", said(&output));
    // A probe that is aborted has failed, and the search goes on.
    let aborted: Vec<&Value> = stages(&summary, "users")
        .into_iter()
        .filter(|it| it["reason"].as_str().is_some_and(|why| why.starts_with("aborted")))
        .collect();
    for probe in aborted {
        assert_eq!(
            (&probe["state"], &probe["probe"]["verdict"]),
            (&"completed".into(), &"fail".into())
        );
    }
}

#[test]
fn a_search_that_can_not_tell_does_not_pass() {
    // Of five requests nobody can tell whether they were kept up with.
    let server = simulator(plain(4, 500.0));
    let plan = |search: &str| {
        sandbox(&format!(
            "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 2 }}\n\
             stages:\n  - {{ id: find, kind: search, over: rate, from: 20, to: 40, max_lag: 5s, \
             thresholds: [\"error_rate <= 1%\"], {search} }}\n",
            server.base_url()
        ))
    };
    for (search, reason) in [("requests: 5", "unclear"), ("requests: 5, max_probes: 1", "spent")] {
        let sandbox = plan(search);
        let output = run(&sandbox);
        assert_eq!(output.status.code(), Some(10), "{}", said(&output));
        assert!(!said(&output).contains("PASS"), "{}", said(&output));
        assert!(
            said(&output).contains("whether 20 requests/s holds can't be told"),
            "{}",
            said(&output)
        );
        let summary = sandbox.summary();
        let found = &summary["searches"]["find"];
        assert_eq!((&found["reason"], &found["best"]), (&reason.into(), &Value::Null), "{found:#}");
        assert_eq!(found["unclear_at"], 20.0, "{found:#}");
    }
    // Probes of which everything settles show nothing, neither for nor against.
    let sandbox = plan("requests: 5, settle: 2s");
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(10), "{}", said(&output));
    let summary = sandbox.summary();
    let found = &summary["searches"]["find"];
    assert_eq!((&found["reason"], &found["failed_at"]), (&"inconclusive".into(), &Value::Null));
}

#[test]
fn a_search_without_any_answer_fails_at_its_first_level() {
    let server = simulator(SimulatorConfig { api_key: Some("key".into()), ..plain(4, 500.0) });
    let sandbox = sandbox(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 2 }}\n\
         stages:\n  - {{ kind: search, over: rate, from: 20, requests: 5 }}\n",
        server.base_url()
    ));
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("401"), "{}", said(&output));
}

#[test]
fn a_search_whose_only_probe_failed_counts_it() {
    let sandbox = sandbox(
        "version: 1\nendpoint: { simulator: { faults: [ { from: 0, count: 10000, status: 503 } ] } }\n\
         prompt: { text: Hello., max_tokens: 2 }\n\
         stages:\n  - { id: find, kind: search, over: rate, from: 50, requests: 5 }\n",
    );
    let output = run(&sandbox);
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let found = &sandbox.summary()["searches"]["find"];
    assert_eq!((&found["probes"], &found["requests"]), (&1.into(), &5.into()), "{found:#}");
}

#[test]
fn a_run_that_measured_nothing_is_not_done() {
    let server = simulator(plain(4, 500.0));
    for (stage, why) in [
        ("kind: load, rate: 50, requests: 5, settle: 3s", "came within `settle`"),
        ("kind: load, concurrency: 2, requests: 4, settle: 3s", "came within `settle`"),
        ("kind: load, rate: 0.001, duration: 200ms, arrival: poisson", "no request came"),
    ] {
        let sandbox = sandbox(&format!(
            "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 2 }}\n\
             stages:\n  - {{ id: nothing, {stage} }}\n",
            server.base_url()
        ));
        let output = run(&sandbox);
        assert_eq!(output.status.code(), Some(5), "{stage}: {}", said(&output));
        for says in [why, "measured nothing", "INCOMPLETE"] {
            assert!(said(&output).contains(says), "{stage}: {says}: {}", said(&output));
        }
        assert_eq!(sandbox.summary()["verdict"]["pass"], false);
    }
}
