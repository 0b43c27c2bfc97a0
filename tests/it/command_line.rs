//! Every flag of `run` changes the plan, or is an error, or is known to be about output only.

use std::fs;
use std::process::{Command, Output};

use clap::CommandFactory;
use runner::cli::Cli;
use runner::plan::{self, LoadOptions, Plan};
use serde_json::Value;

use crate::load::{load_with, repeat};

/// Flags that say where the report goes and how it looks, never what is asked or judged.
const ABOUT_OUTPUT: &[&str] = &["output-format", "progress", "color", "verbose", "help", "version"];

/// Flags that change the walk over the same plan; `matrix.rs` runs them.
const ABOUT_THE_WALK: &[&str] = &["fail-fast"];

/// Flags that only `run` has and that change what `runner plan` prints through other doors.
/// (`gates.rs` runs `--baseline`.)
const ABOUT_TARGETS: &[&str] = &["results", "sink", "baseline"];

const TEXT: &str = "version: 1
params: { docs: { type: int, default: 2 } }
matrix: { size: [1, 2] }
endpoint: http://127.0.0.1:8000/v1
prompt: \"Say ${size}.\"
stages:
  - { kind: cold, requests: \"${docs}\", tags: [fast] }
  - { id: warm, kind: warm }
  - { id: last, kind: cold, needs: [warm] }
";

/// A value for each flag that changes the plan above.
const CHANGES: &[(&str, &[&str])] = &[
    ("param", &["--param", "docs=3"]),
    ("params-file", &["--params-file", "values.yaml"]),
    ("set", &["--set", "stages.warm.concurrency=2"]),
    ("select", &["--select", "+warm"]),
    ("exclude", &["--exclude", "tag:fast"]),
    ("smoke", &["--smoke"]),
    ("matrix", &["--matrix", "size=2"]),
    ("shard", &["--shard", "1/2"]),
    ("endpoint", &["--endpoint", "http://127.0.0.1:9000/v1"]),
    ("seed", &["--seed", "9"]),
];

fn runner(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("plan.yaml"), TEXT).expect("written");
    fs::write(folder.path().join("values.yaml"), "docs: 5\n").expect("written");
    Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder.path())
        .env_clear()
        .args(["plan", "plan.yaml", "--format", "json"])
        .args(args)
        .output()
        .expect("runner starts")
}

fn document(args: &[&str]) -> Value {
    let output = runner(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_flag_of_run_changes_the_plan_or_is_about_output() {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").expect("run is there");
    let plain = document(&[]);
    for flag in run.get_arguments().filter_map(|argument| argument.get_long()) {
        if let Some((_, args)) = CHANGES.iter().find(|(name, _)| *name == flag) {
            assert_ne!(document(args), plain, "--{flag} changes nothing");
        } else {
            let known = [ABOUT_OUTPUT, ABOUT_THE_WALK, ABOUT_TARGETS].concat();
            let known = known.contains(&flag) || flag == "allow-outside-root";
            assert!(known, "--{flag}: prove here that it changes the plan");
        }
    }
}

#[test]
fn a_flag_that_would_do_nothing_is_an_error_with_its_own_exit_code() {
    let code = |args: &[&str]| runner(args).status.code().unwrap_or(-1);
    for args in [
        &["--select", "wram"][..],
        &["--exclude", "tag:none"],
        &["--select", "cold", "--exclude", "kind:cold"],
        &["--matrix", "size=3"],
        &["--matrix", "sise=1"],
        &["--shard", "3/3"],
    ] {
        assert_eq!(code(args), 11, "{args:?}");
    }
    for args in [&["--shard", "3/2"][..], &["--matrix", "size"], &["--param", "docs"]] {
        assert_eq!(code(args), 2, "{args:?}");
    }
    for args in [&["--param", "dcos=1"][..], &["--set", "sed=1"], &["--params-file", "none.yaml"]] {
        assert_eq!(code(args), 3, "{args:?}");
    }
}

fn with(change: impl FnOnce(&mut LoadOptions)) -> Plan {
    let mut options = LoadOptions::default();
    change(&mut options);
    let text = TEXT.replace("matrix: { size: [1, 2] }\n", "").replace("${size}", "hello");
    load_with("plan.yaml", &text, &options).plan
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.id.as_str()).collect()
}

#[test]
fn selections_follow_the_graph_and_leave_no_gap() {
    let select = |selectors: &[&str]| {
        with(|options| options.select = selectors.iter().map(|it| (*it).to_owned()).collect())
    };
    assert_eq!(ids(&select(&["warm"])), ["warm"]);
    assert_eq!(ids(&select(&["+warm"])), ["cold", "warm"]);
    assert_eq!(ids(&select(&["warm+"])), ["warm", "last"]);
    assert_eq!(ids(&select(&["kind:cold"])), ["cold", "last"]);
    assert_eq!(ids(&select(&["tag:fast", "last"])), ["cold", "last"]);
    let bridged = select(&["cold", "last"]);
    assert_eq!(bridged.stages[1].needs[0].id, "cold", "last waits for what warm waited for");
    let rest = with(|options| options.exclude = vec!["cold".into()]);
    assert!(rest.stages[0].needs.is_empty());
}

#[test]
fn a_smoke_run_sends_one_request_a_stage_and_judges_nothing() {
    let plan = with(|options| options.smoke = true);
    assert!(plan.stages.iter().all(|stage| stage.thresholds.is_empty()));
    for id in ["cold", "warm", "last"] {
        assert_eq!(repeat(&plan, id).requests, 1);
    }
}

#[test]
fn a_two_thousand_line_plan_is_read_quickly() {
    use std::fmt::Write as _;
    let mut text =
        String::from("version: 1\nendpoint: http://127.0.0.1:8000/v1\nprompt: Hi.\nstages:\n");
    for number in 0..500 {
        let _ = writeln!(text, "  - id: s{number}\n    kind: cold\n    requests: 3\n    tags: [a]");
    }
    let began = std::time::Instant::now();
    let loaded = plan::load_text("plan.yaml", &text, &LoadOptions::default()).expect("it loads");
    assert_eq!(loaded.plan.stages.len(), 500);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}
