//! `summary:FILE`: the summary as JSON.
//!
//! In: the finished run. Out: the same document as the run directory's `summary.json`, written at
//! once so that a file from an earlier run is never left half replaced.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::target::{self, STDOUT};
use super::{Sink, SinkError, atomic_file};
use crate::metrics::summary::Summary;
use crate::output::Stdout;

pub(super) struct SummaryFile {
    name: String,
    /// Standard output when absent.
    path: Option<PathBuf>,
}

impl SummaryFile {
    pub(super) fn open(name: String, target: &str, base: &Path) -> Result<Self, SinkError> {
        let path = match target {
            STDOUT => None,
            file => Some(target::check(&name, file, base)?),
        };
        Ok(Self { name, path })
    }
}

impl Sink for SummaryFile {
    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError> {
        let written =
            document(summary).map_err(std::io::Error::from).and_then(|bytes| match &self.path {
                Some(path) => atomic_file::write(path, &bytes),
                None => Stdout.write_all(&bytes),
            });
        written.map_err(|error| SinkError::new(&self.name, error))
    }
}

/// The bytes of `summary.json`.
pub fn document(summary: &Summary) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(summary)?;
    bytes.push(b'\n');
    Ok(bytes)
}
