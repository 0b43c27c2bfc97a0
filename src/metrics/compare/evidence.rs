//! The lines of a run → what comparisons need: its summary, and samples in the order of time.
//!
//! In: every [`Line`] of a run, in order. Out: [`Evidence`]. Invariants: samples are those of the
//! metric catalogue, so a comparison and a report never disagree about a figure; memory is a few
//! numbers per request.

use crate::metrics::aggregator::Aggregator;
use crate::metrics::catalogue::{self, Source};
use crate::metrics::summary::{RunEnd, StageSummary, Summary};
use crate::record::{Line, Record, RunLine};

/// Metrics that must be alike for a comparison to mean anything.
pub(super) const ALIKE: [&str; 2] = ["input_tokens", "output_tokens"];

/// A run to compare.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// How the reader named it, such as its path.
    pub name: String,
    /// Its numbers.
    pub summary: Summary,
    /// The log's first line, where the log is at hand.
    pub run: Option<RunLine>,
    /// The machine that ran it, where known.
    pub machine: Option<String>,
    /// The samples of each stage, cell and rung; none without records.
    pub(super) stages: Vec<Samples>,
}

/// The samples of one stage, cell and rung.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    stage: String,
    cell: Option<String>,
    rung: Option<f64>,
    /// The number of each request within its stage.
    indexes: Vec<u64>,
    /// When each was sent.
    sent: Vec<u64>,
    /// A sample of each, NaN where it has none, by metric.
    columns: Vec<(&'static str, Vec<f64>)>,
}

/// A metric and how its sample is taken from a record.
type Extractor = (&'static str, fn(&Record) -> Option<f64>);

/// Takes the lines of one run.
#[derive(Debug)]
pub struct Collector {
    metrics: Vec<Extractor>,
    aggregator: Aggregator,
    run: Option<RunLine>,
    stages: Vec<Samples>,
}

impl Collector {
    /// Will take samples of these metrics; those without one sample per request are left out.
    pub fn new(metrics: &[&'static str]) -> Self {
        let mut chosen = Vec::new();
        for name in metrics.iter().chain(&ALIKE) {
            if let Some(Source::Request(take)) = catalogue::source(name)
                && !chosen.iter().any(|(known, _)| known == name)
            {
                chosen.push((*name, take));
            }
        }
        Self { metrics: chosen, aggregator: Aggregator::new(), run: None, stages: Vec::new() }
    }

    /// Takes one line.
    pub fn line(&mut self, line: &Line) {
        self.aggregator.line(line);
        match line {
            Line::Run(run) => self.run = Some(run.clone()),
            Line::StageStart(start) => {
                let columns = self.metrics.iter().map(|(name, _)| (*name, Vec::new())).collect();
                self.stages.push(Samples {
                    stage: start.stage.clone(),
                    cell: start.cell.clone(),
                    rung: start.rung,
                    indexes: Vec::new(),
                    sent: Vec::new(),
                    columns,
                });
            }
            Line::End(record) => self.record(record),
            Line::Start(_) | Line::Flush(_) | Line::Server(_) | Line::StageEnd(_) => {}
        }
    }

    fn record(&mut self, record: &Record) {
        let Some(sent) = record.sent_ns else { return };
        let (id, cell) = (record.stage.as_str(), record.cell.as_deref());
        let stage = self.stages.iter_mut().rfind(|stage| stage.is(id, cell, record.rung));
        let Some(stage) = stage else { return };
        let values: Vec<Option<f64>> = self.metrics.iter().map(|(_, take)| take(record)).collect();
        if values.iter().all(Option::is_none) {
            return;
        }
        stage.indexes.push(record.index);
        stage.sent.push(sent);
        for ((_, column), value) in stage.columns.iter_mut().zip(values) {
            column.push(value.unwrap_or(f64::NAN));
        }
    }

    /// Says that lines are missing, so that the numbers must not be trusted.
    pub fn distrust(&mut self, why: impl Into<String>) {
        self.aggregator.distrust(why);
    }

    /// All of it, once the lines are over.
    pub fn finish(mut self, name: String, machine: Option<String>, end: &RunEnd) -> Evidence {
        let summary = self.aggregator.finish(end);
        Evidence { name, summary, run: self.run, machine, stages: self.stages }
    }
}

impl Evidence {
    /// What a summary alone tells: figures without samples, so nothing can be tested.
    pub fn of_summary(name: String, summary: Summary) -> Self {
        Self { name, summary, run: None, machine: None, stages: Vec::new() }
    }

    /// The stages that take part: reported ones that asked something.
    pub fn measured(&self) -> impl Iterator<Item = &StageSummary> {
        self.summary.stages.iter().filter(|stage| stage.reported && stage.counts.planned > 0)
    }

    /// The sorted samples of a metric of a stage.
    pub fn sorted(&self, stage: &StageSummary, metric: &str) -> Vec<f64> {
        let mut sorted = self.samples(stage).map_or_else(Vec::new, |it| it.in_time(metric));
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }

    pub(super) fn samples(&self, stage: &StageSummary) -> Option<&Samples> {
        let cell = stage.cell.as_deref();
        self.stages.iter().rfind(|samples| samples.is(&stage.id, cell, stage.rung))
    }
}

impl Samples {
    fn is(&self, stage: &str, cell: Option<&str>, rung: Option<f64>) -> bool {
        let rungs = (self.rung.map(f64::to_bits), rung.map(f64::to_bits));
        self.stage == stage && self.cell.as_deref() == cell && rungs.0 == rungs.1
    }

    fn column(&self, metric: &str) -> Option<&[f64]> {
        let found = self.columns.iter().find(|(name, _)| *name == metric);
        found.map(|(_, values)| values.as_slice())
    }

    /// When the first and the last request were sent.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        Some((*self.sent.iter().min()?, *self.sent.iter().max()?))
    }

    /// The samples of a metric of this and another stage, for each request that both have.
    pub(super) fn pairs(&self, other: &Self, metric: &str) -> Vec<(f64, f64)> {
        let mut own = self.by_index(metric).into_iter().peekable();
        let mut pairs = Vec::new();
        for (index, theirs) in other.by_index(metric) {
            while own.next_if(|(at, _)| *at < index).is_some() {}
            if let Some((_, value)) = own.next_if(|(at, _)| *at == index) {
                pairs.push((value, theirs));
            }
        }
        pairs
    }

    /// The samples of a metric by the numbers of their requests.
    fn by_index(&self, metric: &str) -> Vec<(u64, f64)> {
        let Some(column) = self.column(metric) else { return Vec::new() };
        let all = self.indexes.iter().copied().zip(column.iter().copied());
        let mut values: Vec<(u64, f64)> = all.filter(|(_, value)| !value.is_nan()).collect();
        values.sort_by_key(|(index, _)| *index);
        values
    }

    /// The samples of a metric in the order in which their requests were sent.
    pub(super) fn in_time(&self, metric: &str) -> Vec<f64> {
        let Some(column) = self.column(metric) else { return Vec::new() };
        let mut order: Vec<usize> = (0..column.len()).filter(|at| !column[*at].is_nan()).collect();
        order.sort_by_key(|at| self.sent[*at]);
        order.into_iter().map(|at| column[at]).collect()
    }
}
