//! Where a sink writes: a file, or standard output as `-`.
//!
//! In: the target as the plan says it. Out: something to write to, opened before the run. Invariants:
//! missing folders are made; what stands in a file stays until this run writes to it; a file that one run
//! writes as it goes is no other's meanwhile.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::SinkError;
use super::atomic_file::{self, parent, private};
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
    let file = claim(sink, &base.join(target))?;
    Ok(BufWriter::new(Box::new(Fresh { file, is_begun: false })))
}

/// Opens a file that nobody else may write as long as it is open, and leaves it as it is.
pub fn claim(sink: &str, path: &Path) -> Result<File, SinkError> {
    let file = std::fs::create_dir_all(parent(path))
        .and_then(|()| private().write(true).create(true).truncate(false).open(path))
        .map_err(|error| SinkError::new(sink, error))?;
    // Where files can't be locked, nothing is known of others.
    if is_regular(&file) && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(SinkError::new(
            sink,
            "another run, or another sink of this one, is writing it",
        ));
    }
    Ok(file)
}

/// Puts a document into a file, in place of what is there or below it; on standard output without a
/// `path`.
pub fn put(path: Option<&Path>, appends: bool, document: &[u8]) -> io::Result<()> {
    match path {
        None => Stdout.write_all(document),
        Some(path) if appends => {
            private().append(true).create(true).open(path)?.write_all(document)
        }
        Some(path) => atomic_file::write(path, document),
    }
}

/// Empties a file that was [claimed](claim), before the first write to it.
pub fn empty(file: &File) -> io::Result<()> {
    if is_regular(file) { file.set_len(0) } else { Ok(()) }
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_file())
}

/// A file that is emptied when something is written to it.
struct Fresh {
    file: File,
    is_begun: bool,
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_begun {
            empty(&self.file)?;
            self.is_begun = true;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
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
