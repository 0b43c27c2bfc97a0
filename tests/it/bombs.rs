//! Plans that would take all memory or for ever are refused soon, in a process that may have little of it.

use std::fs;
use std::process::{Command, Output};

use crate::sandbox::{Sandbox, code, stderr};

/// Address space that a plan of a few lines may take, in KiB: threads reserve most of it.
const MOST_KIB: u64 = 3 << 20;

/// Runs a command that may take [`MOST_KIB`] of memory.
fn within_bounds(sandbox: &Sandbox, args: &[&str]) -> Output {
    let runner = sandbox.runner();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("ulimit -v {MOST_KIB}; exec \"$0\" \"$@\"")])
        .arg(runner.get_program())
        .args(args)
        .current_dir(sandbox.dir.path());
    for (name, value) in runner.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    limited.output().expect("a shell")
}

/// All three commands refuse the plan and say `part`.
fn refused(sandbox: &Sandbox, part: &str) {
    for command in ["validate", "plan", "run"] {
        let output = within_bounds(sandbox, &[command, "plan.yaml"]);
        let said: String = stderr(&output).chars().take(4_000).collect();
        assert_eq!(code(&output), 3, "{command}: {said}");
        assert!(said.contains(part), "{command}: no {part} in {said}");
    }
}

fn sandbox(prompt: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ simulator: {{}} }}\n{prompt}\n\
         stages: [ {{ id: s, kind: load, concurrency: 1, requests: 2 }} ]\n"
    ));
    sandbox
}

#[test]
fn a_template_that_grows_without_end_is_refused_within_little_memory() {
    const GROWS: &str = "{% for k in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
    let start = "{% set ns = namespace(x='aaaaaaaaaa') %}";
    let part = "more than 64 MiB of texts and lists";
    refused(&sandbox(&format!("prompt: {{ text: \"{start}{GROWS}ok\" }}")), part);
    let joins = GROWS.replace("ns.x ~ ns.x", "[ns.x, ns.x] | join");
    refused(&sandbox(&format!("prompt: {{ text: \"{start}{joins}ok\" }}")), part);
    let tuples = "prompt: { text: Hi, body: { user: \"{{ ((1, 2) * 10 ** 8) | length }}\" } }";
    refused(&sandbox(tuples), part);
    // With the rows of a dataset, and in headers.
    let rows = sandbox(&format!(
        "prompt: {{ dataset: rows.jsonl, text: \"{start}{{% set ns.x = row.q %}}{GROWS}ok\" }}"
    ));
    fs::write(rows.dir.path().join("rows.jsonl"), "{\"q\":\"\"}\n{\"q\":\"abcdefgh\"}\n")
        .expect("rows");
    refused(&rows, "rows.jsonl:2: ");
    let header = Sandbox::new();
    header.plan(
        "version: 1\nendpoint: { simulator: {}, headers: { X-A: \"{{ ('a' * 10 ** 9) | length }}\" } }\n\
         prompt: { text: Hi }\nstages: [ { id: s, kind: load, concurrency: 1, requests: 2 } ]\n",
    );
    refused(&header, part);
}

#[test]
fn a_request_that_grows_only_in_the_run_fails_alone() {
    let sandbox = sandbox(
        "prompt: { text: \"{% set ns = namespace(x='aaaaaaaaaa') %}{% for k in range(40 if i == 1001 else 1) %}\
         {% set ns.x = ns.x ~ ns.x %}{% endfor %}ok\", max_tokens: 1 }",
    );
    let output = within_bounds(&sandbox, &["run", "plan.yaml", "--set", "stages.s.requests=1003"]);
    let counts = &sandbox.summary()["stages"][0]["counts"];
    assert_eq!(
        (&counts["ok"], &counts["errors"]),
        (&1002.into(), &1.into()),
        "{}",
        stderr(&output)
    );
}

#[test]
fn more_tokens_than_can_be_sent_are_refused_wherever_they_stand() {
    const MOST: &str = "at most 16000000 tokens can be made";
    for prompt in [
        "prompt: { text: Hi, context: { from: filler, tokens: 100000000000 } }",
        "prompt: { text: Hi, context: { from: filler, max_ctx_tokens: 100000000000 } }",
        "params: { n: { type: int, default: 100000000000 } }\nprompt: { text: Hi, context: { from: filler, tokens: \"${n}\" } }",
        "matrix: { n: [100, 100000000000] }\nprompt: { text: Hi, context: { from: filler, tokens: \"${n}\" } }",
        "prompt: { synthetic: { input_tokens: 100000000000 } }",
        "prompt: { synthetic: { input_tokens: 9, system_tokens: 100000000000 } }",
        "prompt: { synthetic: { input_tokens: 9, prefix: { tokens: 100000000000 } } }",
    ] {
        refused(&sandbox(prompt), MOST);
    }
    let rows = sandbox("prompt: { dataset: rows.jsonl }");
    fs::write(rows.dir.path().join("rows.jsonl"), "{\"input_tokens\":100000000000}\n")
        .expect("rows");
    refused(&rows, "at most 16000000 can be made");
    let template = "prompt: { text: \"{{ filler(100000000000) }}\" }";
    refused(&sandbox(template), "at most 4000000 tokens at a time");
}

#[test]
fn a_plan_that_its_references_blow_up_is_refused() {
    let long = "x".repeat(100_000);
    let many = "${a}".repeat(5_000);
    let sandbox = sandbox(&format!(
        "params: {{ a: {{ type: string, default: {long} }} }}\nprompt: {{ text: \"{many}\" }}"
    ));
    refused(&sandbox, "with its references filled in, the plan is larger than");
}
