//! Connections in, responses out, and the one state they share.
//!
//! In: accepted sockets. Out: each request goes to its route, one after the other per connection.
//! Invariant: everything runs on one thread; the state's lock is held for moments, never while
//! something waits, and is there so that the truth log can be read from outside.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::engine::{Busy, Engine, Job, Step};
use super::http::{self, Connection, ReadError};
use super::routes::{self, Next};
use super::truth::{Truth, TruthLog, TruthOutcome};
use crate::plan::SimulatorConfig;
use crate::record::RunClock;

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    pub config: SimulatorConfig,
    pub clock: RunClock,
    /// Cancelling it ends the server: from outside, or by a scripted crash.
    pub stop: CancellationToken,
    alarm: Alarm,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
pub struct State {
    pub engine: Engine,
    pub truth: TruthLog,
    /// Where the tokens of each running request go.
    streams: HashMap<u64, UnboundedSender<Step>>,
}

impl Shared {
    pub fn new(
        config: SimulatorConfig,
        stop: CancellationToken,
        copy: Option<Sender<Truth>>,
    ) -> io::Result<Self> {
        let state = State {
            engine: Engine::new(&config),
            truth: TruthLog::new(copy),
            streams: HashMap::new(),
        };
        let clock = RunClock::start_now();
        Ok(Self { config, clock, stop, alarm: Alarm::start()?, state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a job; its tokens come out of the returned stream. Dropping that frees the slot.
    pub fn submit(self: &Arc<Self>, job: Job) -> Result<Generation, Busy> {
        let number = job.number;
        let (sender, steps) = unbounded_channel();
        let now = self.clock.now_ns();
        let mut state = self.state();
        state.advance(now);
        state.engine.submit(job, now)?;
        state.streams.insert(number, sender);
        // With rates beyond measure, all of it may be due already.
        state.advance(now);
        self.set_alarm(&state);
        drop(state);
        Ok(Generation { number, steps, shared: Arc::clone(self) })
    }

    /// The engine's counters as of now.
    pub fn advance(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.advance(self.clock.now_ns());
        self.set_alarm(&state);
        state
    }

    fn set_alarm(&self, state: &State) {
        if let Some(due) = state.engine.next_due().filter(|due| *due < u64::MAX) {
            self.alarm.set(self.clock.at(due));
        }
    }
}

impl State {
    fn advance(&mut self, now: u64) {
        let streams = &mut self.streams;
        self.engine.advance(now, |step| {
            if let Some(stream) = streams.get(&step.number) {
                // A receiver that is gone has cancelled or is about to.
                let _ = stream.send(step);
                if step.last {
                    streams.remove(&step.number);
                }
            }
        });
    }
}

/// A running generation.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    /// Its tokens as they come due.
    pub steps: UnboundedReceiver<Step>,
    shared: Arc<Shared>,
}

impl Drop for Generation {
    fn drop(&mut self) {
        let now = self.shared.clock.now_ns();
        let mut state = self.shared.state();
        if state.streams.remove(&self.number).is_some() {
            state.advance(now);
            state.engine.cancel(self.number, now);
            self.shared.set_alarm(&state);
        }
    }
}

/// The entry of one request in the truth log. Dropped without an end, it says that the client left,
/// or that the server did.
#[derive(Debug)]
pub struct TruthEntry {
    pub number: u64,
    shared: Arc<Shared>,
    ended: bool,
}

impl TruthEntry {
    /// Opens the entry of a request that is fully read and passed the checks.
    pub fn open(
        shared: &Arc<Shared>,
        request_id: Option<String>,
        read_ns: u64,
        prompt_tokens: u64,
    ) -> Self {
        let number = shared.state().truth.open(request_id, read_ns, prompt_tokens);
        Self { number, shared: Arc::clone(shared), ended: false }
    }

    /// Stamps a write that is about to happen, and the end if it is the last.
    pub fn write(&mut self, tokens: usize, cached: Option<u64>, end: Option<TruthOutcome>) {
        let at = self.shared.clock.now_ns();
        let mut state = self.shared.state();
        state.truth.write(self.number, at, tokens, cached);
        if let Some(outcome) = end {
            state.truth.end(self.number, at, outcome);
            self.ended = true;
        }
    }

    /// Stamps an end without a write.
    pub fn end(&mut self, outcome: TruthOutcome) {
        let at = self.shared.clock.now_ns();
        self.shared.state().truth.end(self.number, at, outcome);
        self.ended = true;
    }

    /// The last write failed after all.
    pub fn client_left(&mut self) {
        self.ended = false;
    }
}

impl Drop for TruthEntry {
    fn drop(&mut self) {
        let at = self.shared.clock.now_ns();
        let mut state = self.shared.state();
        if !self.ended {
            let stopped = self.shared.stop.is_cancelled();
            let outcome = if stopped { TruthOutcome::Stopped } else { TruthOutcome::ClientLeft };
            state.truth.end(self.number, at, outcome);
        }
        state.truth.close(self.number);
    }
}

/// Serves until the stop token is cancelled. What is left of connections is dropped with the
/// runtime.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = accept(listener, &shared) => {}
        () = keep_time(&shared) => {}
    }
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it each small write would wait for the last one's acknowledgement.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("the simulator can't set TCP_NODELAY: {error}");
                }
                tokio::spawn(converse(Connection::new(stream), Arc::clone(shared)));
            }
            Err(error) => {
                // Out of file descriptors, most likely: some may be free again soon.
                tracing::warn!("the simulator can't accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn keep_time(shared: &Shared) {
    loop {
        shared.alarm.rings().await;
        drop(shared.advance());
    }
}

/// Answers the requests of one connection until either side has enough.
async fn converse(mut connection: Connection, shared: Arc<Shared>) {
    loop {
        match connection.read().await {
            Ok(request) => {
                let read_ns = shared.clock.now_ns();
                let keep_alive = request.keep_alive;
                match routes::answer(&mut connection, &shared, request, read_ns).await {
                    Ok(Next::Keep) if keep_alive => {}
                    _ => return,
                }
            }
            Err(ReadError::Gone) => return,
            Err(ReadError::Bad(status, why)) => {
                let body = routes::error_body(status, "BadRequestError", why);
                let response = http::response(status, routes::JSON, body.as_bytes(), false);
                // The connection closes either way.
                drop(connection.write(&response).await);
                return;
            }
        }
    }
}
