//! `load`: which keys go together, and what they mean.
//!
//! In: written stages. Out: resolved ones. Invariant: a stage has exactly one shape (open or
//! closed) and at least one end, and a key that would do nothing is an error.

mod ladder;
mod pacing;
mod parts;
mod search;

use std::time::Duration;

use self::parts::{MOST_RATE, spread, think, time};
use super::{Draft, Lowering, Shared};
use crate::plan::diagnostic::Code;
use crate::plan::file::{LoadKeys, ThinkWord};
use crate::plan::{ClosedLoop, Load, Measure, OpenLoop, Rate, RatePiece, Shape, Think};

/// More steps than that are a straight line.
const MOST_STEPS: u32 = 1_000;

/// The way up (or down) to the rate `to`: a straight line from `from`, or `steps`, each as high as
/// the others.
fn climb(from: Option<f64>, to: f64, over: Duration, steps: Option<u64>) -> Vec<RatePiece> {
    let Some(steps) =
        steps.map(|steps| u32::try_from(steps).map_or(MOST_STEPS, |it| it.min(MOST_STEPS)))
    else {
        return vec![RatePiece { from: from.unwrap_or(0.0), to, over }];
    };
    let from = from.unwrap_or(to / (f64::from(steps) + 1.0));
    let level = |step: u32| from + (to - from) * f64::from(step) / f64::from(steps);
    let step = |step| RatePiece { from: level(step), to: level(step), over: over / steps };
    let top = RatePiece { from: to, to, over: Duration::ZERO };
    (0..steps).map(step).chain([top]).collect()
}

impl Lowering<'_> {
    pub(super) fn load(&mut self, draft: &Draft, keys: &LoadKeys, shared: &Shared) -> Option<Load> {
        let concurrency = self.users("concurrency", keys.concurrency);
        let ramp = self.climb(keys);
        let shape = match (keys.rate, keys.concurrency, concurrency) {
            (Some(_), Some(concurrency), _) => {
                let help = "keep `rate` and bound it with `max_in_flight`, or keep `concurrency`";
                let message = "`rate` and `concurrency` can't stand together";
                self.error(Code::Conflict, concurrency.at.span, message, help);
                None
            }
            (Some(rate), None, _) => {
                for (key, at) in [
                    ("think", keys.think.as_ref().map(|it| it.at.span)),
                    ("think_times", keys.think_times.as_ref().map(|it| it.at.span)),
                    ("spread", keys.spread.as_ref().map(|it| it.at.span)),
                    ("start_users", keys.start_users.as_ref().map(|it| it.at.span)),
                ] {
                    self.without(key, at, "rate");
                }
                let steps = self.positive("ramp_steps", keys.ramp_steps);
                let rate = self.rate(rate).map(|to| match ramp {
                    Some(over) => {
                        let from = keys.start_rate.map(|rate| rate.value.0.min(MOST_RATE));
                        Rate::Pieces(climb(from, to, over, steps))
                    }
                    None => Rate::Constant(to),
                });
                let process = self.arrival(&keys.arrivals(), draft.span);
                let pacing = self.pacing(&keys.pacing());
                rate.zip(process)
                    .map(|(rate, arrival)| Shape::Open(OpenLoop { arrival, rate, pacing }))
            }
            (None, Some(_), Some(users)) => {
                self.no_pacing(&keys.arrivals(), &keys.pacing(), "concurrency");
                let start_rate = keys.start_rate.as_ref().map(|it| it.at.span);
                self.without("start_rate", start_rate, "concurrency");
                let ramp_steps = keys.ramp_steps.as_ref().map(|it| it.at.span);
                self.without("ramp_steps", ramp_steps, "concurrency");
                let start_users = self.positive("start_users", keys.start_users).unwrap_or(1);
                if let Some(start) = keys.start_users.filter(|_| start_users > users) {
                    let message = "`start_users` must not be more than `concurrency`";
                    self.error(Code::Value, start.at.span, message, "");
                }
                Some(Shape::Closed(ClosedLoop {
                    users,
                    start_users: if ramp.is_some() { start_users.min(users) } else { users },
                    ramp: ramp.unwrap_or_default(),
                    spread: time(keys.spread),
                    think: self.think(keys),
                }))
            }
            _ => {
                if !self.found_bad(draft, &["rate", "concurrency"]) {
                    let message = format!("the stage `{}` does not say how much load", draft.id);
                    let help = "add `rate:` (requests per second) or `concurrency:` (users)";
                    self.error(Code::Incomplete, draft.span, message, help);
                }
                None
            }
        };
        let until = self.until(draft, keys.requests, ("duration", keys.duration));
        let traffic = self.traffic(draft, &keys.asking(), shared);
        let measure = self.measure(&keys.counting(), keys.max_lag, keys.duration);
        let measure = self.steady(measure, &keys.steady(), keys.duration);
        let window = self.window(keys.window);
        let shape = shape.map(|shape| match shape {
            // A ramp is a start of its own.
            Shape::Closed(load) if ramp.is_none() => {
                Shape::Closed(ClosedLoop { spread: spread(keys.spread, &measure), ..load })
            }
            shape => shape,
        });
        Some(Load {
            traffic: traffic?,
            shape: shape?,
            until: until?,
            rounds: self.rounds(keys),
            measure: Measure { window, ..measure },
        })
    }

    /// How often the whole is repeated.
    fn rounds(&mut self, keys: &LoadKeys) -> u64 {
        const MOST: u64 = 1_000;
        let rounds = self.positive("rounds", keys.rounds).unwrap_or(1);
        if let Some(written) = keys.rounds.filter(|_| rounds > MOST) {
            let message = format!("`rounds` is at most {MOST}");
            self.error(Code::Value, written.at.span, message, "");
        }
        rounds
    }

    /// How long the load takes to climb to its full height.
    fn climb(&mut self, keys: &LoadKeys) -> Option<Duration> {
        let Some(ramp) = keys.ramp else {
            for (key, at) in [
                ("start_rate", keys.start_rate.as_ref().map(|it| it.at.span)),
                ("start_users", keys.start_users.as_ref().map(|it| it.at.span)),
                ("ramp_steps", keys.ramp_steps.as_ref().map(|it| it.at.span)),
            ] {
                if let Some(at) = at {
                    let message = format!("`{key}` means nothing without `ramp`");
                    self.error(Code::Conflict, at, message, "add `ramp: 30s`");
                }
            }
            return None;
        };
        if let Some(steps) = keys.ramp_steps.filter(|steps| steps.value.0 > u64::from(MOST_STEPS)) {
            let message = format!("`ramp_steps` is at most {MOST_STEPS}");
            self.error(Code::Value, steps.at.span, message, "leave it out for a straight line");
        }
        if ramp.value.0.is_zero() {
            self.error(Code::Value, ramp.at.span, "`ramp` must be longer than nothing", "");
        }
        if keys.duration.is_some_and(|duration| ramp.value.0 > duration.value.0) {
            let message = "`ramp` is longer than the stage";
            self.error(Code::Value, ramp.at.span, message, "it is a part of `duration`");
        }
        Some(ramp.value.0)
    }

    /// The pauses of a load's users.
    fn think(&mut self, keys: &LoadKeys) -> Think {
        match (think(keys.think), keys.think_times) {
            (Think::Constant(mean), Some(word)) if word.value == ThinkWord::Exponential => {
                Think::Exponential { mean }
            }
            (Think::None, Some(word)) => {
                let message = "`think_times` means nothing without `think`";
                self.error(Code::Conflict, word.at.span, message, "add `think: 2s`, the mean");
                Think::None
            }
            (pauses, _) => pauses,
        }
    }
}
