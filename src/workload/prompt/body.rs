//! Extra fields of request bodies, with the templates in them rendered.
//!
//! In: the fields of the plan's `body:`, and what renders a text. Out: the same fields, every text
//! with template marks rendered, at any depth. Invariant: all else passes as it is, and data that
//! was filled in is not read again.

use serde_json::{Map, Value};

use crate::workload::template::TemplateProblem;

/// Renders a text.
type Render<'r> = dyn Fn(&str) -> Result<String, TemplateProblem> + 'r;

/// The fields as one request sends them.
pub(in crate::workload) fn rendered(
    fields: &Map<String, Value>,
    render: &Render<'_>,
) -> Result<Map<String, Value>, TemplateProblem> {
    fields.iter().map(|(key, value)| Ok((key.clone(), walk(value, render)?))).collect()
}

fn walk(value: &Value, render: &Render<'_>) -> Result<Value, TemplateProblem> {
    Ok(match value {
        Value::String(text) if text.contains("{{") || text.contains("{%") => {
            Value::String(render(text)?)
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| walk(item, render)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Value::Object(rendered(fields, render)?),
        other => other.clone(),
    })
}
