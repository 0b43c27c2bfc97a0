//! Packed files, files that must not be opened, rows by number, big files.

use std::fs;
use std::io::Write;

use runner::plan::workload::{DatasetConfig, OnMalformed};
use runner::workload::dataset::{Dataset, DatasetError};
use runner::workload::tokenizer::Tokenizer;

use super::{messages, open, rows, samples, text, without_places, write};

fn as_xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(0);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn packed_samples_have_the_same_rows_as_plain_ones() {
    let folder = tempfile::tempdir().unwrap();
    for path in samples() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".parquet") {
            continue;
        }
        let plain = fs::read(&path).unwrap();
        // Two members or frames each: files are often joined by `cat`.
        let (head, tail) = plain.split_at(plain.len() / 2);
        let mut gz = Vec::new();
        let (mut bz2, mut xz) = (Vec::new(), Vec::new());
        let mut zst = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        for part in [head, tail] {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(part).unwrap();
            gz.extend(encoder.finish().unwrap());
            zst.extend(zstd::encode_all(part, 1).unwrap());
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(part).unwrap();
            bz2.extend(encoder.finish().unwrap());
            xz.extend(as_xz(part));
        }
        let dataset = open(path.to_str().unwrap());
        let expected = without_places(rows(&dataset));
        for (end, bytes) in [("gz", gz), ("zst", zst), ("bz2", bz2), ("xz", xz)] {
            let packed = open(write(folder.path(), &format!("{name}.{end}"), bytes));
            assert_eq!(packed.format(), dataset.format(), "{name}.{end}");
            assert_eq!(without_places(rows(&packed)), expected, "{name}.{end}");
        }
    }
}

#[test]
fn damaged_packed_files_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = b"{\"prompt\": \"hi\"}\n".repeat(1_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&text).unwrap();
    let gz = encoder.finish().unwrap();
    let zst = zstd::encode_all(text.as_slice(), 1).unwrap();
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(&text).unwrap();
    let bz2 = encoder.finish().unwrap();
    let xz = as_xz(&text);
    for (name, packing, bytes) in [
        ("cut.jsonl.gz", "gzip", gz),
        ("cut.jsonl.zst", "zstd", zst),
        ("cut.jsonl.bz2", "bzip2", bz2),
        ("cut.jsonl.xz", "xz", xz),
    ] {
        let file = write(folder.path(), name, &bytes[..bytes.len() - 6]);
        let error = match Dataset::open(&DatasetConfig::of(file)) {
            Ok(dataset) => dataset.rows().find_map(Result::err).expect("an error"),
            Err(error) => error,
        };
        assert!(matches!(&error, DatasetError::Io { .. }), "{error}");
        let said = format!("{name}: its {packing} data is damaged, or ends too early");
        assert!(error.to_string().contains(&said), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn only_regular_files_under_the_root_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let secret = write(outside.path(), "secret.jsonl", "{\"prompt\": \"x\"}\n");
    std::os::unix::fs::symlink(&secret, folder.path().join("link.jsonl")).unwrap();
    let open = |file: String| {
        let mut config = DatasetConfig::of(file);
        config.confine = Some(folder.path().to_owned());
        Dataset::open(&config).unwrap_err()
    };
    let within = |name: &str| format!("{}/{name}", folder.path().display());
    assert!(matches!(open(within("link.jsonl")), DatasetError::Outside { .. }));
    assert!(matches!(open(secret), DatasetError::Outside { .. }));
    assert!(matches!(open("/dev/zero".into()), DatasetError::NotRegular { .. }));
    assert!(matches!(open(within("")), DatasetError::NotRegular { .. }));
    assert!(matches!(open(within("none.jsonl")), DatasetError::NoFile { .. }));
    assert!(matches!(open(within("*.nothing")), DatasetError::NoFile { .. }));
}

#[test]
fn rows_by_number_are_the_rows_in_order_and_go_round() {
    let folder = tempfile::tempdir().unwrap();
    let mut plain = Vec::new();
    for number in 0..1_000 {
        writeln!(plain, "{{\"prompt\": \"row {number}\"}}").unwrap();
        if number % 100 == 50 {
            plain.extend(b"broken\n");
        }
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).unwrap();
    let files = [
        write(folder.path(), "a.jsonl", &plain),
        write(folder.path(), "b.jsonl.gz", encoder.finish().unwrap()),
    ];
    let mut config = DatasetConfig { files: files.to_vec(), ..DatasetConfig::default() };
    config.malformed = OnMalformed::Skip;
    let indexed = Dataset::open(&config).unwrap().indexed();
    let order = [0, 999, 1_000, 3, 1_999, 1_998, 500, 501, 502, 1_500, 7, 1_001];
    for index in order {
        let row = indexed.row(index).unwrap().unwrap();
        assert_eq!(text(&row), format!("row {}", index % 1_000));
    }
    assert!(indexed.row(2_000).unwrap().is_none());
    assert_eq!(indexed.total().unwrap(), 2_000);
    assert_eq!(text(&indexed.cycled(4_321).unwrap()), "row 321");
    config.limit = Some(10);
    let few = Dataset::open(&config).unwrap().indexed();
    assert_eq!(text(&few.cycled(25).unwrap()), "row 5");
    assert_eq!(few.total().unwrap(), 10);
}

#[test]
fn every_sample_gives_the_same_rows_by_number() {
    for path in samples() {
        let dataset = open(path.to_str().unwrap());
        let all = rows(&dataset);
        let indexed = dataset.indexed();
        for index in (0..all.len()).rev().chain(0..all.len()) {
            let row = indexed.row(index as u64).unwrap().unwrap();
            assert_eq!(*row, all[index], "{}", path.display());
        }
        assert_eq!(indexed.total().unwrap(), all.len() as u64);
    }
}

#[test]
fn an_empty_dataset_is_an_error_when_a_row_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in
        [("a.jsonl", ""), ("a.json", "[]"), ("a.csv", "a,b\n"), ("a.txt", "\n\n")]
    {
        let dataset = open(write(folder.path(), name, content));
        assert!(matches!(dataset.indexed().cycled(3), Err(DatasetError::Empty { .. })), "{name}");
    }
}

/// Peak memory of this process in megabytes.
#[cfg(target_os = "linux")]
fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Alone in its process: `RUNNER_BIG_MB=1024 cargo test --test it a_big_file -- --ignored`.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "writes a file of RUNNER_BIG_MB (default 300) megabytes"]
fn a_big_file_is_surveyed_and_replayed_in_flat_memory() {
    let megabytes = std::env::var("RUNNER_BIG_MB").map_or(300, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.jsonl");
    let mut out = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    let (mut written, mut number) = (0_u64, 0_u64);
    while written < megabytes * 1024 * 1024 {
        let text = format!(
            "row {number}: {}",
            "some words of a prompt ".repeat(usize::try_from(number % 80).unwrap())
        );
        let row = serde_json::json!({
            "session": format!("s{}", number / 4),
            "timestamp": number as f64 / 20.0,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": number % 500,
        });
        let line = format!("{row}\n");
        out.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
        number += 1;
    }
    out.flush().unwrap();
    let before = peak_megabytes();
    let dataset = open(path.to_str().unwrap());
    let found = runner::workload::dataset::survey::survey(&dataset, &Tokenizer::Estimate).unwrap();
    assert_eq!(found.rows, number);
    let surveyed = peak_megabytes();
    let indexed = dataset.indexed();
    for index in (0..number + 1_000).chain((0..1_000).map(|step| step * 7_919)) {
        let row = indexed.cycled(index).unwrap();
        let says = format!("row {}:", index % number);
        assert!(messages(&row)[0].1.starts_with(&says));
    }
    let replayed = peak_megabytes();
    eprintln!("{number} rows: {before} MB before, {surveyed} surveyed, {replayed} replayed");
    assert!(replayed < 200, "{replayed} MB");
}
