//! The records of a stage of load → the figures of its steady part.
//!
//! In: records as they end. Out: a [`SteadySummary`] beside those of the whole, or why there is
//! none. Invariants: a request belongs to the moment when it was due; up to [`MOST`] answers every
//! figure is exact, beyond that one of two, four, … stands for its neighbours, so that memory
//! does not grow with the length of a stage; the same records in any order give the same figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MIN_POINTS, Point, Span, Unsteady, burst_end, plateau};
use crate::metrics::catalogue::{self, Source};
use crate::metrics::distribution;
use crate::metrics::quantity::{plural, show};
use crate::metrics::samples::{Order, Samples};
use crate::metrics::summary::Distribution;
use crate::metrics::thinned::Thinned;
use crate::plan::metric;
use crate::record::{OutcomeKind, Record, SteadyLine};

/// Most answers, and most failures, that are kept.
pub const MOST: usize = 16_384;

/// Most gaps between tokens that are kept (1 MiB).
pub const MOST_GAPS: usize = 131_072;

/// The metrics with one value of each answer that have figures of the steady part.
const METRICS: [&str; 7] = ["ttft", "ttft_due", "ttfo", "tpot", "e2e", "e2e_due", "output_tokens"];

/// So many requests of each user are looked at for the opening burst: a slow first answer ends after
/// the second ones of other users.
const OPENING: u64 = 4;

/// The metric with many values of each answer.
const ITL: &str = "itl";

/// Its place among [`METRICS`].
const TTFT_DUE: usize = 1;
/// Its place among [`METRICS`].
const E2E_DUE: usize = 5;
/// Its place among [`METRICS`].
const OUTPUT_TOKENS: usize = 6;

/// The figures of a stage's steady part. Latencies are those of requests that were due in it,
/// throughput is that of answers that ended in it. Beyond 16,384 answers, counts are in steps of 2, 4,
/// … and percentiles those of a sample of so many, one of each block of neighbours; gaps between tokens (`itl`) are those
/// of such a sample of answers from 131,072 gaps on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SteadySummary {
    /// How it was told from the rest.
    pub by: SteadyBy,
    /// Its beginning, in seconds from the stage's start.
    pub from_s: f64,
    /// Its end, in seconds from the stage's start.
    pub to_s: f64,
    /// True when it is all the time in which requests were sent.
    pub whole: bool,
    /// Requests that were due in it and were sent or dropped.
    pub requests: u64,
    /// Those with a complete answer.
    pub ok: u64,
    /// ok / (ok + errors); absent without either.
    pub success_rate: Option<f64>,
    /// Complete answers per second.
    pub requests_per_second: f64,
    /// Generated tokens of complete answers per second; absent where nobody counted them.
    pub output_tokens_per_second: Option<f64>,
    /// Distributions by metric name; a metric without samples is absent.
    pub metrics: BTreeMap<String, Distribution>,
}

/// How a steady part was told from the rest of its stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SteadyBy {
    /// By the plan's `warmup` and `cooldown`.
    Windows,
    /// By its latencies: the stretch in which they neither rise nor fall.
    Plateau,
}

/// A complete answer.
#[derive(Debug, Clone, Copy)]
struct Answer {
    due_ns: u64,
    sent_ns: u64,
    end_ns: u64,
    /// NaN where it has no such figure.
    values: [f64; METRICS.len()],
}

/// A request without one.
#[derive(Debug, Clone, Copy)]
struct Failure {
    due_ns: u64,
    is_error: bool,
}

/// The records of a stage so far.
#[derive(Debug, Clone)]
pub struct SteadyTally {
    line: SteadyLine,
    answers: Thinned<Answer>,
    /// Gaps between the tokens of answers, with when those were due.
    gaps: Thinned<(u64, Box<[f64]>)>,
    failures: Thinned<Failure>,
    /// (sent, end) of the first requests of a closed loop to end.
    opening: Vec<(u64, u64)>,
    last_due_ns: u64,
}

impl SteadyTally {
    /// A stage that has just begun.
    pub fn new(line: SteadyLine) -> Self {
        Self {
            line,
            answers: Thinned::new(MOST, |_| 1),
            gaps: Thinned::new(MOST_GAPS, |(_, gaps)| gaps.len().max(1)),
            failures: Thinned::new(MOST, |_| 1),
            opening: Vec::new(),
            last_due_ns: 0,
        }
    }

    /// A request ended.
    pub fn take(&mut self, record: &Record) {
        let Some(due_ns) = record.due_ns else { return };
        self.last_due_ns = self.last_due_ns.max(due_ns);
        let end_ns = record.last_token_ns.or(record.end_ns).unwrap_or(due_ns);
        if let (Some(users), Some(sent)) = (self.line.users, record.sent_ns)
            && (self.opening.len() as u64) < users.saturating_mul(OPENING)
        {
            self.opening.push((sent, end_ns));
        }
        if record.outcome == OutcomeKind::Ok {
            let values = METRICS.map(|name| match catalogue::source(name) {
                Some(Source::Request(take)) => take(record).unwrap_or(f64::NAN),
                _ => f64::NAN,
            });
            let sent_ns = record.sent_ns.unwrap_or(due_ns);
            self.answers.put(record.index, || Answer { due_ns, sent_ns, end_ns, values });
            if let Some(Source::Pooled(take)) = catalogue::source(ITL) {
                self.gaps.put(record.index, || {
                    let mut gaps = Vec::with_capacity(record.token_ns.len());
                    take(record, &mut gaps);
                    (due_ns, gaps.into_boxed_slice())
                });
            }
        } else {
            let is_error = record.outcome.is_error();
            self.failures.put(record.index, || Failure { due_ns, is_error });
        }
    }

    /// The steady part of a stage that began at `began_ns`, or why there is none. `sent_all` says
    /// that the plan itself, and nothing else, ended it.
    pub fn finish(mut self, began_ns: u64, sent_all: bool) -> Result<SteadySummary, String> {
        let length = self.line.length_ms.filter(|_| sent_all).map(ns);
        let last_ns = self.last_due_ns.saturating_sub(began_ns).saturating_add(1);
        // Requests of a burst are due at once; what ended first among them is chance.
        self.answers.kept.sort_unstable_by_key(|(index, answer)| (answer.due_ns, *index));
        let whole = Span { start_ns: 0, end_ns: length.unwrap_or(last_ns) };
        let (warmup, cooldown) = (self.line.warmup_ms, self.line.cooldown_ms);
        let by = if warmup.or(cooldown).is_some() { SteadyBy::Windows } else { SteadyBy::Plateau };
        let climb = self.line.climb_ms.map_or(0, ns);
        let burst = self.burst(began_ns);
        let (head, tail) = (warmup.map_or(0, ns), cooldown.map_or(0, ns));
        let span = whole.trimmed(head.max(climb).max(burst), tail).ok_or_else(|| {
            let why = match by {
                SteadyBy::Windows => "`warmup` and `cooldown` leave nothing of it",
                SteadyBy::Plateau if climb > burst => "its load climbed until it ended",
                SteadyBy::Plateau => "it was as short as the burst that it began with",
            };
            why.to_owned()
        })?;
        let span = match by {
            SteadyBy::Windows => span,
            SteadyBy::Plateau => self.plateau(began_ns, span)?,
        };
        Ok(self.figures(by, began_ns, span, span == whole))
    }

    /// How long the opening burst of a closed loop lasts. That of a load that climbs is no burst.
    fn burst(&self, began_ns: u64) -> u64 {
        let users = self.line.users.filter(|_| self.line.climb_ms.is_none());
        let users = users.and_then(|users| usize::try_from(users).ok()).unwrap_or(0);
        burst_end(&self.opening, users).map_or(0, |end| end.saturating_sub(began_ns))
    }

    fn plateau(&self, began_ns: u64, span: Span) -> Result<Span, String> {
        let points = |metric: usize| -> Vec<Point> {
            let points = self.answers.kept.iter().map(|(_, answer)| Point {
                at_ns: answer.due_ns.saturating_sub(began_ns),
                value: answer.values[metric],
            });
            points.filter(|point| span.holds(point.at_ns) && !point.value.is_nan()).collect()
        };
        let stepped = |name: &str, from: f64, to: f64, at_ns: u64| {
            let at = show(at_ns as f64 / 1e6, "ms");
            format!("its {name} stepped from {} to {} at {at}", show(from, "ms"), show(to, "ms"))
        };
        // First tokens show a step that answers of many lengths hide.
        if let Err(Unsteady::Stepped { from, to, at_ns }) = plateau(&points(TTFT_DUE), span) {
            return Err(stepped("TTFT", from, to, at_ns));
        }
        let points = points(E2E_DUE);
        plateau(&points, span).map_err(|why| match why {
            Unsteady::Stepped { from, to, at_ns } => stepped("E2E", from, to, at_ns),
            Unsteady::TooFew if points.len() >= MIN_POINTS => {
                let have = plural(points.len() as u64, "answer");
                format!("too few answers to tell a trend from chance ({have})")
            }
            Unsteady::TooFew => {
                let have = plural(points.len() as u64, "answer");
                format!("too few answers to tell ({have}, at least {MIN_POINTS} are needed)")
            }
            Unsteady::Rising => "its latency still rose when it ended".to_owned(),
            Unsteady::Falling => "its latency still fell when it ended".to_owned(),
        })
    }

    fn figures(&self, by: SteadyBy, began_ns: u64, span: Span, whole: bool) -> SteadySummary {
        let holds = |at_ns: u64| span.holds(at_ns.saturating_sub(began_ns));
        let all = || self.answers.kept.iter().map(|(_, answer)| answer);
        let due: Vec<&Answer> = all().filter(|answer| holds(answer.due_ns)).collect();
        let failed: Vec<Failure> = self.failures.kept.iter().map(|(_, failure)| *failure).collect();
        let failed: Vec<Failure> = failed.into_iter().filter(|it| holds(it.due_ns)).collect();
        let ok = due.len() as u64 * self.answers.each;
        let errors = failed.iter().filter(|it| it.is_error).count() as u64 * self.failures.each;
        let ended: Vec<&Answer> = all().filter(|answer| holds(answer.end_ns)).collect();
        let per_second = |sum: f64| sum * self.answers.each as f64 / span.seconds();
        let tokens = ended.iter().map(|answer| answer.values[OUTPUT_TOKENS]);
        let tokens: Vec<f64> = tokens.filter(|tokens| !tokens.is_nan()).collect();
        // Those that were sent before the part began are in flight in it, too.
        let in_flight: Vec<(u64, u64)> =
            all().map(|answer| (answer.sent_ns, answer.end_ns)).collect();
        let metrics = METRICS.iter().enumerate().filter_map(|(place, name)| {
            let unit = metric::find(name)?.unit;
            let (mut values, mut times) = (Samples::default(), Vec::new());
            for answer in due.iter().filter(|answer| !answer.values[place].is_nan()) {
                values.push(answer.values[place]);
                times.push((answer.sent_ns, answer.end_ns));
            }
            values.finish_in_time(Some(&Order::among(&times, &in_flight)), unit == "ms");
            let found = values.distribution(unit)?;
            Some(((*name).to_owned(), Distribution { histogram: None, ..found }))
        });
        let gaps = self.gaps.kept.iter().map(|(_, gaps)| gaps).filter(|(due, _)| holds(*due));
        let mut gaps: Vec<f64> = gaps.flat_map(|(_, gaps)| gaps.iter().copied()).collect();
        gaps.sort_unstable_by(f64::total_cmp);
        let gaps = metric::find(ITL).and_then(|itl| distribution::distribution(&gaps, itl.unit));
        SteadySummary {
            by,
            from_s: span.start_ns as f64 / 1e9,
            to_s: span.end_ns as f64 / 1e9,
            whole,
            requests: ok + failed.len() as u64 * self.failures.each,
            ok,
            success_rate: (ok + errors > 0).then(|| ok as f64 / (ok + errors) as f64),
            requests_per_second: per_second(ended.len() as f64),
            output_tokens_per_second: (!tokens.is_empty())
                .then(|| per_second(tokens.iter().sum::<f64>())),
            metrics: metrics.chain(gaps.map(|gaps| (ITL.to_owned(), gaps))).collect(),
        }
    }
}

/// Milliseconds as nanoseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of a plan's duration; what a broken log says saturates"
)]
fn ns(ms: f64) -> u64 {
    (ms * 1e6).round() as u64
}

#[cfg(test)]
mod tests;
