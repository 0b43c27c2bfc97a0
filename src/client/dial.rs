//! Which connection a request went over, and when it was made.
//!
//! In: the connector's calls, seen through a tower layer. Out: [`Used`] for each request.
//! Invariant: no request silently pays for a connection. The HTTP crate hides its pool, so the
//! layer notes every connection made on a request's behalf (found by a task-local), and the
//! address of the connection that carried the answer says whether it was one of those.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use super::addresses::Resolver;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static CURRENT: Arc<Dial>;
}

/// What was done to connect on behalf of one request.
#[derive(Debug, Default)]
pub(super) struct Dial {
    /// Connections begun.
    begun: AtomicU32,
    /// The request's future was polled once: an idle connection, if there was one, has been taken.
    under_way: AtomicBool,
    /// A connection was begun after that, so the request had been given a dead one before.
    moved: AtomicBool,
    /// Connections made; locked only when one is made and once when it is asked which was used.
    made: Mutex<Vec<(SocketAddr, Instant)>>,
    /// The far end, where the host has several addresses; locked only then.
    address: Mutex<Option<IpAddr>>,
}

/// The connection a request used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// When it was begun, if that was ahead of its first request, which is this one.
    pub ahead: Option<Instant>,
    /// When it was ready, if it was made for this request.
    pub connected: Option<Instant>,
    /// Whether it was open before.
    pub reused: bool,
    /// Whether the request was first handed to a dead connection, and moved to another before any of
    /// it was written.
    pub moved: bool,
    /// Its far end, where the host has several addresses.
    pub address: Option<IpAddr>,
}

impl Dial {
    /// Runs a request so that connections made for it are noted here.
    pub async fn watch<T>(self: &Arc<Self>, request: impl Future<Output = T>) -> T {
        let mut request = pin!(CURRENT.scope(Arc::clone(self), request));
        std::future::poll_fn(|cx| {
            let poll = request.as_mut().poll(cx);
            self.under_way.store(true, Ordering::Relaxed);
            poll
        })
        .await
    }

    /// A request takes an open connection, or begins a new one.
    pub fn begin(&self, new: bool) {
        self.begun.store(u32::from(new), Ordering::Relaxed);
        self.under_way.store(true, Ordering::Relaxed);
    }

    /// The connection that was begun is ready.
    pub fn connected(&self, stream: &tokio::net::TcpStream, at: Instant, to: Option<IpAddr>) {
        self.addressed(to);
        if let Ok(local) = stream.local_addr() {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.push((local, at));
        }
    }

    /// The far end of the connection that the request goes over, where the host has several.
    pub fn addressed(&self, to: Option<IpAddr>) {
        if to.is_some() {
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }

    /// The connection used, given the local address of the one that carried the request.
    pub fn used(&self, local: Option<SocketAddr>) -> Used {
        if self.begun.load(Ordering::Relaxed) == 0 {
            let reused = self.under_way.load(Ordering::Relaxed);
            return Used { reused, address: self.address(), ..Used::default() };
        }
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // Without an address the last one made is the best guess; with one, a connection that
        // another request gave back in the meantime is told from our own.
        let connected = match local {
            Some(local) => made.iter().find(|(address, _)| *address == local),
            None => made.last(),
        };
        Used {
            ahead: None,
            connected: connected.map(|(_, at)| *at),
            reused: local.is_some() && connected.is_none(),
            moved: self.moved.load(Ordering::Relaxed),
            address: self.address(),
        }
    }

    fn address(&self) -> Option<IpAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wraps the connector; counts all connections of a client.
#[derive(Debug, Clone)]
pub(super) struct DialLayer {
    made: Arc<AtomicU64>,
    resolver: Arc<Resolver>,
}

impl DialLayer {
    /// For connections to addresses that this one found.
    pub fn new(resolver: Arc<Resolver>) -> Self {
        Self { made: Arc::default(), resolver }
    }

    /// Connections made so far.
    pub fn connections(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl<S> Layer<S> for DialLayer {
    type Service = DialService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DialService { inner, layer: self.clone() }
    }
}

/// The connector with a look at each connection.
#[derive(Debug, Clone)]
pub(super) struct DialService<S> {
    inner: S,
    layer: DialLayer,
}

impl<S, R> Service<R> for DialService<S>
where
    S: Service<R>,
    S::Response: Connection,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let dial = CURRENT.try_with(Arc::clone).ok();
        if let Some(dial) = &dial {
            dial.begun.fetch_add(1, Ordering::Relaxed);
            if dial.under_way.load(Ordering::Relaxed) {
                dial.moved.store(true, Ordering::Relaxed);
            }
        }
        let DialLayer { made: total, resolver } = self.layer.clone();
        let connecting = self.inner.call(target);
        Box::pin(async move {
            let connection = connecting.await?;
            let at = Instant::now();
            total.fetch_add(1, Ordering::Relaxed);
            let mut extras = http::Extensions::new();
            connection.connected().get_extras(&mut extras);
            let info = extras.get::<HttpInfo>();
            if let Some(info) = info {
                resolver.dialled(info.remote_addr().ip(), Ok(()));
            }
            if let (Some(dial), Some(info)) = (dial, info) {
                let mut made = dial.made.lock().unwrap_or_else(PoisonError::into_inner);
                made.push((info.local_addr(), at));
            }
            Ok(connection)
        })
    }
}
