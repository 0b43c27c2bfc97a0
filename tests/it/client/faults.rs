//! Streams that break, stall, lie or are no streams at all.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    DONE, FINISH, SHORT, class, client, delta, endpoint, exchange, hello, limited, request,
};
use crate::faulty_server::{
    FaultyServer, LAST_CHUNK, Step, answer, chunk, json, stream, stream_head,
};
use runner::record::Exchange;

/// The exchange with a server that reads the request and then does `steps`.
async fn after_read(steps: Vec<Step>) -> Exchange {
    let server = FaultyServer::script([vec![Step::Read], steps].concat());
    exchange(&endpoint(&server.url())).await
}

/// The exchange with a server that answers these bytes and closes.
async fn answered(bytes: Vec<u8>) -> Exchange {
    after_read(vec![Step::Send(bytes)]).await
}

fn message(exchange: &Exchange) -> &str {
    exchange.error_message.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_whole_stream_is_ok_and_fully_stamped() {
    let server = FaultyServer::script(vec![
        Step::Read,
        Step::Send([stream_head(), chunk(": ping\n\n")].concat()),
        Step::Wait(Duration::from_millis(30)),
        Step::Send(chunk("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n")),
        Step::Wait(Duration::from_millis(30)),
        Step::Send(chunk(
            "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hm. \"}}]}\n\n",
        )),
        Step::Wait(Duration::from_millis(30)),
        Step::Send(chunk(delta("Hello"))),
        Step::Wait(Duration::from_millis(30)),
        Step::Send(chunk([FINISH, "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n", DONE].concat())),
        Step::Send(LAST_CHUNK.to_vec()),
    ]);
    let it = exchange(&endpoint(&server.url())).await;
    assert_eq!(class(&it), "ok", "{it:?}");
    assert_eq!(it.text, "Hm. Hello");
    assert_eq!((it.input_tokens, it.output_tokens, it.cached_tokens), (Some(9), Some(2), None));
    assert_eq!((it.finish_reason.as_deref(), it.model.as_deref()), (Some("stop"), Some("m")));
    assert_eq!((it.http_status, it.reused, it.raw.as_deref()), (Some(200), false, None));
    assert!(it.flags.is_empty(), "{:?}", it.flags);
    let stamps = [
        Some(it.sent_ns),
        it.connected_ns,
        it.headers_ns,
        it.first_event_ns,
        it.first_token_ns,
        it.first_content_ns,
        it.usage_ns,
    ]
    .map(Option::unwrap);
    assert!(stamps.is_sorted(), "{stamps:?}");
    // The role event is an event and no token; reasoning is a token and no content.
    assert_eq!(it.token_ns, [it.first_token_ns.unwrap(), it.last_token_ns.unwrap()]);
    assert_eq!(it.first_content_ns, it.last_token_ns);
    assert!(it.end_ns >= it.usage_ns.unwrap());
    let sent = &server.requests()[0];
    for header in [
        "POST /v1/chat/completions HTTP/1.1",
        "authorization: Bearer EMPTY",
        "x-request-id: test-1",
        "content-type: application/json",
        "accept-encoding: identity",
    ] {
        assert!(sent.contains(header), "{header} in {sent}");
    }
}

// Row 5.
#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_timeout_headers() {
    let server = FaultyServer::script(vec![Step::Read, Step::Stall]);
    let it = exchange(&limited(&server.url(), |limits| limits.headers = SHORT)).await;
    assert_eq!(class(&it), "timeout.headers");
    assert!(it.connected_ns.is_some() && it.headers_ns.is_none());
    assert!(Duration::from_nanos(it.end_ns - it.sent_ns) >= SHORT, "not before the limit");
    assert!(message(&it).contains("200 ms (timeouts.headers)"), "{}", message(&it));
}

// Row 22.
#[tokio::test]
async fn a_missing_done_after_finish_is_ok_and_flagged() {
    let it = answered(stream(&[&delta("Hi"), FINISH].concat())).await;
    assert_eq!((class(&it).as_str(), it.flags), ("ok", vec!["no_done".into()]));
}

#[tokio::test]
async fn a_missing_finish_reason_before_done_is_ok_and_flagged() {
    let it = answered(stream(&[&delta("Hi"), DONE].concat())).await;
    assert_eq!((class(&it).as_str(), it.flags), ("ok", vec!["no_finish_reason".into()]));
}

// Row 23.
#[tokio::test]
async fn a_clean_end_without_finish_or_done_is_truncated() {
    let it = answered(stream(&[delta("Hel"), delta("lo")].concat())).await;
    assert_eq!(class(&it), "stream.truncated");
    assert_eq!((it.text.as_str(), it.token_ns.len()), ("Hello", 2));
    assert!(it.raw.unwrap().starts_with("data: {\"choices\""));
    let unterminated = answered(stream(delta("Hi").trim_end())).await;
    assert_eq!(class(&unterminated), "stream.truncated");
    assert_eq!(unterminated.flags, ["unterminated_event"]);
}

// Row 24.
#[tokio::test]
async fn a_body_cut_inside_its_framing_is_incomplete() {
    let cut = [stream_head(), chunk(delta("Hel")), chunk(delta("lo"))].concat();
    let it = answered(cut.clone()).await;
    assert_eq!(class(&it), "stream.incomplete_body");
    assert_eq!((it.text.as_str(), it.token_ns.len()), ("Hello", 2));
    assert!(it.raw.is_some() && it.bytes_in > 0);
    let in_chunk = answered([cut, b"ff\r\ndata: {\"cho".to_vec()].concat()).await;
    assert_eq!(class(&in_chunk), "stream.incomplete_body");
    let short =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999\r\n\r\n";
    let it = answered([&short[..], delta("Hi").as_bytes()].concat()).await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("stream.incomplete_body", "Hi"));
}

// Row 25.
#[tokio::test]
async fn a_reset_in_mid_stream_keeps_the_tokens_so_far() {
    let head = [stream_head(), chunk(delta("Hello"))].concat();
    let wait = Step::Wait(Duration::from_millis(100));
    let it = after_read(vec![Step::Send(head), wait, Step::Reset]).await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("stream.reset", "Hello"));
    assert!(it.first_token_ns.is_some());
}

#[tokio::test]
async fn a_new_connection_that_closes_unanswered_is_a_reset() {
    for step in [Step::Reset, Step::Wait(Duration::ZERO)] {
        let it = after_read(vec![step]).await;
        assert_eq!((class(&it).as_str(), it.reused, it.http_status), ("stream.reset", false, None));
    }
}

// Row 26.
#[tokio::test]
async fn an_error_event_inside_a_200_is_an_error() {
    let error = "data: {\"error\":{\"message\":\"engine busy\",\"code\":503}}\n\n";
    let it = answered(stream(&[error, DONE].concat())).await;
    assert_eq!((class(&it).as_str(), it.http_status), ("stream.error_event", Some(200)));
    assert!(message(&it).ends_with("engine busy (503)"), "{}", message(&it));
    let late = answered(stream(&[&delta("Hi"), error, DONE].concat())).await;
    assert_eq!((class(&late).as_str(), late.text.as_str()), ("stream.error_event", "Hi"));
}

// Row 27.
#[tokio::test]
async fn a_200_without_anything_generated_is_empty() {
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    for body in [DONE.to_owned(), [role, FINISH, DONE].concat(), String::new()] {
        let it = answered(stream(&body)).await;
        assert_eq!((class(&it).as_str(), it.first_token_ns), ("protocol.empty", None), "{body}");
    }
    // One token that has no text, such as an end mark: usage proves that it was generated.
    let usage = "data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n";
    let it = answered(stream(&[role, FINISH, usage, DONE].concat())).await;
    assert_eq!((class(&it).as_str(), it.flags), ("ok", vec!["no_text".into()]));
}

// Row 32.
#[tokio::test]
async fn a_huge_event_is_read_and_an_endless_one_refused() {
    let text = "x".repeat(4 << 20);
    let it = answered(stream(&[&delta(&text), FINISH, DONE].concat())).await;
    assert_eq!((class(&it).as_str(), it.text.len(), it.token_ns.len()), ("ok", text.len(), 1));
    let flood = Step::Flood(chunk(vec![b'x'; 1 << 20]));
    let it = after_read(vec![Step::Send(stream_head()), flood]).await;
    assert_eq!(class(&it), "protocol.event_too_large");
    assert!(it.bytes_in < 20 << 20 && it.raw.unwrap().len() <= 4096);
}

// Row 33.
#[tokio::test]
async fn broken_json_in_a_frame_is_never_skipped() {
    let broken = "data: {\"choices\":[{\"de\n\n";
    let it = answered(stream(&[&delta("Hi"), broken, FINISH, DONE].concat())).await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("protocol.json", "Hi"));
    assert!(message(&it).contains("event 2 is broken"), "{}", message(&it));
    assert!(it.raw.unwrap().contains(broken.trim_end()));
}

// Row 34.
#[tokio::test]
async fn invalid_utf8_is_replaced_and_flagged_and_the_rest_read() {
    let bad = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\xFFb\"}}]}\n\n".to_vec();
    let body = [bad, hello().into_bytes()].concat();
    let it = answered([stream_head(), chunk(body), LAST_CHUNK.to_vec()].concat()).await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("ok", "a\u{FFFD}bHello"));
    assert_eq!(it.flags, ["lossy_utf8"]);
}

// Row 35.
#[tokio::test]
async fn a_slow_drip_is_ended_by_the_total_limit() {
    let drip = Step::Drip(chunk(": ping\n\n".repeat(40)), Duration::from_millis(5));
    let head = Step::Send([stream_head(), chunk(delta("Hi"))].concat());
    let server = FaultyServer::script(vec![Step::Read, head, drip]);
    let it = exchange(&limited(&server.url(), |limits| {
        limits.total = Duration::from_millis(500);
        limits.idle = Duration::from_millis(400);
    }))
    .await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("timeout.total", "Hi"));
}

// Row 36.
#[tokio::test]
async fn a_stall_after_the_headers_is_timeout_first_token() {
    let server = FaultyServer::script(vec![Step::Read, Step::Send(stream_head()), Step::Stall]);
    let it = exchange(&limited(&server.url(), |limits| {
        limits.first_token = SHORT;
        // Prefill is silent: the idle limit must not end it.
        limits.idle = Duration::from_millis(20);
    }))
    .await;
    assert_eq!(class(&it), "timeout.first_token");
    assert!(it.headers_ns.is_some() && it.first_event_ns.is_none());
    assert!(Duration::from_nanos(it.end_ns - it.sent_ns) >= SHORT);
}

// Row 36.
#[tokio::test]
async fn a_stall_in_mid_stream_is_timeout_idle() {
    let head = Step::Send([stream_head(), chunk(delta("Hi"))].concat());
    let server = FaultyServer::script(vec![Step::Read, head, Step::Stall]);
    let it = exchange(&limited(&server.url(), |limits| limits.idle = SHORT)).await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("timeout.idle", "Hi"));
    assert!(Duration::from_nanos(it.end_ns - it.last_token_ns.unwrap()) >= SHORT);
}

// Row 20.
#[tokio::test]
async fn pings_hold_off_the_idle_limit_but_not_the_first_token_limit() {
    let ping = || {
        let ping = [Step::Send(chunk(": ping\n\n")), Step::Wait(Duration::from_millis(100))];
        std::iter::repeat_n(ping, 8).flatten()
    };
    let script = [Step::Read, Step::Send([stream_head(), chunk(delta("Hi"))].concat())];
    let end = [Step::Send([chunk([FINISH, DONE].concat()), LAST_CHUNK.to_vec()].concat())];
    let server = FaultyServer::script(script.into_iter().chain(ping()).chain(end).collect());
    let idle = Duration::from_millis(600);
    let it = exchange(&limited(&server.url(), |limits| limits.idle = idle)).await;
    assert_eq!((class(&it).as_str(), it.token_ns.len()), ("ok", 1), "{it:?}");

    let script = [Step::Read, Step::Send(stream_head())];
    let server = FaultyServer::script(script.into_iter().chain(ping()).collect());
    let it = exchange(&limited(&server.url(), |limits| limits.first_token = SHORT)).await;
    assert_eq!(class(&it), "timeout.first_token");
    assert!(it.bytes_in > 0 && it.first_event_ns.is_none());

    // Even when the pings never pause.
    let script = vec![Step::Read, Step::Send(stream_head()), Step::Flood(chunk(": ping\n\n"))];
    let server = FaultyServer::script(script);
    let it = exchange(&limited(&server.url(), |limits| limits.first_token = SHORT)).await;
    assert_eq!(class(&it), "timeout.first_token");
}

// Row 37.
#[tokio::test]
async fn an_answer_gzipped_unasked_is_read_and_flagged() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(hello().as_bytes()).unwrap();
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n";
    let it = answered([head.as_bytes(), &gzip.finish().unwrap()].concat()).await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("ok", "Hello"));
    assert_eq!(it.flags, ["compressed_timing_suspect"]);
    let it = answered(answer(200, "Content-Encoding: br\r\n", "xxxx")).await;
    assert_eq!(class(&it), "protocol.http");
}

// Row 38.
#[tokio::test]
async fn a_page_or_json_where_a_stream_was_asked_is_a_wrong_content_type() {
    let page = answer(200, "Content-Type: text/html\r\n", "<h1>Please log in</h1>");
    let it = answered(page).await;
    assert_eq!(class(&it), "protocol.content_type");
    assert!(it.raw.as_deref().unwrap().contains("Please log in"));
    let it = answered(json(200, "{\"error\":{\"message\":\"no such model\"}}")).await;
    assert_eq!(class(&it), "protocol.content_type");
    assert!(message(&it).contains("no such model"), "{}", message(&it));
    let it = answered(answer(200, "Content-Type: text/plain\r\n", "Internal error")).await;
    assert_eq!(class(&it), "protocol.content_type");
    assert!(message(&it).contains("Internal error"), "{}", message(&it));
    // A stream under another name is still a stream.
    let it = answered(answer(200, "Content-Type: text/plain\r\n", &hello())).await;
    assert_eq!((class(&it).as_str(), it.flags), ("ok", vec!["content_type".into()]));
}

// Row 39.
#[tokio::test]
async fn data_after_done_is_ignored_and_a_held_connection_dropped() {
    let more = [hello(), delta("more")].concat();
    let server = FaultyServer::scripts(vec![
        vec![Step::Read, Step::Send([stream_head(), chunk(more)].concat()), Step::Stall],
        vec![Step::Read, Step::Send(stream(&hello()))],
    ]);
    let client = client(&endpoint(&server.url()));
    let it = super::send(&client).await;
    assert_eq!((class(&it).as_str(), it.text.as_str(), it.token_ns.len()), ("ok", "Hello", 2));
    assert_eq!(it.end_ns, it.token_ns[1], "the drain is no part of the answer");
    let it = super::send(&client).await;
    assert_eq!((class(&it).as_str(), it.reused, server.connections()), ("ok", false, 2));
}

// Row 40.
#[tokio::test]
async fn endless_headers_are_no_http() {
    let head = Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec());
    let flood = Step::Flood(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".to_vec());
    assert_eq!(class(&after_read(vec![head, flood]).await), "protocol.http");
    assert_eq!(class(&answered(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()).await), "protocol.http");
}

// Rows 41 and 42.
#[tokio::test]
async fn an_error_status_keeps_its_message_and_is_not_retried() {
    let limit = "Retry-After: 1000000000\r\nContent-Type: application/json\r\n";
    let body = "{\"error\":{\"message\":\"slow\\ndown\",\"type\":\"rate_limit\"}}";
    let server = FaultyServer::script(vec![Step::Read, Step::Send(answer(429, limit, body))]);
    let it = exchange(&endpoint(&server.url())).await;
    assert_eq!((class(&it).as_str(), it.http_status), ("http.429", Some(429)));
    assert_eq!(message(&it), "HTTP 429: slow down (rate_limit)");
    assert_eq!((it.raw.as_deref(), server.requests().len()), (Some(body), 1));
    for (body, said) in [
        ("{\"detail\":\"Not Found\"}", "HTTP 404: Not Found: check the endpoint's url"),
        ("{\"error\":\"no\"}", "HTTP 404: no: check"),
        ("{\"error\":\"HTTP 404: no\"}", "HTTP 404: no: check"),
        ("<h1>404</h1>", "HTTP 404: <h1>404</h1>: check"),
        ("", "HTTP 404: check"),
    ] {
        let it = answered(answer(404, "", body)).await;
        assert!(message(&it).starts_with(said), "{}", message(&it));
    }
}

// Row 46.
#[tokio::test]
async fn a_cancelled_request_keeps_its_stamps() {
    let head = Step::Send([stream_head(), chunk(delta("Hi"))].concat());
    let server = FaultyServer::script(vec![Step::Read, head, Step::Stall]);
    let client = client(&endpoint(&server.url()));
    let prepared = client.prepare(&request(true), "m", "r").unwrap();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let stopper = tokio::spawn(async move {
        tokio::time::sleep(SHORT).await;
        stop.cancel();
    });
    let it = client.send(&prepared, &cancel).await;
    stopper.await.unwrap();
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("cancelled", "Hi"));
    assert_eq!((it.error_message, it.raw), (None, None));
    assert!(it.first_token_ns.is_some() && it.end_ns > it.first_token_ns.unwrap());
    let it = client.send(&prepared, &cancel).await;
    assert_eq!((class(&it).as_str(), it.reused), ("cancelled", false));
}

#[tokio::test]
async fn an_answer_that_was_not_streamed_has_no_token_stamps() {
    let body = "{\"choices\":[{\"message\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\
        \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}";
    let error = "{\"error\":{\"message\":\"engine died\"}}";
    let server = FaultyServer::script(
        [
            json(200, body),
            json(200, error),
            json(200, "{}"),
            stream(&hello()),
            json(200, "{\"a\":"),
        ]
        .into_iter()
        .flat_map(|bytes| [Step::Read, Step::Send(bytes)])
        .collect(),
    );
    let client = client(&endpoint(&server.url()));
    let prepared = client.prepare(&request(false), "m", "r").unwrap();
    let send = async || client.send(&prepared, &CancellationToken::new()).await;
    let it = send().await;
    assert_eq!((class(&it).as_str(), it.text.as_str()), ("ok", "Hello"));
    assert_eq!((it.first_token_ns, it.last_token_ns, it.token_ns.len()), (None, None, 0));
    assert_eq!((it.output_tokens, it.flags), (Some(1), vec!["not_streamed".into()]));
    assert_eq!(class(&send().await), "stream.error_event");
    assert_eq!(class(&send().await), "protocol.empty");
    assert_eq!(class(&send().await), "protocol.content_type");
    assert_eq!(class(&send().await), "protocol.json");
}
