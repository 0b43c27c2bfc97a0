//! Headers whose values are templates.
//!
//! In: those of an endpoint, and what renders a text. Out: names and values. Invariant: a value that
//! HTTP can't carry is an error that names its header, and nothing is sent.

use crate::plan::HeaderTemplate;
use crate::workload::WorkloadError;
use crate::workload::template::TemplateProblem;

/// The headers as one request sends them; `row` counts from 1.
pub(in crate::workload) fn rendered(
    headers: &[HeaderTemplate],
    render: &dyn Fn(&str) -> Result<String, TemplateProblem>,
    row: Option<u64>,
) -> Result<Vec<(String, String)>, WorkloadError> {
    let of = |header: &HeaderTemplate| match value(header, render) {
        Ok(value) => Ok((header.name.clone(), value)),
        Err(problem) => {
            let row = row.map_or_else(String::new, |row| format!(" with row {row}"));
            let (place, name, why) = (&header.location, &header.name, &problem.message);
            Err(WorkloadError(format!("{place}: the header `{name}` fails{row}: {why}")))
        }
    };
    headers.iter().map(of).collect()
}

/// The value of one header.
pub(in crate::workload) fn value(
    header: &HeaderTemplate,
    render: &dyn Fn(&str) -> Result<String, TemplateProblem>,
) -> Result<String, TemplateProblem> {
    let value = render(&header.value)?;
    if value.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err(TemplateProblem {
            message: "its value holds a line break or control character".into(),
            line: None,
            help: Some("a header is one line of text; `| replace` or `| trim` what breaks it"),
        });
    }
    Ok(value.trim().to_owned())
}
