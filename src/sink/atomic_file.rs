//! Files that appear whole or not at all.
//!
//! In: a path and bytes. Out: the file, readable by its owner only. Invariant: whoever looks sees
//! the old content or the new, never half (temporary file in the same folder, fsync, rename, fsync
//! of the folder).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Options that make new files readable by their owner only.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes `bytes` to `path` so that they appear at once. Pipes and devices are written as they are.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    stream(path, |writer| writer.write_all(bytes))
}

/// Has `fill` write a file of any length, which appears when it is done; on any error nothing is
/// left.
pub fn stream<T, E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    let temporary = temporary(path)?;
    let written = fill_and_rename(&temporary, path, fill);
    if written.is_err() {
        let _gone_or_never_made = std::fs::remove_file(&temporary);
    }
    written
}

/// Makes a folder's entries (new files, renames) survive a crash of the machine.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The folder of `path`.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn fill_and_rename<T, E: From<io::Error>>(
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    let opened = private().write(true).create(true).truncate(true).open(temporary)?;
    let mut writer = BufWriter::new(opened);
    let filled = fill(&mut writer)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(temporary, path)?;
    sync_dir(parent(path))?;
    Ok(filled)
}

fn temporary(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_content_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("summary.json");
        write(&path, b"old").expect("written");
        write(&path, b"new").expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("summary.json");
        write(&path, b"{}").expect("written");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_in_the_way_is_an_error_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("taken");
        std::fs::create_dir(&path).expect("made");
        assert!(write(&path, b"{}").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 1);
    }
}
