//! What comes into a plan from outside, and what must not go out again.

use runner::plan::{self, Action, ApiKey, LoadOptions, diagnostic};

use crate::load::{SMALLEST, environment, load, load_with, params, refused, repeat, said};

#[test]
fn params_are_taken_in_order_of_precedence() {
    let text = "version: 1
params:
  docs: { type: int, default: 1, env: [FIRST, SECOND] }
endpoint: http://127.0.0.1:8000/v1
prompt: Say hello.
stages:
  - { kind: cold, requests: \"${docs}\" }
";
    let given = |flags: &[(&str, &str)], variables: &[(&str, &str)]| {
        let options = LoadOptions {
            params: params(flags),
            environment: environment(variables),
            ..LoadOptions::default()
        };
        let plan = load_with("plan.yaml", text, &options).plan;
        (repeat(&plan, "cold").requests, plan.params[0].source.clone())
    };
    assert_eq!(given(&[], &[]), (1, "default".into()));
    assert_eq!(given(&[], &[("SECOND", "2")]), (2, "env SECOND".into()));
    assert_eq!(given(&[], &[("FIRST", ""), ("SECOND", "2")]), (2, "env SECOND".into()));
    assert_eq!(given(&[], &[("FIRST", "3"), ("SECOND", "2")]), (3, "env FIRST".into()));
    let named = [("RUNNER_PARAM_DOCS", "4"), ("FIRST", "3")];
    assert_eq!(given(&[], &named), (4, "env RUNNER_PARAM_DOCS".into()));
    assert_eq!(given(&[("docs", "6"), ("docs", "5k")], &named), (5_000, "--param".into()));
}

#[test]
fn a_lone_reference_keeps_its_type() {
    let text = "version: 1
params:
  labels: { type: list, default: [a, b] }
  keep: { type: bool, default: false }
  heat: { type: float, default: 0.5 }
  wait: { type: duration, default: 1m30s }
endpoint: http://127.0.0.1:8000/v1
prompt: { text: Say hello., temperature: \"${heat}\" }
stages:
  - { kind: cold, tags: \"${labels}\", record: \"${keep}\" }
  - { kind: pause, duration: \"${wait}\" }
  - { kind: cold, tags: [\"x-${heat}\", \"$${heat}\", $5] }
";
    let plan = load(text).plan;
    assert_eq!(plan.stages[0].tags, ["a", "b"]);
    assert!(!plan.stages[0].record);
    assert_eq!(repeat(&plan, "cold").prompt.temperature, Some(0.5));
    assert!(matches!(plan.stages[1].action, Action::Pause(wait) if wait.as_secs() == 90));
    assert_eq!(plan.stages[2].id, "cold-2");
    assert_eq!(plan.stages[2].tags, ["x-0.5", "${heat}", "$5"]);
}

#[test]
fn what_is_inserted_is_not_looked_at_again() {
    let options = LoadOptions {
        environment: environment(&[("TEXT", "${env:OTHER} and: yaml, [too")]),
        ..LoadOptions::default()
    };
    let text = SMALLEST.replace("Say hello.", "\"${env:TEXT}\"");
    let plan = load_with("plan.yaml", &text, &options).plan;
    let content = &repeat(&plan, "cold").prompt.messages[0].content;
    assert_eq!(content, "${env:OTHER} and: yaml, [too");
}

#[test]
fn secrets_appear_nowhere() {
    const CANARY: &str = "canary-7f3a";
    let options = LoadOptions {
        environment: environment(&[("KEY", CANARY), ("RUNNER_PARAM_TOKEN", CANARY)]),
        ..LoadOptions::default()
    };
    let text = "version: 1
params:
  token: { type: string, secret: true }
endpoint:
  url: http://127.0.0.1:8000/v1
  api_key: ${secret:KEY}
  headers: { X-Token: \"t ${token}\" }
prompt: Say hello.
stages:
  - kind: cold
";
    let loaded = load_with("plan.yaml", text, &options);
    let endpoint = &loaded.plan.stages[0].endpoint;
    assert_eq!(endpoint.api_key, ApiKey::Key(plan::Secret::new(CANARY)));
    assert_eq!(endpoint.headers[0].1.expose(), format!("t {CANARY}"));
    assert!(!format!("{:?}", loaded.plan).contains(CANARY));
    assert!(!format!("{:?}", loaded.redactor).contains(CANARY));
    assert!(!plan::params::render_text(&loaded.plan.params).contains(CANARY));
    assert!(!plan::params::render_json(&loaded.plan.params).contains(CANARY));
    assert_eq!(loaded.redactor.redact(CANARY), "***");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);

    let broken = text.replace("kind: cold", "kind: cold\n    requests: ${token}");
    let error = refused(&broken, &options);
    assert!(!said(&error).contains(CANARY), "{}", said(&error));
    assert!(!diagnostic::render_json(&error.diagnostics, &error.sources).contains(CANARY));
    assert!(!format!("{error:?} {error}").contains(CANARY));
}

/// Messages cut long texts, and what is left of a secret must not be read.
#[test]
fn the_beginning_of_a_long_secret_appears_nowhere() {
    let text = "version: 1
params: { token: { type: string, secret: true } }
endpoint: { url: http://127.0.0.1:8000/v1, api_key: \"${token}\" }
prompt: { text: Say hello., stream: \"${token}\", context: \"Bearer ${token}\" }
stages: [{ kind: cold, needs: \"${token}\", thresholds: \"${token}\" }]
";
    let long = format!("canary-{}", "x1".repeat(60));
    for secret in [long.as_str(), "canary-one\ncanary-two"] {
        let options = LoadOptions {
            environment: environment(&[("RUNNER_PARAM_TOKEN", secret)]),
            ..LoadOptions::default()
        };
        let error = refused(text, &options);
        assert!(error.diagnostics.len() >= 4, "{}", said(&error));
        assert!(!said(&error).contains("canary"), "{}", said(&error));
        let json = diagnostic::render_json(&error.diagnostics, &error.sources);
        assert!(!json.contains("canary"), "{json}");
    }
}

#[test]
fn credentials_written_into_the_plan_are_warned_of_and_hidden() {
    let text = SMALLEST.replace(
        "endpoint: http://127.0.0.1:8000/v1",
        "endpoint: { url: \"http://127.0.0.1:8000/v1\", api_key: sk-in-the-plan }",
    );
    let loaded = load(&text);
    assert_eq!(loaded.warnings.len(), 1);
    let shown = diagnostic::render(&loaded.warnings, &loaded.sources, &loaded.redactor, false);
    assert!(!shown.contains("sk-in-the-plan"), "{shown}");
}

#[test]
fn diagnostics_are_an_array_for_programs() {
    let error = refused("version: 1\nstagess: []\n", &LoadOptions::default());
    let json = diagnostic::json(&error.diagnostics, &error.sources);
    let first = &json[0];
    assert_eq!(first["code"], "E011");
    assert_eq!(first["severity"], "error");
    assert_eq!((&first["line"], &first["column"]), (&2.into(), &1.into()));
    assert_eq!((&first["end_line"], &first["end_column"]), (&2.into(), &8.into()));
    assert_eq!(first["file"], "plan.yaml");
    assert!(first["help"].is_array());
}

#[test]
fn params_print_as_a_table() {
    let plan = plan::load("scenarios/cache-eviction.yaml".as_ref(), &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{}", said(&error)))
        .plan;
    let text = plan::params::render_text(&plan.params);
    assert!(
        text.starts_with("PARAM           TYPE    VALUE      SOURCE   DESCRIPTION\n"),
        "{text}"
    );
    assert!(text.contains("\nmodel           string  \"\"         default  Model id;"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&plan::params::render_json(&plan.params)).expect("JSON");
    assert_eq!(json[2]["name"], "docs");
    assert_eq!((&json[2]["value"], &json[2]["type"]), (&8.into(), &"int".into()));
}

/// `runner validate` in a folder of its own, with files beside the plan and where the user stands.
#[test]
fn a_path_from_outside_starts_where_the_user_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    let row = "{\"prompt\": \"How deep is the sea?\"}\n";
    for path in ["plans/theirs.jsonl", "plans/deep/both.jsonl", "here/mine.jsonl", "own.jsonl"] {
        write(path, row);
    }
    write(
        "here/odd.json",
        "[{\"prompt_content\": \"Be brief.\", \"cut_chat_history\": [{\"role\": \"user\", \"content\": \"Tide?\"}]}]",
    );
    let plan = |kind: &str, default: &str, dataset: &str| {
        format!(
            "version: 1\nparams:\n  rows: {{ type: {kind}, default: {default}, env: TIDE_ROWS }}\n\
             endpoint: {{ simulator: {{}} }}\nprompt: {{ dataset: {{ path: \"{dataset}\" }} }}\n\
             stages:\n  - {{ kind: load, concurrency: 1, requests: 1 }}\n"
        )
    };
    write("plans/path.yaml", &plan("path", "theirs.jsonl", "${rows}"));
    write("plans/text.yaml", &plan("string", "theirs.jsonl", "${rows}"));
    write("plans/list.yaml", &plan("list", "[theirs.jsonl]", "${rows}"));
    write("plans/folder.yaml", &plan("string", "deep", "${rows}/both.jsonl"));
    write("plans/part.yaml", &plan("string", "both", "deep/${rows}.jsonl"));
    write("plans/variable.yaml", &plan("string", "x", "${env:TIDE_ROWS:-theirs.jsonl}"));
    let validate = |args: &[&str], variable: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runner"));
        command.arg("validate").args(args).current_dir(folder.path().join("here"));
        command.env_remove("TIDE_ROWS");
        if let Some(value) = variable {
            command.env("TIDE_ROWS", value);
        }
        let output = command.output().expect("started");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let good: &[(&[&str], Option<&str>)] = &[
        (&["../plans/path.yaml"], None),
        (&["../plans/path.yaml", "-p", "rows=mine.jsonl"], None),
        (&["../plans/path.yaml", "-p", "rows=./m*.jsonl"], None),
        // It may lie outside of the plan's root: who runs the plan has named it.
        (&["../plans/path.yaml", "-p", "rows=../own.jsonl"], None),
        (&["../plans/path.yaml"], Some("mine.jsonl")),
        (&["../plans/text.yaml", "-p", "rows=mine.jsonl"], None),
        (&["../plans/list.yaml", "-p", "rows=mine.jsonl,../own.jsonl"], None),
        (&["../plans/folder.yaml", "-p", "rows=../plans/deep"], None),
        // What the plan begins, the plan's folder ends.
        (&["../plans/part.yaml", "-p", "rows=both"], None),
        (&["../plans/variable.yaml"], None),
        (&["../plans/variable.yaml"], Some("mine.jsonl")),
        (&["../plans/text.yaml", "--set", "prompt.dataset.path=mine.jsonl"], None),
        (&["@chat-ladder", "-p", "dataset=odd.json"], None),
        (&["@chat-ladder"], None),
    ];
    for (args, variable) in good {
        let (code, said) = validate(args, *variable);
        assert_eq!(code, Some(0), "{args:?} {variable:?}: {said}");
    }
    let (code, said) = validate(&["../plans/path.yaml", "-p", "rows=theirs.jsonl"], None);
    assert_eq!(code, Some(3), "{said}");
    let here = folder.path().join("here/theirs.jsonl");
    assert!(said.contains("relative to the current directory"), "{said}");
    assert!(said.contains(&here.display().to_string()), "{said}");
}
