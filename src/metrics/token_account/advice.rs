//! Where counts of tokens part or are missing: what is said, and what can be done about it.
//!
//! In: the accounts of stages. Out: sentences. Invariant: a sentence says whose counts the figures are.

use super::{Divergence, Side, TokenSide, TokenSource, by_stage};
use crate::metrics::quantity::{grouped, significant};
use crate::metrics::summary::StageSummary;

/// Warnings at most: thousands of cells may all say the same.
const MOST_WARNINGS: usize = 12;

impl Divergence {
    /// What it may come from and what to do; TPOT is named where the stage has one.
    pub(super) fn advice(&self, side: Side, has_tpot: bool) -> String {
        let is_less = self.share < 0.0;
        let advice = match (side, self.source) {
            // In logs of before such usage was left out as impossible.
            _ if self.against_tokens == 0 => {
                "its usage says 0 where there was text, so figures per token are missing: is counting \
                 turned off there, or a proxy in between?"
            }
            (Side::Input, _) if is_less => {
                "the server adds much around the texts (chat template, system prompt, tools), or \
                 the tokenizer is not this model's: give the model's own tokenizer.json, or \
                 `tokenizer: server`"
            }
            (Side::Input, _) => {
                "the tokenizer is not this model's, or the server cut the prompts: give the model's \
                 own tokenizer.json or `tokenizer: server`, and mind the server's context length"
            }
            (Side::Output, TokenSource::Events) if is_less => {
                "several tokens come in one event, or the server counts tokens that it does not \
                 stream (reasoning), so `itl` is the time between events and not between tokens"
            }
            (Side::Output, TokenSource::Events) => {
                "tokens come in pieces, or a proxy cuts them, so `itl` is shorter than the time \
                 between tokens"
            }
            (Side::Output, _) if is_less => {
                "the server counts tokens that it does not send as text (reasoning, tool calls, end \
                 marks), or the tokenizer is not this model's; figures per token go by the server's \
                 count"
            }
            (Side::Output, _) => {
                "the tokenizer is not this model's, or the server's usage leaves out what it sent \
                 (reasoning); figures per token go by the server's count"
            }
        };
        let is_of_events = self.source == TokenSource::Events && self.against_tokens > 0;
        let compare = if side == Side::Output && is_of_events && has_tpot {
            ": compare `tpot`, which goes by the count of tokens"
        } else {
            ""
        };
        format!("{advice}{compare}")
    }
}

/// A warning with advice for every large divergence of a reported stage, and for tokens that nobody
/// counted.
pub fn warnings(stages: &[StageSummary]) -> Vec<String> {
    let mut warnings = Vec::new();
    let reported = || stages.iter().filter(|stage| stage.reported);
    for (stage, account) in by_stage(reported()) {
        let has_tpot = reported().any(|it| it.key() == stage && it.metrics.contains_key("tpot"));
        for (side, counts) in account.sides() {
            let what = if side == Side::Input { "prompts" } else { "answers" };
            warnings.extend(missing(counts, what).map(|words| format!("stage {stage}: {words}")));
            for it in counts.telling().filter(|it| it.is_large) {
                warnings.push(format!(
                    "stage {stage}: tokens of {what}: {} by {}, {} by {} ({}): {}",
                    grouped(it.tokens),
                    it.source.phrase(),
                    grouped(it.against_tokens),
                    it.against.phrase(),
                    it.in_words(),
                    it.advice(side, has_tpot),
                ));
            }
        }
    }
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        warnings.truncate(MOST_WARNINGS);
        warnings
            .push(format!("{more} more counts of tokens lie more than 10 % apart or are missing"));
    }
    warnings
}

/// What is said where nobody counted the tokens of some requests, with how far what there is lies
/// apart.
pub(super) fn missing(side: &TokenSide, what: &str) -> Option<String> {
    let uncounted = side.uncounted();
    if uncounted == 0 {
        return None;
    }
    let source = side.source?;
    let of = format!("{} of {} {what}", grouped(uncounted), grouped(side.requests));
    if source.is_count() {
        return Some(format!(
            "tokens of {of} were not counted ({}, and there is no exact tokenizer): sums and rates \
             of tokens leave them out",
            side.silence()
        ));
    }
    let apart = match (side.sums.events, side.sums.estimate) {
        (Some(events), Some(estimate)) if estimate > 0 => {
            let percent = 100.0 * (events as f64 / estimate as f64 - 1.0);
            let word = if percent < 0.0 { "fewer" } else { "more" };
            format!(
                "; there were {} events where four characters to a token make about {} ({} % {word})",
                grouped(events),
                grouped(estimate),
                significant(percent.abs(), 2),
            )
        }
        (None, Some(estimate)) => {
            format!("; four characters to a token make about {}", grouped(estimate))
        }
        _ => String::new(),
    };
    let instead = if side.sums.events.is_some() { ", and rates are of events" } else { "" };
    let silence = side.silence();
    let or_send = if side.impossible == 0 { ", or have the server send usage" } else { "" };
    Some(format!(
        "tokens of {of} were not counted: {silence} and there is no exact tokenizer, so figures of \
         their tokens have no data{instead}{apart}; give the endpoint `tokenizer: server` or its \
         model's tokenizer.json{or_send}"
    ))
}
