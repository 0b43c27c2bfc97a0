//! Undoes a compression that nobody asked for, so that the answer can still be read.
//!
//! In: body chunks. Out: the same chunks, or what they decompress to. Invariant: one chunk never
//! becomes more than [`MAX_CHUNK`] bytes; timing of a compressed answer is the compressor's, which
//! the exchange says by a flag.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzDecoder;

/// The most that one chunk may decompress to.
const MAX_CHUNK: usize = 16 * 1024 * 1024;

/// A body's content coding.
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip(Box<GzDecoder<Capped>>),
}

/// A buffer that refuses to grow beyond the cap.
#[derive(Default)]
pub(super) struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_CHUNK {
            return Err(std::io::Error::other("it decompresses to too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Coding {
    /// The coding that a `Content-Encoding` names; its name back when it is none of ours.
    pub fn of(header: Option<&str>) -> Result<Self, String> {
        match header.map(|name| name.trim().to_ascii_lowercase()).as_deref() {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip(Box::new(GzDecoder::new(Capped::default())))),
            Some(other) => Err(other.to_owned()),
        }
    }

    /// What a chunk says.
    pub fn decode(&mut self, chunk: Bytes) -> std::io::Result<Bytes> {
        match self {
            Self::Identity => Ok(chunk),
            Self::Gzip(decoder) => {
                decoder.write_all(&chunk)?;
                decoder.flush()?;
                Ok(std::mem::take(&mut decoder.get_mut().0).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_undone_chunk_by_chunk() {
        let packed = gzip(b"data: hello\n\n");
        let mut coding = Coding::of(Some("GZIP")).unwrap();
        let mut out = Vec::new();
        for chunk in packed.chunks(3) {
            out.extend_from_slice(&coding.decode(Bytes::copy_from_slice(chunk)).unwrap());
        }
        assert_eq!(out, b"data: hello\n\n");
    }

    #[test]
    fn a_bomb_is_refused() {
        let packed = gzip(&vec![0; MAX_CHUNK + 1024]);
        let mut coding = Coding::of(Some("gzip")).unwrap();
        assert!(coding.decode(packed.into()).is_err());
    }

    #[test]
    fn other_codings_are_named() {
        assert_eq!(Coding::of(Some("br")).err().as_deref(), Some("br"));
        assert!(matches!(Coding::of(None), Ok(Coding::Identity)));
    }
}
