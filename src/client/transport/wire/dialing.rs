//! New connections: names to addresses to sockets.
//!
//! In: a host. Out: a connected socket without Nagle's delay, or a [`Fault`]. Invariant: it ends
//! within the limit; a host with addresses of both families is reached over whichever works.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use url::Url;

use super::super::library::connect_kind;
use super::super::{Fault, FaultKind};
use crate::client::dial::Used;

/// After so long without a connection the other family of addresses is tried as well.
const OTHER_FAMILY_AFTER: Duration = Duration::from_millis(300);

/// Where to connect to.
#[derive(Debug, Clone)]
pub(super) enum Host {
    Address(SocketAddr),
    Name(String, u16),
}

impl Host {
    /// The host of a URL; `None` when it has none.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let port = url.port_or_known_default()?;
        Some(match url.host()? {
            url::Host::Ipv4(ip) => Self::Address((IpAddr::from(ip), port).into()),
            url::Host::Ipv6(ip) => Self::Address((IpAddr::from(ip), port).into()),
            url::Host::Domain(name) => Self::Name(name.to_owned(), port),
        })
    }
}

/// Connects within `limit`.
pub(super) async fn connect(host: &Host, limit: Duration) -> Result<TcpStream, Fault> {
    let fault = |kind, error: io::Error| Fault {
        kind,
        message: super::super::one_line(&error.to_string()),
        used: Used::default(),
    };
    let connecting = async {
        let stream = match host {
            Host::Address(address) => TcpStream::connect(address).await,
            Host::Name(name, port) => {
                let found = tokio::net::lookup_host((name.as_str(), *port)).await;
                let found = found.map_err(|error| fault(FaultKind::Connect("dns"), error))?;
                either_family(found.collect()).await
            }
        };
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        stream.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => fault(FaultKind::ConnectTimeout, error),
            _ => fault(FaultKind::Connect(connect_kind(&error)), error),
        })
    };
    tokio::time::timeout(limit, connecting)
        .await
        .unwrap_or_else(|_| Err(fault(FaultKind::ConnectTimeout, io::ErrorKind::TimedOut.into())))
}

/// Tries the family of the first address, and soon the other one beside it.
async fn either_family(found: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let is_first =
        |address: &SocketAddr| Some(address.is_ipv6()) == found.first().map(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) = found.iter().copied().partition(is_first);
    if other.is_empty() {
        return one_of(&first).await;
    }
    let mut preferred = std::pin::pin!(one_of(&first));
    let early = tokio::time::timeout(OTHER_FAMILY_AFTER, preferred.as_mut()).await;
    match early {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => one_of(&other).await,
        Err(_) => first_of(preferred, std::pin::pin!(one_of(&other))).await,
    }
}

/// Whichever connects first; the last error when neither does.
async fn first_of(
    one: impl Future<Output = io::Result<TcpStream>> + Unpin,
    other: impl Future<Output = io::Result<TcpStream>> + Unpin,
) -> io::Result<TcpStream> {
    use futures::future::{Either, select};
    match select(one, other).await {
        Either::Left((Ok(stream), _)) | Either::Right((Ok(stream), _)) => Ok(stream),
        Either::Left((Err(_), rest)) => rest.await,
        Either::Right((Err(_), rest)) => rest.await,
    }
}

/// The first of `addresses` that takes the connection.
async fn one_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    TcpStream::connect(addresses).await
}
