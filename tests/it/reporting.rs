//! `runner report` in all its forms, the page that a run leaves, and `runner history`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const PLAN: &str = "\
version: 1
name: demo
description: What the cache buys.
endpoint: { simulator: { prefill_rate: 20k, decode_rate: 500 } }
seed: 7
prompt:
  context: { from: filler, tokens: 300 }
  text: Summarize.
  max_tokens: 4
stages:
  - { id: cold, kind: cold, requests: 7 }
  - { id: warm, kind: warm, like: cold }
";

struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().expect("a folder"));
        fs::write(sandbox.0.path().join("plan.yaml"), PLAN).expect("written");
        sandbox
    }

    fn runner(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(self.0.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.args(args).output().expect("runner starts")
    }

    /// Runs the plan; returns the directory of the new run, relative to the sandbox.
    fn run(&self, args: &[&str]) -> PathBuf {
        let before = self.runs();
        let output = self.runner(&[&["run", "plan.yaml", "--progress", "none"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        self.runs().into_iter().find(|run| !before.contains(run)).expect("a new run")
    }

    fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.0.path().join("results/demo")) else {
            return Vec::new();
        };
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.filter(|path| path.is_dir() && !path.is_symlink()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("utf-8")
}

#[test]
fn a_run_leaves_a_page_and_report_makes_it_again_in_any_format() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&[]);
    let page = fs::read_to_string(run.join("report.html")).expect("a page");
    for words in ["What the cache buys.", "Simulated.", "stage-warm", "embedded simulator"] {
        assert!(page.contains(words), "{words}");
    }
    let again = sandbox.runner(&["report", shown(&run), "--format", "html"]);
    assert_eq!((text(&again.stdout), again.status.code()), (page, Some(0)));
    for (format, start) in [("markdown", "## "), ("svg", "<"), ("json", "{"), ("text", "demo")] {
        let output = sandbox.runner(&["report", shown(&run), "--format", format]);
        assert!(text(&output.stdout).starts_with(start), "{format}: {}", text(&output.stdout));
        let file = sandbox.0.path().join(format!("out.{format}"));
        let to_file = ["report", shown(&run), "--format", format, "--output", shown(&file)];
        let written = sandbox.runner(&to_file);
        assert!(written.stdout.is_empty(), "{format}");
        assert_eq!(fs::read(&file).expect("written"), output.stdout, "{format}");
    }
    let png = sandbox.runner(&["report", shown(&run), "--format", "png"]);
    assert!(png.stdout.starts_with(b"\x89PNG"));

    let sinks = ["--sink", "csv:again.csv", "--sink", "junit:again.xml", "--format", "none"];
    let output = sandbox.runner(&[&["report", shown(&run)], sinks.as_slice()].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows = fs::read_to_string(sandbox.0.path().join("again.csv")).expect("written");
    assert_eq!(rows.lines().count(), 1 + 14, "{rows}");
    assert!(sandbox.0.path().join("again.xml").is_file());

    let bare = sandbox.run(&["--no-report"]);
    assert!(!bare.join("report.html").exists());
    let output = sandbox.runner(&["report", shown(&bare), "--format", "none", "--write"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert!(bare.join("report.html").is_file());
}

#[test]
fn an_interrupted_run_is_reported_from_what_was_recorded() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&[]);
    // What a killed process leaves: records cut in the middle of a line, and a manifest that says it
    // runs.
    let log = run.join("records-000001.jsonl");
    let records = fs::read(&log).expect("a log");
    fs::write(&log, &records[..records.len() * 2 / 3]).expect("cut");
    for gone in ["summary.json", "summary.csv", "report.html", "manifest.json"] {
        fs::remove_file(run.join(gone)).expect("removed");
    }
    let output = sandbox.runner(&["report", shown(&run), "--format", "html"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    let page = text(&output.stdout);
    assert!(page.contains("process died") && page.contains("INCOMPLETE"), "{page}");
}

#[test]
fn percentiles_of_the_table_are_chosen() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&[]);
    let output = sandbox.runner(&["report", shown(&run), "--percentiles", "10,50,99.9"]);
    let table = text(&output.stdout);
    for head in ["TTFT p10", "p50", "p99.9", "E2E p10"] {
        assert!(table.contains(head), "{head} in {table}");
    }
    assert!(!table.contains("p95"), "{table}");
}

#[test]
fn another_tools_definitions_are_named_before_its_figures() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&[]);
    let output = sandbox.runner(&["report", shown(&run), "--definitions", "guidellm"]);
    let report = text(&output.stdout);
    let head = report.find("DEFINITIONS OF guidellm").expect("named");
    assert!(head < report.find("time_per_output_token_ms").expect("a figure"), "{report}");
    assert!(report.contains("the first token's time is in it"), "{report}");

    let json = ["report", shown(&run), "--definitions", "vllm", "--format", "json"];
    let found: Value = serde_json::from_slice(&sandbox.runner(&json).stdout).expect("JSON");
    assert_eq!(found["definitions"], "vllm");
    assert_eq!(found["stages"][1]["completed"], 7);
    assert_eq!(found["stages"][1]["figures"][0]["name"], "ttft_ms");

    for (args, message) in [
        (vec!["--definitions", "vllmm"], "choose of vllm, sglang"),
        (vec!["--definitions", "vllm", "--format", "svg"], "choose --format text or json"),
        (vec!["--sink", "cvs:x"], "no sink is called `cvs`"),
        (vec!["--percentiles", "0"], "between 0 and 100"),
    ] {
        let output = sandbox.runner(&[&["report", shown(&run)], args.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
}

#[test]
fn history_shows_a_metric_over_runs() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        sandbox.run(&[]);
    }
    let output = sandbox.runner(&["history"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.starts_with("demo: ttft.p50, lower is better"), "{table}");
    assert_eq!(table.matches("pass, simulated").count(), 3, "{table}");
    assert!(table.contains("on the run before"), "{table}");

    let json =
        ["history", "results", "--stage", "warm", "--metric", "error_rate", "--format", "json"];
    let found: Value = serde_json::from_slice(&sandbox.runner(&json).stdout).expect("JSON");
    assert_eq!(found[0]["stages"], serde_json::json!(["warm"]));
    assert_eq!(found[0]["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(found[0]["runs"][2]["values"], serde_json::json!([0.0]));

    fs::write(sandbox.runs()[0].join("summary.json"), "{").expect("broken");
    let output = sandbox.runner(&["history"]);
    assert!(text(&output.stderr).contains("warning: "), "{}", text(&output.stderr));
    for (args, message) in [
        (vec!["--metric", "latency"], "choose of ttft"),
        (vec!["--metric", "ttft.p75"], "summaries keep"),
        (vec!["--stage", "hot"], "no run has ttft.p50 of a stage `hot`"),
        (vec!["--plan", "other"], "no run has"),
        (vec!["nowhere"], "No such file"),
    ] {
        let output = sandbox.runner(&[&["history"], args.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
}
