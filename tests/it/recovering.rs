//! A run that died, or whose files somebody was at: `recover`, and what the report says of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Sandbox, code, lines, read_json, stderr};

const LOG: &str = "records-000001.jsonl";

/// A plan whose two stages take a second or so.
fn plan(sandbox: &Sandbox) {
    sandbox.plan(
        "version: 1\nendpoint: { simulator: { decode_rate: 500 } }\n\
         prompt: { text: \"Hello {{ i }}.\", max_tokens: 8 }\nstages:\n  \
         - { id: first, kind: load, rate: 50, requests: 20, max_lag: 10s }\n  \
         - { id: second, kind: load, rate: 20, requests: 60, max_lag: 10s }\n",
    );
}

/// Starts a run, waits until its log has so many requests that ended, and does something to it.
fn disturbed(
    sandbox: &Sandbox,
    ends: usize,
    what: impl FnOnce(&Path, &mut std::process::Child),
) -> (PathBuf, Output) {
    plan(sandbox);
    let mut command = sandbox.runner();
    command.args(["run", "plan.yaml"]).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let run = loop {
        let run = sandbox.runs("results").into_iter().next();
        let log = run.as_ref().and_then(|run| fs::read_to_string(run.join(LOG)).ok());
        if log.is_some_and(|log| log.matches("\"type\":\"end\"").count() >= ends) {
            break run.expect("it has a log");
        }
        thread::sleep(Duration::from_millis(5));
    };
    what(&run, &mut child);
    (run, child.wait_with_output().expect("it ended"))
}

fn killed(sandbox: &Sandbox) -> PathBuf {
    disturbed(sandbox, 30, |_, child| child.kill().expect("it can be killed")).0
}

fn recover(sandbox: &Sandbox, run: &Path) -> Output {
    sandbox.runner().arg("recover").arg(run).output().expect("it starts")
}

fn counts(summary: &Value) -> Vec<Value> {
    summary["stages"].as_array().expect("stages").iter().map(|it| it["counts"].clone()).collect()
}

#[test]
fn a_killed_run_is_put_in_order_and_that_only_once() {
    let sandbox = Sandbox::new();
    let run = killed(&sandbox);
    // The write of its last line was cut short.
    let log = fs::read(run.join(LOG)).expect("a log");
    fs::write(run.join(LOG), [&log[..], b"{\"type\":\"end\",\"se"].concat()).expect("written");
    assert!(!run.join("summary.json").exists());
    let output = recover(&sandbox, &run);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("17 bytes of a line that was cut short: kept as records-000001.torn"),
        "{said}"
    );
    assert!(said.contains("manifest.json says now that the run ended before its time"), "{said}");
    assert_eq!(fs::read(run.join(LOG)).expect("a log"), log);
    assert_eq!(fs::read(run.join("records-000001.torn")).expect("kept"), b"{\"type\":\"end\",\"se");
    let manifest = read_json(&run.join("manifest.json"));
    assert_eq!((&manifest["state"], &manifest["exit_code"]), (&"aborted".into(), &5.into()));
    let summary = read_json(&run.join("summary.json"));
    let planned: u64 = counts(&summary).iter().filter_map(|it| it["planned"].as_u64()).sum();
    assert_eq!(planned, 80, "{summary:#}");
    for name in ["summary.csv", "report.html"] {
        assert!(run.join(name).exists(), "{name}");
    }
    assert!(!run.join("lock").exists() && !run.join("reserve").exists());
    let again = recover(&sandbox, &run);
    assert!(stderr(&again).contains("nothing to repair"), "{}", stderr(&again));
    assert_eq!(read_json(&run.join("summary.json")), summary);
}

#[test]
fn a_manifest_that_is_gone_or_unreadable_is_made_of_the_records() {
    for broken in [None, Some("{\"schema_ver")] {
        let sandbox = Sandbox::new();
        let run = killed(&sandbox);
        let path = run.join("manifest.json");
        let known = read_json(&path);
        match broken {
            None => fs::remove_file(&path).expect("removed"),
            Some(text) => fs::write(&path, text).expect("written"),
        }
        let output = recover(&sandbox, &run);
        assert_eq!(code(&output), 5, "{}", stderr(&output));
        let manifest = read_json(&path);
        for field in ["run_id", "seed", "started_at", "simulated", "runner_version"] {
            assert_eq!(manifest[field], known[field], "{field}");
        }
        assert_eq!(manifest["plan"]["hash"], known["plan"]["hash"]);
        assert_eq!(run.join("manifest.json.unreadable").exists(), broken.is_some());
    }
}

#[test]
fn what_can_not_be_recovered_is_refused() {
    let sandbox = Sandbox::new();
    let run = killed(&sandbox);
    fs::remove_file(run.join("manifest.json")).expect("removed");
    let log = fs::read_to_string(run.join(LOG)).expect("a log");
    let (_, headless) = log.split_once('\n').expect("lines");
    fs::write(run.join(LOG), headless).expect("written");
    let output = recover(&sandbox, &run);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("its log has no first line"), "{}", stderr(&output));
    let output = recover(&sandbox, &sandbox.dir.path().join("nowhere"));
    assert_eq!(code(&output), 2);
}

#[test]
fn records_that_vanish_while_a_run_goes_on_make_it_invalid() {
    type Act = fn(&Path);
    let acts: [(Act, &str); 3] = [
        (|log| fs::remove_file(log).expect("removed"), "was removed or renamed"),
        (
            |log| fs::rename(log, log.with_extension("old")).expect("renamed"),
            "was removed or renamed",
        ),
        (
            |log| {
                fs::copy(log, log.with_extension("new"))
                    .map(|_| ())
                    .and_then(|()| fs::rename(log.with_extension("new"), log))
                    .expect("replaced");
            },
            "was changed by somebody else",
        ),
    ];
    for (act, what) in acts {
        let sandbox = Sandbox::new();
        let (run, output) = disturbed(&sandbox, 30, |run, _| act(&run.join(LOG)));
        assert_eq!(code(&output), 5, "{}", stderr(&output));
        let summary = read_json(&run.join("summary.json"));
        assert_eq!(summary["run"]["valid"], false);
        let notes = summary["run"]["notes"].to_string();
        assert!(notes.contains(&format!("INVALID: {LOG} {what}")), "{notes}");
    }
}

#[test]
fn a_run_that_died_before_its_first_line_is_resumed() {
    let sandbox = Sandbox::new();
    let run = killed(&sandbox);
    fs::remove_file(run.join(LOG)).expect("removed");
    let mut command = sandbox.runner();
    let output =
        command.args(["run", "plan.yaml", "--resume"]).arg(&run).output().expect("it starts");
    assert!(matches!(code(&output), 0 | 5), "{}", stderr(&output));
    let new = sandbox.runs("results").into_iter().find(|it| *it != run).expect("a new run");
    assert_eq!(lines(&new, "end").len(), 80);
    let notes = read_json(&new.join("summary.json"))["run"]["notes"].to_string();
    assert!(notes.contains("of which nothing was finished"), "{notes}");
}

#[test]
fn a_level_that_tells_of_its_machine_is_measured_anew() {
    let sandbox = Sandbox::new();
    // No generator keeps to a nanosecond, so the second stage is INVALID wherever it runs.
    sandbox.plan(
        "version: 1\nendpoint: { simulator: { decode_rate: 500 } }\n\
         prompt: { text: \"Hello {{ i }}.\", max_tokens: 8 }\nstages:\n  \
         - { id: good, kind: load, rate: 50, requests: 20, max_lag: 100s }\n  \
         - { id: bad, kind: load, rate: 50, requests: 20, max_lag: 1ns }\n",
    );
    let output = sandbox.runner().args(["run", "plan.yaml"]).output().expect("it starts");
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    let run = sandbox.run_dir();
    let mut command = sandbox.runner();
    let output =
        command.args(["run", "plan.yaml", "--resume"]).arg(&run).output().expect("it starts");
    let new = sandbox.runs("results").into_iter().find(|it| *it != run);
    let new = new.unwrap_or_else(|| panic!("{}", stderr(&output)));
    let ids = |run: &Path, stage: &str| -> Vec<Value> {
        let ends = lines(run, "end").into_iter().filter(|it| it["stage"] == stage);
        ends.map(|it| it["sent_ns"].clone()).collect()
    };
    assert_eq!(ids(&new, "good"), ids(&run, "good"), "taken over");
    assert_ne!(ids(&new, "bad"), ids(&run, "bad"), "measured anew");
    assert_eq!(ids(&new, "bad").len(), 20);
    let notes = read_json(&new.join("summary.json"))["run"]["notes"].to_string();
    assert!(notes.contains("1 level of it told of that machine"), "{notes}");
}
