//! Every flag of `run` changes the plan, or the run, or what is said of it: shown for each flag that
//! clap knows, so that a new flag without a case here fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use runner::cli::Cli;
use runner::plan::{self, LoadOptions, Plan};
use serde_json::Value;

use crate::load::{load_with, repeat};
use crate::sandbox::{Sandbox, children, code, measured, stderr, text};

const TEXT: &str = "version: 1
params: { docs: { type: int, default: 2 } }
matrix: { size: [1, 2] }
endpoint: { simulator: { prefill_rate: 100k, decode_rate: 1k } }
prompt: { text: \"Say ${size}.\", max_tokens: 2 }
stages:
  - { kind: cold, requests: \"${docs}\", tags: [fast] }
  - { id: warm, kind: warm, thresholds: [ttft.p50 > 1h] }
  - { id: last, kind: cold, needs: [warm] }
";

/// How a flag shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// `runner plan` prints another plan.
    InThePlan,
    /// The run leaves other files, prints something else or ends with another code.
    InTheRun,
    /// It says something itself.
    AtOnce,
}
use Shows::{AtOnce, InThePlan, InTheRun};

/// A case for every flag.
const CASES: &[(&str, &[&str], Shows)] = &[
    ("param", &["--param", "docs=3"], InThePlan),
    ("params-file", &["--params-file", "values.yaml"], InThePlan),
    ("set", &["--set", "stages.warm.concurrency=2"], InThePlan),
    ("select", &["--select", "+warm"], InThePlan),
    ("exclude", &["--exclude", "tag:fast"], InThePlan),
    ("smoke", &["--smoke"], InThePlan),
    ("matrix", &["--matrix", "size=2"], InThePlan),
    ("shard", &["--shard", "1/2"], InThePlan),
    ("endpoint", &["--endpoint", "http://127.0.0.1:9000/v1"], InThePlan),
    ("seed", &["--seed", "9"], InThePlan),
    ("allow-outside-root", &["--allow-outside-root"], InTheRun),
    ("results", &["--results", "elsewhere"], InTheRun),
    ("baseline", &["--baseline", "old.json"], InTheRun),
    ("require-baseline", &["--require-baseline"], InTheRun),
    ("real", &["--real"], InTheRun),
    ("simulated", &["--simulated"], InTheRun),
    ("heartbeat", &["--heartbeat", "1ms"], InTheRun),
    ("sink", &["--sink", "csv:requests.csv"], InTheRun),
    ("fail-fast", &["--fail-fast"], InTheRun),
    ("output-format", &["--output-format", "json"], InTheRun),
    ("percentiles", &["--percentiles", "50,99.9"], InTheRun),
    ("progress", &["--progress", "none"], InTheRun),
    ("tui", &["--tui"], InTheRun),
    ("no-report", &["--no-report"], InTheRun),
    ("resume", &["--resume", "nowhere"], InTheRun),
    ("color", &["--color", "always"], InTheRun),
    ("verbose", &["-vv"], InTheRun),
    ("help", &["--help"], AtOnce),
    ("version", &["--version"], AtOnce),
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plan(TEXT);
    fs::write(sandbox.dir.path().join("values.yaml"), "docs: 5\n").expect("written");
    sandbox
}

fn document(args: &[&str]) -> Value {
    let output = sandbox().run(&[&["plan", "plan.yaml", "--format", "json"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What a person sees of a run, but for its numbers: the exit code, the names of the files it left,
/// the states of its stages, and how what it prints begins and how long it is.
fn effect(flag: &str, args: &[&str]) -> String {
    let sandbox = sandbox();
    let folder = sandbox.dir.path();
    match flag {
        "baseline" => {
            let free = TEXT.replace(", thresholds: [ttft.p50 > 1h]", "");
            sandbox.plan(&free);
            let first = sandbox.run(&["run", "plan.yaml", "--output-format", "json"]);
            fs::write(folder.join("old.json"), &first.stdout).expect("written");
            sandbox.plan(&free.replace(
                "needs: [warm] }",
                "needs: [warm], thresholds: [error_rate <= baseline] }",
            ));
        }
        "require-baseline" => {
            let check = "needs: [warm], thresholds: [error_rate <= baseline] }";
            sandbox.plan(&TEXT.replace("needs: [warm] }", check));
        }
        "simulated" => {
            let by_default = "endpoints: { local: { simulator: {} } }\nendpoint: ${where}\n";
            let text =
                TEXT.replace("params: {", "params: { where: { type: string, default: local },");
            let literal = "endpoint: { simulator: { prefill_rate: 100k, decode_rate: 1k } }\n";
            sandbox.plan(&text.replace(literal, by_default));
        }
        "allow-outside-root" => {
            fs::create_dir(folder.join("inner")).expect("a folder");
            fs::write(folder.join("rows.jsonl"), "{\"q\": \"hello\"}\n").expect("written");
            let text = TEXT
                .replace("text: \"Say ${size}.\"", "dataset: ../rows.jsonl, text: \"{{ row.q }}\"");
            fs::write(folder.join("inner/plan.yaml"), text.replace("${size}", ""))
                .expect("written");
        }
        _ => {}
    }
    let path = if flag == "allow-outside-root" { "inner/plan.yaml" } else { "plan.yaml" };
    let always: &[&str] = if flag == "require-baseline" { &["--baseline", "latest"] } else { &[] };
    let output = measured(folder, || {
        let mut command = sandbox.runner();
        if flag == "simulated" {
            command.env("CI", "true");
        }
        command.args(["run", path]).args(always).args(args).output().expect("runner starts")
    });
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut files = BTreeSet::new();
    let mut states = String::new();
    walk(folder, "", &mut |name, path| {
        if name.ends_with("summary.json")
            && let Ok(summary) =
                serde_json::from_slice::<Value>(&fs::read(path).unwrap_or_default())
        {
            states = summary["stages"]
                .as_array()
                .into_iter()
                .flatten()
                .fold(String::new(), |all, stage| format!("{all} {}", stage["state"]));
        }
        files.insert(name.to_owned());
    });
    format!(
        "{} {states} {files:?} {:?} {} {} {}",
        code(&output),
        stdout.chars().next(),
        stdout.contains("p99.9"),
        stdout.contains('\u{1b}'),
        stderr(&output).lines().count()
    )
}

/// Every file below a folder, with the folders of runs under one name.
fn walk(folder: &Path, name: &str, found: &mut dyn FnMut(&str, &Path)) {
    for path in children(folder) {
        let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = if own.starts_with("20") { "RUN".to_owned() } else { own };
        let name = format!("{name}/{own}");
        if path.is_dir() && !path.is_symlink() {
            walk(&path, &name, found);
        } else {
            found(&name, &path);
        }
    }
}

#[test]
fn every_flag_of_run_shows_in_the_plan_or_in_the_run() {
    let mut cli = Cli::command();
    cli.build();
    let run = cli.find_subcommand("run").expect("run is there");
    let flags: Vec<&str> = run.get_arguments().filter_map(|it| it.get_long()).collect();
    assert!(flags.len() >= 15, "{flags:?}");
    for (flag, ..) in CASES {
        assert!(flags.contains(flag), "--{flag} is no flag of `run` any more");
    }
    let plain = document(&[]);
    for flag in flags {
        let case = CASES.iter().find(|(name, ..)| *name == flag);
        let Some((_, args, shows)) = case else {
            panic!("--{flag}: show here what it changes");
        };
        match shows {
            InThePlan => assert_ne!(document(args), plain, "--{flag} changes nothing"),
            InTheRun => {
                let (without, with) = (effect(flag, &[]), effect(flag, args));
                assert_ne!(without, with, "--{flag} changes nothing");
            }
            AtOnce => {
                let output = sandbox().run(&[&["run"], *args].concat());
                assert!(output.status.success() && !output.stdout.is_empty(), "--{flag}");
            }
        }
    }
}

#[test]
fn flags_that_change_a_plan_change_it_for_every_command_alike() {
    let cli = Cli::command();
    let of = |name: &str| -> BTreeSet<String> {
        let command = cli.find_subcommand(name).expect("the command is there");
        command.get_arguments().filter_map(|it| it.get_long()).map(str::to_owned).collect()
    };
    let run = of("run");
    for (flag, _, shows) in CASES {
        let all = ["validate", "plan", "params"].map(of);
        if *shows == InThePlan {
            assert!(run.contains(*flag) && all.iter().all(|it| it.contains(*flag)), "--{flag}");
        }
    }
}

#[test]
fn a_flag_that_would_do_nothing_is_an_error_with_its_own_exit_code() {
    let code = |args: &[&str]| code(&sandbox().run(&[&["plan", "plan.yaml"], args].concat()));
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

#[test]
fn a_baseline_that_no_check_reads_is_refused() {
    let sandbox = sandbox();
    sandbox.plan(&TEXT.replace(", thresholds: [ttft.p50 > 1h]", ""));
    let first = sandbox.run(&["run", "plan.yaml", "--output-format", "json"]);
    assert_eq!(code(&first), 0, "{}", stderr(&first));
    fs::write(sandbox.dir.path().join("old.json"), &first.stdout).expect("written");
    let output = sandbox.run(&["run", "plan.yaml", "--baseline", "old.json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("compares with `baseline`"), "{}", stderr(&output));
    assert!(stderr(&output).contains("runner compare BASE NEW"), "{}", stderr(&output));
    // A run is named by its directory, too.
    let free = TEXT.replace("ttft.p50 > 1h", "ttft.p50 <= baseline + 900%");
    sandbox.plan(&free);
    let run = sandbox.run_dir().display().to_string();
    let output = sandbox.run(&["run", "plan.yaml", "--baseline", &run]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // Nor where the only check that does is on a stage that does not run.
    sandbox.plan(&TEXT.replace("ttft.p50 > 1h", "ttft.p50 <= baseline + 900%"));
    let args = ["run", "plan.yaml", "--baseline", "old.json", "--select", "cold"];
    assert_eq!(code(&sandbox.run(&args)), 2);
}

#[test]
fn a_refused_run_leaves_no_folder() {
    let sandbox = Sandbox::new();
    sandbox.plan(
        "version: 1\nendpoint: http://127.0.0.1:9/v1\nprompt: Hi.\nstages: [{ kind: cold }]\n",
    );
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(!sandbox.dir.path().join("results").exists());
}

const ROWS: &str = "version: 1
endpoint: { simulator: {} }
prompt:
  dataset: rows.jsonl
  text: |
    Hello.

    {{ row.question }}
stages:
  - { kind: cold, requests: 2 }
";

#[test]
fn a_template_that_fails_names_the_same_line_before_and_in_a_run() {
    let sandbox = Sandbox::new();
    sandbox.plan(ROWS);
    let rows = |text: &str| {
        fs::write(sandbox.dir.path().join("rows.jsonl"), text).expect("written");
    };
    let refused = |args: &[&str], wanted: i32| {
        let output = sandbox.run(args);
        assert_eq!(code(&output), wanted, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("plan.yaml:8"), "{args:?}: {}", stderr(&output));
    };
    rows("{\"q\": \"a\"}\n{\"q\": \"b\"}\n");
    refused(&["validate", "plan.yaml"], 3);
    refused(&["plan", "plan.yaml", "--request", "cold"], 3);
    // A later row is tried, too, before anything is sent, and no value of it is shown.
    rows("{\"question\": \"a\"}\n{\"q\": \"b\"}\n");
    for command in ["validate", "plan", "run"] {
        let output = sandbox.run(&[command, "plan.yaml"]);
        let said = stderr(&output);
        assert_eq!(code(&output), 3, "{command}: {said}");
        assert!(said.contains("the template fails with row 2: "), "{command}: {said}");
        assert!(said.contains("plan.yaml:8") && !said.contains("\"b\""), "{command}: {said}");
    }
    assert!(sandbox.runs("results").is_empty(), "nothing was sent");

    rows("{\"question\": \"a\"}\n{\"question\": \"b\"}\n");
    let output = sandbox.run(&["plan", "plan.yaml", "--request", "cold", "--index", "2"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("a number from 0 to 1"), "{}", stderr(&output));
}

#[test]
fn a_wrong_selector_is_answered_with_what_there_is() {
    let said = |args: &[&str]| {
        let output = sandbox().run(&[&["plan", "plan.yaml"], args].concat());
        assert_eq!(code(&output), 11, "{args:?}: {}", stderr(&output));
        stderr(&output)
    };
    for (args, words) in [
        (&["--select", "kind:wram"][..], "did you mean `kind:warm`?"),
        (&["--select", "tag:fats"], "did you mean `tag:fast`?"),
        (&["--exclude", "tag:slow"], "tags of this plan: fast"),
        (&["--select", ""], "--select: the selector `` names nothing"),
        (&["--select", "kind:"], "kinds in this plan: cold, warm"),
        (&["--matrix", "size=1,2"], "repeat the flag: `--matrix size=1 --matrix size=2`"),
        (&["--matrix", "size=3"], "values: 1, 2"),
        (&["--select", "cold,warm"], "repeat the flag: `--select cold --select warm`"),
    ] {
        assert!(said(args).contains(words), "{words}\n{}", said(args));
    }
}

#[test]
fn the_axes_of_a_matrix_have_types() {
    let sandbox = Sandbox::new();
    let plan = "version: 1
matrix:
  size: [1, 2]
  rate: \"1,2.5\"
  model: [a, b]
  mixed: [1, b]
  include: [{ size: 9, rate: 4, model: c, mixed: c }]
endpoint: { simulator: {} }
prompt: { text: \"${size} ${rate} ${model} ${mixed}\" }
stages: [{ kind: cold, requests: 1 }]
";
    sandbox.plan(plan);
    let output = sandbox.run(&["params", "plan.yaml", "--format", "json"]);
    let params: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let params = params.as_array().expect("a list");
    let of = |name: &str| params.iter().find(|it| it["name"] == name).expect("the axis");
    for (name, kind) in
        [("size", "int"), ("rate", "float"), ("model", "string"), ("mixed", "string")]
    {
        assert_eq!(of(name)["type"], kind, "{name}");
    }
    // A value of `include` alone is named among those there are.
    let output = sandbox.run(&["plan", "plan.yaml", "--matrix", "size=7"]);
    assert!(stderr(&output).contains("values: 1, 2, 9"), "{}", stderr(&output));

    let output = sandbox.run(&["list", "--format", "json"]);
    let scenarios: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for scenario in scenarios.as_array().expect("a list") {
        let stages = scenario["stages"].as_array().expect("stages");
        let once: BTreeSet<String> = stages.iter().map(Value::to_string).collect();
        assert_eq!(once.len(), stages.len(), "{}", scenario["name"]);
    }
}

#[test]
fn every_command_has_a_man_page_and_completions() {
    let sandbox = Sandbox::new();
    assert_eq!(code(&sandbox.run(&["man", "man1"])), 0);
    let help = text(&sandbox.run(&["--help"]).stdout);
    let commands = help.split("Commands:\n").nth(1).and_then(|it| it.split("\n\n").next());
    let commands: Vec<&str> = commands
        .expect("a list of commands")
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"run") && commands.contains(&"quick"), "{commands:?}");
    let completions = text(&sandbox.run(&["completions", "bash"]).stdout);
    for command in commands.into_iter().filter(|it| *it != "help") {
        let page = sandbox.dir.path().join(format!("man1/runner-{command}.1"));
        let page = std::fs::read_to_string(&page).expect(command);
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
        assert!(completions.contains(&format!("runner__subcmd__{command}")), "{command}");
    }
    std::fs::write(sandbox.dir.path().join("file"), "").expect("a file");
    let output = sandbox.run(&["man", "file"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).starts_with("error: man pages can't be written to file: "));
}
