//! The embedded endpoint: an OpenAI-style server with a real prefix cache and known times.
//!
//! In: a [`SimulatorConfig`]. Out: a server on a loopback port, with a thread and a runtime of its
//! own, and a log of what it really did and when ([`Truth`]). Invariant: what it says and when it
//! is *due* are functions of configuration, requests and their arrival times alone; when a byte
//! really *left* is in the truth log.
//!
//! `http` bytes ↔ requests · `server` connections and faults of the whole server · `routes` one
//! answer per path · `generate` and `chat` what is asked · `dialect` every other API's words ·
//! `reply` what is written · `engine` which token is due when · `cache` and `tokens` what is warm ·
//! `alarm` waking up on time · `truth` the log. It speaks vLLM's way where servers differ.

mod alarm;
mod cache;
mod chat;
pub mod dialect;
mod engine;
mod generate;
mod http;
mod reply;
mod routes;
mod server;
mod tokens;
mod truth;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::plan::SimulatorConfig;
use crate::record::RunClock;
use server::Shared;
pub use truth::{Truth, TruthOutcome};

/// Connections the kernel may hold before they are accepted: room for an opening burst.
const BACKLOG: u32 = 4096;

/// A running simulator. Dropping it stops it, within milliseconds.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    down: CancellationToken,
    thread: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

/// Why a simulator can't start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is taken, or not ours.
    #[error("the simulator can't listen on {address}: {reason}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// The file of the truth log can't be made.
    #[error("the truth log {} can't be written: {reason}", path.display())]
    Truth {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// No thread or no event queue to be had.
    #[error("the simulator can't start: {0}")]
    System(io::Error),
}

// Not derived: the message says it all, and a source would make callers say it twice.
impl From<io::Error> for SimulatorError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Simulator {
    /// Starts a simulator that listens on `bind`; port 0 takes a free one.
    pub fn start(config: SimulatorConfig, bind: SocketAddr) -> Result<Self, SimulatorError> {
        Self::launch(config, bind, None)
    }

    /// Like [`Simulator::start`], and writes the truth of every ended request to the file `truth`
    /// as one JSON line.
    pub fn start_with_truth(
        config: SimulatorConfig,
        bind: SocketAddr,
        truth: &Path,
    ) -> Result<Self, SimulatorError> {
        Self::launch(config, bind, Some(truth.to_owned()))
    }

    /// Everything is made on the new thread, since a runtime must not be dropped (on an error) by a
    /// caller that is asynchronous itself.
    fn launch(
        config: SimulatorConfig,
        bind: SocketAddr,
        truth: Option<PathBuf>,
    ) -> Result<Self, SimulatorError> {
        let (ready, started) = mpsc::sync_channel(1);
        let (stop, down) = (CancellationToken::new(), CancellationToken::new());
        let thread = std::thread::Builder::new().name("simulator".into()).spawn({
            let (stop, down) = (stop.clone(), down.clone().drop_guard());
            move || {
                run(config, bind, truth.as_deref(), stop, &ready);
                drop(down);
            }
        })?;
        let ended = || SimulatorError::System(io::Error::other("its thread ended"));
        let Started { address, shared, writer } =
            started.recv().unwrap_or_else(|_| Err(ended()))?;
        Ok(Self { shared, address, stop, down, thread: Some(thread), writer })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for an endpoint, such as `http://127.0.0.1:8000/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The clock of all times in the truth log.
    pub fn clock(&self) -> RunClock {
        self.shared.clock
    }

    /// What it did, by request number. The newest 262,144 requests (or 8 million tokens) are kept.
    pub fn truth(&self) -> Vec<Truth> {
        self.shared.state().truth.entries()
    }

    /// Hands out and forgets the truth of all requests before the first that still runs, so that a
    /// long measurement can go on in bounded memory without losing any.
    pub fn take_truth(&self) -> Vec<Truth> {
        self.shared.state().truth.take()
    }

    /// Number of the oldest request still in the log, that is how many were taken or left.
    pub fn first_truth(&self) -> u64 {
        self.shared.state().truth.dropped()
    }

    /// Whether it still serves; false after a scripted crash.
    pub fn is_up(&self) -> bool {
        !self.down.is_cancelled()
    }

    /// Returns when it serves no more.
    pub async fn down(&self) {
        self.down.cancelled().await;
    }

    /// Stops it: the port closes, connections drop, threads end, the truth file is complete.
    pub fn shutdown(mut self) {
        self.stop_threads();
    }

    fn stop_threads(&mut self) {
        self.stop.cancel();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the simulator's thread panicked");
        }
        // Nobody writes any more: the file's thread sees the end and finishes.
        self.shared.state().truth.end_copy();
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the truth log's thread panicked");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

/// What a simulator's thread reports when it is ready.
struct Started {
    address: SocketAddr,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// The simulator's thread.
fn run(
    config: SimulatorConfig,
    bind: SocketAddr,
    truth: Option<&Path>,
    stop: CancellationToken,
    ready: &SyncSender<Result<Started, SimulatorError>>,
) {
    let prepare = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            listen(bind).map_err(|reason| SimulatorError::Bind { address: bind, reason })?
        };
        let address = listener.local_addr()?;
        // After the port, so that a second start does not empty the first one's file.
        let writer = truth.map(|path| {
            std::fs::File::create(path)
                .and_then(truth::start_writer)
                .map_err(|reason| SimulatorError::Truth { path: path.to_owned(), reason })
        });
        let (copy, writer) = writer.transpose()?.unzip();
        let shared = Arc::new(Shared::new(config, stop, copy)?);
        Ok((runtime, listener, Started { address, shared, writer }))
    };
    match prepare() {
        Ok((runtime, listener, started)) => {
            let shared = Arc::clone(&started.shared);
            if ready.send(Ok(started)).is_ok() {
                runtime.block_on(server::serve(listener, shared));
            }
            // Dropping the runtime drops every connection where it stands.
        }
        // The caller waits for one message; there is nobody else to tell.
        Err(error) => drop(ready.send(Err(error))),
    }
}

fn listen(bind: SocketAddr) -> io::Result<TcpListener> {
    let socket = if bind.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(bind)?;
    socket.listen(BACKLOG)
}
