//! Plans made of several files, and params out of files.

use std::fs;
use std::path::{Path, PathBuf};

use runner::plan::{self, LoadOptions, Loaded};

use crate::load::{environment, params, repeat, said};

/// A folder of files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("inside")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

fn load(path: &Path, options: &LoadOptions) -> Loaded {
    plan::load(path, options).unwrap_or_else(|error| panic!("{}", said(&error)))
}

const BASE: &str = "version: 1
name: base
params: { docs: { type: int, default: 4, min: 1 } }
endpoint: { url: http://here/v1, model: a, headers: { X-Team: blue } }
prompt: { context: { from: filler, tokens: 100 }, text: Say hello., max_tokens: 8 }
stages:
  - { kind: cold, requests: \"${docs}\" }
  - { id: warm, kind: warm }
  - { id: rest, kind: pause, duration: 1s }
";

#[test]
fn a_child_changes_what_it_names_and_keeps_the_rest() {
    let child = "version: 1
extends: base.yaml
params: { docs: { default: 6 } }
endpoint: { simulator: {}, headers: { X-Run: ci } }
prompt: { context: null, max_tokens: 16 }
stages:
  - { id: cold, concurrency: 2 }
  - { id: rest, kind: null }
  - { id: again, kind: cold, like: cold }
";
    let folder = folder(&[("base.yaml", BASE), ("child.yaml", child)]);
    let plan = load(&folder.path().join("child.yaml"), &LoadOptions::default()).plan;
    assert_eq!(plan.name, "child");
    let ids: Vec<&str> = plan.stages.iter().map(|stage| stage.id.as_str()).collect();
    assert_eq!(ids, ["cold", "warm", "again"]);
    assert_eq!(plan.stages[2].needs[0].id, "warm");
    let cold = repeat(&plan, "cold");
    assert_eq!((cold.requests, cold.concurrency), (6, 2));
    assert!(cold.prompt.context.is_none());
    assert_eq!(cold.prompt.max_tokens, Some(16));
    assert_eq!(cold.prompt.messages[0].content, "Say hello.");
    let endpoint = &plan.stages[0].endpoint;
    assert!(matches!(endpoint.target, plan::Target::Simulator(_)));
    assert_eq!(endpoint.headers.len(), 2);
    // A place points into the file that it is written in.
    assert!(plan.stages[1].location.file.ends_with("base.yaml"));
    assert!(plan.stages[2].location.file.ends_with("child.yaml"));
}

#[test]
fn toml_takes_things_out_by_name() {
    let child =
        "version = 1\nextends = \"base.yaml\"\nwithout = [\"stages.rest\", \"prompt.context\"]\n";
    let folder = folder(&[("base.yaml", BASE), ("child.toml", child)]);
    let plan = load(&folder.path().join("child.toml"), &LoadOptions::default()).plan;
    assert_eq!(plan.stages.len(), 2);
    assert!(repeat(&plan, "cold").prompt.context.is_none());
}

#[test]
fn libraries_bring_names_and_their_paths_start_at_their_own_folder() {
    let library = "endpoints: { lab: { url: http://lab/v1 } }
prompts:
  ask: { dataset: rows.jsonl, text: \"{{ row.q }}\" }
defaults: { concurrency: 3, tags: [nightly], thresholds: [error_rate <= 1%],
  abort: [error_rate > 50%] }
";
    let text = "version: 1
include: shared/library.yaml
endpoint: lab
prompt: { use: ask, max_tokens: 5 }
stages:
  - { kind: cold, requests: 2 }
  - { kind: warm, like: cold }
  - { id: own, kind: cold, concurrency: 1, thresholds: [ttft.p50 < 1s] }
  - { kind: flush }
";
    let folder = folder(&[
        ("shared/library.yaml", library),
        ("shared/rows.jsonl", "{\"q\": \"one\"}\n{\"q\": \"two\"}\n"),
        ("plan.yaml", text),
    ]);
    let plan = load(&folder.path().join("plan.yaml"), &LoadOptions::default()).plan;
    let cold = repeat(&plan, "cold");
    assert_eq!((cold.requests, cold.concurrency, cold.prompt.max_tokens), (2, 3, Some(5)));
    let files = cold.prompt.dataset.map(|source| source.config.files);
    let rows = folder.path().join("shared/rows.jsonl").to_str().map(str::to_owned);
    assert_eq!(files, rows.map(|path| vec![path]));
    assert_eq!(repeat(&plan, "warm").concurrency, 3);
    assert_eq!(repeat(&plan, "own").concurrency, 1);
    assert_eq!(plan.stages[2].tags, ["nightly"]);
    let checks = |index: usize| -> Vec<&str> {
        plan.stages[index].thresholds.iter().map(|it| it.check.as_str()).collect()
    };
    assert_eq!(checks(1), ["error_rate <= 1%"]);
    assert_eq!(checks(2), ["ttft.p50 < 1s", "cache == cold"]);
    assert!(checks(3).is_empty());
    let watched = plan.stages.iter().map(|stage| stage.live.len()).collect::<Vec<_>>();
    assert_eq!(watched, [1, 1, 1, 0], "a flush has no numbers to watch");
}

#[test]
fn the_hash_covers_every_file() {
    let child = "version: 1\nextends: base.yaml\n";
    let hash = |base: &str| {
        let folder = folder(&[("base.yaml", base), ("child.yaml", child)]);
        load(&folder.path().join("child.yaml"), &LoadOptions::default()).plan.hash
    };
    assert_eq!(hash(BASE), hash(BASE));
    assert_ne!(hash(BASE), hash(&BASE.replace("Say hello", "Say hallo")));
}

#[test]
fn nothing_outside_the_root_is_read_unless_it_is_allowed() {
    let folder =
        folder(&[("base.yaml", BASE), ("inner/child.yaml", "version: 1\nextends: ../base.yaml\n")]);
    let child = folder.path().join("inner/child.yaml");
    let error = plan::load(&child, &LoadOptions::default()).expect_err("it leaves the root");
    assert!(said(&error).contains("leaves the plan's root"), "{}", said(&error));
    let options = LoadOptions { allow_outside_root: true, ..LoadOptions::default() };
    assert_eq!(load(&child, &options).plan.stages.len(), 3);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_root_and_pipes_are_not_followed() {
    let folder = folder(&[
        ("base.yaml", BASE),
        ("inner/link.yaml", "version: 1\nextends: out.yaml\n"),
        ("inner/pipe.yaml", "version: 1\ninclude: fifo.yaml\n"),
    ]);
    let inner = folder.path().join("inner");
    std::os::unix::fs::symlink("../base.yaml", inner.join("out.yaml")).expect("linked");
    let made = std::process::Command::new("mkfifo").arg(inner.join("fifo.yaml")).status();
    assert!(made.expect("mkfifo runs").success());
    for (name, words) in [("link.yaml", "leaves the plan's root"), ("pipe.yaml", "regular file")] {
        let error = plan::load(&inner.join(name), &LoadOptions::default()).expect_err(name);
        assert!(said(&error).contains(words), "{}", said(&error));
    }
}

#[test]
fn params_files_of_every_format_stand_between_flags_and_the_environment() {
    let text = "version: 1
params:
  docs: { type: int, default: 1, env: BENCH_DOCS }
  wait: { type: duration, default: 1s, env: BENCH_WAIT }
endpoint: http://127.0.0.1:8000/v1
prompt: Say hello.
stages: [{ kind: cold, requests: \"${docs}\" }, { kind: pause, duration: \"${wait}\" }]
";
    let folder = folder(&[
        ("plan.yaml", text),
        ("ci.yaml", "docs: 2\n"),
        ("ci.toml", "docs = 3\nwait = \"3s\"\n"),
        ("ci.json", "{ \"docs\": \"4\" }"),
        ("ci.env", "# CI\nexport BENCH_DOCS=\"5\"\nWAIT=\n"),
    ]);
    let given = |files: &[&str], flags: &[(&str, &str)]| {
        let options = LoadOptions {
            params_files: files
                .iter()
                .map(|name| folder.path().join(name))
                .collect::<Vec<PathBuf>>(),
            params: params(flags),
            environment: environment(&[("RUNNER_PARAM_DOCS", "9"), ("BENCH_WAIT", "9s")]),
            ..LoadOptions::default()
        };
        let plan = load(&folder.path().join("plan.yaml"), &options).plan;
        let source = plan.params[0].source.rsplit('/').next().unwrap_or_default().to_owned();
        (repeat(&plan, "cold").requests, source)
    };
    assert_eq!(given(&[], &[]), (9, "env RUNNER_PARAM_DOCS".into()));
    assert_eq!(given(&["ci.yaml"], &[]), (2, "ci.yaml:1".into()));
    assert_eq!(given(&["ci.yaml", "ci.toml"], &[]), (3, "ci.toml:1".into()));
    assert_eq!(given(&["ci.toml", "ci.json"], &[]), (4, "ci.json:1".into()));
    assert_eq!(given(&["ci.env"], &[]), (5, "ci.env:2".into()));
    assert_eq!(given(&["ci.env"], &[("docs", "6")]), (6, "--param".into()));
}

#[test]
fn a_secret_in_a_params_file_is_never_shown() {
    let text = "version: 1
params: { token: { type: int, secret: true } }
endpoint: { url: http://127.0.0.1:8000/v1, headers: { X-Token: \"${token}\" } }
prompt: Say hello.
stages: [{ kind: cold }]
";
    let folder = folder(&[("plan.yaml", text), ("ci.env", "TOKEN=canary-71\ncanary-72\n")]);
    let values = folder.path().join("ok.yaml");
    fs::write(&values, "token: canary-71\n").expect("written");
    for file in [values, folder.path().join("ci.env")] {
        let options = LoadOptions { params_files: vec![file], ..LoadOptions::default() };
        let error =
            plan::load(&folder.path().join("plan.yaml"), &options).expect_err("not a number");
        assert!(!said(&error).contains("canary"), "{}", said(&error));
    }
}

/// What GitHub Actions and GitLab CI set, as far as it could be mistaken for something of ours.
const CI: [&[(&str, &str)]; 2] = [
    &[
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REF_NAME", "main"),
        ("RUNNER_OS", "Linux"),
        ("RUNNER_TEMP", "/tmp"),
        ("RUNNER_NAME", "Hosted Agent"),
        ("MODEL", "ambient"),
        // Unset secrets and variables arrive as empty texts.
        ("BENCH_MODEL", ""),
        ("BENCH_DOCS", "3"),
        ("BENCH_API_KEY", "canary-71"),
    ],
    &[
        ("GITLAB_CI", "true"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_RUNNER_ID", "7"),
        ("MODEL", "ambient"),
        ("BENCH_MODEL", ""),
        ("BENCH_DOCS", "3"),
        ("BENCH_API_KEY", "canary-71"),
    ],
];

#[test]
fn the_main_scenario_takes_its_params_from_ci_variables_and_nothing_else() {
    for variables in CI {
        let options = LoadOptions { environment: environment(variables), ..LoadOptions::default() };
        let plan = load("scenarios/cache-eviction.yaml".as_ref(), &options).plan;
        assert_eq!(repeat(&plan, "cold").requests, 3);
        let source = |name: &str| {
            let param = plan.params.iter().find(|param| param.name == name).expect("declared");
            param.source.clone()
        };
        assert_eq!((source("docs"), source("model")), ("env BENCH_DOCS".into(), "default".into()));
    }
}

#[test]
fn everything_missing_is_told_at_once_with_where_it_was_looked_for() {
    let text = "version: 1
params:
  url: { type: url, env: [BENCH_URL, VLLM_URL] }
  docs: { type: int }
endpoint: ${url}
prompt: Say hello.
stages: [{ kind: cold, requests: \"${docs}\" }]
";
    let folder = folder(&[("plan.yaml", text), ("ci.yaml", "docs:\n")]);
    let options = LoadOptions {
        params_files: vec![folder.path().join("ci.yaml")],
        environment: environment(CI[0]),
        ..LoadOptions::default()
    };
    let error = plan::load(&folder.path().join("plan.yaml"), &options).expect_err("both missing");
    let said = said(&error);
    assert_eq!(error.diagnostics.len(), 2, "{said}");
    assert!(said.contains("RUNNER_PARAM_URL, BENCH_URL, VLLM_URL"), "{said}");
    assert!(
        said.contains("--param docs=…") && said.contains("ci.yaml, RUNNER_PARAM_DOCS"),
        "{said}"
    );
}

#[test]
fn set_reaches_any_place() {
    let folder = folder(&[("base.yaml", BASE)]);
    let options = LoadOptions {
        set: [
            "stages.cold.requests=7",
            "stages.warm.concurrency=2",
            "stages.rest=null",
            "prompt.body.stop=[a, b]",
            "endpoint.headers.X-Team=red",
            "params.docs=null",
            "seed=5",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..LoadOptions::default()
    };
    let plan = load(&folder.path().join("base.yaml"), &options).plan;
    assert_eq!((plan.stages.len(), plan.seed), (2, 5));
    assert_eq!((repeat(&plan, "cold").requests, repeat(&plan, "warm").concurrency), (7, 2));
    assert_eq!(repeat(&plan, "cold").prompt.body["stop"], serde_json::json!(["a", "b"]));
    assert_eq!(plan.stages[0].endpoint.headers[0].1.expose(), "red");
}
