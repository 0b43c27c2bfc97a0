//! What lies behind the table: flushes, errors, stages that did not complete.
//!
//! In: stages. Out: lines of text. Invariant: whatever a server said is quoted, never obeyed.

use super::columns::flush_word;
use super::escape::{named, printable};
use super::look::Look;
use crate::metrics::quantity::{grouped, show};
use crate::metrics::summary::StageSummary;
use crate::record::{FlushAttempt, FlushLine, FlushState, StageState};

/// What was done to empty the cache, and what it did; of a flush that is proven, where it is asked for.
pub(super) fn flushes(stages: &[&StageSummary], look: Look) -> Vec<String> {
    let flushed = stages.iter().filter_map(|stage| Some((stage, stage.flush.as_ref()?)));
    let flushed = flushed.filter(|(_, it)| look.verbose || it.state != FlushState::Proven);
    flushed.flat_map(|(stage, flush)| one_flush(&stage.label(), flush, look)).collect()
}

fn one_flush(stage: &str, flush: &FlushLine, look: Look) -> Vec<String> {
    let word = flush_word(flush.state);
    let word = match flush.state {
        FlushState::Proven => look.good(word),
        FlushState::Unproven => look.doubtful(word),
        FlushState::Failed => look.bad(word),
    };
    // The summary begins with the same word.
    let summary = flush.summary.strip_prefix("flush ").unwrap_or(&flush.summary);
    let why = summary.split_once([' ', ':']).map_or(summary, |(_, why)| why.trim_start());
    let joint = if flush.state == FlushState::Proven { "" } else { ":" };
    let mut lines = vec![format!("  {}: {word}{joint} {}", printable(stage), printable(why))];
    lines.push(format!("      before: canary {}{}", flush.before, canary_before(flush)));
    lines.extend(flush.attempts.iter().enumerate().map(|(number, attempt)| {
        let FlushAttempt { method, accepted, detail, after, .. } = attempt;
        let accepted = if *accepted { "accepted" } else { "refused" };
        let detail =
            if detail.is_empty() { String::new() } else { format!(" ({})", printable(detail)) };
        let (method, number) = (printable(method), number + 1);
        format!(
            "      try {number}: {method}: {accepted}{detail}; canary {after}{}",
            canary_after(attempt)
        )
    }));
    lines
}

fn canary_before(flush: &FlushLine) -> String {
    let cached = match (flush.cached_tokens, flush.prompt_tokens) {
        (Some(cached), Some(prompt)) => {
            format!(", {} of {} tokens cached", grouped(cached), grouped(prompt))
        }
        _ => String::new(),
    };
    let ttft = match (flush.ttft_cold_ms, flush.ttft_warm_ms) {
        (Some(cold), Some(warm)) => {
            format!(", TTFT {} new, {} repeated", show(cold, "ms"), show(warm, "ms"))
        }
        _ => String::new(),
    };
    format!("{cached}{ttft}")
}

fn canary_after(attempt: &FlushAttempt) -> String {
    let cached = attempt.cached_tokens.map(|n| format!(", {} tokens cached", grouped(n)));
    let ttft = attempt.ttft_ms.map(|ms| format!(", TTFT {}", show(ms, "ms")));
    format!("{}{}", cached.unwrap_or_default(), ttft.unwrap_or_default())
}

/// Failed requests by class, with the first message of each.
pub(super) fn errors(stages: &[&StageSummary]) -> Vec<String> {
    let found: Vec<_> = stages
        .iter()
        .flat_map(|stage| stage.errors.iter().map(move |(class, count)| (stage, class, count)))
        .collect();
    let line = |(stage, class, count): &(&&StageSummary, &String, &u64)| {
        let sample = stage.error_samples.get(*class).map(|text| format!("  {}", printable(text)));
        let words = format!("{} × {}", grouped(**count), printable(class));
        let label = printable(&stage.label()).into_owned();
        (label, format!("{words}{}", sample.unwrap_or_default()))
    };
    named(&found.iter().map(line).collect::<Vec<_>>())
}

/// Stages that did not end as planned, and why: cut short, or completed with something to say. Levels
/// and cells that share a reason are told together.
pub(super) fn unplanned_ends(stages: &[&StageSummary], look: Look) -> Vec<String> {
    let is_told =
        |stage: &&&StageSummary| stage.state != StageState::Completed || stage.reason.is_some();
    let told: Vec<&StageSummary> = stages.iter().filter(is_told).copied().collect();
    let is_alike = |a: &&StageSummary, b: &&StageSummary| {
        !look.verbose && (&a.id, a.state, &a.reason) == (&b.id, b.state, &b.reason)
    };
    let line = |alike: &[&StageSummary]| {
        let first = alike.first()?;
        let more = match alike.len() {
            1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        let state = match first.state {
            StageState::Completed => "completed".to_owned(),
            StageState::Failed => look.bad("failed"),
            StageState::Interrupted => look.doubtful("interrupted"),
            StageState::Skipped => look.doubtful("skipped"),
        };
        let reason = first.reason.as_deref().unwrap_or("no reason was recorded");
        Some(format!("  {}{more} {state}: {}", printable(&first.label()), printable(reason)))
    };
    told.chunk_by(is_alike).filter_map(line).collect()
}
