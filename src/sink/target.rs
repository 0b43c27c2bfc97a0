//! Where a sink writes: a file, or standard output as `-`.
//!
//! In: the target as the plan says it. Out: something to write to, opened before the run. Invariants:
//! missing folders are made; what stands in a file stays until this run writes to it; a file that one run
//! writes is no other's meanwhile.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::SinkError;
use super::atomic_file::{self, parent, private};
use crate::output::Stdout;

/// The target that means standard output.
pub const STDOUT: &str = "-";

/// Bytes that standard output is handed at a time; each time takes a thread.
const STDOUT_BYTES: usize = 64 * 1024;

/// An open target.
pub type Output = BufWriter<Box<dyn Write + Send>>;

/// Opens `target` for writing from its start.
pub fn open(sink: &str, target: &str, base: &Path) -> Result<Output, SinkError> {
    if target == STDOUT {
        return Ok(BufWriter::with_capacity(STDOUT_BYTES, Box::new(Stdout)));
    }
    let file = claim(sink, &base.join(target))?;
    Ok(BufWriter::new(Box::new(Fresh { file, is_begun: false })))
}

/// Opens a file that nobody else may write as long as it is open, and leaves it as it is.
pub fn claim(sink: &str, path: &Path) -> Result<File, SinkError> {
    let _held = pipe(sink, path)?;
    let file = std::fs::create_dir_all(parent(path))
        .and_then(|()| private().write(true).create(true).truncate(false).open(path))
        .map_err(|error| SinkError::new(sink, error))?;
    // Where files can't be locked, nothing is known of others.
    if is_regular(&file) && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(taken(sink));
    }
    Ok(file)
}

fn taken(sink: &str) -> SinkError {
    SinkError::new(sink, "another run, or another sink of this one, is writing it")
}

/// A document that is written as a whole, once or again and again.
pub enum Whole {
    /// To standard output.
    Stdout,
    /// In place of what a file held, or to the end of it.
    File {
        /// The file.
        path: PathBuf,
        /// Whether it goes to the end.
        appends: bool,
        /// Tells other runs that this one replaces it.
        _lock: Option<Lock>,
        /// Where it is a named pipe.
        _pipe: Option<File>,
    },
}

impl Whole {
    /// Opens `target` and leaves it as it is; what `appends` is nobody's alone.
    pub fn open(
        sink: &str,
        target: &str,
        base: &Path,
        appends: impl Fn(&Path) -> bool,
    ) -> Result<Self, SinkError> {
        if target == STDOUT {
            return Ok(Self::Stdout);
        }
        let path = check(sink, target, base)?;
        let appends = appends(&path);
        let is_file = path.metadata().map_or(true, |found| found.is_file());
        let lock = if is_file && !appends { Lock::take(sink, &path)? } else { None };
        let pipe = pipe(sink, &path)?;
        Ok(Self::File { path, appends, _lock: lock, _pipe: pipe })
    }

    /// Writes the document.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => Stdout.write_all(bytes),
            Self::File { path, appends: false, .. } => atomic_file::write(path, bytes),
            Self::File { path, .. } => {
                private().append(true).create(true).open(path)?.write_all(bytes)
            }
        }
    }

    /// Whether it is a file, which may be written more than once.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

/// A locked file `.NAME.lock` beside one that renames replace, since a lock on that itself would go with
/// it. It is gone when the run is over; one that a killed run left locks nothing.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// The lock of `of`; `None` where files can't be locked.
    fn take(sink: &str, of: &Path) -> Result<Option<Self>, SinkError> {
        let name = of.file_name().unwrap_or_default().to_string_lossy();
        let path = of.with_file_name(format!(".{name}.lock"));
        loop {
            let file = private().write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(|error| SinkError::new(sink, error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(sink)),
                Err(TryLockError::Error(_)) => return Ok(None),
            }
            // The run that held it may have removed it in between.
            if is_at(&file, &path) {
                return Ok(Some(Self { path, _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _it_locks_nothing_any_more = std::fs::remove_file(&self.path);
    }
}

/// Whether the file at `path` is this one.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let key = |found: &std::fs::Metadata| (found.dev(), found.ino());
    matches!((file.metadata(), path.metadata()), (Ok(a), Ok(b)) if key(&a) == key(&b))
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// A named pipe's open end, without which its reader would take the first who closes it for the last.
/// One that nobody reads is refused, since opening it would wait for a reader.
#[cfg(unix)]
fn pipe(sink: &str, path: &Path) -> Result<Option<File>, SinkError> {
    use rustix::fs::{FileType, Mode, OFlags, open, stat};
    let is_pipe = |mode| FileType::from_raw_mode(mode) == FileType::Fifo;
    if !stat(path).is_ok_and(|found| is_pipe(found.st_mode)) {
        return Ok(None);
    }
    match open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(end) => Ok(Some(File::from(end))),
        Err(rustix::io::Errno::NXIO) => {
            let why = "is a named pipe that nobody reads: start its reader first";
            Err(SinkError::new(sink, why))
        }
        Err(error) => Err(SinkError::new(sink, io::Error::from(error))),
    }
}

#[cfg(not(unix))]
fn pipe(_sink: &str, _path: &Path) -> Result<Option<File>, SinkError> {
    Ok(None)
}

/// Empties a file that was [claimed](claim), before the first write to it. What this run writes is its
/// owner's alone, also in a file that others could read.
pub fn empty(file: &File) -> io::Result<()> {
    if !is_regular(file) {
        return Ok(());
    }
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.set_len(0)
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
