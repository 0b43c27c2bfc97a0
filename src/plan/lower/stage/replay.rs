//! `replay` stages: which log, which part of it, and when its requests are sent.
//!
//! In: a written stage. Out: a resolved one. Invariant: its prompt has a dataset, the log, in the order
//! of its files; it has one timing (the log's own, or a rate), and a key about the other is an error.

use super::{Draft, Lowering, Shared};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{ReplayKeys, SampleFile};
use crate::plan::workload::{History, RowOrder};
use crate::plan::{Measure, Prompt, Replay, ReplayTiming, Sample, Sessions, Traffic};

/// Highest speed: a day in less than a tenth of a second.
const MOST_SPEED: f64 = 1e6;

impl Lowering<'_> {
    pub(super) fn replay(
        &mut self,
        draft: &Draft,
        keys: &ReplayKeys,
        shared: &Shared,
    ) -> Option<Replay> {
        let timing = self.timing(draft, keys);
        let pacing = self.pacing(&keys.pacing());
        let sample = keys.sample.as_ref().map_or(Some(Sample::ALL), |it| self.sample(it));
        let sessions = self.turns(keys);
        let until = match (keys.requests, keys.duration) {
            (None, None) => None,
            _ => Some(self.until(draft, keys.requests, ("duration", keys.duration))?),
        };
        let cycle = keys.cycle.is_some_and(|it| it.value);
        if let (Some(written), true, None) = (keys.cycle, cycle, until)
            && !self.found_bad(draft, &["requests", "duration"])
        {
            let message = "a replay that begins its log anew has no end";
            let help = "add `duration: 10m` or `requests: 1000`";
            self.error(Code::Incomplete, written.at.span, message, help);
        }
        let measure = self.measure(&keys.counting(), keys.max_lag, keys.duration);
        let window = self.window(keys.window);
        let prompt = self.log(draft, keys, shared);
        let warmup_requests = keys.warmup_requests.map_or(0, |count| count.value.0);
        Some(Replay {
            traffic: Traffic { prompt: prompt?, repeat_ratio: 0.0, warmup_requests },
            timing: timing?,
            sample: sample?,
            sessions,
            until,
            cycle,
            pacing,
            measure: Measure { window, ..self.steady(measure, &keys.steady(), keys.duration) },
            rows: None,
        })
    }

    /// The prompt whose dataset is the log.
    fn log(&mut self, draft: &Draft, keys: &ReplayKeys, shared: &Shared) -> Option<Prompt> {
        let (prompt, at) = match (&keys.log, &keys.prompt) {
            (Some(log), own) => {
                let rows = self.dataset(log, false);
                let manner = match own {
                    Some(own) => self.manner(own)?,
                    None => shared.prompt.clone().unwrap_or_else(|| self.bare(log.at.span.source)),
                };
                (manner.of_rows(rows?), log.at.span)
            }
            (None, Some(own)) => (self.prompt(own)?, own.at.span),
            (None, None) => {
                let has_log = shared.prompt.as_ref().is_none_or(|it| it.dataset.is_some());
                let is_told = shared.has_prompt && has_log;
                if !is_told && !self.found_bad(draft, &["log", "prompt"]) {
                    let message = format!("the stage `{}` has no log", draft.id);
                    let help = "add `log: requests.jsonl`, or a prompt with a `dataset`";
                    self.error(Code::Incomplete, draft.span, message, help);
                }
                (shared.prompt.clone().filter(|_| has_log)?, draft.span)
            }
        };
        match &prompt.dataset {
            Some(source) if source.order == RowOrder::Shuffled => {
                let message = "a replay keeps to the order of its log";
                self.error(Code::Conflict, at, message, "remove `order: shuffle`");
            }
            Some(_) => {}
            None => {
                let message = format!("the prompt of the stage `{}` has no log", draft.id);
                let help = "write it as `prompt: { dataset: requests.jsonl }`";
                self.error(Code::Incomplete, at, message, help);
                return None;
            }
        }
        Some(prompt)
    }

    fn timing(&mut self, draft: &Draft, keys: &ReplayKeys) -> Option<ReplayTiming> {
        let Some(rate) = keys.rate else {
            if !self.found_bad(draft, &["rate"]) {
                self.only_with_a_rate(&keys.arrivals());
            }
            let speed = keys.speed.map_or(1.0, |speed| speed.value.0);
            if let Some(written) = keys.speed.filter(|_| !(speed > 0.0 && speed <= MOST_SPEED)) {
                let message = "`speed` must be above 0 and at most 1,000,000";
                self.error(Code::Value, written.at.span, message, "2 is twice as fast");
                return None;
            }
            let spread = keys.spread_seconds.is_none_or(|spread| spread.value);
            return Some(ReplayTiming::Log { speed, spread });
        };
        for (key, at) in [
            ("speed", keys.speed.map(|it| it.at.span)),
            ("spread_seconds", keys.spread_seconds.map(|it| it.at.span)),
        ] {
            self.without(key, at, "rate");
        }
        let rate = self.rate(rate);
        let arrival = self.arrival(&keys.arrivals(), draft.span);
        rate.zip(arrival).map(|(rate, arrival)| ReplayTiming::Rate { rate, arrival })
    }

    /// Whether turns wait for each other, and whose answers they quote.
    fn turns(&mut self, keys: &ReplayKeys) -> Sessions {
        let is_live = keys.history.is_some_and(|word| word.value == History::Live);
        match keys.overlap.filter(|overlap| overlap.value) {
            Some(overlap) if is_live => {
                let message = "turns that overlap can't quote each other's answers";
                let help = "remove `overlap`, or `history: live`";
                self.error(Code::Conflict, overlap.at.span, message, help);
                Sessions::Independent
            }
            Some(_) => Sessions::Independent,
            None if is_live => Sessions::Live,
            None => Sessions::Ordered,
        }
    }

    fn sample(&mut self, written: &Spanned<SampleFile>) -> Option<Sample> {
        let (from, to, by) = match &written.value {
            SampleFile::Text(share) => (None, Some(*share), None),
            SampleFile::Map(keys) => (keys.from, keys.to, keys.by),
        };
        let sample = Sample {
            by: by.map(|word| word.value).unwrap_or_default(),
            start: from.map_or(0.0, |share| share.value.0),
            end: to.map_or(1.0, |share| share.value.0),
        };
        if sample.start >= sample.end || sample.end > 1.0 {
            let at = to.or(from).map_or(written.at.span, |share| share.at.span);
            let message = "`sample` must take more than nothing and at most all";
            self.error(Code::Value, at, message, "`10%`, or `{ from: 10%, to: 20% }`");
            return None;
        }
        Some(sample)
    }
}
