//! Where a sink writes: a file, or standard output as `-`.
//!
//! In: the target as the plan says it. Out: something to write to, opened before the run. Invariant:
//! missing folders are made; the file of an earlier run is emptied.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::SinkError;
use super::atomic_file::{parent, private};
use crate::output::Stdout;

/// The target that means standard output.
pub const STDOUT: &str = "-";

/// An open target.
pub type Output = BufWriter<Box<dyn Write + Send>>;

/// Opens `target` for writing from its start.
pub fn open(sink: &str, target: &str, base: &Path) -> Result<Output, SinkError> {
    if target == STDOUT {
        return Ok(BufWriter::new(Box::new(Stdout)));
    }
    let path = base.join(target);
    let file = std::fs::create_dir_all(parent(&path))
        .and_then(|()| private().write(true).create(true).truncate(true).open(&path))
        .map_err(|error| SinkError::new(sink, error))?;
    Ok(BufWriter::new(Box::new(file)))
}

/// The path of a file that will be written at the end, after a try that its folder takes files.
pub fn check(sink: &str, target: &str, base: &Path) -> Result<PathBuf, SinkError> {
    let path = base.join(target);
    let probe = parent(&path).join(format!(".runner-probe-{}", std::process::id()));
    let tried = std::fs::create_dir_all(parent(&path))
        .and_then(|()| private().write(true).create(true).truncate(true).open(&probe))
        .and_then(|_| std::fs::remove_file(&probe));
    tried.map_err(|error| SinkError::new(sink, error))?;
    if path.is_dir() {
        return Err(SinkError::new(sink, "is a folder"));
    }
    Ok(path)
}
