//! UTF-16 → UTF-8.
//!
//! In: a reader of UTF-16 in a known byte order. Out: the same text as UTF-8, its byte order mark
//! included. Invariant: a half of a surrogate pair or of a character is an error, never a guess.

use std::io::{self, BufRead, Read};

/// Which byte of a unit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// The lower one.
    Little,
    /// The higher one.
    Big,
}

/// Reads UTF-16 as UTF-8.
pub(super) struct Decoder<R> {
    reader: R,
    order: ByteOrder,
    /// Text that was not given yet, from `given` on.
    text: String,
    given: usize,
    /// The first byte of a unit, or the bytes of a pair's first half, whose rest is still to come.
    begun: Vec<u8>,
}

impl<R: BufRead> Decoder<R> {
    /// Decodes what `reader` gives.
    pub fn new(reader: R, order: ByteOrder) -> Self {
        Self { reader, order, text: String::new(), given: 0, begun: Vec::new() }
    }

    /// Decodes the next bytes into `text`; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let buffer = self.reader.fill_buf()?;
        if buffer.is_empty() {
            return if self.begun.is_empty() { Ok(false) } else { Err(damaged()) };
        }
        let taken = buffer.len();
        self.begun.extend_from_slice(buffer);
        self.reader.consume(taken);
        let unit = |pair: &[u8]| match self.order {
            ByteOrder::Little => u16::from_le_bytes([pair[0], pair[1]]),
            ByteOrder::Big => u16::from_be_bytes([pair[0], pair[1]]),
        };
        let mut units: Vec<u16> = self.begun.chunks_exact(2).map(unit).collect();
        if units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) {
            units.pop();
        }
        self.begun.drain(..units.len() * 2);
        self.given = 0;
        self.text = char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| damaged())?;
        Ok(true)
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let rest = &self.text.as_bytes()[self.given..];
        let taken = rest.len().min(out.len());
        out[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its UTF-16 is damaged, or ends too early")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8], order: ByteOrder, chunk: usize) -> io::Result<String> {
        let mut text = String::new();
        let reader = io::BufReader::with_capacity(chunk, bytes);
        Decoder::new(reader, order).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn half_a_character_is_an_error() {
        for bytes in [&b"a\0b"[..], b"\x3d\xd8", b"\x3d\xd8a\0", b"\x00\xdc"] {
            assert!(decode(bytes, ByteOrder::Little, 64).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_whatever_the_chunks(text in ".{0,40}", chunk in 1_usize..9) {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            prop_assert_eq!(&decode(&little, ByteOrder::Little, chunk).unwrap(), &text);
            prop_assert_eq!(&decode(&big, ByteOrder::Big, chunk).unwrap(), &text);
        }
    }
}
