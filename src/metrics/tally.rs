//! One stage (or rung) while its lines come in, and its numbers once it is over.
//!
//! In: the lines of one stage, in order. Out: [`Measured`]. Invariants: every planned request is
//! counted exactly once or the stage says so in `faults`; no figure is computed without samples.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::cache_verdict::{cached_tokens, combine, verdict};
use super::catalogue::{self, Source};
use super::contamination::{self, ContaminationTally};
use super::goodput::Limits;
use super::samples::Samples;
use super::server::ServerTally;
use super::stretch::{Stretch, Worst};
use super::summary::{CacheSummary, ClientSummary, Counts, LoadSummary, StageSummary, Throughput};
use super::token_account::TokenAccount;
use super::window::{WindowSample, WindowStats, Windows};
use crate::plan::Threshold;
use crate::plan::metric::{METRICS, Metric};
use crate::record::{
    CacheState, FlushLine, OutcomeKind, Record, ServerLine, StageEnd, StageStart, StageState,
    StartLine,
};

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
    in_flight: HashSet<u64>,
    ended: Bits,
    columns: Vec<Column>,
    /// One for each check with `over:`.
    stretches: Vec<(Threshold, Stretch)>,
    verdict: CacheState,
    cached: Option<(u64, u64)>,
    /// Requests served from the cache, and those that say whether they were.
    hits: Option<(u64, u64)>,
    tokens: TokenAccount,
    ok_tokens: (Option<u64>, Option<u64>),
    errors: BTreeMap<String, u64>,
    error_samples: BTreeMap<String, String>,
    flush: Option<FlushLine>,
    contamination: ContaminationTally,
    server: ServerTally,
    last_ns: u64,
    due: Option<(u64, u64)>,
    sent: Option<(u64, u64)>,
    answered: Option<(u64, u64)>,
    limits: Limits,
    client: ClientSummary,
    windows: Option<Windows>,
    window_stats: Vec<WindowStats>,
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
            stretches: start
                .thresholds
                .iter()
                .filter(|check| check.over_ms.is_some() && check.judges(start.rung))
                .map(|check| (check.clone(), Stretch::new(&check.left)))
                .collect(),
            limits: Limits::of(&start.thresholds),
            windows: start.load.as_ref().and_then(|load| load.window_ms).map(|ms| {
                // A length that makes no sense (a broken log) is one window for the whole stage.
                let length = Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX);
                Windows::new(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
            }),
            window_stats: Vec::new(),
            start,
            in_flight: HashSet::new(),
            ended: Bits::default(),
            verdict: CacheState::Unknown,
            cached: None,
            hits: None,
            tokens: TokenAccount::default(),
            ok_tokens: (None, None),
            errors: BTreeMap::new(),
            error_samples: BTreeMap::new(),
            flush: None,
            contamination: ContaminationTally::default(),
            server: ServerTally::default(),
            due: None,
            sent: None,
            answered: None,
            client: ClientSummary::default(),
            faults: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Whether lines with this stage, cell and rung belong here.
    pub fn holds(&self, stage: &str, cell: Option<&str>, rung: Option<f64>) -> bool {
        let rungs = (self.start.rung.map(f64::to_bits), rung.map(f64::to_bits));
        self.start.stage == stage && self.start.cell.as_deref() == cell && rungs.0 == rungs.1
    }

    /// What the stage was to do.
    pub fn start(&self) -> &StageStart {
        &self.start
    }

    /// A request is about to be sent.
    pub fn started(&mut self, line: &StartLine) {
        self.last_ns = self.last_ns.max(line.sent_ns);
        self.in_flight.insert(line.index);
    }

    /// A request ended.
    pub fn ended(&mut self, record: &Record) {
        if !self.ended.insert(record.index) {
            self.faults.push(format!("request {} ended more than once", record.index));
        }
        self.in_flight.remove(&record.index);
        self.last_ns = self.last_ns.max(record.end_ns.or(record.due_ns).unwrap_or(0));
        widen(&mut self.due, record.due_ns);
        widen(&mut self.sent, record.sent_ns);
        self.client.connections_opened += u64::from(record.connected_ns.is_some());
        self.client.connections_reused += u64::from(record.connection.reused);
        self.client.bytes_in += record.bytes_in;
        self.client.token_events += record.token_ns.len() as u64;
        if let (Some(windows), Some(end)) = (&mut self.windows, record.end_ns) {
            let over = windows.push(window_sample(record, end.saturating_sub(self.start.at_ns)));
            self.window_stats.extend(over);
        }
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
            | OutcomeKind::Protocol => self.failed(record),
        }
        if let Some(at) = record.end_ns.or(record.due_ns) {
            for (_, stretch) in &mut self.stretches {
                stretch.take(record, at);
            }
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

    /// The evidence of a flush.
    pub fn flushed(&mut self, line: &FlushLine) {
        self.last_ns = self.last_ns.max(line.at_ns);
        self.flush = Some(line.clone());
    }

    /// The server's own account at one moment.
    pub fn read_server(&mut self, reading: &ServerLine) {
        self.server.take(reading);
    }

    /// Its numbers, and why they must not be trusted if so. Without an `end` the log broke off:
    /// what had started is lost in flight, and what had not never started.
    pub fn close(mut self, end: Option<&StageEnd>) -> (Measured, Vec<String>) {
        self.settle(end);
        let state = end.map_or(StageState::Interrupted, |end| end.state);
        let reason = match end {
            Some(end) => end.reason.clone(),
            None => Some("the record log ends before the stage did".to_owned()),
        };
        let end_ns = end.map_or(self.last_ns, |end| end.at_ns.max(self.last_ns));
        let duration_s = end_ns.saturating_sub(self.start.at_ns) as f64 / 1e9;
        if let Some(windows) = self.windows.take() {
            self.window_stats.extend(windows.finish(end_ns.saturating_sub(self.start.at_ns)));
        }
        let finished = self.counts.ok + self.counts.errors;
        let throughput = self.throughput(duration_s);
        let achieved = self.achieved();
        let cache = self.cache();
        let all_answered = self.counts.ok == self.counts.planned;
        let contamination = self.start.expects.map_or_else(Vec::new, |claim| {
            self.contamination.found(claim, &self.server, all_answered)
        });
        let cpu_s = end.and_then(|end| end.cpu_ns).map(|ns| ns as f64 / 1e9);
        let cpu_share = cpu_s.filter(|_| duration_s > 0.0).map(|cpu| cpu / duration_s);
        let client = ClientSummary { cpu_s, cpu_share, ..self.client };
        let samples: Vec<_> = self.columns.into_iter().map(Column::sorted).collect();
        let metrics = samples.iter().filter_map(|(metric, samples)| {
            Some((metric.name.to_owned(), samples.distribution(metric.unit)?))
        });
        let summary = StageSummary {
            goodput: self.limits.goodput(
                self.counts.planned,
                self.counts.ok,
                achieved.or(throughput.requests_per_second),
            ),
            windows: self.window_stats,
            probe: None,
            load: self.start.load.as_ref().map(|load| LoadSummary {
                target_rate: load.target_rate,
                achieved_rate: achieved,
                generator_limited: lag_p99(&samples)
                    .zip(load.max_lag_ms)
                    .is_some_and(|(lag, limit)| lag > limit),
                max_lag_ms: load.max_lag_ms,
            }),
            metrics: metrics.collect(),
            id: self.start.stage,
            kind: self.start.kind,
            cell: self.start.cell,
            rung: self.start.rung,
            endpoint: self.start.endpoint,
            model: self.start.model,
            state,
            reason,
            reported: self.start.reported,
            success_rate: (finished > 0).then(|| self.counts.ok as f64 / finished as f64),
            counts: self.counts,
            duration_s,
            throughput,
            client,
            cache,
            tokens: (self.counts.ok > 0).then_some(self.tokens),
            errors: self.errors,
            error_samples: self.error_samples,
            thresholds: Vec::new(),
            flush: self.flush,
            contamination,
            server: self.server.summary(),
        };
        let samples = samples.into_iter().map(|(metric, list)| (metric.name, list)).collect();
        let began_ns = self.start.at_ns;
        let worst = self.stretches.into_iter().map(|(check, stretch)| {
            let over_ns = check.over_ms.unwrap_or(0).saturating_mul(1_000_000);
            let worst = stretch.worst(&check, over_ns, (began_ns, end_ns));
            (check, worst)
        });
        let worst = worst.collect();
        (Measured { summary, samples, worst, began_ns }, self.faults)
    }

    /// What the cache did: by the answers, else by the server's counters.
    fn cache(&self) -> CacheSummary {
        let by_answers = CacheSummary {
            verdict: self.verdict,
            expected: self.start.expects,
            cached_tokens: self.cached.map(|(cached, _)| cached),
            prompt_tokens: self.cached.map(|(_, prompt)| prompt),
            hit_requests: self.hits.map(|(hits, _)| hits),
            judged_requests: self.hits.map(|(_, judged)| judged),
            by_counters: false,
        };
        let is_silent = self.verdict == CacheState::Unknown && self.cached.is_none();
        match contamination::by_counters(&self.server) {
            Some((hits, queries)) if is_silent && self.counts.ok > 0 => CacheSummary {
                verdict: verdict(Some(hits), Some(queries), None),
                cached_tokens: Some(hits),
                prompt_tokens: Some(queries),
                by_counters: true,
                ..by_answers
            },
            _ => by_answers,
        }
    }

    /// Fills in what a broken log left open and checks the identity.
    fn settle(&mut self, end: Option<&StageEnd>) {
        self.counts.lost_in_flight = self.in_flight.len() as u64;
        match end {
            Some(end) => self.counts.planned = end.planned.unwrap_or(self.counts.planned),
            // How many a load that is bounded by time would have come to, nobody can say.
            None if self.start.load.is_some() && self.counts.planned == 0 => {
                self.counts.planned = self.counts.accounted();
            }
            None => {}
        }
        // Nothing of a skipped stage was ever due, whether or not each request says so itself.
        let open_ended = end.is_none_or(|end| end.state == StageState::Skipped);
        if open_ended {
            self.counts.never_started +=
                self.counts.planned.saturating_sub(self.counts.accounted());
        } else if self.counts.lost_in_flight > 0 {
            let lost = self.counts.lost_in_flight;
            self.faults.push(format!("{lost} started requests have no end"));
        }
        let (planned, accounted) = (self.counts.planned, self.counts.accounted());
        if planned != accounted {
            self.faults.push(format!("{planned} requests planned, {accounted} accounted for"));
        }
    }

    fn succeeded(&mut self, record: &Record) {
        self.counts.ok += 1;
        widen(&mut self.answered, record.last_token_ns.or(record.end_ns));
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
        let input = record.input_tokens.best().map(|(count, _)| count);
        let output = record.output_tokens.best().map(|(count, _)| count);
        add(&mut self.ok_tokens.0, input);
        add(&mut self.ok_tokens.1, output);
        if let Some((cached, prompt)) = cached_tokens(record).zip(input) {
            let (all_cached, all_prompt) = self.cached.unwrap_or_default();
            self.cached = Some((all_cached + cached, all_prompt + prompt));
        }
    }

    fn failed(&mut self, record: &Record) {
        self.counts.errors += 1;
        let class = record.error.as_ref().map_or("unknown", |error| error.class.as_str());
        *self.errors.entry(class.to_owned()).or_default() += 1;
        if let Some(error) = &record.error
            && !self.error_samples.contains_key(class)
        {
            let sample = error.message.chars().take(SAMPLE_CHARS).collect();
            self.error_samples.insert(class.to_owned(), sample);
        }
    }

    /// Complete answers per second of a load. A first answer takes its latency to come, and so
    /// does the last one after its request was sent, so on a schedule it is the span of the answers
    /// that counts, held against that of the due times; without one, all the time from the first
    /// request to the last answer.
    fn achieved(&self) -> Option<f64> {
        let load = self.start.load.as_ref()?;
        let ((first_end, last_end), (first_sent, _)) = (self.answered?, self.sent?);
        let ok = self.counts.ok as f64;
        let Some(target) = load.target_rate else {
            let took = last_end.saturating_sub(first_sent) as f64 / 1e9;
            return (took > 0.0).then(|| ok / took);
        };
        let (first_due, last_due) = self.due?;
        let due = last_due.saturating_sub(first_due) as f64;
        let answers = last_end.saturating_sub(first_end) as f64;
        let kept_up = if answers > due { due / answers } else { 1.0 };
        let planned = (self.counts.planned - self.counts.never_started.min(self.counts.planned))
            .max(1) as f64;
        Some(target * kept_up * ok / planned)
    }

    fn throughput(&self, duration_s: f64) -> Throughput {
        let per_second = |count: u64| (duration_s > 0.0).then(|| count as f64 / duration_s);
        Throughput {
            requests_per_second: (self.counts.planned > 0)
                .then(|| per_second(self.counts.ok))
                .flatten(),
            input_tokens_per_second: self.ok_tokens.0.and_then(per_second),
            output_tokens_per_second: self.ok_tokens.1.and_then(per_second),
        }
    }
}

impl Column {
    fn sorted(mut self) -> (&'static Metric, Samples) {
        self.samples.finish();
        (self.metric, self.samples)
    }
}

/// The 99th percentile of the lag among finished samples.
fn lag_p99(samples: &[(&'static Metric, Samples)]) -> Option<f64> {
    let (metric, lags) = samples.iter().find(|(metric, _)| metric.name == "schedule_lag")?;
    lags.distribution(metric.unit).map(|lag| lag.p99)
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
        ttft_ms: take("ttft"),
        tpot_ms: take("tpot"),
        e2e_ms: take("e2e"),
        input_tokens: record.input_tokens.best().map(|(count, _)| count),
        output_tokens: record.output_tokens.best().map(|(count, _)| count),
    }
}

/// Widens a span of time so that it holds `at`.
fn widen(span: &mut Option<(u64, u64)>, at: Option<u64>) {
    if let Some(at) = at {
        let (first, last) = span.unwrap_or((at, at));
        *span = Some((first.min(at), last.max(at)));
    }
}

fn add(sum: &mut Option<u64>, count: Option<u64>) {
    if let Some(count) = count {
        *sum = Some(sum.unwrap_or(0) + count);
    }
}

/// Which indexes were seen: one bit each, so that a million requests cost 125 kB.
#[derive(Debug, Clone, Default)]
struct Bits {
    words: Vec<u64>,
    far: HashSet<u64>,
}

impl Bits {
    /// Beyond this, an index is not one of a dense series (a foreign or broken log).
    const DENSE: u64 = 1 << 28;

    /// Marks `index`; false when it was marked already.
    fn insert(&mut self, index: u64) -> bool {
        let Some(word) = usize::try_from(index / 64).ok().filter(|_| index < Self::DENSE) else {
            return self.far.insert(index);
        };
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    //! One typical record and its stage, for the tests of this folder.

    use super::*;
    use crate::record::{Connection, TokenCounts};

    /// Milliseconds of the run's clock.
    pub fn ms(ms: u64) -> u64 {
        ms * 1_000_000
    }

    /// A cold request on a new connection that reasons before it answers.
    pub fn record() -> Record {
        let count = |server| TokenCounts { server: Some(server), ..TokenCounts::default() };
        Record {
            stage: "cold".into(),
            cell: None,
            rung: None,
            index: 0,
            request_id: "r-0".into(),
            prompt_hash: None,
            session: None,
            due_ns: Some(ms(100)),
            sent_ns: Some(ms(110)),
            connecting_ns: None,
            connected_ns: Some(ms(111)),
            headers_ns: Some(ms(300)),
            first_event_ns: Some(ms(305)),
            first_token_ns: Some(ms(310)),
            first_content_ns: Some(ms(350)),
            last_token_ns: Some(ms(410)),
            usage_ns: Some(ms(420)),
            end_ns: Some(ms(430)),
            token_ns: [310, 350, 350, 410].map(ms).to_vec(),
            outcome: OutcomeKind::Ok,
            http_status: Some(200),
            error: None,
            input_tokens: count(2100),
            output_tokens: count(7),
            reasoning_tokens: None,
            cached_tokens: Some(24),
            cache: CacheState::Cold,
            finish_reason: Some("stop".into()),
            timings: None,
            connection: Connection { reused: false },
            bytes_in: 1000,
            flags: Vec::new(),
        }
    }

    /// The start of a cold stage.
    pub fn stage_start(planned: u64) -> StageStart {
        StageStart {
            stage: "cold".into(),
            kind: "cold".into(),
            cell: None,
            rung: None,
            endpoint: "simulated".into(),
            model: Some("simulated-8b".into()),
            planned,
            expects: Some(CacheState::Cold),
            reported: true,
            load: None,
            thresholds: Vec::new(),
            at_ns: ms(100),
        }
    }

    /// The end of that stage, two seconds later.
    pub fn stage_end(state: StageState) -> StageEnd {
        let reason = (state != StageState::Completed).then(|| "because".to_owned());
        StageEnd {
            stage: "cold".into(),
            cell: None,
            rung: None,
            state,
            reason,
            planned: None,
            aborted: false,
            cpu_ns: None,
            at_ns: ms(2100),
        }
    }

    /// A start line of that stage.
    pub fn start_line(index: u64) -> StartLine {
        let (due_ns, sent_ns) = (ms(100), ms(110));
        StartLine { stage: "cold".into(), cell: None, rung: None, index, due_ns, sent_ns }
    }
}
