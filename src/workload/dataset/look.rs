//! What a dataset is like, before anything is sent.
//!
//! In: how to read it, and whether its rows must be counted. Out: [`Seen`], or why it can't be used.
//! Invariant: small datasets are read whole, so that a malformed row is known before the first
//! request; of large ones only the beginning is read, unless their rows are counted.

use super::Dataset;
use super::row::{DatasetError, RowPrompt};
use crate::plan::workload::{DatasetConfig, Seen};

/// Files of so many bytes in all are read to their ends.
const READ_WHOLE_BYTES: u64 = 16 << 20;

/// Looks into a dataset; counts its rows if `counted`, or if it is small.
pub fn look(config: &DatasetConfig, counted: bool) -> Result<Seen, DatasetError> {
    let dataset = Dataset::open(config)?;
    let mut rows = dataset.rows();
    let first = rows.next().transpose()?.ok_or_else(|| dataset.no_rows())?;
    let bytes: u64 = dataset.files().iter().map(|file| file.bytes).sum();
    let is_whole = counted || bytes <= READ_WHOLE_BYTES;
    if is_whole {
        for row in rows.by_ref() {
            row?;
        }
    }
    let counts = rows.counts();
    Ok(Seen {
        format: dataset.format(),
        why: dataset.why().to_owned(),
        rows: is_whole.then_some(counts.rows),
        malformed: counts.malformed,
        problem: rows.problems().first().map(ToString::to_string),
        has_texts: matches!(first.prompt, RowPrompt::Messages(_) | RowPrompt::Text(_)),
        is_small: bytes <= READ_WHOLE_BYTES,
        left_out: None,
    })
}
