//! `BurstGPT`: CSV `Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total
//! tokens,Log Type`; older files lack `Session ID` and `Elapsed time`.
//!
//! In: a record. Out: one row of lengths. Invariant: a record without response tokens failed when
//! it was recorded, and says so.

use serde_json::Value;

use super::beside::beside;
use super::field::{name_of, object, required, required_count, time};
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;

const COLUMNS: [&str; 8] = [
    "Timestamp",
    "Session ID",
    "Elapsed time",
    "Model",
    "Request tokens",
    "Response tokens",
    "Total tokens",
    "Log Type",
];

/// Whether a header is that of these files.
pub(super) fn recognises(value: &Value) -> bool {
    ["Timestamp", "Request tokens", "Response tokens"].iter().all(|name| value.get(name).is_some())
}

/// Reads one record.
pub(super) fn row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    let record = object(value, "columns Timestamp, Request tokens, Response tokens")?;
    let mut row = Row::new(RowPrompt::Length(required_count(record, &["Request tokens"])?));
    let generated = required_count(record, &["Response tokens"])?;
    row.failed = generated == 0;
    row.output_tokens = (!row.failed).then_some(generated);
    row.timestamp_ns = time(required(record, "Timestamp", "a time")?, "Timestamp", scale)?;
    row.session = name_of(record, &["Session ID"])?;
    row.model = name_of(record, &["Model"])?;
    beside(&mut row, record, &COLUMNS, Some(scale))?;
    row.fields = value.clone();
    Ok(row)
}
