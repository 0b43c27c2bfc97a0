//! `stages:FILE`: one row of CSV per stage, cell and rung.
//!
//! In: a summary. Out: the same rows as the run directory's `summary.csv`.

use super::stage_rows;
use crate::metrics::summary::Summary;

/// The rows.
pub(super) fn render(summary: &Summary) -> Result<Vec<u8>, String> {
    stage_rows::document(summary).map_err(|error| error.to_string())
}
