//! Extra fields of request bodies, with the templates in them rendered.
//!
//! In: the fields of the plan's `body:`, and what renders a text. Out: the same fields, every text
//! with template marks rendered, at any depth; a text that is one `{{ … }}` becomes what it stands
//! for, a number or list as well as a text. Invariant: all else passes as it is, and data that was
//! filled in is not read again.

use serde_json::{Map, Value};

use crate::plan::Prompt;
use crate::workload::WorkloadError;
use crate::workload::template::TemplateProblem;

/// Renders a text that is a template.
type Render<'r> = dyn Fn(&str) -> Result<Value, TemplateProblem> + 'r;

/// A text of the body that can't be rendered: which (such as `.metadata.tags[1]`), and why.
pub(in crate::workload) struct BodyProblem {
    pub(in crate::workload) path: String,
    pub(in crate::workload) problem: TemplateProblem,
}

impl BodyProblem {
    /// As an error at its place in the plan; `row` counts from 1.
    pub(in crate::workload) fn at(&self, prompt: &Prompt, row: Option<u64>) -> WorkloadError {
        let place =
            prompt.place_in_body(&self.path).map_or_else(String::new, |it| format!("{it}: "));
        let row = row.map_or_else(String::new, |row| format!(" with row {row}"));
        let (path, why) = (&self.path, &self.problem.message);
        WorkloadError(format!("{place}`prompt.body{path}` fails{row}: {why}"))
    }
}

/// The fields as one request sends them.
pub(in crate::workload) fn rendered(
    fields: &Map<String, Value>,
    render: &Render<'_>,
) -> Result<Map<String, Value>, BodyProblem> {
    map("", fields, render)
}

fn map(
    path: &str,
    fields: &Map<String, Value>,
    render: &Render<'_>,
) -> Result<Map<String, Value>, BodyProblem> {
    let mut out = Map::with_capacity(fields.len());
    for (key, value) in fields {
        out.insert(key.clone(), walk(&|| format!("{path}.{key}"), value, render)?);
    }
    Ok(out)
}

/// Paths are only made where they are needed: most values are no templates.
fn walk(
    path: &dyn Fn() -> String,
    value: &Value,
    render: &Render<'_>,
) -> Result<Value, BodyProblem> {
    Ok(match value {
        Value::String(text) if is_template(text) => {
            render(text).map_err(|problem| BodyProblem { path: path(), problem })?
        }
        Value::Array(items) => {
            let mut out = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                out.push(walk(&|| format!("{}[{index}]", path()), item, render)?);
            }
            Value::Array(out)
        }
        Value::Object(fields) => Value::Object(map(&path(), fields, render)?),
        other => other.clone(),
    })
}

/// Every text that is rendered, with its path.
pub(in crate::workload) fn templates(fields: &Map<String, Value>) -> Vec<(String, &str)> {
    fn walk<'v>(path: String, value: &'v Value, found: &mut Vec<(String, &'v str)>) {
        match value {
            Value::String(text) if is_template(text) => found.push((path, text)),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(format!("{path}[{index}]"), item, found);
                }
            }
            Value::Object(fields) => {
                for (key, item) in fields {
                    walk(format!("{path}.{key}"), item, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (key, value) in fields {
        walk(format!(".{key}"), value, &mut found);
    }
    found
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}
