//! `runner schema plan|record|summary`.

use crate::cli::{SchemaArgs, SchemaName};
use crate::output;
use crate::{metrics, plan};

/// Prints a JSON Schema.
pub fn run(args: &SchemaArgs) -> anyhow::Result<u8> {
    let schema = match args.which {
        SchemaName::Plan => plan::schema::plan(),
        SchemaName::Record => of_metrics("record"),
        SchemaName::Summary => of_metrics("summary"),
    };
    output::print(&output::json(&schema)?);
    Ok(super::PASS)
}

/// A schema of the evidence, by the start of its file's name.
fn of_metrics(name: &str) -> serde_json::Value {
    let mut schemas = metrics::schema::schemas().into_iter();
    schemas.find(|(file, _)| file.starts_with(name)).map(|(_, schema)| schema).unwrap_or_default()
}
