//! What a search found, in plain words.
//!
//! In: a [`SearchFound`] and why the level above its best failed. Out: a few sentences, the most
//! important first. Invariant: every number in them stands in the figures as well.

use std::fmt::Write as _;

use super::{Reason, SearchFound};
use crate::metrics::quantity::{plural, show};
use crate::metrics::saturation::Axis;

pub(super) fn advice(found: &SearchFound, why: Option<&str>) -> Vec<String> {
    let mut lines = vec![verdict(found)];
    if let (Some(level), Some(why)) = (found.failed_at, why) {
        lines.push(format!("At {}, {why}.", say(found.axis, level)));
    }
    if found.best.is_some() {
        lines.push(format!(
            "Confidence {}, from {} of {} in all.",
            show(found.confidence, "share"),
            plural(found.probes, "probe"),
            plural(found.requests, "request"),
        ));
    }
    if let Some(rate) = found.requests_per_second {
        let mut line = format!("There it answered {}", show(rate, "requests/s"));
        if let Some(tokens) = found.output_tokens_per_second {
            let _infallible = write!(line, ", {}", show(tokens, "tokens/s"));
        }
        if let (Some(goodput), Some(share)) = (found.goodput, found.goodput_share) {
            let (goodput, share) = (show(goodput, "requests/s"), show(share, "share"));
            let _infallible = write!(line, "; goodput {goodput}, {share} of what was planned");
        }
        lines.push(line + ".");
    }
    if let Some((low, high)) = found.recommended {
        let (low, high) = match found.axis {
            Axis::Rate => (number(low), number(high)),
            Axis::Concurrency => (number(low.floor().max(1.0)), number(high.floor().max(1.0))),
        };
        let unit = match found.axis {
            Axis::Rate => "requests/s",
            Axis::Concurrency => "concurrent requests",
        };
        lines.push(format!(
            "Run production at {low} to {high} {unit}, 70 to 80 % of it, to leave headroom."
        ));
    }
    lines
}

fn verdict(found: &SearchFound) -> String {
    let best = found.best.map(|best| say(found.axis, best));
    let stopped = found.failed_at.map(|level| say(found.axis, level));
    match (best, stopped, found.reason) {
        (Some(best), Some(stop), Some(Reason::Converged)) => {
            format!("The highest level that holds is {best}; {stop} does not.")
        }
        (Some(best), _, Some(Reason::AllPass)) => {
            format!("Even the highest level allowed holds: {best}. Raise `to` to find its limit.")
        }
        (None, Some(stop), Some(Reason::AllFail)) => {
            format!("Not even the lowest level holds, {stop}. Lower `from`.")
        }
        (Some(best), Some(stop), Some(Reason::Inconclusive)) => {
            format!("At least {best} holds; {stop} could not be judged.")
        }
        (None, Some(stop), Some(Reason::Inconclusive)) => {
            format!("Nothing could be judged, not even {stop}.")
        }
        (Some(best), Some(stop), Some(Reason::Spent)) => format!(
            "Its probes or requests were spent: {best} held, {stop} did not, and the limit lies \
             between."
        ),
        (Some(best), None, Some(Reason::Spent)) => {
            format!("Its probes or requests were spent while {best} still held.")
        }
        (Some(best), _, _) => format!("Cut short: {best} held so far."),
        (None, _, _) => "Cut short before any level held.".to_owned(),
    }
}

/// A level in words.
fn say(axis: Axis, level: f64) -> String {
    match axis {
        Axis::Rate => format!("{} requests/s", number(level)),
        Axis::Concurrency => format!("{} at a time", number(level)),
    }
}

/// Up to two decimals, without trailing zeros; small numbers keep four digits.
fn number(value: f64) -> String {
    if value < 1.0 {
        return format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
