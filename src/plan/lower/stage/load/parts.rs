//! What the load stages share: what is asked, when it ends, what counts.
//!
//! In: groups of written keys. Out: their resolved values. Invariant: a key that would do nothing is
//! an error.

use std::time::Duration;

use super::super::{Draft, Lowering, Shared};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{AskingKeys, Count, CountingKeys, Series, SteadyKeys, TimeSpan};
use crate::plan::source::Span;
use crate::plan::{Measure, Think, Traffic, Until};

/// Longest wait for answers unless the plan says otherwise.
const DRAIN: Duration = Duration::from_secs(60);

/// How long an endpoint may be away unless the plan says otherwise: a server that is restarted by its
/// supervisor with its weights in the page cache is back by then.
const UNREACHABLE_WAIT: Duration = Duration::from_secs(30);

/// Lag of the generator above which its numbers are not to be trusted.
const MAX_LAG: Duration = Duration::from_millis(100);

/// Most users; each takes a connection.
pub(super) const MOST_USERS: f64 = 100_000.0;

/// Most requests per second that can be asked for.
pub(super) const MOST_RATE: f64 = 1e6;

impl Lowering<'_> {
    /// How many users or requests may be under way at a time.
    pub(in crate::plan::lower::stage) fn users(
        &mut self,
        key: &str,
        count: Option<Spanned<Count>>,
    ) -> Option<u64> {
        let users = self.positive(key, count)?;
        if users as f64 > MOST_USERS
            && let Some(written) = count
        {
            let message = format!("`{key}` is at most {MOST_USERS}");
            self.error(Code::Value, written.at.span, message, "");
        }
        Some(users)
    }

    /// What is asked. A prompt or dataset that can't be used has been reported.
    pub(in crate::plan::lower::stage) fn traffic(
        &mut self,
        draft: &Draft,
        keys: &AskingKeys<'_>,
        shared: &Shared,
    ) -> Option<Traffic> {
        let repeat_ratio = keys.repeat_ratio.map_or(0.0, |ratio| {
            if ratio.value.0 > 1.0 {
                let help = "0.3 repeats 30 % of the prompts";
                self.error(Code::Value, ratio.at.span, "`repeat_ratio` must be at most 1", help);
            }
            ratio.value.0
        });
        let help = "add `prompt:` to the plan or to the stage";
        let prompt = self.asks(draft, keys.prompt, shared, help)?;
        let warmup_requests = keys.warmup_requests.map_or(0, |count| count.value.0);
        Some(Traffic { prompt, repeat_ratio, warmup_requests })
    }

    pub(in crate::plan::lower::stage) fn until(
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

    pub(in crate::plan::lower::stage) fn measure(
        &mut self,
        keys: &CountingKeys,
        max_lag: Option<Spanned<TimeSpan>>,
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
            warmup: None,
            cooldown: None,
            drain: keys.drain.map_or(DRAIN, |drain| drain.value.0),
            unreachable_wait: keys.wait.map_or(UNREACHABLE_WAIT, |wait| wait.value.0),
            window: None,
            max_lag: max_lag.map_or(MAX_LAG, |lag| lag.value.0),
        }
    }

    /// The length of the stretches that have statistics of their own.
    pub(in crate::plan::lower::stage) fn window(
        &mut self,
        written: Option<Spanned<TimeSpan>>,
    ) -> Option<Duration> {
        if let Some(window) = written.filter(|window| window.value.0.is_zero()) {
            self.error(Code::Value, window.at.span, "`window` must be longer than nothing", "");
        }
        written.map(|window| window.value.0)
    }

    /// `measure` with the windows of its steady part, in a stage that sends for `length`.
    pub(in crate::plan::lower) fn steady(
        &mut self,
        measure: Measure,
        keys: &SteadyKeys,
        length: Option<Spanned<TimeSpan>>,
    ) -> Measure {
        let (warmup, cooldown) = (time(keys.warmup), time(keys.cooldown));
        if let (Some(written), Some(length)) = (keys.cooldown.or(keys.warmup), length)
            && measure.settle.saturating_add(warmup).saturating_add(cooldown) >= length.value.0
        {
            let message = "`warmup` and `cooldown` leave nothing of the stage";
            let help = "they are its head and its tail (after `settle`), and must leave a middle";
            self.error(Code::Value, written.at.span, message, help);
        }
        let given = |written: Option<Spanned<TimeSpan>>| written.map(|it| it.value.0);
        Measure { warmup: given(keys.warmup), cooldown: given(keys.cooldown), ..measure }
    }

    /// The levels of a ladder or ramp, and where they stand.
    pub(in crate::plan::lower::stage) fn series(
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
    pub(in crate::plan::lower::stage) fn without(
        &mut self,
        key: &str,
        at: Option<Span>,
        beside: &str,
    ) {
        if let Some(at) = at {
            let message = format!("`{key}` means nothing beside `{beside}`");
            self.error(Code::Conflict, at, message, "remove it");
        }
    }

    /// Whether one of `keys` of this stage is there but was refused by binding.
    pub(in crate::plan::lower::stage) fn found_bad(&self, draft: &Draft, keys: &[&str]) -> bool {
        self.may_be_given(draft.whole, keys)
    }
}

pub(super) fn time(written: Option<Spanned<TimeSpan>>) -> Duration {
    written.map_or(Duration::ZERO, |written| written.value.0)
}

/// How long the users of a closed loop take to begin: what is written, else half of the part that
/// does not count, so that they are out of step when it does; no time where everything counts.
pub(super) fn spread(written: Option<Spanned<TimeSpan>>, measure: &Measure) -> Duration {
    let left_out = match measure.settle {
        Duration::ZERO => measure.warmup.unwrap_or_default(),
        settle => settle,
    };
    written.map_or(left_out / 2, |written| written.value.0)
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
