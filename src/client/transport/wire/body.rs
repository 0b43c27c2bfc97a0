//! The body of a response, as its framing cuts it.
//!
//! In: bytes as they are read, cut anywhere. Out: the body's own bytes and whether it is over.
//! Invariant: where the reads cut changes nothing; a body that breaks off is never taken for one
//! that ended.

use super::head::{Framing, Head};

/// The longest size line of a chunk, with its extensions.
const MAX_SIZE_LINE: usize = 16 * 1024;
/// The longest trailer behind the last chunk.
const MAX_TRAILER: usize = 64 * 1024;

/// How far a body has come.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are to come.
    Length(u64),
    /// All bytes until the connection closes.
    UntilClose,
    /// In the line with a chunk's size: the size so far, the line's bytes, and where in it.
    Size { size: u64, seen: usize, part: SizePart },
    /// In a chunk with so many bytes to come.
    Data(u64),
    /// Behind a chunk, where its line end is to come: how much of it has.
    DataEnd { after_cr: bool },
    /// Behind the last chunk: bytes so far, and whether the line so far is empty.
    Trailer { seen: usize, is_empty: bool },
    /// Complete.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SizePart {
    /// No digit yet.
    Start,
    Digits,
    /// Behind the digits, where extensions may stand.
    Rest,
    /// Behind the carriage return.
    AfterCr,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub data: Vec<u8>,
    pub then: Then,
}

/// How the body goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// More is to come.
    More,
    /// It is complete.
    Whole,
    /// It is complete, and bytes came behind it that nobody asked for.
    WholeAndMore,
    /// The connection closed in the middle of it.
    Closed,
    /// Its framing is broken.
    Broken(&'static str),
}

impl Body {
    /// The body behind `head`.
    pub(super) fn new(head: &Head) -> Self {
        let state = match head.framing {
            Framing::Length(0) => State::Over,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::SIZE,
            Framing::Close => State::UntilClose,
        };
        Self { state }
    }

    /// Takes what came in one read with the head: maybe nothing yet.
    pub(super) fn begin(&mut self, bytes: &[u8]) -> Taken {
        if bytes.is_empty() && self.state != State::Over {
            return Taken { data: Vec::new(), then: Then::More };
        }
        self.take(bytes)
    }

    /// Takes the bytes of one read; none mean that the connection closed.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Taken {
        if bytes.is_empty() {
            let then = match self.state {
                State::Over => Then::Whole,
                // The end of the connection is no place to keep it.
                State::UntilClose => Then::WholeAndMore,
                _ => Then::Closed,
            };
            return Taken { data: Vec::new(), then };
        }
        let mut data = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while !rest.is_empty() && self.state != State::Over {
            match self.state.step(rest, &mut data) {
                Ok(used) => rest = &rest[used..],
                Err(why) => return Taken { data, then: Then::Broken(why) },
            }
        }
        let then = match self.state {
            State::Over if rest.is_empty() => Then::Whole,
            State::Over => Then::WholeAndMore,
            _ => Then::More,
        };
        Taken { data, then }
    }
}

impl State {
    /// The start of a chunk's size.
    const SIZE: Self = Self::Size { size: 0, seen: 0, part: SizePart::Start };

    /// Takes at least one of `bytes`, which are not empty, and says how many.
    fn step(&mut self, bytes: &[u8], data: &mut Vec<u8>) -> Result<usize, &'static str> {
        match *self {
            Self::Length(left) => {
                let taken = at_most(bytes.len(), left);
                data.extend_from_slice(&bytes[..taken]);
                let left = left - taken as u64;
                *self = if left == 0 { Self::Over } else { Self::Length(left) };
                Ok(taken)
            }
            Self::UntilClose => {
                data.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Data(left) => {
                let taken = at_most(bytes.len(), left);
                data.extend_from_slice(&bytes[..taken]);
                let left = left - taken as u64;
                *self =
                    if left == 0 { Self::DataEnd { after_cr: false } } else { Self::Data(left) };
                Ok(taken)
            }
            Self::Size { size, seen, part } => {
                *self = Self::size(bytes[0], size, seen + 1, part)?;
                Ok(1)
            }
            Self::DataEnd { after_cr } => {
                *self = match (bytes[0], after_cr) {
                    (b'\r', false) => Self::DataEnd { after_cr: true },
                    (b'\n', true) => Self::SIZE,
                    _ => return Err("a chunk is longer than its size says"),
                };
                Ok(1)
            }
            Self::Trailer { seen, is_empty } => {
                *self = match bytes[0] {
                    b'\n' if is_empty => Self::Over,
                    b'\n' => Self::Trailer { seen: seen + 1, is_empty: true },
                    b'\r' => Self::Trailer { seen: seen + 1, is_empty },
                    _ => Self::Trailer { seen: seen + 1, is_empty: false },
                };
                if seen > MAX_TRAILER { Err("an endless trailer") } else { Ok(1) }
            }
            Self::Over => Ok(bytes.len()),
        }
    }

    /// The state behind one more byte of a size line.
    fn size(byte: u8, size: u64, seen: usize, part: SizePart) -> Result<Self, &'static str> {
        if seen > MAX_SIZE_LINE {
            return Err("an endless chunk extension");
        }
        let digit = char::from(byte).to_digit(16).map(u64::from);
        let part = match (part, byte, digit) {
            (SizePart::Start | SizePart::Digits, _, Some(digit)) => {
                let size = size.checked_mul(16).and_then(|size| size.checked_add(digit));
                let size = size.ok_or("a chunk size beyond all bounds")?;
                return Ok(Self::Size { size, seen, part: SizePart::Digits });
            }
            (SizePart::Start, _, None) => return Err("a chunk without a size"),
            (SizePart::AfterCr, b'\n', _) => {
                return Ok(match size {
                    0 => Self::Trailer { seen: 0, is_empty: true },
                    size => Self::Data(size),
                });
            }
            (SizePart::AfterCr, ..) => return Err("a size line without its end"),
            (_, b'\r', _) => SizePart::AfterCr,
            (SizePart::Digits, b';' | b' ' | b'\t', _) => SizePart::Rest,
            (SizePart::Rest, byte, _) if byte != b'\n' => SizePart::Rest,
            _ => return Err("a broken chunk size"),
        };
        Ok(Self::Size { size, seen, part })
    }
}

/// `left`, or all there is.
fn at_most(all: usize, left: u64) -> usize {
    usize::try_from(left).map_or(all, |left| left.min(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked() -> Body {
        Body { state: State::SIZE }
    }

    /// What comes out of `bytes` in pieces of `size`.
    fn pieces(mut body: Body, bytes: &[u8], size: usize) -> (Vec<u8>, Then) {
        let mut all = Vec::new();
        let mut then = Then::More;
        for piece in bytes.chunks(size) {
            let taken = body.take(piece);
            all.extend(taken.data);
            then = taken.then;
            if then != Then::More {
                break;
            }
        }
        (all, then)
    }

    #[test]
    fn where_reads_cut_changes_nothing() {
        let text = b"5\r\nhello\r\n00B;a=b\r\n, new world\r\n0\r\nX-T: 1\r\n\r\n";
        for size in 1..=text.len() {
            let (all, then) = pieces(chunked(), text, size);
            assert_eq!((all.as_slice(), then), (&b"hello, new world"[..], Then::Whole), "{size}");
        }
    }

    #[test]
    fn bytes_behind_the_end_are_noticed() {
        let taken = chunked().take(b"1\r\na\r\n0\r\n\r\nHTTP");
        assert_eq!(taken, Taken { data: b"a".to_vec(), then: Then::WholeAndMore });
        let taken = Body { state: State::Length(2) }.take(b"abc");
        assert_eq!(taken, Taken { data: b"ab".to_vec(), then: Then::WholeAndMore });
    }

    #[test]
    fn a_body_that_breaks_off_is_no_end() {
        for start in ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n"] {
            let mut body = chunked();
            let _so_far = (!start.is_empty()).then(|| body.take(start.as_bytes()));
            assert_eq!(body.take(b"").then, Then::Closed, "{start:?}");
        }
        assert_eq!(Body { state: State::Length(2) }.take(b"").then, Then::Closed);
        assert_eq!(Body { state: State::UntilClose }.take(b"").then, Then::WholeAndMore);
    }

    #[test]
    fn broken_framing_is_told_after_the_good_bytes() {
        for text in
            ["1\r\na\r\nx", "1\r\na\r\n\r\n", "1\r\na\r\n-1\r\n", "1\r\nabc", "1\r\na\r\n5\nhello"]
        {
            let taken = chunked().take(text.as_bytes());
            assert_eq!(taken.data, b"a", "{text:?}");
            assert!(matches!(taken.then, Then::Broken(_)), "{text:?}: {:?}", taken.then);
        }
        assert!(matches!(chunked().take(b"fffffffffffffffff\r\n").then, Then::Broken(_)));
        let endless = [b"1;".as_slice(), &vec![b'x'; MAX_SIZE_LINE]].concat();
        assert!(matches!(chunked().take(&endless).then, Then::Broken(_)));
    }
}
