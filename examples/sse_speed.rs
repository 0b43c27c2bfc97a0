//! How fast the SSE decoder is beside eventsource-stream: the numbers in the README.
//!
//! `cargo run --release --example sse_speed`

use std::time::{Duration, Instant};

use eventsource_stream::Eventsource;
use futures::{FutureExt, StreamExt};
use runner::client::sse::Decoder;

const ROUNDS: usize = 5;

/// A stream of `events` chat deltas as vLLM sends them.
fn deltas(events: usize) -> Vec<u8> {
    let delta = "data: {\"id\":\"chatcmpl-0a1b2c3d4e5f60718293a4b5c6d7e8f9\",\
        \"object\":\"chat.completion.chunk\",\"created\":1795296213,\"model\":\"simulated-8b\",\
        \"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\
        \"finish_reason\":null}],\"usage\":null}\n\n";
    delta.repeat(events).into_bytes()
}

/// One event of `bytes` bytes.
fn long_event(bytes: usize) -> Vec<u8> {
    let mut stream = b"data: ".to_vec();
    stream.resize(bytes, b'x');
    stream.extend_from_slice(b"\n\n");
    stream
}

fn ours(chunks: &[&[u8]]) -> usize {
    let mut decoder = Decoder::default();
    let mut bytes = 0;
    for chunk in chunks {
        let pushed = decoder.push(chunk, &mut |event| bytes += event.data.len());
        assert!(pushed.is_ok(), "{pushed:?}");
    }
    bytes
}

fn theirs(chunks: &[&[u8]]) -> usize {
    let chunks = chunks.iter().map(|chunk| Ok::<_, std::io::Error>(*chunk));
    futures::stream::iter(chunks)
        .eventsource()
        .map(|event| event.map_or(0, |event| event.data.len()))
        .fold(0, |sum, bytes| std::future::ready(sum + bytes))
        .now_or_never()
        .unwrap_or_default()
}

/// The best of a few rounds.
fn best(run: impl Fn() -> usize, expected: usize) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        assert_eq!(run(), expected);
        start.elapsed()
    });
    rounds.min().unwrap_or_default()
}

fn main() {
    let events = 20_000;
    let stream = deltas(events);
    let event = stream.len() / events;
    for (name, size) in [("one event", event), ("16 KiB", 16 << 10), ("64 bytes", 64)] {
        let chunks: Vec<_> = stream.chunks(size).collect();
        let expected = ours(&chunks);
        let per_event = |time: Duration| time.as_nanos() as f64 / events as f64;
        println!(
            "{event}-byte events, chunks of {name:>9}: ours {:>6.0} ns/event, eventsource-stream {:>6.0}",
            per_event(best(|| ours(&chunks), expected)),
            per_event(best(|| theirs(&chunks), expected)),
        );
    }
    for mebibytes in [1, 4] {
        let stream = long_event(mebibytes << 20);
        let chunks: Vec<_> = stream.chunks(1400).collect();
        let expected = ours(&chunks);
        println!(
            "one {mebibytes} MiB event in 1,400-byte fragments: ours {:>8.2?}, eventsource-stream {:>8.2?}",
            best(|| ours(&chunks), expected),
            best(|| theirs(&chunks), expected),
        );
    }
}
