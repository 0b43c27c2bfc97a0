//! What a process that was stopped for a while owns up to, and what the client says of itself.

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{count, figure, plan, said, simulator};
use crate::sandbox::{Sandbox, code, records, stage};

/// Runs the plan and stops the process (as Ctrl-Z does) for `pause` once the server has seen some.
fn run_with_a_pause(
    sandbox: &Sandbox,
    server: &runner::simulator::Simulator,
    pause: Duration,
) -> Output {
    let mut command = sandbox.runner();
    command.args(["run", "plan.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("runner starts");
    let began = Instant::now();
    while server.truth().len() < 10 && began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    };
    signal("-STOP");
    thread::sleep(pause);
    signal("-CONT");
    child.wait_with_output().expect("it ends")
}

fn paused(late: &str) -> (Output, Value, usize) {
    let server = simulator(256, 1_000.0);
    let load = format!("id: load, kind: load, rate: 100, requests: 500, max_lag: 200ms, {late}");
    let sandbox = plan(&server, 2, &[&load]);
    let output = run_with_a_pause(&sandbox, &server, Duration::from_millis(1_500));
    let load = stage(&sandbox.summary(), "load").clone();
    (output, load, records(&sandbox.run_dir()).len())
}

#[cfg(unix)]
#[test]
fn after_a_pause_late_requests_are_sent_and_the_stage_says_so() {
    let (output, load, records) = paused("late: send");
    assert_eq!((records, count(&load["counts"], "planned")), (500, 500), "{load:#}");
    assert_eq!(count(&load["counts"], "ok"), 500, "{load:#}");
    // Their latency counts from when they were due, and the generator is called to account.
    assert!(figure(&load, "/metrics/schedule_lag/max") > 1_000.0, "{load:#}");
    assert!(figure(&load, "/metrics/e2e_due/max") > 1_000.0, "{load:#}");
    assert_eq!(load["load"]["generator_limited"], true, "{load:#}");
    assert_eq!(code(&output), 5, "{}", said(&output));
    assert!(said(&output).contains("generator saturated"), "{}", said(&output));
    assert!(said(&output).contains("stood still"), "{}", said(&output));
}

#[cfg(unix)]
#[test]
fn after_a_pause_late_requests_are_dropped_where_the_plan_says_so() {
    let (output, load, records) = paused("late: drop, late_after: 100ms");
    let counts = &load["counts"];
    assert_eq!((records, count(counts, "planned")), (500, 500), "{load:#}");
    assert_eq!(count(counts, "ok") + count(counts, "dropped_late"), 500, "{load:#}");
    // A pause of 1.5 s at 100 a second, less what is forgiven; more where the machine is slow, too.
    assert!(count(counts, "dropped_late") >= 100, "{counts:#} {}", said(&output));
}

#[test]
fn the_client_says_what_it_took() {
    let server = simulator(64, 1_000.0);
    let sandbox = plan(&server, 5, &["id: load, kind: load, concurrency: 4, requests: 80"]);
    let output = sandbox.run(&["run", "plan.yaml", "-v"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let client = stage(&sandbox.summary(), "load")["client"].clone();
    assert_eq!(
        count(&client, "connections_opened") + count(&client, "connections_reused"),
        80,
        "{client:#}"
    );
    assert_eq!(count(&client, "token_events"), 400);
    let said = said(&output);
    assert!(said.contains("sent over an open one") && said.contains("400 token events"), "{said}");
    if cfg!(target_os = "linux") {
        assert!(figure(&client, "/cpu_s") > 0.0 && said.contains("of a core"), "{said}");
    }
}

#[test]
fn both_sides_of_a_check_count_from_one_time_which_is_named() {
    let sandbox = Sandbox::new();
    let limit = "ttft.p50 <= 0.9 * held.ttft.p50";
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ simulator: {{ decode_rate: 100, overhead: 0ms }} }}\n\
         prompt: {{ text: \"quay {{{{ i }}}}\", max_tokens: 4 }}\nstages:\n\
         \x20 - {{ id: held, kind: load, rate: 200, requests: 40, max_in_flight: 1 }}\n\
         \x20 - {{ id: one, kind: load, concurrency: 1, requests: 5, \
         thresholds: [\"{limit}\", {{ check: \"{limit}\", from: sent }}] }}\n"
    ));
    // What it says is looked at, and not whether it holds.
    let _code = sandbox.run(&["run", "plan.yaml"]);
    let summary = sandbox.summary();
    let held = |metric: &str| figure(stage(&summary, "held"), &format!("/metrics/{metric}/p50"));
    let checks = &stage(&summary, "one")["thresholds"];
    for (check, metric, words) in
        [(0, "ttft_due", "from when they were due"), (1, "ttft", "from when they were sent")]
    {
        let check = &checks[check];
        let reason = check["reason"].as_str().expect("a reason");
        assert!(reason.ends_with(words), "{reason}");
        let limit = check["limit"].as_f64().expect("a limit");
        assert!((limit / (0.9 * held(metric)) - 1.0).abs() < 1e-6, "{check:#}");
    }
}
