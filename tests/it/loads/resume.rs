//! A run that goes on with one that was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{count, plan, said, simulator};
use crate::sandbox::{Sandbox, code, is_busy, read_json, shown};

/// Probes that last long enough to kill the run between them; 20 requests/s can be sustained.
const SEARCH: &str = "id: find, kind: search, over: rate, from: 4, to: 64, step: 1s, settle: 200ms, \
                      tolerance: 20%, confirmations: 1, max_lag: 5s, warmup_requests: 1, \
                      thresholds: [\"e2e.p90 < 400ms\"]";
/// What stands before it and after it.
const BEFORE: &str = "id: before, kind: qps_ladder, rates: \"20,40\", step: 500ms, max_lag: 5s";
const COLD: &str = "id: cold, kind: cold, requests: 3";

/// The lines of a log that are whole.
fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("records-000001.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Numbers of `end` lines of this stage that were sent.
fn sent(lines: &[Value], stage: &str) -> usize {
    let is_sent =
        |line: &&Value| line["type"] == "end" && line["stage"] == stage && line["sent_ns"].is_u64();
    lines.iter().filter(is_sent).count()
}

/// Finished levels of this stage.
fn finished(lines: &[Value], stage: &str) -> usize {
    let is_end = |line: &&Value| {
        line["type"] == "stage_end" && line["stage"] == stage && line["state"] == "completed"
    };
    lines.iter().filter(is_end).count()
}

/// Runs the plan and kills it as soon as its log is as asked for.
fn run_killed(sandbox: &Sandbox, is_enough: impl Fn(&[Value]) -> bool) -> PathBuf {
    let mut command = sandbox.runner();
    command.args(["run", "plan.yaml"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("runner starts");
    let began = Instant::now();
    let is_there = || sandbox.runs("results").first().is_some_and(|run| is_enough(&lines(run)));
    while !is_there() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came so far");
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    sandbox.run_dir()
}

/// The run directory that was not there before.
fn new_run(sandbox: &Sandbox, old: &Path) -> PathBuf {
    let runs = sandbox.runs("results");
    assert_eq!(runs.len(), 2, "{runs:?}");
    runs.into_iter().find(|run| run != old).expect("a new one")
}

#[test]
fn a_killed_search_goes_on_where_it_was_and_asks_nothing_twice() {
    let server = simulator(4, 100.0);
    let sandbox = plan(&server, 20, &[BEFORE, COLD, SEARCH]);
    let killed = run_killed(&sandbox, |lines| finished(lines, "find") >= 2);
    // Where the last line was cut short, it counts for neither.
    let earlier = lines(&killed);
    let probes = finished(&earlier, "find");
    let before = server.truth().len();

    let output = sandbox.run(&["run", "plan.yaml", "--resume", shown(&killed)]);
    let id = killed.file_name().and_then(|id| id.to_str()).expect("its id");
    let words = format!("resumes {id}: taken over as it was measured then: `before`: 2 rungs");
    assert!(said(&output).contains(&words), "{}", said(&output));

    let run = new_run(&sandbox, &killed);
    assert_eq!(read_json(&run.join("manifest.json"))["resumes"], id);
    let now = lines(&run);
    let summary = read_json(&run.join("summary.json"));
    // Probes of a second may not tell whether the lowest level is kept up with, which fails its check.
    let found = &summary["searches"]["find"];
    let low = found["interval"][0].as_f64().filter(|_| found["reason"] != "converged");
    let holds = found["best"].as_f64().is_some_and(|best| best.min(low.unwrap_or(best)) >= 4.0);
    assert_eq!(code(&output), if holds { 0 } else { 10 }, "{}", said(&output));
    // The probes stand in one row, and those of the killed run are its own, word for word.
    let of_probes = |lines: &[Value]| -> Vec<Value> {
        let starts = lines.iter().filter(|line| line["type"] == "stage_start");
        starts.filter(|line| line["stage"] == "find").cloned().collect()
    };
    let without_seq = |mut line: Value| {
        line.as_object_mut().expect("an object").remove("seq");
        line
    };
    let (old, new) = (of_probes(&earlier), of_probes(&now));
    for (number, probe) in new.iter().enumerate() {
        assert_eq!(probe["load"]["search"]["probe"], number, "{probe:#}");
    }
    for (old, new) in old.into_iter().zip(&new).take(probes) {
        assert_eq!(without_seq(old), without_seq(new.clone()));
    }
    // What came later is later on the clock that both share.
    let began = new[probes]["at_ns"].as_u64().expect("a stamp");
    assert!(new[..probes].iter().all(|probe| probe["at_ns"].as_u64() < Some(began)));
    assert_eq!(count(found, "probes"), new.len() as u64, "{found:#}");
    let fails = found["failed_at"].as_f64().unwrap_or_else(|| panic!("{found:#}"));
    assert!((19.0..=33.0).contains(&fails), "4 at once, 191 ms each: {found:#}");

    // The server was asked for the rest alone: nothing of the ladder, nothing of those probes.
    let told = |stage: &str| {
        let ends: Vec<Value> =
            earlier.iter().filter(|it| it["type"] == "stage_end").cloned().collect();
        let last = ends
            .iter()
            .rfind(|it| it["stage"] == stage)
            .map_or(0, |it| it["seq"].as_u64().unwrap_or(0));
        let until: Vec<Value> =
            earlier.iter().filter(|it| it["seq"].as_u64() <= Some(last)).cloned().collect();
        sent(&until, stage) + sent(&until, &format!("{stage}.settle"))
    };
    let all: usize = ["before", "cold", "find", "find.settle", "find.warmup"]
        .iter()
        .map(|stage| sent(&now, stage))
        .sum();
    assert_eq!(server.truth().len() - before, all - told("before") - told("find"));
    assert_eq!(sent(&now, "cold"), 3, "once in each run");
    // Nobody can tell afterwards that it was two runs.
    let rebuilt = sandbox.run(&["report", shown(&run), "--format", "json"]);
    let rebuilt: Value = serde_json::from_slice(&rebuilt.stdout).expect("JSON");
    assert_eq!(rebuilt["searches"], summary["searches"]);
    assert_eq!(rebuilt["stages"], summary["stages"]);
    for stage in summary["stages"].as_array().expect("stages") {
        let counts = &stage["counts"];
        let parts =
            ["ok", "errors", "cancelled", "dropped_late", "lost_in_flight", "never_started"];
        assert_eq!(
            parts.map(|part| count(counts, part)).iter().sum::<u64>(),
            count(counts, "planned")
        );
    }
    let complete = sandbox.run(&["run", "plan.yaml", "--resume", shown(&run)]);
    assert_eq!(code(&complete), 3, "{}", said(&complete));
    assert!(said(&complete).contains("came to its end"), "{}", said(&complete));
}

#[test]
fn a_ladder_goes_on_with_the_rung_that_was_cut() {
    let server = simulator(64, 1_000.0);
    let ladder = "id: ladder, kind: qps_ladder, rates: \"20,30,40\", step: 1s, max_lag: 5s, \
                  stop_when: [\"ttft.p50 > 9s\"]";
    let sandbox = plan(&server, 2, &[ladder]);
    let killed =
        run_killed(&sandbox, |lines| finished(lines, "ladder") == 1 && sent(lines, "ladder") > 24);
    let before = server.truth().len();
    let output = sandbox.run(&["run", "plan.yaml", "--resume", shown(&killed)]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert_eq!(server.truth().len() - before, 30 + 40);
    assert_eq!(sent(&lines(&new_run(&sandbox, &killed)), "ladder"), 20 + 30 + 40);
}

#[test]
fn what_can_not_be_resumed_is_refused_before_anything_is_sent() {
    let server = simulator(4, 100.0);
    let sandbox = plan(&server, 4, &[BEFORE, SEARCH]);
    let killed = run_killed(&sandbox, |lines| finished(lines, "before") >= 1);
    let before = server.truth().len();
    let refused = |args: &[&str], why: &str| {
        let mut all = vec!["run", "plan.yaml", "--resume"];
        all.extend(args);
        let output = sandbox.run(&all);
        assert_eq!(code(&output), 3, "{}", said(&output));
        assert!(said(&output).contains(why), "{why}: {}", said(&output));
        assert!(said(&output).contains("help: "), "{}", said(&output));
    };
    let run = shown(&killed);
    refused(&["results"], "not a run directory");
    refused(&["nowhere"], "nowhere");
    refused(&[run, "--seed", "99"], "ran another plan: its seed was");
    refused(&[run, "--smoke"], "its flags were none and are `--smoke`");
    refused(&[run, "--exclude", "before"], "are `--exclude before`");
    refused(&["plan.yaml"], "plan.yaml is no directory");
    refused(
        &[run, "--set", "stages.find.step=3s"],
        "ran another plan: `stages[1].step` was \"1s\" and is \"3s\"",
    );
    let manifest = killed.join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, text.replace("simulated-8b", "another-9b")).expect("written");
    let output = sandbox.run(&["run", "plan.yaml", "--resume", run]);
    assert_eq!(code(&output), 4, "{}", said(&output));
    assert!(said(&output).contains("its model was another-9b and is"), "{}", said(&output));
    fs::remove_file(&manifest).expect("removed");
    refused(&[run], "no manifest.json");
    assert_eq!(server.truth().len(), before, "nothing was sent");
    assert_eq!(sandbox.run_dir(), killed, "and no directory was left");
}

#[test]
fn what_is_not_recorded_is_done_again_and_sinks_get_all_that_is_told() {
    let server = simulator(64, 1_000.0);
    let prime = "id: prime, kind: load, concurrency: 2, requests: 6, record: false";
    // More lines than the queue of a sink holds.
    let many = "id: many, kind: load, concurrency: 32, requests: 8000";
    let last = "id: last, kind: load, rate: 5, duration: 6s, max_lag: 5s";
    let sandbox = plan(&server, 2, &[prime, many, last]);
    let killed = run_killed(&sandbox, |lines| sent(lines, "last") > 0);
    let before = server.truth().len();
    let resume = ["run", "plan.yaml", "--resume", shown(&killed)];
    let output = sandbox.run(&[&resume[..], &["--sink", "csv:rows.csv"]].concat());
    // Of 32 users a machine that is busy makes an INVALID run, and that is all that may be wrong with it.
    let is_busy = is_busy(&new_run(&sandbox, &killed));
    assert_eq!(code(&output), if is_busy { 5 } else { 0 }, "{}", said(&output));
    assert!(!said(&output).contains("lost"), "{}", said(&output));
    assert_eq!(server.truth().len() - before, 6 + 30);
    let rows = fs::read_to_string(sandbox.dir.path().join("rows.csv")).expect("rows");
    assert_eq!(rows.lines().filter(|line| line.contains("many")).count(), 8_000);
}
