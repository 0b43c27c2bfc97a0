//! Paths and patterns → open files, unpacked on the way.
//!
//! In: the paths of a plan. Out: the files found, and readers of their text. Invariant: only
//! regular files are opened (a pipe would hang, a device never ends), and with a root given only
//! files under it; packing is told from the first bytes, never from the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::{Content, HEAD_BYTES, Unread};
use super::packing::Packing;
use super::row::DatasetError;
use super::{parquet, utf16};

const READ_BUFFER: usize = 128 * 1024;

/// One file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: Arc<Path>,
    /// How it is packed.
    pub packing: Packing,
    /// What it holds once it is unpacked.
    pub content: Content,
    /// Its size on disk, in bytes.
    pub bytes: u64,
    /// How many bytes must be read again, at most, to go back to one of its rows.
    pub reread_bytes: u64,
}

/// The files that paths and patterns name, in order.
pub fn find(patterns: &[String], root: Option<&Path>) -> Result<Vec<SourceFile>, DatasetError> {
    let mut files = Vec::new();
    for pattern in patterns {
        for path in expand(pattern)? {
            files.push(probe(&path, root)?);
        }
    }
    Ok(files)
}

/// A path as it is, if it exists; else what the pattern matches, by name.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, DatasetError> {
    let path = PathBuf::from(pattern);
    if path.exists() || !pattern.contains(['*', '?', '[']) {
        return Ok(vec![path]);
    }
    let matches = glob::glob(pattern).map_err(|error| DatasetError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    })?;
    let mut found = Vec::new();
    for entry in matches {
        let path = entry.map_err(|error| DatasetError::Io {
            path: error.path().to_owned(),
            source: error.into(),
        })?;
        // A pattern such as `data/*` may match folders, which are no rows.
        if !path.is_dir() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(DatasetError::NoFile { pattern: pattern.to_owned() });
    }
    Ok(found)
}

fn probe(path: &Path, root: Option<&Path>) -> Result<SourceFile, DatasetError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DatasetError::NoFile { pattern: path.display().to_string() },
        _ => DatasetError::Io { path: path.to_owned(), source },
    };
    // Looked at before it is opened: opening a pipe without a writer waits for ever.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(DatasetError::NotRegular { path: path.to_owned() });
    }
    if let Some(root) = root {
        let real = path.canonicalize().map_err(io)?;
        let root = root.canonicalize().map_err(io)?;
        if !real.starts_with(&root) {
            return Err(DatasetError::Outside { path: real, root });
        }
    }
    let mut file = SourceFile {
        path: Arc::from(path),
        packing: Packing::Plain,
        content: Content::Utf8,
        bytes: metadata.len(),
        reread_bytes: 0,
    };
    let unread = |Unread { what, help }| DatasetError::Unread { path: path.to_owned(), what, help };
    file.packing = Packing::of(&beginning(file.raw(0).map_err(io)?).map_err(io)?);
    let head = beginning(file.raw(0).map_err(io)?).map_err(io)?;
    file.content = Content::of(&head).map_err(unread)?;
    if file.content == Content::Parquet {
        file.reread_bytes = parquet::check(&file).map_err(io)?.map_err(unread)?;
    } else if !file.can_seek() {
        file.reread_bytes = file.bytes;
    }
    Ok(file)
}

/// The first bytes of a text. What is damaged behind some of them is for the reader of all to say.
fn beginning(reader: TextReader) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    match reader.take(HEAD_BYTES).read_to_end(&mut head) {
        Err(error) if head.is_empty() => Err(error),
        _ => Ok(head),
    }
}

/// A reader of a file's text, past a byte order mark.
pub type TextReader = Box<dyn BufRead + Send>;

impl SourceFile {
    /// Reads from byte `offset` of the text, as UTF-8. Where it can't be gone to, all that comes
    /// before it is read, too.
    pub fn open(&self, offset: u64) -> io::Result<TextReader> {
        if self.can_seek() {
            return self.raw(offset);
        }
        let reader = self.raw(0)?;
        let mut reader = match self.content {
            Content::Utf16(order) => {
                Box::new(BufReader::with_capacity(READ_BUFFER, utf16::Decoder::new(reader, order)))
            }
            Content::Utf8 | Content::Parquet => reader,
        };
        io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        Ok(reader)
    }

    /// Reads what was packed; from byte `offset` of the file where nothing was.
    fn raw(&self, offset: u64) -> io::Result<TextReader> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let file = BufReader::with_capacity(READ_BUFFER, file);
        Ok(match self.packing {
            Packing::Plain => Box::new(file),
            packing => Box::new(BufReader::with_capacity(READ_BUFFER, packing.unpack(file)?)),
        })
    }

    /// Whether any place of its text can be gone to without reading up to it.
    pub(super) fn can_seek(&self) -> bool {
        self.packing == Packing::Plain && self.content == Content::Utf8
    }
}
