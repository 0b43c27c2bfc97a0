//! Diagnostics → SARIF 2.1.0, which code hosts show beside the lines.
//!
//! In: the diagnostics of any number of plans with their texts. Out: one log with one run. Invariant:
//! every rule that a result names is described in the log.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Code, Diagnostic, render};
use crate::plan::source::Sources;

/// The log of everything found; `shown` says how a file is called in it.
pub fn sarif(found: &[(Vec<Diagnostic>, Sources)], shown: &dyn Fn(&str) -> String) -> Value {
    let all = || found.iter().flat_map(|(diagnostics, _)| diagnostics);
    let codes: BTreeSet<Code> = all().map(|diagnostic| diagnostic.code).collect();
    let codes: Vec<Code> = codes.into_iter().collect();
    let results: Vec<Value> = found
        .iter()
        .flat_map(|(diagnostics, sources)| {
            diagnostics.iter().map(|diagnostic| result(diagnostic, sources, &codes, shown))
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "runner",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().copied().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    let explanation = code.explanation();
    json!({
        "id": code.number(),
        "name": format!("{code:?}"),
        "shortDescription": { "text": explanation.meaning },
        "help": { "text": explanation.remedy },
    })
}

fn result(
    diagnostic: &Diagnostic,
    sources: &Sources,
    codes: &[Code],
    shown: &dyn Fn(&str) -> String,
) -> Value {
    let mut message = diagnostic.message.clone();
    for help in &diagnostic.help {
        message.push_str("; ");
        message.push_str(help);
    }
    let location = |place: &super::Label| {
        let [(_, file), (_, line), (_, column), (_, end_line), (_, end_column)] =
            render::place(&place.location, sources);
        json!({
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&shown(file.as_str().unwrap_or_default())) },
                "region": {
                    "startLine": line, "startColumn": column,
                    "endLine": end_line, "endColumn": end_column,
                },
            },
            "message": { "text": place.text },
        })
    };
    json!({
        "ruleId": diagnostic.code.number(),
        "ruleIndex": codes.iter().position(|code| *code == diagnostic.code),
        "level": diagnostic.severity.name(),
        "message": { "text": message },
        "locations": diagnostic.labels.iter().take(1).map(location).collect::<Vec<_>>(),
        "relatedLocations": diagnostic.labels.iter().skip(1).map(location).collect::<Vec<_>>(),
    })
}

/// A path as a relative or `file:` URI.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'\\' => uri.push('/'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' | b'@' => {
                uri.push(char::from(byte));
            }
            other => {
                // Writing into a String can't fail.
                let _ = write!(uri, "%{other:02X}");
            }
        }
    }
    uri
}
