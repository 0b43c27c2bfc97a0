//! Every sample has the rows, sessions and times it should have.

use runner::plan::workload::{DatasetConfig, DatasetFormat, RecordedFailures, TimestampUnit};
use runner::workload::dataset::{Dataset, Row, RowPrompt};

use super::{messages, open, rows, sample, text, write};

fn read(name: &str, format: DatasetFormat) -> Vec<Row> {
    let dataset = open(sample(name));
    assert_eq!(dataset.format(), format, "{name}: {}", dataset.why());
    rows(&dataset)
}

fn ms(row: &Row) -> Option<u64> {
    row.timestamp_ns.map(|ns| ns / 1_000_000)
}

/// Milliseconds from 1970 to the samples' 2026-03-01T09:00:00Z.
const MARCH_2026: u64 = 1_772_355_600_000;
/// Milliseconds from 1970 to the samples' 2024-01-01T10:00:00Z.
const JANUARY_2024: u64 = 1_704_103_200_000;

#[test]
fn generic_rows_keep_their_fields_for_templates() {
    let all = read("questions.jsonl", DatasetFormat::Jsonl);
    assert_eq!(all.len(), 3);
    assert_eq!(all[1].fields["answer"], "Barrels.");
    assert_eq!(all[1].prompt, RowPrompt::Fields);
    assert!(all[1].place.to_string().ends_with("questions.jsonl:2"));

    let all = read("questions.json", DatasetFormat::Json);
    assert_eq!(all.len(), 3);
    assert_eq!((text(&all[2]), all[2].max_tokens), ("Why is the sky dark at night?", Some(32)));
    assert_eq!(all[2].place.line, 4);

    let all = read("questions.csv", DatasetFormat::Csv);
    assert_eq!(all.len(), 3);
    assert_eq!((text(&all[0]), all[0].max_tokens), ("Name a river, any river.", Some(8)));
    assert_eq!(all[1].fields["topic"], "coopers\nand casks");
    assert_eq!((text(&all[2]), all[2].place.line), ("Say \"hello\".", 5));
}

#[test]
fn texts_are_rows_by_line_or_by_file() {
    let all = read("lines.txt", DatasetFormat::Lines);
    assert_eq!(all.len(), 3);
    assert_eq!((text(&all[1]), all[1].place.line), ("What does a cooper make?", 3));

    let all = read("documents/*.txt", DatasetFormat::Text);
    assert_eq!(all.len(), 2);
    assert!(text(&all[0]).starts_with("Coopers make") && text(&all[0]).contains('\n'));
    assert_eq!(all[1].fields["text"].as_str(), Some(text(&all[1])));
}

#[test]
fn sharegpt_entries_may_be_json_text_and_may_say_role_and_content() {
    let all = read("sharegpt.json", DatasetFormat::ShareGpt);
    assert_eq!(all.len(), 3);
    assert_eq!(messages(&all[0])[1], ("assistant", "Barrels, casks and tubs."));
    assert_eq!(all[0].answer().unwrap().said(), "Mostly oak.");
    assert_eq!(all[0].ask().unwrap().len(), 3);
    assert_eq!(messages(&all[1])[0], ("system", "Be brief."));
    assert_eq!(all[1].session.as_deref(), Some("river-1"));
    assert_eq!(messages(&all[2])[0], ("user", "Why is the sky dark at night?"));
}

#[test]
fn openai_messages_carry_sessions_and_times_of_both_kinds() {
    let all = read("openai-messages.jsonl", DatasetFormat::OpenaiMessages);
    let times: Vec<_> = all.iter().map(|row| ms(row).unwrap() - MARCH_2026).collect();
    assert_eq!(times, [0, 250, 2_500]);
    let sessions: Vec<_> = all.iter().map(|row| row.session.as_deref().unwrap()).collect();
    assert_eq!(sessions, ["alice", "bob", "alice"]);
    let parts = &all[1].ask().unwrap()[0];
    assert_eq!(parts.texts().collect::<Vec<_>>(), ["Which rivers ", "meet at Koblenz?"]);
    assert_eq!(all[0].token_limit(), Some(32));
}

#[test]
fn batch_lines_give_their_bodies_and_never_a_host() {
    let all = read("openai-batch.jsonl", DatasetFormat::OpenaiBatch);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].id.as_deref(), Some("request-1"));
    assert_eq!(all[0].max_tokens, Some(20));
    assert_eq!(all[0].model.as_deref(), Some("example-8b"));
    let body: Vec<_> = all[0].body.keys().collect();
    assert_eq!(body, ["temperature", "stream"]);
    assert_eq!(text(&all[1]), "The sky is dark at night because");
    assert_eq!(all[2].max_tokens, Some(12));
    assert_eq!(
        messages(&all[2]),
        [("system", "Be brief."), ("user", "Which rivers meet at Koblenz?")]
    );
}

#[test]
fn prompt_files_are_one_prompt_or_one_per_line() {
    let all = read("prompt-file.json", DatasetFormat::PromptFile);
    assert_eq!(all.len(), 1);
    assert_eq!(messages(&all[0])[1], ("user", "Which rivers meet at Koblenz?"));
    let all = read("prompt-file.jsonl", DatasetFormat::OpenaiMessages);
    assert_eq!(all.len(), 2);
    assert_eq!(messages(&all[1])[0], ("system", "Be brief."));
}

#[test]
fn chat_histories_skip_system_turns_and_name_them_and_other_fields() {
    let all = read("chat-history.json", DatasetFormat::ChatHistory);
    assert_eq!(all.len(), 2);
    assert_eq!(
        messages(&all[1]),
        [
            ("system", "You are a ferryman."),
            ("assistant", "Where to?"),
            ("user", "Across the Moselle, please.")
        ]
    );
    assert_eq!(all[1].left_out, ["system turns of the history", "turnXp"]);
}

#[test]
fn replay_logs_give_chat_requests_and_pass_over_other_lines() {
    let dataset = open(sample("replay-log.log"));
    assert_eq!(dataset.format(), DatasetFormat::ReplayLog);
    let mut reader = dataset.rows();
    let all: Vec<Row> = reader.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!(reader.counts().other, 1);
    let times: Vec<_> = all.iter().map(|row| ms(row).unwrap() - JANUARY_2024).collect();
    assert_eq!(times, [1_000, 1_000, 4_000]);
    assert_eq!(messages(&all[0]), [("user", "What does a {cooper} make?")]);
    assert_eq!(text(&all[1]), "The sky is dark at night because");
    assert_eq!(all[2].session.as_deref(), Some("conv-a"));
    assert_eq!(messages(&all[2]).len(), 3);
}

#[test]
fn token_logs_keep_ids_times_and_conversations() {
    let all = read("token-log.jsonl", DatasetFormat::TokenLog);
    let lengths: Vec<_> = all.iter().map(|row| row.known_input_tokens().unwrap()).collect();
    assert_eq!(lengths, [4, 9, 2]);
    assert_eq!(ms(&all[2]), Some(JANUARY_2024 + 5_500));
    assert_eq!(all[2].session.as_deref(), Some("conv-b"));
}

#[test]
fn mooncake_traces_count_milliseconds_and_blocks_of_512() {
    let all = read("mooncake.jsonl", DatasetFormat::Mooncake);
    assert_eq!(all[2].timestamp_ns, Some(3_027_500_000));
    assert_eq!(all[1].output_tokens, Some(26));
    match &all[1].prompt {
        RowPrompt::Blocks(blocks) => {
            assert_eq!(blocks.ids, [0, 1, 3]);
            assert_eq!((blocks.block_tokens, blocks.tokens), (512, 1536));
        }
        other => panic!("{other:?}"),
    }
    let all = read("mooncake-sessions.jsonl", DatasetFormat::Mooncake);
    assert_eq!((text(&all[1]), all[1].delay_ns), ("Of what wood?", Some(1_500_000_000)));
    assert_eq!(all[1].body["temperature"], 0);
    assert_eq!(all[2].prompt, RowPrompt::Length(300));
}

#[test]
fn azure_traces_are_lengths_at_calendar_times() {
    let all = read("azure.csv", DatasetFormat::Azure);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].prompt, RowPrompt::Length(374));
    assert_eq!(all[2].output_tokens, Some(55));
    let gap = all[1].timestamp_ns.unwrap() - all[0].timestamp_ns.unwrap();
    assert_eq!(gap, 4_314_579_000);
}

#[test]
fn burstgpt_rows_without_response_failed_and_older_files_lack_sessions() {
    let all = read("burstgpt.csv", DatasetFormat::BurstGpt);
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].session.as_deref(), Some("1"));
    let mut config = DatasetConfig::of(sample("burstgpt.csv"));
    config.recorded_failures = RecordedFailures::Keep;
    let all = rows(&Dataset::open(&config).unwrap());
    assert_eq!(all.len(), 3);
    assert!(all[1].failed && all[1].output_tokens.is_none());
    assert_eq!((ms(&all[1]), all[1].session.as_deref()), (Some(45_250), Some("2")));
    let older = read("burstgpt-older.csv", DatasetFormat::BurstGpt);
    assert_eq!(older.len(), 2);
    assert_eq!(older[0].session, None);
}

#[test]
fn evalscope_bodies_may_be_text_and_recorded_headers_are_dropped() {
    let all = read("evalscope-trace.jsonl", DatasetFormat::EvalscopeTrace);
    let times: Vec<_> = all.iter().map(|row| ms(row).unwrap() - MARCH_2026).collect();
    assert_eq!(times, [0, 1_500]);
    assert_eq!(all[0].output_tokens, Some(12));
    assert_eq!(messages(&all[1]), [("user", "Of what wood?")]);
    assert_eq!(all[1].max_tokens, Some(9));
    assert!(!format!("{:?}", all[0]).contains("not-to-be-sent"));
}

#[test]
fn weka_sessions_give_a_row_per_request_and_sub_agents_their_own_sessions() {
    let all = read("weka.json", DatasetFormat::Weka);
    let sessions: Vec<_> = all.iter().map(|row| row.session.as_deref().unwrap()).collect();
    assert_eq!(sessions, ["trace_0001", "trace_0001/search", "trace_0001"]);
    let times: Vec<_> = all.iter().map(|row| ms(row).unwrap()).collect();
    assert_eq!(times, [0, 4_500, 9_500]);
    assert_eq!(all[2].delay_ns, Some(1_250_000_000));
    match &all[2].prompt {
        RowPrompt::Blocks(blocks) => {
            assert_eq!((blocks.block_tokens, blocks.tokens), (64, 250));
            assert_eq!(blocks.scope.as_deref(), Some("trace_0001"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(read("weka.jsonl", DatasetFormat::Weka).len(), 3);
}

#[test]
fn pointers_find_parts_under_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        "log.jsonl",
        "{\"ts\": 1500, \"request\": {\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \
         \"max_tokens\": 7}, \"conversation\": {\"id\": 12}}\n",
    );
    let mut config = DatasetConfig::of(file);
    config.fields.timestamp = Some("/ts".into());
    config.fields.messages = Some("/request/messages".into());
    config.fields.max_tokens = Some("/request/max_tokens".into());
    config.fields.session = Some("/conversation/id".into());
    config.timestamp_unit = Some(TimestampUnit::Milliseconds);
    let all = rows(&Dataset::open(&config).unwrap());
    assert_eq!(messages(&all[0]), [("user", "hi")]);
    assert_eq!(ms(&all[0]), Some(1_500));
    assert_eq!(all[0].max_tokens, Some(7));
    assert_eq!(all[0].session.as_deref(), Some("12"));

    config.fields.messages = Some("/nowhere".into());
    let error = Dataset::open(&config).unwrap().rows().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("log.jsonl:1: expected a value at `/nowhere`"), "{error}");
}

#[test]
fn every_row_of_the_samples_table_is_read_as_its_format() {
    let table = std::fs::read_to_string(sample("README.md")).unwrap();
    let rows_of_table = table.lines().filter(|line| line.starts_with("| `"));
    let mut listed: Vec<(String, String)> = rows_of_table
        .map(|line| {
            let mut names = line.split('`').skip(1).step_by(2).map(str::to_owned);
            names.next().zip(names.next()).expect("a file and its format")
        })
        .collect();
    for (file, format) in &listed {
        let dataset = open(sample(file));
        assert_eq!(dataset.format().word(), format, "{file}: {}", dataset.why());
        assert!(!rows(&dataset).is_empty(), "{file}");
    }
    for format in DatasetFormat::ALL {
        assert!(listed.iter().any(|(_, word)| word == format.word()), "{}", format.word());
    }
    // Single files, each once.
    listed.retain(|(file, _)| !file.contains('*'));
    listed.sort();
    let there = super::samples();
    let there: Vec<&str> = there.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(listed.iter().map(|(file, _)| file.as_str()).collect::<Vec<_>>(), there);
}
