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
        "defaults-unknown.yaml",
        "defaults-unknown.toml",
    ] {
        let path = Path::new("tests/plans/bad").join(name);
        let value = value(&path).unwrap_or_else(|| panic!("{name} parses"));
        assert!(!validator.is_valid(&value), "{name} is valid by the schema");
    }
}

/// A wrong key, type or word is a matter of shape. What the reader says of one must show in an editor
/// as well, unless the fault stands in another file, or in what a reference comes to.
#[test]
fn what_is_wrong_in_shape_is_wrong_by_the_schema() {
    // A tokenizer is a word or a path; the kind of a stage may stand in the parent alone.
    const BEYOND: [&str; 2] = ["endpoint-headers.toml", "extends-wrong-key.yaml"];
    let validator = jsonschema::draft7::new(&schema::plan()).expect("the schema is one");
    let mut seen = 0;
    for path in files("tests/plans/bad") {
        let said = fs::read_to_string(format!("{}.stderr", path.display())).unwrap_or_default();
        let own = format!("--> {}:", path.display());
        let text = fs::read_to_string(&path).unwrap_or_default();
        let Some(value) = value(&path).filter(|_| !text.starts_with("# with:")) else { continue };
        let is_shape = said.split("\n\n").any(|problem| {
            let codes = ["[E011]", "[E012]", "[E013]", "[E015]"];
            codes.iter().any(|code| problem.contains(code)) && problem.contains(&own)
        });
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_shape && !BEYOND.contains(&name.as_str()) {
            seen += 1;
            assert!(!validator.is_valid(&value), "{name} is valid by the schema");
        }
    }
    assert!(seen >= 40, "only {seen} plans");
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
    walk(&schema["properties"]["defaults"], "defaults", &mut silent);
    for (name, definition) in schema["definitions"].as_object().expect("definitions") {
        walk(definition, name, &mut silent);
    }
    assert!(silent.is_empty(), "keys without a word: {silent:?}");
}
