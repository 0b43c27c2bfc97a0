//! `png:FILE`: every chart of the run on one sheet, as a picture.
//!
//! In: the view. Out: a PNG in light colours. Invariant: a build without the `plots` feature says so
//! before the run.

use super::page::Format;

/// The sheet.
#[cfg(feature = "plots")]
#[expect(clippy::unnecessary_wraps, reason = "a build without the feature has none")]
pub(super) fn format() -> Result<Format, &'static str> {
    use crate::report::{png, sheet};
    Ok(Format::new(|view| png::document(&sheet::sheet(view)).map_err(|error| error.to_string())))
}

/// There is none.
#[cfg(not(feature = "plots"))]
pub(super) fn format() -> Result<Format, &'static str> {
    Err("this build has no `plots` feature; use svg")
}
