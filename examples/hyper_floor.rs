//! The hyper floor: the least that a keep-alive HTTP client costs on this machine.
//!
//! One thread, hyper on tokio's single-threaded runtime, connections opened ahead. It knows no
//! plan, decodes nothing and keeps no records: it counts `data:` lines and adds up. Ratios of
//! the runner's figures to these, taken in one run, are what the performance targets speak of. With
//! `--times` it also keeps when the first and the last text came, and the gaps between texts.
//!
//! ```text
//! taskset -c 0 cargo run --release --example hyper_floor -- \
//!     http://127.0.0.1:8000/v1/chat/completions --concurrency 64 --requests 100000
//! ```

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use url::Url;

/// What stands before every text of a chat's stream that is not empty, as the embedded simulator
/// writes it.
const TEXT: &[u8] = b"\"content\":\" ";

/// Streams requests from a URL as cheaply as hyper can, and prints rates and CPU time.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to POST to (http only).
    url: Url,
    /// Streams at a time.
    #[arg(long, default_value_t = 64)]
    concurrency: u64,
    /// Requests in all.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// The request body; a small streamed chat completion by default.
    #[arg(long)]
    body: Option<PathBuf>,
    /// The model named in the default body.
    #[arg(long, default_value = "simulated-8b")]
    model: String,
    /// The tokens asked for in the default body.
    #[arg(long, default_value_t = 16)]
    max_tokens: u64,
    /// Also print times, from the sending of each request.
    #[arg(long)]
    times: bool,
}

/// What came back, over all streams.
#[derive(Debug, Default)]
struct Totals {
    begun: Cell<u64>,
    ok: Cell<u64>,
    failed: Cell<u64>,
    events: Cell<u64>,
    bytes: Cell<u64>,
    times: Option<RefCell<Times>>,
}

/// Milliseconds, of all requests.
#[derive(Debug, Default)]
struct Times {
    ttft: Vec<f64>,
    itl: Vec<f64>,
    e2e: Vec<f64>,
}

impl Times {
    /// Takes the arrivals of one answer's texts.
    fn take(&mut self, sent: Instant, texts: &[Instant]) {
        let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
        self.ttft.extend(texts.first().map(|first| ms(sent, *first)));
        self.e2e.extend(texts.last().map(|last| ms(sent, *last)));
        self.itl.extend(texts.windows(2).map(|pair| ms(pair[0], pair[1])));
    }

    fn json(&mut self) -> serde_json::Value {
        let quantiles = |list: &mut Vec<f64>| {
            list.sort_unstable_by(f64::total_cmp);
            let at = |percent: usize| list.get((list.len().saturating_sub(1)) * percent / 100);
            serde_json::json!({ "p50": at(50), "p99": at(99) })
        };
        serde_json::json!({
            "ttft_ms": quantiles(&mut self.ttft),
            "itl_ms": quantiles(&mut self.itl),
            "e2e_ms": quantiles(&mut self.e2e),
        })
    }
}

fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get() + count);
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.url.scheme() == "http", "only http:// URLs");
    let body = match &arguments.body {
        Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?,
        None => serde_json::to_vec(&serde_json::json!({
            "model": arguments.model,
            "messages": [{ "role": "user", "content": "Say something." }],
            "max_tokens": arguments.max_tokens,
            "stream": true,
            "stream_options": { "include_usage": true },
        }))?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(&arguments, body.into()))
}

async fn run(arguments: &Arguments, body: Bytes) -> anyhow::Result<()> {
    let address =
        *arguments.url.socket_addrs(|| None)?.first().context("the URL's host has no address")?;
    let mut connections = Vec::new();
    for _ in 0..arguments.concurrency {
        connections.push(connect(address).await?);
    }
    let times = arguments.times.then(RefCell::default);
    let totals = Rc::new(Totals { times, ..Totals::default() });
    let (started, cpu_before) = (Instant::now(), cpu_seconds());
    let streams: Vec<_> = connections
        .into_iter()
        .map(|connection| {
            let totals = Rc::clone(&totals);
            let (url, body, requests) = (arguments.url.clone(), body.clone(), arguments.requests);
            tokio::task::spawn_local(async move {
                if let Err(error) = stream(connection, address, url, body, requests, &totals).await
                {
                    eprintln!("hyper_floor: {error:#}");
                }
            })
        })
        .collect();
    for task in streams {
        task.await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_before.zip(cpu_seconds()).map(|(before, after)| after - before);
    println!(
        "{}",
        serde_json::json!({
            "requests": totals.ok.get(),
            "failed": totals.failed.get(),
            "events": totals.events.get(),
            "bytes": totals.bytes.get(),
            "seconds": seconds,
            "requests_per_second": totals.ok.get() as f64 / seconds,
            "events_per_second": totals.events.get() as f64 / seconds,
            "cpu_seconds": cpu,
            "times": totals.times.as_ref().map(|times| times.borrow_mut().json()),
            "cpu_us_per_event": cpu.map(|cpu| cpu * 1e6 / totals.events.get().max(1) as f64),
        })
    );
    Ok(())
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(address).await.with_context(|| address.to_string())?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    tokio::task::spawn_local(async move {
        let _closed = connection.await;
    });
    Ok(sender)
}

/// One stream: request after request until enough have begun.
async fn stream(
    mut connection: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    url: Url,
    body: Bytes,
    requests: u64,
    totals: &Totals,
) -> anyhow::Result<()> {
    while totals.begun.get() < requests {
        add(&totals.begun, 1);
        if connection.ready().await.is_err() {
            connection = connect(address).await?;
        }
        let request = hyper::Request::post(url.path())
            .header("host", url.authority())
            .header("content-type", "application/json")
            .header("authorization", "Bearer EMPTY")
            .body(Full::new(body.clone()))?;
        match exchange(&mut connection, request, totals).await {
            Ok(true) => add(&totals.ok, 1),
            Ok(false) | Err(_) => add(&totals.failed, 1),
        }
    }
    Ok(())
}

/// Sends and reads to the end; whether the status was a success.
async fn exchange(
    connection: &mut SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
    totals: &Totals,
) -> Result<bool, hyper::Error> {
    let (sent, mut texts) = (Instant::now(), Vec::new());
    let mut response = connection.send_request(request).await?;
    while let Some(frame) = response.frame().await {
        if let Some(chunk) = frame?.data_ref() {
            if totals.times.is_some() {
                let now = Instant::now();
                texts.extend(memchr::memmem::find_iter(chunk, TEXT).map(|_| now));
            }
            add(&totals.bytes, chunk.len() as u64);
            add(&totals.events, memchr::memmem::find_iter(chunk, b"data: ").count() as u64);
        }
    }
    if let Some(times) = &totals.times {
        times.borrow_mut().take(sent, &texts);
    }
    Ok(response.status().is_success())
}

/// CPU time of this process's one thread so far; `None` where the system doesn't say.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(stat.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
