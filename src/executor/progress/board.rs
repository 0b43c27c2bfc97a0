//! What the live views show: the state of every stage, free of any terminal.
//!
//! In: the plan's stages, then the lines of the record log as they pass. Out: a [`Board`] to read at any
//! moment. Invariants: memory is bounded whatever the number of requests; its figures serve the eye
//! only, whatever is kept as evidence comes from the records.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::answering::Answering;
use crate::metrics::histogram::LiveQuantiles;
use crate::metrics::summary::StageSummary;
use crate::plan::Plan;
use crate::record::{FlushState, Line, OutcomeKind, Record, StageEnd, StageStart, StageState};
use crate::stage::{SETTLE, SETTLE_SUFFIX};

/// Answers that charts and histograms look back on.
const RECENT: usize = 4096;
/// Rates are over the last so many nanoseconds.
const RATE_NS: u64 = 5_000_000_000;
/// Bars of a small histogram.
pub const HISTOGRAM: usize = 12;

/// The whole run.
#[derive(Debug)]
pub struct Board {
    /// The plan's name.
    pub plan: String,
    /// Answers come from the simulator.
    pub simulated: bool,
    /// How many stages the plan has.
    pub planned: usize,
    /// Stages of the plan that have not begun.
    pub waiting: VecDeque<String>,
    /// Stages (and rungs) in the order in which they began.
    pub stages: Vec<StageBoard>,
    /// The moment of the last line, in nanoseconds of the run.
    pub now_ns: u64,
    /// When that line came.
    heard: Instant,
    /// The streams of the run's endpoints.
    pub answering: Vec<Arc<Answering>>,
}

/// The figures of a stage that is over, as its summary has them.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Answers and tokens per second.
    rates: Option<(f64, f64)>,
    /// Median and 99th percentile of TTFT in milliseconds.
    ttft_ms: Option<(f64, f64)>,
}

/// A stage (or rung) of it.
#[derive(Debug)]
pub struct StageBoard {
    /// What it set out to do.
    pub start: StageStart,
    /// Requests that ended, in whatever way.
    pub done: u64,
    /// Requests that were sent and have not ended.
    pub in_flight: u64,
    /// Failed requests by class.
    pub errors: BTreeMap<String, u64>,
    /// TTFT of its answers.
    pub ttft: LiveQuantiles,
    /// The last answers: when they ended, and their TTFT in milliseconds.
    pub answers: VecDeque<(u64, f64)>,
    /// The last ends: when, and with how many tokens.
    ends: VecDeque<(u64, u64)>,
    /// Its figures once it is measured.
    measured: Option<Figures>,
    /// What a flush proved.
    pub verdict: Option<&'static str>,
    /// How it ended.
    pub end: Option<StageEnd>,
}

impl Board {
    /// Nothing has run yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.name.clone(),
            simulated: false,
            planned: plan.stages.len(),
            waiting: plan.stages.iter().map(|stage| stage.id.clone()).collect(),
            stages: Vec::new(),
            now_ns: 0,
            heard: Instant::now(),
            answering: Vec::new(),
        }
    }

    /// Takes notice of one line of the log.
    pub fn observe(&mut self, line: &Line) {
        self.heard = Instant::now();
        match line {
            Line::Run(run) => self.simulated = run.simulated,
            // The settling part of a rung runs within that rung; one row for both is enough.
            Line::StageStart(start) if start.kind == SETTLE => {}
            Line::StageEnd(end) if end.stage.ends_with(SETTLE_SUFFIX) => {}
            Line::StageStart(start) => {
                self.now_ns = self.now_ns.max(start.at_ns);
                if let Some(at) = self.waiting.iter().position(|id| *id == start.stage) {
                    self.waiting.remove(at);
                }
                self.stages.push(StageBoard::new(start.clone()));
            }
            Line::Start(start) => {
                self.now_ns = self.now_ns.max(start.sent_ns);
                if let Some(stage) = self.running(&start.stage, start.cell.as_deref()) {
                    stage.in_flight += 1;
                }
            }
            Line::End(record) => {
                self.now_ns = self.now_ns.max(record.end_ns.unwrap_or(0));
                if let Some(stage) = self.running(&record.stage, record.cell.as_deref()) {
                    stage.ended(record);
                }
            }
            Line::Flush(flush) => {
                if let Some(stage) = self.running(&flush.stage, flush.cell.as_deref()) {
                    stage.verdict = Some(match flush.state {
                        FlushState::Proven => "proven",
                        FlushState::Unproven => "unproven",
                        FlushState::Failed => "failed",
                    });
                }
            }
            Line::StageEnd(end) => {
                self.now_ns = self.now_ns.max(end.at_ns);
                if let Some(stage) = self.running(&end.stage, end.cell.as_deref()) {
                    stage.end = Some(end.clone());
                    stage.in_flight = 0;
                }
            }
            Line::NeverStarted(_) | Line::Round(_) | Line::Server(_) => {}
        }
    }

    /// This moment, in nanoseconds of the run: it goes on while no line comes.
    pub fn now(&self) -> u64 {
        let silence = u64::try_from(self.heard.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.now_ns.saturating_add(silence)
    }

    /// `stage 2 of 5`: how many have begun, of how many.
    pub fn place(&self) -> String {
        let planned = self.planned.max(1);
        format!("stage {} of {planned}", planned.saturating_sub(self.waiting.len()).max(1))
    }

    /// The stage of that id that began last and has not ended; settling requests count for the rung
    /// they settle.
    fn running(&mut self, id: &str, cell: Option<&str>) -> Option<&mut StageBoard> {
        let id = id.strip_suffix(SETTLE_SUFFIX).unwrap_or(id);
        self.stages.iter_mut().rev().find(|stage| {
            stage.end.is_none() && stage.start.stage == id && stage.start.cell.as_deref() == cell
        })
    }

    /// Takes the figures of a stage that is over and measured.
    pub fn measured(&mut self, summary: &StageSummary) -> Option<&StageBoard> {
        let stage = self.stages.iter_mut().rev().find(|stage| {
            let start = &stage.start;
            stage.end.is_some()
                && start.stage == summary.id
                && start.cell == summary.cell
                && start.rung.map(f64::to_bits) == summary.rung.map(f64::to_bits)
        })?;
        let throughput = summary.throughput;
        let requests = throughput.requests_per_second.filter(|_| summary.counts.ok > 0);
        stage.measured = Some(Figures {
            rates: requests
                .map(|rate| (rate, throughput.output_tokens_per_second.unwrap_or_default())),
            ttft_ms: summary.shown("ttft").map(|ttft| (ttft.p50, ttft.p99)),
        });
        Some(stage)
    }

    /// How many of the requests in flight are past their first token, and how long the last of these
    /// took to come; not known while several stages run.
    pub fn past_first_token(&self) -> Option<(u64, Duration)> {
        let mut running = self.stages.iter().filter(|stage| stage.end.is_none());
        let stage = running.next().filter(|_| running.next().is_none())?;
        let streams = self.answering.iter().map(|it| it.streams()).sum::<u64>();
        let ttft = self.answering.iter().filter(|it| it.streams() > 0).map(|it| it.last_ttft());
        Some((streams.min(stage.in_flight), ttft.max()?))
    }

    /// The stage that runs; the last to have begun of several.
    pub fn current(&self) -> Option<&StageBoard> {
        self.stages.iter().rev().find(|stage| stage.end.is_none())
    }
}

impl StageBoard {
    fn new(start: StageStart) -> Self {
        Self {
            start,
            done: 0,
            in_flight: 0,
            errors: BTreeMap::new(),
            ttft: LiveQuantiles::new(),
            answers: VecDeque::new(),
            ends: VecDeque::new(),
            measured: None,
            verdict: None,
            end: None,
        }
    }

    fn ended(&mut self, record: &Record) {
        if record.sent_ns.is_some() {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        // What settles a rung is under way with it, and in none of its figures.
        if record.stage.ends_with(SETTLE_SUFFIX) {
            return;
        }
        self.done += u64::from(record.outcome != OutcomeKind::NeverStarted);
        if record.outcome.is_error() {
            let class = record.error.as_ref().map_or("error", |error| error.class.as_str());
            *self.errors.entry(class.to_owned()).or_default() += 1;
        }
        let Some(end) = record.end_ns else { return };
        if record.outcome == OutcomeKind::Ok {
            let tokens = record.output_tokens.counted().unwrap_or(0);
            push(&mut self.ends, (end, tokens));
            // From due, which is from sent unless the request was held back.
            let due = record.due_ns.or(record.sent_ns);
            if let (Some(due), Some(first)) = (due, record.first_token_ns) {
                let ms = first.saturating_sub(due) as f64 / 1e6;
                self.ttft.record_ms(ms);
                push(&mut self.answers, (end, ms));
            }
        }
    }

    /// `ladder@8`, `cold[model=a]`.
    pub fn name(&self) -> String {
        let cell = self.start.cell.as_ref().map(|cell| format!("[{cell}]")).unwrap_or_default();
        let rung = self.start.rung.map(|rung| format!("@{rung}")).unwrap_or_default();
        format!("{}{cell}{rung}", self.start.stage)
    }

    /// A quantile of TTFT in milliseconds: as measured, once it is.
    pub fn ttft_ms(&self, quantile: f64) -> Option<f64> {
        match &self.measured {
            Some(figures) if quantile < 0.9 => figures.ttft_ms.map(|(p50, _)| p50),
            Some(figures) => figures.ttft_ms.map(|(_, p99)| p99),
            None => self.ttft.quantile_ms(quantile),
        }
    }

    /// Answers and tokens per second: over the last seconds while it runs, those of its summary when
    /// it has ended. Nothing while there are too few answers.
    pub fn rates(&self, now_ns: u64) -> Option<(f64, f64)> {
        if self.end.is_some() {
            return self.measured.as_ref()?.rates;
        }
        let from = now_ns.saturating_sub(RATE_NS).max(self.start.at_ns);
        let seconds = now_ns.saturating_sub(from) as f64 / 1e9;
        let recent = || self.ends.iter().rev().take_while(|(end, _)| *end >= from);
        let (count, tokens) = (recent().count(), recent().map(|(_, tokens)| tokens).sum::<u64>());
        (count > 1 && seconds >= 0.5).then(|| (count as f64 / seconds, tokens as f64 / seconds))
    }

    /// Seconds since it began, or that it took.
    pub fn seconds(&self, now_ns: u64) -> f64 {
        let until = self.end.as_ref().map_or(now_ns, |end| end.at_ns);
        until.saturating_sub(self.start.at_ns) as f64 / 1e9
    }

    /// Seconds that it will go on at the pace so far; nothing where nobody knows how many requests
    /// there will be, or before a tenth of them is done.
    pub fn seconds_left(&self, now_ns: u64) -> Option<f64> {
        let (done, planned) = (self.done, self.start.planned);
        let known = self.end.is_none() && planned > 0 && done < planned && done * 10 >= planned;
        known.then(|| self.seconds(now_ns) * (planned - done) as f64 / done as f64)
    }

    /// The same in words; nothing when it is about to end.
    pub fn left(&self, now_ns: u64) -> Option<String> {
        let seconds = self.seconds_left(now_ns).filter(|seconds| *seconds >= 1.0)?;
        Some(format!("{seconds:.0} s left"))
    }

    /// How many of the last answers lie in each of equal ratios between the shortest and the longest
    /// TTFT, and these two in milliseconds.
    pub fn histogram(&self) -> Option<([u64; HISTOGRAM], f64, f64)> {
        let times = || self.answers.iter().map(|(_, ms)| ms.max(0.001));
        let (low, high) =
            times().fold((f64::INFINITY, 0.0_f64), |(low, high), ms| (low.min(ms), high.max(ms)));
        if self.answers.len() < 3 || high <= low {
            return None;
        }
        let mut bars = [0; HISTOGRAM];
        let width = (high / low).ln();
        for ms in times() {
            bars[cell((ms / low).ln() / width)] += 1;
        }
        Some((bars, low, high))
    }

    /// `done`, `FAILED`, `cut`, `-`; nothing while it runs.
    pub fn mark(&self) -> Option<&'static str> {
        Some(match self.end.as_ref()?.state {
            StageState::Completed => "done",
            StageState::Failed => "FAILED",
            StageState::Interrupted => "cut",
            StageState::Skipped => "-",
        })
    }
}

/// The bar of a share from 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share times a dozen"
)]
fn cell(share: f64) -> usize {
    ((share * HISTOGRAM as f64) as usize).min(HISTOGRAM - 1)
}

fn push<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() == RECENT {
        queue.pop_front();
    }
    queue.push_back(value);
}

/// Bars of a small histogram as one word: ` ▁▄█▂`.
pub fn sparkline(bars: &[u64]) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    let height = |count: &u64| {
        let eighths = usize::try_from((count * 8).div_ceil(most)).unwrap_or(8);
        HEIGHTS[eighths.min(8)]
    };
    bars.iter().map(height).collect()
}
