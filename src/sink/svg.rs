//! `svg:FILE`: every chart of the run on one sheet.
//!
//! In: the view. Out: an SVG that follows the reader's preference for light or dark.

use super::page::Format;
use crate::report::{sheet, svg};

/// The sheet.
pub(super) fn format() -> Format {
    Format::new(|view| Ok(svg::document(&sheet::sheet(view), &view.headline).into_bytes()))
}
