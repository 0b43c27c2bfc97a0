//! Where an endpoint saturates, and what to run it at.
//!
//! In: one [`Rung`] per level of a ladder or ramp. Out: a [`Saturation`]: its capacity, the highest
//! sustainable level, the level of best throughput, where errors and tail latency rise. What may be said
//! of it is for [`claims`](super::claims). Invariants: a rung on which the generator was the bottleneck,
//! whose level never came about, or of which it can't be told whether it was kept up with, counts neither
//! for nor against the endpoint; latency alone never saturates a rung; a ladder that was not run to its
//! end, or was never answered, has no figures; there is no recommendation without a limit.

use serde::{Deserialize, Serialize};

use super::pace::{HARMLESS, KeepingUp, for_all};

mod stages;

pub use stages::of_stages;

/// What a ladder raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Requests per second.
    Rate,
    /// Requests in flight.
    Concurrency,
}

/// One level's figures, of its steady part where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rung {
    /// The rate asked for, or the concurrency.
    pub level: f64,
    /// Complete answers per second.
    pub achieved: f64,
    /// How many they were, which is what that figure is worth beside others.
    pub answers: u64,
    /// Its 95 % interval, where there is one.
    pub interval: Option<(f64, f64)>,
    /// On a rate ladder, whether the requests that came were kept up with; on a ramp, `Unclear` where
    /// there were too few of them to tell its throughput.
    pub keeping_up: Option<KeepingUp>,
    /// Where that can't be told, how many seconds of requests would mostly do.
    pub needed_s: Option<f64>,
    /// ok / (ok + errors), 0 to 1; `None` when nothing ended.
    pub success_rate: Option<f64>,
    /// Median latency in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile of latency in milliseconds.
    pub p99_ms: Option<f64>,
    /// Median time to first token in milliseconds.
    pub ttft_p50_ms: Option<f64>,
    /// Generated tokens per second.
    pub output_tokens_per_second: Option<f64>,
    /// Whether the stage's thresholds held, if it has any.
    pub thresholds_held: Option<bool>,
    /// True when the generator was the bottleneck: the rung says nothing about the endpoint.
    pub generator_limited: bool,
    /// True when fewer requests were under way than the level asks for: it says nothing of that level.
    pub not_reached: bool,
    /// True when the plan's `stop_when` ended it early: its figures are of the beginning of a level.
    pub stopped: bool,
}

impl Rung {
    /// Whether it says anything: one that was stopped does if it failed until then.
    fn tells(&self, limits: &Limits) -> bool {
        !self.stopped || !signs(self, limits).is_empty()
    }
}

/// What counts as saturated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Least success rate of a sustainable level.
    pub min_success: f64,
    /// p99 has risen when it is this many times that of the lowest level.
    pub p99_factor: f64,
    /// A higher concurrency is worth it only when it achieves this many times the throughput …
    pub least_gain: f64,
    /// … and at least this share more for each doubling of the median latency (of E2E or TTFT,
    /// whichever grows more).
    pub gain_per_doubling: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { min_success: 0.99, p99_factor: 3.0, least_gain: 1.05, gain_per_doubling: 0.1 }
    }
}

/// Why a level is not sustainable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Too many requests failed.
    Errors,
    /// The endpoint did not keep up with the asked rate.
    Throughput,
    /// A threshold of the plan failed.
    Threshold,
    /// Throughput stopped growing with concurrency.
    Flat,
}

/// What a ladder or ramp found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Saturation {
    /// What was raised.
    pub axis: Axis,
    /// The lowest level that is saturated; absent when none was.
    pub saturated_at: Option<f64>,
    /// How that showed.
    pub signs: Vec<Sign>,
    /// The highest level below it that holds up; absent when not even the lowest does.
    pub sustainable: Option<f64>,
    /// Complete answers per second at best: the endpoint's capacity when `saturated_at` is there,
    /// else only what it was asked for. The mean over the levels that can't be told from the highest by
    /// their intervals, where those have any, each by its number of answers.
    pub best_requests_per_second: Option<f64>,
    /// Their 95 % interval, where the endpoint and not the schedule decided them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_interval: Option<(f64, f64)>,
    /// The lowest level that achieved them.
    pub best_at: Option<f64>,
    /// Generated tokens per second at best.
    pub best_output_tokens_per_second: Option<f64>,
    /// Levels above `saturated_at` that held up nevertheless: what was seen in between may be a
    /// disturbance and not the endpoint's limit. On rate ladders only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_above: Vec<f64>,
    /// The lowest level with a success rate under the limit.
    pub errors_rise_at: Option<f64>,
    /// The lowest level whose p99 is far above that of the lowest level.
    pub p99_rises_at: Option<f64>,
    /// 70 to 80 % of the sustainable level, where production may run with headroom; absent unless
    /// `saturated_at` is there.
    pub recommended: Option<(f64, f64)>,
    /// Levels at which the generator was the bottleneck.
    pub generator_limited: Vec<f64>,
    /// Levels of concurrency at which fewer requests were under way than they ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_reached: Vec<f64>,
    /// Levels of which it can't be told whether they hold: their steps were too short or held too few
    /// requests, or they lie within the interval of what the endpoint answers at best.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unclear: Vec<f64>,
    /// The step, in seconds, that would mostly do for all of them but such as are within 5 % of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_s: Option<f64>,
    /// True when levels were not run to their end, so that there are no figures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// Why there are no figures though levels were run: the run as a whole cannot be trusted, or the
    /// levels met different caches (shares of prompt tokens more than 0.1 apart).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

impl Saturation {
    /// Takes its figures away, for that reason; what is no figure of the endpoint stays.
    pub(super) fn withhold(&mut self, why: &str) {
        *self = Self {
            generator_limited: std::mem::take(&mut self.generator_limited),
            not_reached: std::mem::take(&mut self.not_reached),
            incomplete: self.incomplete,
            withheld: Some(why.to_owned()),
            ..Self::unknown(self.axis)
        };
    }

    /// Nothing is known.
    fn unknown(axis: Axis) -> Self {
        Self {
            axis,
            saturated_at: None,
            signs: Vec::new(),
            sustainable: None,
            best_requests_per_second: None,
            best_interval: None,
            best_at: None,
            best_output_tokens_per_second: None,
            held_above: Vec::new(),
            errors_rise_at: None,
            p99_rises_at: None,
            recommended: None,
            generator_limited: Vec::new(),
            not_reached: Vec::new(),
            unclear: Vec::new(),
            needed_s: None,
            incomplete: false,
            withheld: None,
        }
    }
}

/// Shares of the sustainable level that leave headroom for bursts and for a lost replica.
pub const HEADROOM: (f64, f64) = (0.7, 0.8);

/// Reads `rungs` (in any order).
pub fn saturation(axis: Axis, rungs: &[Rung], limits: &Limits) -> Saturation {
    let is_unclear = |rung: &Rung| {
        let told = rung.generator_limited || rung.not_reached;
        !told && rung.keeping_up == Some(KeepingUp::Unclear) && signs(rung, limits).is_empty()
    };
    let levels = |of: &dyn Fn(&Rung) -> bool| -> Vec<f64> {
        rungs.iter().filter(|rung| of(rung)).map(|rung| rung.level).collect()
    };
    let unclear = rungs.iter().filter(|rung| is_unclear(rung));
    let unknown = Saturation {
        generator_limited: levels(&|rung| rung.generator_limited),
        not_reached: levels(&|rung| rung.not_reached),
        unclear: levels(&is_unclear),
        needed_s: for_all(unclear.map(|rung| rung.needed_s)),
        ..Saturation::unknown(axis)
    };
    let tells = |rung: &Rung| !rung.generator_limited && !rung.not_reached && !is_unclear(rung);
    let mut judged: Vec<Rung> = rungs.iter().copied().filter(tells).collect();
    judged.sort_by(|a, b| a.level.total_cmp(&b.level));
    // Where nothing is ever answered, load is not what fails.
    if judged.iter().all(|rung| rung.achieved <= 0.0) {
        return unknown;
    }
    // The beginning of a level is not what it would have come to.
    let best = best(&judged).filter(|best| !best.stopped);
    let signs: Vec<Vec<Sign>> = judged.iter().map(|rung| signs(rung, limits)).collect();
    let first_bad = signs.iter().position(|signs| !signs.is_empty());
    let mut held = judged[..first_bad.unwrap_or(judged.len())].to_vec();
    let mut unclear = unknown.unclear.clone();
    // What a server answers at most is known better than whether a level close to that grows.
    let fell_behind = judged.iter().any(|rung| has(Sign::Throughput, rung, limits));
    let measured = best.filter(|_| axis == Axis::Rate && fell_behind);
    if let Some((least, _)) = measured.and_then(|rung| rung.interval) {
        let above = held.iter().filter(|rung| rung.level > least);
        unclear.extend(above.map(|rung| rung.level));
        unclear.sort_by(f64::total_cmp);
        held.retain(|rung| rung.level <= least);
    }
    // Throughput grows by less than it should well before it stops, so on a ramp the knee is the
    // lowest level beyond which none is worth what it costs; the levels after it mostly queue.
    let is_worth_it =
        |higher: &Rung, lower: &Rung| higher.level > lower.level && worth_it(lower, higher, limits);
    let knee = held
        .iter()
        .filter(|_| axis == Axis::Concurrency)
        .find(|lower| !judged.iter().any(|higher| is_worth_it(higher, lower)))
        .copied();
    let flat = knee.filter(|knee| judged.last().is_some_and(|last| last.level > knee.level));
    let sustainable = knee.or(held.last().copied()).map(|rung| rung.level);
    let (saturated_at, its_signs) = match (flat, first_bad) {
        (Some(knee), _) => (Some(knee.level), vec![Sign::Flat]),
        (None, Some(at)) => (Some(judged[at].level), signs[at].clone()),
        (None, None) => (None, Vec::new()),
    };
    let errors = judged.iter().find(|rung| has(Sign::Errors, rung, limits));
    let lowest = judged.iter().find_map(|rung| rung.p99_ms);
    let p99_rose = |rung: &&Rung| {
        lowest.zip(rung.p99_ms).is_some_and(|(base, p99)| p99 > limits.p99_factor * base)
    };
    Saturation {
        saturated_at,
        signs: its_signs,
        sustainable,
        best_requests_per_second: best.map(|rung| rung.achieved),
        best_interval: best.and_then(|rung| rung.interval),
        best_at: best.map(|rung| rung.level),
        best_output_tokens_per_second: judged
            .iter()
            .filter_map(|rung| rung.output_tokens_per_second)
            .reduce(f64::max),
        held_above: first_bad.filter(|_| axis == Axis::Rate).map_or_else(Vec::new, |bad| {
            let above = judged.iter().zip(&signs).skip(bad + 1);
            above.filter(|(_, signs)| signs.is_empty()).map(|(rung, _)| rung.level).collect()
        }),
        errors_rise_at: errors.map(|rung| rung.level),
        p99_rises_at: judged.iter().find(p99_rose).map(|rung| rung.level),
        recommended: sustainable
            .filter(|_| saturated_at.is_some())
            .map(|level| (HEADROOM.0 * level, HEADROOM.1 * level)),
        unclear,
        ..unknown
    }
}

/// The highest of several levels that are alike is further off by chance than one of two would be: by Tukey's
/// range of eight levels so many times as far as by Student's t.
const OF_SEVERAL: f64 = 1.5;

/// The most that was answered. The highest of several figures that differ by chance alone is too high,
/// so it is the mean over all levels that can't be told from the highest one, at the lowest of them, each by
/// the number of its answers: few of them make a rate that is too high more often than too low. A level that
/// was kept up with is no higher than those where the endpoint fell behind unless it is so by more than a
/// backlog may grow in one that is called kept up with: its answers are what came, not what the endpoint can.
fn best(judged: &[Rung]) -> Option<Rung> {
    let higher = |best: Rung, rung: Rung| if rung.achieved > best.achieved { rung } else { best };
    let top = judged.iter().copied().reduce(higher)?;
    let known = || judged.iter().filter_map(|rung| Some((*rung, rung.interval?.1 - rung.achieved)));
    let limited =
        known().reduce(|best, it| if it.0.achieved > best.0.achieved { it } else { best });
    let reaches = |rung: &Rung, half: &f64| rung.achieved + half >= (1.0 - HARMLESS) * top.achieved;
    let Some((top, chance)) = limited.filter(|(rung, half)| reaches(rung, half)) else {
        return Some(top);
    };
    let alike = || {
        known()
            .filter(|(rung, half)| top.achieved - rung.achieved <= OF_SEVERAL * half.hypot(chance))
    };
    let weight = |rung: &Rung| rung.answers.max(1) as f64;
    let all: f64 = alike().map(|(rung, _)| weight(&rung)).sum();
    let achieved = alike().map(|(rung, _)| weight(&rung) * rung.achieved).sum::<f64>() / all;
    let squares: f64 = alike().map(|(rung, half)| (weight(&rung) * half).powi(2)).sum();
    let half = squares.sqrt() / all;
    let (lowest, _) = alike().next()?;
    Some(Rung { achieved, interval: Some((achieved - half, achieved + half)), ..lowest })
}

/// Whether a higher concurrency brings more than it costs.
fn worth_it(lower: &Rung, higher: &Rung, limits: &Limits) -> bool {
    let gain = higher.achieved / lower.achieved;
    let growth = |of: fn(&Rung) -> Option<f64>| match (of(higher), of(lower)) {
        (Some(high), Some(low)) if low > 0.0 => high / low,
        _ => 1.0,
    };
    let cost = growth(|rung| rung.p50_ms).max(growth(|rung| rung.ttft_p50_ms));
    gain >= limits.least_gain && gain - 1.0 >= limits.gain_per_doubling * cost.log2()
}

/// What speaks against a level being sustainable. Latency alone does not: it rises with the load by
/// nature, and the plan's thresholds say what it may be.
fn signs(rung: &Rung, limits: &Limits) -> Vec<Sign> {
    let all = [Sign::Errors, Sign::Throughput, Sign::Threshold];
    all.into_iter().filter(|sign| has(*sign, rung, limits)).collect()
}

fn has(sign: Sign, rung: &Rung, limits: &Limits) -> bool {
    match sign {
        Sign::Errors => rung.success_rate.is_none_or(|rate| rate < limits.min_success),
        Sign::Throughput => rung.keeping_up == Some(KeepingUp::FellBehind),
        Sign::Threshold => rung.thresholds_held == Some(false),
        Sign::Flat => false,
    }
}

#[cfg(test)]
mod tests;
