//! The Azure LLM inference traces: CSV `TIMESTAMP,ContextTokens,GeneratedTokens`.
//!
//! In: a record. Out: one row of lengths. Invariant: stamps are UTC, to 100 ns as written.

use serde_json::Value;

use super::beside::beside;
use super::field::{object, required, required_count, time};
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;

const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

/// Whether a header is that of these files.
pub(super) fn recognises(value: &Value) -> bool {
    COLUMNS.iter().all(|name| value.get(name).is_some())
}

/// Reads one record.
pub(super) fn row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    let record = object(value, "columns TIMESTAMP, ContextTokens, GeneratedTokens")?;
    let mut row = Row::new(RowPrompt::Length(required_count(record, &["ContextTokens"])?));
    row.output_tokens = Some(required_count(record, &["GeneratedTokens"])?);
    row.timestamp_ns = time(required(record, "TIMESTAMP", "a time")?, "TIMESTAMP", scale)?;
    beside(&mut row, record, &COLUMNS, Some(scale))?;
    row.fields = value.clone();
    Ok(row)
}
