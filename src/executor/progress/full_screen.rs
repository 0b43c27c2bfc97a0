//! `--tui`: the board on the whole terminal, drawn four times a second by a thread of its own.
//!
//! In: a shared [`Board`]. Out: escape sequences on standard error. Invariants: the terminal is given
//! back however the run ends: by the drop of [`FullScreen`], or by the panic hook; it is never put into
//! raw mode, so Ctrl-C stays the signal that it is everywhere else; no more is drawn than fits.

use std::fmt::Write as _;
use std::io;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

use super::board::Board;
use super::screen::{Place, draw};
use crate::output::{self, Stream};

/// Between two pictures.
const PAUSE: Duration = Duration::from_millis(250);
/// Other screen, no cursor.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J";
/// Cursor, first screen.
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// Show nothing until the whole picture is there, where the terminal knows how to.
const BEGIN: &str = "\u{1b}[?2026h\u{1b}[H";
const END: &str = "\u{1b}[J\u{1b}[?2026l";

/// Whether the other screen is shown.
static SHOWN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal while the run goes on.
#[derive(Debug)]
pub(super) struct FullScreen {
    stop: Option<Sender<()>>,
    gone: Receiver<()>,
}

impl FullScreen {
    /// Takes the terminal and begins to draw.
    pub(super) fn start(board: Arc<Mutex<Board>>, colour: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        let (stop, stopped) = channel();
        let (going, gone) = channel();
        SHOWN.store(true, Ordering::Relaxed);
        let thread = thread::Builder::new().name("screen".into()).spawn(move || {
            output::draw(ENTER);
            loop {
                let rows = {
                    let board = board.lock().unwrap_or_else(PoisonError::into_inner);
                    draw(&board, place(colour))
                };
                show(&rows);
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            drop(going);
        });
        match thread {
            Ok(_) => Ok(Self { stop: Some(stop), gone }),
            Err(error) => {
                leave();
                Err(error)
            }
        }
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _gone_or_stuck = self.gone.recv_timeout(super::PATIENCE);
        leave();
    }
}

/// The terminal's size now, for it may change.
fn place(colour: bool) -> Place {
    let (width, height) = Stream::Err.size().unwrap_or((80, 24));
    Place { width, height, colour }
}

fn show(rows: &[String]) {
    if !SHOWN.load(Ordering::Relaxed) {
        return;
    }
    let mut picture = String::from(BEGIN);
    for (at, row) in rows.iter().enumerate() {
        // Each row by its number: what a key or another program printed is painted over.
        // Writing into a String can't fail.
        let _ = write!(picture, "\u{1b}[{};1H{}\u{1b}[K", at + 1, output::shown(row, true));
    }
    picture.push_str(END);
    output::draw(&picture);
}

/// Gives the terminal back, if it was taken.
pub(in crate::executor) fn leave() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        output::control(LEAVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{LoadOptions, load_text};

    #[test]
    fn a_panic_of_any_thread_gives_the_terminal_back() {
        let text =
            "version: 1\nendpoint: { simulator: {} }\nprompt: hi\nstages: [{ kind: cold }]\n";
        let loaded = load_text("plan.yaml", text, &LoadOptions::default()).expect("a plan");
        let board = Arc::new(Mutex::new(Board::new(&loaded.plan)));
        let screen = FullScreen::start(board, false).expect("a thread");
        assert!(SHOWN.load(Ordering::Relaxed));
        let panicked = thread::spawn(|| panic!("on purpose")).join();
        assert!(panicked.is_err() && !SHOWN.load(Ordering::Relaxed));
        // What is drawn after that does not take it again.
        drop(screen);
        assert!(!SHOWN.load(Ordering::Relaxed));
    }
}
