//! The lines of a run → what comparisons need: its summary, and samples in the order of time.
//!
//! In: every [`Line`] of a run, in order. Out: [`Evidence`]. Invariants: samples are those of the
//! metric catalogue, so a comparison and a report never disagree about a figure; memory is a few
//! numbers per request.

use crate::metrics::aggregator::Aggregator;
use crate::metrics::catalogue::{self, Source};
use crate::metrics::effective;
use crate::metrics::summary::{RunEnd, StageSummary, Summary};
use crate::plan::metric;
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
    /// When the answer to each had ended.
    ended: Vec<u64>,
    /// A sample of each, NaN where it has none, by metric.
    columns: Vec<(&'static str, Vec<f64>)>,
    /// Any number of samples of each, by metric.
    pools: Vec<(&'static str, Pool)>,
}

/// Samples of which a request gives any number.
#[derive(Debug, Clone, Default)]
struct Pool {
    /// Those of all requests, one request after the other.
    values: Vec<f64>,
    /// Where those of each request end.
    ends: Vec<usize>,
}

/// A metric and how its one sample is taken from a record.
type Single = (&'static str, fn(&Record) -> Option<f64>);
/// A metric and how any number of samples is taken from a record.
type Several = (&'static str, fn(&Record, &mut Vec<f64>));

/// Takes the lines of one run.
#[derive(Debug)]
pub struct Collector {
    metrics: Vec<Single>,
    pooled: Vec<Several>,
    aggregator: Aggregator,
    run: Option<RunLine>,
    stages: Vec<Samples>,
}

impl Collector {
    /// Will take samples of these metrics (of latencies from sent, also those from due); those that
    /// requests have no samples of are left out.
    pub fn new(metrics: &[&'static str]) -> Self {
        let (mut chosen, mut pooled): (Vec<Single>, Vec<Several>) = (Vec::new(), Vec::new());
        let mut known: Vec<&str> = Vec::new();
        let from_due = metrics.iter().filter_map(|name| metric::from_due(name));
        for name in metrics.iter().copied().chain(from_due).chain(ALIKE) {
            if known.contains(&name) {
                continue;
            }
            known.push(name);
            match catalogue::source(name) {
                Some(Source::Request(take)) => chosen.push((name, take)),
                Some(Source::Pooled(take)) => pooled.push((name, take)),
                Some(Source::Stage(_) | Source::Verdict) | None => {}
            }
        }
        let aggregator = Aggregator::new();
        Self { metrics: chosen, pooled, aggregator, run: None, stages: Vec::new() }
    }

    /// Takes one line.
    pub fn line(&mut self, line: &Line) {
        self.aggregator.line(line);
        match line {
            Line::Run(run) => self.run = Some(run.clone()),
            Line::StageStart(start) => {
                let columns = self.metrics.iter().map(|(name, _)| (*name, Vec::new())).collect();
                let pools = self.pooled.iter().map(|(name, _)| (*name, Pool::default())).collect();
                self.stages.push(Samples {
                    stage: start.stage.clone(),
                    cell: start.cell.clone(),
                    rung: start.rung,
                    indexes: Vec::new(),
                    sent: Vec::new(),
                    ended: Vec::new(),
                    columns,
                    pools,
                });
            }
            Line::End(record) => self.record(record),
            Line::Start(_)
            | Line::Flush(_)
            | Line::NeverStarted(_)
            | Line::Round(_)
            | Line::Server(_)
            | Line::StageEnd(_) => {}
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
        stage.ended.push(record.last_token_ns.or(record.end_ns).unwrap_or(sent));
        for ((_, column), value) in stage.columns.iter_mut().zip(values) {
            column.push(value.unwrap_or(f64::NAN));
        }
        for ((_, pool), (_, take)) in stage.pools.iter_mut().zip(&self.pooled) {
            take(record, &mut pool.values);
            pool.ends.push(pool.values.len());
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
        let samples = self.samples(stage);
        let mut sorted = samples.map_or_else(Vec::new, |it| match it.clusters(metric) {
            Some((clusters, _)) => clusters.concat(),
            None => it.in_time(metric).0,
        });
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

    /// The samples of a metric in the order in which their requests were sent, and how many others
    /// were in flight when each was.
    pub(super) fn in_time(&self, metric: &str) -> (Vec<f64>, Vec<f64>) {
        let Some(column) = self.column(metric) else { return Default::default() };
        let with_sample = (0..column.len()).filter(|at| !column[*at].is_nan());
        let order = self.in_order(with_sample);
        (order.iter().map(|at| column[*at]).collect(), self.in_flight(&order))
    }

    fn in_order(&self, places: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut order: Vec<usize> = places.collect();
        order.sort_by_key(|at| self.sent[*at]);
        order
    }

    fn in_flight(&self, order: &[usize]) -> Vec<f64> {
        let times = order.iter().map(|at| (self.sent[*at], self.ended[*at]));
        let times: Vec<(u64, u64)> = times.collect();
        effective::in_flight(&times, &times)
    }

    /// The samples of a metric of which a request gives any number, request by request in the order
    /// in which they were sent, and how many others were in flight when each was; requests without any
    /// are left out. `None` for other metrics.
    pub(super) fn clusters(&self, metric: &str) -> Option<(Vec<&[f64]>, Vec<f64>)> {
        let (_, pool) = self.pools.iter().find(|(name, _)| *name == metric)?;
        let of = |at: usize| {
            let from = at.checked_sub(1).map_or(0, |before| pool.ends[before]);
            &pool.values[from..pool.ends[at]]
        };
        let order = self.in_order((0..pool.ends.len()).filter(|at| !of(*at).is_empty()));
        Some((order.iter().map(|at| of(*at)).collect(), self.in_flight(&order)))
    }
}
