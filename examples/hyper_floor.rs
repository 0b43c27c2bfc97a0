//! The hyper floor: the least that a keep-alive HTTP client costs on hyper and tokio.
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

mod floor;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use url::Url;

use floor::{Arguments, Totals};

fn main() -> anyhow::Result<()> {
    let (arguments, body) = Arguments::read()?;
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
    let totals = Rc::new(RefCell::new(Totals::new(arguments)));
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
    Rc::into_inner(totals).context("a stream still runs")?.into_inner().print();
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
    totals: &RefCell<Totals>,
) -> anyhow::Result<()> {
    while totals.borrow().begun < requests {
        totals.borrow_mut().begun += 1;
        if connection.ready().await.is_err() {
            connection = connect(address).await?;
        }
        let request = hyper::Request::post(url.path())
            .header("host", url.authority())
            .header("content-type", "application/json")
            .header("authorization", "Bearer EMPTY")
            .body(Full::new(body.clone()))?;
        let (sent, mut texts) = (Instant::now(), Vec::new());
        let outcome = exchange(&mut connection, request, totals, &mut texts).await;
        totals.borrow_mut().end(outcome.unwrap_or(false), sent, &mut texts);
    }
    Ok(())
}

/// Sends and reads to the end; whether the status was a success.
async fn exchange(
    connection: &mut SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
    totals: &RefCell<Totals>,
    texts: &mut Vec<Instant>,
) -> Result<bool, hyper::Error> {
    let mut response = connection.send_request(request).await?;
    while let Some(frame) = response.frame().await {
        if let Some(chunk) = frame?.data_ref() {
            totals.borrow_mut().read(chunk, Instant::now(), texts);
        }
    }
    Ok(response.status().is_success())
}
