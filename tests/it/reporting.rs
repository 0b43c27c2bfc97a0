//! `runner report` in all its forms, the page that a run leaves, and `runner history`.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::sandbox::{Sandbox, code, shown, stderr, text};

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

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plan(PLAN);
    sandbox
}

/// Runs the plan; returns the directory of the new run.
fn new_run(sandbox: &Sandbox, args: &[&str]) -> PathBuf {
    let before = sandbox.runs("results");
    let output =
        sandbox.run(&[["run", "plan.yaml", "--progress", "none"].as_slice(), args].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    sandbox.runs("results").into_iter().find(|run| !before.contains(run)).expect("a new run")
}

#[test]
fn a_run_leaves_a_page_and_report_makes_it_again_in_any_format() {
    let sandbox = sandbox();
    let run = new_run(&sandbox, &[]);
    let page = fs::read_to_string(run.join("report.html")).expect("a page");
    for words in ["What the cache buys.", "Simulated.", "stage-warm", "embedded simulator"] {
        assert!(page.contains(words), "{words}");
    }
    let again = sandbox.run(&["report", shown(&run), "--format", "html"]);
    assert_eq!((text(&again.stdout), again.status.code()), (page, Some(0)));
    for (format, start) in [("markdown", "## "), ("svg", "<"), ("json", "{"), ("text", "demo")] {
        let output = sandbox.run(&["report", shown(&run), "--format", format]);
        assert!(text(&output.stdout).starts_with(start), "{format}: {}", text(&output.stdout));
        let file = sandbox.dir.path().join(format!("out.{format}"));
        let to_file = ["report", shown(&run), "--format", format, "--output", shown(&file)];
        let written = sandbox.run(&to_file);
        assert!(written.stdout.is_empty(), "{format}");
        assert_eq!(fs::read(&file).expect("written"), output.stdout, "{format}");
    }
    let png = sandbox.run(&["report", shown(&run), "--format", "png"]);
    assert!(png.stdout.starts_with(b"\x89PNG"));

    let sinks = ["--sink", "csv:again.csv", "--sink", "junit:again.xml", "--format", "none"];
    let output = sandbox.run(&[&["report", shown(&run)], sinks.as_slice()].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let rows = fs::read_to_string(sandbox.dir.path().join("again.csv")).expect("written");
    assert_eq!(rows.lines().count(), 1 + 14, "{rows}");
    assert!(sandbox.dir.path().join("again.xml").is_file());

    let bare = new_run(&sandbox, &["--no-report"]);
    assert!(!bare.join("report.html").exists());
    let output = sandbox.run(&["report", shown(&bare), "--format", "none", "--write"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert!(bare.join("report.html").is_file());
}

#[test]
fn an_interrupted_run_is_reported_from_what_was_recorded() {
    let sandbox = sandbox();
    let run = new_run(&sandbox, &[]);
    // What a killed process leaves: records cut in the middle of a line, and a manifest that says it
    // runs.
    let log = run.join("records-000001.jsonl");
    let records = fs::read(&log).expect("a log");
    fs::write(&log, &records[..records.len() * 2 / 3]).expect("cut");
    for gone in ["summary.json", "summary.csv", "report.html", "manifest.json"] {
        fs::remove_file(run.join(gone)).expect("removed");
    }
    let output = sandbox.run(&["report", shown(&run), "--format", "html"]);
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    let page = text(&output.stdout);
    assert!(page.contains("process died") && page.contains("INCOMPLETE"), "{page}");
}

/// The heads of the columns of a report.
fn heads(output: &Output) -> String {
    let said = text(&output.stdout);
    said.lines().find(|line| line.starts_with("  stage ")).expect("a table").to_owned()
}

#[test]
fn percentiles_of_the_table_are_chosen() {
    let sandbox = sandbox();
    let run = new_run(&sandbox, &[]);
    let output = sandbox.run(&["report", shown(&run), "--percentiles", "10,50,99.9"]);
    let table = heads(&output);
    for head in ["TTFT p10", "p50", "p99.9", "E2E p10"] {
        assert!(table.contains(head), "{head} in {table}");
    }
    assert!(!table.contains("p95"), "{table}");

    let output = sandbox.run(&["run", "plan.yaml", "--percentiles", "50,99.9"]);
    let table = heads(&output);
    assert!(table.contains("p99.9") && !table.contains("p95"), "{table}");
    let json = ["run", "plan.yaml", "--percentiles", "50", "--output-format", "json"];
    let output = sandbox.run(&json);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn another_tools_definitions_are_named_before_its_figures() {
    let sandbox = sandbox();
    let run = new_run(&sandbox, &[]);
    let output = sandbox.run(&["report", shown(&run), "--definitions", "guidellm"]);
    let report = text(&output.stdout);
    let head = report.find("DEFINITIONS OF guidellm").expect("named");
    assert!(head < report.find("time_per_output_token_ms").expect("a figure"), "{report}");
    assert!(report.contains("the first token's time is in it"), "{report}");

    let json = ["report", shown(&run), "--definitions", "vllm", "--format", "json"];
    let found: Value = serde_json::from_slice(&sandbox.run(&json).stdout).expect("JSON");
    assert_eq!(found["definitions"], "vllm");
    assert_eq!(found["stages"][1]["completed"], 7);
    assert_eq!(found["stages"][1]["figures"][0]["name"], "ttft_ms");

    for format in ["markdown", "html"] {
        let args = ["report", shown(&run), "--definitions", "llmperf", "--format", format];
        let document = text(&sandbox.run(&args).stdout);
        let head = document.find("Under the definitions of llmperf").expect("named");
        let figure = document.rfind("end_to_end_latency_s").or(document.rfind("end\\_to\\_end"));
        assert!(head < figure.expect("a figure"), "{document}");
        assert!(document.contains("end of the stream - sent"), "{document}");
    }

    for (args, message) in [
        (vec!["--definitions", "vllmm"], "choose of vllm, sglang"),
        (vec!["--definitions", "vllm", "--format", "svg"], "text, json, markdown or html"),
        (vec!["--percentiles", "50", "--format", "json"], "use `--format text`"),
        (vec!["--sink", "prometheus:127.0.0.1:9464"], "nothing is left to serve"),
        (vec!["--sink", "prometheus:9464"], "neither an address nor a URL"),
        (vec!["--sink", "otlp:somewhere"], "is no HTTP URL"),
        (vec!["--sink", "parquet:-"], "can't go to standard output"),
        (vec!["--sink", "csv:-"], "both want standard output"),
        (vec!["--sink", "csv:a", "--sink", "jsonl:a"], "two sinks write to `a`"),
        (vec!["--sink", "csv:"], "has no target"),
        (vec!["--sink", "cvs:x"], "no sink is called `cvs`"),
        (vec!["--percentiles", "0"], "between 0 and 100"),
    ] {
        let output = sandbox.run(&[&["report", shown(&run)], args.as_slice()].concat());
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}

#[test]
fn history_shows_a_metric_over_runs() {
    let sandbox = sandbox();
    for _ in 0..3 {
        new_run(&sandbox, &[]);
    }
    let output = sandbox.run(&["history"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let table = text(&output.stdout);
    assert!(table.starts_with("demo: ttft.p50, lower is better"), "{table}");
    assert_eq!(table.matches("pass, simulated").count(), 3, "{table}");
    assert!(table.contains("on the run before"), "{table}");

    let json =
        ["history", "results", "--stage", "warm", "--metric", "error_rate", "--format", "json"];
    let found: Value = serde_json::from_slice(&sandbox.run(&json).stdout).expect("JSON");
    assert_eq!(found[0]["stages"], serde_json::json!(["warm"]));
    assert_eq!(found[0]["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(found[0]["runs"][2]["values"], serde_json::json!([0.0]));

    // A run that died, and one whose summary is broken.
    fs::remove_file(sandbox.runs("results")[1].join("summary.json")).expect("it is there");
    let output = sandbox.run(&["history"]);
    assert!(stderr(&output).contains("left out, it has no summary.json"), "{}", stderr(&output));
    fs::write(sandbox.runs("results")[0].join("summary.json"), "{").expect("broken");
    let output = sandbox.run(&["history"]);
    assert!(stderr(&output).contains("warning: "), "{}", stderr(&output));
    for (args, message) in [
        (vec!["--metric", "latency"], "choose of ttft"),
        (vec!["--metric", "ttft.p75"], "summaries keep"),
        (vec!["--stage", "hot"], "no run has ttft.p50 of a stage `hot`"),
        (vec!["--plan", "other"], "no run of a plan `other` has ttft.p50"),
        (vec!["nowhere"], "No such file"),
    ] {
        let output = sandbox.run(&[&["history"], args.as_slice()].concat());
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}
