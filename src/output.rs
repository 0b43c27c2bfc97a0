//! Standard output and standard error; the only file that writes to them.
//!
//! In: the one report that was asked for, and what is said beside it. Out: both, as far as they can be
//! written. Invariants: nothing here panics or ends a run; what is said beside a report goes through a
//! bounded queue to a thread of its own, so a reader that is slow or gone costs only what it does not
//! read; what could not be written is counted; no byte of a text reaches a terminal that it would obey,
//! except for the colours that reports use.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::printable::{is_obeyed, printable};

/// Says a line (or several) on standard error. Takes what `format!` takes.
macro_rules! note {
    ($($text:tt)*) => { $crate::output::say(format_args!($($text)*)) };
}
pub(crate) use note;

/// The exit code where all went well and standard output took less than the whole report.
pub const UNWRITTEN: u8 = 6;

/// Texts that may wait for standard error.
const QUEUE: usize = 4096;
/// Bytes written at a time: a reader that takes some is slow and not stuck.
const PIECE: usize = 4096;
/// A run waits for a standard error that takes nothing for so long at its end.
const PATIENCE: Duration = Duration::from_secs(2);
/// A run gives up a standard output that takes nothing for so long; whoever reads a finished run's report
/// by a pager may take all day.
const STUCK: Duration = Duration::from_secs(15);

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: the one report that was asked for.
    Out,
    /// Standard error: everything else.
    Err,
}

impl Stream {
    /// Whether a person looks at it.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        }
    }

    /// Whether it is coloured: `--color`, else `CLICOLOR_FORCE`, `NO_COLOR`, `TERM=dumb`, and whether it
    /// is a terminal.
    pub fn is_coloured(self) -> bool {
        let said = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        COLOURS.get().copied().flatten().unwrap_or_else(|| {
            said("CLICOLOR_FORCE").is_some_and(|value| value != "0")
                || (self.is_terminal()
                    && said("NO_COLOR").is_none()
                    && said("TERM").is_none_or(|term| term != "dumb"))
        })
    }

    /// Columns and rows, where it is a terminal.
    pub fn size(self) -> Option<(usize, usize)> {
        let size = match self {
            Self::Out => terminal_size::terminal_size_of(io::stdout()),
            Self::Err => terminal_size::terminal_size_of(io::stderr()),
        };
        size.map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)))
    }
}

/// `--color always` and `never`; `None` for what the streams allow.
static COLOURS: OnceLock<Option<bool>> = OnceLock::new();
/// `--verbose`.
static VERBOSE: AtomicBool = AtomicBool::new(false);
/// Whether streams that take nothing are given up in the end.
static IMPATIENT: AtomicBool = AtomicBool::new(false);
/// Why standard output lacks something, where its reader did not just go away.
static UNWRITTEN_BECAUSE: Mutex<Option<String>> = Mutex::new(None);
/// Counts the pieces that standard output took, to tell slow from stuck.
static TAKEN: AtomicU64 = AtomicU64::new(0);
static DESK: Desk = Desk { state: Mutex::new(State::NEW), moved: Condvar::new() };

/// Remembers `--color`.
pub fn set_colours(wanted: Option<bool>) {
    let _set_before = COLOURS.set(wanted);
}

/// Remembers `--verbose`.
pub fn set_verbose(wanted: bool) {
    VERBOSE.store(wanted, Ordering::Relaxed);
}

/// Whether `--verbose` was given: reports tell their evidence.
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Lets panics of all threads be told like everything else, and makes a write beyond a limit of file
/// sizes an error of that write. The system's default would end the process.
pub fn set_up() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let trace = std::backtrace::Backtrace::capture();
        let has_trace = trace.status() == std::backtrace::BacktraceStatus::Captured;
        let trace = if has_trace { format!("\n{trace}") } else { String::new() };
        note!("error: a bug: thread `{}` {panic}{trace}", thread.name().unwrap_or_default());
    }));
    #[cfg(unix)]
    catch_file_size_limit();
}

/// A handler takes the place of the signal's default, and stays when its runtime is gone.
#[cfg(unix)]
fn catch_file_size_limit() {
    use tokio::signal::unix::{SignalKind, signal};
    let limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        // Where it can't be caught, the limit ends the process, as it ends others.
        let _caught = runtime.block_on(async { signal(limit).map(drop) });
    }
}

/// Says a line (or several) on standard error. Returns at once: a thread writes it.
pub fn say(text: fmt::Arguments<'_>) {
    let mut line = shown(&text.to_string(), Stream::Err.is_coloured()).into_owned();
    line.push('\n');
    DESK.hand_in(line);
}

/// The same for a text that has its own line ends.
pub fn note_text(text: &str) {
    if !text.is_empty() {
        DESK.hand_in(shown(text, Stream::Err.is_coloured()).into_owned());
    }
}

/// Sends codes that move the cursor or change the screen to standard error. Not for text.
pub fn control(codes: &str) {
    DESK.hand_in(codes.to_owned());
}

/// Draws on standard error and waits until it is drawn: for a thread that does nothing else. `text`
/// has been through [`shown`].
pub fn draw(text: &str) {
    let mut terminal = io::stderr().lock();
    let _gone = write_all(&mut terminal, text.as_bytes(), || {});
}

/// Prints the report that was asked for.
pub fn print(text: &str) {
    print_bytes(shown(text, Stream::Out.is_coloured()).as_bytes());
}

/// A JSON document to print: what a terminal would obey is escaped as JSON does it.
pub fn json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    let mut document = serde_json::to_string_pretty(value)?;
    document.push('\n');
    let escaped = spelt(&document, '\n', |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing into a String can't fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    });
    Ok(escaped.into_owned())
}

/// Prints bytes as they are.
pub fn print_bytes(bytes: &[u8]) {
    // What was said before stands before, where both go to one place.
    DESK.settle(Some(PATIENCE));
    let _told_at_the_end = Stdout.write_all(bytes);
}

/// Standard output for a sink. A terminal shows what it would obey spelt out.
#[derive(Debug)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = if IMPATIENT.load(Ordering::Relaxed) {
            write_out_unless_stuck(bytes.to_vec())
        } else {
            write_out(bytes)
        };
        if let Err(error) = &written
            && error.kind() != ErrorKind::BrokenPipe
        {
            lock(&UNWRITTEN_BECAUSE).get_or_insert_with(|| error.to_string());
        }
        written.map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Each write is written through.
        Ok(())
    }
}

fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let moved = || {
        TAKEN.fetch_add(1, Ordering::Relaxed);
    };
    if out.is_terminal() {
        let text = String::from_utf8_lossy(bytes);
        write_all(&mut out, shown(&text, Stream::Out.is_coloured()).as_bytes(), moved)
    } else {
        write_all(&mut out, bytes, moved)
    }
}

/// The same, by a thread that is left where it is once nothing was taken for [`STUCK`]; then all later
/// writes fail.
fn write_out_unless_stuck(bytes: Vec<u8>) -> io::Result<()> {
    static IS_STUCK: AtomicBool = AtomicBool::new(false);
    let stuck = || {
        let why = format!("its reader took nothing for {} s", STUCK.as_secs());
        io::Error::new(ErrorKind::TimedOut, why)
    };
    if IS_STUCK.load(Ordering::Relaxed) {
        return Err(stuck());
    }
    let (done, written) = sync_channel(1);
    thread::Builder::new().name("stdout".into()).spawn(move || {
        // Nobody waits for it any more once it was given up.
        let _given_up = done.send(write_out(&bytes));
    })?;
    let mut seen = (TAKEN.load(Ordering::Relaxed), Instant::now());
    loop {
        match written.recv_timeout(Duration::from_millis(100)) {
            Ok(written) => return written,
            Err(RecvTimeoutError::Disconnected) => return Err(stuck()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let taken = TAKEN.load(Ordering::Relaxed);
        if taken != seen.0 {
            seen = (taken, Instant::now());
        } else if seen.1.elapsed() > STUCK {
            IS_STUCK.store(true, Ordering::Relaxed);
            return Err(stuck());
        }
    }
}

/// From now on a stream that takes nothing is given up: what is measured is worth more.
pub fn be_impatient() {
    IMPATIENT.store(true, Ordering::Relaxed);
}

/// Waits until what was said is written (in a run for seconds at most), and gives what was not: how
/// many lines, and why.
pub fn settle() -> Option<(u64, String)> {
    let patience = IMPATIENT.load(Ordering::Relaxed).then_some(PATIENCE);
    DESK.settle(patience)
}

/// The process's exit code, once everything is written that can be.
pub fn finish(code: u8) -> u8 {
    let why = lock(&UNWRITTEN_BECAUSE).clone();
    if let Some(why) = &why {
        note!("error: standard output could not be written: {why}");
    }
    settle();
    if why.is_some() && code == 0 { UNWRITTEN } else { code }
}

/// Log lines, as `tracing` hands them over.
#[derive(Debug, Clone, Copy)]
pub struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        note_text(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text of lines in which a terminal finds nothing to obey but, where asked for, colours.
pub fn shown(text: &str, colours: bool) -> Cow<'_, str> {
    if !colours || !text.contains('\u{1b}') {
        return spelt(text, '\t', |c, out| out.push_str(&printable(c.encode_utf8(&mut [0; 4]))));
    }
    let mut out = String::with_capacity(text.len());
    for (at, piece) in text.split('\u{1b}').enumerate() {
        let code = if at == 0 { 0 } else { colour(piece) };
        if code > 0 {
            out.push('\u{1b}');
        } else if at > 0 {
            out.push_str(&printable("\u{1b}"));
        }
        out.push_str(&piece[..code]);
        out.push_str(&shown(&piece[code..], false));
    }
    Cow::Owned(out)
}

/// The bytes of `[1;31m` at the start of a text, or 0: only what changes colour and weight.
fn colour(text: &str) -> usize {
    let Some(codes) = text.strip_prefix('[') else { return 0 };
    let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(codes.len());
    // 38;5;N and 48;5;N name a colour of 256.
    let (head, rest) = codes[..end].split_at(if codes.get(1..5) == Some("8;5;") { 5 } else { 0 });
    let is_look = |code: &str| match code.parse::<u8>() {
        Ok(code) => {
            !head.is_empty() || matches!(code, 0..=4 | 22..=24 | 30..=37 | 39..=47 | 49 | 90..=107)
        }
        Err(_) => code.is_empty(),
    };
    if codes[end..].starts_with('m') && rest.split(';').all(is_look) { end + 2 } else { 0 }
}

/// A text with everything spelt out that a terminal obeys, other than line ends and `kept`.
fn spelt(text: &str, kept: char, spell: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let is_spelt = |c: char| is_obeyed(c) && c != '\n' && c != kept;
    if !text.contains(is_spelt) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_spelt(c) { spell(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Writes all of it, piece by piece; a stream that is set not to block is waited for.
fn write_all(to: &mut impl Write, bytes: &[u8], mut moved: impl FnMut()) -> io::Result<()> {
    let mut rest = bytes;
    let mut is_flushed = false;
    while !rest.is_empty() || !is_flushed {
        let step = if rest.is_empty() {
            to.flush().map(|()| is_flushed = true)
        } else {
            to.write(&rest[..rest.len().min(PIECE)]).and_then(|written| {
                rest = &rest[written..];
                if written == 0 { Err(ErrorKind::WriteZero.into()) } else { Ok(()) }
            })
        };
        match step {
            Ok(()) => moved(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to standard error.
struct Desk {
    state: Mutex<State>,
    /// Something was written, or given up.
    moved: Condvar,
}

struct State {
    /// To the thread that writes; absent before the first text, and where there can be no thread.
    queue: Option<SyncSender<String>>,
    /// Texts that were handed in and are not dealt with.
    waiting: u64,
    /// Counts what was written, to tell slow from stuck.
    steps: u64,
    lost_lines: u64,
    why: Option<String>,
}

impl State {
    const NEW: Self = Self { queue: None, waiting: 0, steps: 0, lost_lines: 0, why: None };

    fn lose(&mut self, text: &str, why: impl fmt::Display) {
        self.lost_lines += text.lines().count() as u64;
        self.why.get_or_insert_with(|| why.to_string());
    }
}

impl Desk {
    fn hand_in(&'static self, text: String) {
        let mut state = lock(&self.state);
        if state.queue.is_none() {
            let (queue, texts) = sync_channel(QUEUE);
            let writer = thread::Builder::new().name("stderr".into());
            match writer.spawn(move || self.work(&texts)) {
                Ok(_) => state.queue = Some(queue),
                Err(error) => return state.lose(&text, error),
            }
        }
        let Some(queue) = &state.queue else { return };
        match queue.try_send(text) {
            Ok(()) => state.waiting += 1,
            Err(TrySendError::Full(text) | TrySendError::Disconnected(text)) => {
                state.lose(&text, "its reader does not keep up");
            }
        }
    }

    fn work(&self, texts: &Receiver<String>) {
        while let Ok(text) = texts.recv() {
            let written = write_all(&mut io::stderr().lock(), text.as_bytes(), || {
                lock(&self.state).steps += 1;
                self.moved.notify_all();
            });
            let mut state = lock(&self.state);
            state.waiting -= 1;
            if let Err(error) = written {
                state.lose(&text, error);
            }
            self.moved.notify_all();
        }
    }

    /// Waits until everything is dealt with, or nothing moves for `patience`.
    fn settle(&self, patience: Option<Duration>) -> Option<(u64, String)> {
        let mut state = lock(&self.state);
        let mut watch = (state.steps, Instant::now());
        while state.waiting > 0 {
            let slept = self.moved.wait_timeout(state, Duration::from_millis(50));
            state = slept.unwrap_or_else(PoisonError::into_inner).0;
            if state.steps != watch.0 {
                watch = (state.steps, Instant::now());
            }
            if patience.is_some_and(|patience| watch.1.elapsed() > patience) {
                let waiting = state.waiting;
                return Some((
                    state.lost_lines + waiting,
                    "its reader does not keep up".to_owned(),
                ));
            }
        }
        state.why.clone().map(|why| (state.lost_lines, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_but_colours() {
        let hostile =
            "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{1b}[31mred\u{1b}[0m \u{202e}\ta\r\nb";
        assert_eq!(
            shown(hostile, false),
            "\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}31m\\u{1b}[31mred\\u{1b}[0m \\u{202e}\ta\\r\nb"
        );
        assert_eq!(
            shown(hostile, true),
            "\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}31m\u{1b}[31mred\u{1b}[0m \\u{202e}\ta\\r\nb"
        );
        // Hidden and blinking text is no colour.
        assert_eq!(
            shown("\u{1b}[8mx\u{1b}[38;5;9my\u{1b}", true),
            "\\u{1b}[8mx\u{1b}[38;5;9my\\u{1b}"
        );
        assert!(matches!(shown("größer\n日本 ✓", true), Cow::Borrowed(_)));
    }
}
