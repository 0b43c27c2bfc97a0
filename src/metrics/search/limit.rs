//! What all probes of a search say together of the rate that is just kept up with.
//!
//! In: how the backlog grew in each probe. Out: a [`Limit`] with its 95 % interval. Invariants: a probe
//! counts by what came and not by the rate it was to have, so the chance of arrivals is known; nothing
//! is said before the endpoint fell behind in a probe.
//!
//! At a rate `x` above the limit `L` the backlog grows by the share 1 − L / x of what comes, below it
//! by none. The growth that a probe saw deviates from that by its standard error, of ten increments
//! (Student's t with nine degrees of freedom). The product over all probes, over a grid of limits that are
//! evenly spaced in their logarithm, is what is known (a uniform prior over the logarithm).

use super::{Bracket, Probe, Reason, Search, Verdict, Votes};
use crate::metrics::pace::Growth;

/// Limits that are looked at.
const POINTS: usize = 2_001;
/// They go from this much below the lowest rate to as much above the highest.
const BEYOND: f64 = 4.0;
/// Degrees of freedom of a growth's error.
const FREEDOM: f64 = 9.0;

/// A rate so far above the limit keeps a server busy all the time.
const BUSY: f64 = 1.25;
/// So far below it, as a part of the tolerance, a level is thought to hold.
const BELOW: f64 = 0.3;
/// Probes around the limit for each confirmation; after so many, more would tell little.
const ROUNDS: u64 = 4;

/// The rate that is just kept up with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    /// As likely to be too low as too high.
    pub middle: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
}

impl Limit {
    /// By the probes so far; `None` while the endpoint has not fallen behind.
    pub fn of(probes: &[Probe]) -> Option<Self> {
        if !probes.iter().any(|probe| probe.fell_behind) {
            return None;
        }
        let grew: Vec<Growth> = probes.iter().filter_map(|probe| probe.backlog).collect();
        let rates = || grew.iter().map(|growth| growth.came_per_second);
        let low = rates().reduce(f64::min)? / BEYOND;
        let high = rates().reduce(f64::max)? * BEYOND;
        let step = (high / low).ln() / (POINTS - 1) as f64;
        let at = |point: usize| low * (step * point as f64).exp();
        let likely = |limit: f64| -> f64 { grew.iter().map(|growth| fit(growth, limit)).sum() };
        let logs: Vec<f64> = (0..POINTS).map(|point| likely(at(point))).collect();
        let most = logs.iter().copied().reduce(f64::max)?;
        let mut sum = 0.0;
        let sums: Vec<f64> = logs
            .iter()
            .map(|log| {
                sum += (log - most).exp();
                sum
            })
            .collect();
        let place = |share: f64| at(sums.partition_point(|it| *it < share * sum).min(POINTS - 1));
        Some(Self { middle: place(0.5), interval: (place(0.025), place(0.975)) })
    }

    /// Its interval over its lower end, less 1.
    pub fn width(&self) -> f64 {
        self.interval.1 / self.interval.0 - 1.0
    }
}

/// The logarithm of how likely such a growth is at that limit, but for a constant.
fn fit(growth: &Growth, limit: f64) -> f64 {
    let right = (1.0 - limit / growth.came_per_second).max(0.0);
    let away = (growth.share.max(0.0) - right) / growth.error;
    -(FREEDOM + 1.0) / 2.0 * (away * away / FREEDOM).ln_1p()
}

impl Search {
    /// The next level around the limit of what is kept up with: first one that should hold, then one
    /// that keeps the server busy, until the limit is known as closely as asked.
    pub(super) fn around(&self, pass: &Votes, limit: &Limit) -> (Option<f64>, Reason) {
        let tolerance = self.settings.tolerance;
        let high = self.settings.high.unwrap_or(f64::MAX);
        let near = |level: f64| level <= limit.middle && level * (1.0 + tolerance) >= limit.middle;
        let held = self.history.iter().filter(|probe| {
            near(probe.level) && probe.verdict == Verdict::Pass && !probe.fell_behind
        });
        let held = held.count() as u64;
        let began = self.history.iter().position(|probe| probe.fell_behind).unwrap_or(0);
        let rounds = (self.history.len() - began) as u64;
        let confirmations = self.settings.confirmations.max(1);
        let is_told = limit.width() <= tolerance;
        let below = self.round((limit.middle / (1.0 + BELOW * tolerance)).max(pass.level));
        let busy = self.round(limit.middle * BUSY).min(high);
        let spent = rounds > ROUNDS * confirmations;
        let reason = if is_told { Reason::Converged } else { Reason::Wide };
        if held < confirmations && rounds <= 2 * ROUNDS * confirmations {
            return (Some(if rounds % 2 == 1 || is_told { below } else { busy }), reason);
        }
        if is_told || spent {
            return (None, reason);
        }
        (Some(if rounds % 2 == 1 { below } else { busy }), reason)
    }

    /// Where the highest level that passes lies.
    pub(super) fn interval(&self, bracket: &Bracket) -> Option<(f64, f64)> {
        let stop = bracket.stop?;
        if let Some(limit) = stop.limit {
            return Some(limit.interval);
        }
        let kept_up_to = self.kept_up_to();
        // Probes that contradict each other leave open what lies between them.
        let of = |verdict: Verdict| {
            let some =
                self.history.iter().filter(move |it| it.verdict == verdict || it.fell_behind);
            some.map(|probe| probe.level)
        };
        let lowest_fail = of(Verdict::Fail).reduce(f64::min)?;
        let passed = || {
            let held = self.history.iter().filter(|it| it.verdict == Verdict::Pass);
            held.filter(|it| !it.fell_behind && it.level <= kept_up_to).map(|it| it.level)
        };
        let low = passed().filter(|level| *level < lowest_fail).reduce(f64::max)?;
        let highest_pass = passed().reduce(f64::max)?;
        let high = of(Verdict::Fail).filter(|level| *level > highest_pass).reduce(f64::min)?;
        Some((low, high))
    }
}
