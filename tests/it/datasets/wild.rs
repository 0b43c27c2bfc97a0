//! Rows as people have them: other roles, other units, no prompt at all.

use std::fs;

use runner::client::dialect::to_chat_words;
use runner::plan::workload::{DatasetConfig, DatasetFormat, OnMalformed, TimestampUnit};
use runner::workload::dataset::convert::{ConvertTo, convert};
use runner::workload::dataset::{Dataset, RowPrompt};
use serde_json::{Value, json};

use super::{messages, open, rows, sample, text, write};
use crate::sandbox::{Sandbox, code, records, stderr};

/// What `dataset convert` makes of a file: whole messages.
fn converted(file: &str) -> Vec<Value> {
    let mut out = Vec::new();
    convert(&open(file), ConvertTo::OpenaiMessages, &to_chat_words, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn sharegpt_roles_are_known_in_any_spelling_and_systems_stand_in_front() {
    let folder = tempfile::tempdir().unwrap();
    let chats = json!([
        { "id": "a", "system": "Be kind.", "conversations": [
            { "from": "Human", "value": "Where is the harbour?", "weight": null },
            { "from": "GPT", "value": "Behind the church.", "weight": 1 } ] },
        { "id": "b", "system": "Not this.", "conversations": [
            { "from": "system", "value": "This." }, { "from": "USER", "value": "Hi" },
            { "from": "chatgpt", "value": "Ho" }, { "from": "user", "value": "Hum" },
            { "from": "Bing", "value": "Ha" } ] },
        { "conversation": [ { "role": "user", "content": "x" }, { "role": "assistant", "content": "y" } ],
          "model": "m" },
    ]);
    let dataset = open(write(folder.path(), "chats.json", chats.to_string()));
    assert_eq!(dataset.format(), DatasetFormat::ShareGpt);
    let all = rows(&dataset);
    assert_eq!(
        messages(&all[0]),
        [
            ("system", "Be kind."),
            ("user", "Where is the harbour?"),
            ("assistant", "Behind the church.")
        ]
    );
    let roles: Vec<_> = messages(&all[1]).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    assert_eq!(messages(&all[1])[0].1, "This.");
    assert_eq!(all[1].left_out, ["system"]);
    assert_eq!(messages(&all[2]), [("user", "x"), ("assistant", "y")]);
}

#[test]
fn sharegpt_tool_turns_become_calls_and_their_results() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = json!({ "name": "tide", "arguments": { "port": "Husum" } });
    let chats = json!([{ "tools": "[{\"name\": \"tide\", \"parameters\": {}}]", "conversations": [
        { "from": "human", "value": "When is high water?" },
        { "from": "function_call", "value": arguments.to_string() },
        { "from": "observation", "value": "14:10" },
        { "from": "gpt", "value": "At ten past two." } ] }]);
    let row = &converted(&write(folder.path(), "tools.json", chats.to_string()))[0];
    let call = &row["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"], json!({ "name": "tide", "arguments": "{\"port\":\"Husum\"}" }));
    assert_eq!(row["messages"][2]["role"], "tool");
    assert_eq!(row["messages"][2]["tool_call_id"], call["id"]);
    let named = |tool: &Value| tool["function"]["name"] == "tide" && tool["type"] == "function";
    assert!(row.to_string().contains("parameters") && named(&row["body"]["tools"][0]), "{row}");
}

#[test]
fn a_role_that_nobody_knows_is_malformed_and_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let chats = json!([{ "conversations": [{ "from": "narrator", "value": "Once" }] }]);
    let dataset = open(write(folder.path(), "chats.json", chats.to_string()));
    let error = dataset.rows().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("chats.json:1: expected a role such as `human`"), "{error}");
    assert!(error.ends_with("found `narrator`"), "{error}");
}

#[test]
fn a_sample_of_the_third_seed_may_lack_its_system_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let chats = json!([{ "cut_chat_history": [{ "role": "user", "content": "Hello!" }] }]);
    let dataset = open(write(folder.path(), "chats.json", chats.to_string()));
    assert_eq!(dataset.format(), DatasetFormat::ChatHistory);
    assert_eq!(messages(&rows(&dataset)[0]), [("user", "Hello!")]);
}

#[test]
fn a_list_of_texts_is_a_list_of_prompts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("a.json", "[\"first one\",\n \"second \\\"one\\\"\"]"),
        ("a.jsonl", "\"first one\"\n\"second \\\"one\\\"\"\n"),
    ] {
        let all = rows(&open(write(folder.path(), name, content)));
        assert_eq!((text(&all[0]), text(&all[1])), ("first one", "second \"one\""), "{name}");
        assert_eq!(all[1].place.line, 2);
    }
}

fn blocks(file: &str, block_tokens: Option<u64>) -> Vec<(u64, u64, usize)> {
    let config = DatasetConfig { block_tokens, ..DatasetConfig::of(file) };
    let of = |prompt: &RowPrompt| match prompt {
        RowPrompt::Blocks(blocks) => (blocks.block_tokens, blocks.tokens, blocks.ids.len()),
        other => panic!("{other:?}"),
    };
    rows(&Dataset::open(&config).unwrap()).iter().map(|row| of(&row.prompt)).collect()
}

#[test]
fn blocks_are_as_large_as_the_plan_the_row_or_the_format_says() {
    let folder = tempfile::tempdir().unwrap();
    let line = |size: &str| {
        format!(
            "{{\"timestamp\": 0, \"input_length\": 40, \"output_length\": 2{size}, \"hash_ids\": [1, 2, 3]}}\n"
        )
    };
    let lines = line("") + &line(", \"block_size\": 20");
    let file = write(folder.path(), "rows.jsonl", lines);
    let error = open(file.as_str()).rows().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("expected at most 1 ids for 40 tokens"), "{error}");
    assert_eq!(blocks(&file, Some(16)), [(16, 40, 3), (16, 40, 3)]);

    let file = sample("bailian.jsonl");
    assert_eq!(open(file.as_str()).format(), DatasetFormat::Bailian);
    assert_eq!(blocks(&file, None), [(16, 70, 5), (16, 20, 2), (16, 100, 7)]);
    let times: Vec<_> = rows(&open(file)).iter().map(|row| row.timestamp_ns.unwrap()).collect();
    assert_eq!(times, [0, 250_000_000, 4_500_000_000]);
}

/// The first row's prompt has 70 tokens in 5 blocks, of which the third row begins with 4.
#[test]
fn rows_of_a_trace_hit_what_their_blocks_share() {
    let sandbox = Sandbox::new();
    fs::copy(sample("bailian.jsonl"), sandbox.dir.path().join("rows.jsonl")).unwrap();
    sandbox.plan(
        "version: 1\nendpoint: { simulator: { block_tokens: 16 } }\nprompt: { dataset: { path: rows.jsonl, output: plan }, max_tokens: 1, unique: never }\nstages:\n  - { id: s, kind: load, concurrency: 1, requests: 3 }\n",
    );
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let cached: Vec<_> = records(&sandbox.run_dir())
        .iter()
        .map(|record| record["cached_tokens"].as_u64().unwrap_or(0))
        .collect();
    assert_eq!(cached, [0, 0, 64]);
}

#[test]
fn times_are_read_by_their_size_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let row = |stamp: &str| format!("{{\"prompt\": \"a\", \"timestamp\": {stamp}}}\n");
    for (name, stamp, said) in [
        ("s.jsonl", "1700000000.5", false),
        ("ms.jsonl", "1700000000500", true),
        ("us.jsonl", "1700000000500000", true),
    ] {
        let dataset = open(write(folder.path(), name, row(stamp)));
        assert_eq!(rows(&dataset)[0].timestamp_ns, Some(1_700_000_000_500_000_000), "{name}");
        assert_eq!(dataset.why().contains("`timestamp_unit`"), said, "{name}: {}", dataset.why());
    }
    let file = write(folder.path(), "named.jsonl", row("1700000000500"));
    let timestamp_unit = Some(TimestampUnit::Microseconds);
    let dataset = Dataset::open(&DatasetConfig { timestamp_unit, ..DatasetConfig::of(file) });
    let dataset = dataset.unwrap();
    assert_eq!(rows(&dataset)[0].timestamp_ns, Some(1_700_000_000_500_000));
    assert!(!dataset.why().contains("timestamp_unit"));
    let line = "{\"timestamp\": 1700000000, \"input_length\": 4, \"output_length\": 2}\n";
    let dataset = open(write(folder.path(), "mooncake.jsonl", line));
    assert!(dataset.why().contains("read as milliseconds"), "{}", dataset.why());
}

#[test]
fn rows_without_a_prompt_are_malformed_where_rows_are_asked_as_they_are() {
    let sandbox = Sandbox::new();
    let file = write(
        sandbox.dir.path(),
        "rows.jsonl",
        "{\"prompt\": \"x\"}\n{\"question\": \"q\"}\n{\"input_length\": 40, \"output_length\": 4}\n",
    );
    let plan = |dataset: &str| {
        sandbox.plan(&format!(
            "version: 1\nendpoint: {{ simulator: {{}} }}\nprompt: {{ dataset: {dataset}, max_tokens: 2 }}\nstages:\n  - {{ kind: load, id: s, concurrency: 1, requests: 4 }}\n"
        ));
    };
    plan("rows.jsonl");
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains("rows.jsonl:2: expected a prompt of its own"), "{told}");
    assert!(told.contains("row.question") && told.contains("on_malformed: skip"), "{told}");
    assert!(!sandbox.dir.path().join("results").exists());
    plan("{ path: rows.jsonl, on_malformed: skip }");
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("1 malformed row is left out"), "{}", stderr(&output));
    assert_eq!(records(&sandbox.run_dir()).len(), 4);
    // Where nothing is left, it says why.
    let config = DatasetConfig {
        asked: true,
        malformed: OnMalformed::Skip,
        ..DatasetConfig::of(write(sandbox.dir.path(), "none.jsonl", "{\"question\": \"q\"}\n"))
    };
    let none = Dataset::open(&config).unwrap().indexed().cycled(0).unwrap_err().to_string();
    assert!(none.contains("no rows (read as jsonl; 1 malformed row was left out"), "{none}");
    let shown = sandbox.run(&["dataset", "inspect", &file]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("1 without a prompt"), "{shown}");
}

#[test]
fn what_a_file_says_never_reaches_the_terminal_as_it_is() {
    let sandbox = Sandbox::new();
    write(sandbox.dir.path(), "rows.csv", "prompt\u{1b}[31m,x\u{1b}]0;pwn\u{7}\na\n");
    write(sandbox.dir.path(), "rows.jsonl", "{\"prompt\": \"a\", \"model\": \"\u{9b}31m\"}\n");
    write(sandbox.dir.path(), "fields.jsonl", "{\"\\u001b[31mred\": 1}\n");
    sandbox.plan(
        "version: 1\nendpoint: { simulator: {} }\nprompt: { dataset: rows.csv }\nstages:\n  - kind: cold\n  - { id: t, kind: load, concurrency: 1, requests: 1, prompt: { dataset: fields.jsonl, text: \"{{ row.blue }}\" } }\n  - { id: u, kind: load, concurrency: 1, requests: 1, prompt: { dataset: fields.jsonl } }\n",
    );
    for arguments in [
        &["dataset", "inspect", "rows.csv"][..],
        &["dataset", "inspect", "rows.jsonl"],
        &["dataset", "inspect", "fields.jsonl"],
        &["validate", "plan.yaml"],
        &["dataset", "convert", "rows.csv", "-o", "out.jsonl"],
    ] {
        let output = sandbox.run(arguments);
        for bytes in [output.stdout, output.stderr] {
            let shown = String::from_utf8(bytes).unwrap();
            let obeyed = |it: char| it.is_control() && it != '\n';
            assert!(!shown.contains(obeyed), "{arguments:?}: {shown:?}");
        }
    }
}
