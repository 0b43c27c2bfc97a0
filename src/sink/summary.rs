//! `summary:FILE`: the summary as JSON.
//!
//! In: the finished run. Out: the same document as the run directory's `summary.json`, written at
//! once so that a file from an earlier run is never left half replaced.

use std::path::Path;

use super::target::Whole;
use super::{Sink, SinkError};
use crate::metrics::summary::Summary;

pub(super) struct SummaryFile {
    name: String,
    file: Whole,
}

impl SummaryFile {
    pub(super) fn open(name: String, target: &str, base: &Path) -> Result<Self, SinkError> {
        let file = Whole::open(&name, target, base, |_| false)?;
        Ok(Self { name, file })
    }
}

impl Sink for SummaryFile {
    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError> {
        let written = document(summary).map_err(std::io::Error::from);
        let written = written.and_then(|bytes| self.file.write(&bytes));
        written.map_err(|error| SinkError::new(&self.name, error))
    }
}

/// The bytes of `summary.json`.
pub fn document(summary: &Summary) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(summary)?;
    bytes.push(b'\n');
    Ok(bytes)
}
