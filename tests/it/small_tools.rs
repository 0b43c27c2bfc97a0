//! The table of what five small tools do and how it is done here, read and done.

use std::fs;
use std::path::{Path, PathBuf};

use runner::plan::{self, LoadOptions};
use serde_json::Value;

use crate::load::{environment, said};
use crate::sandbox::{Sandbox, code, stderr};

const TABLE: &str = "docs/coming-from.md";

/// A scenario with the arguments that it is tried with, and its rows.
struct Section {
    scenario: String,
    tried: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    number: usize,
    /// The code in its third cell.
    here: Vec<String>,
    /// The test that holds it.
    test: String,
}

/// The texts between backticks.
fn code_spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn sections() -> Vec<Section> {
    let table = fs::read_to_string(TABLE).expect("the table");
    let mut sections: Vec<Section> = Vec::new();
    for line in table.lines() {
        if let Some(rest) = line.strip_prefix("Scenario: [") {
            let scenario = rest.split(']').next().expect("a name").to_owned();
            let tried = code_spans(line).remove(0).split(' ').map(str::to_owned).collect();
            sections.push(Section { scenario, tried, rows: Vec::new() });
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        let number = line.strip_prefix("| ").and_then(|it| it.split(' ').next()?.parse().ok());
        if let (Some(number), [_, _, here, test]) = (number, cells.as_slice()) {
            let test = code_spans(test).remove(0);
            let row = Row { number, here: code_spans(here), test };
            sections.last_mut().expect("a scenario above").rows.push(row);
        }
    }
    sections
}

/// Whether the scenario takes these params and keys, checked as `runner validate` does.
fn loads(scenario: &str, params: &[&str], set: Option<(&str, &str)>) {
    let params = params.iter().map(|param| {
        let (name, value) = param.split_once('=').unwrap_or_else(|| panic!("{param}"));
        (name.to_owned(), value.to_owned())
    });
    let options = LoadOptions {
        params: params.collect(),
        set: set.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        environment: environment(&[("LAB_KEY", "k-123456789")]),
        ..LoadOptions::default()
    };
    let path = PathBuf::from(format!("scenarios/{scenario}.yaml"));
    if let Err(error) = plan::load(&path, &options) {
        panic!("{scenario} {:?} {set:?}: {}", options.params, said(&error));
    }
}

/// The value of a file, in its first line that has one; in a CSV file, its column.
fn holds(run: &Path, file: &str, pointer: &str) {
    let text = fs::read_to_string(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let has = |text: &str| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        value.pointer(pointer).is_some_and(|value| !value.is_null())
    };
    let is_there = match file.rsplit_once('.').expect("an ending").1 {
        "csv" => text.lines().next().is_some_and(|it| it.split(',').any(|it| it == &pointer[1..])),
        "jsonl" => text.lines().any(has),
        _ => has(&text),
    };
    assert!(is_there, "no {pointer} in {file}");
}

fn does(section: &Section, row: &Row, sandbox: &Sandbox, run: &Path) {
    for here in &row.here {
        let words: Vec<&str> = here.split(' ').collect();
        if let Some(arguments) = here.strip_prefix("runner ") {
            let arguments = arguments.replace("RUN", run.to_str().expect("a path"));
            let output = sandbox.run(&arguments.split(' ').collect::<Vec<_>>());
            let fine = [0, 10].contains(&code(&output));
            assert!(fine, "row {}: {here}: {}", row.number, stderr(&output));
        } else if let Some((file, pointer)) = here.split_once('#') {
            holds(run, file, pointer);
        } else if let ["-p", param] = words.as_slice() {
            loads(&section.scenario, &[*param], None);
        } else if let [scenario, "-p", param] = words.as_slice() {
            loads(scenario.strip_prefix('@').expect("a scenario"), &[*param], None);
        } else if let Some((key, value)) = here.split_once(": ") {
            loads(&section.scenario, &[], Some((key, value)));
        } else {
            // A word among the explanations, such as `auto`.
            assert!(!here.contains([' ', '=']), "row {}: what is {here}?", row.number);
        }
    }
}

#[test]
fn every_row_of_the_table_can_be_done() {
    let sections = sections();
    let numbers: Vec<usize> =
        sections.iter().flat_map(|section| &section.rows).map(|row| row.number).collect();
    assert_eq!(numbers, (1..=91).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for section in &sections {
            scope.spawn(move || {
                let sandbox = Sandbox::new();
                let scenario = format!("@{}", section.scenario);
                let tried: Vec<&str> = section.tried.iter().map(String::as_str).collect();
                let arguments = ["run", &scenario, "--output-format", "none", "--progress", "none"];
                let output = sandbox.run(&[&arguments[..], &tried].concat());
                assert!([0, 10].contains(&code(&output)), "{scenario}: {}", stderr(&output));
                let run = sandbox.run_dir();
                section.rows.iter().for_each(|row| does(section, row, &sandbox, &run));
            });
        }
    });
}

#[test]
fn every_row_of_the_table_is_held_by_a_test() {
    let mut sources = String::new();
    let mut folders = vec![PathBuf::from("tests/it"), PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                sources += &fs::read_to_string(path).expect("a source");
            }
        }
    }
    for row in sections().iter().flat_map(|section| &section.rows) {
        let name = format!("fn {}(", row.test);
        assert!(sources.contains(&name), "row {}: no test {}", row.number, row.test);
    }
}
