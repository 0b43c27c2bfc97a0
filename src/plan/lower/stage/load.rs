//! `load`, `qps_ladder` and `concurrency_ramp`: which keys go together, and what they mean.
//!
//! In: written stages. Out: resolved ones. Invariant: a stage has exactly one shape (open or
//! closed) and at least one end, and a key that would do nothing is an error.

mod parts;
mod search;

use std::time::Duration;

use self::parts::{MOST_RATE, MOST_USERS, MeasureKeys, PacingKeys, think, time, whole};
use super::{Draft, Lowering, Shared};
use crate::plan::diagnostic::Code;
use crate::plan::file::{LadderKeys, LoadKeys, RampKeys, ThinkWord};
use crate::plan::{
    ClosedLoop, ConcurrencyRamp, Load, Measure, OpenLoop, QpsLadder, Rate, RatePiece, Shape, Think,
};

impl Lowering<'_> {
    pub(super) fn load(&mut self, draft: &Draft, keys: &LoadKeys, shared: &Shared) -> Option<Load> {
        let pacing_keys = PacingKeys {
            arrival: keys.arrival,
            burstiness: keys.burstiness,
            burst_size: keys.burst_size,
            max_in_flight: keys.max_in_flight,
            when_full: keys.when_full,
            late: keys.late,
            late_after: keys.late_after,
        };
        let concurrency = self.positive("concurrency", keys.concurrency);
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
                let rate = self.rate(rate).map(|rate| match ramp {
                    Some(over) => {
                        let from = keys.start_rate.map_or(0.0, |rate| rate.value.0.min(MOST_RATE));
                        Rate::Pieces(vec![RatePiece { from, to: rate, over }])
                    }
                    None => Rate::Constant(rate),
                });
                let process = self.arrival(&pacing_keys, draft.span);
                let pacing = self.pacing(&pacing_keys);
                rate.zip(process)
                    .map(|(rate, arrival)| Shape::Open(OpenLoop { arrival, rate, pacing }))
            }
            (None, Some(written), Some(users)) => {
                for (key, at) in pacing_keys.given() {
                    self.without(key, Some(at), "concurrency");
                }
                self.without("max_lag", keys.max_lag.as_ref().map(|it| it.at.span), "concurrency");
                if users as f64 > MOST_USERS {
                    let message = format!("`concurrency` is at most {MOST_USERS}");
                    self.error(Code::Value, written.at.span, message, "");
                }
                let start_rate = keys.start_rate.as_ref().map(|it| it.at.span);
                self.without("start_rate", start_rate, "concurrency");
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
        let traffic = self.traffic(
            draft,
            keys.prompt.as_ref(),
            keys.repeat_ratio,
            keys.warmup_requests,
            shared,
        );
        let measure = self.measure(
            &MeasureKeys { settle: keys.settle, drain: keys.drain, max_lag: keys.max_lag },
            keys.duration,
        );
        if let Some(window) = keys.window.filter(|window| window.value.0.is_zero()) {
            self.error(Code::Value, window.at.span, "`window` must be longer than nothing", "");
        }
        Some(Load {
            traffic: traffic?,
            shape: shape?,
            until: until?,
            rounds: 1,
            measure: Measure { window: keys.window.map(|window| window.value.0), ..measure },
        })
    }

    /// How long the load takes to climb to its full height.
    fn climb(&mut self, keys: &LoadKeys) -> Option<Duration> {
        let Some(ramp) = keys.ramp else {
            for (key, at) in [
                ("start_rate", keys.start_rate.as_ref().map(|it| it.at.span)),
                ("start_users", keys.start_users.as_ref().map(|it| it.at.span)),
            ] {
                if let Some(at) = at {
                    let message = format!("`{key}` means nothing without `ramp`");
                    self.error(Code::Conflict, at, message, "add `ramp: 30s`");
                }
            }
            return None;
        };
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

    pub(super) fn ladder(
        &mut self,
        draft: &Draft,
        keys: &LadderKeys,
        shared: &Shared,
    ) -> Option<QpsLadder> {
        let pacing_keys = PacingKeys {
            arrival: keys.arrival,
            burstiness: keys.burstiness,
            burst_size: keys.burst_size,
            max_in_flight: keys.max_in_flight,
            when_full: keys.when_full,
            late: keys.late,
            late_after: keys.late_after,
        };
        let rates = self.series(draft, "rates", "`rates: \"1,2,4-32*2\"`", keys.rates.as_ref());
        if let Some((rates, at)) = &rates
            && rates.iter().any(|rate| *rate <= 0.0 || *rate > MOST_RATE)
        {
            let message = "every rate must be above 0 and at most 1,000,000 per second";
            self.error(Code::Value, *at, message, "");
        }
        let arrival = self.arrival(&pacing_keys, draft.span);
        let pacing = self.pacing(&pacing_keys);
        let step = self.until(draft, None, ("step", keys.step));
        let traffic = self.traffic(
            draft,
            keys.prompt.as_ref(),
            keys.repeat_ratio,
            keys.warmup_requests,
            shared,
        );
        let measure = self.measure(
            &MeasureKeys { settle: keys.settle, drain: keys.drain, max_lag: keys.max_lag },
            keys.step,
        );
        Some(QpsLadder {
            traffic: traffic?,
            rates: rates?.0,
            arrival: arrival?,
            pacing,
            step: step?,
            measure,
        })
    }

    pub(super) fn ramp(
        &mut self,
        draft: &Draft,
        keys: &RampKeys,
        shared: &Shared,
    ) -> Option<ConcurrencyRamp> {
        let levels = self.series(
            draft,
            "concurrency",
            "`concurrency: \"1,2,4-32*2\"`",
            keys.concurrency.as_ref(),
        );
        if let Some((levels, at)) = &levels
            && levels.iter().any(|it| *it < 1.0 || *it > MOST_USERS || it.fract() != 0.0)
        {
            let message =
                format!("every concurrency must be a whole number from 1 to {MOST_USERS}");
            self.error(Code::Value, *at, message, "");
        }
        let step = self.until(draft, keys.requests, ("step", keys.step));
        let traffic = self.traffic(
            draft,
            keys.prompt.as_ref(),
            keys.repeat_ratio,
            keys.warmup_requests,
            shared,
        );
        let measure = self.measure(
            &MeasureKeys { settle: keys.settle, drain: keys.drain, max_lag: None },
            keys.step,
        );
        Some(ConcurrencyRamp {
            traffic: traffic?,
            levels: levels?.0.into_iter().map(whole).collect(),
            step: step?,
            spread: time(keys.spread),
            think: think(keys.think),
            measure,
        })
    }
}
