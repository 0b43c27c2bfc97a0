//! How requests of load stages are spaced, and what becomes of late ones.
//!
//! In: groups of written keys. Out: an arrival process and how its times are kept. Invariant: a key
//! that would do nothing is an error.

use std::time::Duration;

use super::super::Lowering;
use super::parts::MOST_RATE;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{ArrivalKeys, ArrivalWord, LateWord, PacingKeys, PerSecond};
use crate::plan::source::Span;
use crate::plan::{ArrivalProcess, Late, Pacing};

/// Lateness that `late: drop` forgives unless the plan says otherwise.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// Spinning longer than that would only burn a core.
const MOST_SPIN: Duration = Duration::from_millis(10);

impl Lowering<'_> {
    pub(in crate::plan::lower::stage) fn rate(&mut self, rate: Spanned<PerSecond>) -> Option<f64> {
        let fine = rate.value.0 > 0.0 && rate.value.0 <= MOST_RATE;
        if !fine {
            let message = "`rate` must be above 0 and at most 1,000,000 per second";
            self.error(Code::Value, rate.at.span, message, "");
        }
        fine.then_some(rate.value.0)
    }

    pub(in crate::plan::lower::stage) fn arrival(
        &mut self,
        keys: &ArrivalKeys,
        span: Span,
    ) -> Option<ArrivalProcess> {
        let word = keys.arrival.map_or(ArrivalWord::Constant, |word| word.value);
        let at = keys.arrival.map_or(span, |word| word.at.span);
        if let Some(burstiness) = keys.burstiness.filter(|_| word != ArrivalWord::Gamma) {
            let message = "`burstiness` is the shape of `gamma` arrivals";
            self.error(Code::Conflict, burstiness.at.span, message, "add `arrival: gamma`");
        }
        if let Some(size) = keys.burst_size.filter(|_| word != ArrivalWord::Burst) {
            let message = "`burst_size` is for `burst` arrivals";
            self.error(Code::Conflict, size.at.span, message, "add `arrival: burst`");
        }
        match word {
            ArrivalWord::Constant => Some(ArrivalProcess::Constant),
            ArrivalWord::Poisson => Some(ArrivalProcess::Poisson),
            ArrivalWord::Gamma => {
                let Some(burstiness) = keys.burstiness else {
                    let message = "`gamma` arrivals need their shape";
                    self.error(Code::Incomplete, at, message, "add `burstiness: 0.5`");
                    return None;
                };
                let shape = burstiness.value.0;
                if !(1e-3..1e9).contains(&shape) {
                    let message = "`burstiness` must be at least 0.001";
                    self.error(Code::Value, burstiness.at.span, message, "1 is Poisson");
                }
                Some(ArrivalProcess::Gamma { burstiness: shape })
            }
            ArrivalWord::Burst => {
                if keys.burst_size.is_none() {
                    let message = "`burst` arrivals need their size";
                    self.error(Code::Incomplete, at, message, "add `burst_size: 10`");
                }
                let size = self.positive("burst_size", keys.burst_size)?;
                Some(ArrivalProcess::Burst { size })
            }
        }
    }

    pub(in crate::plan::lower::stage) fn pacing(&mut self, keys: &PacingKeys) -> Pacing {
        let max_in_flight = self.positive("max_in_flight", keys.max_in_flight);
        if let (Some(word), None) = (keys.when_full, max_in_flight) {
            let message = "`when_full` means nothing without `max_in_flight`";
            self.error(Code::Conflict, word.at.span, message, "add `max_in_flight: 64`");
        }
        let drops_late = keys.late.is_some_and(|word| word.value == LateWord::Drop);
        if let Some(after) = keys.late_after.filter(|_| !drops_late) {
            let message = "`late_after` means nothing unless late requests are dropped";
            self.error(Code::Conflict, after.at.span, message, "add `late: drop`");
        }
        if let Some(spin) = keys.spin.filter(|spin| spin.value.0 > MOST_SPIN) {
            let message = "`spin` is at most 10ms";
            self.error(Code::Value, spin.at.span, message, "a millisecond is plenty");
        }
        Pacing {
            late: if drops_late {
                Late::Drop { after: keys.late_after.map_or(LATE_AFTER, |after| after.value.0) }
            } else {
                Late::Send
            },
            spin: keys.spin.map(|spin| spin.value.0),
            max_in_flight,
            when_full: keys.when_full.map(|word| word.value).unwrap_or_default(),
        }
    }

    /// Keys about arrivals and due times, which mean nothing beside `beside`.
    pub(in crate::plan::lower::stage) fn no_pacing(
        &mut self,
        arrivals: &ArrivalKeys,
        pacing: &PacingKeys,
        beside: &str,
    ) {
        self.no_arrivals(arrivals, beside);
        for (key, at) in [
            ("max_in_flight", pacing.max_in_flight.map(|it| it.at.span)),
            ("when_full", pacing.when_full.map(|it| it.at.span)),
            ("late", pacing.late.map(|it| it.at.span)),
            ("late_after", pacing.late_after.map(|it| it.at.span)),
            ("max_lag", pacing.max_lag.map(|it| it.at.span)),
            ("spin", pacing.spin.map(|it| it.at.span)),
        ] {
            self.without(key, at, beside);
        }
    }

    /// Reports keys about arrivals in a stage without a rate.
    pub(in crate::plan::lower::stage) fn only_with_a_rate(&mut self, keys: &ArrivalKeys) {
        for (key, at) in [
            ("arrival", keys.arrival.map(|it| it.at.span)),
            ("burstiness", keys.burstiness.map(|it| it.at.span)),
            ("burst_size", keys.burst_size.map(|it| it.at.span)),
        ] {
            if let Some(at) = at {
                let message = format!("`{key}` means nothing without `rate`");
                let help = "add `rate: 5`, or leave the log's own times as they are";
                self.error(Code::Conflict, at, message, help);
            }
        }
    }

    /// Keys about arrivals, which mean nothing beside `beside`.
    pub(in crate::plan::lower::stage) fn no_arrivals(&mut self, keys: &ArrivalKeys, beside: &str) {
        for (key, at) in [
            ("arrival", keys.arrival.map(|it| it.at.span)),
            ("burstiness", keys.burstiness.map(|it| it.at.span)),
            ("burst_size", keys.burst_size.map(|it| it.at.span)),
        ] {
            self.without(key, at, beside);
        }
    }
}
