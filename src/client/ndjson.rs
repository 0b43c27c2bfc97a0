//! Newline-delimited JSON: response bytes → lines.
//!
//! In: chunks exactly as they arrive, cut anywhere. Out: each line that is not blank. Invariant:
//! where a stream is cut into chunks never changes its lines; every byte is looked at once, and
//! nothing that a server sends makes it panic or grow beyond the size cap.

use std::borrow::Cow;

use memchr::memchr;
use serde::de::IgnoredAny;

use super::sse::{SseError, Tail};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A push decoder of one response body.
#[derive(Debug)]
pub struct Decoder {
    max_line: usize,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    /// No line has ended yet, so a byte order mark may open this one.
    first: bool,
    lossy: bool,
    failed: Option<SseError>,
}

impl Decoder {
    /// A decoder that refuses lines of more than `max_line` bytes.
    pub fn new(max_line: usize) -> Self {
        Self { max_line, line: Vec::new(), first: true, lossy: false, failed: None }
    }

    /// Reads the next chunk and hands every line it completes to `on_line`. Once it has failed, it
    /// fails for ever.
    pub fn push(&mut self, chunk: &[u8], on_line: &mut impl FnMut(&str)) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            self.check(end)?;
            if self.line.is_empty() {
                self.hand_out(&rest[..end], on_line);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&rest[..end]);
                self.hand_out(&line, on_line);
                line.clear();
                self.line = line;
            }
            rest = &rest[end + 1..];
        }
        self.check(rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the stream. A last line without its line end is handed out when it is whole JSON, as
    /// servers often leave the end out; otherwise it is dropped and said.
    pub fn finish(&mut self, on_line: &mut impl FnMut(&str)) -> Tail {
        let line = std::mem::take(&mut self.line);
        let json = if self.first { line.strip_prefix(BOM).unwrap_or(&line) } else { &line };
        if json.trim_ascii().is_empty() {
            return Tail::Clean;
        }
        if self.failed.is_some() || serde_json::from_slice::<IgnoredAny>(json).is_err() {
            return Tail::Unterminated;
        }
        self.hand_out(&line, on_line);
        Tail::Clean
    }

    /// Whether any line so far held invalid UTF-8, now replaced by U+FFFD.
    pub fn lossy(&self) -> bool {
        self.lossy
    }

    fn hand_out(&mut self, line: &[u8], on_line: &mut impl FnMut(&str)) {
        let mut line = line;
        if std::mem::take(&mut self.first) {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            let text = String::from_utf8_lossy(line);
            // Borrowed means that nothing had to be replaced.
            self.lossy |= matches!(text, Cow::Owned(_));
            on_line(&text);
        }
    }

    /// Fails once the line so far and its next `more` bytes exceed the cap.
    fn check(&mut self, more: usize) -> Result<(), SseError> {
        if self.line.len() + more <= self.max_line {
            return Ok(());
        }
        let error = SseError::TooLarge(self.max_line);
        self.failed = Some(error);
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Tail, bool) {
        let mut lines = Vec::new();
        let mut decoder = Decoder::new(1 << 20);
        for chunk in chunks {
            decoder.push(chunk, &mut |line| lines.push(line.to_owned())).unwrap();
        }
        let tail = decoder.finish(&mut |line| lines.push(line.to_owned()));
        (lines, tail, decoder.lossy())
    }

    #[test]
    fn blank_lines_and_carriage_returns_are_no_part_of_a_line() {
        let (lines, tail, lossy) = decode([&b"\xEF\xBB\xBF{\"a\":1}\r\n\r\n \n{\"a\":2}\n\n"[..]]);
        assert_eq!(lines, [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!((tail, lossy), (Tail::Clean, false));
    }

    #[test]
    fn a_last_line_without_its_end_counts_only_when_it_is_whole() {
        assert_eq!(decode([&b"{\"a\":1}"[..]]).0, [r#"{"a":1}"#]);
        let (lines, tail, _) = decode([&b"{\"a\":1}\n{\"a\""[..]]);
        assert_eq!((lines.len(), tail), (1, Tail::Unterminated));
    }

    #[test]
    fn invalid_utf8_is_replaced_and_flagged() {
        let (lines, _, lossy) = decode([&b"{\"a\":\"\xFF\"}\n{}\n"[..]]);
        assert_eq!((lines[0].as_str(), lossy), ("{\"a\":\"\u{FFFD}\"}", true));
    }

    #[test]
    fn a_line_beyond_the_cap_is_an_error_for_ever() {
        let mut decoder = Decoder::new(8);
        let mut seen = 0;
        assert_eq!(decoder.push(b"12345678\n1234", &mut |_| seen += 1), Ok(()));
        let error = Err(SseError::TooLarge(8));
        assert_eq!(decoder.push(b"56789\n", &mut |_| seen += 1), error);
        assert_eq!(decoder.push(b"1\n", &mut |_| seen += 1), error);
        assert_eq!(seen, 1);
    }

    /// Pieces that make hard streams.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop::sample::select(vec![
            &b"\n"[..],
            b"\r\n",
            b"\r",
            b" ",
            b"{\"a\":1}",
            b"{\"a\"",
            b":\"",
            b"\"}",
            b"\xEF\xBB\xBF",
            b"\xFF",
            "漢".as_bytes(),
            b"\xF0\x9F",
            b"\x98\x80",
        ])
        .prop_map(<[u8]>::to_vec)
    }

    proptest! {
        #[test]
        fn any_stream_gives_the_same_lines_cut_at_every_byte(
            pieces in prop::collection::vec(piece(), 0..30),
        ) {
            let bytes = pieces.concat();
            let whole = decode([&bytes[..]]);
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                prop_assert_eq!(&decode([head, tail]), &whole, "cut at {}", cut);
            }
            prop_assert_eq!(decode(bytes.chunks(1)), whole);
        }
    }
}
