//! The schema that editors use, held against the reader.

use std::fs;
use std::path::Path;

use runner::plan::schema;
use serde_json::Value;

/// A plan's text as the value that an editor sees.
fn value(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    match path.extension()?.to_str()? {
        "yaml" => serde_saphyr::from_str(&text).ok(),
        "toml" => toml::from_str(&text).ok(),
        _ => None,
    }
}

fn files(folder: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let generated = schema::plan_text();
    if std::env::var_os("RUNNER_UPDATE").is_some() {
        fs::write(schema::PATH, &generated).expect("the schema is written");
    }
    let committed = fs::read_to_string(schema::PATH).unwrap_or_default();
    assert!(committed == generated, "{} has drifted: RUNNER_UPDATE=1 writes it", schema::PATH);
}

#[test]
fn every_scenario_is_valid_by_the_schema() {
    let validator = jsonschema::draft7::new(&schema::plan()).expect("the schema is one");
    let mut seen = 0;
    for path in files("scenarios") {
        if path.to_string_lossy().contains(".test.") {
            continue;
        }
        let Some(value) = value(&path) else { continue };
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|it| format!("{}: {it}", it.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        seen += 1;
    }
    assert!(seen >= 2);
}

/// Mistakes of shape, which an editor should underline while they are made.
#[test]
fn bad_plans_that_a_schema_can_refuse_are_refused() {
    let validator = jsonschema::draft7::new(&schema::plan()).expect("the schema is one");
    for name in [
        "unknown-keys.yaml",
        "unknown-keys.toml",
        "key-of-another-kind.yaml",
        "kind-missing.yaml",
        "kind-unknown.yaml",
        "kind-unknown.toml",
        "wrong-types.yaml",
        "wrong-types.toml",
        "version-missing.yaml",
        "version-unknown.toml",
        "duration-without-unit.yaml",
        "duration-without-unit.toml",
        "missing-keys.yaml",
        "negative-count.yaml",
        "not-a-map.yaml",
        "nothing-to-do.yaml",
        "param-declarations.toml",
        "pause-without-duration.toml",
        "simulator.yaml",
        "context.toml",
        "abort-keys.yaml",
        "abort-keys.toml",
        "abort-misspelt.yaml",
        "abort-misspelt.toml",
        "abort-not-a-list.yaml",
        "abort-not-a-list.toml",
        "allow-no-data-not-a-boolean.yaml",
        "allow-no-data-not-a-boolean.toml",
        "over-in-thresholds.yaml",
    ] {
        let path = Path::new("tests/plans/bad").join(name);
        let value = value(&path).unwrap_or_else(|| panic!("{name} parses"));
        assert!(!validator.is_valid(&value), "{name} is valid by the schema");
    }
}

#[test]
fn the_schema_explains_every_key() {
    fn walk(schema: &Value, path: &str, silent: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (key, property) in properties {
                if property.is_object() && property.get("description").is_none() {
                    silent.push(format!("{path}.{key}"));
                }
            }
        }
    }
    let schema = schema::plan();
    let mut silent = Vec::new();
    walk(&schema, "plan", &mut silent);
    for (name, definition) in schema["definitions"].as_object().expect("definitions") {
        walk(definition, name, &mut silent);
    }
    assert!(silent.is_empty(), "keys without a word: {silent:?}");
}
