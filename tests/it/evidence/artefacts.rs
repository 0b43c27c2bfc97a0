//! Every file of a run: schemas, sinks, rows.

use std::path::Path;

use runner::metrics::record_log;
use runner::metrics::schema::schemas;
use runner::plan::SinkKind;
use serde_json::Value;

use super::fixture::*;

fn schema(name: &str) -> jsonschema::Validator {
    let found = schemas().into_iter().find(|(file, _)| *file == name).expect("a schema");
    jsonschema::validator_for(&found.1).expect("a sound schema")
}

#[test]
fn the_log_and_the_summary_keep_their_schemas() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, _) = record_run(results.path(), lines(), vec![]);
    let record_schema = schema("record.v1.json");
    for (seq, line) in log_lines(&run).iter().enumerate() {
        if let Err(error) = record_schema.validate(line) {
            panic!("line {seq}: {error}\n{line}");
        }
        assert_eq!(line["seq"], seq);
        let keys: Vec<_> = line.as_object().expect("an object").keys().take(2).collect();
        assert_eq!(keys, ["type", "seq"]);
    }
    let summary_schema = schema("summary.v1.json");
    if let Err(error) = summary_schema.validate(&read_json(&run.join("summary.json"))) {
        panic!("{error}");
    }
    let mut broken = log_lines(&run)[2].clone();
    broken["due_ns"] = "soon".into();
    assert!(!record_schema.is_valid(&broken), "the schema takes anything");
}

#[test]
fn committed_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in schemas() {
        let path = folder.join(name);
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).expect("JSON"));
        if std::env::var_os("RUNNER_UPDATE").is_some() {
            std::fs::write(&path, &text).expect("written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{name} is out of date: run the tests with RUNNER_UPDATE=1");
    }
}

#[test]
fn every_artefact_says_which_run_it_is_and_that_it_was_simulated() {
    let results = tempfile::tempdir().expect("a folder");
    let sinks = open_sinks(
        results.path(),
        &[
            (SinkKind::Jsonl, "out/records.jsonl", true),
            (SinkKind::Csv, "out/requests.csv", true),
            (SinkKind::Summary, "out/summary.json", true),
        ],
    );
    let (run, done) = record_run(results.path(), lines(), sinks);
    assert!(done.sink_failures.is_empty(), "{:?}", done.sink_failures);
    let out = results.path().join("out");
    let id = done.summary.run.id.as_str();
    for file in [
        run.join("manifest.json"),
        run.join("summary.json"),
        run.join("summary.csv"),
        run.join(record_log::segment_name(1)),
        out.join("records.jsonl"),
        out.join("requests.csv"),
        out.join("summary.json"),
    ] {
        let text = std::fs::read_to_string(&file).expect("written");
        assert!(text.contains(id), "{} does not name its run", file.display());
        assert!(text.contains("simulated"), "{} does not say it", file.display());
    }
    assert!(!run.join("reserve").exists() && !run.join("lock").exists());
    assert_eq!(read_json(&out.join("summary.json")), read_json(&run.join("summary.json")));
    assert_eq!(read_json(&run.join("manifest.json"))["state"], "finished");
    assert!(text_report(&run).contains("SIMULATED"));
}

#[test]
fn sinks_hold_every_record_once() {
    let results = tempfile::tempdir().expect("a folder");
    let targets = [(SinkKind::Jsonl, "records.jsonl", true), (SinkKind::Csv, "requests.csv", true)];
    let sinks = open_sinks(results.path(), &targets);
    let (run, _) = record_run(results.path(), lines(), sinks);
    let ends: Vec<Value> =
        log_lines(&run).into_iter().filter(|line| line["type"] == "end").collect();
    assert_eq!(ends.len(), 24);

    let text = std::fs::read_to_string(results.path().join("records.jsonl")).expect("there");
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("strict JSON")).collect();
    assert_eq!(records[0]["type"], "run");
    assert_eq!(records[1..], ends);

    let mut reader = csv::Reader::from_path(results.path().join("requests.csv")).expect("there");
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|found| found == name).expect(name);
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), ends.len());
    for (row, end) in rows.iter().zip(&ends) {
        assert_eq!(row[column("request_id")], *end["request_id"].as_str().expect("text"));
        assert_eq!(row[column("sent_ns")], end["sent_ns"].to_string());
    }
    assert_eq!(rows[0][column("ttft_ms")], *"262");
    assert_eq!(rows[0][column("output_tokens")], *"16");
    assert_eq!(rows[23][column("ttft_ms")], *"");
    // What a server says never becomes a formula.
    assert_eq!(rows[23][column("error_message")], *"'=busy\u{1b}[31m");
    assert_eq!(rows[23][column("error_class")], *"http.503");
}

#[test]
fn stage_rows_have_one_row_per_stage_and_empty_cells_for_nothing() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, done) = record_run(results.path(), lines(), vec![]);
    let mut reader = csv::Reader::from_path(run.join("summary.csv")).expect("there");
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|found| found == name).expect(name);
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 4);
    let cold = done.summary.stages[0].metrics["ttft"].p50;
    assert_eq!(rows[0][column("ttft_ms_p50")].parse::<f64>(), Ok(cold));
    assert_eq!(rows[2][column("ttft_ms_p50")], *"");
    assert_eq!(rows[3][column("errors")], *"1");
    assert_eq!(rows[3][column("thresholds_failed")], *"1");
}
