//! The live views; the only file that knows the progress-bar crate.
//!
//! In: the lines of the record log as they pass. Out: on a terminal a moving view of the stages that
//! run, or (`--tui`) the whole screen; elsewhere one plain line when a stage ends. Invariant: whatever
//! is shown is read from one [`Board`].

pub mod board;
pub mod braille;
mod full_screen;
pub mod heartbeat;
pub mod screen;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::board::{Board, StageBoard, sparkline};
use self::full_screen::FullScreen;
pub(super) use self::full_screen::leave;
use self::heartbeat::Heartbeat;
use crate::client::answering::Answering;
use crate::metrics::quantity::{show, significant};
use crate::metrics::summary::StageSummary;
use crate::output::{self, note};
use crate::plan::Plan;
use crate::record::{Line, StageState};
use crate::report::escape::{columns, padded, printable};

/// How progress is shown on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// A moving view of the stages that run.
    Bar,
    /// The whole screen, with charts; in colours if asked for.
    FullScreen {
        /// Colours may be used.
        colour: bool,
    },
    /// One line when a stage ends.
    Plain,
    /// Nothing.
    #[default]
    None,
}

/// The progress of the run. What is shown is drawn by other threads: the log waits for this one.
pub struct Progress {
    mode: ProgressMode,
    width: usize,
    board: Arc<Mutex<Board>>,
    bars: Option<Bars>,
    screen: Option<FullScreen>,
    _heartbeat: Option<Heartbeat>,
}

/// Time between two states of the bars.
const REFRESH: Duration = Duration::from_millis(100);
/// A terminal that takes nothing is left alone after so long.
const PATIENCE: Duration = Duration::from_secs(1);

impl Progress {
    /// Nothing has run yet, and nothing is shown. Plain progress says how far the run is after each
    /// `heartbeat`, unless that is zero.
    pub fn new(plan: &Plan, mode: ProgressMode, heartbeat: Duration) -> Self {
        let board = Arc::new(Mutex::new(Board::new(plan)));
        let width =
            plan.stages.iter().map(|stage| columns(&printable(&stage.id))).max().unwrap_or(0);
        let beats = mode == ProgressMode::Plain && !heartbeat.is_zero();
        // Without a thread for it the run goes on in silence.
        let heartbeat =
            beats.then(|| Heartbeat::start(Arc::clone(&board), heartbeat).ok()).flatten();
        Self { mode, width, board, bars: None, screen: None, _heartbeat: heartbeat }
    }

    /// Shows the run from now on, and the streams of its endpoints.
    pub fn show(&mut self, answering: Vec<Arc<Answering>>) {
        lock(&self.board).answering = answering;
        let board = Arc::clone(&self.board);
        let started = match self.mode {
            ProgressMode::Bar => Bars::start(board, self.width).map(|it| self.bars = Some(it)),
            ProgressMode::FullScreen { colour } => {
                FullScreen::start(board, colour).map(|it| self.screen = Some(it))
            }
            ProgressMode::Plain | ProgressMode::None => Ok(()),
        };
        if let Err(error) = started {
            note!("warning: no live view: {error}");
            self.mode = ProgressMode::Plain;
        }
    }

    /// Takes notice of one line of the log.
    pub fn observe(&mut self, line: &Line) {
        if self.mode != ProgressMode::None {
            lock(&self.board).observe(line);
        }
    }

    /// A stage is over and measured: its line has the figures of its summary.
    pub fn measured(&mut self, summary: &StageSummary) {
        if self.mode == ProgressMode::None {
            return;
        }
        let mut board = lock(&self.board);
        let Some(stage) = board.measured(summary) else { return };
        let ended = Ended { name: stage.name(), line: ended(stage, self.width) };
        match &self.bars {
            Some(bars) => bars.end(ended),
            None if self.mode == ProgressMode::Plain => note!("{}", ended.line),
            None => {}
        }
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stage that is over, and the line that stays of it.
struct Ended {
    name: String,
    line: String,
}

/// The bars of the stages that run, on a thread of their own.
struct Bars {
    /// Absent once the thread is to end.
    ended: Option<Sender<Ended>>,
    gone: Receiver<()>,
}

impl Bars {
    fn start(board: Arc<Mutex<Board>>, width: usize) -> std::io::Result<Self> {
        let (ended, coming) = channel();
        let (going, gone) = channel();
        thread::Builder::new().name("bars".into()).spawn(move || {
            paint(&board, &coming, width);
            drop(going);
        })?;
        Ok(Self { ended: Some(ended), gone })
    }

    fn end(&self, stage: Ended) {
        if let Some(ended) = &self.ended {
            let _the_thread_is_gone = ended.send(stage);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        drop(self.ended.take());
        let _gone_or_stuck = self.gone.recv_timeout(PATIENCE);
    }
}

/// Draws bars until nobody has anything more to tell. Several times a second is enough: figures take
/// longer to make than records to come.
fn paint(board: &Mutex<Board>, coming: &Receiver<Ended>, width: usize) {
    let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let mut bars: BTreeMap<String, ProgressBar> = BTreeMap::new();
    loop {
        match coming.recv_timeout(REFRESH) {
            Ok(stage) => {
                if let Some(bar) = bars.remove(&stage.name) {
                    bar.finish_and_clear();
                    all.remove(&bar);
                }
                all.suspend(|| output::draw(&format!("{}\n", output::shown(&stage.line, false))));
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let board = lock(board);
        let running = board.stages.iter().filter(|stage| stage.end.is_none());
        let past = board.past_first_token();
        let states: Vec<_> = running
            .map(|stage| {
                let name = stage.name();
                let new = (!bars.contains_key(&name)).then(|| bar(stage, width));
                let waits = past.is_none_or(|(streams, _)| streams < stage.in_flight.max(1));
                let left = stage.left(board.now_ns).map(|left| format!(", {left}"));
                let left = format!(" ({}{})", board.place(), left.unwrap_or_default());
                (name, new, stage.done, left, figures(stage, board.now_ns, past), waits)
            })
            .collect();
        drop(board);
        for (name, new, done, left, figures, waits) in states {
            if let Some(new) = new {
                bars.insert(name.clone(), all.add(new));
            }
            if let Some(bar) = bars.get(&name) {
                // Setting it moves the spinner, too.
                if bar.position() != done {
                    bar.set_position(done);
                }
                bar.set_prefix(left);
                bar.set_message(output::shown(&figures, false).into_owned());
                if waits {
                    bar.tick();
                }
            }
        }
    }
    // Stages of which no summary came.
    let _gone = all.clear();
}

/// `2 in flight · 7.9 req/s · 126 tok/s · TTFT p50 41.2 ms p99 88 ms ▁▃█▂ · http.503 ×2`
fn figures(stage: &StageBoard, now_ns: u64, past: Option<(u64, Duration)>) -> String {
    let mut parts = Vec::new();
    if stage.in_flight > 0 {
        let streams = match past {
            Some((1, ttft)) if stage.in_flight == 1 => {
                format!(", first token after {}", show(ttft.as_secs_f64() * 1e3, "ms"))
            }
            Some((streams, _)) if streams > 0 => format!(", {streams} past the first token"),
            _ => String::new(),
        };
        parts.push(format!("{} in flight{streams}", stage.in_flight));
    }
    if let Some((requests, tokens)) = stage.rates(now_ns) {
        parts.push(format!("{} req/s", significant(requests, 3)));
        if tokens > 0.0 {
            parts.push(format!("{} tok/s", significant(tokens, 3)));
        }
    }
    if let (Some(p50), Some(p99)) = (stage.ttft_ms(0.5), stage.ttft_ms(0.99)) {
        let bars = stage.histogram().map(|(bars, ..)| format!(" {}", sparkline(&bars)));
        let bars = bars.filter(|_| stage.end.is_none()).unwrap_or_default();
        parts.push(format!("TTFT p50 {} p99 {}{bars}", show(p50, "ms"), show(p99, "ms")));
    }
    if !stage.errors.is_empty() {
        parts.push(screen::errors(stage));
    }
    parts.join(" · ")
}

/// The line that stays of a stage.
fn ended(stage: &StageBoard, width: usize) -> String {
    let seconds = stage.seconds(0);
    let planned = stage.start.planned;
    let how = stage.end.as_ref().map(|end| end.state);
    let mut parts = vec![match (stage.verdict, how) {
        (_, Some(StageState::Skipped)) => "skipped".to_owned(),
        (Some(verdict), _) => format!("{verdict} in {seconds:.1} s"),
        (None, _) if planned == 0 && stage.done == 0 => format!("{seconds:.1} s"),
        (None, _) if planned == 0 => format!("{} in {seconds:.1} s", stage.done),
        (None, _) => format!("{}/{planned} in {seconds:.1} s", stage.done),
    }];
    let figures = figures(stage, 0, None);
    if !figures.is_empty() {
        parts.push(figures);
    }
    parts.extend(stage.end.as_ref().and_then(|end| end.reason.clone()));
    let mark = stage.mark().unwrap_or_default();
    let name = padded(&printable(&stage.name()), width);
    format!("{mark:>6}  {name}  {}", parts.join(" · "))
}

/// Two rows with a spinner, so that a long wait for the first token is seen to be alive: how far the
/// stage is, and what was measured so far.
fn bar(stage: &StageBoard, width: usize) -> ProgressBar {
    let planned = stage.start.planned;
    let bar = ProgressBar::with_draw_target(Some(planned), ProgressDrawTarget::hidden());
    // A brace would be a place of the template.
    let name = padded(&printable(&stage.name()).replace(['{', '}'], ""), width);
    let kind = &stage.start.kind;
    let template = if planned > 0 {
        format!(
            "{{spinner}} {name} {{bar:24}} {{pos}}/{{len}} {{elapsed}}{{prefix}}\n  {{wide_msg}}"
        )
    } else {
        format!("{{spinner}} {name} {kind} {{elapsed}}{{prefix}}\n  {{wide_msg}}")
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}
