//! Thresholds → verdicts, each with a sentence.
//!
//! In: a [`Threshold`], the stage it stands on, the stages measured before. Out:
//! [`ThresholdResult`]. Invariant: no data is a failure, never a silent pass. (The one check nobody
//! wrote, that a cold stage is cold, passes when the server gives no sign at all, and says so.)

use std::fmt::Write;

use serde_json::Value;

use self::figure::{Figure, baseline, figure, resolve};
use super::cache_verdict::agrees;
use super::quantity::{plural, show, show_apart};
use super::summary::{StageSummary, ThresholdResult};
use super::tally::Measured;
use super::token_account::IMPOSSIBLE_COUNTS;
use crate::plan::metric::{self, METRICS, Origin};
use crate::plan::{Aggregate, CacheWord, Level, Limit, MetricRef, Op, Threshold};
use crate::record::{CacheState, FlushLine, FlushState, StageState};

mod figure;

/// Judges `threshold` on `own`, with references to `earlier` stages resolved.
pub fn judge(threshold: &Threshold, own: &Measured, earlier: &[&Measured]) -> ThresholdResult {
    let on_one_basis;
    let threshold = match origin(threshold, own, earlier) {
        from if from == threshold.from => threshold,
        from => {
            on_one_basis = Threshold { from, ..threshold.clone() };
            &on_one_basis
        }
    };
    let judged = match &threshold.right {
        Limit::Cache(word) => judge_cache(threshold, *word, own, earlier),
        Limit::Value(limit) => judge_number(threshold, own, earlier, |_| Ok((*limit, None))),
        Limit::Times { factor, of } => judge_number(threshold, own, earlier, |unit| {
            let base = figure(of, threshold.from, own, earlier)?.value;
            let product = format!("{factor} × {} ({})", name(of), show(base, unit));
            Ok((factor * base, Some(product)))
        }),
        Limit::Baseline { values, .. } if values.is_empty() => {
            let reason = "not made: there is no baseline yet".to_owned();
            Judged { pass: true, reason, ..Judged::no_data("") }
        }
        Limit::Baseline { share, values } => judge_number(threshold, own, earlier, |unit| {
            let base = baseline(&threshold.left, values, own, earlier)?;
            Ok((base * (1.0 + share), Some(baseline_words(*share, base, unit))))
        }),
    };
    let judged = match judged {
        Judged { no_data: true, reason, .. } if threshold.allow_no_data => {
            Judged { pass: true, reason: format!("{reason}; the plan allows that"), ..judged }
        }
        judged => judged.of_what_ran(&own.summary),
    };
    ThresholdResult {
        check: threshold.check.clone(),
        level: threshold.level,
        actual: judged.actual,
        limit: judged.limit,
        unit: unit_of(&threshold.left).to_owned(),
        samples: judged.samples,
        pass: judged.pass,
        judged: !(judged.pass && judged.no_data),
        reason: judged.reason,
        location: threshold.location.to_string(),
    }
}

/// Where the latencies of both sides count from: where the check says, else each from where its stage
/// does, and if only one of them counts from due, both do (both from sent, where one has no due times).
fn origin(threshold: &Threshold, own: &Measured, earlier: &[&Measured]) -> Option<Origin> {
    let Limit::Times { of, .. } = &threshold.right else { return threshold.from };
    let is_late = |side, from| figure(side, from, own, earlier).ok().map(|it| it.is_from_due);
    let sides = [&threshold.left, of];
    let [left, right] = sides.map(|side| is_late(side, None));
    if threshold.from.is_some() || left? == right? {
        return threshold.from;
    }
    let has_due = sides.iter().all(|side| is_late(side, Some(Origin::Due)).is_some());
    Some(if has_due { Origin::Due } else { Origin::Sent })
}

/// Where the latency of a check counts from, in words, where one of its stages has it from due.
fn basis(threshold: &Threshold, own: &Measured, earlier: &[&Measured]) -> Option<&'static str> {
    let of = match &threshold.right {
        Limit::Times { of, .. } => Some(of),
        _ => None,
    };
    let sides = || std::iter::once(&threshold.left).chain(of);
    let is_late =
        |from| move |side| figure(side, from, own, earlier).is_ok_and(|it| it.is_from_due);
    if sides().any(is_late(threshold.from)) {
        Some("from when they were due")
    } else if of.is_some() && sides().any(is_late(None)) {
        Some("from when they were sent")
    } else {
        None
    }
}

/// `baseline (261 ms) + 10 %`.
pub(super) fn baseline_words(share: f64, base: f64, unit: &str) -> String {
    let shown = show(base, unit);
    if share < 0.0 {
        format!("baseline ({shown}) - {}", percent(-share))
    } else if share > 0.0 {
        format!("baseline ({shown}) + {}", percent(share))
    } else {
        format!("baseline ({shown})")
    }
}

/// What a judgement found, before it is put beside the check.
struct Judged {
    actual: Option<Value>,
    limit: Option<Value>,
    samples: u64,
    pass: bool,
    /// There was nothing at all to judge.
    no_data: bool,
    reason: String,
}

impl Judged {
    /// What a stage that was cut short, or never begun, is judged by: what failed has failed, and the
    /// rest is not known.
    fn of_what_ran(self, stage: &StageSummary) -> Self {
        let counts = &stage.counts;
        match stage.state {
            StageState::Completed if !stage.was_stopped() || counts.planned == 0 => self,
            StageState::Completed if counts.never_started < counts.planned => self,
            _ if counts.ok + counts.errors == 0 => {
                let reason = format!("not made: no request of stage {} ended", stage.label());
                Self { pass: true, no_data: true, reason, ..self }
            }
            _ if self.pass => {
                let reason = format!("not made: the stage was cut short, at {}", self.reason);
                Self { no_data: true, reason, ..self }
            }
            _ => self,
        }
    }

    fn no_data(reason: impl std::fmt::Display) -> Self {
        let reason = format!("no data: {reason}");
        Self { actual: None, limit: None, samples: 0, pass: false, no_data: true, reason }
    }
}

/// The right side: its value and how it came about, when it was not simply written.
type RightSide = (f64, Option<String>);

fn judge_number(
    threshold: &Threshold,
    own: &Measured,
    earlier: &[&Measured],
    right: impl FnOnce(&str) -> Result<RightSide, String>,
) -> Judged {
    let unit = unit_of(&threshold.left);
    let left = match figure(&threshold.left, threshold.from, own, earlier) {
        Ok(figure) => figure,
        Err(why) => return Judged::no_data(why),
    };
    let (left, stretch) = match threshold.over_ms {
        None => (left, None),
        Some(over_ms) => {
            let over = show(over_ms as f64, "ms");
            let Some(worst) = own.worst(threshold) else {
                let (have, want) = (plural(left.samples, "sample"), threshold.min_samples.max(1));
                return Judged {
                    samples: left.samples,
                    reason: format!(
                        "too little data: no {over} of the stage have {want} samples ({have} in all)"
                    ),
                    ..Judged::no_data("")
                };
            };
            let from = worst.from_ns.saturating_sub(own.began_ns()) as f64 / 1e6;
            let words = format!("in the worst {over}, {} after the stage began", show(from, "ms"));
            (Figure { value: worst.value, samples: worst.samples, ..left }, Some(words))
        }
    };
    let mut judged = Judged {
        actual: number(left.value),
        limit: None,
        samples: left.samples,
        pass: false,
        no_data: false,
        reason: String::new(),
    };
    let (limit, product) = match right(unit) {
        Ok(right) => right,
        Err(why) => return Judged { reason: format!("no data: {why}"), ..judged },
    };
    judged.limit = number(limit);
    let (actual, shown_limit) = show_apart(left.value, limit, unit);
    if left.samples < threshold.min_samples {
        let (have, want) = (plural(left.samples, "sample"), threshold.min_samples);
        judged.reason =
            format!("too little data: {have}, at least {want} needed ({actual} so far)");
        return judged;
    }
    judged.pass = threshold.op.holds(left.value, limit);
    let relation = if judged.pass { symbol(threshold.op) } else { opposite(threshold.op) };
    judged.reason = format!("{actual} {relation} {shown_limit}");
    if let Some(product) = product {
        let _infallible = write!(judged.reason, " = {product}");
    }
    let _infallible = write!(judged.reason, "; {}", plural(left.samples, "sample"));
    if let Some(stretch) = stretch {
        let _infallible = write!(judged.reason, " {stretch}");
    }
    if let Some(basis) = basis(threshold, own, earlier) {
        let _infallible = write!(judged.reason, ", {basis}");
    }
    judged
}

fn judge_cache(
    threshold: &Threshold,
    word: CacheWord,
    own: &Measured,
    earlier: &[&Measured],
) -> Judged {
    let stage = match resolve(&threshold.left, own, earlier) {
        Ok(stage) => &stage.summary,
        Err(why) => return Judged::no_data(why),
    };
    let wanted = match word {
        CacheWord::Cold => CacheState::Cold,
        CacheWord::Warm => CacheState::Warm,
    };
    let verdict = stage.cache.verdict;
    let mut judged = Judged {
        actual: Some(Value::String(verdict.to_string())),
        limit: Some(Value::String(wanted.to_string())),
        samples: stage.counts.ok,
        pass: verdict == wanted,
        no_data: stage.counts.ok == 0 || verdict == CacheState::Unknown,
        reason: String::new(),
    };
    judged.reason = match verdict {
        _ if stage.counts.ok == 0 => "no data: no request succeeded".to_owned(),
        _ if stage.counts.ok < threshold.min_samples => {
            judged.pass = false;
            let (have, want) = (stage.counts.ok, threshold.min_samples);
            format!("too little data: {}, at least {want} needed", plural(have, "request"))
        }
        CacheState::Unknown if threshold.implicit => {
            judged.pass = true;
            format!("not checked: {}", silence(stage))
        }
        CacheState::Unknown => format!("no data: {}", silence(stage)),
        known => format!("{known}{}; {}", shares(stage), plural(stage.counts.ok, "request")),
    };
    judged
}

/// The check that every flush stage brings along: a flush that is known to have failed fails the
/// run, one that can't be proven does not.
pub fn judge_flush(flush: &FlushLine) -> ThresholdResult {
    let state = match flush.state {
        FlushState::Proven => "proven",
        FlushState::Unproven => "unproven",
        FlushState::Failed => "failed",
    };
    ThresholdResult {
        check: "flush != failed".into(),
        level: Level::Fail,
        actual: Some(Value::String(state.into())),
        limit: Some(Value::String("failed".into())),
        unit: "verdict".into(),
        samples: flush.attempts.len() as u64,
        pass: flush.state != FlushState::Failed,
        judged: flush.state != FlushState::Unproven,
        reason: flush.summary.clone(),
        location: String::new(),
    }
}

/// Why a verdict is unknown.
fn silence(stage: &StageSummary) -> &'static str {
    if stage.has_impossible_prompts() {
        IMPOSSIBLE_COUNTS
    } else if stage.cache.cached_tokens.is_some() {
        "the prompts are too short to tell a cached prompt from a chat template's own prefix"
    } else {
        "the server does not report cached tokens"
    }
}

/// `: 98.4 % of the prompt tokens came from the cache`, where known.
fn shares(stage: &StageSummary) -> String {
    match (stage.cache.cached_tokens, stage.cache.prompt_tokens) {
        (Some(cached), Some(prompt)) if prompt > 0 => {
            let share = cached as f64 / prompt as f64;
            // Short prompts of which a template's start is all that was cached.
            let is_start =
                stage.cache.verdict == CacheState::Cold && !agrees(CacheState::Cold, share);
            let start = if is_start { ", no more than their start" } else { "" };
            let whose = if stage.cache.by_counters { " by the server's counters" } else { "" };
            format!(
                ": {} of the prompt tokens came from the cache{start}{whose}",
                show(share, "share")
            )
        }
        _ => String::new(),
    }
}

/// `10 %` of 0.1, without the noise of binary fractions.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

/// Why a check that chooses rungs was judged on none of them.
pub fn not_judged(threshold: &Threshold) -> ThresholdResult {
    let filter = threshold.rungs.as_ref().map_or("", |filter| filter.text.as_str());
    let allowed = threshold.allow_no_data;
    let end = if allowed { "; the plan allows that" } else { "" };
    ThresholdResult {
        check: threshold.check.clone(),
        level: threshold.level,
        actual: None,
        limit: None,
        unit: unit_of(&threshold.left).to_owned(),
        samples: 0,
        pass: allowed,
        judged: !allowed,
        reason: format!("no data: no rung has `{filter}`{end}"),
        location: threshold.location.to_string(),
    }
}

fn symbol(op: Op) -> &'static str {
    match op {
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Eq => "==",
    }
}

/// What is true when the comparison does not hold.
fn opposite(op: Op) -> &'static str {
    match op {
        Op::Lt => ">=",
        Op::Le => ">",
        Op::Gt => "<=",
        Op::Ge => "<",
        Op::Eq => "!=",
    }
}

/// `cold.ttft.p50`.
pub(super) fn name(of: &MetricRef) -> String {
    let stage = of.stage.as_ref().map(|stage| format!("{stage}.")).unwrap_or_default();
    let aggregate = match of.aggregate {
        None => String::new(),
        Some(Aggregate::Mean) => ".mean".to_owned(),
        Some(Aggregate::Std) => ".std".to_owned(),
        Some(Aggregate::Min) => ".min".to_owned(),
        Some(Aggregate::Max) => ".max".to_owned(),
        Some(Aggregate::Count) => ".count".to_owned(),
        Some(Aggregate::Percentile(percent)) => format!(".p{percent}"),
    };
    format!("{stage}{}{aggregate}", of.metric)
}

pub(super) fn unit_of(of: &MetricRef) -> &'static str {
    if of.aggregate == Some(Aggregate::Count) {
        return "samples";
    }
    metric::find(&of.metric).map_or(METRICS[0].unit, |metric| metric.unit)
}

fn number(value: f64) -> Option<Value> {
    serde_json::Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests;
