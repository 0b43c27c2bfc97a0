//! `html:FILE`: the report as one self-contained page.
//!
//! In: the view. Out: the page; while the run goes on, the page so far after each stage.

use super::page::Format;
use crate::report::html;

/// The page.
pub(super) fn format() -> Format {
    let render = |view: &_| match html::document(view) {
        Ok(page) => Ok(page.into_bytes()),
        Err(error) => Err(error.to_string()),
    };
    Format { live: true, ..Format::new(render) }
}
