//! The live views; the only file that knows the progress-bar crate.
//!
//! In: the lines of the record log as they pass. Out: on a terminal a moving view of the stages that
//! run, or (`--tui`) the whole screen; elsewhere one plain line when a stage ends. Invariant: whatever
//! is shown is read from one [`Board`].

pub mod board;
pub mod braille;
mod full_screen;
pub mod screen;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::board::{Board, StageBoard, sparkline};
use self::full_screen::FullScreen;
use crate::metrics::quantity::{show, significant};
use crate::metrics::summary::StageSummary;
use crate::plan::Plan;
use crate::record::{Line, StageState};
use crate::report::escape::printable;
use crate::stage::SETTLE;

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

/// The progress of the run.
pub struct Progress {
    mode: ProgressMode,
    width: usize,
    board: Arc<Mutex<Board>>,
    /// The bars of the stages that run, by name.
    bars: BTreeMap<String, ProgressBar>,
    all: MultiProgress,
    /// When the bars were last moved.
    shown: Instant,
    _screen: Option<FullScreen>,
}

/// Time between two states of the line.
const REFRESH: Duration = Duration::from_millis(50);

impl Progress {
    /// Nothing has run yet.
    pub fn new(plan: &Plan, mode: ProgressMode) -> Self {
        let board = Arc::new(Mutex::new(Board::new(plan)));
        let (mut mode, mut screen) = (mode, None);
        if let ProgressMode::FullScreen { colour } = mode {
            match FullScreen::start(Arc::clone(&board), colour) {
                Ok(started) => screen = Some(started),
                Err(error) => {
                    eprintln!("warning: no full screen: {error}");
                    mode = ProgressMode::Plain;
                }
            }
        }
        Self {
            mode,
            width: plan.stages.iter().map(|stage| stage.id.chars().count()).max().unwrap_or(0),
            board,
            bars: BTreeMap::new(),
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            shown: Instant::now(),
            _screen: screen,
        }
    }

    /// Takes notice of one line of the log.
    pub fn observe(&mut self, line: &Line) {
        if self.mode == ProgressMode::None {
            return;
        }
        let board = Arc::clone(&self.board);
        let mut board: MutexGuard<'_, Board> = board.lock().unwrap_or_else(PoisonError::into_inner);
        board.observe(line);
        if matches!(self.mode, ProgressMode::FullScreen { .. }) {
            return;
        }
        match line {
            // The settling part of a rung runs within that rung; one line for both is enough.
            Line::StageStart(start) if start.kind == SETTLE => {}
            Line::StageStart(_) => {
                if let Some(stage) = board.current().filter(|_| self.mode == ProgressMode::Bar) {
                    let bar = self.all.add(bar(stage, self.width));
                    self.bars.insert(stage.name(), bar);
                }
            }
            Line::Start(_) | Line::End(_) => self.refresh(&board),
            Line::Run(_)
            | Line::StageEnd(_)
            | Line::Flush(_)
            | Line::Round(_)
            | Line::Server(_) => {}
        }
    }

    /// A stage is over and measured: its line has the figures of its summary.
    pub fn measured(&mut self, summary: &StageSummary) {
        if self.mode == ProgressMode::None {
            return;
        }
        let board = Arc::clone(&self.board);
        let mut board: MutexGuard<'_, Board> = board.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stage) = board.measured(summary) else { return };
        if matches!(self.mode, ProgressMode::FullScreen { .. }) {
            return;
        }
        if let Some(bar) = self.bars.remove(&stage.name()) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        let ended = ended(stage, self.width);
        self.all.suspend(|| eprintln!("{ended}"));
    }

    /// Brings the bars of all stages that run up to date, some times a second: figures take longer
    /// to make than records to come.
    fn refresh(&mut self, board: &Board) {
        if self.shown.elapsed() < REFRESH {
            return;
        }
        self.shown = Instant::now();
        for stage in board.stages.iter().rev().filter(|stage| stage.end.is_none()) {
            if let Some(bar) = self.bars.get(&stage.name()) {
                bar.set_position(stage.done);
                bar.set_message(figures(stage, board.now_ns));
            }
        }
    }
}

/// `2 in flight · 7.9 req/s · 126 tok/s · TTFT p50 41.2 ms p99 88 ms ▁▃█▂ · http.503 ×2`
fn figures(stage: &StageBoard, now_ns: u64) -> String {
    let mut parts = Vec::new();
    if stage.in_flight > 0 {
        parts.push(format!("{} in flight", stage.in_flight));
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
    let figures = figures(stage, 0);
    if !figures.is_empty() {
        parts.push(figures);
    }
    parts.extend(stage.end.as_ref().and_then(|end| end.reason.clone()));
    let mark = stage.mark().unwrap_or_default();
    format!("{mark:>6}  {:<width$}  {}", printable(&stage.name()), parts.join(" · "))
}

/// Two rows with a spinner, so that a long wait for the first token is seen to be alive: how far the
/// stage is, and what was measured so far.
fn bar(stage: &StageBoard, width: usize) -> ProgressBar {
    let planned = stage.start.planned;
    let bar = ProgressBar::with_draw_target(Some(planned), ProgressDrawTarget::hidden());
    // A brace would be a place of the template.
    let name = printable(&stage.name()).replace(['{', '}'], "");
    let kind = &stage.start.kind;
    let template = if planned > 0 {
        format!(
            "{{spinner}} {name:<width$} {{bar:24}} {{pos}}/{{len}} {{elapsed}} (left {{eta}})\n  {{wide_msg}}"
        )
    } else {
        format!("{{spinner}} {name:<width$} {kind} {{elapsed}}\n  {{wide_msg}}")
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
