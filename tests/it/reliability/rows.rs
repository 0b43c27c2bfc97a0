//! The faults of a server that answers requests.

use std::io::Write;
use std::time::Duration;

use super::Ends::{All, Mixed};
use super::{Row, USUAL};
use crate::client::{DONE, FINISH, delta};
use crate::faulty_server::Step::{Drip, Flood, Read, Reset, Send, Stall, Wait};
use crate::faulty_server::{LAST_CHUNK, Step, answer, chunk, json, stream, stream_head};

const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3}}\n\n";
/// A head after which the body goes on until the connection ends.
const OPEN: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
/// Long enough that a limit of so many milliseconds is what ends a request.
const SOON: u64 = 300;

/// The events of a whole answer.
fn events() -> String {
    [&delta("a "), &delta("b "), &delta("c "), FINISH, USAGE, DONE].concat()
}

fn whole() -> Vec<u8> {
    stream(&events())
}

/// A whole stream of such a body, after which the connection stays open.
fn body(events: &str) -> Vec<Step> {
    vec![Send(stream(events)), Read]
}

fn send(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Send(bytes.as_ref().to_vec())]
}

fn open(rest: impl AsRef<[u8]>) -> Step {
    Send([OPEN.as_bytes(), rest.as_ref()].concat())
}

/// A head with this header, and the whole answer behind it until the connection ends.
fn with_header(header: &str) -> Vec<Step> {
    let head = OPEN.replace("Connection: close", header);
    send([head, events()].concat())
}

fn ms(ms: u64) -> Step {
    Wait(Duration::from_millis(ms))
}

fn gzip(parts: impl Iterator<Item = Vec<u8>>) -> Vec<Step> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for part in parts {
        gzip.write_all(&part).unwrap();
    }
    let head = OPEN.replace("Connection: close", "Content-Encoding: gzip\r\nConnection: close");
    send([head.as_bytes(), &gzip.finish().unwrap()].concat())
}

/// One event with a text of so many MiB.
fn event_of(mib: usize) -> Vec<Step> {
    let text = delta(&"x".repeat(mib << 20));
    send([OPEN, &text, FINISH, DONE].concat())
}

const STATUSES: [u16; 14] = [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529, 999];

const ROW: Row = Row {
    name: "",
    fault: "",
    promise: "",
    script: |_| body(&events()),
    ends: All("ok"),
    flags: &[],
    limit: None,
    requests: 4,
    memory: USUAL,
};

/// Every row: name, what the server does, what is promised, its script, how requests end.
macro_rules! rows {
    ($($name:literal: $fault:literal, $promise:literal, $script:expr, $ends:expr
       $(, $field:ident = $value:expr)*;)*) => {
        &[$(Row {
            name: $name, fault: $fault, promise: $promise, script: $script, ends: $ends,
            $($field: $value,)* ..ROW
        }),*]
    };
}

pub const ROWS: &[Row] = rows! {
    // Connections.
    "sound": "answers as it should", "an answer, counted once", |_| body(&events()), All("ok");
    "closes-unanswered": "closes a new connection without a byte", "a failure, not sent again",
        |_| vec![], All("stream.reset");
    "resets-unanswered": "resets a new connection without a byte", "a failure, not sent again",
        |_| vec![Reset], All("stream.reset");
    "never-answers": "takes the request and says nothing", "`timeouts.headers` ends it",
        |_| vec![Stall], All("timeout.headers"), limit = Some(("headers", SOON));
    "closes-behind-each": "closes each connection right behind an answer that promised to keep it",
        "the next request goes over a new one; what was sent twice says so",
        |_| send(whole()), All("ok");
    "resets-behind-each": "resets each connection a moment behind an answer",
        "as above", |_| vec![Send(whole()), ms(2), Reset], All("ok");
    "closes-on-reuse": "closes a kept connection as the second request comes",
        "sent once more over a new one if it fails within a round trip, else a failure",
        |nth| if nth == 0 { body(&events()) } else { vec![] }, Mixed(&["ok"], &["stream.reset"]);
    "resets-on-reuse": "resets a kept connection as the second request comes", "as above",
        |nth| if nth == 0 { body(&events()) } else { vec![Reset] }, Mixed(&["ok"], &["stream.reset"]);
    "works-then-closes": "works on the second request of a connection for a while, then closes it",
        "a failure: the server was at work on it, so it is not sent again",
        |nth| if nth == 0 { body(&events()) } else { vec![ms(SOON)] },
        Mixed(&["ok", "stream.reset"], &[]), requests = 6;
    "works-then-resets": "the same with a reset", "as above",
        |nth| if nth == 0 { body(&events()) } else { vec![ms(SOON), Reset] },
        Mixed(&["ok", "stream.reset"], &[]), requests = 6;
    // The head.
    "half-a-head": "stops in the middle of its headers", "`timeouts.headers` ends it",
        |_| vec![Send(b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec()), Stall],
        All("timeout.headers"), limit = Some(("headers", SOON));
    "half-a-head-closed": "closes in the middle of its headers", "no HTTP",
        |_| send("HTTP/1.1 200 OK\r\nContent-Ty"), All("protocol.http");
    "a-head-in-drips": "sends its headers byte by byte, for ever", "`timeouts.headers` ends it",
        |_| vec![Drip(OPEN.repeat(20).trim_end().replace("\r\n\r\n", "\r\nA: ").into_bytes(),
            Duration::from_millis(20))],
        All("timeout.headers"), limit = Some(("headers", SOON));
    "endless-headers": "sends headers without end", "cut at 64 KiB",
        |_| vec![Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Flood(b"X-Filler: aaaaaaaaaaaaaaaa\r\n".to_vec())],
        All("protocol.http");
    "an-endless-header": "sends one header without end", "cut at 64 KiB",
        |_| vec![Send(b"HTTP/1.1 200 OK\r\nX-Filler: ".to_vec()), Flood(vec![b'a'; 65536])],
        All("protocol.http");
    "thousands-of-headers": "sends 3,000 headers", "no HTTP: 100 are read",
        |_| send([OPEN.trim_end(), "\r\n", &"X-Y: z\r\n".repeat(3000), "\r\n", &events()].concat()),
        All("protocol.http");
    "continue-first": "says 100 Continue and 103 Early Hints before its answer", "read past",
        |_| vec![Send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec()),
            Send(whole()), Read], All("ok");
    "continue-for-ever": "says 100 Continue without end", "`timeouts.headers` or 64 KiB end it",
        |_| vec![Flood(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())],
        Mixed(&[], &["timeout.headers", "protocol.http"]);
    "http-1.0": "answers by HTTP/1.0 and closes", "read to its end",
        |_| send(["HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", &events()].concat()), All("ok");
    "http-2": "answers with a frame of HTTP/2", "no HTTP/1.1",
        |_| send(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"), All("protocol.http");
    "odd-headers": "writes headers in odd case, with bytes that are no text", "read as meant",
        |_| vec![Send([b"HTTP/1.1 200 \r\ncOnTeNt-tYpE:text/event-stream; charset=UTF-8\r\nX-O:\xff\xfe\r\n\
            tRANSFER-eNCODING:  Chunked \r\n\r\n".to_vec(), chunk(events()), LAST_CHUNK.to_vec()].concat()), Read],
        All("ok");
    "line-feeds": "ends its headers' lines by LF alone", "read as meant",
        |_| send([OPEN.replace("\r\n", "\n"), events()].concat()), All("ok");
    "folded-header": "folds a header over two lines", "no HTTP any more",
        |_| with_header("X-A: b\r\n c\r\nConnection: close"), All("protocol.http");
    "another-protocol": "greets as SSH", "no HTTP: is the port right?",
        |_| send("SSH-2.0-OpenSSH_9.2p1\r\n"), All("protocol.http");
    "noise": "sends bytes of every value", "no HTTP",
        |_| send((0..=255).cycle().take(5000).collect::<Vec<u8>>()), All("protocol.http");
    "switches-protocols": "says 101 Switching Protocols", "`timeouts.headers` ends it",
        |_| vec![Send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec()), Stall],
        All("timeout.headers"), limit = Some(("headers", SOON));
    // Where the body ends.
    "broken-chunk-size": "writes a chunk's size that is no number", "the answer so far is kept",
        |_| send([stream_head(), chunk(delta("a")), b"zz\r\nabc\r\n".to_vec()].concat()), All("protocol.http");
    "chunk-size-beyond-all": "writes a chunk's size of more than 64 bits", "no HTTP",
        |_| send([stream_head(), b"fffffffffffffffffffff\r\n".to_vec()].concat()), All("protocol.http");
    "chunk-never-filled": "announces a chunk of 2^64 - 1 bytes and sends a few", "`timeouts.idle` ends it",
        |_| vec![Send([stream_head(), b"ffffffffffffffff\r\n".to_vec(), delta("a").into_bytes()].concat()), Stall],
        All("timeout.idle"), limit = Some(("idle", SOON));
    "chunk-cut": "closes inside of a chunk", "the answer so far is kept",
        |_| send([stream_head(), chunk(delta("a")), b"100\r\ndata: {".to_vec()].concat()),
        All("stream.incomplete_body");
    "no-last-chunk": "holds the connection open behind `[DONE]`", "an answer; the connection is not used again",
        |_| vec![Send([stream_head(), chunk(events())].concat()), Stall], All("ok");
    "chunk-extensions": "adds extensions and a trailer to its chunks", "read past",
        |_| vec![Send([stream_head(), format!("{:X};a=b\r\n{}\r\n0\r\nX-T: x\r\n\r\n", events().len(), events())
            .into_bytes()].concat()), Read], All("ok");
    "endless-chunk-extension": "writes a chunk's extension without end", "cut at 16 KiB",
        |_| vec![Send([stream_head(), b"5;".to_vec()].concat()), Flood(vec![b'x'; 4096])], All("protocol.http");
    "endless-trailer": "writes a trailer without end behind `[DONE]`", "an answer; the connection is dropped",
        |_| vec![Send([stream_head(), chunk(events()), b"0\r\nX-T: ".to_vec()].concat()), Flood(vec![b'x'; 4096])],
        All("ok");
    "length-too-long": "announces more bytes than it sends", "the answer so far is kept",
        |_| send([&OPEN.replace("Connection: close", "Content-Length: 9999"), &delta("a")[..]].concat()),
        All("stream.incomplete_body");
    "length-too-short": "announces fewer bytes than it sends", "cut there; the connection is not used again",
        |_| send(answer(200, "Content-Type: text/event-stream\r\n", &delta("a")).into_iter()
            .chain(events().into_bytes()).collect::<Vec<u8>>()), All("stream.truncated");
    "two-lengths": "announces two different lengths", "no HTTP",
        |_| with_header("Content-Length: 5\r\nContent-Length: 6"), All("protocol.http");
    "a-negative-length": "announces -1 bytes", "no HTTP", |_| with_header("Content-Length: -1"),
        All("protocol.http");
    "length-and-chunks": "announces a length and sends chunks", "chunks count, as RFC 9112 says",
        |_| vec![Send([b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5\r\n\
            Transfer-Encoding: chunked\r\n\r\n".to_vec(), chunk(events()), LAST_CHUNK.to_vec()].concat()), Read],
        All("ok");
    "two-answers": "sends a second answer unasked behind the first", "the connection is not used again",
        |_| vec![Send([whole(), whole()].concat()), Read], All("ok");
    "cut-by-reset": "resets in the middle of a stream", "the tokens so far are kept",
        |_| vec![Send([stream_head(), chunk(delta("a"))].concat()), ms(50), Reset], All("stream.reset");
    "reset-behind-head": "resets behind its headers", "a failure",
        |_| vec![Send(stream_head()), ms(50), Reset], All("stream.reset");
    // Statuses, and bodies that are no stream.
    "statuses": "answers 400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529, 999",
        "`http.STATUS` with what the server says; nothing is sent again",
        |nth| vec![Send(json(STATUSES[nth % 14], "{\"error\":{\"message\":\"no\"}}")), Read],
        Mixed(&["http.400", "http.401", "http.403", "http.404", "http.408", "http.413", "http.422", "http.429",
            "http.500", "http.502", "http.503", "http.504", "http.529", "http.999"], &[]), requests = 28;
    "retry-after": "answers 429 with `Retry-After` of 30 years, of yesterday, of -1", "not heeded, not retried",
        |nth| {
            let after = ["1000000000", "Wed, 21 Oct 2015 07:28:00 GMT", "-1"][nth % 3];
            vec![Send(answer(429, &format!("Retry-After: {after}\r\n"), "{}")), Read]
        }, All("http.429"), requests = 6;
    "no-content": "answers 204", "an answer without a token is none", |_| vec![Send(b"HTTP/1.1 204 No\r\n\r\n".to_vec()), Read],
        All("protocol.empty");
    "moved": "redirects to another host", "not followed: keys stay here",
        |_| vec![Send(answer(307, "Location: http://other.invalid/\r\n", "")), Read], All("protocol.redirect");
    "not-modified": "answers 304", "a redirect to nowhere", |_| vec![Send(b"HTTP/1.1 304 Not\r\n\r\n".to_vec()), Read],
        All("protocol.redirect");
    "endless-error": "sends an error's body without end", "64 KiB of it are read",
        |_| vec![Send(b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\n\r\n".to_vec()), Flood(vec![b'x'; 65536])],
        All("http.500");
    "stalled-error": "stops in the middle of an error's body", "two seconds are waited for it",
        |_| vec![Send(b"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\nabc".to_vec()), Stall], All("http.500");
    "huge-error": "explains an error in 5 MB", "500 characters of it are told",
        |_| vec![Send(json(500, &format!("{{\"error\":{{\"message\":\"{}\"}}}}", "E".repeat(5_000_000))))],
        All("http.500");
    "a-page": "answers 200 with a page to log in", "not the content that was asked for",
        |_| vec![Send(answer(200, "Content-Type: text/html\r\n", "<title>Log in</title>")), Read],
        All("protocol.content_type");
    "not-streamed": "answers a whole JSON where a stream was asked for", "as above",
        |_| vec![Send(json(200, "{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}")), Read],
        All("protocol.content_type");
    "endless-json": "sends JSON without end where a stream was asked for", "64 KiB of it are read",
        |_| vec![Send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":\"".to_vec()),
            Flood(vec![b'x'; 65536])], All("protocol.content_type");
    "error-in-200": "answers 200 with an error in JSON", "a failure that says it",
        |_| vec![Send(json(200, "{\"error\":{\"message\":\"overloaded\",\"code\":529}}")), Read],
        All("protocol.content_type");
    "no-content-type": "names no content type, or two", "read as the stream that it is",
        |nth| send([OPEN.replace("Content-Type: text/event-stream\r\n", ["", "Content-Type: text/event-stream\r\n\
            Content-Type: text/html\r\n"][nth % 2]), events()].concat()), All("ok");
    "hostile-error": "writes what terminals and pages obey into an error", "told as text",
        |nth| vec![Send(json(500, ["{\"error\":{\"message\":\"\\u001b]0;t\\u0007\\u001b[2J</script><script>alert(1)\
            </script>=cmd|' /C x'!A0 \\u202e \\ud800 \\u0000\"}}", "\u{1b}[2J\u{202e}raw\u{7}"][nth % 2])), Read],
        All("http.500");
    // Events.
    "only-done": "says `[DONE]` and nothing else", "no answer", |_| body(DONE), All("protocol.empty");
    "empty-stream": "ends its stream before any event", "no answer", |_| body(""), All("protocol.empty");
    "role-only": "says who speaks, and that it is over", "no answer: no token",
        |_| body(&["data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n", FINISH, DONE].concat()),
        All("protocol.empty");
    "no-done": "leaves `[DONE]` out", "an answer, flagged", |_| body(&[&delta("a"), FINISH].concat()), All("ok"),
        flags = &["no_done"];
    "no-end": "ends its stream without finish reason and `[DONE]`", "cut: not an answer",
        |_| body(&delta("a")), All("stream.truncated");
    "error-event": "reports an error as the first event", "a failure that says it",
        |_| body(&["data: {\"error\":{\"message\":\"CUDA OOM\",\"code\":500}}\n\n", DONE].concat()),
        All("stream.error_event");
    "error-event-late": "reports an error in the middle", "as above; the tokens so far are kept",
        |_| body(&[&delta("a"), "event: error\ndata: {\"error\":\"CUDA OOM\"}\n\n", DONE].concat()),
        All("stream.error_event");
    "given-up": "ends with the finish reason `abort`", "a failure: the server gave it up",
        |_| body(&[&delta("a"), &FINISH.replace("stop", "abort"), DONE].concat()), All("stream.aborted");
    "broken-json": "breaks off in the middle of an event's JSON", "never skipped",
        |_| body(&[&delta("a"), "data: {\"choices\":[{\"del\n\n", FINISH, DONE].concat()), All("protocol.json");
    "wrong-types": "writes numbers where texts belong", "not what the API promises",
        |_| body(&["data: {\"choices\":\"no\"}\n\ndata: []\n\ndata: 5\n\n", DONE].concat()), All("protocol.json");
    "keys-twice": "writes a key of an event twice", "not what the API promises",
        |_| body(&["data: {\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"b\"}}]}\n\n", DONE].concat()),
        All("protocol.json");
    "deep-json": "nests 100,000 objects in a field that nobody reads", "read past",
        |_| body(&[&delta("a"), "data: {\"choices\":[],\"x\":", &"[".repeat(100_000), &"]".repeat(100_000), "}\n\n",
            FINISH, DONE].concat()), All("ok");
    "bytes-of-no-text": "writes bytes that are no UTF-8", "replaced and flagged; what follows is read",
        |_| vec![Send([stream_head(), chunk([b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\xc3\"}}]}\n\n",
            events().as_bytes()].concat()), LAST_CHUNK.to_vec()].concat()), Read],
        All("ok"), flags = &["lossy_utf8"];
    "a-mark-in-two": "begins with a byte order mark, cut in two", "dropped once",
        |_| vec![Send([stream_head(), chunk(b"\xef"), chunk([b"\xbb\xbf", events().as_bytes()].concat()),
            LAST_CHUNK.to_vec()].concat()), Read], All("ok");
    "carriage-returns": "ends lines by CR alone", "as the standard says", |_| body(&events().replace('\n', "\r")),
        All("ok");
    "cut-at-every-byte": "ends lines by CR LF and sends each byte as a chunk", "the same events",
        |_| {
            let bytes = events().replace('\n', "\r\n").into_bytes();
            let chunks: Vec<u8> = bytes.iter().flat_map(|byte| chunk([*byte])).collect();
            vec![Send([stream_head(), chunks, LAST_CHUNK.to_vec()].concat()), Read]
        }, All("ok");
    "all-fields": "writes ids, names, retries, comments, data over several lines", "as the standard says",
        |_| body(": ping\n\nid: 1\nretry: 5\nevent: message\ndata: {\"choices\":[{\"index\":0,\ndata: \"delta\":\
            {\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata:\n\ndata:[DONE]\n\n"), All("ok");
    "zero-bytes": "writes NUL between its events", "no answer: such fields have no name", |_| body(&["\0\0", &delta("a"),
        "\0\n\n", FINISH, DONE].concat()), Mixed(&[], &["ok", "protocol.empty"]);
    "comments-for-ever": "sends comments and never a token", "`timeouts.first_token` ends it",
        |_| vec![open(""), Drip(": ping\n\n".repeat(200).into_bytes(), Duration::from_millis(5))],
        All("timeout.first_token"), limit = Some(("first_token", SOON));
    "a-flood-of-comments": "sends comments without a pause", "as above",
        |_| vec![open(""), Flood(": ping\n\n".repeat(4000).into_bytes())],
        All("timeout.first_token"), limit = Some(("first_token", SOON));
    "comments-behind-a-token": "sends a token and then comments for ever", "`timeouts.total` ends it",
        |_| vec![open(delta("a")), Drip(": ping\n\n".repeat(400).into_bytes(), Duration::from_millis(5))],
        All("timeout.total"), limit = Some(("total", SOON));
    "stalls-behind-head": "stops behind its headers", "`timeouts.first_token` ends it",
        |_| vec![Send(stream_head()), Stall], All("timeout.first_token"), limit = Some(("first_token", SOON));
    "stalls": "stops in the middle of a stream", "`timeouts.idle` ends it",
        |_| vec![Send([stream_head(), chunk(delta("a"))].concat()), Stall], All("timeout.idle"),
        limit = Some(("idle", SOON));
    "drips": "sends a stream byte by byte", "`timeouts.total` ends it",
        |_| vec![open(delta("a")), Drip(events().into_bytes(), Duration::from_millis(5))],
        All("timeout.total"), limit = Some(("total", SOON));
    "reasoning": "thinks before it answers", "tokens, told apart",
        |_| body(&["data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n", &events()].concat()), All("ok");
    "null-fields": "writes null for what it does not say", "as if absent",
        |_| body(&["data: {\"choices\":[{\"delta\":{\"content\":\"x\",\"tool_calls\":null,\"refusal\":null},\
            \"finish_reason\":null,\"logprobs\":null}],\"usage\":null}\n\n", &events()].concat()), All("ok");
    "more-choices": "answers with a choice that nobody asked for", "an answer",
        |_| body(&["data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{\"content\":\
            \"b\"},\"finish_reason\":\"stop\"}]}\n\n", FINISH, DONE].concat()), All("ok");
    "usage-that-cannot-be": "counts 2^64 - 1, -5, 1e300 or \"7\" tokens", "left out and flagged, or no count",
        |nth| {
            let usage = ["18446744073709551615", "-5", "1e300", "\"7\""][nth % 4];
            let usage = format!("data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{usage},\"completion_tokens\":\
                {usage}}}}}\n\n");
            body(&[&delta("a"), FINISH, &usage, DONE].concat())
        }, All("ok"), requests = 8;
    "more-cached-than-asked": "counts more cached tokens than the prompt has", "left out and flagged",
        |_| body(&[&delta("a"), FINISH, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\
            \"prompt_tokens_details\":{\"cached_tokens\":500}}}\n\n", DONE].concat()), All("ok"),
        flags = &["impossible_usage"];
    "counts-as-it-goes": "sends usage with every event", "the last one counts",
        |_| body(&["data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"completion_tokens\":1}}\n\n",
            &events()].concat()), All("ok");
    "a-huge-reason": "gives a finish reason of 1 MB", "256 bytes of it are kept",
        |_| body(&[&delta("a"), &FINISH.replace("stop", &format!("\\u001b[2J{}", "z".repeat(1_000_000))), DONE].concat()),
        All("ok");
    "talks-on": "goes on behind `[DONE]`", "not read", |_| body(&[events(), delta("more").repeat(5)].concat()), All("ok");
    "hostile-text": "writes what terminals and pages obey into its answer", "kept as text",
        |_| body(&[&delta("\u{1b}]0;t\u{7}\u{1b}[2J</script><script>alert(1)</script>=cmd|x"), FINISH, DONE].concat()),
        All("ok");
    // Without end.
    "ten-mib-event": "sends one event of 10 MiB", "read in linear time", |_| event_of(10), All("ok"), memory = 400;
    "forty-mib-event": "sends one event of 40 MiB", "cut at 16 MiB", |_| event_of(40),
        All("protocol.event_too_large"), memory = 400;
    "an-endless-line": "sends one line without end", "cut at 16 MiB", |_| vec![open("data: "), Flood(vec![b'x'; 65536])],
        All("protocol.event_too_large"), memory = 400;
    "endless-tokens": "sends tokens without end", "cut at 8 times `max_tokens`, or 131,072 events",
        |_| vec![open(""), Flood(delta("word ").repeat(200).into_bytes())], All("stream.too_long"), memory = 250;
    "endless-comments": "sends a token, and then comments without end", "cut at 2 KiB for each event it might have",
        |_| vec![open(delta("a")), Flood(": ping\n\n".repeat(4000).into_bytes())], All("stream.too_long"), requests = 1;
    "endless-text": "sends 1 MiB of text with every event, without end", "cut at 64 MiB of text",
        |_| vec![open(""), Flood(delta(&"x".repeat(1 << 20)).into_bytes())], All("stream.too_long"), requests = 1,
        memory = 500;
    "gzip": "compresses its stream, though `identity` was asked for", "read and flagged: its timing is the compressor's",
        |_| gzip(std::iter::once(events().into_bytes())), All("ok"), flags = &["compressed_timing_suspect"];
    "gzip-bomb": "sends 300 MB of one line in 300 KB", "cut at 16 MiB",
        |_| gzip(std::iter::once(b"data: ".to_vec()).chain(std::iter::repeat_n(vec![b'x'; 1 << 20], 300))),
        Mixed(&[], &["protocol.event_too_large", "protocol.http"]), requests = 2, memory = 400;
    "gzip-of-tokens": "sends 500,000 tokens in a few hundred KB", "cut at 131,072 events",
        |_| gzip(std::iter::repeat_n(delta("word ").repeat(1000).into_bytes(), 500)), All("stream.too_long"),
        requests = 2, memory = 400;
    "another-compression": "claims brotli", "not asked for, not read",
        |_| send(answer(200, "Content-Encoding: br\r\n", "xxxx")), All("protocol.http");
};
