//! The JSON Schema of plans, for editors.
//!
//! In: the written types. Out: draft-07, which editors read. Invariant: it is for completion and
//! hover text and makes none of our errors; it is stricter than the reader only where a text is
//! written as a bare number.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

use super::compose::defaults::OWN;
use super::file::PlanFile;

/// Where the schema lives in the repository.
pub const PATH: &str = "schemas/plan.v1.json";

/// The schema as a value.
pub fn plan() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = false;
    let mut schema = settings.into_generator().into_root_schema_for::<PlanFile>();
    References.transform(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("runner plan, version 1"));
        root.insert("patternProperties".into(), json!({ "^x-": true }));
        kinds(root);
        defaults(root);
        unless_extended(root);
    }
    schema.to_value()
}

/// The schema as the text of its file.
pub fn plan_text() -> String {
    format!("{:#}\n", plan())
}

/// What the schema says of a kind of stage or a key: what it belongs to, and its description with that of
/// its words; what several say alike stands once.
pub fn said_of(word: &str) -> Vec<(String, String)> {
    let schema = plan();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add =
        |place: &str, text: String| match found.iter_mut().find(|(_, known)| *known == text) {
            Some((places, _)) => places.extend([", ", place]),
            None => found.push((place.to_owned(), text)),
        };
    let described = |it: &Value| it["description"].as_str().unwrap_or_default().to_owned();
    let target = |it: &Value| {
        let path = it["$ref"].as_str()?.strip_prefix("#/definitions/")?;
        Some(path.to_owned())
    };
    let kinds: Vec<(String, String)> = schema["definitions"]["Stage"]["allOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|case| {
            let kind = case["if"]["properties"]["kind"]["const"].as_str()?;
            Some((target(&case["then"])?, kind.to_owned()))
        })
        .collect();
    for (definition, kind) in &kinds {
        if kind == word {
            let own = &schema["definitions"][definition];
            let keys = own["properties"].as_object().into_iter().flatten();
            let keys = keys.filter(|(key, _)| *key != "kind");
            let keys = keys.map(|(key, it)| format!("\n  {key}: {}", described(it)));
            add("kind of stage", described(own) + &keys.collect::<String>());
        }
    }
    let definitions = schema["definitions"].as_object().into_iter().flatten();
    let top = ("the plan", &schema);
    for (name, owner) in std::iter::once(top).chain(definitions.map(|(name, it)| (&**name, it))) {
        let key = &owner["properties"][word];
        if !key["description"].is_string() {
            continue;
        }
        let kind = kinds.iter().find(|(definition, _)| definition == name);
        let place = match kind {
            Some((_, kind)) => format!("kind: {kind}"),
            None => name.strip_suffix("Keys").unwrap_or(name).to_lowercase(),
        };
        let referred = key["anyOf"].as_array().into_iter().flatten().find_map(target);
        let referred = referred.or_else(|| target(&key["allOf"][0]));
        let words = referred.map(|name| &schema["definitions"][name]["anyOf"]);
        let words = words.and_then(Value::as_array).into_iter().flatten();
        let words = words
            .filter_map(|it| Some(format!("\n  {}: {}", it["const"].as_str()?, described(it))));
        add(&format!("key of {place}"), described(key) + &words.collect::<String>());
    }
    found
}

/// The definitions of the keys of each kind of stage.
const KINDS: [&str; 10] = [
    "ColdKeys",
    "WarmKeys",
    "FlushKeys",
    "PauseKeys",
    "LoadKeys",
    "LadderKeys",
    "RampKeys",
    "SearchKeys",
    "ConversationKeys",
    "ReplayKeys",
];

/// `defaults:` takes what any kind takes, but for what is a stage's own; a key that means different
/// things to different kinds is any of them.
fn defaults(root: &mut Map<String, Value>) {
    let Some(Value::Object(definitions)) = root.get("definitions") else { return };
    let kinds =
        KINDS.iter().filter_map(|name| definitions.get(*name)?.get("properties")?.as_object());
    let mut all: Vec<(&String, &Value, Vec<Value>)> = Vec::new();
    for (key, schema) in kinds.flatten() {
        if key == "kind" || OWN.contains(&key.as_str()) {
            continue;
        }
        let mut silent = schema.clone();
        if let Some(object) = silent.as_object_mut() {
            object.remove("description");
        }
        match all.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, _, forms)) if forms.contains(&silent) => {}
            Some((_, _, forms)) => forms.push(silent),
            None => all.push((key, schema, vec![silent])),
        }
    }
    let properties: Map<String, Value> = all
        .into_iter()
        .map(|(key, first, forms)| match forms.len() {
            1 => (key.clone(), first.clone()),
            _ => (key.clone(), json!({ "anyOf": forms, "description": first["description"] })),
        })
        .collect();
    let Some(section) = root.get_mut("properties").and_then(|it| it.get_mut("defaults")) else {
        return;
    };
    let own = json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
        "description": section["description"],
    });
    *section = own;
}

/// A stage's keys stand beside its `kind`, which each kind's own schema must let pass.
fn kinds(root: &mut Map<String, Value>) {
    let Some(Value::Object(definitions)) = root.get_mut("definitions") else { return };
    for name in KINDS {
        if let Some(properties) = definitions.get_mut(name).and_then(|it| it.get_mut("properties"))
        {
            properties["kind"] = json!(true);
        }
    }
}

/// What a plan laid over another may leave out, since the other has it: stages, the `kind` of a
/// stage, the `type` of a param.
fn unless_extended(root: &mut Map<String, Value>) {
    root.insert("required".into(), json!(["version"]));
    root.insert("if".into(), json!({ "required": ["extends"] }));
    let whole = json!({
        "required": ["stages"],
        "properties": {
            "stages": { "items": { "required": ["kind"] } },
            "params": { "additionalProperties": { "required": ["type"] } },
        },
    });
    root.insert("else".into(), whole);
    let Some(Value::Object(definitions)) = root.get_mut("definitions") else { return };
    for name in ["Stage", "Param"] {
        if let Some(definition) = definitions.get_mut(name).and_then(Value::as_object_mut) {
            definition.remove("required");
        }
    }
}

/// Lets `${…}` stand wherever a boolean, a number, a word or a list is due (counts and durations
/// take texts anyway), and joins the lines of doc comments.
struct References;

impl Transform for References {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::String(words)) = object.get_mut("description") {
            *words = words.replace('\n', " ");
        }
        let reference = json!({ "type": "string", "pattern": r"\$\{.+\}" });
        // One word out of several, each with its own description.
        let are_words = |cases: &Vec<Value>| cases.iter().all(|it| it.get("const").is_some());
        if let Some(Value::Array(mut cases)) =
            object.get("oneOf").filter(|it| it.as_array().is_some_and(are_words)).cloned()
        {
            cases.push(reference);
            object.remove("oneOf");
            object.insert("anyOf".into(), Value::Array(cases));
            return;
        }
        if !takes_reference(object) {
            return;
        }
        let mut inner = std::mem::take(object);
        // Words for people stay on the outside, where editors look for them.
        let outside: Map<String, Value> = ["description", "default", "title"]
            .into_iter()
            .filter_map(|key| inner.remove(key).map(|value| (key.to_owned(), value)))
            .collect();
        let mut either = json_schema!({ "anyOf": [inner, reference] });
        if let Some(object) = either.as_object_mut() {
            object.extend(outside);
        }
        *schema = either;
    }
}

/// Whether a schema takes none but values of a type that `${…}` itself is not.
fn takes_reference(schema: &Map<String, Value>) -> bool {
    if schema.contains_key("const") {
        return false;
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => return false,
    };
    let other = |name: &&str| matches!(*name, "boolean" | "integer" | "number" | "array");
    let is_text = types.contains(&"string");
    types.iter().any(other) && !is_text || is_text && schema.contains_key("enum")
}
