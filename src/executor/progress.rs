//! The live line; the only file that knows the progress-bar crate.
//!
//! In: the lines of the record log as they pass. Out: on a terminal one moving line per stage with
//! requests done, in flight and TTFT so far; elsewhere one plain line when a stage ends.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::metrics::histogram::LiveQuantiles;
use crate::plan::Plan;
use crate::record::{FlushState, Line, OutcomeKind, Record, StageEnd, StageState};
use crate::stage::{SETTLE, SETTLE_SUFFIX};

/// How progress is shown on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// A moving line.
    Bar,
    /// One line when a stage begins and one when it ends.
    Plain,
    /// Nothing.
    #[default]
    None,
}

/// The progress of the stage that runs.
pub struct Progress {
    mode: ProgressMode,
    width: usize,
    bar: ProgressBar,
    planned: u64,
    done: u64,
    in_flight: u64,
    errors: u64,
    ttft: LiveQuantiles,
    began_ns: u64,
    verdict: Option<String>,
    /// When the line was last moved.
    shown: Instant,
}

/// Time between two states of the line.
const REFRESH: Duration = Duration::from_millis(50);

impl Progress {
    /// Nothing has run yet.
    pub fn new(plan: &Plan, mode: ProgressMode) -> Self {
        Self {
            mode,
            width: plan.stages.iter().map(|stage| stage.id.chars().count()).max().unwrap_or(0),
            bar: ProgressBar::hidden(),
            planned: 0,
            done: 0,
            in_flight: 0,
            errors: 0,
            ttft: LiveQuantiles::new(),
            began_ns: 0,
            verdict: None,
            shown: Instant::now(),
        }
    }

    /// Takes notice of one line of the log.
    pub fn observe(&mut self, line: &Line) {
        if self.mode == ProgressMode::None {
            return;
        }
        match line {
            Line::Run(_) | Line::Server(_) => {}
            // The settling part of a rung runs within that rung; one line for both is enough.
            Line::StageStart(start) if start.kind == SETTLE => {}
            Line::StageEnd(end) if end.stage.ends_with(SETTLE_SUFFIX) => {}
            Line::StageStart(start) => {
                self.planned = start.planned;
                (self.done, self.in_flight, self.errors) = (0, 0, 0);
                self.ttft = LiveQuantiles::new();
                self.began_ns = start.at_ns;
                self.verdict = None;
                if self.mode == ProgressMode::Bar {
                    self.bar = bar(
                        &name(&start.stage, start.rung),
                        &start.kind,
                        start.planned,
                        self.width,
                    );
                }
            }
            Line::Start(_) => {
                self.in_flight += 1;
                self.refresh();
            }
            Line::End(record) => {
                self.count(record);
                self.refresh();
            }
            Line::Flush(flush) => {
                self.verdict = Some(
                    match flush.state {
                        FlushState::Proven => "proven",
                        FlushState::Unproven => "unproven",
                        FlushState::Failed => "failed",
                    }
                    .into(),
                );
            }
            Line::StageEnd(end) => {
                self.bar.finish_and_clear();
                self.bar = ProgressBar::hidden();
                eprintln!("{}", self.ended(end));
            }
        }
    }

    fn count(&mut self, record: &Record) {
        self.done += 1;
        if record.outcome != OutcomeKind::NeverStarted {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if record.outcome.is_error() {
            self.errors += 1;
        }
        if let (OutcomeKind::Ok, Some(sent), Some(first)) =
            (record.outcome, record.sent_ns, record.first_token_ns)
        {
            self.ttft.record_ms(first.saturating_sub(sent) as f64 / 1e6);
        }
    }

    /// Moves the line, some times a second: figures take longer to make than records to come.
    fn refresh(&mut self) {
        if self.mode != ProgressMode::Bar || self.shown.elapsed() < REFRESH {
            return;
        }
        self.shown = Instant::now();
        self.bar.set_position(self.done);
        self.bar.set_message(self.figures());
    }

    /// `2 in flight · TTFT p50 41.2 ms · 1 error`
    fn figures(&self) -> String {
        let mut parts = Vec::new();
        if self.in_flight > 0 {
            parts.push(format!("{} in flight", self.in_flight));
        }
        if let Some(ms) = self.ttft.quantile_ms(0.5) {
            parts.push(format!("TTFT p50 {ms:.1} ms"));
        }
        match self.errors {
            0 => {}
            1 => parts.push("1 error".into()),
            errors => parts.push(format!("{errors} errors")),
        }
        parts.join(" · ")
    }

    fn ended(&self, end: &StageEnd) -> String {
        let seconds = end.at_ns.saturating_sub(self.began_ns) as f64 / 1e9;
        let width = self.width;
        let mut parts = Vec::new();
        match (&self.verdict, end.state) {
            (_, StageState::Skipped) => parts.push("skipped".to_owned()),
            (Some(verdict), _) => parts.push(format!("{verdict} in {seconds:.1} s")),
            (None, _) if self.planned == 0 && self.done == 0 => {
                parts.push(format!("{seconds:.1} s"));
            }
            (None, _) if self.planned == 0 => {
                parts.push(format!("{} in {seconds:.1} s", self.done));
            }
            (None, _) => parts.push(format!("{}/{} in {seconds:.1} s", self.done, self.planned)),
        }
        let figures = self.figures();
        if !figures.is_empty() {
            parts.push(figures);
        }
        parts.extend(end.reason.clone());
        let mark = match end.state {
            StageState::Completed => "done",
            StageState::Failed => "FAILED",
            StageState::Interrupted => "cut",
            StageState::Skipped => "-",
        };
        format!("{mark:>6}  {:<width$}  {}", name(&end.stage, end.rung), parts.join(" · "))
    }
}

/// `ladder@8`
fn name(stage: &str, rung: Option<f64>) -> String {
    rung.map_or_else(|| stage.to_owned(), |rung| format!("{stage}@{rung}"))
}

/// A bar with a spinner, so that a long wait for the first token is seen to be alive.
fn bar(stage: &str, kind: &str, planned: u64, width: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(planned), ProgressDrawTarget::stderr());
    let template = if planned > 0 {
        format!("{{spinner}} {stage:<width$} {{bar:24}} {{pos}}/{{len}} {{elapsed}} {{msg}}")
    } else {
        format!("{{spinner}} {stage:<width$} {kind} {{elapsed}} {{msg}}")
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
