//! The run directory `results/<plan>/<run-id>/`.
//!
//! In: a results folder and a plan's name. Out: a directory that is this run's alone. Invariants: it
//! is made or the run does not begin (an existing one is never entered); its owner alone may look
//! into it; manifest and summary appear whole or not at all, the summary last, so that a
//! `summary.json` means that everything else is complete.

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::manifest::Manifest;
use crate::metrics::summary::Summary;
use crate::sink::atomic_file::{self, private, sync_dir};
use crate::sink::{stage_rows, summary};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";
/// The summary's file name.
pub const SUMMARY: &str = "summary.json";
/// The file name of the summary as rows.
pub const SUMMARY_ROWS: &str = "summary.csv";
/// Held locked while the run goes on.
const LOCK: &str = "lock";
/// Space to give back when the disk is full, so that manifest and summary can still be written.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 1 << 20;
/// Longest folder name taken from a plan's name.
const SLUG_CHARS: usize = 80;

/// A directory that belongs to this run.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    id: String,
    /// Folders around it that were not there before, the nearest first.
    made: Vec<PathBuf>,
    _lock: File,
}

/// Why a run directory can't be made, written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// Somebody else's run is there.
    #[error("{0} exists already; a run never writes into another run's directory")]
    Exists(PathBuf),
    /// The disk says no.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The file is not what its name says.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

impl RunDir {
    /// Makes the directory of a new run of `plan` below `results`, and fails before the first
    /// request if it can't be made, written or locked.
    pub fn create(results: &Path, plan: &str) -> Result<Self, RunDirError> {
        Self::create_as(results, plan, &new_run_id())
    }

    /// The same with a given id.
    pub fn create_as(results: &Path, plan: &str, id: &str) -> Result<Self, RunDirError> {
        let parent = results.join(slug(plan));
        let around = parent.ancestors().take_while(|folder| !folder.as_os_str().is_empty());
        let made = around.take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect();
        std::fs::create_dir_all(&parent).map_err(|source| io_error(&parent, source))?;
        let path = parent.join(slug(id));
        let mut is_made = make_private_dir(&path);
        if is_made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            // Another run was refused just now, and took the folder that it had made with it.
            std::fs::create_dir_all(&parent).map_err(|source| io_error(&parent, source))?;
            is_made = make_private_dir(&path);
        }
        is_made.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RunDirError::Exists(path.clone()),
            _ => io_error(&path, source),
        })?;
        let lock = take_lock(&path.join(LOCK)).map_err(|source| io_error(&path, source))?;
        let run = Self { path, id: id.to_owned(), made, _lock: lock };
        run.reserve()?;
        sync_dir(&parent).map_err(|source| io_error(&parent, source))?;
        Ok(run)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Replaces the manifest.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), RunDirError> {
        let path = self.path.join(MANIFEST);
        let mut bytes =
            serde_json::to_vec_pretty(manifest).map_err(|error| content(&path, error))?;
        bytes.push(b'\n');
        atomic_file::write(&path, &bytes).map_err(|source| io_error(&path, source))
    }

    /// Writes what closes a run: manifest, `summary.csv`, and last `summary.json`.
    pub fn finish(self, manifest: &Manifest, summary: &Summary) -> Result<(), RunDirError> {
        release_reserve(&self.path);
        self.write_manifest(manifest)?;
        write_summaries(&self.path, summary)?;
        let lock = self.path.join(LOCK);
        std::fs::remove_file(&lock).map_err(|source| io_error(&lock, source))
    }

    /// Removes a directory in which no request was recorded (preflight failed), and the folders
    /// around it that were made for it and hold nothing else.
    pub fn discard(self) -> Result<(), RunDirError> {
        std::fs::remove_dir_all(&self.path).map_err(|source| io_error(&self.path, source))?;
        for folder in &self.made {
            // One that is not empty has become another run's, and so have those around it.
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn reserve(&self) -> Result<(), RunDirError> {
        let path = self.path.join(RESERVE);
        let written = private()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&vec![0; RESERVE_BYTES]));
        written.map_err(|source| io_error(&path, source))
    }
}

/// Gives the reserved space back; called when the disk is full, and at the end.
pub fn release_reserve(run: &Path) {
    let _already_released = std::fs::remove_file(run.join(RESERVE));
}

/// Replaces the manifest of a run that nobody writes any more, and removes what it kept for itself.
pub fn close(run: &Path, manifest: &Manifest) -> Result<(), RunDirError> {
    release_reserve(run);
    let path = run.join(MANIFEST);
    let mut bytes = serde_json::to_vec_pretty(manifest).map_err(|error| content(&path, error))?;
    bytes.push(b'\n');
    atomic_file::write(&path, &bytes).map_err(|source| io_error(&path, source))?;
    let _none_there = std::fs::remove_file(run.join(LOCK));
    Ok(())
}

/// Writes `summary.csv` and, last, `summary.json` of the run in `run`.
pub fn write_summaries(run: &Path, summary: &Summary) -> Result<(), RunDirError> {
    let rows = run.join(SUMMARY_ROWS);
    let bytes = stage_rows::document(summary).map_err(|error| content(&rows, error))?;
    atomic_file::write(&rows, &bytes).map_err(|source| io_error(&rows, source))?;
    let path = run.join(SUMMARY);
    let bytes = summary::document(summary).map_err(|error| content(&path, error))?;
    atomic_file::write(&path, &bytes).map_err(|source| io_error(&path, source))
}

/// Reads the manifest of the run in `run`; `None` when there is none.
pub fn read_manifest(run: &Path) -> Result<Option<Manifest>, RunDirError> {
    let path = run.join(MANIFEST);
    match std::fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|error| content(&path, error))
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(&path, source)),
    }
}

/// Whether a living process still writes to the run in `run`.
pub fn is_locked(run: &Path) -> bool {
    File::open(run.join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// An id that sorts by time and does not repeat: `20261121-224015-a1b2c3` (UTC).
pub fn new_run_id() -> String {
    // The standard library seeds each of these hashers from the system's random numbers.
    let random = std::hash::RandomState::new().build_hasher().finish() & 0x00ff_ffff;
    format!("{}-{random:06x}", Timestamp::now().strftime("%Y%m%d-%H%M%S"))
}

/// A name that is safe as a folder's: letters, digits, `.`, `_` and `-`; when that changes it, a
/// fingerprint keeps different names apart.
pub fn slug(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let slug: String = name.chars().take(SLUG_CHARS).map(safe).collect();
    if slug == name && !slug.is_empty() && !slug.starts_with('.') {
        return slug;
    }
    let hash = Sha256::digest(name.as_bytes());
    format!("{}-{:02x}{:02x}{:02x}", slug.trim_start_matches('.'), hash[0], hash[1], hash[2])
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn take_lock(path: &Path) -> io::Result<File> {
    let mut lock = private().write(true).create_new(true).open(path)?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
        // Some network filesystems have no locks; the directory is still this run's alone, since
        // only one process can have made it.
        Err(TryLockError::Error(_)) | Ok(()) => {}
    }
    writeln!(lock, "{}", std::process::id())?;
    Ok(lock)
}

fn io_error(path: &Path, source: io::Error) -> RunDirError {
    RunDirError::Io { path: path.to_owned(), source }
}

fn content(path: &Path, error: impl std::fmt::Display) -> RunDirError {
    RunDirError::Content { path: path.to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_safe_folders_and_stay_apart() {
        assert_eq!(slug("cache-eviction_2.0"), "cache-eviction_2.0");
        for (name, start) in [
            ("../../etc", "-..-etc-"),
            ("a/b", "a-b-"),
            (".hidden", "hidden-"),
            ("", "-"),
            ("ä\n", "---"),
        ] {
            let slug = slug(name);
            assert!(slug.starts_with(start), "{name:?} became {slug}");
            assert!(!slug.contains('/') && !slug.starts_with('.'), "{slug}");
        }
        assert_ne!(slug("a/b"), slug("a:b"));
        assert!(slug(&"x".repeat(500)).len() < 100);
    }

    #[test]
    fn run_ids_sort_by_time_and_differ() {
        let (first, second) = (new_run_id(), new_run_id());
        assert_ne!(first, second);
        assert_eq!(first.len(), "20261121-224015-a1b2c3".len());
        assert!(first[..15] <= second[..15]);
    }

    #[test]
    fn a_directory_is_made_once_and_locked() {
        let results = tempfile::tempdir().expect("a folder");
        let run = RunDir::create_as(results.path(), "demo", "one").expect("made");
        assert!(run.path().ends_with("demo/one"));
        assert!(is_locked(run.path()));
        let again = RunDir::create_as(results.path(), "demo", "one").expect_err("taken");
        assert!(matches!(again, RunDirError::Exists(_)), "{again}");
        let path = run.path().to_owned();
        drop(run);
        assert!(!is_locked(&path));
    }

    #[test]
    fn a_discarded_run_leaves_nothing() {
        let results = tempfile::tempdir().expect("a folder");
        let folder = results.path().join("new/results");
        RunDir::create(&folder, "demo").expect("made").discard().expect("removed");
        assert!(results.path().exists() && !results.path().join("new").exists());
        // What another run has made, or is in, stays.
        let other = RunDir::create(&folder, "demo").expect("made");
        RunDir::create(&folder, "demo").expect("made").discard().expect("removed");
        assert!(other.path().exists());
        let first = RunDir::create(&folder, "first").expect("made");
        let beside = RunDir::create(&folder, "first").expect("made");
        first.discard().expect("removed");
        assert!(beside.path().exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_enter() {
        use std::os::unix::fs::PermissionsExt;
        let results = tempfile::tempdir().expect("a folder");
        let run = RunDir::create(results.path(), "demo").expect("made");
        let mode = run.path().metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn an_unwritable_place_is_told_with_its_path() {
        let results = tempfile::tempdir().expect("a folder");
        let file = results.path().join("file");
        std::fs::write(&file, "").expect("written");
        let error = RunDir::create(&file, "demo").expect_err("a file is no folder");
        assert!(error.to_string().contains("file/demo"), "{error}");
    }
}
