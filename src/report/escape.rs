//! Text from elsewhere, and stamps, as reports show them.
//!
//! In: text that may come from a server, and stamps of records. Out: what can be shown.

pub use crate::plan::printable::printable;

/// An RFC 3339 stamp without its fraction of a second.
pub fn to_the_second(stamp: &str) -> String {
    match stamp.split_once('.') {
        Some((whole, fraction)) => {
            let zone = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
            format!("{whole}{zone}")
        }
        None => stamp.to_owned(),
    }
}
