//! `markdown:FILE`: the report for a pull request or for `$GITHUB_STEP_SUMMARY`.
//!
//! In: the view. Out: the document. Invariant: a step's summary belongs to the whole step, so there
//! it goes below what earlier commands wrote; any other file is replaced.

use std::path::Path;

use super::page::Format;
use crate::report::markdown;

/// The document.
pub(super) fn format() -> Format {
    let render = |view: &_| Ok(markdown::document(view).into_bytes());
    Format { appends_to: is_step_summary, ..Format::new(render) }
}

pub(super) fn is_step_summary(path: &Path) -> bool {
    std::env::var_os("GITHUB_STEP_SUMMARY").is_some_and(|summary| path == Path::new(&summary))
}
