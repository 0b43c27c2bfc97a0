//! `runner dataset inspect` and `convert`: surveys, our own lines, other tools' formats.

use std::fs;
use std::io::Write;

use runner::client::dialect::to_chat_words;
use runner::plan::workload::{DatasetConfig, DatasetFormat, OnMalformed, RecordedFailures};
use runner::request::{Message, Words};
use runner::workload::dataset::convert::{ConvertTo, convert};
use runner::workload::dataset::{Dataset, Row, RowPrompt};
use runner::workload::tokenizer::Tokenizer;

use super::{open, rows, sample, samples, without_places, write};

#[test]
fn a_survey_counts_rows_lengths_sessions_and_time() {
    let survey = |name: &str| {
        runner::workload::dataset::survey::survey(&open(sample(name)), &Tokenizer::Estimate)
            .unwrap()
    };
    let found = survey("openai-messages.jsonl");
    assert_eq!((found.rows, found.format), (3, "openai-messages"));
    let sessions = found.sessions.unwrap();
    assert_eq!((sessions.count, sessions.rows, sessions.is_estimate), (2, 3, false));
    let time = found.time.unwrap();
    assert_eq!(time.first, "2026-03-01T09:00:00Z");
    assert_eq!((time.seconds, time.out_of_order), (2.5, 0));
    let input = found.input_tokens.unwrap();
    assert_eq!((input.source.as_str(), input.count), ("estimate", 3));
    // "Which rivers meet at Koblenz?" at four characters per token.
    assert_eq!(input.min, 8);

    let found = survey("mooncake.jsonl");
    let input = found.input_tokens.unwrap();
    assert_eq!(
        (input.source.as_str(), input.min, input.max, input.total),
        ("trace", 700, 1536, 3436)
    );
    assert_eq!(found.output_tokens.unwrap().total, 578);
    assert_eq!(found.time.unwrap().first, "0.000 s");

    let found = survey("replay-log.log");
    assert_eq!((found.rows, found.other), (3, 1));
    let found = survey("burstgpt.csv");
    assert_eq!((found.rows, found.recorded_failures), (2, 1));
    assert_eq!(found.models, ["ChatGPT"]);
}

fn convert_to(dataset: &Dataset, to: ConvertTo) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    convert(dataset, to, &to_chat_words, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

#[test]
fn our_own_lines_are_read_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for path in samples() {
        let mut config = DatasetConfig::of(path.to_str().unwrap());
        config.recorded_failures = RecordedFailures::Keep;
        let dataset = Dataset::open(&config).unwrap();
        let text = convert_to(&dataset, ConvertTo::OpenaiMessages).unwrap();
        config.files = vec![write(folder.path(), "own.jsonl", text)];
        let stripped = |dataset: &Dataset| {
            let mut all = without_places(rows(dataset));
            for row in &mut all {
                row.fields = serde_json::Value::Null;
                row.place.line = 0;
                row.words = Words::Chat;
                // What stands in no field of the row has no place in a line of ours, and is counted.
                row.left_out.retain(|name| !name.contains(" of ") && name != "headers");
            }
            all
        };
        let lost = dataset.left_out().parts_in_words();
        let loses = ["chat-history.json", "evalscope-trace.jsonl", "openai-batch.jsonl"];
        assert_eq!(
            lost.is_some(),
            loses.iter().any(|name| path.ends_with(name)),
            "{}: {lost:?}",
            path.display()
        );
        let own = Dataset::open(&config).unwrap();
        assert_eq!(stripped(&own), stripped(&dataset), "{}", path.display());
    }
}

#[test]
fn conversations_become_sharegpt_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["openai-messages.jsonl", "chat-history.json", "sharegpt.json"] {
        let dataset = open(sample(name));
        let text = convert_to(&dataset, ConvertTo::ShareGpt).unwrap();
        let back = open(write(folder.path(), "out.json", text));
        assert_eq!(back.format(), DatasetFormat::ShareGpt);
        let (before, after) = (rows(&dataset), rows(&back));
        let texts = |rows: &[Row]| -> Vec<Vec<(String, String)>> {
            let text = |message: &Message| (message.role.clone(), message.said());
            let of = |row: &Row| match &row.prompt {
                RowPrompt::Messages(messages) => messages.iter().map(text).collect(),
                other => panic!("{other:?}"),
            };
            rows.iter().map(of).collect()
        };
        assert_eq!(texts(&after), texts(&before));
    }
    let error = convert_to(&open(sample("azure.csv")), ConvertTo::ShareGpt).unwrap_err();
    assert!(error.contains("azure.csv:2: has no text"), "{error}");
}

#[test]
fn traces_become_mooncake_with_blocks_that_stand_for_shared_beginnings() {
    let folder = tempfile::tempdir().unwrap();
    let shared = "a long beginning ".repeat(300);
    let mut lines = Vec::new();
    for end in ["one", "two"] {
        let row = serde_json::json!({"prompt": format!("{shared}{end}"), "timestamp": 5.5});
        writeln!(lines, "{row}").unwrap();
    }
    let dataset = open(write(folder.path(), "in.jsonl", lines));
    let text = convert_to(&dataset, ConvertTo::Mooncake).unwrap();
    let back = rows(&open(write(folder.path(), "out.jsonl", text)));
    let ids = |row: &Row| match &row.prompt {
        RowPrompt::Blocks(blocks) => blocks.ids.clone(),
        other => panic!("{other:?}"),
    };
    let (one, two) = (ids(&back[0]), ids(&back[1]));
    assert_eq!(one.len(), 3);
    assert_eq!(one[..2], two[..2]);
    assert_ne!(one[2], two[2]);
    assert_eq!(back[0].known_input_tokens(), Some((300 * 17 + 3_u64).div_ceil(4)));
    assert_eq!(back[1].timestamp_ns, Some(0));

    let weka = convert_to(&open(sample("weka.json")), ConvertTo::Mooncake).unwrap();
    let back = rows(&open(write(folder.path(), "weka.jsonl", weka)));
    assert_eq!(ids(&back[0])[..3], ids(&back[2])[..3]);
    assert_eq!(back[2].timestamp_ns, Some(9_500_000_000));
}

#[test]
fn the_commands_show_convert_and_refuse_with_the_right_codes() {
    use runner::commands::dataset;
    let folder = tempfile::tempdir().unwrap();
    let good = DatasetConfig::of(sample("mooncake.jsonl"));
    assert_eq!(dataset::inspect(&good, None, true).unwrap(), 0);
    assert_eq!(dataset::inspect(&good, None, false).unwrap(), 0);
    let mut bad = DatasetConfig::of(write(folder.path(), "a.jsonl", "{\"prompt\": \"a\"}\n{\n"));
    assert_eq!(dataset::inspect(&bad, None, false).unwrap(), 3);
    let output = folder.path().join("out.jsonl");
    let to = ConvertTo::OpenaiMessages;
    assert_eq!(dataset::convert(&bad, to, &output, false).unwrap(), 3);
    assert!(!output.exists());
    bad.malformed = OnMalformed::Skip;
    assert_eq!(dataset::inspect(&bad, None, false).unwrap(), 0);
    assert_eq!(dataset::convert(&bad, to, &output, false).unwrap(), 0);
    assert_eq!(dataset::convert(&good, to, &output, false).unwrap(), 3);
    assert_eq!(fs::read_to_string(&output).unwrap(), "{\"prompt\":\"a\"}\n");
    assert_eq!(dataset::convert(&good, to, &output, true).unwrap(), 0);
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 3);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_command_line_reads_files_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "log.csv", "when,question\n100,What is a page?\n350,What is a lock?\n");
    write(folder.path(), "bad.jsonl", "{\"prompt\": \"a\"}\n{\n");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(folder.path()).env_clear();
        let output = command.args(arguments).output().expect("runner starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let told =
        ["--field", "prompt=/question", "--field", "timestamp=/when", "--timestamp-unit", "ms"];
    let mut words = vec!["dataset", "inspect", "log.csv", "--output-format", "json"];
    words.extend(told);
    let (code, survey, _) = run(&words);
    let survey: serde_json::Value = serde_json::from_str(&survey).unwrap();
    assert_eq!((code, &survey["rows"]), (Some(0), &2.into()));
    assert_eq!(survey["time"]["seconds"], 0.25);
    assert_eq!(survey["prompts"][0][0], "text");

    let mut words = vec!["dataset", "convert", "log.csv", "-o", "log.jsonl"];
    words.extend(told);
    let (code, _, said) = run(&words);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("log.jsonl: 2 rows from csv"), "{said}");
    let (code, _, said) = run(&words);
    assert_eq!(code, Some(3));
    assert!(said.contains("--overwrite replaces it"), "{said}");
    words.push("--overwrite");
    assert_eq!(run(&words).0, Some(0));
    let (code, shown, _) = run(&["dataset", "inspect", "log.jsonl"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("time      0.100 s to 0.350 s"), "{shown}");

    let (code, shown, _) = run(&["dataset", "inspect", "bad.jsonl"]);
    assert_eq!(code, Some(3));
    assert!(shown.contains("bad.jsonl:2: expected one JSON value"), "{shown}");
    assert_eq!(run(&["dataset", "inspect", "bad.jsonl", "--on-malformed", "skip"]).0, Some(0));
    write(folder.path(), "empty.jsonl", "");
    let (code, shown, _) = run(&["dataset", "inspect", "empty.jsonl"]);
    assert_eq!(code, Some(3));
    assert!(shown.contains("there is nothing in it") && shown.contains("rows      0\n"), "{shown}");
    let (_, shown, _) = run(&["dataset", "inspect", "log.csv", "--format", "csv"]);
    assert!(shown.contains("csv (as named)") && shown.contains("--field prompt=/NAME"), "{shown}");

    let convert = |from: &'static str, to: &'static str| ["dataset", "convert", from, "-o", to];
    for (words, part) in [
        (convert("empty.jsonl", "none.jsonl"), "no rows were found"),
        (convert("log.jsonl", "none.jsonl.gz"), "plain text is written"),
        (convert("log.jsonl", "-"), "takes a file"),
        (convert("log.jsonl", "nowhere/none.jsonl"), "nowhere/none.jsonl: can't be written"),
    ] {
        let (code, _, said) = run(&words);
        assert!(code == Some(3) && said.contains(part), "{said}");
    }
    for name in ["none.jsonl", "none.jsonl.gz", "-", "nowhere"] {
        assert!(!folder.path().join(name).exists(), "{name} was left");
    }
    for (words, part) in [
        (&["dataset", "inspect", "no.jsonl"][..], "no.jsonl: no such file"),
        (&["dataset", "inspect", "log.csv", "--format", "sharegtp"], "did you mean `sharegpt`?"),
        (
            &["dataset", "inspect", "log.csv", "--field", "promt=/question"],
            "did you mean `prompt`?",
        ),
        (&["dataset", "inspect", "log.csv", "--field", "prompt=question"], "no JSON pointer"),
    ] {
        let (code, _, said) = run(words);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn rows_in_the_words_of_the_responses_api_become_chats_or_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tool = serde_json::json!({ "type": "function", "name": "tide", "parameters": {} });
    let row = |tool: &serde_json::Value| {
        serde_json::json!({
            "custom_id": "r1", "method": "POST", "url": "/v1/responses",
            "body": {
                "model": "m", "instructions": "Be short.", "tools": [tool],
                "reasoning": { "effort": "high" },
                "input": [
                    { "role": "user", "content": [
                        { "type": "input_text", "text": "Which harbour?" },
                        { "type": "input_image", "image_url": "http://a/quay.png" },
                    ] },
                    { "type": "function_call", "call_id": "c1", "name": "tide", "arguments": "{}" },
                    { "type": "function_call_output", "call_id": "c1", "output": "low" },
                ],
            },
        })
    };
    let converted = |name: &str, tool: &serde_json::Value| {
        let text = row(tool).to_string() + "\n";
        convert_to(&open(write(folder.path(), name, text)), ConvertTo::OpenaiMessages)
    };
    let line: serde_json::Value =
        serde_json::from_slice(&converted("rows.jsonl", &tool).unwrap()).unwrap();
    let messages = &line["messages"];
    assert_eq!(messages[0]["role"], "system", "{line}");
    assert_eq!(messages[1]["content"][0]["type"], "text", "{line}");
    assert_eq!(messages[1]["content"][1]["image_url"]["url"], "http://a/quay.png", "{line}");
    assert_eq!(messages[2]["tool_calls"][0]["function"]["name"], "tide", "{line}");
    assert_eq!(messages[3]["tool_call_id"], "c1", "{line}");
    assert_eq!(line["body"]["tools"][0]["function"]["name"], "tide", "{line}");
    assert_eq!(line["body"]["reasoning_effort"], "high", "{line}");
    let search = serde_json::json!({ "type": "web_search" });
    let refused = converted("search.jsonl", &search).unwrap_err();
    assert!(refused.contains("search.jsonl:1: `tools` has no form"), "{refused}");
}
