//! Floor 5: walks the graph, records, shows progress.

pub mod manifest;
pub mod rebuild;
pub mod recorder;
pub mod run_dir;
