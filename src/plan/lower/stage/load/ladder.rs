//! `qps_ladder` and `concurrency_ramp`: their levels, and what each of them is.
//!
//! In: written stages. Out: resolved ones. Invariant: a stage has at least one level, no level twice,
//! and each level an end.

use super::parts::{MOST_RATE, MOST_USERS, spread, think, whole};
use crate::plan::diagnostic::Code;
use crate::plan::file::{LadderKeys, RampKeys};
use crate::plan::lower::Lowering;
use crate::plan::lower::stage::{Draft, Shared};
use crate::plan::{ConcurrencyRamp, QpsLadder};

impl Lowering<'_> {
    pub(in crate::plan::lower::stage) fn ladder(
        &mut self,
        draft: &Draft,
        keys: &LadderKeys,
        shared: &Shared,
    ) -> Option<QpsLadder> {
        let rates = self.series(draft, "rates", "`rates: \"1,2,4-32*2\"`", keys.rates.as_ref());
        if let Some((rates, at)) = &rates
            && rates.iter().any(|rate| *rate <= 0.0 || *rate > MOST_RATE)
        {
            let message = "every rate must be above 0 and at most 1,000,000 per second";
            self.error(Code::Value, *at, message, "");
        }
        let arrival = self.arrival(&keys.arrivals(), draft.span);
        let pacing = self.pacing(&keys.pacing());
        let step = self.until(draft, None, ("step", keys.step));
        let traffic = self.traffic(draft, &keys.asking(), shared);
        let measure = self.measure(&keys.counting(), keys.max_lag, keys.step);
        Some(QpsLadder {
            traffic: traffic?,
            rates: rates?.0,
            arrival: arrival?,
            pacing,
            step: step?,
            measure,
        })
    }

    pub(in crate::plan::lower::stage) fn ramp(
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
        let traffic = self.traffic(draft, &keys.asking(), shared);
        let measure = self.measure(&keys.counting(), None, keys.step);
        Some(ConcurrencyRamp {
            traffic: traffic?,
            levels: levels?.0.into_iter().map(whole).collect(),
            step: step?,
            spread: spread(keys.spread, &measure),
            think: think(keys.think),
            measure,
        })
    }
}
