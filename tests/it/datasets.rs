//! Datasets from outside: rows, packed and malformed files, requests made of rows, inspect and
//! convert, datasets of plans. The samples in datasets/samples/ stand for their formats.

mod beside;
mod containers;
mod convert;
mod files;
mod formats;
mod malformed;
mod plans;
mod requests;
mod wild;

use std::fs;
use std::path::{Path, PathBuf};

use runner::plan::workload::DatasetConfig;
use runner::workload::dataset::{Dataset, Row, RowPrompt};

fn sample(name: &str) -> String {
    format!("{}/datasets/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn open(file: impl Into<String>) -> Dataset {
    Dataset::open(&DatasetConfig::of(file)).unwrap()
}

fn rows(dataset: &Dataset) -> Vec<Row> {
    dataset.rows().collect::<Result<_, _>>().unwrap()
}

fn messages(row: &Row) -> Vec<(&str, &str)> {
    match &row.prompt {
        RowPrompt::Messages(messages) => messages
            .iter()
            .map(|message| (message.role.as_str(), message.texts().next().unwrap()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn text(row: &Row) -> &str {
    match &row.prompt {
        RowPrompt::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Every sample with its format.
fn samples() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(sample(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.extension().is_none_or(|end| end != "md"))
        .collect();
    all.sort();
    assert!(all.len() >= 20);
    all
}

fn without_places(mut rows: Vec<Row>) -> Vec<Row> {
    for row in &mut rows {
        row.place.file = Path::new("").into();
    }
    rows
}
