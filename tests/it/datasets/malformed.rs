//! Malformed rows of every format, and bytes that are no rows at all.

use std::fs;

use proptest::prelude::*;
use runner::plan::workload::{DatasetConfig, DatasetFormat, OnMalformed};
use runner::workload::dataset::{Dataset, DatasetError, MAX_UNIT_BYTES, Row};

use super::{open, samples, text, write};

/// A format, a file with one good row, one malformed and one good, and what the error says.
const MALFORMED: [(&str, &str, &str, &str); 15] = [
    ("jsonl", "a.jsonl", "{\"a\": 1}\n{\"a\": \n{\"a\": 2}\n", ":2: expected one JSON value"),
    (
        "json",
        "a.json",
        "[{\"a\": 1},\n 12,\n {\"a\": 2}]",
        ":2: expected an object, or a text that is a prompt, found the number 12",
    ),
    (
        "csv",
        "a.csv",
        "prompt,n\na,1\nb\nc,3\n",
        ":3: expected 2 columns (prompt, n), found 1 columns",
    ),
    (
        "sharegpt",
        "a.json",
        "[{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}]},\n{\"conversations\": [{\"from\": \"human\"}]},\n{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}]}]",
        ":2: expected {from, value} or {role, content} in `conversations/0`",
    ),
    (
        "openai-messages",
        "a.jsonl",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n{\"messages\": []}\n{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n",
        ":2: expected at least one message in `messages`",
    ),
    (
        "openai-batch",
        "a.jsonl",
        "{\"custom_id\": \"1\", \"body\": {\"prompt\": \"q\"}}\n{\"custom_id\": \"2\", \"body\": {}}\n{\"custom_id\": \"3\", \"body\": {\"prompt\": \"q\"}}\n",
        ":2: expected `messages`, `prompt` or `input` in `body`",
    ),
    (
        "prompt-file",
        "a.json",
        "[{\"role\": \"user\", \"content\": \"q\"}]\n[{\"role\": \"user\", \"content\": 3}]\n[{\"role\": \"user\", \"content\": \"q\"}]\n",
        ":2: expected text in `/0/content`, found the number 3",
    ),
    (
        "chat-history",
        "a.json",
        "[{\"prompt_content\": \"s\", \"cut_chat_history\": []},\n{\"prompt_content\": \"s\", \"cut_chat_history\": [1]},\n{\"prompt_content\": \"s\", \"cut_chat_history\": []}]",
        ":2: expected {role, content} in `cut_chat_history/0`",
    ),
    (
        "replay-log",
        "a.log",
        "2024-01-01T10:00:01Z {\"message\":\"[Log chat request] {\\\"body\\\":{\\\"prompt\\\":\\\"q\\\"}}\"}\n2024-01-01T10:00:02Z {\"message\":\"[Log chat request] {\\\"body\\\":{\"}\n2024-01-01T10:00:03Z {\"message\":\"[Log chat request] {\\\"body\\\":{\\\"prompt\\\":\\\"q\\\"}}\"}\n",
        ":2: expected JSON after `[Log chat request]`",
    ),
    (
        "token-log",
        "a.jsonl",
        "{\"timestamp\": 1, \"messages\": [{\"role\": \"user\", \"content\": [1]}]}\n{\"timestamp\": 2, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n{\"timestamp\": 3, \"messages\": [{\"role\": \"user\", \"content\": [1]}]}\n",
        ":2: expected a list of ids in `messages/0/content`",
    ),
    (
        "mooncake",
        "a.jsonl",
        "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1, \"hash_ids\": [1, 2]}\n{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n",
        ":2: expected at most 1 ids for 5 tokens, found 2 ids of 512 tokens each",
    ),
    (
        "azure",
        "a.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,2\nyesterday,1,2\n2023-11-16 18:15:47,1,2\n",
        ":3: expected a time in `TIMESTAMP`, found the text `yesterday`",
    ),
    (
        "burstgpt",
        "a.csv",
        "Timestamp,Model,Request tokens,Response tokens\n1,m,2,3\n2,m,-2,3\n3,m,2,3\n",
        ":3: expected a count in `Request tokens`",
    ),
    (
        "evalscope-trace",
        "a.jsonl",
        "{\"timestamp\": 1, \"body\": {\"prompt\": \"q\"}}\n{\"timestamp\": 2, \"body\": \"{\"}\n{\"timestamp\": 3, \"body\": {\"prompt\": \"q\"}}\n",
        ":2: expected a request body, or JSON text that spells one, in `body`",
    ),
    (
        "weka",
        "a.jsonl",
        "{\"t\": 0, \"in\": 5, \"out\": 1}\n{\"t\": 1, \"out\": 1}\n{\"t\": 2, \"in\": 5, \"out\": 1}\n",
        ":2: expected a count in `in`, found the fields t, out",
    ),
];

#[test]
fn malformed_rows_are_named_or_skipped_and_counted() {
    for (format, name, content, says) in MALFORMED {
        let folder = tempfile::tempdir().unwrap();
        let mut config = DatasetConfig::of(write(folder.path(), name, content));
        config.format = DatasetFormat::from_name(format);
        assert!(config.format.is_some());
        let mut reader = Dataset::open(&config).unwrap().rows();
        assert!(reader.next().unwrap().is_ok(), "{format}");
        let error = reader.next().unwrap().unwrap_err();
        assert!(matches!(&error, DatasetError::Malformed(_)), "{format}: {error}");
        assert!(error.to_string().contains(says), "{format}: {error}");
        assert!(reader.next().is_none(), "{format}");

        config.malformed = OnMalformed::Skip;
        let mut reader = Dataset::open(&config).unwrap().rows();
        assert_eq!(reader.by_ref().flatten().count(), 2, "{format}");
        assert_eq!(reader.counts().malformed, 1, "{format}");
        assert!(reader.problems()[0].to_string().contains(says), "{format}");
    }
}

#[test]
fn text_in_another_encoding_is_malformed() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "a.txt", b"fine\nfa\xe7ade\nfine\n");
    let mut reader = open(file).rows();
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err().to_string();
    assert!(
        error.ends_with(":2: expected UTF-8 text, found another encoding at byte 2 of the row")
    );
}

#[test]
fn an_array_cut_short_is_malformed_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "a.json", "[{\"prompt\": \"a\"}, {\"prompt\": \"b\"");
    let mut reader = open(file).rows();
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("the file ends inside this value"), "{error}");
}

#[test]
fn an_open_quote_in_csv_does_not_take_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut content = b"prompt\na\n\"open\n".to_vec();
    content.resize(MAX_UNIT_BYTES + (1 << 20), b'x');
    let mut config = DatasetConfig::of(write(folder.path(), "a.csv", content));
    config.malformed = OnMalformed::Skip;
    let mut reader = Dataset::open(&config).unwrap().rows();
    assert_eq!(reader.by_ref().count(), 1);
    assert!(reader.problems()[0].to_string().contains("is a quote left open?"));
}

#[test]
fn a_line_that_is_too_long_is_malformed_and_the_next_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut content = b"a\n".to_vec();
    content.resize(MAX_UNIT_BYTES + 10, b'x');
    content.extend(b"\nb\n");
    let mut config = DatasetConfig::of(write(folder.path(), "a.txt", content));
    config.malformed = OnMalformed::Skip;
    let mut reader = Dataset::open(&config).unwrap().rows();
    let all: Vec<Row> = reader.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!((all.len(), text(&all[1]), all[1].place.line), (2, "b", 3));
    assert_eq!(reader.counts().malformed, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_reader_panics_or_hangs_on_any_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        read_all_ways(&bytes)?;
    }

    #[test]
    fn no_reader_panics_on_damaged_samples(
        which in any::<proptest::sample::Index>(),
        at in any::<proptest::sample::Index>(),
        with in proptest::collection::vec(any::<u8>(), 0..6),
        cut in any::<bool>(),
    ) {
        let all = samples();
        let mut bytes = fs::read(which.get(&all)).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        }
        let end = (at + with.len()).min(bytes.len());
        bytes.splice(at..end, with);
        read_all_ways(&bytes)?;
    }

    #[test]
    fn no_reader_panics_on_any_json(value in any_json()) {
        let line = value.to_string();
        let text = format!("{line}\n{line}\n");
        read_all_ways(text.as_bytes())?;
    }
}

/// JSON of the names and types that formats look for, in any combination.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    const NAMES: [&str; 28] = [
        "messages",
        "role",
        "content",
        "conversations",
        "from",
        "value",
        "body",
        "prompt",
        "t",
        "in",
        "out",
        "hash_ids",
        "requests",
        "timestamp",
        "timestamp_ns",
        "input_length",
        "output_length",
        "block_size",
        "cut_chat_history",
        "prompt_content",
        "custom_id",
        "delay",
        "session_id",
        "text_input",
        "think_time",
        "input",
        "id",
        "payload",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        ".{0,6}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), inner), 0..6)
                .prop_map(|fields| {
                    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
                    serde_json::Value::Object(fields.collect())
                }),
        ]
    })
}

/// Reads bytes as every format and as detected, in order and by number.
fn read_all_ways(bytes: &[u8]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "any", bytes);
    let formats = DatasetFormat::ALL.iter().copied().map(Some).chain([None]);
    for format in formats {
        let mut config = DatasetConfig::of(file.clone());
        config.format = format;
        config.malformed = OnMalformed::Skip;
        let Ok(dataset) = Dataset::open(&config) else { continue };
        let Ok(all) = dataset.rows().collect::<Result<Vec<Row>, _>>() else { continue };
        let indexed = dataset.indexed();
        for (index, row) in all.iter().enumerate().rev() {
            prop_assert_eq!(&*indexed.row(index as u64).unwrap().unwrap(), row);
        }
    }
    Ok(())
}
