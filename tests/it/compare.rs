//! `runner compare` as a person runs it, on runs of the simulator and on made-up ones.

use std::fs;
use std::path::PathBuf;

use runner::metrics::compare::evidence::{Collector, Evidence};
use runner::metrics::compare::{Options, Verdict, compare};
use runner::metrics::summary::{RunEnd, RunState};
use runner::record::Line;
use runner::report::compare as view;
use runner::report::html;
use serde_json::Value;

use crate::sandbox::{Sandbox, code, read_json, shown, stderr, text};
use crate::synthetic_run::{HOSTILE, Shape, TYPICAL, lines};

/// A plan whose prefill is as fast as asked.
fn plan(rate: &str) -> String {
    format!(
        "version: 1
name: demo
endpoint: {{ simulator: {{ prefill_rate: {rate}, decode_rate: 500 }} }}
seed: 7
prompt:
  context: {{ from: filler, tokens: 400 }}
  text: Summarize.
  max_tokens: 4
stages:
  - {{ id: cold, kind: cold, requests: 10 }}
  - {{ id: extra_{rate}, kind: cold, requests: 1 }}
"
    )
}

/// Runs the plan with this prefill rate; returns its run directory. Where this machine was too busy to see
/// tokens apart, it is run again.
fn run_of(sandbox: &Sandbox, rate: &str) -> PathBuf {
    let file = format!("{rate}.yaml");
    fs::write(sandbox.dir.path().join(&file), plan(rate)).expect("written");
    for _ in 0..10 {
        let output = sandbox.run(&["run", &file, "--results", rate, "--progress", "none"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let run = sandbox.runs(rate).remove(0);
        let summary = read_json(&run.join("summary.json"));
        if summary["stages"][0]["metrics"]["itl"].is_object() {
            return run;
        }
        fs::remove_dir_all(run).expect("it can be removed");
    }
    panic!("this machine never saw two tokens apart");
}

#[test]
fn a_slower_server_is_worse_in_every_format_and_in_the_exit_code() {
    let sandbox = Sandbox::new();
    let (fast, slow) = (run_of(&sandbox, "8k"), run_of(&sandbox, "3k"));
    let (fast, slow) = (shown(&fast), shown(&slow));

    let output = sandbox.run(&["compare", fast, slow]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = text(&output.stdout);
    for words in ["SIMULATED", "Worse in cold: ", "TTFT p50", "WORSE", "only in the base: extra_8k"]
    {
        assert!(report.contains(words), "{words} in {report}");
    }
    assert!(report.contains("different texts of the plan"), "{report}");

    let output = sandbox.run(&["compare", fast, slow, "--metric", "itl"]);
    let report = text(&output.stdout);
    assert!(report.contains("ITL p50") && !report.contains("TTFT"), "{report}");

    let output = sandbox.run(&["compare", fast, slow, "--format", "json", "--fail-on", "worse"]);
    assert_eq!(code(&output), 10);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let ttft = &found["comparisons"][0]["stages"][0]["differences"][0];
    assert_eq!((&ttft["metric"], &ttft["verdict"]), (&"ttft".into(), &"worse".into()), "{ttft}");
    let low = ttft["ratio"]["low"].as_f64().expect("an interval");
    assert!(low > 1.2, "{low}");

    // The other way round it is better, and that is no failure.
    let output = sandbox.run(&["compare", slow, fast, "--fail-on", "worse"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));

    // A summary finds its records beside it; a copy of it has figures and nothing to test.
    let beside = format!("{fast}/summary.json");
    let output = sandbox.run(&["compare", &beside, slow, "--format", "markdown"]);
    assert!(text(&output.stdout).starts_with("## ❌ WORSE"), "{}", text(&output.stdout));
    let copy = sandbox.dir.path().join("copy.json");
    fs::copy(&beside, &copy).expect("copied");
    let output = sandbox.run(&["compare", shown(&copy), slow, "--fail-on", "worse"]);
    assert_eq!(code(&output), 5, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("only a summary"), "{}", text(&output.stdout));

    let page = sandbox.dir.path().join("page.html");
    let output =
        sandbox.run(&["compare", fast, slow, fast, "--format", "html", "-o", shown(&page)]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    let page = fs::read_to_string(page).expect("written");
    assert!(page.contains("3 runs compared") && page.contains("TTFT of cold"), "{page}");
    let output = sandbox.run(&["compare", fast, slow, "--format", "svg"]);
    assert!(text(&output.stdout).starts_with("<svg") || text(&output.stdout).starts_with("<?xml"));
}

#[test]
fn what_is_no_run_is_told() {
    let sandbox = Sandbox::new();
    let folder = sandbox.dir.path().join("folder");
    fs::create_dir(&folder).expect("made");
    let notes = sandbox.dir.path().join("notes.txt");
    fs::write(&notes, "hello\n").expect("written");
    let broken = sandbox.dir.path().join("broken.json");
    fs::write(&broken, "{}").expect("written");
    for (args, message) in [
        (vec!["compare", "nowhere", "nowhere"], "No such file"),
        (vec!["compare", shown(&folder), shown(&folder)], "it is not a run directory"),
        (vec!["compare", shown(&notes), shown(&notes)], "no line of a record log"),
        (vec!["compare", shown(&broken), shown(&broken)], "not the summary of a run"),
        (vec!["compare", "a", "b", "--metric", "latency"], "choose of ttft"),
        (vec!["compare", "a", "b", "--min-effect", "0%"], "above 0 %"),
        (vec!["compare", "a", "b", "--percentiles", "100"], "between 0 and 100"),
        (vec!["compare", "a"], "required"),
    ] {
        let output = sandbox.run(&args);
        let errors = stderr(&output);
        assert_eq!(code(&output), 2, "{args:?}: {errors}");
        assert!(errors.contains(message), "{args:?}: {errors}");
    }
}

fn both<'a>(base: &'a Evidence, new: &'a Evidence) -> [view::Arm<'a>; 2] {
    [base, new].map(|run| view::Arm { run, cell: None })
}

/// A made-up run whose answers take `slower` times as long.
fn evidence(name: &str, shape: Shape, slower: f64) -> Evidence {
    let mut collector = Collector::new(&Options::default().metrics);
    lines(shape, &mut |mut line| {
        if let Line::End(record) = &mut line {
            let sent = record.sent_ns.unwrap_or(0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "milliseconds after a start"
            )]
            let later = |at: u64| sent + (at.saturating_sub(sent) as f64 * slower) as u64;
            record.first_token_ns = record.first_token_ns.map(later);
            record.last_token_ns = record.last_token_ns.map(later);
        }
        collector.line(&line);
    });
    collector.finish(name.to_owned(), None, &RunEnd::new(RunState::Finished))
}

#[test]
fn a_page_compares_ladders_too_and_shows_hostile_text_as_text() {
    let base = evidence("base", TYPICAL, 1.0);
    let new = evidence("new", TYPICAL, 1.1);
    let found = compare(&base, &new, &Options::default());
    assert_eq!(found.verdict, Verdict::Worse);
    assert_eq!(found.stages.len(), 3 + 8);
    let shown = view::compose(std::slice::from_ref(&found), &both(&base, &new));
    let page = html::comparison(&shown).expect("a page");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("comparison.html"), &page).expect("written");
    for words in ["What changed", "TTFT of warm", "Throughput of ladder", "Wilcoxon"] {
        assert_eq!(page.contains(words), words != "Wilcoxon", "{words}");
    }
    assert!(page.len() < 1_000_000, "{}", page.len());

    let hostile = Shape { hostile: true, ..TYPICAL };
    let (base, new) = (evidence(HOSTILE, hostile, 1.0), evidence(HOSTILE, hostile, 1.0));
    let found = compare(&base, &new, &Options::default());
    let shown = view::compose(std::slice::from_ref(&found), &both(&base, &new));
    let page = html::comparison(&shown).expect("a page");
    assert_eq!((page.matches("<script").count(), page.matches("<img").count()), (2, 0));
    let markdown = view::markdown(&shown);
    for live in ["<img", "<script", "](javascript:", "@team", "\u{1b}"] {
        assert!(!markdown.contains(live), "{live}");
    }
    let plain = view::text(&shown, runner::report::look::Look::PLAIN);
    assert!(!plain.contains(['\u{1b}', '\u{202e}']), "{plain}");
}

/// Two models of one server, one slower than the other, asked in turns.
const AB: &str = "\
version: 1
name: ab
params:
  model: { type: string, default: small }
matrix:
  interleave: true
  model: [small, large]
endpoints:
  small: { simulator: { model: small, prefill_rate: 8k, decode_rate: 500 } }
  large: { simulator: { model: large, prefill_rate: 3k, decode_rate: 500 } }
endpoint: ${model}
seed: 7
prompt:
  context: { from: filler, tokens: 300 }
  text: Summarize.
  max_tokens: 4
stages:
  - { id: cold, kind: cold, requests: 16 }
  - { id: warm, kind: warm, like: cold }
";

#[test]
fn cells_that_take_turns_are_compared_pair_by_pair() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.dir.path().join("ab.yaml"), AB).expect("written");
    let output = sandbox.run(&["run", "ab.yaml", "--progress", "none"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let runs = fs::read_dir(sandbox.dir.path().join("results/ab")).expect("a folder of runs");
    let mut runs = runs.map(|run| run.expect("readable").path());
    let run = runs.find(|run| run.is_dir() && !run.is_symlink()).expect("a run");

    // What went out: A B, B A, A B, …, one request at a time.
    let log = fs::read_to_string(run.join("records-000001.jsonl")).expect("a log");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let cold = |line: &&Value| line["stage"] == "cold";
    let starts: Vec<(String, u64)> = lines
        .iter()
        .filter(cold)
        .filter(|line| line["type"] == "start")
        .map(|line| (line["cell"].to_string(), line["index"].as_u64().expect("a number")))
        .collect();
    assert_eq!(starts.len(), 32);
    for (place, (cell, index)) in starts.iter().enumerate() {
        let (round, step) = (place as u64 / 2, place % 2);
        let first = round.is_multiple_of(2) == (step == 0);
        assert_eq!((*index, cell.contains("small")), (round, first), "{starts:?}");
    }
    let ends = lines.iter().filter(cold).filter(|line| line["type"] == "end");
    let mut spans: Vec<(u64, u64)> = ends
        .map(|end| (end["sent_ns"].as_u64().expect("sent"), end["end_ns"].as_u64().expect("over")))
        .collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");

    let output = sandbox.run(&["compare", shown(&run), "--ab", "--format", "json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = &found["comparisons"][0];
    assert_eq!((&found["verdict"], &found["method"]["paired"]), (&"worse".into(), &true.into()));
    let ttft = &found["stages"][0]["differences"][0];
    assert_eq!((&ttft["verdict"], &ttft["base_samples"]), (&"worse".into(), &16.into()), "{ttft}");
    let output = sandbox.run(&["compare", shown(&run), "--ab"]);
    let report = text(&output.stdout);
    assert!(report.contains("base  model=small") && report.contains("Worse in cold"), "{report}");
    assert!(!report.contains("one after the other"), "{report}");

    let alone = run_of(&sandbox, "8k");
    let output = sandbox.run(&["compare", shown(&alone), "--ab"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("has 0 cells"), "{}", stderr(&output));
}

#[test]
fn cells_that_never_take_turns_are_not_told_to() {
    let sandbox = Sandbox::new();
    sandbox.plan(
        "version: 1\nendpoint: { simulator: { overhead: 0ms } }\nparams: { docs: { type: int, default: 8 } }\n\
         matrix: { interleave: true, docs: [8, 16] }\n\
         prompt: { text: \"quay {{ i }} of ${docs}\", max_tokens: 2 }\n\
         stages: [{ id: users, kind: load, concurrency: 2, requests: 40 }]\n",
    );
    let validated = sandbox.run(&["validate", "plan.yaml"]);
    let said = text(&validated.stdout) + &stderr(&validated);
    assert!(said.contains("those of `users`, of kind `load`, run one after the other"), "{said}");
    let _code = sandbox.run(&["run", "plan.yaml"]);
    let output = sandbox.run(&["compare", shown(&sandbox.run_dir()), "--ab"]);
    let report = text(&output.stdout);
    assert!(report.contains("one after the other"), "{report}");
    assert!(report.contains("`load` never take turns"), "{report}");
    assert!(!report.contains("interleave: true"), "{report}");
}
