//! Text that goes into a CSV cell.
//!
//! In: text that may come from a server. Out: text that no spreadsheet takes for a formula.
//! Invariant: numbers never come this way, so a negative number stays a number.

use std::borrow::Cow;

/// `text`, with an apostrophe in front when a spreadsheet would take it for a formula.
pub fn neutral(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_made_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1"] {
            assert_eq!(neutral(formula), format!("'{formula}"));
        }
        for plain in ["", "http.503", "a=b", "warm"] {
            assert_eq!(neutral(plain), plain);
        }
    }
}
