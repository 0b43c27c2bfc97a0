//! Streams of real servers, replayed over a real socket: right tokens, usage and outcome.

use std::time::Duration;

use super::{class, endpoint, exchange};
use crate::faulty_server::{FaultyServer, LAST_CHUNK, Step, chunk, recorded};
use runner::record::{Exchange, ServerTimings};

/// How the recorded server ended its body.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The last chunk came.
    Clean,
    /// The connection closed without it.
    Cut,
}

/// What a stream must give.
struct Expected {
    file: &'static str,
    end: End,
    class: &'static str,
    /// Token-bearing events.
    tokens: usize,
    /// All text, reasoning included.
    text: &'static str,
    /// Input, output, cached tokens of usage.
    usage: [Option<u64>; 3],
    finish: Option<&'static str>,
    /// `cache_n`, `prompt_n`, `predicted_n` of llama.cpp's timings.
    timings: [Option<u64>; 3],
    /// Whether the first token came before the first content.
    reasons: bool,
}

const NONE: [Option<u64>; 3] = [None; 3];

const EXPECTED: [Expected; 8] = [
    Expected {
        file: "llama-chat",
        end: End::Clean,
        class: "ok",
        tokens: 13,
        text: "Hello, I'm here to help with any creative writing project.",
        usage: [Some(37), Some(14), Some(0)],
        finish: Some("stop"),
        timings: [Some(0), Some(37), Some(14)],
        reasons: false,
    },
    Expected {
        file: "llama-chat-nousage",
        end: End::Clean,
        class: "ok",
        tokens: 4,
        text: "Hello, I'm",
        usage: NONE,
        finish: Some("length"),
        timings: [Some(36), Some(1), Some(4)],
        reasons: false,
    },
    Expected {
        file: "llama-think-chat",
        end: End::Clean,
        class: "ok",
        tokens: 15,
        text: "\nHello\n\nNo it isWhat is the output of the above code?",
        usage: [Some(15), Some(22), Some(0)],
        finish: Some("stop"),
        timings: [Some(0), Some(15), Some(22)],
        reasons: true,
    },
    Expected {
        file: "aimock-chat",
        end: End::Clean,
        class: "ok",
        tokens: 17,
        text: "The user greets me; I greet back.Hello! This is an aimock answer streamed in little \
               pieces of text.",
        usage: [Some(1500), Some(20), None],
        finish: Some("stop"),
        timings: NONE,
        reasons: true,
    },
    Expected {
        file: "llmock-chat",
        end: End::Clean,
        class: "ok",
        tokens: 5,
        text: "LLMock says hello from mock.",
        usage: [Some(2), Some(7), None],
        finish: Some("stop"),
        timings: NONE,
        reasons: false,
    },
    Expected {
        file: "llmock-disconnect-chat",
        end: End::Cut,
        class: "stream.incomplete_body",
        tokens: 2,
        text: "LLMock says ",
        usage: NONE,
        finish: None,
        timings: NONE,
        reasons: false,
    },
    Expected {
        file: "llmock-malformed-chat",
        end: End::Clean,
        class: "protocol.json",
        tokens: 2,
        text: "LLMock says ",
        usage: NONE,
        finish: None,
        timings: NONE,
        reasons: false,
    },
    Expected {
        file: "llmock-truncate-chat",
        end: End::Clean,
        class: "stream.truncated",
        tokens: 2,
        text: "LLMock says ",
        usage: NONE,
        finish: None,
        timings: NONE,
        reasons: false,
    },
];

/// Replays a file in pieces of `piece` bytes, each its own chunk.
async fn replay(expected: &Expected, piece: usize) -> Exchange {
    let (head, body) = recorded(expected.file);
    let mut bytes = head;
    bytes.extend(body.chunks(piece).flat_map(chunk));
    if expected.end == End::Clean {
        bytes.extend_from_slice(LAST_CHUNK);
    }
    let server = FaultyServer::script(vec![Step::Read, Step::Send(bytes)]);
    exchange(&endpoint(&server.url())).await
}

fn check(expected: &Expected, it: &Exchange) {
    let file = expected.file;
    assert_eq!(class(it), expected.class, "{file}: {:?}", it.error_message);
    assert_eq!(it.token_ns.len(), expected.tokens, "{file}");
    assert_eq!(it.text, expected.text, "{file}");
    assert_eq!([it.input_tokens, it.output_tokens, it.cached_tokens], expected.usage, "{file}");
    assert_eq!(it.finish_reason.as_deref(), expected.finish, "{file}");
    let timings =
        it.timings.map_or(NONE, |ServerTimings { cache_n, prompt_n, predicted_n, .. }| {
            [cache_n, prompt_n, predicted_n]
        });
    assert_eq!(timings, expected.timings, "{file}");
    // The request here is not the recorded one, so its limit is none of theirs.
    assert!(it.flags.iter().all(|flag| flag == "over_max_tokens"), "{file}: {:?}", it.flags);
    assert!(it.model.is_some() && it.first_event_ns <= it.first_token_ns, "{file}");
    assert!(it.token_ns.is_sorted(), "{file}");
    assert_eq!(it.usage_ns.is_some(), expected.usage != NONE, "{file}");
    assert_eq!(it.raw.is_some(), expected.class != "ok", "{file}");
    if expected.reasons {
        // Equal where one read brought both.
        assert!(it.first_content_ns.is_none_or(|at| Some(at) >= it.first_token_ns), "{file}");
    } else {
        assert_eq!(it.first_content_ns, it.first_token_ns, "{file}");
    }
}

#[tokio::test]
async fn every_recorded_chat_gives_its_tokens_usage_and_outcome() {
    for expected in &EXPECTED {
        for piece in [7, 100, 1 << 20] {
            let it = replay(expected, piece).await;
            check(expected, &it);
        }
    }
}

#[test]
fn every_recorded_chat_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streams");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_chat = |file: &&str| file.contains("chat") && !file.contains("ollama");
        let Some(file) = name.strip_suffix(".txt").filter(is_chat) else { continue };
        assert!(EXPECTED.iter().any(|expected| expected.file == file), "{file} is not checked");
    }
}

/// No stamp is older than the server's write, and those of writes that lie apart lie apart.
#[tokio::test]
async fn stamps_follow_the_pace_of_the_stream() {
    let (head, body) = recorded("llama-chat-nousage");
    let text = String::from_utf8(body).unwrap();
    let mut script = vec![Step::Read, Step::Send(head)];
    for event in text.split_inclusive("\n\n") {
        script.extend([Step::Wait(Duration::from_millis(40)), Step::Send(chunk(event))]);
    }
    script.push(Step::Send(LAST_CHUNK.to_vec()));
    let server = FaultyServer::script(script);
    let it = exchange(&endpoint(&server.url())).await;
    assert_eq!((class(&it).as_str(), it.token_ns.len()), ("ok", 4));
    // A role comes before the first token, and the server waits before each event.
    for (before, at) in (2..).zip(&it.token_ns) {
        assert!(at - it.sent_ns >= before * 40_000_000, "{:?}", it.token_ns);
    }
    assert!(it.first_token_ns < it.last_token_ns);
}
