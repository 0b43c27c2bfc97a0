//! How many requests an endpoint answered per second, and whether it kept up with those that came.
//!
//! In: the requests of a stage of load. Out: a [`Pace`]. Invariants: every request counts for one, so
//! that no single slow answer decides; latency alone never says that an endpoint fell behind; what
//! chance, or a stage that is too short, explains as well "can't be told".
//!
//! On a schedule, what grows decides: the backlog (requests that were due and had not ended) and the
//! wait (from due to the end). The time in which requests came is cut into twelve slices, of which the
//! first two are left to the climb from an empty server. Over the other ten
//!
//! - it **fell behind** where the backlog grew by more than 1 % of the requests that came, by more than
//!   the sum of ten independent increments does by chance (Student's t), and the medians of the wait
//!   rise, too (a regression whose error knows how neighbours hang together);
//! - it **kept up** where the backlog surely grew by less than 5 % of them, be it by independent
//!   increments, the wait surely rises by less than 5 % of the time, and the stage lasted
//!   ten latencies and held 30 requests or more;
//! - else it can't be told, and a length is named that would do, unless too little was seen to say that.
//!
//! In a closed loop nothing can fall behind: answers decide when the next request is sent.

use serde::{Deserialize, Serialize};

use super::distribution::percentile;
use super::effective::student;
use super::steady::part::MOST;
use super::thinned::Thinned;
use crate::record::{OutcomeKind, Record};

/// Slices that are looked at…
const SLICES: usize = 10;
/// …after so many that the climb from an empty server is left.
const HEAD: usize = 2;
/// Share of what came by which a backlog that fell behind grew at least…
const MATERIAL: f64 = 0.01;
/// …and by which one of an endpoint that kept up surely grew less. The same for the wait, per time.
pub const HARMLESS: f64 = 0.05;
/// Student's t of nine degrees of freedom that is exceeded with 10 %. The wait must agree, so that less
/// than 5 % of the steps above a limit are said to have been kept up with (docs/statistics.md).
const ONE_SIDED: f64 = 1.383;
/// Latencies that a stage must last to be told from one that has yet to fill the server…
const LATENCIES: f64 = 10.0;
/// …the quickest of them that it must last for a backlog to be more than that…
const LEAST_LATENCIES: f64 = 3.0;
/// …and the requests that it must hold.
const REQUESTS: f64 = 30.0;
/// A step of so many times the latencies that tell it from one that has yet to fill the server is told
/// mostly…
const ROOM: f64 = 4.0;
/// …and one that is so many times as long as one that was not, at least…
const LEAST: f64 = 2.0;
/// …at most, for of a longer one too little was seen to say what would do.
const MOST_TIMES: f64 = 30.0;
/// Part of the time of a closed loop that must be left once every user has had an answer.
const LEAST_SETTLED: f64 = 1.0 / 3.0;

/// Whether an endpoint kept up with the requests that came on a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepingUp {
    /// Neither its backlog nor the wait grew.
    KeptUp,
    /// Both grew, by more than chance.
    FellBehind,
    /// The stage is too short, or chance too large, to tell.
    Unclear,
}

/// What the requests of a stage came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Complete answers per second.
    pub achieved: f64,
    /// Its 95 % interval where the endpoint, and not the schedule, decided it.
    pub interval: Option<(f64, f64)>,
    /// Where requests came on a schedule.
    pub schedule: Option<Schedule>,
}

/// How requests that came on a schedule were kept up with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The verdict.
    pub keeping_up: KeepingUp,
    /// How the backlog grew; `None` with too few requests, and where a stage that did not fall behind is
    /// shorter than ten latencies.
    pub growth: Option<Growth>,
    /// Where it can't be told, how many seconds of requests would mostly do, unless the rate is within 5 % of
    /// the limit; `None` where too little was seen to say that.
    pub needed_s: Option<f64>,
}

/// How the backlog of a stage grew over the slices that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Growth {
    /// Requests that came per second.
    pub came_per_second: f64,
    /// The share of them by which the backlog grew; below 0 where it shrank.
    pub share: f64,
    /// The standard error of that share, of ten increments.
    pub error: f64,
}

/// When the requests of a load come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Came {
    /// On a schedule, over so many seconds from that time on.
    Schedule {
        /// When the first may come.
        from_ns: u64,
        /// How long they come.
        seconds: f64,
    },
    /// Whenever one of so many users had an answer.
    Users(u64),
}

#[derive(Debug, Clone, Copy)]
struct Request {
    due_ns: u64,
    sent_ns: u64,
    end_ns: u64,
    is_ok: bool,
}

/// The requests of a stage that still runs.
#[derive(Debug, Clone)]
pub struct PaceTally {
    requests: Thinned<Request>,
    answers: u64,
    /// First and last.
    due: Option<(u64, u64)>,
    sent: Option<(u64, u64)>,
    last_answer_ns: u64,
}

impl Default for PaceTally {
    fn default() -> Self {
        let requests = Thinned::new(MOST, |_| 1);
        Self { requests, answers: 0, due: None, sent: None, last_answer_ns: 0 }
    }
}

impl PaceTally {
    /// A request ended.
    pub fn take(&mut self, record: &Record) {
        widen(&mut self.due, record.due_ns);
        widen(&mut self.sent, record.sent_ns);
        let end_ns = record.answered_ns().or(record.end_ns);
        let (Some(sent_ns), Some(end_ns)) = (record.sent_ns, end_ns) else { return };
        let is_ok = record.outcome == OutcomeKind::Ok;
        if is_ok {
            self.answers += 1;
            self.last_answer_ns = self.last_answer_ns.max(end_ns);
        }
        let due_ns = record.due_ns.unwrap_or(sent_ns);
        self.requests.put(record.index, || Request { due_ns, sent_ns, end_ns, is_ok });
    }

    /// When the first and the last request were due.
    pub fn due(&self) -> Option<(u64, u64)> {
        self.due
    }

    /// What they came to; `None` without an answer.
    pub fn finish(self, came: Came) -> Option<Pace> {
        if self.answers == 0 {
            return None;
        }
        match came {
            Came::Schedule { from_ns, seconds } => self.scheduled(from_ns, seconds),
            Came::Users(users) => self.of_users(users),
        }
    }

    fn scheduled(self, from_ns: u64, seconds: f64) -> Option<Pace> {
        if seconds <= 0.0 {
            return None;
        }
        let slices = Slices { from_ns, slice_s: seconds / (SLICES + HEAD) as f64 };
        let requests: Vec<Request> = self.requests.kept.iter().map(|(_, it)| *it).collect();
        let schedule = slices.judge(&requests, self.requests.each as f64);
        if schedule.keeping_up == KeepingUp::FellBehind {
            let mut answered = [0.0; SLICES];
            for request in requests.iter().filter(|request| request.is_ok) {
                if let Some(slice) = slices.holding(request.end_ns) {
                    answered[slice] += self.requests.each as f64 / slices.slice_s;
                }
            }
            let (achieved, interval) = mean_rate(&answered);
            return Some(Pace { achieved, interval, schedule: Some(schedule) });
        }
        // Only an endpoint that is known to keep up is known to answer as often as it is asked. Else the
        // time of the answers counts, too; the last of them alone may be a straggler.
        let took = if schedule.keeping_up == KeepingUp::KeptUp {
            seconds
        } else {
            let mut waits: Vec<f64> =
                requests.iter().filter(|it| it.is_ok).map(Request::wait_s).collect();
            waits.sort_unstable_by(f64::total_cmp);
            let last = self.last_answer_ns.saturating_sub(from_ns) as f64 / 1e9;
            (seconds + percentile(&waits, 90.0).unwrap_or(0.0)).min(last).max(seconds)
        };
        let achieved = self.answers as f64 / took;
        Some(Pace { achieved, interval: None, schedule: Some(schedule) })
    }

    /// From when as many answers had ended as there are users, so that the burst with which they began
    /// is over, to when the last request was sent. An answer counts by the part of its time in between.
    fn of_users(mut self, users: u64) -> Option<Pace> {
        let (first_ns, last_ns) = self.sent?;
        let each = self.requests.each;
        self.requests.kept.sort_unstable_by_key(|(_, request)| request.end_ns);
        let place = usize::try_from(users.div_ceil(each).max(1) - 1).unwrap_or(usize::MAX);
        let settled = self.requests.kept.get(place).map(|(_, request)| request.end_ns);
        let enough = |from: &u64| {
            last_ns.saturating_sub(*from) as f64
                >= LEAST_SETTLED * last_ns.saturating_sub(first_ns) as f64
        };
        let Some(from_ns) = settled.filter(|_| last_ns > first_ns).filter(enough) else {
            let took = self.last_answer_ns.saturating_sub(first_ns) as f64 / 1e9;
            let achieved = self.answers as f64 / took;
            return (took > 0.0).then_some(Pace { achieved, interval: None, schedule: None });
        };
        let slice = last_ns.saturating_sub(from_ns) as f64 / SLICES as f64;
        let mut answered = [0.0; SLICES];
        for (_, request) in self.requests.kept.iter().filter(|(_, request)| request.is_ok) {
            let at = |ns: u64| ns as f64 - from_ns as f64;
            let (sent, ended) =
                (at(request.sent_ns), at(request.end_ns).max(at(request.sent_ns) + 1.0));
            for (number, answered) in answered.iter_mut().enumerate() {
                let (from, to) = (number as f64 * slice, (number + 1) as f64 * slice);
                let inside = (ended.min(to) - sent.max(from)).max(0.0);
                *answered += inside / (ended - sent) * each as f64 / slice * 1e9;
            }
        }
        let (achieved, interval) = mean_rate(&answered);
        let interval = interval.filter(|_| self.answers as f64 >= REQUESTS + users as f64);
        (achieved > 0.0).then_some(Pace { achieved, interval, schedule: None })
    }
}

/// The time in which requests came.
#[derive(Debug, Clone, Copy)]
struct Slices {
    from_ns: u64,
    slice_s: f64,
}

impl Slices {
    /// The slice that is looked at in which something happened.
    fn holding(self, at_ns: u64) -> Option<usize> {
        let edges = (0..=SLICES).map(|number| self.edge(number));
        let begun = edges.take_while(|edge| *edge <= at_ns as f64).count();
        begun.checked_sub(1).filter(|slice| *slice < SLICES)
    }

    fn edge(self, number: usize) -> f64 {
        self.from_ns as f64 + (HEAD + number) as f64 * self.slice_s * 1e9
    }

    /// Whether the requests, each of which stands for `each`, were kept up with.
    fn judge(self, requests: &[Request], each: f64) -> Schedule {
        let seconds = self.slice_s * (SLICES + HEAD) as f64;
        let mut waits: Vec<f64> = requests.iter().map(Request::wait_s).collect();
        waits.sort_unstable_by(f64::total_cmp);
        let latencies = LATENCIES * percentile(&waits, 50.0).unwrap_or(f64::INFINITY);
        let unclear =
            |growth, needed_s| Schedule { keeping_up: KeepingUp::Unclear, growth, needed_s };
        if (requests.len() as f64 * each) < REQUESTS {
            return unclear(None, None);
        }
        let Some((growth, wait)) = self.growth(requests, each).zip(self.wait(requests)) else {
            return unclear(None, None);
        };
        let beyond = student((SLICES - 1) as f64) * growth.error;
        // Requests that take longer than a third of the stage pile up in any server at first. Where it
        // is overloaded the first of them, at least, do not take long.
        let has_filled =
            percentile(&waits, 10.0).is_some_and(|quick| seconds >= LEAST_LATENCIES * quick);
        if has_filled && growth.share > MATERIAL.max(beyond) && wait.slope > wait.chance {
            let keeping_up = KeepingUp::FellBehind;
            return Schedule { keeping_up, growth: Some(growth), needed_s: None };
        }
        // One side of a backlog that grows by independent increments. Those of one that comes and goes
        // undo each other, but nobody knows yet that it does.
        let at_most = growth.share + ONE_SIDED * growth.error;
        let stands = at_most < HARMLESS && wait.slope + wait.chance < HARMLESS;
        if stands && seconds >= latencies {
            let keeping_up = KeepingUp::KeptUp;
            return Schedule { keeping_up, growth: Some(growth), needed_s: None };
        }
        // Errors fall with the root of the time, and once a queue has come and gone often with the time.
        // Three quarters as much again, for a short step has not seen how far a queue goes.
        let noise = (1.75 * beyond.max(wait.chance) / HARMLESS).powf(1.5).max(LEAST);
        let needed = (seconds * noise).max(ROOM * latencies);
        let needed_s = (needed <= MOST_TIMES * seconds).then(|| round_up(needed));
        // A server that has yet to fill tells nothing by its backlog.
        unclear((seconds >= latencies).then_some(growth), needed_s)
    }

    fn growth(self, requests: &[Request], each: f64) -> Option<Growth> {
        let sorted = |of: fn(&Request) -> u64| {
            let mut times: Vec<u64> = requests.iter().map(of).collect();
            times.sort_unstable();
            times
        };
        let (due, ended) = (sorted(|it| it.due_ns), sorted(|it| it.end_ns));
        let before = |times: &[u64], number: usize| {
            let edge = self.edge(number);
            times.partition_point(|at| (*at as f64) < edge) as f64
        };
        let backlog = |number: usize| before(&due, number) - before(&ended, number);
        let grew: Vec<f64> =
            (0..SLICES).map(|number| each * (backlog(number + 1) - backlog(number))).collect();
        let came = each * (before(&due, SLICES) - before(&due, 0));
        let total: f64 = grew.iter().sum();
        let mean = total / SLICES as f64;
        let squares: f64 = grew.iter().map(|it| (it - mean).powi(2)).sum();
        let error = (squares / (SLICES - 1) as f64 * SLICES as f64).sqrt();
        (came > 0.0).then(|| Growth {
            came_per_second: came / (self.slice_s * SLICES as f64),
            share: total / came,
            // Of a count nobody knows less than one request.
            error: error.max(each) / came,
        })
    }

    /// How the medians of the wait rise from slice to slice, in seconds a second.
    fn wait(self, requests: &[Request]) -> Option<Trend> {
        let mut waits: [Vec<f64>; SLICES] = Default::default();
        for request in requests {
            if let Some(slice) = self.holding(request.due_ns) {
                waits[slice].push(request.wait_s());
            }
        }
        let points = waits.iter_mut().enumerate().filter_map(|(slice, waits)| {
            waits.sort_unstable_by(f64::total_cmp);
            Some((slice as f64 * self.slice_s, percentile(waits, 50.0)?))
        });
        trend(&points.collect::<Vec<_>>())
    }
}

impl Request {
    fn wait_s(&self) -> f64 {
        self.end_ns.saturating_sub(self.due_ns) as f64 / 1e9
    }
}

/// A straight line through points.
#[derive(Debug, Clone, Copy)]
struct Trend {
    slope: f64,
    /// How far chance alone takes the slope from zero (95 %).
    chance: f64,
}

/// The least squares' line; its error is larger by what neighbouring residuals have in common.
fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let n = points.len() as f64;
    if points.len() < SLICES / 2 {
        return None;
    }
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), it| (x + it.0 / n, y + it.1 / n));
    let spread: f64 = points.iter().map(|it| (it.0 - x).powi(2)).sum();
    let slope = points.iter().map(|it| (it.0 - x) * (it.1 - y)).sum::<f64>() / spread;
    let away: Vec<f64> = points.iter().map(|it| it.1 - y - slope * (it.0 - x)).collect();
    let squares: f64 = away.iter().map(|it| it * it).sum();
    let shared: f64 = away.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let alike = if squares > 0.0 { (shared / squares).clamp(0.0, 0.9) } else { 0.0 };
    let error = (squares / (n - 2.0) / spread * (1.0 + alike) / (1.0 - alike)).sqrt();
    Some(Trend { slope, chance: student(n - 2.0) * error })
}

/// The mean of the rates of slices, and its 95 % interval.
fn mean_rate(rates: &[f64; SLICES]) -> (f64, Option<(f64, f64)>) {
    let n = SLICES as f64;
    let mean = rates.iter().sum::<f64>() / n;
    let squares: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
    let half = student(n - 1.0) * (squares / (n - 1.0) / n).sqrt();
    (mean, Some(((mean - half).max(0.0), mean + half)))
}

/// The length that would do for all questions, of those that would for each; `None` where one is not known.
pub fn for_all(needed: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    needed.reduce(|one, other| Some(one?.max(other?))).flatten()
}

/// Two digits, not below `value`.
pub fn round_up(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    if unit < 1.0 {
        (value / unit).ceil() / (1.0 / unit).round()
    } else {
        (value / unit).ceil() * unit
    }
}

/// Widens a span of time so that it holds `at`.
fn widen(span: &mut Option<(u64, u64)>, at: Option<u64>) {
    if let Some(at) = at {
        let (first, last) = span.unwrap_or((at, at));
        *span = Some((first.min(at), last.max(at)));
    }
}

#[cfg(test)]
mod tests;
