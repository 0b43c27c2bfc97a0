//! What each stage measured, and the run's totals.

use std::collections::BTreeSet;

use super::words::{sentence, tail};
use super::{Claim, ClaimFigure, ClaimKind, cells};
use crate::metrics::quantity::{grouped, plural, show};
use crate::metrics::summary::{Counts, StageSummary, Summary};
use crate::metrics::token_account::IMPOSSIBLE_COUNTS;

/// The headline where there is nothing to conclude: what the stage with the most answers measured, in
/// each of its cells and over them.
pub(super) fn measured(summary: &Summary) -> Vec<Claim> {
    let reported = || summary.stages.iter().filter(|stage| stage.reported && stage.counts.ok > 0);
    // A level that never came about says nothing of it.
    let most = reported().max_by_key(|stage| (stage.level_missed().is_none(), stage.counts.ok));
    let Some(most) = most else { return Vec::new() };
    // Of a ladder, or of a search, it is one level.
    let alike = reported().filter(|stage| {
        stage.id == most.id && stage.rung == most.rung && (stage.cell.is_some() || *stage == most)
    });
    let each: Vec<Claim> = alike.filter_map(stage_measured).collect();
    cells::measured(summary, &each).into_iter().chain(each.iter().cloned()).collect()
}

fn stage_measured(stage: &StageSummary) -> Option<Claim> {
    let (name, metric, key) = [("TTFT", "ttft", "ttft_p50"), ("E2E", "e2e", "e2e_p50")]
        .into_iter()
        .find(|(_, metric, _)| stage.metrics.contains_key(*metric))?;
    let found = stage.shown(metric)?;
    let interval = found.p50_interval.map_or_else(String::new, |[low, high]| {
        format!(" (95 % CI {} to {})", show(low, "ms"), show(high, "ms"))
    });
    let text = format!(
        "{}: {name} p50 {}{interval}{}; {} of {} answered.",
        stage.label(),
        show(found.p50, "ms"),
        tail(found, 99.0, found.p99),
        grouped(stage.counts.ok),
        plural(stage.counts.planned, "request"),
    );
    let claim = Claim::new(ClaimKind::Measured, text).about(stage);
    let claim = match stage.rung {
        Some(rung) => claim.at(rung),
        None => claim,
    };
    Some(
        claim
            .with(key, ClaimFigure::median(found))
            .with("p99", ClaimFigure::tail(found, 99.0, found.p99))
            .with("requests_ok", ClaimFigure::count(stage.counts.ok, "requests"))
            .with("requests_planned", ClaimFigure::count(stage.counts.planned, "requests")),
    )
}

/// The run's totals, then what every stage has to say for itself.
pub(super) fn details(summary: &Summary) -> Vec<Claim> {
    let reported = || summary.stages.iter().filter(|stage| stage.reported);
    let mut claims: Vec<Claim> = totals(reported()).into_iter().collect();
    let mut seen: Vec<String> = Vec::new();
    for stage in reported().filter(|stage| !seen_before(&mut seen, stage)) {
        let rungs: Vec<&StageSummary> = reported().filter(|it| it.key() == stage.key()).collect();
        // Of a ladder that began, its table tells.
        let begun = |stage: &&StageSummary| stage.counts.accounted() != stage.counts.never_started;
        if stage.rung.is_some() && rungs.iter().any(begun) {
            continue;
        }
        claims.extend(requests(&rungs));
        claims.extend(first_token(stage));
        claims.extend(cache(stage));
    }
    claims
}

fn seen_before(seen: &mut Vec<String>, stage: &StageSummary) -> bool {
    let key = stage.key();
    let is_known = seen.contains(&key);
    seen.push(key);
    is_known
}

/// All requests of stages that are reported.
fn totals<'a>(stages: impl Iterator<Item = &'a StageSummary>) -> Option<Claim> {
    let stages: Vec<&StageSummary> = stages.collect();
    let sum =
        |take: fn(&Counts) -> u64| -> u64 { stages.iter().map(|stage| take(&stage.counts)).sum() };
    let (ok, planned) = (sum(|counts| counts.ok), sum(|counts| counts.planned));
    let errors = sum(|counts| counts.errors);
    let seconds: f64 = stages.iter().map(|stage| stage.duration_s).sum();
    // Stages may run at the same time, so their sum is not how long it took.
    let stages_of = if stages.len() > 1 { "stages of " } else { "" };
    let together = if stages.len() > 1 { " together" } else { "" };
    let took = format!("in {stages_of}{}{together}", show(seconds * 1e3, "ms"));
    let text = format!("{} of {} answered {took}.", grouped(ok), plural(planned, "request"));
    (planned > 0).then(|| {
        Claim::new(ClaimKind::Totals, text)
            .with("requests_ok", ClaimFigure::count(ok, "requests"))
            .with("requests_planned", ClaimFigure::count(planned, "requests"))
            .with("requests_failed", ClaimFigure::count(errors, "requests"))
            .with_some("output_tokens", tokens(&stages))
            .with("seconds", ClaimFigure::new(seconds, "s"))
    })
}

/// All tokens that were generated, and by whom they were counted; nothing where a stage's were not.
fn tokens(stages: &[&StageSummary]) -> Option<ClaimFigure> {
    let (mut all, mut sources) = (0.0, BTreeSet::new());
    for stage in stages.iter().filter(|stage| stage.counts.ok > 0) {
        let tokens = stage.metrics.get("output_tokens")?;
        all += tokens.mean * tokens.count as f64;
        sources.insert(stage.tokens.as_ref()?.output.source?.word());
    }
    let source = sources.into_iter().collect::<Vec<_>>().join(", ");
    let figure = ClaimFigure::new(all.round(), "tokens");
    (!source.is_empty()).then_some(ClaimFigure { source: Some(source), ..figure })
}

/// How the requests of a stage ended, or of all rungs of a ladder that never began.
fn requests(stages: &[&StageSummary]) -> Option<Claim> {
    let sum =
        |take: fn(&Counts) -> u64| -> u64 { stages.iter().map(|stage| take(&stage.counts)).sum() };
    let (planned, ok) = (sum(|counts| counts.planned), sum(|counts| counts.ok));
    let seconds = stages.iter().map(|stage| stage.duration_s).sum::<f64>();
    let (all, took) = (plural(planned, "request"), show(seconds * 1e3, "ms"));
    let never_started = sum(|counts| counts.never_started);
    let kinds = [
        (ok, "requests_ok", "answered"),
        (sum(|counts| counts.errors), "requests_failed", "failed"),
        (sum(|counts| counts.cancelled), "requests_cancelled", "cancelled"),
        (sum(|counts| counts.dropped_late), "requests_dropped", "dropped because they were late"),
        (sum(|counts| counts.lost_in_flight), "requests_lost", "lost in flight"),
        (never_started, "requests_never_started", "never started"),
    ];
    let there = || kinds.iter().filter(|(count, ..)| *count > 0);
    let text = if ok == planned {
        format!("{all} in {took}, all answered.")
    } else if never_started == planned {
        format!("{all}, none of them started.")
    } else {
        let each: Vec<String> =
            there().map(|(count, _, word)| format!("{} {word}", grouped(*count))).collect();
        format!("{all} in {took}: {}.", each.join(", "))
    };
    let stage = stages.first().filter(|_| planned > 0)?;
    let claim = Claim::new(ClaimKind::Requests, text)
        .about(stage)
        .with("requests_planned", ClaimFigure::count(planned, "requests"))
        .with("seconds", ClaimFigure::new(seconds, "s"));
    Some(there().fold(claim, |claim, (count, name, _)| {
        claim.with(name, ClaimFigure::count(*count, "requests"))
    }))
}

fn first_token(stage: &StageSummary) -> Option<Claim> {
    let ttft = stage.shown("ttft").filter(|ttft| ttft.p50 > 0.0)?;
    let interval = ttft.p50_interval.map_or_else(String::new, |[low, high]| {
        format!(" (95 % CI {} to {})", show(low, "ms"), show(high, "ms"))
    });
    let text = format!(
        "The first token came after {} in the median{interval}{}.",
        show(ttft.p50, "ms"),
        tail(ttft, 95.0, ttft.p95)
    );
    Some(
        Claim::new(ClaimKind::FirstToken, text)
            .about(stage)
            .with("ttft_p50", ClaimFigure::median(ttft))
            .with("ttft_p95", ClaimFigure::tail(ttft, 95.0, ttft.p95)),
    )
}

fn cache(stage: &StageSummary) -> Option<Claim> {
    if stage.counts.ok == 0 {
        return None;
    }
    let hits = stage.cache.hit_requests.zip(stage.cache.judged_requests);
    let of_requests =
        hits.map(|(hits, judged)| format!("{} of {}", grouped(hits), plural(judged, "request")));
    let tokens = stage.cache.cached_tokens.zip(stage.cache.prompt_tokens);
    let tokens = tokens.filter(|(_, prompt)| *prompt > 0);
    let shares = tokens.map(|(cached, prompt)| cached as f64 / prompt as f64);
    let shares = shares.map(|share| ClaimFigure::new(share, "share"));
    let share = tokens.map(|(cached, prompt)| {
        format!(
            "{} of {} prompt tokens came from the cache ({})",
            grouped(cached),
            grouped(prompt),
            show(cached as f64 / prompt as f64, "share")
        )
    });
    let by_counters = stage.cache.by_counters;
    let whose = if by_counters { " by the server's counters" } else { "" };
    let text = match (share, of_requests, stage.cache.expected) {
        (None, Some(of_requests), _) => format!("{of_requests} came from the cache."),
        (None, None, expected) if stage.has_impossible_prompts() => {
            format!("{IMPOSSIBLE_COUNTS}, so that the stage was {} is not proven.", expected?)
        }
        (None, None, expected) => format!(
            "The server does not say what it cached, so that the stage was {} is not proven.",
            expected?
        ),
        // They are everybody's, so they show the stage as it was asked for and prove nothing.
        (Some(share), _, Some(wanted)) if by_counters && wanted == stage.cache.verdict => {
            format!("Meant to be {wanted} and {wanted} by the server's counters: {share}.")
        }
        (Some(share), _, Some(wanted)) if wanted == stage.cache.verdict => {
            format!("Proven {wanted}: {share}.")
        }
        (Some(share), _, Some(wanted)) => {
            format!("Meant to be {wanted}, but {}{whose}: {share}.", stage.cache.verdict)
        }
        (Some(share), of_requests, None) => {
            let hits = of_requests.map_or_else(String::new, |of| format!("; {of} hit it"));
            format!("Cache {}{whose}: {share}{hits}.", stage.cache.verdict)
        }
    };
    let count = |value: u64, unit| ClaimFigure::count(value, unit);
    Some(
        Claim::new(ClaimKind::CacheState, sentence(&text))
            .about(stage)
            .with_some("cached_tokens", tokens.map(|(cached, _)| count(cached, "tokens")))
            .with_some("prompt_tokens", tokens.map(|(_, prompt)| count(prompt, "tokens")))
            .with_some("cached_share", shares)
            .with_some("hit_requests", hits.map(|(hits, _)| count(hits, "requests")))
            .with_some("judged_requests", hits.map(|(_, judged)| count(judged, "requests"))),
    )
}
