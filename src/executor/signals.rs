//! Signals: the first asks the run to drain, the second cuts it, and a run ends whatever it is about.
//!
//! In: SIGINT, SIGTERM and SIGHUP. Out: the two tokens of [`Stop`] and the exit code 130, 143 or 129.
//! Invariants: a thread of its own hears them, so that nothing that keeps the run busy keeps them waiting;
//! a run that does not end by itself in time is left as it stands, with its records on disk; however the
//! process is left from here, the terminal is given back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::progress;
use crate::output::{self, note};
use crate::stage::Stop;

/// How long a run that was cut may take to sum up what it measured.
const SUMMING_UP: Duration = Duration::from_secs(10);
/// The same once a second signal came: what is cut ends within milliseconds, on an idle machine.
const SECOND: Duration = Duration::from_secs(4);
/// The same where nothing was sent yet.
const UNSENT: Duration = Duration::from_millis(1500);

/// Exit codes by convention: 128 plus the signal's number.
const HUNG_UP: i32 = 129;
pub(super) const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// The signals seen so far.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    seen: Arc<AtomicI32>,
    /// The run's directory, while it holds nothing that was measured.
    empty: Arc<Mutex<Option<PathBuf>>>,
    /// All that was measured is on disk.
    over: Arc<AtomicBool>,
}

impl Signals {
    /// Listens until the process ends. Requests in flight may take four fifths of `grace` after the first
    /// signal; the rest of it is for summing up.
    pub(super) fn listen(stop: Stop, grace: Duration) -> std::io::Result<Self> {
        let signals = Self { seen: Arc::default(), empty: Arc::default(), over: Arc::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let heard = {
            let _entered = runtime.enter();
            Ears::open()?
        };
        let shared = signals.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(shared.obey(heard, stop, grace)))?;
        Ok(signals)
    }

    /// The exit code that a signal asks for, if one came.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.seen.load(Ordering::Relaxed) {
            0 => None,
            code => Some(code),
        }
    }

    /// From now on a run that is left leaves no such directory behind; with `None`, it does.
    pub(super) fn would_discard(&self, directory: Option<PathBuf>) {
        *self.empty.lock().unwrap_or_else(PoisonError::into_inner) = directory;
    }

    /// The run is over: a signal from now on leaves what is still shown of it.
    pub(super) fn is_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    async fn obey(self, mut heard: Ears, stop: Stop, grace: Duration) {
        let code = heard.next().await;
        self.seen.store(code, Ordering::Relaxed);
        if self.over.load(Ordering::Relaxed) {
            self.leave(code);
        }
        let began = Instant::now();
        let is_sending = self.empty.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if is_sending {
            note!(
                "\ninterrupted: waiting up to {} s for requests in flight; once more to leave at once",
                grace.as_secs_f64()
            );
        }
        stop.drain.cancel();
        let mut leave_by = began + if is_sending { grace + SUMMING_UP } else { UNSENT };
        let mut is_second = true;
        let cut_at = began + grace * 4 / 5;
        loop {
            tokio::select! {
                _ = heard.next() => {
                    if !std::mem::take(&mut is_second) || self.over.load(Ordering::Relaxed) {
                        break;
                    }
                    leave_by = leave_by.min(Instant::now() + SECOND);
                    stop.cut.cancel();
                }
                () = sleep_until(cut_at), if !stop.cut.is_cancelled() => stop.cut.cancel(),
                () = sleep_until(leave_by) => break,
            }
        }
        self.leave(code);
    }

    /// Ends the process as it stands.
    fn leave(&self, code: i32) -> ! {
        progress::leave();
        match self.empty.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(directory) => {
                let _nothing_was_in_it = std::fs::remove_dir_all(directory);
            }
            None if self.over.load(Ordering::Relaxed) => {}
            None => note!("left at once; `runner report RUN` makes of the records what there is"),
        }
        output::be_impatient();
        output::settle();
        std::process::exit(code);
    }
}

/// The signals that are listened for.
#[cfg(unix)]
struct Ears(Vec<(tokio::signal::unix::Signal, i32)>);

#[cfg(unix)]
impl Ears {
    /// From now on these signals end no process by themselves. A hangup that is ignored from outside (by
    /// `nohup`) stays ignored; an interrupt does not, since shells ignore it for what scripts start with `&`.
    fn open() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let all = [
            (SignalKind::interrupt(), INTERRUPTED),
            (SignalKind::terminate(), TERMINATED),
            (SignalKind::hangup(), HUNG_UP),
        ];
        let is_ours =
            |(kind, code): &(SignalKind, i32)| *code != HUNG_UP || !is_ignored(kind.as_raw_value());
        let ours = all.into_iter().filter(is_ours);
        ours.map(|(kind, code)| Ok((signal(kind)?, code))).collect::<Result<_, _>>().map(Self)
    }

    /// The exit code that the next one stands for.
    async fn next(&mut self) -> i32 {
        let each = self.0.iter_mut().map(|(signal, code)| {
            Box::pin(async move {
                signal.recv().await;
                *code
            })
        });
        if each.len() == 0 {
            return std::future::pending().await;
        }
        futures::future::select_all(each).await.0
    }
}

/// Whether the process was started with a signal ignored; where nobody says, it was not.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Ears(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Ears {
    fn open() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> i32 {
        self.0.recv().await;
        INTERRUPTED
    }
}
