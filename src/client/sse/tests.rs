//! The decoder against the standard, recorded streams, another decoder and random bytes.

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
    let event = |name: Option<&str>, data: &str| (name.map(str::to_owned), data.into(), "7".into());
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
        .filter_map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let end = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap();
            let (head, body) = bytes.split_at(end + 4);
            // Ollama answers with lines of JSON.
            let is_sse = memchr::memmem::find(head, b"x-ndjson").is_none();
            is_sse.then(|| (path.display().to_string(), body.to_vec()))
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
