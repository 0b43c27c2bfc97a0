//! A JSON text of any size → its elements, one at a time.
//!
//! In: bytes. Out: the bytes of one value after the other: the elements of a top-level array, or
//! several values in a row. Invariant: memory holds one element and never the array; every byte is
//! looked at once. What lies between two marks is cut out as it is, and whether it is JSON is for
//! the parser to say.

use std::io::{self, BufRead};

use super::unit::{Cut, MAX_UNIT_BYTES, Mark};

/// Cuts a text into JSON values.
pub(super) struct JsonStream<R> {
    reader: R,
    /// Elements of top-level arrays are values of their own.
    explode: bool,
    /// Where the next byte stands.
    at: Mark,
    /// A comma or the array's end comes before the next element.
    after_element: bool,
}

impl<R: BufRead> JsonStream<R> {
    /// Reads on from `mark`, at which `reader` stands.
    pub fn new(reader: R, explode: bool, mark: Mark) -> Self {
        Self { reader, explode, at: mark, after_element: false }
    }

    /// Puts the next value into `out` and tells where it begins; `None` at the end of the text.
    pub fn next(&mut self, out: &mut Vec<u8>) -> io::Result<Option<(Mark, Cut)>> {
        out.clear();
        loop {
            let Some(byte) = self.peek()? else {
                if self.at.inside {
                    self.at.inside = false;
                    return Ok(Some((self.at, Cut::Unclosed("the array is never closed"))));
                }
                return Ok(None);
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.advance(byte),
                b',' if self.at.inside && self.after_element => {
                    self.after_element = false;
                    self.advance(byte);
                }
                b']' if self.at.inside => {
                    self.at.inside = false;
                    self.advance(byte);
                }
                b'[' if self.explode && !self.at.inside => {
                    self.at.inside = true;
                    self.after_element = false;
                    self.advance(byte);
                }
                _ => {
                    let start = self.at;
                    let cut = self.value(byte, out)?;
                    self.after_element = true;
                    return Ok(Some((start, cut)));
                }
            }
        }
    }

    /// Takes a whole value, which begins with `first`.
    fn value(&mut self, first: u8, out: &mut Vec<u8>) -> io::Result<Cut> {
        match first {
            b'{' | b'[' | b'"' => self.bracketed(out),
            // A stray mark is a value of its own, which no parser accepts.
            b'}' | b']' | b',' | b':' => {
                out.push(first);
                self.advance(first);
                Ok(Cut::Whole)
            }
            _ => self.scalar(out),
        }
    }

    /// A string, object or array: up to the mark that closes the first one.
    fn bracketed(&mut self, out: &mut Vec<u8>) -> io::Result<Cut> {
        let mut depth = 0_usize;
        let mut in_string = false;
        let mut is_escaped = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(Cut::Unclosed("the file ends inside this value"));
            }
            let mut taken = 0;
            let mut is_done = false;
            for byte in buffer {
                taken += 1;
                if *byte == b'\n' {
                    self.at.line += 1;
                }
                if in_string {
                    match byte {
                        _ if is_escaped => is_escaped = false,
                        b'\\' => is_escaped = true,
                        b'"' => in_string = false,
                        _ => {}
                    }
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                }
                if depth == 0 && !in_string {
                    is_done = true;
                    break;
                }
            }
            let room = MAX_UNIT_BYTES.saturating_sub(out.len());
            out.extend_from_slice(&buffer[..taken.min(room)]);
            self.reader.consume(taken);
            self.at.offset += taken as u64;
            if taken > room {
                return Ok(Cut::TooLong);
            }
            if is_done {
                return Ok(Cut::Whole);
            }
        }
    }

    /// A number or word: up to the next mark or blank.
    fn scalar(&mut self, out: &mut Vec<u8>) -> io::Result<Cut> {
        while let Some(byte) = self.peek()? {
            if matches!(
                byte,
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}' | b'[' | b'{' | b'"'
            ) {
                break;
            }
            if out.len() == MAX_UNIT_BYTES {
                return Ok(Cut::TooLong);
            }
            out.push(byte);
            self.advance(byte);
        }
        Ok(Cut::Whole)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    fn advance(&mut self, byte: u8) {
        self.reader.consume(1);
        self.at.offset += 1;
        self.at.line += u64::from(byte == b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &[u8], explode: bool, chunk: usize) -> Vec<(u64, u64, String, bool)> {
        let reader = io::BufReader::with_capacity(chunk.max(1), text);
        let mut stream = JsonStream::new(reader, explode, Mark::START);
        let mut out = Vec::new();
        let mut all = Vec::new();
        while let Some((mark, cut)) = stream.next(&mut out).unwrap() {
            let text = String::from_utf8_lossy(&out).into_owned();
            all.push((mark.offset, mark.line, text, cut == Cut::Whole));
        }
        all
    }

    fn texts(text: &str, explode: bool) -> Vec<String> {
        values(text.as_bytes(), explode, 7).into_iter().map(|value| value.2).collect()
    }

    #[test]
    fn an_array_is_given_element_by_element() {
        assert_eq!(
            texts("[ {\"a\": [1, \"]}\"]},\n \"s\\\"]\", 12,[3] ]", true),
            ["{\"a\": [1, \"]}\"]}", "\"s\\\"]\"", "12", "[3]"]
        );
        assert!(texts(" [] ", true).is_empty());
    }

    #[test]
    fn values_in_a_row_need_no_array() {
        assert_eq!(
            texts("{\"a\":\n1}\n{\"b\":2}[3,4]", true),
            ["{\"a\":\n1}", "{\"b\":2}", "3", "4"]
        );
        assert_eq!(texts("[1,2] [3]", false), ["[1,2]", "[3]"]);
    }

    #[test]
    fn an_unclosed_array_is_noticed() {
        let all = values(b"[{\"a\":1}", true, 3);
        assert_eq!(all.len(), 2);
        assert!(all[0].3 && !all[1].3);
        assert!(!values(b"[{\"a\":1", true, 3)[0].3);
    }

    #[test]
    fn it_can_go_on_at_any_mark() {
        let text = "[\n{\"a\":1},\n {\"b\":[2]},\n3]";
        let all = values(text.as_bytes(), true, 100);
        assert_eq!(all[1].1, 3);
        let mark = Mark { offset: all[1].0, line: all[1].1, inside: true };
        let rest = &text.as_bytes()[usize::try_from(all[1].0).unwrap()..];
        let mut stream = JsonStream::new(rest, true, mark);
        let mut out = Vec::new();
        assert!(stream.next(&mut out).unwrap().is_some());
        assert_eq!(out, b"{\"b\":[2]}");
        assert!(stream.next(&mut out).unwrap().is_some());
        assert_eq!(out, b"3");
        assert!(stream.next(&mut out).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_end_and_give_the_same_values_whatever_the_chunks(
            text in proptest::collection::vec(
                proptest::sample::select(b"[]{},:\"\\ \n1ae".to_vec()), 0..200),
            chunk in 1_usize..20,
            explode: bool,
        ) {
            prop_assert_eq!(values(&text, explode, chunk), values(&text, explode, 4096));
        }

        #[test]
        fn every_valid_array_comes_back_whole(items in proptest::collection::vec(".{0,12}", 0..8)) {
            let json: Vec<serde_json::Value> =
                items.iter().map(|item| serde_json::json!({ item: [item, 1] })).collect();
            let text = serde_json::to_string_pretty(&json).unwrap();
            let back: Vec<serde_json::Value> = texts(&text, true)
                .iter()
                .map(|value| serde_json::from_str(value).unwrap())
                .collect();
            prop_assert_eq!(back, json);
        }
    }
}
