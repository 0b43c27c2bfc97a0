//! Floor 6: one short file per subcommand.

pub mod simulate;
