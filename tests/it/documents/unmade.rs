//! Requests that can't be made: refused before the run where that is known, else failed records of their
//! own; and roles that an API does not send.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, code, lines, stderr, text};

fn sandbox(endpoint: &str, prompt: &str, stage: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ {endpoint} }}\nprompt: {{ {prompt} }}\n\
         stages: [ {{ id: s, {stage} }} ]\n"
    ));
    sandbox
}

const SIMULATOR: &str = "simulator: { prefill_rate: 1000M, decode_rate: 1M, overhead: 0ms }";

#[test]
fn a_template_that_fails_for_a_later_request_is_refused_where_the_requests_are_known() {
    for (prompt, what) in [
        ("text: \"{{ 8 // (17 - i) }}\"", "the template"),
        ("text: Hi, body: { user: \"{{ 8 // (17 - i) }}\" }", "`body.user`"),
    ] {
        let stage = "kind: load, concurrency: 1, requests: 30";
        let sandbox = sandbox(SIMULATOR, prompt, stage);
        for command in ["validate", "run"] {
            let output = sandbox.run(&[command, "plan.yaml"]);
            let said = stderr(&output);
            assert_eq!(code(&output), 3, "{command}: {said}");
            assert!(said.contains(&format!("{what} fails in request 17 (`i`)")), "{said}");
        }
        let few = self::sandbox(SIMULATOR, prompt, "kind: load, concurrency: 1, requests: 17");
        let output = few.run(&["validate", "plan.yaml"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    // Rows, too, are tried with their own numbers.
    let rows: Vec<String> = (0..9).map(|at| json!({"q": at}).to_string()).collect();
    let sandbox = sandbox(
        SIMULATOR,
        "dataset: rows.jsonl, text: \"{{ row.q }} {{ 8 // (5 - i) }}\"",
        "kind: load, concurrency: 1, requests: 9",
    );
    fs::write(sandbox.dir.path().join("rows.jsonl"), rows.join("\n")).unwrap();
    let output = sandbox.run(&["validate", "plan.yaml"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("rows.jsonl:6: "), "{}", stderr(&output));
}

fn records_of(sandbox: &Sandbox) -> Vec<Value> {
    lines(&sandbox.run_dir(), "end")
}

/// How the requests of a run ended, by the words of its records; sent and unsent.
fn ends(sandbox: &Sandbox) -> Vec<(String, bool)> {
    let records = records_of(sandbox);
    records
        .iter()
        .map(|it| (it["outcome"].as_str().unwrap().to_owned(), !it["sent_ns"].is_null()))
        .collect()
}

#[test]
fn a_request_that_can_not_be_made_is_a_failed_record_and_ends_nothing() {
    // More requests than are tried before the run.
    let text = "text: \"{{ 8 // (1005 - i) }} {{ i }}\"";
    for stage in [
        "kind: load, concurrency: 4, requests: 1010",
        "kind: load, rate: 2000, requests: 1010",
        "kind: cold, requests: 1010, concurrency: 4",
        "kind: concurrency_ramp, concurrency: \"4\", requests: 1010",
    ] {
        let sandbox = sandbox(SIMULATOR, text, stage);
        let output = sandbox.run(&["run", "plan.yaml"]);
        let said = stderr(&output);
        let records = records_of(&sandbox);
        assert_eq!(records.len(), 1010, "{stage}: {said}");
        let unmade: Vec<&Value> =
            records.iter().filter(|record| record["outcome"] == "unmade").collect();
        assert_eq!(unmade.len(), 1, "{stage}: {said}");
        assert_eq!((&unmade[0]["index"], &unmade[0]["sent_ns"]), (&json!(1005), &Value::Null));
        let summary = sandbox.summary();
        let counts = &summary["stages"][0]["counts"];
        assert_eq!((&counts["planned"], &counts["errors"]), (&json!(1010), &json!(1)), "{counts}");
        let errors = summary["stages"][0]["errors"].to_string();
        assert_eq!(errors, "{\"request.unmade\":1}");
        let why = "`s`: request 1005 can't be made: plan.yaml:3";
        assert_eq!(said.matches(why).count(), 1, "{said}");
        assert_eq!(summary["stages"][0]["state"], "completed", "{stage}: {said}");
    }
}

#[test]
fn a_later_turn_that_can_not_be_made_ends_its_session_alone() {
    let rows: Vec<String> = (0..3)
        .flat_map(|session| (0..3).map(move |turn| (session, turn)))
        .map(|(session, turn)| {
            json!({"session": format!("s{session}"), "prompt": format!("Turn {turn}.")}).to_string()
        })
        .collect();
    let prompt = "dataset: rows.jsonl, max_tokens: 3, \
                  body: { user: \"{{ 8 // (1 - turn) if session == 's1' else 1 }}\" }";
    let sandbox = sandbox(SIMULATOR, prompt, "kind: conversation, concurrency: 1");
    fs::write(sandbox.dir.path().join("rows.jsonl"), rows.join("\n")).unwrap();
    let output = sandbox.run(&["run", "plan.yaml"]);
    let count = |wanted: &str| ends(&sandbox).iter().filter(|(it, _)| it == wanted).count();
    let counts = (count("ok"), count("unmade"), count("never_started"));
    assert_eq!(counts, (7, 1, 1), "{}", stderr(&output));
    let record = records_of(&sandbox).into_iter().find(|it| it["outcome"] == "unmade").unwrap();
    assert_eq!(
        (&record["session"], &record["error"]["class"]),
        (&json!("s1"), &json!("request.unmade"))
    );
    assert!(record["error"]["message"].as_str().unwrap().contains("`prompt.body.user` fails"));
}

#[test]
fn roles_of_the_plans_own_messages_that_are_not_sent_are_said() {
    let messages =
        "messages: [ { role: system, content: Be brief. }, { role: user, content: Hi } ]";
    let load = "kind: load, concurrency: 1, requests: 2";
    for (api, prompt, words) in [
        ("openai-completions", messages, Some("(system, user)")),
        ("tgi", messages, Some("(system, user)")),
        ("openai-chat", messages, None),
        ("ollama-generate", messages, None),
        ("openai-completions", "text: Hi", None),
        (
            "openai-completions",
            "messages: [ { role: assistant, content: Hi } ]",
            Some("(assistant)"),
        ),
    ] {
        let sandbox = sandbox(&format!("{SIMULATOR}, api: {api}"), prompt, load);
        let is_said = |said: &str, what: &str| {
            let is_so = said.contains(&format!("the API {api} takes one text: the roles of"));
            assert_eq!(is_so, words.is_some(), "{what} {api} {prompt}: {said}");
            assert!(words.is_none_or(|words| said.contains(words)), "{what} {api}: {said}");
        };
        for command in ["validate", "plan", "run"] {
            let output = sandbox.run(&[command, "plan.yaml"]);
            assert_eq!(code(&output), 0, "{command}: {}", stderr(&output));
            is_said(&(stderr(&output) + &text(&output.stdout)), command);
        }
        let notes: &Value = &sandbox.summary()["run"]["notes"];
        is_said(&notes.to_string(), "notes");
    }
}
