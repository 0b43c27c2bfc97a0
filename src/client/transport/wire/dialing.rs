//! New connections: names to addresses to sockets.
//!
//! In: a host. Out: a connected socket without Nagle's delay, or a [`Fault`]. Invariant: it ends
//! within the limit; a host with addresses of both families is reached over whichever works; one of
//! several addresses that takes no connection is left for the next.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use url::Url;

use super::super::library::connect_kind;
use super::super::{Fault, FaultKind};
use crate::client::addresses::Resolver;
use crate::client::dial::Used;
use crate::plan::Addresses;

/// After so long without a connection the other family of addresses is tried as well.
const OTHER_FAMILY_AFTER: Duration = Duration::from_millis(300);

/// Where to connect to.
#[derive(Debug)]
pub(super) struct Host {
    name: String,
    port: u16,
    resolver: Resolver,
}

impl Host {
    /// The host of a URL; `None` when it has none.
    pub(super) fn of(url: &Url, addresses: &Addresses) -> Option<Self> {
        // Without the brackets of a URL, in which the resolver knows no address.
        let name = match url.host()? {
            url::Host::Ipv4(ip) => ip.to_string(),
            url::Host::Ipv6(ip) => ip.to_string(),
            url::Host::Domain(name) => name.to_owned(),
        };
        let port = url.port_or_known_default()?;
        Some(Self { name, port, resolver: Resolver::new(addresses) })
    }

    /// What became of its addresses, where it has several.
    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }
}

/// Connects within `limit`. Gives the far end's address, too, where the host has several.
pub(super) async fn connect(
    host: &Host,
    limit: Duration,
) -> Result<(TcpStream, Option<IpAddr>), Fault> {
    let fault = |kind, error: io::Error| Fault {
        kind,
        message: super::super::one_line(&error.to_string()),
        used: Used::default(),
        heard: false,
    };
    let connecting = async {
        let found = host.resolver.resolve(&host.name, host.port).await;
        let found = found.map_err(|error| fault(FaultKind::Connect("dns"), error))?;
        let dialled = either_family(&found, limit, &host.resolver).await;
        let dialled = dialled.and_then(|it| it.0.set_nodelay(true).map(|()| it));
        dialled.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => fault(FaultKind::ConnectTimeout, error),
            _ => fault(FaultKind::Connect(connect_kind(&error)), error),
        })
    };
    tokio::time::timeout(limit, connecting)
        .await
        .unwrap_or_else(|_| Err(fault(FaultKind::ConnectTimeout, io::ErrorKind::TimedOut.into())))
}

/// A connection, and its address where there are several.
type Dialled = (TcpStream, Option<IpAddr>);

/// Tries the family of the first address, and soon the other one beside it.
async fn either_family(
    found: &[SocketAddr],
    limit: Duration,
    resolver: &Resolver,
) -> io::Result<Dialled> {
    let is_first =
        |address: &SocketAddr| Some(address.is_ipv6()) == found.first().map(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) = found.iter().copied().partition(is_first);
    if other.is_empty() {
        return one_of(&first, limit, resolver).await;
    }
    let mut preferred = std::pin::pin!(one_of(&first, limit, resolver));
    let early = tokio::time::timeout(OTHER_FAMILY_AFTER, preferred.as_mut()).await;
    match early {
        Ok(Ok(dialled)) => Ok(dialled),
        Ok(Err(_)) => one_of(&other, limit, resolver).await,
        Err(_) => first_of(preferred, std::pin::pin!(one_of(&other, limit, resolver))).await,
    }
}

/// Whichever connects first; the last error when neither does.
async fn first_of(
    one: impl Future<Output = io::Result<Dialled>> + Unpin,
    other: impl Future<Output = io::Result<Dialled>> + Unpin,
) -> io::Result<Dialled> {
    use futures::future::{Either, select};
    match select(one, other).await {
        Either::Left((Ok(stream), _)) | Either::Right((Ok(stream), _)) => Ok(stream),
        Either::Left((Err(_), rest)) => rest.await,
        Either::Right((Err(_), rest)) => rest.await,
    }
}

/// The first of `addresses` that takes the connection. Each may take its part of `limit`, so that one
/// that is silent leaves time for the next.
async fn one_of(
    addresses: &[SocketAddr],
    limit: Duration,
    resolver: &Resolver,
) -> io::Result<Dialled> {
    let part = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let dialled = tokio::time::timeout(part, TcpStream::connect(address)).await;
        match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok((stream, resolver.dialled(address.ip(), Ok(())))),
            Err(error) => {
                resolver.dialled(address.ip(), Err(&error));
                last = error;
            }
        }
    }
    Err(last)
}
