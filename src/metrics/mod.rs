//! Floor 2: records → numbers and verdicts.

pub mod summary;
