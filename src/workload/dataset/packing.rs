//! Packed bytes → what was packed.
//!
//! In: a file's first bytes, and a reader of all of them. Out: how it is packed, and a reader of what
//! is in it. Invariant: files that were joined (members, frames, streams) are read to their end, and
//! damage is an error.

use std::io::{self, BufRead, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use zstd::stream::read::Decoder as ZstdDecoder;

/// Larger windows than 2 to the power of this (made by `zstd --ultra --long`) would need as much
/// memory.
const MAX_ZSTD_WINDOW_LOG: u32 = 28;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// One or more gzip members.
    Gzip,
    /// One or more Zstandard frames.
    Zstd,
    /// One or more bzip2 streams.
    Bzip2,
    /// One or more xz streams.
    Xz,
}

impl Packing {
    /// The packing of a file that begins so.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A real frame, or a skippable one, which may stand in front.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::Plain,
        }
    }

    /// Its name in reports; `None` for plain files.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            Self::Bzip2 => Some("bzip2"),
            Self::Xz => Some("xz"),
        }
    }

    /// Whether a file's name may end so for being packed.
    pub(super) fn is_ending(ending: &str) -> bool {
        matches!(ending, "gz" | "zst" | "zstd" | "bz2" | "xz")
    }

    /// Reads what `packed` holds.
    pub(super) fn unpack(
        self,
        packed: impl BufRead + Send + 'static,
    ) -> io::Result<Box<dyn Read + Send>> {
        let reader: Box<dyn Read + Send> = match self {
            Self::Plain => return Ok(Box::new(packed)),
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = ZstdDecoder::with_buffer(packed)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
            Self::Xz => Box::new(XzReader::new(packed, true)),
        };
        Ok(Box::new(Unpacked { reader, packing: self }))
    }
}

/// A reader that says what was wrong in our words.
struct Unpacked {
    reader: Box<dyn Read + Send>,
    packing: Packing,
}

impl Read for Unpacked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out).map_err(|error| {
            // What the system says of the file has a code; all else is about what was packed.
            if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            let packing = self.packing.name().unwrap_or_default();
            let message = format!("its {packing} data is damaged, or ends too early ({error})");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }
}
