//! JSON Schemas of the evidence, generated from the types that write it.
//!
//! Out: the files of schemas/ by name. Invariant: the committed files are exactly these
//! (tests/it/evidence.rs compares them; `RUNNER_UPDATE=1` rewrites them).

use serde_json::{Map, Value, json};

use super::summary::Summary;
use crate::record::Line;

/// Every schema of this floor, as (file name, content).
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![("record.v1.json", record_schema()), ("summary.v1.json", summary_schema())]
}

/// One line of the record log.
fn record_schema() -> Value {
    let mut schema = schemars::schema_for!(Line).to_value();
    if let Some(variants) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        variants.iter_mut().filter_map(Value::as_object_mut).for_each(add_seq);
    }
    titled(schema, "A line of the runner's record log, version 1")
}

fn summary_schema() -> Value {
    titled(schemars::schema_for!(Summary).to_value(), "The runner's summary.json, version 1")
}

fn titled(mut schema: Value, title: &str) -> Value {
    schema["title"] = json!(title);
    schema
}

/// The sequence number stands beside `type` in each line, whatever the line says.
fn add_seq(variant: &mut Map<String, Value>) {
    let seq = json!({
        "description": "Number of the line within the run, from 0 and without gaps.",
        "type": "integer",
        "minimum": 0
    });
    if let Some(properties) = variant.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("seq".to_owned(), seq);
    }
    if let Some(required) = variant.get_mut("required").and_then(Value::as_array_mut) {
        required.push(json!("seq"));
    }
}
