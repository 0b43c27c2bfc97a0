//! Paths and patterns → open files, unpacked on the way.
//!
//! In: the paths of a plan. Out: the files found, and readers of their text. Invariant: only
//! regular files are opened (a pipe would hang, a device never ends), and with a root given only
//! files under it; packing is told from the first bytes, never from the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::row::DatasetError;

const READ_BUFFER: usize = 128 * 1024;

/// Larger windows than this (made by `zstd --ultra --long`) would need as much memory.
const MAX_ZSTD_WINDOW: u64 = 256 * 1024 * 1024;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// One or more gzip members.
    Gzip,
    /// One or more Zstandard frames.
    Zstd,
}

impl Packing {
    /// Its name in reports; `None` for plain files.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// One file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: Arc<Path>,
    /// How it is packed.
    pub packing: Packing,
    /// Its size on disk, in bytes.
    pub bytes: u64,
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
    let mut head = [0_u8; 4];
    let mut file = File::open(path).map_err(io)?;
    let mut have = 0;
    while have < head.len() {
        match file.read(&mut head[have..]).map_err(io)? {
            0 => break,
            more => have += more,
        }
    }
    let packing = match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        // A real frame, or a skippable one, which may stand in front.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Packing::Zstd,
        _ => Packing::Plain,
    };
    Ok(SourceFile { path: Arc::from(path), packing, bytes: metadata.len() })
}

/// A reader of a file's text, past a byte order mark.
pub type TextReader = Box<dyn BufRead + Send>;

impl SourceFile {
    /// Reads from byte `offset` of the text. Packed text has to be unpacked up to there.
    pub fn open(&self, offset: u64) -> io::Result<TextReader> {
        let mut file = File::open(&self.path)?;
        let mut reader: TextReader = match self.packing {
            Packing::Plain => {
                file.seek(SeekFrom::Start(offset))?;
                Box::new(BufReader::with_capacity(READ_BUFFER, file))
            }
            Packing::Gzip => {
                let packed = BufReader::with_capacity(READ_BUFFER, file);
                Box::new(BufReader::with_capacity(READ_BUFFER, Gunzip(MultiGzDecoder::new(packed))))
            }
            Packing::Zstd => {
                let packed = BufReader::with_capacity(READ_BUFFER, file);
                Box::new(BufReader::with_capacity(READ_BUFFER, Frames::new(packed)))
            }
        };
        if self.packing != Packing::Plain && offset > 0 {
            io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        }
        Ok(reader)
    }
}

/// What is said of packed text that can't be unpacked to its end.
fn damaged(packing: &str) -> io::Error {
    let message = format!("its {packing} data is damaged, or ends too early");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// All members of a gzip file, one after the other, as `gzip -d` reads them.
struct Gunzip<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof => damaged("gzip"),
            _ => error,
        })
    }
}

/// All Zstandard frames of a file, one after the other, as `zstd -d` reads them: a single frame is
/// all that ruzstd's own reader knows.
struct Frames<R> {
    packed: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(packed: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW);
        Self { packed, decoder, in_frame: false }
    }

    /// Starts the next frame; `false` at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped =
                        io::copy(&mut self.packed.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(damaged("zstd"));
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }

    /// Compares the finished frame's checksum, if it has one.
    fn check_sum(&self) -> io::Result<()> {
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(said), Some(found)) if said != found => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the checksum of a zstd frame is wrong: the file is damaged",
            )),
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(out);
            }
            if self.in_frame && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|_| damaged("zstd"))?;
                continue;
            }
            if self.in_frame {
                self.check_sum()?;
                self.in_frame = false;
            }
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}
