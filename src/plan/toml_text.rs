//! A YAML plan as TOML, for `runner init --format toml`.
//!
//! In: a YAML text. Out: a TOML text that means the same, without its comments. Invariant: whatever
//! the reader takes as YAML comes out as TOML that it takes as well; nulls are left out, since TOML
//! has none and an absent key means the same.

use std::fmt::Write as _;

use super::LoadError;
use super::Redactor;
use super::source::{self, Entry, Format, Node, Sources, Value};

/// Rewrites a YAML plan as TOML.
pub fn to_toml(name: &str, text: &str) -> Result<String, LoadError> {
    let mut sources = Sources::default();
    let source = sources.add(name, text);
    match source::parse(&sources, source, Format::Yaml) {
        Ok(tree) => Ok(document(&tree)),
        Err(diagnostics) => Err(LoadError { diagnostics, sources, redactor: Redactor::default() }),
    }
}

/// Plain values first: in TOML, what stands after a table's head belongs to the table.
fn document(root: &Node) -> String {
    let mut out = String::new();
    let is_plain = |node: &Node| !matches!(node.value, Value::Map(_)) && !is_tables(node);
    for entry in root.entries().iter().filter(|entry| is_plain(&entry.node)) {
        line(&mut out, entry);
    }
    for entry in root.entries().iter().filter(|entry| !is_plain(&entry.node)) {
        match &entry.node.value {
            Value::List(items) => {
                for item in items {
                    table(&mut out, &format!("[[{}]]", key(&entry.key)), item);
                }
            }
            _ => table(&mut out, &format!("[{}]", key(&entry.key)), &entry.node),
        }
    }
    out
}

fn is_tables(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => {
            !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Map(_)))
        }
        _ => false,
    }
}

fn table(out: &mut String, head: &str, node: &Node) {
    // Writing into a String can't fail.
    let _ = write!(out, "\n{head}\n");
    for entry in node.entries() {
        line(out, entry);
    }
}

fn line(out: &mut String, entry: &Entry) {
    if let Some(value) = inline(&entry.node) {
        let _ = writeln!(out, "{} = {value}", key(&entry.key));
    }
}

/// A value on one line; `None` for null.
fn inline(node: &Node) -> Option<String> {
    Some(match &node.value {
        Value::Null | Value::Broken => return None,
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) if value.is_finite() => format!("{value:?}"),
        Value::Float(value) => quoted(&value.to_string()),
        Value::Text(text) => quoted(text),
        Value::List(items) => {
            format!("[{}]", items.iter().filter_map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let fields = entries.iter().filter_map(|entry| {
                Some(format!("{} = {}", key(&entry.key), inline(&entry.node)?))
            });
            let inner = fields.collect::<Vec<_>>().join(", ");
            if inner.is_empty() { "{}".to_owned() } else { format!("{{ {inner} }}") }
        }
    })
}

fn key(name: &str) -> String {
    let is_bare = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
