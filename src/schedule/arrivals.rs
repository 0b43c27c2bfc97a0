//! Open-loop arrivals: process + rate → due times.
//!
//! In: an [`ArrivalProcess`], a [`Rate`], an [`Until`], the seed and the stage's key. Out: an
//! iterator of [`Arrival`]s. Invariant: arrival *i* is the same whoever asks, in whichever stripe,
//! from wherever the iteration starts; times never decrease.
//!
//! Every process is first drawn at rate 1 (its mean gap is 1), then time is rescaled by the inverse
//! of the rate's integral. That keeps a Poisson process Poisson under any ramp, and makes the
//! union of all stripes the undivided schedule, since rates are never divided.

use std::sync::Arc;

use super::draw::{Draw, Purpose};
use super::profile::Profile;
use crate::plan::{ArrivalProcess, OpenLoop, Rate, Until};

/// One request's place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arrival {
    /// Its number within the stage (and rung), from 0.
    pub index: u64,
    /// Nanoseconds from the stage's start until it is due.
    pub offset_ns: u64,
}

/// Why there is no schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// A rate below 0 or without end.
    #[error("a rate must be 0 or more requests per second, and finite")]
    Rate,
    /// A gamma process needs a positive shape.
    #[error("burstiness must be above 0, not {0}")]
    Burstiness(f64),
    /// An empty burst never ends.
    #[error("a burst needs at least one request")]
    EmptyBurst,
    /// A replay needs a positive speed.
    #[error("speed must be above 0, not {0}")]
    Speed(f64),
}

/// When each request of a stage is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    times: Times,
    requests: u64,
    end_ns: u64,
}

impl Schedule {
    /// The schedule of an open loop. `key` names stage, cell and rung, so that no two of them
    /// share random numbers.
    pub fn open(
        load: &OpenLoop,
        until: Until,
        seed: u64,
        key: &str,
    ) -> Result<Self, ScheduleError> {
        Self::new(load.arrival, &load.rate, until, seed, key)
    }

    /// As [`Schedule::open`], from its parts.
    pub fn new(
        process: ArrivalProcess,
        rate: &Rate,
        until: Until,
        seed: u64,
        key: &str,
    ) -> Result<Self, ScheduleError> {
        match process {
            ArrivalProcess::Gamma { burstiness } if !(burstiness > 0.0 && burstiness < 1e12) => {
                return Err(ScheduleError::Burstiness(burstiness));
            }
            ArrivalProcess::Burst { size: 0 } => return Err(ScheduleError::EmptyBurst),
            _ => {}
        }
        let profile = Profile::new(rate).ok_or(ScheduleError::Rate)?;
        let draw = Draw::new(seed, key, Purpose::Arrivals);
        let times = Times::Rescaled {
            unit: Box::new(UnitTimes { process, draw, next: 0, sum: 0.0 }),
            profile: Arc::new(profile),
        };
        Ok(Self::bounded(times, until))
    }

    /// The schedule of a trace: `offsets_ns` from the start, in order; the same again after each
    /// `period_ns`, if there is one.
    pub fn of_offsets(offsets_ns: Arc<[u64]>, period_ns: Option<u64>, until: Until) -> Self {
        Self::bounded(Times::Given { offsets_ns, period_ns, next: 0 }, until)
    }

    fn bounded(times: Times, until: Until) -> Self {
        let end_ns = until
            .duration()
            .map_or(u64::MAX, |end| u64::try_from(end.as_nanos()).unwrap_or(u64::MAX));
        Self { times, requests: until.requests().unwrap_or(u64::MAX), end_ns }
    }

    /// All arrivals, in order.
    pub fn iter(&self) -> Arrivals {
        Arrivals {
            times: self.times.clone(),
            next: 0,
            requests: self.requests,
            end_ns: self.end_ns,
        }
    }

    /// The arrivals from `index` on, exactly as [`Schedule::iter`] gives them. Drawn times are
    /// drawn again up to there (some 20 ns each).
    pub fn starting_at(&self, index: u64) -> Arrivals {
        let mut arrivals = self.iter();
        while arrivals.next < index && arrivals.next().is_some() {}
        arrivals
    }

    /// How many requests it plans. A schedule that time or its rates may end is drawn for this.
    pub fn planned(&self) -> u64 {
        /// So many are drawn in an instant.
        const FEW: u64 = 100_000;
        let is_endless = |profile: &Profile| {
            // Drawn times of so many come by far before that.
            profile.time_of(1.5 * self.requests as f64).and_then(nanos).is_some()
        };
        match &self.times {
            Times::Rescaled { profile, .. }
                if self.end_ns == u64::MAX && self.requests > FEW && is_endless(profile) =>
            {
                self.requests
            }
            _ => self.iter().count() as u64,
        }
    }
}

impl IntoIterator for &Schedule {
    type Item = Arrival;
    type IntoIter = Arrivals;

    fn into_iter(self) -> Arrivals {
        self.iter()
    }
}

/// The arrivals of a [`Schedule`], in order.
#[derive(Debug, Clone)]
pub struct Arrivals {
    times: Times,
    next: u64,
    requests: u64,
    end_ns: u64,
}

impl Arrivals {
    /// Only those that belong to `stripe`.
    pub fn striped(self, stripe: Stripe) -> impl Iterator<Item = Arrival> + Send + Clone {
        self.filter(move |arrival| stripe.owns(arrival.index))
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        if self.next >= self.requests {
            return None;
        }
        let Some(offset_ns) = self.times.next_ns().filter(|offset| *offset < self.end_ns) else {
            self.requests = self.next; // Later ones are later still.
            return None;
        };
        let arrival = Arrival { index: self.next, offset_ns };
        self.next += 1;
        Some(arrival)
    }
}

/// Which part of a schedule one of several workers fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stripe {
    worker: u64,
    of: u64,
}

impl Stripe {
    /// Everything: one worker alone.
    pub const WHOLE: Self = Self { worker: 0, of: 1 };

    /// Worker `worker` (from 0) of `of`; `None` unless `worker < of`.
    pub fn new(worker: u64, of: u64) -> Option<Self> {
        (worker < of).then_some(Self { worker, of })
    }

    /// Whether the arrival, user or session with this number is this worker's.
    pub fn owns(self, index: u64) -> bool {
        index % self.of == self.worker
    }
}

#[derive(Debug, Clone)]
enum Times {
    Rescaled { unit: Box<UnitTimes>, profile: Arc<Profile> },
    Given { offsets_ns: Arc<[u64]>, period_ns: Option<u64>, next: u64 },
}

impl Times {
    fn next_ns(&mut self) -> Option<u64> {
        match self {
            Self::Rescaled { unit, profile } => profile.time_of(unit.next_time()).and_then(nanos),
            Self::Given { offsets_ns, period_ns, next } => {
                let (round, place) = (
                    *next / offsets_ns.len().max(1) as u64,
                    *next % offsets_ns.len().max(1) as u64,
                );
                *next += 1;
                let offset = offsets_ns.get(usize::try_from(place).ok()?)?;
                match (round, period_ns) {
                    (0, _) => Some(*offset),
                    (_, None) => None,
                    (round, Some(period_ns)) => round.checked_mul(*period_ns)?.checked_add(*offset),
                }
            }
        }
    }
}

/// A point process with one arrival per unit of time in the mean.
#[derive(Debug, Clone)]
struct UnitTimes {
    process: ArrivalProcess,
    draw: Draw,
    next: u64,
    sum: f64,
}

impl UnitTimes {
    fn next_time(&mut self) -> f64 {
        let index = self.next;
        self.next += 1;
        match self.process {
            ArrivalProcess::Constant => return index as f64,
            ArrivalProcess::Burst { size } => return (index - index % size) as f64,
            ArrivalProcess::Poisson => self.sum += self.draw.exponential(),
            ArrivalProcess::Gamma { burstiness } => self.sum += self.draw.gamma(burstiness),
        }
        self.sum
    }
}

/// Seconds as whole nanoseconds; `None` past some 500 years.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 2^64 by the condition"
)]
fn nanos(seconds: f64) -> Option<u64> {
    let nanos = (seconds * 1e9).round();
    (0.0..1.8e19).contains(&nanos).then_some(nanos as u64)
}

#[cfg(test)]
mod tests;
