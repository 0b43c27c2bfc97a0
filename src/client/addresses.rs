//! The addresses that a host's name stands for, and whose turn it is.
//!
//! In: a name. Out: addresses in the order in which they are to be tried. Invariants: with several,
//! each new connection begins with the next one, so that they share the load; addresses of the other
//! family come last, since they are most often the same servers again; what was made and what failed is
//! counted for each.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::plan::Addresses;

/// The addresses of one host.
#[derive(Debug)]
pub(super) struct Resolver {
    choice: Addresses,
    turn: AtomicUsize,
    known: Mutex<BTreeMap<IpAddr, Dialled>>,
}

/// What became of an address.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialled {
    /// Connections made to it.
    pub made: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Why the last one did.
    pub why: String,
}

impl Resolver {
    /// For a host whose addresses are chosen so.
    pub fn new(choice: &Addresses) -> Self {
        Self { choice: choice.clone(), turn: AtomicUsize::new(0), known: Mutex::default() }
    }

    /// The addresses of `name` in the order in which they are to be tried now; never none.
    pub async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = match &self.choice {
            Addresses::Listed(listed) => {
                listed.iter().map(|address| (*address, port).into()).collect()
            }
            Addresses::All | Addresses::First => {
                tokio::net::lookup_host((name, port)).await?.collect()
            }
        };
        let Some(first) = found.first() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        };
        let is_preferred = |address: &SocketAddr| address.is_ipv6() == first.is_ipv6();
        let (mut preferred, other): (Vec<_>, Vec<_>) =
            found.iter().copied().partition(is_preferred);
        // Resolvers give them in any order, and some give one twice.
        preferred.sort_unstable();
        preferred.dedup();
        if preferred.len() > 1 {
            let mut known = self.known();
            for address in &preferred {
                known.entry(address.ip()).or_default();
            }
        }
        if self.choice != Addresses::First {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let count = preferred.len();
            preferred.rotate_left(turn % count);
        }
        preferred.extend(other);
        Ok(preferred)
    }

    /// Notes a connection to `address`, or why there is none. Gives the address where there are
    /// several to tell it from.
    pub fn dialled(&self, address: IpAddr, result: Result<(), &io::Error>) -> Option<IpAddr> {
        let mut known = self.known();
        let entry = known.get_mut(&address)?;
        match result {
            Ok(()) => entry.made += 1,
            Err(error) => {
                entry.failed += 1;
                entry.why = error.to_string();
            }
        }
        Some(address)
    }

    /// The address, where there are several to tell it from.
    pub fn told(&self, address: IpAddr) -> Option<IpAddr> {
        self.known().contains_key(&address).then_some(address)
    }

    /// What became of each of several addresses; none where there is one.
    pub fn account(&self) -> BTreeMap<IpAddr, Dialled> {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Dialled>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
