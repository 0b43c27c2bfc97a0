//! What the load stages share: what is asked, how it is spaced, when it ends, what counts.
//!
//! In: groups of written keys. Out: their resolved values. Invariant: a key that would do nothing is
//! an error.

use std::time::Duration;

use super::super::{Draft, Lowering, Shared};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{
    ArrivalWord, Count, FullWord, LateWord, PerSecond, PromptFile, Ratio, Series, TimeSpan,
};
use crate::plan::source::Span;
use crate::plan::{ArrivalProcess, Late, Measure, Pacing, Think, Traffic, Until, WhenFull};

/// Longest wait for answers unless the plan says otherwise.
const DRAIN: Duration = Duration::from_secs(60);

/// Lateness that `late: drop` forgives unless the plan says otherwise.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// Lag of the generator above which its numbers are not to be trusted.
const MAX_LAG: Duration = Duration::from_millis(100);

/// Most users; each takes a connection.
pub(super) const MOST_USERS: f64 = 100_000.0;

/// Most requests per second that can be asked for.
pub(super) const MOST_RATE: f64 = 1e6;

/// The keys that say how requests are spaced and what becomes of late ones.
pub(super) struct PacingKeys {
    pub(super) arrival: Option<Spanned<ArrivalWord>>,
    pub(super) burstiness: Option<Spanned<Ratio>>,
    pub(super) burst_size: Option<Spanned<Count>>,
    pub(super) max_in_flight: Option<Spanned<Count>>,
    pub(super) when_full: Option<Spanned<FullWord>>,
    pub(super) late: Option<Spanned<LateWord>>,
    pub(super) late_after: Option<Spanned<TimeSpan>>,
}

impl PacingKeys {
    /// Those given, with their names.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Span)> {
        [
            ("arrival", self.arrival.as_ref().map(|it| it.at.span)),
            ("burstiness", self.burstiness.as_ref().map(|it| it.at.span)),
            ("burst_size", self.burst_size.as_ref().map(|it| it.at.span)),
            ("max_in_flight", self.max_in_flight.as_ref().map(|it| it.at.span)),
            ("when_full", self.when_full.as_ref().map(|it| it.at.span)),
            ("late", self.late.as_ref().map(|it| it.at.span)),
            ("late_after", self.late_after.as_ref().map(|it| it.at.span)),
        ]
        .into_iter()
        .filter_map(|(key, span)| Some((key, span?)))
    }
}

/// The keys that say what counts.
pub(super) struct MeasureKeys {
    pub(super) settle: Option<Spanned<TimeSpan>>,
    pub(super) drain: Option<Spanned<TimeSpan>>,
    pub(super) max_lag: Option<Spanned<TimeSpan>>,
}

impl Lowering<'_> {
    /// What is asked. A prompt or dataset that can't be used has been reported.
    pub(super) fn traffic(
        &mut self,
        draft: &Draft,
        prompt: Option<&Spanned<PromptFile>>,
        repeat_ratio: Option<Spanned<Ratio>>,
        warmup_requests: Option<Spanned<Count>>,
        shared: &Shared,
    ) -> Option<Traffic> {
        let repeat_ratio = repeat_ratio.map_or(0.0, |ratio| {
            if ratio.value.0 > 1.0 {
                let help = "0.3 repeats 30 % of the prompts";
                self.error(Code::Value, ratio.at.span, "`repeat_ratio` must be at most 1", help);
            }
            ratio.value.0
        });
        let prompt = if let Some(own) = prompt {
            self.prompt(own)?
        } else {
            if !shared.has_prompt {
                let message = format!("the stage `{}` has nothing to ask", draft.id);
                let help = "add `prompt:` to the plan or to the stage";
                self.error(Code::Incomplete, draft.span, message, help);
            }
            shared.prompt.clone()?
        };
        let warmup_requests = warmup_requests.map_or(0, |count| count.value.0);
        Some(Traffic { prompt, repeat_ratio, warmup_requests })
    }

    pub(super) fn until(
        &mut self,
        draft: &Draft,
        requests: Option<Spanned<Count>>,
        (key, duration): (&'static str, Option<Spanned<TimeSpan>>),
    ) -> Option<Until> {
        const MOST: Duration = Duration::from_secs(30 * 86_400);
        let most = self.positive("requests", requests);
        if let Some(written) = duration
            && (written.value.0.is_zero() || written.value.0 > MOST)
        {
            let message = format!("`{key}` must be more than zero and at most 30d");
            self.error(Code::Value, written.at.span, message, "");
        }
        match (most, duration) {
            (Some(requests), Some(duration)) => {
                Some(Until::First { requests, duration: duration.value.0 })
            }
            (Some(requests), None) => Some(Until::Requests(requests)),
            (None, Some(duration)) => Some(Until::Duration(duration.value.0)),
            (None, None) => {
                if !self.found_bad(draft, &["requests", key]) {
                    let message = format!("the stage `{}` has no end", draft.id);
                    let help = match (draft.kind, key) {
                        ("qps_ladder", _) => "add `step: 30s`, the length of each rung".to_owned(),
                        _ => format!("add `{key}: 30s` or `requests: 100`"),
                    };
                    self.error(Code::Incomplete, draft.span, message, &help);
                }
                None
            }
        }
    }

    pub(super) fn measure(
        &mut self,
        keys: &MeasureKeys,
        length: Option<Spanned<TimeSpan>>,
    ) -> Measure {
        let settle = time(keys.settle);
        if let (Some(written), Some(length)) = (keys.settle, length)
            && settle >= length.value.0
        {
            let message = "`settle` leaves nothing to measure";
            let help = "it is part of the stage (or rung) and must be shorter";
            self.error(Code::Value, written.at.span, message, help);
        }
        Measure {
            settle,
            cooldown: Duration::ZERO,
            find_plateau: false,
            drain: keys.drain.map_or(DRAIN, |drain| drain.value.0),
            window: None,
            max_lag: keys.max_lag.map_or(MAX_LAG, |lag| lag.value.0),
        }
    }

    pub(super) fn rate(&mut self, rate: Spanned<PerSecond>) -> Option<f64> {
        let fine = rate.value.0 > 0.0 && rate.value.0 <= MOST_RATE;
        if !fine {
            let message = "`rate` must be above 0 and at most 1,000,000 per second";
            self.error(Code::Value, rate.at.span, message, "");
        }
        fine.then_some(rate.value.0)
    }

    pub(super) fn arrival(&mut self, keys: &PacingKeys, span: Span) -> Option<ArrivalProcess> {
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

    pub(super) fn pacing(&mut self, keys: &PacingKeys) -> Pacing {
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
        Pacing {
            late: if drops_late {
                Late::Drop { after: keys.late_after.map_or(LATE_AFTER, |after| after.value.0) }
            } else {
                Late::Send
            },
            spin: None,
            max_in_flight,
            when_full: match keys.when_full.map(|word| word.value) {
                Some(FullWord::Drop) => WhenFull::Drop,
                Some(FullWord::Queue) | None => WhenFull::Queue,
            },
        }
    }

    /// The levels of a ladder or ramp, and where they stand.
    pub(super) fn series(
        &mut self,
        draft: &Draft,
        key: &str,
        example: &str,
        written: Option<&Spanned<Series>>,
    ) -> Option<(Vec<f64>, Span)> {
        const MOST: usize = 1_000;
        let Some(written) = written else {
            if !self.found_bad(draft, &[key]) {
                let message = format!("the stage `{}` has no levels", draft.id);
                self.error(Code::Incomplete, draft.span, message, &format!("add {example}"));
            }
            return None;
        };
        let (levels, at) = (written.value.0.clone(), written.at.span);
        if levels.is_empty() || levels.len() > MOST {
            let message = format!("`{key}` must have 1 to {MOST} levels");
            self.error(Code::Value, at, message, &format!("for example {example}"));
        }
        let twice =
            levels.iter().enumerate().find(|(index, level)| levels[..*index].contains(level));
        if let Some((_, level)) = twice {
            let message = format!("`{key}` has the level {level} twice");
            self.error(Code::Value, at, message, "each rung is named by its level");
        }
        Some((levels, at))
    }

    /// Reports a key that means nothing beside another.
    pub(super) fn without(&mut self, key: &str, at: Option<Span>, beside: &str) {
        if let Some(at) = at {
            let message = format!("`{key}` means nothing beside `{beside}`");
            self.error(Code::Conflict, at, message, "remove it");
        }
    }

    /// Whether one of `keys` of this stage is there but was refused by binding.
    pub(super) fn found_bad(&self, draft: &Draft, keys: &[&str]) -> bool {
        use crate::plan::source::Value;
        let Some(Value::List(items)) = self.tree.get("stages").map(|stages| &stages.value) else {
            return false;
        };
        items
            .iter()
            .filter(|stage| stage.at.span == draft.whole)
            .any(|stage| self.may_be_given(stage.at, keys))
    }
}

pub(super) fn time(written: Option<Spanned<TimeSpan>>) -> Duration {
    written.map_or(Duration::ZERO, |written| written.value.0)
}

pub(super) fn think(written: Option<Spanned<TimeSpan>>) -> Think {
    match time(written) {
        Duration::ZERO => Think::None,
        pause => Think::Constant(pause),
    }
}

/// A level that was checked to be a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked by the caller; the cast saturates"
)]
pub(super) fn whole(level: f64) -> u64 {
    level as u64
}
