//! What continuous integration sees: annotations, SARIF, the step's page, and the gate in two hosts.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::sandbox::measured;

/// A folder to run in.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect("the file is there")
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries =
            fs::read_dir(self.0.path()).expect("a folder").map(|it| it.expect("an entry"));
        let mut names: Vec<String> =
            entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Whether any file below it has this text.
    pub(crate) fn holds(&self, text: &str) -> bool {
        fn look(folder: &Path, text: &[u8]) -> bool {
            fs::read_dir(folder).expect("a folder").any(|entry| {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    return look(&path, text);
                }
                let bytes = fs::read(&path).expect("a file");
                bytes.windows(text.len()).any(|part| part == text)
            })
        }
        look(self.0.path(), text.as_bytes())
    }

    pub(crate) fn runner(&self, args: &[&str], github: bool) -> Output {
        measured(self.0.path(), || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
            command.current_dir(self.0.path()).env_clear().env("PATH", "/usr/bin:/bin");
            if github {
                command.env("GITHUB_ACTIONS", "true");
            }
            command.args(args).output().expect("runner starts")
        })
    }
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const FAILING: &str = "version: 1
endpoint: { simulator: { decode_rate: 1k } }
prompt: { text: Say hello., max_tokens: 2 }
stages:
  - kind: cold
    requests: 2
    thresholds:
      - ttft.p50 > 5s
      - { check: e2e.p50 > 5s, level: warn }
";

#[test]
fn failed_thresholds_are_annotated_on_their_own_line() {
    let folder = Folder::new();
    folder.write("plan.yaml", FAILING);
    let output = folder.runner(&["run", "plan.yaml"], true);
    assert_eq!(output.status.code(), Some(10), "{}", err(&output));
    let said = out(&output);
    assert!(
        said.contains("\n::error file=plan.yaml,line=8,col=9,title=threshold failed::"),
        "{said}"
    );
    assert!(said.contains("\n::warning file=plan.yaml,line=9,"), "{said}");

    // A document on standard output stays whole.
    let output = folder.runner(&["run", "plan.yaml", "--output-format", "json"], true);
    serde_json::from_slice::<Value>(&output.stdout).expect("JSON and nothing else");
    assert!(err(&output).contains("::error file=plan.yaml"), "{}", err(&output));
    assert!(!out(&folder.runner(&["run", "plan.yaml"], false)).contains("::error"));
}

#[test]
fn the_step_summary_gets_the_report_below_what_is_there() {
    let folder = Folder::new();
    folder.write("plan.yaml", FAILING);
    folder.write("summary.md", "earlier step\n");
    let path = folder.0.path().join("summary.md");
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.current_dir(folder.0.path()).env("GITHUB_STEP_SUMMARY", &path);
    let output = command.args(["run", "plan.yaml"]).output().expect("runner starts");
    assert_eq!(output.status.code(), Some(10), "{}", err(&output));
    // The colons and brackets of Markdown are spelt out.
    let summary = folder.read("summary.md").replace("&#58;", ":").replace("&gt;", ">");
    assert!(summary.starts_with("earlier step\n"), "{summary}");
    // What was measured, the limit, the samples and the place.
    for part in ["ttft.p50 > 5s", "5 s", "2 samples", "plan.yaml:8:9"] {
        assert!(summary.contains(part), "{part} is not in {summary}");
    }
}

#[test]
fn standard_output_holds_one_document() {
    let folder = Folder::new();
    folder.write("plan.yaml", FAILING);
    let run = |args: &[&str]| folder.runner(&[&["run", "plan.yaml"], args].concat(), true);
    let output = run(&["--sink", "csv:-"]);
    let said = out(&output);
    assert_eq!(csv::Reader::from_reader(said.as_bytes()).records().count(), 2, "{said}");
    assert!(err(&output).contains("FAIL: ") && err(&output).contains("::error file="));

    let output = run(&["--sink", "csv:-", "--output-format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("both want standard output"), "{}", err(&output));
    let output = run(&["--sink", "csv:-", "--sink", "jsonl:-"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn problems_of_a_plan_are_annotated_beside_the_text() {
    let folder = Folder::new();
    folder.write("plan.yaml", &FAILING.replace("requests: 2", "requets: 2"));
    let output = folder.runner(&["validate", "plan.yaml"], true);
    assert_eq!(output.status.code(), Some(3));
    assert!(out(&output).starts_with("::error file=plan.yaml,line=6,col=5,title=E011::"));
    assert!(err(&output).contains("error[E011]"), "{}", err(&output));
    let asked = folder.runner(&["validate", "plan.yaml", "--format", "github"], false);
    assert_eq!(out(&asked), out(&output));
    assert_eq!(err(&asked), "");
}

#[test]
fn sarif_has_the_shape_that_code_hosts_ask_for() {
    let folder = Folder::new();
    let text = FAILING.replace("requests: 2", "requets: 2").replace("ttft.p50", "tftt.p50");
    folder.write("bad plan.yaml", &text);
    folder.write("good.yaml", FAILING);
    let args = ["validate", "bad plan.yaml", "good.yaml", "--format", "sarif"];
    let output = folder.runner(&args, false);
    assert_eq!(output.status.code(), Some(3));
    let log: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "runner");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 2, "{log:#}");
    for result in results {
        let index =
            usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().expect("a level")));
        assert!(!result["message"]["text"].as_str().expect("a message").is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "bad%20plan.yaml");
        let of = |key: &str| place["region"][key].as_u64().expect("a number");
        assert!(of("startLine") >= 1 && of("startColumn") >= 1);
        assert!(of("endLine") > of("startLine") || of("endColumn") > of("startColumn"));
    }
}

#[test]
fn sarif_and_annotations_name_files_from_the_root_of_the_repository() {
    let folder = Folder::new();
    fs::create_dir_all(folder.0.path().join("bench/.git")).expect("a repository");
    fs::create_dir(folder.0.path().join("bench/plans")).expect("a folder");
    folder.write("bench/plans/bad.yaml", &FAILING.replace("requests: 2", "requets: 2"));
    let run = |workspace: Option<&str>, format: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(folder.0.path().join("bench/plans")).env_clear();
        command.envs(workspace.map(|path| ("GITHUB_WORKSPACE", folder.0.path().join(path))));
        let output = command.args(["validate", "bad.yaml", "--format", format]).output();
        out(&output.expect("runner starts"))
    };
    for (workspace, path) in [(None, "plans/bad.yaml"), (Some(""), "bench/plans/bad.yaml")] {
        let log: Value = serde_json::from_str(&run(workspace, "sarif")).expect("JSON");
        let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], path);
        let annotated = run(workspace, "github");
        assert!(annotated.starts_with(&format!("::error file={path},line=6,")), "{annotated}");
    }
}

/// Runs the scenario for CI with the variables of a host, and nothing else.
fn gate(folder: &Folder, variables: &[(&str, &str)]) -> Output {
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ci-gate.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.current_dir(folder.0.path()).env_clear().env("PATH", "/usr/bin:/bin");
    command.envs(variables.iter().copied()).arg("run").arg(plan);
    command.output().expect("runner starts")
}

/// The one manifest below `results/`.
fn manifest(folder: &Folder) -> Value {
    let runs = folder.0.path().join("results/ci-gate");
    let mut runs: Vec<_> = fs::read_dir(runs).expect("a run").flatten().collect();
    runs.retain(|run| run.path().is_dir() && !run.path().is_symlink());
    assert_eq!(runs.len(), 1);
    serde_json::from_slice(&fs::read(runs[0].path().join("manifest.json")).expect("a manifest"))
        .expect("JSON")
}

#[test]
fn the_gate_runs_with_what_github_actions_sets() {
    let folder = Folder::new();
    folder.write("page.md", "# before\n");
    let page = folder.0.path().join("page.md").display().to_string();
    let mut variables = vec![
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SHA", "0123456789abcdef"),
        ("GITHUB_HEAD_REF", ""),
        ("GITHUB_REF_NAME", "main"),
        ("GITHUB_RUN_ID", "42"),
        ("GITHUB_STEP_SUMMARY", page.as_str()),
        // A variable or secret that the repository does not have comes as nothing.
        ("BENCH_ENDPOINT", ""),
        ("BENCH_API_KEY", ""),
        ("BENCH_DOCS", "2"),
    ];
    let refused = gate(&folder, &variables);
    assert_eq!(refused.status.code(), Some(4), "a missing variable: {}", err(&refused));
    assert!(folder.read("page.md").contains("NOT RUN"), "{}", folder.read("page.md"));
    variables.retain(|(name, _)| *name != "BENCH_ENDPOINT");
    variables.push(("BENCH_ENDPOINT", "simulated"));
    let output = gate(&folder, &variables);
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    assert!(!out(&output).contains("::error"), "{}", out(&output));
    let written = manifest(&folder);
    assert_eq!(written["params"]["commit"], "0123456789abcdef");
    assert_eq!(written["tags"]["branch"], "main", "{:#}", written["tags"]);
    assert_eq!((&written["params"]["docs"], &written["tags"]["job"]), (&2.into(), &"42".into()));
    let page = folder.read("page.md");
    assert!(page.contains("cold") && page.contains("ttft"), "{page}");

    // A check that fails stands on its own line, under the plan's own path.
    let strict = Folder::new();
    variables.retain(|(name, _)| *name != "GITHUB_STEP_SUMMARY");
    variables.push(("SLO_TTFT", "1ms"));
    let output = gate(&strict, &variables);
    assert_eq!(output.status.code(), Some(10), "{}", err(&output));
    let plan = fs::read_to_string("scenarios/ci-gate.yaml").expect("the scenario");
    let line = 1 + plan.lines().position(|it| it.contains("ttft.p95 <")).expect("the check");
    let place = format!("ci-gate.yaml,line={line},");
    assert!(out(&output).contains("::error file="), "{}", out(&output));
    assert!(out(&output).contains(&place), "{place}\n{}", out(&output));
}

#[test]
fn the_gate_runs_with_what_gitlab_ci_sets() {
    let folder = Folder::new();
    let variables = [
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_COMMIT_SHA", "fedcba9876543210"),
        ("CI_COMMIT_REF_NAME", "feature/cache"),
        ("CI_JOB_ID", "77"),
        ("BENCH_ENDPOINT", "simulated"),
        ("BENCH_DOCS", "2"),
        ("BENCH_PAGE", "report.md"),
    ];
    let output = gate(&folder, &variables);
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    let written = manifest(&folder);
    assert_eq!(written["tags"]["commit"], "fedcba9876543210");
    assert_eq!(written["tags"]["branch"], "feature/cache");
    assert!(folder.read("report.md").contains("cold"));
    let wrong = [("GITLAB_CI", "true"), ("BENCH_DOCS", "many"), ("SLO_TTFT", "fast")];
    let output = gate(&folder, &wrong);
    assert_eq!(output.status.code(), Some(3));
    let said = err(&output);
    assert!(said.contains("BENCH_DOCS") && said.contains("SLO_TTFT"), "both at once: {said}");
}

/// The endpoint that a default chooses where no variable names one.
const FALLS_BACK: &str = "version: 1
params:
  endpoint: { type: string, default: local, env: BENCH_ENDPOINT }
endpoints: { local: { simulator: { decode_rate: 1k } } }
endpoint: ${endpoint}
prompt: { text: Say hello., max_tokens: 2 }
stages: [{ kind: cold, requests: 2, thresholds: [error_rate <= 0%] }]
sinks: [junit:checks.xml, markdown:page.md]
";

fn in_ci(folder: &Folder, ci: &str, args: &[&str]) -> Output {
    measured(folder.0.path(), || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(folder.0.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command
            .env("CI", ci)
            .env("GITHUB_ACTIONS", "true")
            .env("BENCH_ENDPIONT", "http://gpu:8000/v1")
            .env("BENCH_ASKED", "local");
        command.args(args).output().expect("runner starts")
    })
}

#[test]
fn a_gate_does_not_pass_on_the_simulator_by_accident() {
    let folder = Folder::new();
    folder.write("plan.yaml", FALLS_BACK);
    let refused = in_ci(&folder, "true", &["run", "plan.yaml"]);
    assert_eq!(refused.status.code(), Some(4), "{}", err(&refused));
    let said = err(&refused);
    assert!(said.contains("the param `endpoint` was not set") && said.contains("nothing was sent"));
    assert!(
        out(&refused).contains("::error file=plan.yaml,line=5,col=1,title=nothing was sent::CI is")
    );
    let junit = folder.read("checks.xml");
    assert!(junit.contains("errors=\"1\"") && junit.contains("<error"), "{junit}");
    assert!(
        folder.read("page.md").starts_with("## \u{274c} NOT RUN"),
        "{}",
        folder.read("page.md")
    );

    for args in [&["--simulated"][..], &["-p", "endpoint=local"], &["--endpoint", "local"]] {
        let output = in_ci(&folder, "true", &[&["run", "plan.yaml"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", err(&output));
    }
    for ci in ["", "false", "0"] {
        let output = in_ci(&folder, ci, &["run", "plan.yaml"]);
        assert_eq!(output.status.code(), Some(0), "CI={ci}: {}", err(&output));
    }
    let real = in_ci(&folder, "", &["run", "plan.yaml", "-p", "endpoint=local", "--real"]);
    assert_eq!(real.status.code(), Some(4), "{}", err(&real));

    folder.write("plan.yaml", &format!("{FALLS_BACK}simulator: allowed\n"));
    let output = in_ci(&folder, "true", &["run", "plan.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let fallback = FALLS_BACK.replace("${endpoint}", "\"${env:BENCH_ENDPOINT:-local}\"");
    folder.write("plan.yaml", &fallback.replace("  endpoint: {", "  other: {"));
    let output = in_ci(&folder, "true", &["run", "plan.yaml"]);
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    // A variable that is set and names the simulator's profile itself is no fallback.
    let asked = fallback.replace("BENCH_ENDPOINT", "BENCH_ASKED");
    folder.write("plan.yaml", &asked.replace("  endpoint: {", "  other: {"));
    let output = in_ci(&folder, "true", &["run", "plan.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    // A plan that names the simulator itself could never have asked anybody else.
    folder.write("plan.yaml", FAILING);
    let output = in_ci(&folder, "true", &["run", "plan.yaml"]);
    assert_eq!(output.status.code(), Some(10), "{}", err(&output));
}

#[test]
fn a_run_that_never_began_is_an_error_in_every_report() {
    let folder = Folder::new();
    let dead = FALLS_BACK.replace("default: local", "default: \"http://127.0.0.1:9/v1\"");
    folder.write("plan.yaml", &dead);
    let output = in_ci(&folder, "true", &["run", "plan.yaml", "--output-format", "json"]);
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    assert_eq!(out(&output), "", "standard output is for a document");
    assert!(err(&output).contains("::error file=plan.yaml,line=5,"), "{}", err(&output));
    for file in ["checks.xml", "page.md"] {
        let said = folder.read(file);
        assert!(said.contains("127.0.0.1"), "{file}: {said}");
    }
    assert!(folder.read("checks.xml").contains("<error"), "{}", folder.read("checks.xml"));
}

#[test]
fn a_log_shows_that_the_run_is_alive() {
    let folder = Folder::new();
    let slow = FALLS_BACK
        .replace("decode_rate: 1k", "decode_rate: 2")
        .replace("requests: 2", "requests: 3");
    folder.write("plan.yaml", &slow);
    let run = ["run", "plan.yaml", "--simulated", "--progress", "plain"];
    let said = err(&in_ci(&folder, "true", &[&run[..], &["--heartbeat", "100ms"]].concat()));
    assert!(said.contains("1 stage, about 3 requests to local (embedded simulator"), "{said}");
    assert!(said.contains("/3 done in ") && said.contains("(stage 1 of 1)"), "{said}");
    let said = err(&in_ci(&folder, "true", &[&run[..], &["--heartbeat", "0s"]].concat()));
    assert!(!said.contains("/3 done in "), "{said}");
}

#[test]
fn a_gate_without_a_baseline_yet_says_so_and_the_next_run_has_one() {
    let folder = Folder::new();
    let check = "thresholds: [e2e.p50 <= baseline + 100000%]";
    let plan = FALLS_BACK.replace("thresholds: [error_rate <= 0%]", check);
    folder.write("plan.yaml", &plan);
    let run = |args: &[&str]| {
        in_ci(&folder, "", &[&["run", "plan.yaml", "--baseline", "last-passed"], args].concat())
    };
    let required = run(&["--require-baseline"]);
    assert_eq!(required.status.code(), Some(3), "{}", err(&required));
    let first = run(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    assert!(err(&first).contains("there is no run that passed of `plan`"), "{}", err(&first));
    assert!(out(&first).contains("not made: there is no baseline yet"), "{}", out(&first));
    assert!(folder.read("checks.xml").contains("<skipped"), "{}", folder.read("checks.xml"));
    let second = run(&["--require-baseline"]);
    assert_eq!(second.status.code(), Some(0), "{}", err(&second));
    assert!(!out(&second).contains("not made"), "{}", out(&second));
    let report = in_ci(&folder, "", &["report", "plan/latest~1"]);
    assert!(out(&report).contains("not made: there is no baseline yet"), "{}", out(&report));
    let compared = in_ci(&folder, "", &["compare", "latest~1", "latest"]);
    assert_eq!(compared.status.code(), Some(0), "{}", err(&compared));
    let gone = in_ci(&folder, "", &["report", "latest~7"]);
    assert_eq!(gone.status.code(), Some(2), "{}", err(&gone));
    assert!(err(&gone).contains("no run 7 before the last"), "{}", err(&gone));
}
