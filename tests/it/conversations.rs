//! Sessions of several turns against the embedded simulator.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// Runs a plan of one `conversation` stage; gives its exit code, its summary and its records in the
/// order of their numbers.
fn run(simulator: &str, stage: &str) -> (Option<i32>, Value, Vec<Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let turn = |session: u64, turn: u64| {
        json!({
            "session": format!("s{session}"),
            "messages": [{ "role": "user", "content": format!("{} Question {turn} of session {session}.", "Some words to fill a block or two with. ".repeat(3)) }],
        })
    };
    let rows: Vec<String> =
        (0..4).flat_map(|it| (0..3).map(move |number| turn(it, number).to_string())).collect();
    fs::write(folder.path().join("rows.jsonl"), rows.join("\n")).expect("rows");
    let plan = format!(
        "version: 1\nendpoint: {{ simulator: {{ prefill_rate: 1M, overhead: 0ms{simulator} }} }}\n\
         prompt: {{ dataset: rows.jsonl, max_tokens: 20 }}\n\
         stages: [{{ id: chats, kind: conversation{stage} }}]\n"
    );
    fs::write(folder.path().join("plan.yaml"), plan).expect("a plan");
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["run", "plan.yaml", "--output-format", "json", "--sink", "jsonl:records.jsonl"])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("runner starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    let text = fs::read_to_string(folder.path().join("records.jsonl")).expect("records");
    let mut records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // The first line says which run it is.
    records.retain(|record| record["index"].is_u64());
    records.sort_by_key(|record| record["index"].as_u64());
    (output.status.code(), summary, records)
}

fn outcomes(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .filter_map(|record| record["outcome"]["kind"].as_str().or(record["outcome"].as_str()))
        .collect()
}

#[test]
fn each_turn_follows_the_answer_before_it_and_carries_it() {
    let (code, summary, records) = run("", ", concurrency: 2, think: 5ms, system: Be brief.");
    assert_eq!(code, Some(0), "{summary}");
    assert_eq!(summary["stages"][0]["counts"]["planned"], 12);
    assert_eq!(summary["stages"][0]["counts"]["ok"], 12);
    for session in records.chunks(3) {
        for turns in session.windows(2) {
            let (before, after) = (&turns[0], &turns[1]);
            assert!(before["end_ns"].as_u64() < after["sent_ns"].as_u64());
            let tokens = |record: &Value| record["input_tokens"]["server"].as_u64().expect("said");
            // The turn before, its answer of 20 tokens, and the question.
            assert!(tokens(after) > tokens(before) + 40, "{before} {after}");
            let cached = after["cached_tokens"].as_u64().expect("the simulator says");
            assert!(
                cached + 16 > tokens(before),
                "{cached} tokens of {} came back",
                tokens(before)
            );
        }
    }
    let sent = |index: usize| records[index]["sent_ns"].as_u64();
    assert!(sent(3) < records[0]["end_ns"].as_u64().max(sent(1)), "two talk at a time");
}

#[test]
fn a_failed_turn_leaves_its_successors_unsent_and_counted() {
    let faults = ", faults: [{ from: 1, status: 500 }]";
    let (_, summary, records) = run(faults, ", concurrency: 1");
    let stage = &summary["stages"][0];
    let counts = &stage["counts"];
    assert_eq!(
        (&counts["planned"], &counts["ok"], &counts["errors"], &counts["never_started"]),
        (&json!(12), &json!(10), &json!(1), &json!(1)),
        "{counts}"
    );
    assert_eq!(stage["reason"], "1 of 4 sessions broke off; 1 of their turns never started");
    assert_eq!(outcomes(&records)[2], "never_started");
    assert_eq!(records.len(), 12);
}

#[test]
fn sessions_go_round_leave_early_and_stop_joining() {
    let (code, summary, records) = run("", ", concurrency: 3, sessions: 6, turns: 2");
    assert_eq!(code, Some(0), "{summary}");
    assert_eq!(records.len(), 12);
    let (code, summary, records) = run("", ", concurrency: 1, duration: 150ms, history: recorded");
    assert_eq!(code, Some(0), "{summary}");
    assert!(records.len() >= 3 && records.len().is_multiple_of(3), "{}", records.len());
    assert_eq!(summary["stages"][0]["counts"]["planned"], records.len());
}
