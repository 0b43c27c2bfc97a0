//! Checks that end a stage early, and checks against an earlier run, as a person meets them.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, code, stage, stderr};

/// A sandbox with this plan in it.
fn sandbox_with(plan: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plan(plan);
    sandbox
}

/// Runs the plan; returns the exit code with the summary.
fn run(sandbox: &Sandbox, more: &[&str]) -> (i32, Value) {
    let args = [["run", "plan.yaml", "--output-format", "json"].as_slice(), more].concat();
    let output = sandbox.run(&args);
    let summary =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    (code(&output), summary)
}

const HEAD: &str = "\
version: 1
endpoint: { simulator: { prefill_rate: 100k, decode_rate: 500, FAULTS } }
prompt: { text: Say hello., max_tokens: 2 }
stages:
  - id: asked
    kind: warm
    requests: 60
";

fn plan(faults: &str, more: &str) -> String {
    format!("{}{more}", HEAD.replace("FAULTS", faults))
}

#[test]
fn abort_ends_the_stage_and_fails_the_run() {
    let plan = plan(
        "faults: [{ from: 3, count: 100, status: 500 }]",
        "    abort:\n      - { check: error_rate > 20%, min_samples: 5 }\n",
    );
    let (code, summary) = run(&sandbox_with(&plan), &[]);
    let stage = &summary["stages"][0];
    assert_eq!(code, 5, "{stage:#}");
    assert_eq!(stage["state"], "failed");
    let reason = stage["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("aborted: `error_rate > 20%` holds"), "{reason}");
    let counts = |key: &str| stage["counts"][key].as_u64().expect("a count");
    assert!(counts("never_started") > 20, "{stage:#}");
    let all = ["ok", "errors", "cancelled", "never_started"].map(counts);
    assert_eq!(all.iter().sum::<u64>(), 60);
}

#[test]
fn stop_when_ends_the_stage_and_leaves_it_complete() {
    let plan = plan("", "    stop_when: [ttft.count >= 5]\n    thresholds: [error_rate <= 0%]\n");
    let (code, summary) = run(&sandbox_with(&plan), &[]);
    let stage = &summary["stages"][0];
    assert_eq!(code, 0, "{stage:#}");
    assert_eq!(stage["state"], "completed");
    assert!(stage["reason"].as_str().expect("a reason").starts_with("stopped: "));
    assert!(stage["counts"]["never_started"].as_u64().expect("a count") > 20);
}

#[test]
fn a_check_that_never_holds_ends_nothing() {
    let plan = plan("", "    abort: [error_rate > 20%]\n    stop_when: [ttft.p50 > 60s]\n");
    let (code, summary) = run(&sandbox_with(&plan), &[]);
    assert_eq!((code, &summary["stages"][0]["counts"]["ok"]), (0, &60.into()));
}

#[test]
fn a_baseline_is_matched_by_stage_and_judged() {
    let text = plan("", "    thresholds: [ttft.p50 <= baseline + 10%, error_rate <= baseline]\n");
    let sandbox = sandbox_with(&text.replace("requests: 60", "requests: 4"));
    let refused = sandbox.run(&["run", "plan.yaml"]);
    let said = stderr(&refused);
    assert_eq!(code(&refused), 3, "{said}");
    assert!(said.contains("E065") && said.contains("--baseline RUN"), "{said}");
    assert!(!sandbox.dir.path().join("results").exists(), "nothing was sent");
    // Valid all the same: the baseline is a matter of running.
    assert_eq!(code(&sandbox.run(&["validate", "plan.yaml"])), 0);

    // A first run without the checks gives the baseline.
    let free = sandbox_with(&plan("", "").replace("requests: 60", "requests: 4"));
    let (_, mut summary) = run(&free, &[]);
    let slow = summary["stages"][0]["metrics"]["ttft"]["p50"].as_f64().expect("a TTFT") * 50.0;
    summary["stages"][0]["metrics"]["ttft"]["p50"] = slow.into();
    fs::write(sandbox.dir.path().join("old.json"), summary.to_string()).expect("a baseline");
    let (exit, judged) = run(&sandbox, &["--baseline", "old.json"]);
    assert_eq!(exit, 0, "{:#}", judged["stages"][0]["thresholds"]);
    let reason = judged["stages"][0]["thresholds"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("baseline (") && reason.contains("+ 10 %"), "{reason}");

    summary["stages"][0]["metrics"]["ttft"]["p50"] = 0.001.into();
    fs::write(sandbox.dir.path().join("old.json"), summary.to_string()).expect("a baseline");
    assert_eq!(run(&sandbox, &["--baseline", "old.json"]).0, 10);

    summary["stages"][0]["id"] = "other".into();
    fs::write(sandbox.dir.path().join("old.json"), summary.to_string()).expect("a baseline");
    let refused = sandbox.run(&["run", "plan.yaml", "--baseline", "old.json"]);
    assert_eq!(code(&refused), 3);
    let said = stderr(&refused);
    assert!(
        said.contains("has no stage `asked`") && said.contains("stages there: other"),
        "{said}"
    );
    let missing = sandbox.run(&["run", "plan.yaml", "--baseline", "none.json"]);
    assert_eq!(code(&missing), 3);
}

#[test]
fn no_data_fails_unless_the_plan_allows_it() {
    let silent = "report_cached_tokens: false";
    let check = |allow: bool| {
        let more = format!(
            "    thresholds:\n      - {{ check: cached_tokens.p50 >= 0, allow_no_data: {allow} }}\n"
        );
        let text = plan(silent, &more).replace("requests: 60", "requests: 3");
        run(&sandbox_with(&text), &[])
    };
    let (code, summary) = check(false);
    let reason = summary["stages"][0]["thresholds"][0]["reason"].clone();
    assert_eq!(code, 10, "{summary:#}");
    assert!(reason.as_str().expect("a reason").starts_with("no data: "), "{reason}");
    let (code, summary) = check(true);
    let reason = summary["stages"][0]["thresholds"][0]["reason"].clone();
    assert_eq!(code, 0, "{summary:#}");
    assert!(reason.as_str().expect("a reason").ends_with("the plan allows that"), "{reason}");
}

#[test]
fn over_judges_the_worst_stretch_and_not_the_whole() {
    // A fifth of the requests fail, all of them in the middle: over the whole stage few enough.
    let text = plan(
        "faults: [{ from: 24, count: 12, status: 500 }]",
        "    thresholds:\n      - error_rate <= 30%\n      - { check: error_rate <= 30%, over: 60ms }\n",
    );
    let (code, summary) =
        run(&sandbox_with(&text.replace("decode_rate: 500", "decode_rate: 200")), &[]);
    let checks = &summary["stages"][0]["thresholds"];
    assert_eq!(code, 10, "{checks:#}");
    assert_eq!((&checks[0]["pass"], &checks[1]["pass"]), (&true.into(), &false.into()));
    let reason = checks[1]["reason"].as_str().expect("a reason");
    assert!(reason.contains("in the worst 60 ms, "), "{reason}");
}

const TWO: &str = "\
version: 1
matrix: { slow: [10k, 1k] }
endpoint:
  simulator: { prefill_rate: \"${slow}\", decode_rate: 1k, jitter: 0, cache_tokens: 0 }
prompt: { text: \"Say ${slow}.\", context: { from: filler, tokens: 200 }, max_tokens: 2 }
stages:
  - { id: before, kind: cold, requests: 3 }
  - { id: after, kind: warm, like: before, requests: 40, LIVE }
";

#[test]
fn live_checks_compare_with_stages_measured_before_in_the_same_cell() {
    let states = |live: &str| {
        let (code, summary) = run(&sandbox_with(&TWO.replace("LIVE", live)), &[]);
        let stages = summary["stages"].as_array().expect("stages").clone();
        let of = |index: usize| {
            let stage: &Value = &stages[index];
            format!("{} {}", stage["state"], stage["reason"])
        };
        (code, of(1), of(3))
    };
    // Nothing is cached, so after is as slow as before: in both cells more than half of it.
    let (code, first, second) = states("abort: [ttft.p50 > 0.5 * before.ttft.p50]");
    assert_eq!(code, 5);
    for stage in [first, second] {
        assert!(
            stage.starts_with("\"failed\"") && stage.contains("0.5 × before.ttft.p50"),
            "{stage}"
        );
    }
    let (code, first, second) = states("abort: [ttft.p50 > 50 * before.ttft.p50]");
    assert_eq!(
        (code, first.as_str(), second.as_str()),
        (0, "\"completed\" null", "\"completed\" null")
    );
    // Only the slow cell takes longer than this.
    let (_, first, second) = states("stop_when: [ttft.p50 > 100ms]");
    assert_eq!(first, "\"completed\" null");
    assert!(second.contains("stopped: "), "{second}");
}

#[test]
fn live_checks_compare_with_a_baseline() {
    let text = plan("", "    abort: [ttft.p50 > baseline + 50%]\n");
    let sandbox = sandbox_with(&text);
    assert_eq!(code(&sandbox.run(&["run", "plan.yaml"])), 3, "none is given");
    let (_, mut summary) = run(&sandbox_with(&plan("", "")), &[]);
    let p50 = summary["stages"][0]["metrics"]["ttft"]["p50"].as_f64().expect("a TTFT");
    for (factor, expected) in [(100.0, 0), (0.001, 5)] {
        summary["stages"][0]["metrics"]["ttft"]["p50"] = (p50 * factor).into();
        fs::write(sandbox.dir.path().join("old.json"), summary.to_string()).expect("a baseline");
        let (exit, judged) = run(&sandbox, &["--baseline", "old.json"]);
        assert_eq!(exit, expected, "{:#}", judged["stages"][0]["reason"]);
    }
    // A smoke run is judged by nothing, so it needs none.
    assert_eq!(code(&sandbox.run(&["run", "plan.yaml", "--smoke"])), 0);
}

#[test]
fn fail_fast_hears_of_checks_that_failed() {
    let text = TWO.replace("LIVE", "thresholds: [ttft.p50 > 1h]");
    let states = |args: &[&str]| {
        let (code, summary) = run(&sandbox_with(&text), args);
        let stages = summary["stages"].as_array().expect("stages").clone();
        let state = |it: &Value| it["state"].as_str().unwrap_or("").to_owned();
        (code, stages.iter().map(state).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(states(&[]), (10, "completed completed completed completed".to_owned()));
    // What was skipped makes the run incomplete.
    let first = "completed completed skipped skipped".to_owned();
    assert_eq!(states(&["--fail-fast"]), (5, first));
}

#[test]
fn fail_fast_hears_of_a_search_that_found_too_little() {
    let text = "\
version: 1
endpoint: { simulator: { prefill_rate: 1M, decode_rate: 500, max_num_seqs: 1 } }
prompt: { text: Say hello., max_tokens: 10 }
stages:
  - { id: users, kind: search, over: concurrency, from: 1, to: 64, requests: 12, confirmations: 1,
      at_least: 50, thresholds: [ttft.p50 < 70ms] }
  - { id: after, kind: warm, requests: 2 }
";
    let (code, summary) = run(&sandbox_with(text), &["--fail-fast"]);
    assert_eq!((code, &stage(&summary, "after")["state"]), (5, &"skipped".into()));
    let why = stage(&summary, "after")["reason"].as_str().expect("a reason").to_owned();
    assert!(why.contains("`users` failed the check `best >= 50`"), "{why}");
    // Probes beyond the limit are how a search goes, and no failed check.
    let (code, summary) = run(&sandbox_with(&text.replace("50,", "1,")), &["--fail-fast"]);
    assert_eq!((code, &stage(&summary, "after")["state"]), (0, &"completed".into()));
}
