//! Sessions of several turns against the embedded simulator.

use std::fs;
use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, measured, stderr};

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
    let output = measured(folder.path(), || {
        Command::new(env!("CARGO_BIN_EXE_runner"))
            .args(["run", "plan.yaml", "--output-format", "json", "--sink", "jsonl:records.jsonl"])
            .current_dir(folder.path())
            .env_clear()
            .output()
            .expect("runner starts")
    });
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

/// `runner` in a folder with this plan and a file of rows of two sessions of two turns.
fn with_body(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let turn = |session: &str, topic: &str| {
        json!({
            "session": session,
            "topic": topic,
            "messages": [{ "role": "user", "content": format!("Tell me about {topic}.") }],
        })
    };
    let rows = [turn("a", "rivers"), turn("a", "lakes"), turn("b", "seas"), turn("b", "oceans")];
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(folder.path().join("rows.jsonl"), rows.join("\n")).expect("rows");
    let plan = "version: 1\nnonce: fixed\nendpoint: { simulator: { prefill_rate: 1M, overhead: 0ms } }\n\
        prompt:\n  dataset: rows.jsonl\n  max_tokens: 20\n  unique: request\n\
        \x20 body: { user: \"{{ row.topic }} {{ i }} of {{ stage }}\", n: 1 }\n\
        stages: [{ id: chats, kind: conversation }]\n";
    fs::write(folder.path().join("plan.yaml"), plan).expect("a plan");
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("runner starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn shown(index: &str) -> (Value, String) {
    let (code, out, told) =
        with_body(&["plan", "plan.yaml", "--request", "chats", "--index", index]);
    assert_eq!(code, Some(0), "{told}");
    let (_, body) = out.split_once("\n\n").expect("a head and a body");
    (serde_json::from_str(body).expect("JSON"), told)
}

#[test]
fn templates_of_the_body_are_rendered_for_each_turn_and_each_can_be_shown() {
    let (first, told) = shown("0");
    assert_eq!((&first["user"], &first["n"]), (&json!("rivers 0 of chats"), &json!(1)));
    assert!(!told.contains("ANSWER"), "{told}");
    let opening = first["messages"][0]["content"].as_str().expect("text").to_owned();
    assert!(opening.starts_with('[') && opening.ends_with("]\nTell me about rivers."), "{opening}");

    let (second, told) = shown("1");
    assert_eq!(second["user"], "lakes 1 of chats");
    let said: Vec<_> =
        second["messages"].as_array().expect("messages").iter().map(|it| &it["content"]).collect();
    assert_eq!(said, [&json!(opening), &json!("ANSWER"), &json!("Tell me about lakes.")]);
    assert!(told.contains("ANSWER stands for what the endpoint will have answered"), "{told}");

    let (last, _) = shown("3");
    assert_eq!(last["user"], "oceans 3 of chats");
    assert_ne!(last["messages"][0]["content"].as_str().map(|it| &it[..14]), Some(&opening[..14]));
    let (code, _, told) = with_body(&["plan", "plan.yaml", "--request", "chats", "--index", "4"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("`chats` has 4 requests; give `--index` a number from 0 to 3"), "{told}");
}

#[test]
fn sessions_that_lie_apart_in_a_large_packed_file_are_refused_before_anything_is_sent() {
    let sandbox = Sandbox::new();
    // Packed without being made smaller, so the file is larger than may be unpacked again for a row.
    let words = "word ".repeat(200_000);
    let write = |name: &str, session: fn(usize) -> usize| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        for turn in 0..36 {
            let session = format!("s{}", session(turn));
            let row = json!({"session": session, "messages": [{"role": "user", "content": words}]});
            writeln!(packed, "{row}").expect("a row");
        }
        fs::write(sandbox.dir.path().join(name), packed.finish().expect("bytes")).expect("a file");
    };
    write("apart.jsonl.gz", |turn| turn % 18);
    write("sorted.jsonl.gz", |turn| turn / 2);
    let refused = |name: &str| {
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ url: \"http://127.0.0.1:9\", model: m }}\n\
             prompt: {{ dataset: {name}, max_tokens: 1 }}\n\
             stages: [{{ id: chats, kind: conversation, sessions: 1 }}]\n"
        ));
        stderr(&sandbox.run(&["run", "plan.yaml"]))
    };
    let said = refused("apart.jsonl.gz");
    for part in ["rows of one session stand between those of others in a packed file", "unpack it"]
    {
        assert!(said.contains(part), "no {part} in {said}");
    }
    let said = refused("sorted.jsonl.gz");
    assert!(!said.contains("stand between"), "{said}");
}

#[test]
fn the_plan_tells_how_many_turns_there_will_be() {
    let (code, out, told) = with_body(&["plan", "plan.yaml", "--format", "json"]);
    assert_eq!(code, Some(0), "{told}");
    let plan: Value = serde_json::from_str(&out).expect("JSON");
    let stage = &plan["stages"][0];
    assert_eq!((&stage["requests"], &stage["estimated_output_tokens"]), (&json!(4), &json!(80)));
    // Two first turns, and two that carry an answer of twenty tokens.
    assert!(stage["estimated_input_tokens"].as_u64() > Some(4 * 5 + 2 * (20 + 5)), "{stage}");
    let (code, _, told) = with_body(&["run", "plan.yaml"]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_body_that_fails_late_fails_its_turn_and_every_turn_is_accounted_for() {
    let (code, _, told) =
        with_body(&["run", "plan.yaml", "--set", "prompt.body.user=\"{{ row.absent }}\""]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("row.absent") || told.contains("absent"), "{told}");
    let late = "prompt.body.user=\"{{ 1 // (1 - turn) }}\"";
    let (_, out, told) = with_body(&["run", "plan.yaml", "--output-format", "json", "--set", late]);
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    let stage = &summary["stages"][0];
    let counts = &stage["counts"];
    assert_eq!((&counts["ok"], &counts["errors"]), (&json!(2), &json!(2)), "{stage}");
    assert_eq!(stage["errors"], json!({"request.unmade": 2}), "{stage}");
    for part in ["request 1 can't be made: ", "--set:1:", "`prompt.body.user`"] {
        assert!(told.contains(part), "no {part} in {told}");
    }
}

#[test]
fn nobody_is_asked_to_count_while_turns_are_measured() {
    let (_, _, records) = run("", "");
    assert_eq!(records.len(), 12);
    for record in records {
        assert!(record["input_tokens"]["tokenizer"].is_null(), "{record}");
        assert!(record["input_tokens"]["server"].is_u64(), "{record}");
    }
}

#[test]
fn answers_that_nobody_recorded_are_said_to_be_those_of_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let row = |session: &str, text: &str| json!({ "session": session, "prompt": text }).to_string();
    let rows = [row("a", "rivers"), row("a", "lakes"), row("b", "seas"), row("a", "ponds")];
    fs::write(folder.path().join("rows.jsonl"), rows.join("\n")).expect("rows");
    let plan = "version: 1\nendpoint: { simulator: { prefill_rate: 1M, overhead: 0ms } }\n\
        prompt: { dataset: rows.jsonl, max_tokens: 4 }\n\
        stages: [{ id: chats, kind: conversation, history: recorded }]\n";
    fs::write(folder.path().join("plan.yaml"), plan).expect("a plan");
    let runner = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_runner"))
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .output()
            .expect("runner runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8_lossy(&output.stderr)
    };
    let words = "`history: recorded`: 2 later turns with this run's answer to the one before";
    for arguments in [["validate", "plan.yaml"], ["run", "plan.yaml"]] {
        let said = runner(&arguments);
        assert!(said.contains(words), "{said}");
    }
}
