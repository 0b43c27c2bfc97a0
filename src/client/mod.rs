//! Floor 3: how it is sent.

pub mod dialect;
