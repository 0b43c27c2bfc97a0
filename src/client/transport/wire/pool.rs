//! The connections that are open and unused.
//!
//! In: a host, connections that were given back. Out: one for each request that wants one.
//! Invariants: none is handed out that shows a sign of having been closed, or that was idle for so
//! long that the server may close it any moment; one that was opened ahead says so at its first use.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use tokio::net::TcpStream;

use super::super::{Fault, POOL_IDLE};
use super::dialing::{self, Host};
use crate::client::addresses::Resolver;

/// Connections that are opened at a time ahead of a stage; a server's queue of those that wait to
/// be accepted is seldom longer than 128.
const AHEAD_AT_ONCE: usize = 32;

#[derive(Debug)]
pub(super) struct Pool {
    host: Host,
    connect: Duration,
    /// The most recently used last.
    idle: Mutex<VecDeque<Idle>>,
    made: AtomicU64,
}

/// A connection that waits for a request.
#[derive(Debug)]
pub(super) struct Idle {
    pub stream: TcpStream,
    pub since: Instant,
    /// When it was begun, if nothing was sent over it yet; it was ready when it came here.
    pub ahead: Option<Instant>,
    /// Its far end, where the host has several addresses.
    pub address: Option<IpAddr>,
}

impl Pool {
    /// No connection yet; each is to be made within `connect`.
    pub(super) fn new(host: Host, connect: Duration) -> Self {
        Self { host, connect, idle: Mutex::default(), made: AtomicU64::new(0) }
    }

    /// Connections made so far.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// A new connection that is ready now.
    pub(super) async fn connect(&self) -> Result<Idle, Fault> {
        let (stream, address) = dialing::connect(&self.host, self.connect).await?;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Idle { stream, since: Instant::now(), ahead: None, address })
    }

    /// What became of the host's addresses, where it has several.
    pub(super) fn resolver(&self) -> &Resolver {
        self.host.resolver()
    }

    /// Opens connections until `count` are idle, some at a time; the first that fails ends it.
    pub(super) async fn open_ahead(&self, count: usize) {
        let connections = (self.fresh()..count).map(|_| async {
            let began = Instant::now();
            self.connect().await.map(|idle| Idle { ahead: Some(began), ..idle })
        });
        let mut connections = stream::iter(connections).buffered(AHEAD_AT_ONCE);
        while let Some(Ok(idle)) = connections.next().await {
            // In front: where a server serves them in the order of their coming, the first is to be
            // used first.
            self.idle().push_front(idle);
        }
    }

    /// Idle connections that will still be good in a moment.
    fn fresh(&self) -> usize {
        self.idle().iter().filter(|idle| idle.since.elapsed() < POOL_IDLE / 2).count()
    }

    /// An open connection that shows no sign of having been closed.
    pub(super) fn take(&self) -> Option<Idle> {
        loop {
            let idle = self.idle().pop_back()?;
            let is_quiet = idle
                .stream
                .try_read(&mut [0])
                .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            if is_quiet && idle.since.elapsed() < POOL_IDLE {
                return Some(idle);
            }
        }
    }

    /// Takes a connection back whose answer has ended.
    pub(super) fn put(&self, stream: TcpStream, address: Option<IpAddr>) {
        let since = Instant::now();
        let mut idle = self.idle();
        while idle.front().is_some_and(|oldest| since - oldest.since >= POOL_IDLE) {
            idle.pop_front();
        }
        idle.push_back(Idle { stream, since, ahead: None, address });
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
