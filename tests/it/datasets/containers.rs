//! What a file is, whatever it is called: Parquet, UTF-16, and kinds that are refused by name.

use std::fs;
use std::path::Path;

use runner::plan::workload::{DatasetConfig, DatasetFormat};
use runner::workload::dataset::{Dataset, DatasetError};
use serde_json::json;

use super::{messages, open, rows, sample, text, without_places, write};

#[test]
fn parquet_rows_are_read_as_the_rows_they_would_be_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = open(sample("messages.parquet"));
    assert_eq!(dataset.format(), DatasetFormat::OpenaiMessages, "{}", dataset.why());
    let all = rows(&dataset);
    assert_eq!(all.len(), 3);
    assert_eq!(messages(&all[0])[1], ("user", "What does a tide table tell?"));
    assert_eq!(all[0].answer().unwrap().said(), "When the water is high and when it is low.");
    assert_eq!((all[1].id.as_deref(), all[2].place.line), (Some("t-2"), 3));
    assert_eq!(messages(&all[2])[0].1, "Wie heißt die Insel mit dem Leuchtturm? 🗼");
    // What a table can't leave out of a message is not there; an empty column stays for templates.
    assert_eq!(all[0].fields["messages"][1]["name"], "ada");
    assert_eq!(all[0].fields["messages"][0].as_object().unwrap().len(), 2);
    assert_eq!(all[1].fields["category"], json!(null));
    assert_eq!(all[0].fields["score"], json!(0.5));
    // Its name decides nothing, nor does a row have to be read in its order.
    let bytes = fs::read(sample("messages.parquet")).unwrap();
    let named = open(write(folder.path(), "rows.jsonl", &bytes));
    assert_eq!(without_places(rows(&named)), without_places(all));
    let indexed = named.indexed();
    for (number, id) in [(2, "t-3"), (0, "t-1"), (1, "t-2"), (5, "t-3")] {
        assert_eq!(indexed.cycled(number).unwrap().id.as_deref(), Some(id));
    }
}

/// Neither cut nor mutated bytes end in anything but rows or an error that names the file.
#[test]
fn damaged_parquet_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(sample("messages.parquet")).unwrap();
    let read = |bytes: &[u8]| {
        let config = DatasetConfig::of(write(folder.path(), "rows.parquet", bytes));
        let found = Dataset::open(&config)
            .and_then(|dataset| dataset.rows().collect::<Result<Vec<_>, _>>());
        if let Err(error) = found {
            assert!(error.to_string().contains("rows.parquet"), "{error}");
        }
    };
    for end in (8..whole.len()).step_by(97) {
        read(&whole[..end]);
    }
    for at in (4..whole.len()).step_by(7) {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            read(&bytes);
        }
    }
}

#[test]
fn utf_16_is_read_with_and_without_a_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    let plain = "{\"prompt\": \"Grüße 🗼\"}\n{\"prompt\": \"zwei\"}\n";
    for mark in ["", "\u{feff}"] {
        let units: Vec<u16> = format!("{mark}{plain}").encode_utf16().collect();
        for bytes in [
            units.iter().copied().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            units.iter().copied().flat_map(u16::to_be_bytes).collect(),
        ] {
            let packed = zstd::encode_all(bytes.as_slice(), 1).unwrap();
            for (name, bytes) in [("a.jsonl", bytes), ("b.jsonl.zst", packed)] {
                let all = rows(&open(write(folder.path(), name, bytes)));
                assert_eq!((text(&all[0]), text(&all[1])), ("Grüße 🗼", "zwei"));
                assert_eq!(all[1].place.line, 2);
            }
        }
    }
}

#[test]
fn other_kinds_of_files_are_named_and_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = vec![0_u8; 512];
    tar[..6].copy_from_slice(b"a.json");
    tar[257..262].copy_from_slice(b"ustar");
    let packed = zstd::encode_all(fs::read(sample("messages.parquet")).unwrap().as_slice(), 1);
    for (bytes, what, help) in [
        (b"ARROW1\0\0\xff\xff\xff\xff\x10\0\0\0".to_vec(), "an Arrow file", "Parquet"),
        (b"\xff\xff\xff\xff\x10\x01\0\0".to_vec(), "an Arrow stream", "Parquet"),
        (b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), "a zip archive", "unpack it"),
        (b"SQLite format 3\0\x10\0".to_vec(), "an SQLite database", "CSV"),
        (b"\x80\x04\x95\x0b\0\0\0".to_vec(), "a Python pickle", "JSON lines"),
        (tar, "a tar archive", "unpack it"),
        (packed.unwrap(), "a Parquet file within zstd", "unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), "a Git LFS pointer", "pull"),
        (b"<!DOCTYPE html>\n<html>".to_vec(), "a web page", "format: text"),
        (b"{\0\0\0\"\0\0\0".to_vec(), "UTF-32", "UTF-8"),
        (b"\x07\x01words\0and bytes".to_vec(), "binary data", "Parquet"),
    ] {
        let file = write(folder.path(), "rows.txt", bytes);
        let error = Dataset::open(&DatasetConfig::of(file)).unwrap_err();
        assert!(matches!(error, DatasetError::Unread { .. }), "{what}: {error}");
        let error = error.to_string();
        assert!(error.contains(what) && error.contains(help), "{what}: {error}");
    }
}

#[test]
fn words_that_begin_like_other_files_are_prompts() {
    let folder = tempfile::tempdir().unwrap();
    for line in
        ["PARENTS ask this", "ORCHARDS", "Rar! said the lion", "PAR1 is a line", "BZh9", "é"]
    {
        let file = write(folder.path(), "rows.txt", format!("{line}\nsecond\n"));
        assert_eq!(text(&rows(&open(file))[0]), line);
    }
    let page = write(folder.path(), "page.html", "<html>\nHello</html>");
    let mut config = DatasetConfig::of(page);
    config.format = Some(DatasetFormat::Text);
    let all = rows(&Dataset::open(&config).unwrap());
    assert!(text(&all[0]).ends_with("Hello</html>"));
    assert!(Path::new(&*all[0].place.file).ends_with("page.html"));
}
