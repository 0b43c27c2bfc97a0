//! Which connection carries a request, and what happens when it is a dead one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    LONG, SHORT, class, client, endpoint, exchange, hello, limited, request, secret, send,
};
use crate::faulty_server::{FaultyServer, Step, answer, read_request, stream};
use runner::client::{Client, ClientError};
use runner::plan::ApiKey;
use runner::record::RunClock;

fn whole() -> Vec<Step> {
    vec![Step::Read, Step::Send(stream(&hello()))]
}

#[tokio::test]
async fn an_open_connection_is_used_again_and_said_so() {
    let server = FaultyServer::script([whole(), whole(), whole()].concat());
    let client = client(&endpoint(&server.url()));
    let first = send(&client).await;
    assert!(!first.reused && first.connected_ns.is_some());
    for _ in 0..2 {
        let next = send(&client).await;
        assert_eq!((class(&next).as_str(), next.reused, next.connected_ns), ("ok", true, None));
    }
    assert_eq!((server.connections(), client.connections()), (1, 1));
}

#[tokio::test]
async fn connections_opened_ahead_are_used_first_and_recorded_with_the_time_they_took() {
    let server = FaultyServer::scripts(vec![[whole(), whole()].concat(); 3]);
    let client = client(&endpoint(&server.url()));
    client.open_ahead(3).await;
    assert_eq!((client.connections(), server.requests().len()), (3, 0));
    let asking: Vec<_> = (0..3).map(|_| send(&client)).collect();
    for it in futures::future::join_all(asking).await {
        assert_eq!((class(&it).as_str(), it.reused), ("ok", false), "{it:?}");
        assert!(
            it.connecting_ns < it.connected_ns && it.connected_ns <= Some(it.sent_ns),
            "{it:?}"
        );
    }
    let next = send(&client).await;
    assert_eq!((next.reused, next.connecting_ns, next.connected_ns), (true, None, None));
    // Those that are open already are enough.
    client.open_ahead(2).await;
    assert_eq!(client.connections(), 3);
}

#[tokio::test]
async fn a_connection_opened_ahead_that_is_gone_when_it_is_used_is_replaced() {
    let server = FaultyServer::scripts(vec![vec![Step::Read, Step::Reset], whole()]);
    let client = client(&endpoint(&server.url()));
    client.open_ahead(1).await;
    let it = send(&client).await;
    assert_eq!((class(&it).as_str(), it.reused), ("ok", false), "{it:?}");
    assert_eq!(it.flags, ["stale_reuse_resent"]);
    assert!(it.connecting_ns.is_none() && it.connected_ns > Some(it.sent_ns), "{it:?}");
}

#[tokio::test]
async fn connections_that_cannot_be_opened_ahead_are_left_to_the_requests() {
    let server = FaultyServer::script(whole());
    let url = server.url();
    drop(server);
    let client = client(&endpoint(&url));
    client.open_ahead(100).await;
    assert_eq!(client.connections(), 0);
    assert_eq!(class(&send(&client).await), "connect.refused");
}

// Row 1: the server closes the idle connection as the request is on its way.
#[tokio::test]
async fn a_kept_connection_that_dies_under_a_request_is_replaced_once_and_the_record_says_so() {
    for end in [Step::Wait(Duration::ZERO), Step::Reset] {
        let server =
            FaultyServer::scripts(vec![[whole(), vec![Step::Read, end]].concat(), whole()]);
        let client = client(&endpoint(&server.url()));
        assert_eq!(class(&send(&client).await), "ok");
        let again = send(&client).await;
        assert_eq!(class(&again), "ok", "{again:?}");
        assert_eq!(again.flags, ["stale_reuse_resent"]);
        assert!(!again.reused && again.connected_ns > Some(again.sent_ns), "{again:?}");
        assert_eq!(server.requests().len(), 3, "both attempts reached the server");
    }
}

/// The same over the HTTP crate: the test stands behind a proxy, so that it needs no TLS.
fn proxied(server: &FaultyServer) -> runner::plan::Endpoint {
    let mut proxied = endpoint(&url::Url::parse("http://model.invalid/v1").unwrap());
    proxied.proxy = Some(format!("http://{}", server.address()));
    proxied
}

#[tokio::test]
async fn a_server_that_worked_on_a_request_and_then_closed_has_failed_it() {
    for end in [Step::Wait(Duration::ZERO), Step::Reset] {
        for is_direct in [true, false] {
            let work = [Step::Read, Step::Wait(SHORT), end.clone()].to_vec();
            let server = FaultyServer::scripts(vec![[whole(), work].concat(), whole()]);
            let over = if is_direct { endpoint(&server.url()) } else { proxied(&server) };
            let client = client(&over);
            assert_eq!(class(&send(&client).await), "ok");
            let it = send(&client).await;
            assert_eq!((class(&it).as_str(), it.reused), ("stream.reset", true), "{it:?}");
            assert!(it.flags.is_empty(), "{it:?}");
            assert!(it.error_message.unwrap().contains("not sent again"));
            assert_eq!(server.requests().len(), 2, "it was sent once");
        }
    }
}

#[tokio::test]
async fn a_kept_connection_that_dies_inside_the_headers_is_not_replaced() {
    for end in [Step::Wait(Duration::ZERO), Step::Reset] {
        let start = Step::Send(b"HTTP/1.1 200 OK\r\nContent-".to_vec());
        let half = [Step::Read, start, Step::Wait(SHORT / 10), end].to_vec();
        let server = FaultyServer::scripts(vec![[whole(), half].concat(), whole()]);
        let client = client(&endpoint(&server.url()));
        assert_eq!(class(&send(&client).await), "ok");
        let it = send(&client).await;
        assert!(it.outcome.kind().is_error() && it.flags.is_empty(), "{it:?}");
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_new_connection_that_dies_under_a_request_is_not_replaced() {
    let server = FaultyServer::script(vec![Step::Read, Step::Reset]);
    let client = client(&endpoint(&server.url()));
    assert_eq!(class(&send(&client).await), "stream.reset");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_seen_to_close_while_idle_is_replaced_openly() {
    let server = FaultyServer::script(whole());
    let client = client(&endpoint(&server.url()));
    send(&client).await;
    tokio::time::sleep(SHORT).await;
    let next = send(&client).await;
    assert_eq!((class(&next).as_str(), next.reused), ("ok", false));
    assert!(next.connected_ns.is_some());
}

/// The HTTP crate, which serves TLS and proxies, sends a request again, unasked, when it finds the
/// connection closed before it wrote any of it. That is seen, because the new connection is begun
/// late.
#[tokio::test]
async fn a_hidden_move_is_flagged_and_shows_its_new_connection() {
    let pause = Step::Wait(SHORT / 2);
    let server = FaultyServer::script([whole(), vec![pause]].concat());
    let client = client(&proxied(&server));
    assert_eq!(class(&send(&client).await), "ok");
    // The server closes while this thread, which also runs the connection's task, is blocked. A
    // timer that is over wakes us in the same turn that wakes the connection, and we come first:
    // the connection still looks alive, but sees its end before it writes.
    let past = tokio::time::Instant::now() + SHORT / 4;
    std::thread::sleep(SHORT);
    tokio::time::sleep_until(past).await;
    let it = send(&client).await;
    assert_eq!((class(&it).as_str(), it.reused), ("ok", false));
    assert!(it.connected_ns.is_some());
    assert_eq!(it.flags, ["stale_reuse_moved", "reads_hidden"]);
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

/// However a request meets a closing connection, the exchange tells what happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_latency_hides_a_reconnect() {
    const ROUNDS: usize = 300;
    let server = FaultyServer::script(whole());
    let client = client(&endpoint(&server.url()));
    let mut resent = 0;
    for round in 0..ROUNDS {
        // The server closes right after its answer: the next request races with that.
        let it = send(&client).await;
        assert_eq!(class(&it), "ok", "round {round}: {it:?}");
        assert!(!it.reused && it.connected_ns.is_some(), "round {round}: {it:?}");
        resent += usize::from(it.flags.contains(&"stale_reuse_resent".into()));
    }
    assert_eq!(server.connections(), ROUNDS, "one connection for each answer");
    println!("{ROUNDS} ok, {resent} of them sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_concurrent_request_knows_its_own_connection() {
    let server = FaultyServer::script(std::iter::repeat_n(whole(), 200).flatten().collect());
    let client = client(&endpoint(&server.url()));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut fresh = 0;
                for _ in 0..20 {
                    let it = send(&client).await;
                    assert_eq!(class(&it), "ok", "{it:?}");
                    assert_eq!(it.reused, it.connected_ns.is_none());
                    fresh += usize::from(!it.reused);
                }
                fresh
            })
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        fresh += task.await.unwrap();
    }
    // A connection that was begun for one request may end up carrying another: it counts as made
    // for nobody, so there are never more fresh requests than connections.
    assert!((1..=server.connections()).contains(&fresh), "{fresh} of {}", server.connections());
}

// Row 3.
#[tokio::test]
async fn a_port_where_nothing_listens_is_refused() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = url::Url::parse(&format!("http://{address}/v1")).unwrap();
    let it = exchange(&endpoint(&url)).await;
    assert_eq!((class(&it).as_str(), it.reused, it.connected_ns), ("connect.refused", false, None));
    assert!(it.error_message.unwrap().contains("start the server"));
}

// Row 4: without packet filters, a TLS handshake that never comes stands in for a lost SYN.
#[tokio::test]
async fn a_connection_that_is_never_made_is_timeout_connect() {
    let server = FaultyServer::script(vec![Step::Stall]);
    let url = url::Url::parse(&format!("https://{}/v1", server.address())).unwrap();
    for set in
        [(|limits: &mut runner::plan::Timeouts| limits.connect = SHORT) as fn(&mut _), |limits| {
            limits.headers = SHORT;
        }]
    {
        let it = exchange(&limited(&url, set)).await;
        assert_eq!((class(&it).as_str(), it.connected_ns), ("timeout.connect", None));
    }
}

// Row 8.
#[tokio::test]
async fn a_name_that_does_not_resolve_is_dns() {
    let url = url::Url::parse("http://no-such-host.invalid/v1").unwrap();
    assert_eq!(class(&exchange(&endpoint(&url)).await), "connect.dns");
}

#[tokio::test]
async fn a_host_with_addresses_of_two_families_is_reached_over_the_one_that_works() {
    let server = FaultyServer::script(whole());
    let url = url::Url::parse(&format!("http://localhost:{}/v1", server.address().port()));
    let it = exchange(&endpoint(&url.unwrap())).await;
    assert_eq!((class(&it).as_str(), it.reused), ("ok", false));
    assert!(server.requests()[0].contains("host: localhost:"));
}

/// A server that refuses a prompt before all of it has come, and reads no more.
#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_written_is_read() {
    let refusal = answer(413, "Connection: close\r\n", "{\"error\":\"too long\"}");
    let server = FaultyServer::serve(move |_, mut stream, _, _| {
        let mut start = [0; 1024];
        let _some = std::io::Read::read(&mut stream, &mut start);
        let _sent = std::io::Write::write_all(&mut stream, &refusal);
        std::thread::sleep(SHORT);
    });
    let mut long = request(true);
    long.messages[0] = runner::request::Message::text("user", "word ".repeat(4_000_000));
    let client = client(&endpoint(&server.url()));
    let prepared = client.prepare(&long, "m", "long").unwrap();
    let it = client.send(&prepared, &CancellationToken::new()).await;
    assert_eq!((class(&it).as_str(), it.http_status), ("http.413", Some(413)));
}

// Row 81.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = FaultyServer::script(whole());
    let location = format!("Location: {}\r\n", other.url());
    let server = FaultyServer::answers(move |_| answer(307, &location, ""));
    let it = exchange(&endpoint(&server.url())).await;
    assert_eq!((class(&it).as_str(), it.http_status), ("protocol.redirect", Some(307)));
    assert!(it.error_message.unwrap().contains(other.url().as_str()));
    assert_eq!(other.connections(), 0);
}

// Rows 77 and 78.
#[tokio::test]
async fn secrets_that_a_server_echoes_are_hidden() {
    let echo = |request: &str| {
        let filler = "x".repeat(4085 - request.len());
        answer(400, "", &format!("{request}{filler}{request}"))
    };
    let server = FaultyServer::answers(echo);
    let mut plain = endpoint(&server.url());
    plain.api_key = ApiKey::Key(secret("sk-canary-1"));
    plain.headers = vec![
        ("X-Tenant".into(), secret("canary-2")),
        ("Proxy-Authorization".into(), secret("Bearer canary-3")),
    ];
    let it = exchange(&plain).await;
    let sent = server.requests().pop().unwrap();
    assert!(sent.contains("authorization: Bearer sk-canary-1") && sent.contains("canary-2"));
    let shown = format!("{it:?}");
    assert!(shown.contains("***") && !shown.contains("canary"), "{shown}");
    assert!(!format!("{:?}", plain.api_key).contains("canary"));

    let mut url = server.url();
    url.set_username("user").unwrap();
    url.set_password(Some("canary-4")).unwrap();
    let login = client(&endpoint(&url));
    assert!(!login.base_url().as_str().contains("user"));
    let it = send(&login).await;
    let sent = server.requests().pop().unwrap();
    assert!(sent.contains("authorization: Basic dXNlcjpjYW5hcnktNA=="), "{sent}");
    assert!(!format!("{it:?}").contains("dXNlcjpjYW5hcnktNA"));
}

#[tokio::test]
async fn a_secret_across_the_cut_of_the_raw_answer_is_hidden_whole() {
    let body = format!("{}sk-canary-1 and more", "x".repeat(4090));
    let server = FaultyServer::answers(move |_| answer(400, "", &body));
    let mut endpoint = endpoint(&server.url());
    endpoint.api_key = ApiKey::Key(secret("sk-canary-1"));
    let raw = exchange(&endpoint).await.raw.unwrap();
    assert!(raw.ends_with("xx***") || !raw.contains("sk-"), "{}", &raw[4080..]);
}

// Row 87.
#[tokio::test]
async fn header_values_with_line_ends_are_refused_before_sending() {
    let server = FaultyServer::script(whole());
    for (name, value) in [("X-A", "1\r\nX-B: 2"), ("X A", "1"), ("X-A\n", "1")] {
        let mut endpoint = endpoint(&server.url());
        endpoint.headers = vec![(name.into(), secret(value))];
        let result = Client::new(&endpoint, &server.url(), RunClock::start_now());
        assert!(matches!(result, Err(ClientError::Header { .. })), "{name:?}: {value:?}");
    }
    let ftp = url::Url::parse("ftp://host/v1").unwrap();
    let result = Client::new(&endpoint(&ftp), &ftp, RunClock::start_now());
    assert!(matches!(result, Err(ClientError::Url(_))));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_proxy_is_used_when_asked_for() {
    let proxy = FaultyServer::script(whole());
    let target = url::Url::parse("http://model.invalid/v1").unwrap();
    let mut endpoint = endpoint(&target);
    endpoint.proxy = Some(format!("http://{}", proxy.address()));
    assert_eq!(class(&exchange(&endpoint).await), "ok");
    assert!(proxy.requests()[0].starts_with("POST http://model.invalid/v1/chat/completions "));
}

#[tokio::test]
async fn a_prepared_request_can_be_sent_again() {
    let server = FaultyServer::serve(|_, mut stream_, stop, requests| {
        while let Ok(request) = read_request(&mut stream_, stop) {
            requests.lock().unwrap().push(request);
            std::io::Write::write_all(&mut stream_, &stream(&hello())).unwrap();
        }
    });
    let client = client(&endpoint(&server.url()));
    let prepared = client.prepare(&request(true), "m", "again").unwrap();
    for _ in 0..2 {
        let it = client.send(&prepared, &CancellationToken::new()).await;
        assert_eq!(class(&it), "ok");
        assert!(Duration::from_nanos(it.end_ns - it.sent_ns) < LONG);
    }
    let requests = server.requests();
    assert_eq!(requests[0], requests[1]);
}
