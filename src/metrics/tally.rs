//! One stage (or rung) while its lines come in, and its numbers once it is over.
//!
//! In: the lines of one stage, in order. Out: [`Measured`]. Invariants: every planned request is
//! counted exactly once or the stage says so in `faults`; no figure is computed without samples.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use self::bits::Bits;
use self::flights::Flights;
use super::answers::AnswerTally;
use super::cache_verdict::{cached_of_prompt, combine};
use super::catalogue::{self, Source};
use super::contamination::ContaminationTally;
use super::goodput::Limits;
use super::models::ModelTally;
use super::pace::PaceTally;
use super::rounds::RoundTally;
use super::samples::{self, Samples};
use super::server::ServerTally;
use super::steady::part::SteadyTally;
use super::stretch::{Stretch, Worst};
use super::summary::{AddressSummary, ClientSummary, Counts, StageSummary};
use super::token_account::TokenAccount;
use super::unreachable::UnreachableTally;
use super::window::{WindowSample, WindowStats, Windows};
use crate::plan::Threshold;
use crate::plan::metric::{METRICS, Metric};
use crate::record::{
    CacheState, FlushLine, NeverStartedLine, OutcomeKind, Record, RoundLine, ServerLine,
    StageStart, StartLine,
};

mod bits;
mod finish;
#[cfg(test)]
pub(crate) mod fixture;
mod flights;

/// Longest error message kept as a sample, in characters.
const SAMPLE_CHARS: usize = 200;

/// The numbers of a stage that is over, with the samples that thresholds may still ask for.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What `summary.json` says of it.
    pub summary: StageSummary,
    samples: Vec<(&'static str, Samples)>,
    /// What checks with `over:` met at worst.
    worst: Vec<(Threshold, Option<Worst>)>,
    began_ns: u64,
}

impl Measured {
    /// The samples of a metric; `None` for one that has no samples of its own.
    pub fn samples(&self, metric: &str) -> Option<&Samples> {
        self.samples.iter().find(|(name, _)| *name == metric).map(|(_, samples)| samples)
    }

    /// The worst stretch that a check with `over:` met.
    pub fn worst(&self, check: &Threshold) -> Option<Worst> {
        self.worst.iter().find(|(known, _)| known == check)?.1
    }

    /// When the stage began, in nanoseconds of the run's clock.
    pub fn began_ns(&self) -> u64 {
        self.began_ns
    }
}

/// A stage whose end has not come yet.
#[derive(Debug, Clone)]
pub struct StageTally {
    start: StageStart,
    counts: Counts,
    flights: Flights,
    ended: Bits,
    columns: Vec<Column>,
    /// When the first answers were asked and had ended, in the order of `columns`.
    times: Vec<(u64, u64)>,
    /// One for each check with `over:`.
    stretches: Vec<(Threshold, Stretch)>,
    verdict: CacheState,
    /// Cached tokens, tokens of the prompts, and of how many requests.
    cached: Option<(u64, u64, u64)>,
    /// Requests served from the cache, and those that say whether they were.
    hits: Option<(u64, u64)>,
    tokens: TokenAccount,
    answers: AnswerTally,
    ok_tokens: (Option<u64>, Option<u64>),
    errors: BTreeMap<String, u64>,
    error_samples: BTreeMap<String, String>,
    flush: Option<FlushLine>,
    contamination: ContaminationTally,
    /// Another stage of the run was at the same endpoint meanwhile.
    is_shared: bool,
    server: ServerTally,
    last_ns: u64,
    /// In stages of load.
    pace: Option<PaceTally>,
    limits: Limits,
    client: ClientSummary,
    unreachable: UnreachableTally,
    addresses: BTreeMap<IpAddr, AddressSummary>,
    models: ModelTally,
    windows: Option<Windows>,
    window_stats: Vec<WindowStats>,
    /// In stages of load that have one round.
    steady: Option<SteadyTally>,
    /// In those that have several.
    rounds: Option<RoundTally>,
    faults: Vec<String>,
    /// Empty between records.
    scratch: Vec<f64>,
}

#[derive(Debug, Clone)]
struct Column {
    metric: &'static Metric,
    source: Source,
    samples: Samples,
}

impl StageTally {
    /// A stage that has just begun.
    pub fn new(start: StageStart) -> Self {
        let columns = METRICS.iter().filter(|metric| metric.distribution).filter_map(|metric| {
            let source = catalogue::source(metric.name)?;
            Some(Column { metric, source, samples: Samples::default() })
        });
        Self {
            counts: Counts { planned: start.planned, ..Counts::default() },
            last_ns: start.at_ns,
            columns: columns.collect(),
            times: Vec::new(),
            stretches: start
                .thresholds
                .iter()
                .filter(|check| check.over_ms.is_some() && check.judges(start.rung))
                .map(|check| (check.clone(), Stretch::new(check)))
                .collect(),
            limits: Limits::of(&start.thresholds),
            windows: start.load.as_ref().and_then(|load| load.window_ms).map(|ms| {
                // A length that makes no sense (a broken log) is one window for the whole stage.
                let length = Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX);
                Windows::new(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
            }),
            window_stats: Vec::new(),
            steady: start
                .load
                .as_ref()
                .filter(|load| load.rounds.is_none())
                .and_then(|load| load.steady)
                .map(SteadyTally::new),
            rounds: RoundTally::new(&start),
            pace: start.load.as_ref().map(|_| PaceTally::default()),
            start,
            flights: Flights::default(),
            ended: Bits::default(),
            verdict: CacheState::Unknown,
            cached: None,
            hits: None,
            tokens: TokenAccount::default(),
            answers: AnswerTally::default(),
            ok_tokens: (None, None),
            errors: BTreeMap::new(),
            error_samples: BTreeMap::new(),
            flush: None,
            contamination: ContaminationTally::default(),
            is_shared: false,
            server: ServerTally::default(),
            client: ClientSummary::default(),
            unreachable: UnreachableTally::default(),
            addresses: BTreeMap::new(),
            models: ModelTally::default(),
            faults: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Whether lines with this stage, cell and rung belong here.
    pub fn holds(&self, stage: &str, cell: Option<&str>, rung: Option<f64>) -> bool {
        let rungs = (self.start.rung.map(f64::to_bits), rung.map(f64::to_bits));
        self.start.stage == stage && self.start.cell.as_deref() == cell && rungs.0 == rungs.1
    }

    /// Another stage of this run is at the same endpoint: the server's counters are of both.
    pub fn share(&mut self) {
        self.is_shared = true;
    }

    /// What the stage was to do.
    pub fn start(&self) -> &StageStart {
        &self.start
    }

    /// A request is about to be sent.
    pub fn started(&mut self, line: &StartLine) {
        self.last_ns = self.last_ns.max(line.sent_ns);
        self.flights.started(line.index);
        if let Some(rounds) = &mut self.rounds {
            rounds.started(line);
        }
    }

    /// A request ended.
    pub fn ended(&mut self, record: &Record) {
        if !self.ended.insert(record.index) {
            self.faults.push(format!("request {} ended more than once", record.index));
        }
        self.flights.ended(record);
        self.last_ns = self.last_ns.max(record.end_ns.or(record.due_ns).unwrap_or(0));
        if let Some(pace) = &mut self.pace {
            pace.take(record);
        }
        self.transported(record);
        self.unreachable.take(record);
        if let (Some(windows), Some(end)) = (&mut self.windows, record.end_ns) {
            let over = windows.push(window_sample(record, end.saturating_sub(self.start.at_ns)));
            self.window_stats.extend(over);
        }
        self.answers.take(record);
        self.models.take(record);
        match record.outcome {
            OutcomeKind::Ok => {
                self.succeeded(record);
                self.limits.count(record);
            }
            OutcomeKind::Cancelled => self.counts.cancelled += 1,
            OutcomeKind::DroppedLate => self.counts.dropped_late += 1,
            OutcomeKind::NeverStarted => self.counts.never_started += 1,
            OutcomeKind::Http
            | OutcomeKind::Timeout
            | OutcomeKind::Connect
            | OutcomeKind::Stream
            | OutcomeKind::Protocol
            | OutcomeKind::Unmade => self.failed(record),
        }
        if let Some(steady) = &mut self.steady {
            steady.take(record);
        }
        if let Some(rounds) = &mut self.rounds {
            rounds.ended(record);
        }
        if let Some(at) = record.end_ns.or(record.due_ns) {
            for (_, stretch) in &mut self.stretches {
                stretch.take(record, at);
            }
        }
        if record.outcome == OutcomeKind::Ok
            && self.times.len() < samples::EXACT
            && let Some(times) = record.sent_ns.zip(record.last_token_ns.or(record.end_ns))
        {
            self.times.push(times);
        }
        for column in &mut self.columns {
            match column.source {
                Source::Request(take) => column.samples.extend(take(record)),
                Source::Pooled(take) => {
                    take(record, &mut self.scratch);
                    column.samples.extend(self.scratch.drain(..));
                }
                Source::Stage(_) | Source::Verdict => {}
            }
        }
    }

    /// Requests were planned and never made.
    pub fn never_started(&mut self, line: &NeverStartedLine) {
        let (first, count) = (line.first, line.count);
        if !self.ended.insert_all(first..first.saturating_add(count)) {
            self.faults
                .push(format!("some of {count} requests from {first} on ended more than once"));
        }
        self.counts.never_started += line.count;
        if let Some(rounds) = &mut self.rounds {
            rounds.never_started(line);
        }
    }

    /// What the client did for a request.
    fn transported(&mut self, record: &Record) {
        let client = &mut self.client;
        let is_new = record.connected_ns.is_some();
        client.connections_opened += u64::from(is_new);
        client.connections_reused += u64::from(record.connection.reused);
        client.bytes_in += record.bytes_in;
        client.token_events += record.token_ns.len() as u64;
        let resent = u64::from(record.was_resent());
        client.resent += resent;
        client.posts += resent + u64::from(is_new || record.connection.reused);
        if record.outcome == OutcomeKind::Ok {
            for gap in record.token_gaps() {
                client.token_gaps += 1;
                client.shared_reads += u64::from(gap == 0);
            }
            client.in_one_piece += u64::from(record.came_in_one_piece());
        }
        if let Some(address) = record.connection.address {
            let to = self.addresses.entry(address).or_default();
            to.connections += u64::from(is_new);
            to.requests += 1;
        }
    }

    /// The answer that just ended came under the id of an earlier one.
    pub fn repeated_id(&mut self) {
        self.answers.repeated();
    }

    /// The prompt that was just answered had failed in that cold stage, and was not answered since.
    pub fn failed_before(&mut self, record: &Record, stage: String) {
        if let Some(claim) = self.start.expects {
            self.contamination.failed_before(record, claim, stage);
        }
    }

    /// A round of it is over.
    pub fn round_over(&mut self, line: &RoundLine) {
        self.last_ns = self.last_ns.max(line.at_ns);
        if let Some(rounds) = &mut self.rounds {
            rounds.over(line);
        }
    }

    /// The same, begun at that time: a round's beginning is known at its end.
    #[must_use]
    pub(super) fn from(mut self, at_ns: u64) -> Self {
        self.start.at_ns = at_ns;
        self
    }

    /// The evidence of a flush.
    pub fn flushed(&mut self, line: &FlushLine) {
        self.last_ns = self.last_ns.max(line.at_ns);
        self.flush = Some(line.clone());
    }

    /// The server's own account at one moment.
    pub fn read_server(&mut self, reading: &ServerLine) {
        self.server.take(reading);
    }

    fn succeeded(&mut self, record: &Record) {
        self.counts.ok += 1;
        self.verdict = combine(self.verdict, record.cache);
        if let Some(claim) = self.start.expects {
            self.contamination.take(record, claim);
        }
        if record.cache != CacheState::Unknown {
            let (hits, judged) = self.hits.unwrap_or_default();
            let is_hit = matches!(record.cache, CacheState::Warm | CacheState::Mixed);
            self.hits = Some((hits + u64::from(is_hit), judged + 1));
        }
        self.tokens.take(record);
        add(&mut self.ok_tokens.0, record.input_tokens.counted());
        add(&mut self.ok_tokens.1, record.output_tokens.counted());
        if let Some((cached, prompt)) = cached_of_prompt(record) {
            let (all_cached, all_prompt, requests) = self.cached.unwrap_or_default();
            self.cached = Some((all_cached + cached, all_prompt + prompt, requests + 1));
        }
    }

    fn failed(&mut self, record: &Record) {
        self.counts.errors += 1;
        let class = record.error.as_ref().map_or("unknown", |error| error.class.as_str());
        *self.errors.entry(class.to_owned()).or_default() += 1;
        if let Some(error) = &record.error {
            let sample = || error.message.chars().take(SAMPLE_CHARS).collect();
            self.error_samples.entry(class.to_owned()).or_insert_with(sample);
        }
    }
}

/// A finished request as windows see it, `end_ns` from the stage's start.
fn window_sample(record: &Record, end_ns: u64) -> WindowSample {
    let take = |metric| match catalogue::source(metric) {
        Some(Source::Request(take)) => take(record),
        _ => None,
    };
    WindowSample {
        end_ns,
        ok: record.outcome == OutcomeKind::Ok,
        ttft_ms: take("ttft_due"),
        tpot_ms: take("tpot"),
        e2e_ms: take("e2e_due"),
        tokens_per_second: take("tokens_per_second"),
        input_tokens: record.input_tokens.counted(),
        output_tokens: record.output_tokens.counted(),
    }
}

fn add(sum: &mut Option<u64>, count: Option<u64>) {
    if let Some(count) = count {
        *sum = Some(sum.unwrap_or(0) + count);
    }
}
