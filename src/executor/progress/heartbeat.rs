//! Signs of life where no live view gives them: in the logs of CI.
//!
//! In: the board. Out: a line for each stage that runs, every so often. Invariant: the thread ends with
//! the run, whatever it waits for.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::board::{Board, StageBoard};
use super::{figures, lock};
use crate::output::note;
use crate::report::escape::printable;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    _stops: Sender<()>,
}

impl Heartbeat {
    /// Starts it.
    pub(super) fn start(board: Arc<Mutex<Board>>, every: Duration) -> std::io::Result<Self> {
        let (stops, stopped) = channel();
        thread::Builder::new().name("heartbeat".into()).spawn(move || {
            let began = Instant::now();
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let said = lines(&lock(&board), began.elapsed());
                for line in said {
                    note!("{line}");
                }
            }
        })?;
        Ok(Self { _stops: stops })
    }
}

/// What there is to say `elapsed` after the start.
pub fn lines(board: &Board, elapsed: Duration) -> Vec<String> {
    let running: Vec<&StageBoard> = board.stages.iter().filter(|it| it.end.is_none()).collect();
    if running.is_empty() && board.stages.is_empty() {
        return vec![format!(
            "   ...  nothing sent yet: {:.0} s of preflight",
            elapsed.as_secs_f64()
        )];
    }
    let (now, past) = (board.now(), board.past_first_token());
    let line = |stage: &StageBoard| {
        let planned = stage.start.planned;
        let of = if planned > 0 { format!("/{planned}") } else { String::new() };
        let mut parts = vec![format!("{}{of} done in {:.0} s", stage.done, stage.seconds(now))];
        parts.extend(Some(figures(stage, now, past)).filter(|it| !it.is_empty()));
        parts.extend(stage.left(now));
        let name = printable(&stage.name()).into_owned();
        format!("   ...  {name} ({})  {}", board.place(), parts.join(" · "))
    };
    running.into_iter().map(line).collect()
}
