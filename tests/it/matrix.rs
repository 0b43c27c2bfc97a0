//! Cells of a matrix: laid out, filtered, run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use runner::graph::Graph;
use runner::plan::{Action, LoadOptions, Plan};
use serde_json::Value;

use crate::load::{load_with, said};
use crate::sandbox::measured;

const TEXT: &str = "version: 1
params: { docs: { type: int, default: 1 } }
matrix:
  model: [a, b]
  docs: 1-4*2
  exclude: [{ model: b, docs: 4 }]
  include: [{ model: c, docs: 9 }]
endpoint: { url: http://127.0.0.1:8000/v1, model: \"${model}\" }
prompt: Say {{ params.docs }}.
stages:
  - { kind: cold, requests: \"${docs}\" }
  - { kind: warm }
thresholds: [warm.ttft.p50 < cold.ttft.p50]
";

fn plan(options: &LoadOptions) -> Plan {
    load_with("plan.yaml", TEXT, options).plan
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.cells.iter().map(|cell| cell.id.as_str()).collect()
}

#[test]
fn cells_are_every_combination_less_what_is_excluded_plus_what_is_included() {
    let plan = plan(&LoadOptions::default());
    assert_eq!(
        ids(&plan),
        [
            "model=a,docs=1",
            "model=a,docs=2",
            "model=a,docs=4",
            "model=b,docs=1",
            "model=b,docs=2",
            "model=c,docs=9"
        ]
    );
    assert_eq!(plan.stages.len(), 12);
    let last = &plan.stages[10..];
    assert!(last.iter().all(|stage| stage.cell_id() == Some("model=c,docs=9")));
    assert_eq!(last[0].endpoint.model.as_deref(), Some("c"));
    let keys: Vec<String> = plan
        .stages
        .iter()
        .map(|stage| match &stage.action {
            Action::Cold(repeat) | Action::Warm(repeat) => repeat.nonce_key.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys[0], keys[1], "warm repeats the cold of its own cell");
    assert_ne!(keys[1], keys[2], "no two cells share a prompt");
    let graph = Graph::build(&plan).expect("no cycle");
    assert_eq!((graph.needs(2), graph.needs(3)), (&[][..], &[2][..]), "no edge between cells");
    assert!(graph.to_mermaid(&plan).contains("subgraph c5[\"model=c,docs=9\"]"));
    assert!(graph.to_dot(&plan).contains("subgraph cluster_5 { label=\"model=c,docs=9\";"));
}

#[test]
fn filters_and_shards_take_a_part_and_leave_its_prompts_alone() {
    let filtered = |pairs: &[(&str, &str)]| LoadOptions {
        matrix: pairs.iter().map(|(a, v)| ((*a).to_owned(), (*v).to_owned())).collect(),
        ..LoadOptions::default()
    };
    let pair = [("docs", "1"), ("docs", "2"), ("model", "b")];
    assert_eq!(ids(&plan(&filtered(&pair))), ["model=b,docs=1", "model=b,docs=2"]);

    let shards: Vec<Plan> = (1..=4)
        .map(|shard| plan(&LoadOptions { shard: Some((shard, 4)), ..LoadOptions::default() }))
        .collect();
    let whole = plan(&LoadOptions::default());
    let mut all: Vec<&str> = shards.iter().flat_map(ids).collect();
    assert_eq!(all.len(), 6);
    all.sort_unstable();
    assert_eq!(all, ids(&whole));
    let second = &shards[1];
    assert_eq!(second.stages[0].key(), whole.stages[2].key());
}

#[test]
fn ten_thousand_cells_resolve_in_seconds_even_unoptimised() {
    let text = TEXT.split("  exclude").next().expect("a head").replace("[a, b]", "1-100");
    let rest = TEXT.split("docs: 9 }]\n").nth(1).expect("a tail");
    let text = format!("{}{rest}", text.replace("1-4*2", "1-100"));
    let began = Instant::now();
    let plan = load_with("plan.yaml", &text, &LoadOptions::default()).plan;
    assert_eq!((plan.cells.len(), plan.stages.len()), (10_000, 20_000));
    Graph::build(&plan).expect("no cycle");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn a_cell_that_is_wrong_is_named() {
    let text = TEXT.replace("docs: 1-4*2", "docs: [0, 1]").replace("docs: 4", "docs: 1");
    let error = runner::plan::load_text("plan.yaml", &text, &LoadOptions::default())
        .expect_err("no requests in some cells");
    assert!(said(&error).contains("in 2 cells"), "{}", said(&error));
}

struct Ran {
    _folder: tempfile::TempDir,
    output: Output,
    directory: PathBuf,
    summary: Value,
}

/// Runs a plan of the repository, or a text, in a folder of its own.
fn run(plan: &Path, args: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let output = measured(folder.path(), || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(folder.path()).env_clear().arg("run").arg(plan).args(args);
        command.output().expect("runner starts")
    });
    let only = |path: &Path| {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
            .map(|entry| entry.expect("readable").path())
            .collect();
        assert_eq!(entries.len(), 1);
        entries.remove(0)
    };
    let directory = only(&only(&folder.path().join("results")));
    let summary = fs::read(directory.join("summary.json")).expect("a summary");
    let summary = serde_json::from_slice(&summary).expect("JSON");
    Ran { _folder: folder, output, directory, summary }
}

fn scenario(name: &str, args: &[&str]) -> Ran {
    run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name), args)
}

#[test]
fn the_context_sweep_runs_cell_by_cell_on_the_simulator() {
    let ran = scenario("context-sweep.yaml", &["-p", "lengths=500,4k", "-p", "docs=2"]);
    assert_eq!(
        ran.output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ran.output.stderr)
    );
    let stages = ran.summary["stages"].as_array().expect("stages");
    let seen: Vec<(&str, &str)> = stages
        .iter()
        .map(|it| (it["id"].as_str().expect("an id"), it["cell"].as_str().expect("a cell")))
        .collect();
    let (short, long) = ("context_tokens=500", "context_tokens=4000");
    assert_eq!(seen, [("cold", short), ("warm", short), ("cold", long), ("warm", long)]);
    let p50 = |index: usize| stages[index]["metrics"]["ttft"]["p50"].as_f64().expect("a TTFT");
    assert!(p50(2) > 2.0 * p50(0), "a longer document takes longer: {} {}", p50(0), p50(2));
    let records = fs::read_to_string(ran.directory.join("records-000001.jsonl")).expect("a log");
    let lines: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for kind in ["stage_start", "start", "end", "stage_end"] {
        let of_kind = lines.iter().filter(|line| line["type"] == kind);
        assert!(of_kind.clone().count() > 0, "{kind}");
        assert!(of_kind.into_iter().all(|line| line["cell"].is_string()), "{kind}");
    }
    let manifest = fs::read(ran.directory.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["cells"], serde_json::json!([short, long]));
}

#[test]
fn the_model_comparison_asks_each_model() {
    let ran = scenario("model-comparison.yaml", &["-p", "requests=2"]);
    assert_eq!(
        ran.output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ran.output.stderr)
    );
    let stages = ran.summary["stages"].as_array().expect("stages");
    let asked: Vec<&str> = stages
        .iter()
        .filter(|stage| stage["id"] == "ask")
        .map(|stage| stage["model"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(asked, ["simulated-small", "simulated-large"]);
}

#[test]
fn one_failed_cell_leaves_the_others_alone_unless_fail_fast() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let text = "version: 1
matrix: { bad: [true, false] }
endpoint:
  simulator: { model: \"m-${bad}\", faults: [{ from: 1, count: 100, crash: \"${bad}\" }] }
prompt: { text: Hello., max_tokens: 1 }
stages: [{ kind: cold, requests: 2 }, { kind: warm }]
";
    let text = text.replace(", crash: \"${bad}\" }]", ", crash: true }]");
    // The first cell's simulator dies at its first request, the second cell's never.
    let text = text.replace("from: 1, count: 100", "from: \"${from}\", count: 1");
    let text =
        text.replace("{ bad: [true, false] }", "{ from: [1, 1000] }").replace("${bad}", "${from}");
    fs::write(&plan, text).expect("written");
    let states = |args: &[&str]| -> Vec<String> {
        let ran = run(&plan, args);
        assert_eq!(ran.output.status.code(), Some(5));
        let stages = ran.summary["stages"].as_array().expect("stages").clone();
        stages.iter().map(|it| it["state"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(states(&[]), ["failed", "skipped", "completed", "completed"]);
    assert_eq!(states(&["--fail-fast"]), ["failed", "skipped", "skipped", "skipped"]);
}
