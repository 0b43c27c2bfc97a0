//! What `runner params` prints.
//!
//! In: resolved params. Out: a table for people, or JSON. Secrets come in redacted.

use serde_json::Value;

use crate::plan::Param;

/// One line per param: name, type, value, source, description, in aligned columns.
pub fn render_text(params: &[Param]) -> String {
    if params.is_empty() {
        return "the plan declares no params\n".into();
    }
    let head = ["PARAM", "TYPE", "VALUE", "SOURCE", "DESCRIPTION"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head)
        .chain(params.iter().map(|param| {
            [
                param.name.clone(),
                param.kind.clone(),
                shown(&param.value),
                param.source.clone(),
                param.description.clone().unwrap_or_default(),
            ]
        }))
        .collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A value as a person would write it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A JSON array of `{name, type, value, source, description, secret}`, ended by a newline.
pub fn render_json(params: &[Param]) -> String {
    let json = serde_json::to_value(params).unwrap_or_default();
    format!("{json:#}\n")
}
