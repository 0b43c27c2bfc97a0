//! The lines of a record log → what pictures and sentences need, in one pass and bounded memory.
//!
//! In: every [`Line`] of a run, in order. Out: per stage (and rung) uniform samples of the drawn
//! metrics, samples of failures, and the run's timeline. Invariant: memory grows with the number of
//! stages, never with the number of requests.

use super::reservoir::Reservoir;
use super::server_series::ServerSeries;
use super::timeline::Timeline;
use crate::metrics::catalogue::{self, Source};
use crate::metrics::summary::StageSummary;
use crate::plan::metric::Origin;
use crate::record::{Line, OutcomeKind, Record, RunLine, StageEnd, StageStart};

/// The metrics whose distributions are drawn.
pub const DRAWN: [&str; 6] = ["ttft", "ttft_due", "e2e", "e2e_due", "tpot", "itl"];
/// Samples kept of each drawn metric of a stage.
pub const SAMPLES: usize = 2_000;
/// Requests of a stage kept for the timeline.
pub const DOTS: usize = 600;
/// The slowest requests of a stage, kept for the timeline beside the uniform sample.
pub const SLOWEST: usize = 20;
/// Failures of one class and stage kept with their message.
const FAILURES_PER_CLASS: usize = 2;
/// Classes of failure kept per stage; servers choose some of their names.
const CLASSES: usize = 20;

/// What was seen of a run.
#[derive(Debug, Clone, Default)]
pub struct RunSamples {
    /// The log's first line.
    pub run: Option<RunLine>,
    /// Each stage, cell and rung in the order in which they began.
    pub stages: Vec<StageSamples>,
    /// What went on at each moment.
    pub timeline: Timeline,
    /// What the servers said of themselves at each moment.
    pub server: ServerSeries,
}

/// What was seen of one stage, cell and rung.
#[derive(Debug, Clone)]
pub struct StageSamples {
    /// Its first line.
    pub start: StageStart,
    /// Its last line, once there was one.
    pub end: Option<StageEnd>,
    /// The last moment known of it, in nanoseconds of the run's clock.
    pub last_ns: u64,
    /// A uniform sample of each of [`DRAWN`].
    samples: Vec<Drawn>,
    /// When requests were sent (seconds of the run), and their TTFT in milliseconds from sent and from due.
    dots: Reservoir<[f64; 3]>,
    slowest: Vec<[f64; 3]>,
    /// When failed requests were sent, in seconds of the run.
    pub failed_at: Reservoir<f64>,
    /// The first failures of each class.
    pub failures: Vec<Failure>,
}

/// One failed request, as an example of its class.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its class.
    pub class: String,
    /// The request's number within its stage.
    pub index: u64,
    /// When it was sent, in seconds of the run.
    pub sent_s: Option<f64>,
    /// What went wrong.
    pub message: String,
    /// The beginning of what the server sent.
    pub raw: Option<String>,
}

#[derive(Debug, Clone)]
struct Drawn {
    metric: &'static str,
    source: Option<Source>,
    sample: Reservoir<f64>,
}

impl RunSamples {
    /// Takes one line. Lines that belong to no stage are left to the aggregator, which reports them.
    pub fn line(&mut self, line: &Line) {
        match line {
            Line::Run(run) => self.run = Some(run.clone()),
            Line::StageStart(start) => self.stages.push(StageSamples::new(start.clone())),
            Line::End(record) => self.record(record),
            Line::StageEnd(end) => {
                if let Some(stage) = self.stage(&end.stage, end.cell.as_deref(), end.rung) {
                    stage.last_ns = stage.last_ns.max(end.at_ns);
                    stage.end = Some(end.clone());
                }
            }
            Line::Server(reading) => self.server.take(reading),
            Line::Start(_) | Line::NeverStarted(_) | Line::Flush(_) | Line::Round(_) => {}
        }
    }

    fn record(&mut self, record: &Record) {
        if let Some(sent) = record.sent_ns {
            let ok = record.outcome == OutcomeKind::Ok;
            let end = record.end_ns.unwrap_or(sent);
            self.timeline.request(sent, end, ok, record.outcome.is_error());
            for ns in &record.token_ns {
                self.timeline.token(*ns);
            }
        }
        if let Some(stage) = self.stage(&record.stage, record.cell.as_deref(), record.rung) {
            stage.record(record);
        }
    }

    /// What was seen of this stage, cell and rung.
    pub fn of(&self, id: &str, cell: Option<&str>, rung: Option<f64>) -> Option<&StageSamples> {
        self.stages.iter().rfind(|stage| stage.is(id, cell, rung))
    }

    /// What was seen of the stage, or of the very probe, that a summary is of.
    pub fn of_summary(&self, summary: &StageSummary) -> Option<&StageSamples> {
        let probe = summary.probe.as_ref().map(|probe| probe.search.probe);
        let number = |stage: &StageSamples| {
            stage.start.load.as_ref().and_then(|load| load.search.as_ref()).map(|it| it.probe)
        };
        self.stages.iter().rfind(|stage| {
            stage.is(&summary.id, summary.cell.as_deref(), summary.rung) && number(stage) == probe
        })
    }

    fn stage(
        &mut self,
        id: &str,
        cell: Option<&str>,
        rung: Option<f64>,
    ) -> Option<&mut StageSamples> {
        // From the back: the stage that runs now is the one that began last.
        self.stages.iter_mut().rfind(|stage| stage.is(id, cell, rung))
    }
}

impl StageSamples {
    fn new(start: StageStart) -> Self {
        let drawn = |metric: &&'static str| Drawn {
            metric,
            source: catalogue::source(metric),
            sample: Reservoir::new(SAMPLES),
        };
        Self {
            last_ns: start.at_ns,
            start,
            end: None,
            samples: DRAWN.iter().map(drawn).collect(),
            dots: Reservoir::new(DOTS),
            slowest: Vec::new(),
            failed_at: Reservoir::new(DOTS),
            failures: Vec::new(),
        }
    }

    /// Whether it is this stage, cell and rung.
    pub fn is(&self, id: &str, cell: Option<&str>, rung: Option<f64>) -> bool {
        let rungs = (self.start.rung.map(f64::to_bits), rung.map(f64::to_bits));
        self.start.stage == id && self.start.cell.as_deref() == cell && rungs.0 == rungs.1
    }

    /// The sample of one of [`DRAWN`], sorted, and how many values it was taken from.
    pub fn sample(&self, metric: &str) -> (Vec<f64>, u64) {
        let drawn = self.samples.iter().find(|drawn| drawn.metric == metric);
        drawn.map_or((Vec::new(), 0), |drawn| (drawn.sample.sorted(), drawn.sample.seen()))
    }

    /// At most `most` of the requests for the timeline (a uniform sample), then the slowest ones: when they
    /// were sent, and their TTFT from then or from when they were due.
    pub fn dots(&self, most: usize, from: Origin) -> Vec<[f64; 2]> {
        let mut fewer = Reservoir::new(most);
        self.dots.kept().iter().for_each(|dot| fewer.offer(*dot));
        let mut dots = fewer.kept().to_vec();
        if self.dots.seen() > dots.len() as u64 {
            dots.extend(self.slowest.iter().filter(|slow| !fewer.kept().contains(slow)));
        }
        let shown = |[at, sent, due]: [f64; 3]| [at, if from == Origin::Due { due } else { sent }];
        dots.into_iter().map(shown).collect()
    }

    /// How many requests had a TTFT.
    pub fn timed(&self) -> u64 {
        self.dots.seen()
    }

    fn record(&mut self, record: &Record) {
        self.last_ns = self.last_ns.max(record.end_ns.or(record.sent_ns).unwrap_or(0));
        let mut pooled = Vec::new();
        for drawn in &mut self.samples {
            match drawn.source {
                Some(Source::Request(take)) => {
                    if let Some(value) = take(record) {
                        drawn.sample.offer(value);
                        if let ("ttft", Some(sent)) = (drawn.metric, record.sent_ns) {
                            let held = sent.saturating_sub(record.due_ns.unwrap_or(sent));
                            let dot = [sent as f64 / 1e9, value, value + held as f64 / 1e6];
                            self.dots.offer(dot);
                            keep_slowest(&mut self.slowest, dot);
                        }
                    }
                }
                Some(Source::Pooled(take)) => {
                    pooled.clear();
                    take(record, &mut pooled);
                    for value in &pooled {
                        drawn.sample.offer(*value);
                    }
                }
                Some(Source::Stage(_) | Source::Verdict) | None => {}
            }
        }
        if record.outcome.is_error() {
            self.failed(record);
        }
    }

    fn failed(&mut self, record: &Record) {
        let sent_s = record.sent_ns.map(|sent| sent as f64 / 1e9);
        if let Some(sent_s) = sent_s {
            self.failed_at.offer(sent_s);
        }
        let Some(error) = &record.error else { return };
        let alike = self.failures.iter().filter(|failure| failure.class == error.class).count();
        let full = self.failures.len() >= CLASSES * FAILURES_PER_CLASS;
        if alike < FAILURES_PER_CLASS && !full {
            self.failures.push(Failure {
                class: error.class.clone(),
                index: record.index,
                sent_s,
                message: error.message.clone(),
                raw: error.raw.clone(),
            });
        }
    }
}

fn keep_slowest(slowest: &mut Vec<[f64; 3]>, dot: [f64; 3]) {
    if slowest.len() < SLOWEST {
        slowest.push(dot);
    } else if let Some(fastest) = slowest.iter_mut().min_by(|a, b| a[2].total_cmp(&b[2]))
        && dot[2] > fastest[2]
    {
        *fastest = dot;
    }
}
