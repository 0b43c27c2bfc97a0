//! Server-sent events: response bytes → events, by the WHATWG standard.
//!
//! In: chunks exactly as they arrive, cut anywhere. Out: one [`Event`] per blank line that follows
//! data. Invariant: where a stream is cut into chunks never changes its events; every byte is
//! looked at once and copied at most twice, so time is linear in the stream's length; nothing that
//! a server sends makes it panic or grow beyond the size cap.
//!
//! It is our own because eventsource-stream 0.2.3 panics on a byte order mark, loses an event after
//! a lone CR, stops at invalid UTF-8 and re-reads a long line on every chunk.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The longest event a decoder accepts unless told otherwise, in bytes.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its `event:` field; `None` means `message`.
    pub name: Option<Cow<'a, str>>,
    /// Its `data:` lines, joined by line feeds.
    pub data: Cow<'a, str>,
    /// The last event id seen so far; empty when none was.
    pub id: Cow<'a, str>,
}

/// The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event (or one line) is longer than the cap, in bytes.
    #[error("one event is longer than {0} bytes")]
    TooLarge(usize),
}

/// What the stream's end left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing: the last event was complete.
    Clean,
    /// An event without its closing blank line; by the standard it is dropped.
    Unterminated,
}

/// A push decoder of one response body.
#[derive(Debug)]
pub struct Decoder {
    max_event: usize,
    /// How many bytes of a byte order mark were matched; `None` once the start is behind us.
    bom: Option<usize>,
    /// The last chunk ended in CR: an LF that comes next belongs to it.
    after_cr: bool,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    fields: Fields,
    failed: Option<SseError>,
}

/// The fields of the event being read.
#[derive(Debug, Default)]
struct Fields {
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    id: Vec<u8>,
    retry_ms: Option<u64>,
    comments: u64,
    lossy: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_EVENT_BYTES)
    }
}

impl Decoder {
    /// A decoder that refuses events of more than `max_event` bytes.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            bom: Some(0),
            after_cr: false,
            line: Vec::new(),
            fields: Fields::default(),
            failed: None,
        }
    }

    /// Reads the next chunk and hands every event it completes to `on_event`. Once it has failed,
    /// it fails for ever.
    pub fn push(
        &mut self,
        chunk: &[u8],
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = self.strip_bom(chunk);
        loop {
            if self.after_cr && !rest.is_empty() {
                self.after_cr = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else { break };
            self.check(end)?;
            if self.line.is_empty() {
                self.fields.line(&rest[..end], on_event);
            } else {
                self.line.extend_from_slice(&rest[..end]);
                self.fields.line(&self.line, on_event);
                self.line.clear();
            }
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
        self.check(rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the stream and says whether an event was left unfinished.
    pub fn finish(self) -> Tail {
        if self.line.is_empty() && !self.fields.has_data { Tail::Clean } else { Tail::Unterminated }
    }

    /// Whether any event so far held invalid UTF-8, now replaced by U+FFFD.
    pub fn lossy(&self) -> bool {
        self.fields.lossy
    }

    /// Comment lines so far (`: ping` and the like).
    pub fn comments(&self) -> u64 {
        self.fields.comments
    }

    /// The server's last `retry:`, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.fields.retry_ms
    }

    /// Fails once the line so far, its next `more` bytes and the event's data exceed the cap.
    fn check(&mut self, more: usize) -> Result<(), SseError> {
        if self.line.len() + self.fields.data.len() + more <= self.max_event {
            return Ok(());
        }
        let error = SseError::TooLarge(self.max_event);
        self.failed = Some(error);
        Err(error)
    }

    /// Drops one byte order mark at the very start, even when chunks cut it. A start that only
    /// looks like one is put back.
    fn strip_bom<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let Some(mut matched) = self.bom else { return chunk };
        let mut rest = chunk;
        while let Some((&first, tail)) = rest.split_first() {
            if first != BOM[matched] {
                self.line.extend_from_slice(&BOM[..matched]);
                self.bom = None;
                return rest;
            }
            rest = tail;
            matched += 1;
            if matched == BOM.len() {
                self.bom = None;
                return rest;
            }
        }
        self.bom = Some(matched);
        rest
    }
}

impl Fields {
    /// Takes one line without its end.
    fn line(&mut self, line: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        if line.is_empty() {
            self.dispatch(on_event);
            return;
        }
        let (field, value) = match memchr(b':', line) {
            Some(0) => {
                self.comments += 1;
                return;
            }
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &line[..0]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => value.clone_into(&mut self.name),
            b"id" if memchr(0, value).is_none() => value.clone_into(&mut self.id),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            _ => {}
        }
    }

    /// A blank line: hands out the event if it has data, and starts the next.
    fn dispatch(&mut self, on_event: &mut impl FnMut(Event<'_>)) {
        if self.has_data {
            let data = text(&self.data);
            // Borrowed means that nothing had to be replaced.
            self.lossy |= matches!(data, Cow::Owned(_));
            let name = (!self.name.is_empty()).then(|| text(&self.name));
            on_event(Event { name, data, id: text(&self.id) });
        }
        self.data.clear();
        self.has_data = false;
        self.name.clear();
    }
}

/// UTF-8 with U+FFFD for what is invalid. The check alone is much quicker than the replacement.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Name, data, id of one event.
    type Owned = (Option<String>, String, String);

    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, Decoder) {
        let mut events = Vec::new();
        let mut decoder = Decoder::default();
        for chunk in chunks {
            decoder
                .push(chunk, &mut |event| {
                    events.push((
                        event.name.map(Cow::into_owned),
                        event.data.into_owned(),
                        event.id.into_owned(),
                    ));
                })
                .unwrap();
        }
        (events, decoder)
    }

    fn data(stream: &[u8]) -> Vec<String> {
        decode([stream]).0.into_iter().map(|(_, data, _)| data).collect()
    }

    #[test]
    fn lines_end_in_lf_cr_or_crlf() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = format!("data: a{end}data: b{end}{end}data: c{end}{end}");
            assert_eq!(data(stream.as_bytes()), ["a\nb", "c"], "{end:?}");
        }
    }

    #[test]
    fn one_space_after_the_colon_is_not_part_of_the_value() {
        assert_eq!(data(b"data:a\n\ndata:  b\n\ndata\n\n"), ["a", " b", ""]);
    }

    #[test]
    fn comments_and_unknown_fields_make_no_event() {
        let (events, decoder) = decode([&b":\n\n: ping\n\nfoo: bar\n\nevent: x\n\n"[..]]);
        assert_eq!(events, []);
        assert_eq!(decoder.comments(), 2);
        assert_eq!(decoder.finish(), Tail::Clean);
    }

    #[test]
    fn name_ends_with_its_event_and_id_stays() {
        let stream = b"event: a\nid: 7\ndata: x\n\ndata: y\n\nid: 8\x00\nretry: 150\ndata: z\n\n";
        let (events, decoder) = decode([&stream[..]]);
        let event =
            |name: Option<&str>, data: &str| (name.map(str::to_owned), data.into(), "7".into());
        assert_eq!(events, [event(Some("a"), "x"), event(None, "y"), event(None, "z")]);
        assert_eq!(decoder.retry_ms(), Some(150));
    }

    #[test]
    fn a_byte_order_mark_is_dropped_once_and_only_at_the_start() {
        assert_eq!(data(b"\xEF\xBB\xBFdata: a\n\n"), ["a"]);
        assert_eq!(data(b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n"), ["b"]);
        assert_eq!(data(b"\xEF\xBBdata: a\n\ndata: b\n\n"), ["b"], "half a mark is a field name");
        assert_eq!(data("data: \u{FEFF}a\n\n".as_bytes()), ["\u{FEFF}a"]);
    }

    #[test]
    fn invalid_utf8_is_replaced_flagged_and_read_past() {
        let (events, decoder) = decode([&b"data: a\xFFb\n\ndata: \xE4\xB8\n\ndata: ok\n\n"[..]]);
        let texts: Vec<_> = events.iter().map(|(_, data, _)| data.as_str()).collect();
        assert_eq!(texts, ["a\u{FFFD}b", "\u{FFFD}", "ok"]);
        assert!(decoder.lossy());
    }

    #[test]
    fn an_event_without_its_blank_line_is_dropped_and_said() {
        for stream in ["data: a", "data: a\n"] {
            let (events, decoder) = decode([stream.as_bytes()]);
            assert_eq!((events, decoder.finish()), (vec![], Tail::Unterminated), "{stream:?}");
        }
    }

    #[test]
    fn an_event_beyond_the_cap_is_an_error_for_ever() {
        let mut many_lines = Decoder::new(100);
        let mut seen = 0;
        assert_eq!(many_lines.push(b"data: fits\n\n", &mut |_| seen += 1), Ok(()));
        let line = format!("data: {}\n", "x".repeat(50));
        assert_eq!(many_lines.push(line.as_bytes(), &mut |_| seen += 1), Ok(()));
        let error = Err(SseError::TooLarge(100));
        assert_eq!(many_lines.push(line.as_bytes(), &mut |_| seen += 1), error);
        assert_eq!(many_lines.push(b"data: a\n\n", &mut |_| seen += 1), error);
        assert_eq!(seen, 1);

        let mut one_line = Decoder::new(100);
        for _ in 0..10 {
            assert_eq!(one_line.push(&[b'x'; 10], &mut |_| ()), Ok(()));
        }
        assert_eq!(one_line.push(b"x", &mut |_| ()), error);
    }

    /// The bodies of all recorded streams with their file names.
    fn recorded() -> Vec<(String, Vec<u8>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streams");
        let streams: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
            .map(|path| {
                let bytes = std::fs::read(&path).unwrap();
                let end = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap();
                (path.display().to_string(), bytes[end + 4..].to_vec())
            })
            .collect();
        assert!(streams.len() >= 20, "tests/streams has {} streams", streams.len());
        streams
    }

    #[test]
    fn recorded_streams_give_the_same_events_wherever_they_are_cut() {
        for (name, bytes) in recorded() {
            let whole = decode([&bytes[..]]).0;
            assert!(!whole.is_empty(), "{name}");
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                assert_eq!(decode([head, tail]).0, whole, "{name} cut at {cut}");
            }
            for size in [1, 2, 3, 7, 64] {
                assert_eq!(decode(bytes.chunks(size)).0, whole, "{name} by {size}");
            }
        }
    }

    #[test]
    fn recorded_streams_read_as_eventsource_stream_reads_them() {
        use eventsource_stream::Eventsource;
        use futures::{FutureExt, StreamExt};
        for (name, bytes) in recorded() {
            let chunk = futures::stream::iter([Ok::<_, std::io::Error>(bytes.clone())]);
            let theirs: Vec<(String, String)> = chunk
                .eventsource()
                .map(|event| event.map(|event| (event.event, event.data)).unwrap())
                .collect()
                .now_or_never()
                .unwrap();
            let ours: Vec<(String, String)> = decode([&bytes[..]])
                .0
                .into_iter()
                .map(|(name, data, _)| (name.unwrap_or_else(|| "message".into()), data))
                .collect();
            assert_eq!(ours, theirs, "{name}");
        }
    }

    /// Microseconds to decode one event of `bytes` bytes that arrives in 1,400-byte fragments.
    fn decode_time(bytes: usize) -> u128 {
        let mut stream = b"data: ".to_vec();
        stream.resize(bytes, b'x');
        stream.extend_from_slice(b"\n\n");
        (0..5)
            .map(|_| {
                let start = std::time::Instant::now();
                let (events, _) = decode(stream.chunks(1400));
                assert_eq!(events.len(), 1);
                start.elapsed().as_micros()
            })
            .min()
            .unwrap_or(u128::MAX)
    }

    #[test]
    fn a_four_mebibyte_event_takes_linear_time() {
        let one = decode_time(1 << 20).max(50);
        let four = decode_time(4 << 20);
        // Linear is 4 times; quadratic would be 16. The margin is for a noisy machine.
        assert!(four < one * 12, "1 MiB took {one} µs, 4 MiB {four} µs");
    }

    /// Pieces that make hard streams: line ends, field names, broken and whole characters.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop::sample::select(vec![
            &b"\n"[..],
            b"\r",
            b"\r\n",
            b"data",
            b"data:",
            b"data: x",
            b":",
            b": ping",
            b"event: e",
            b"id: 1",
            b"retry: 5",
            b" ",
            b"\xEF\xBB\xBF",
            b"\xFF",
            "é".as_bytes(),
            "漢".as_bytes(),
            b"\xF0\x9F",
            b"\x98\x80",
            b"\0",
            b"{\"a\":1}",
        ])
        .prop_map(<[u8]>::to_vec)
    }

    proptest! {
        #[test]
        fn any_stream_gives_the_same_events_for_any_two_cuts(
            pieces in prop::collection::vec(piece(), 0..40),
            a in any::<prop::sample::Index>(),
            b in any::<prop::sample::Index>(),
        ) {
            let bytes = pieces.concat();
            let (a, b) = (a.index(bytes.len() + 1), b.index(bytes.len() + 1));
            let (a, b) = (a.min(b), a.max(b));
            let (whole, decoder) = decode([&bytes[..]]);
            let (cut, other) = decode([&bytes[..a], &bytes[a..b], &bytes[b..]]);
            prop_assert_eq!(&whole, &cut);
            prop_assert_eq!(decoder.lossy(), other.lossy());
            prop_assert_eq!(decoder.finish(), other.finish());
            prop_assert_eq!(whole, decode(bytes.chunks(1)).0);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            decode(bytes.chunks(3));
        }
    }
}
