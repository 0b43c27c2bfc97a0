//! `junit:FILE`: the checks as `JUnit` XML, which every CI reads.
//!
//! In: a summary. Out: one suite per stage and cell, one case per check.

use crate::metrics::summary::Summary;
use crate::report::{checks_junit, junit};

/// The document.
#[expect(clippy::unnecessary_wraps, reason = "the shape of `document::Render`")]
pub(super) fn render(summary: &Summary) -> Result<Vec<u8>, String> {
    Ok(junit::render(&checks_junit::suites(summary)).into_bytes())
}
