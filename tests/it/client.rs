//! The client over real sockets, against a server that misbehaves by script.
//!
//! One row of the fault catalogue is one test: it asserts the outcome's class, the stamps and bytes
//! so far, and that the end comes in bounded time.

mod addresses;
mod choices;
mod connections;
mod doors;
mod faults;
mod process;
mod recorded;
mod side_doors;
mod tls;

use std::time::{Duration, Instant};

use runner::client::Client;
use runner::plan::{Api, ApiKey, Endpoint, Location, Secret, Target, Timeouts, TokenizerConfig};
use runner::record::{Exchange, RunClock};
use runner::request::{Message, Request};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Longer than any test takes unless something hangs.
pub const LONG: Duration = Duration::from_secs(20);
/// A limit that is meant to be hit.
pub const SHORT: Duration = Duration::from_millis(200);

/// An endpoint with generous limits.
pub fn endpoint(url: &Url) -> Endpoint {
    Endpoint {
        name: "test".into(),
        target: Target::Url(url.clone()),
        api: Api::OpenaiChat,
        model: None,
        check_model: true,
        api_key: ApiKey::Unset,
        header_templates: Vec::new(),
        headers: Vec::new(),
        must_be_same_model: false,
        session_header: None,
        timeouts: Timeouts {
            connect: LONG,
            headers: LONG,
            first_token: LONG,
            idle: LONG,
            total: LONG,
        },
        ca_file: None,
        insecure: false,
        proxy: None,
        addresses: runner::plan::Addresses::All,
        tokenizer: TokenizerConfig::Estimate,
        metrics: runner::plan::MetricsConfig::default(),
        flush: None,
        location: Location::default(),
    }
}

/// An endpoint with one limit made short.
pub fn limited(url: &Url, set: impl Fn(&mut Timeouts)) -> Endpoint {
    let mut endpoint = endpoint(url);
    set(&mut endpoint.timeouts);
    endpoint
}

pub fn client(endpoint: &Endpoint) -> Client {
    let Target::Url(url) = endpoint.target.clone() else { panic!("no url") };
    Client::new(endpoint, &url, RunClock::start_now()).unwrap()
}

pub fn request(stream: bool) -> Request {
    Request {
        messages: vec![Message::text("user", "Say hello.")],
        max_tokens: Some(16),
        stream,
        ..Request::default()
    }
}

pub async fn send(client: &Client) -> Exchange {
    let prepared = client.prepare(&request(true), "m", "test-1").unwrap();
    client.send(&prepared, &CancellationToken::new()).await
}

/// Sends one streamed request to an endpoint; fails when that takes longer than any limit allows.
pub async fn exchange(endpoint: &Endpoint) -> Exchange {
    let start = Instant::now();
    let exchange = send(&client(endpoint)).await;
    assert!(start.elapsed() < LONG, "took {:?}", start.elapsed());
    assert!(exchange.end_ns >= exchange.sent_ns);
    exchange
}

/// The error's class, or `ok`, or `cancelled`.
pub fn class(exchange: &Exchange) -> String {
    exchange
        .outcome
        .class()
        .unwrap_or_else(|| format!("{:?}", exchange.outcome.kind()).to_lowercase())
}

pub fn secret(value: &str) -> Secret {
    Secret::new(value)
}

/// A chat event with one content delta.
pub fn delta(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n")
}

/// The finish event.
pub const FINISH: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
/// The end mark.
pub const DONE: &str = "data: [DONE]\n\n";

/// A whole answer of two tokens.
pub fn hello() -> String {
    [&delta("Hel"), &delta("lo"), FINISH, DONE].concat()
}
