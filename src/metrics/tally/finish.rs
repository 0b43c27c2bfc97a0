//! The numbers of a stage that is over.
//!
//! In: a [`StageTally`] and its last line. Out: [`Measured`], and why it must not be trusted if so.
//! Invariant: every planned request is accounted for, or a fault says that it is not.

use std::collections::BTreeMap;

use super::{Column, Measured, StageTally};
use crate::metrics::cache_verdict::verdict;
use crate::metrics::catalogue::Source;
use crate::metrics::contamination;
use crate::metrics::due::{self, Paced};
use crate::metrics::generator;
use crate::metrics::pace::{Came, Pace};
use crate::metrics::quantity::show;
use crate::metrics::rounds::RoundTally;
use crate::metrics::samples::{Order, Samples};
use crate::metrics::steady::part::SteadySummary;
use crate::metrics::summary::{
    CacheSummary, ClientSummary, Distribution, LoadSummary, StageSummary, Throughput,
};
use crate::plan::metric::{Metric, Origin};
use crate::record::{ArrivalLine, CacheState, LoadLine, StageEnd, StageStart, StageState};

/// Metrics that take a stream, and why an answer without one has none.
const STREAMED: [&str; 6] = ["ttft", "ttft_due", "ttfo", "ttfo_due", "tpot", "itl"];
const CAME_WHOLE: &str =
    "the answers came whole, so that nobody saw a first token; `e2e` is the end of the answer";

/// The rates of tokens, by their names in the catalogue.
const INPUT_RATE: &str = "input_tokens_per_second";
const OUTPUT_RATE: &str = "output_tokens_per_second";

impl StageTally {
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
        let sent_all = state == StageState::Completed && reason.is_none();
        let began_ns = self.start.at_ns;
        let untold = self.untold();
        let (steady, unsteady) = self.steady_part(sent_all, &untold);
        let rounds = self.rounds.take().map(RoundTally::finish);
        let finished = self.counts.ok + self.counts.errors;
        let by_rounds = rounds.as_ref().filter(|rounds| !rounds.each.is_empty());
        let pace = self.pace(sent_all);
        let achieved = match by_rounds {
            Some(rounds) => rounds.achieved_rate(),
            None => pace.map(|pace| pace.achieved),
        };
        let pace = pace.filter(|_| by_rounds.is_none());
        // One clock for all rates of a stage: that of the achieved rate where there is a load.
        let rate = achieved.filter(|rate| *rate > 0.0);
        let each =
            self.throughput(rate.map_or(duration_s, |rate| self.counts.ok as f64 / rate), &untold);
        let requests_per_second = rate.or(each.requests_per_second);
        let throughput = Throughput { requests_per_second, ..each };
        let cache = self.cache();
        let knows_all = self.counts.ok == self.counts.planned && !self.is_shared;
        let contamination = self.start.expects.map_or_else(Vec::new, |claim| {
            self.contamination.found(claim, &self.server, knows_all)
        });
        let client = ClientSummary { peak_in_flight: self.flights.peak(), ..self.client };
        let client = self::client(client, end, duration_s);
        let order = Order::of(&self.times);
        let finished_column = |column: Column| column.finished(&order);
        let samples: Vec<_> = self.columns.into_iter().map(finished_column).collect();
        let metrics = distributions(&samples, &untold);
        // Elsewhere what holds a request back is the prompts before it.
        let is_load = self.start.load.is_some();
        let times_from = if is_load { due::times_from(&metrics) } else { Origin::default() };
        let summary = StageSummary {
            goodput: self
                .limits
                .goodput(self.counts.planned, self.counts.ok, throughput.requests_per_second)
                .filter(|_| !untold.contains_key("goodput")),
            windows: self.window_stats,
            rounds,
            steady,
            unsteady,
            probe: None,
            load: load_summary(
                &self.start,
                self.flights.places(),
                (achieved, pace),
                &samples,
                (&client, &metrics),
                generator::is_exhausted(&self.errors),
            ),
            times_from,
            metrics,
            models: self.models.finish(&untold),
            untold,
            id: self.start.stage,
            kind: self.start.kind,
            cell: self.start.cell,
            rung: self.start.rung,
            like: self.start.like,
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
            unreachable: self.unreachable.finish(),
            addresses: self.addresses,
            cache,
            tokens: (self.counts.ok > 0).then_some(self.tokens),
            answers: self.answers.finish(),
            errors: self.errors,
            error_samples: self.error_samples,
            thresholds: Vec::new(),
            flush: self.flush,
            contamination,
            server: self.server.summary(),
        };
        let samples = samples.into_iter().map(|(metric, list)| (metric.name, list)).collect();
        let worst = self.stretches.into_iter().map(|(check, stretch)| {
            let over_ns = check.over_ms.unwrap_or(0).saturating_mul(1_000_000);
            let worst = stretch.worst(&check, over_ns, (began_ns, end_ns));
            (check, worst)
        });
        let worst = worst.collect();
        (Measured { summary, samples, worst, began_ns }, self.faults)
    }

    /// The figures of its steady part, or why there are none.
    fn steady_part(
        &mut self,
        sent_all: bool,
        untold: &BTreeMap<String, String>,
    ) -> (Option<SteadySummary>, Option<String>) {
        let Some(steady) = self.steady.take() else { return (None, None) };
        match steady.finish(self.start.at_ns, sent_all) {
            Ok(mut steady) => {
                steady.metrics.retain(|metric, _| !untold.contains_key(metric));
                let told = steady.output_tokens_per_second;
                steady.output_tokens_per_second =
                    told.filter(|_| !untold.contains_key(OUTPUT_RATE));
                (Some(steady), None)
            }
            Err(why) => (None, Some(why)),
        }
    }

    /// What the cache did: by the answers, else by the server's counters.
    fn cache(&self) -> CacheSummary {
        let by_answers = CacheSummary {
            verdict: self.verdict,
            expected: self.start.expects,
            cached_tokens: self.cached.map(|(cached, ..)| cached),
            prompt_tokens: self.cached.map(|(_, prompt, _)| prompt),
            counted_requests: self.cached.map(|(.., requests)| requests),
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
        self.counts.lost_in_flight = self.flights.open();
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

    /// What a load achieved; `sent_all` says that the plan itself, and nothing else, ended it.
    fn pace(&mut self, sent_all: bool) -> Option<Pace> {
        let (load, pace) = (self.start.load.as_ref()?, self.pace.take()?);
        if load.target_rate.is_none() && load.arrival.is_none() {
            let sent = self.counts.planned - self.counts.never_started.min(self.counts.planned);
            return pace.finish(Came::Users(self.start.concurrency.unwrap_or(1).min(sent)));
        }
        let (first_due, last_due) = pace.due()?;
        let came = self.counts.planned.saturating_sub(self.counts.never_started).max(1) as f64;
        let climbs = load.steady.is_some_and(|steady| steady.climb_ms.is_some());
        let is_drawn = matches!(
            load.arrival,
            Some(ArrivalLine::Poisson | ArrivalLine::Gamma { .. } | ArrivalLine::Log)
        );
        let (from_ns, seconds) = match (load.target_rate, load.duration_ms.filter(|_| sent_all)) {
            (Some(target), _) if came < 2.0 || !(is_drawn || climbs) => (first_due, came / target),
            (_, Some(ms)) => (self.start.at_ns, ms / 1e3),
            // The last one's gap is as long as the others.
            (_, None) => {
                let due_s = last_due.saturating_sub(first_due) as f64 / 1e9;
                (first_due, due_s * came / (came - 1.0).max(1.0))
            }
        };
        pace.finish(Came::Schedule { from_ns, seconds })
    }

    fn throughput(&self, seconds: f64, untold: &BTreeMap<String, String>) -> Throughput {
        let per_second = |count: u64| (seconds > 0.0).then(|| count as f64 / seconds);
        Throughput {
            // Of what was never begun nobody knows a rate.
            requests_per_second: (self.counts.planned > self.counts.never_started)
                .then(|| per_second(self.counts.ok))
                .flatten(),
            input_tokens_per_second: self
                .ok_tokens
                .0
                .filter(|_| !untold.contains_key(INPUT_RATE))
                .and_then(per_second),
            output_tokens_per_second: self
                .ok_tokens
                .1
                .filter(|_| !untold.contains_key(OUTPUT_RATE))
                .and_then(per_second),
            output_events_per_second: self
                .tokens
                .output
                .sums
                .events
                .filter(|_| untold.contains_key(OUTPUT_RATE))
                .and_then(per_second),
        }
    }

    /// The metrics that its answers cannot tell, and why.
    fn untold(&self) -> BTreeMap<String, String> {
        let gaps = shared_gaps(&self.client, self.answers.hides_reads()).map(|why| ("itl", why));
        let whole = STREAMED.iter().filter(|_| self.answers.all_whole(self.counts.ok));
        let whole = whole.map(|metric| (*metric, CAME_WHOLE.to_owned()));
        let all = self.tokens.untold().chain(gaps).chain(whole);
        let mut untold: BTreeMap<String, String> =
            all.map(|(metric, why)| (metric.to_owned(), why)).collect();
        // A limit that nobody can hold an answer against is not kept by it.
        if let Some(why) = self.limits.metrics().find_map(|metric| untold.get(metric).cloned()) {
            untold.insert("goodput".to_owned(), why.clone());
            untold.insert("goodput_share".to_owned(), why);
        }
        untold
    }
}

impl Column {
    fn finished(mut self, order: &Order) -> (&'static Metric, Samples) {
        match self.source {
            // Several samples of one request say nothing of how sure their median is.
            Source::Pooled(_) => self.samples.finish(),
            _ => self.samples.finish_in_time(Some(order), self.metric.unit == "ms"),
        }
        (self.metric, self.samples)
    }
}

/// The finished samples of a metric.
fn of<'s>(samples: &'s [(&'static Metric, Samples)], name: &str) -> Option<&'s Samples> {
    samples.iter().find(|(metric, _)| metric.name == name).map(|(_, samples)| samples)
}

/// What users hid who waited for answers, where they did: by first tokens, for a long answer is none that
/// the server held back.
fn paced(
    load: &LoadLine,
    users: Option<u64>,
    achieved_rate: Option<f64>,
    samples: &[(&'static Metric, Samples)],
) -> Option<Paced> {
    if load.arrival.is_some() || load.target_rate.is_some() {
        return None;
    }
    // Little's law: a user comes round once in so long.
    let every_ms = users? as f64 / achieved_rate.filter(|rate| *rate > 0.0)? * 1e3;
    due::paced(of(samples, "ttft_due")?, every_ms)
}

/// More than this part of the gaps between tokens without a length, and the rest say nothing of how
/// tokens were paced.
const MOST_SHARED: f64 = 0.1;

/// Why gaps between tokens cannot be told, if so.
fn shared_gaps(client: &ClientSummary, hides_reads: bool) -> Option<String> {
    let shared = client.shared_reads as f64 / client.token_gaps.max(1) as f64;
    (shared > MOST_SHARED).then(|| {
        let least = if hides_reads { "at least " } else { "" };
        format!(
            "{least}{} of the gaps between tokens cannot be told: one read of the socket brought both \
             events (the server or something before it sends several at once, or this machine was too busy \
             to see them apart)",
            show(shared, "share")
        )
    })
}

/// What the client did, with what the stage's last line says that it took.
fn client(did: ClientSummary, end: Option<&StageEnd>, duration_s: f64) -> ClientSummary {
    let cpu_s = end.and_then(|end| end.cpu_ns).map(|ns| ns as f64 / 1e9);
    let wake_lag = end.and_then(|end| end.wake_lag);
    ClientSummary {
        cpu_s,
        cpu_share: cpu_s.filter(|_| duration_s > 0.0).map(|cpu| cpu / duration_s),
        wake_lag_p95_ms: wake_lag.map(|lag| lag.p95_ns as f64 / 1e6),
        wake_moments: wake_lag.map_or(0, |lag| lag.count),
        ..did
    }
}

/// The distributions of everything that was sampled and can be told.
fn distributions(
    samples: &[(&'static Metric, Samples)],
    untold: &BTreeMap<String, String>,
) -> BTreeMap<String, Distribution> {
    let told = samples.iter().filter(|(metric, _)| !untold.contains_key(metric.name));
    let metrics = told.filter_map(|(metric, list)| {
        Some((metric.name.to_owned(), list.distribution(metric.unit)?))
    });
    metrics.collect()
}

/// How the load of a stage fared, if it has one.
fn load_summary(
    start: &StageStart,
    places: u64,
    (achieved_rate, pace): (Option<f64>, Option<Pace>),
    samples: &[(&'static Metric, Samples)],
    (client, metrics): (&ClientSummary, &BTreeMap<String, Distribution>),
    is_exhausted: bool,
) -> Option<LoadSummary> {
    let median = metrics.get("ttft").or_else(|| metrics.get("e2e")).map(|times| times.p50);
    let schedule = pace.and_then(|pace| pace.schedule);
    let lag = of(samples, "schedule_lag").and_then(|lags| lags.percentile(99.0));
    start.load.as_ref().map(|load| LoadSummary {
        paced: paced(load, start.concurrency, achieved_rate, samples),
        target_rate: load.target_rate,
        achieved_rate,
        achieved_interval: pace.and_then(|pace| pace.interval),
        keeping_up: schedule.map(|schedule| schedule.keeping_up),
        backlog: schedule.and_then(|schedule| schedule.growth),
        needed_s: schedule.and_then(|schedule| schedule.needed_s),
        generator_limited: is_exhausted
            || generator::too_late(client, load.max_lag_ms, median).is_some()
            || lag.zip(load.max_lag_ms).is_some_and(|(lag, limit)| lag > limit),
        max_lag_ms: load.max_lag_ms,
        peak_in_flight: (client.peak_in_flight > 0).then_some(client.peak_in_flight),
        capped_at: start.concurrency.filter(|most| load.target_rate.is_some() && places >= *most),
        pauses: load.pauses,
    })
}

#[cfg(test)]
mod tests;
