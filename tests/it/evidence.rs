//! From lines to a run directory and back: nothing lost, nothing invented.

mod adversity;
mod artefacts;
mod exports;
mod exports_of_runs;
pub mod fixture;
mod live_views;
mod rebuilding;
mod reports;
mod second_readers;
mod terminal;
