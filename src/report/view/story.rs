//! What a person would say about the run, in sentences.
//!
//! In: stages with their numbers, samples and comparisons. Out: verdict, headline, stories, tiles.
//! Invariants: an interval stands beside its figure; a stage that was not in the cache state it needs
//! says so.

use super::comparison::{Comparison, ttft};
use super::ladder::Load;
use super::{Chip, Fact, Group, Mood, Verdict, text};
use crate::metrics::estimate::MIN_SAMPLES;
use crate::metrics::quantity::{grouped, plural, show, significant};
use crate::metrics::summary::{Counts, RunState, StageSummary, Summary};
use crate::metrics::verdict::{self, PASS, THRESHOLDS_FAILED};
use crate::record::{CacheState, FlushState, StageState};
use crate::report::samples::{DOTS, SAMPLES, SLOWEST};
use crate::report::ticks::{plain, say};

/// Whether the run passed, and why.
pub(super) fn verdict(summary: &Summary) -> Verdict {
    let judged: Vec<_> = summary.stages.iter().flat_map(|stage| &stage.thresholds).collect();
    let failed = judged.iter().filter(|result| verdict::fails(result)).count() as u64;
    let held = judged.iter().filter(|result| result.pass).count() as u64;
    let checks = plural(judged.len() as u64, "threshold");
    let exit_code = summary.verdict.exit_code;
    let (word, mood, reason) = match (summary.run.state, summary.run.valid, exit_code) {
        (RunState::Running, ..) => (
            "RUNNING",
            Mood::Doubtful,
            "The run still goes on; these are the numbers so far.".to_owned(),
        ),
        (RunState::Interrupted, ..) => (
            "INTERRUPTED",
            Mood::Doubtful,
            "A signal ended the run; these are partial results.".to_owned(),
        ),
        (_, false, _) => (
            "INVALID",
            Mood::Bad,
            "These numbers must not be trusted; the notes say why.".to_owned(),
        ),
        (.., PASS) if judged.is_empty() => {
            ("DONE", Mood::Good, "The run is complete; its plan states no thresholds.".to_owned())
        }
        (.., PASS) if held < judged.len() as u64 => {
            let reason =
                format!("The run is complete; {held} of {checks} held, the rest only warn.");
            ("PASSED", Mood::Good, reason)
        }
        (.., PASS) => ("PASSED", Mood::Good, format!("The run is complete and {checks} held.")),
        (.., THRESHOLDS_FAILED) => {
            ("FAILED", Mood::Bad, format!("The run is complete; {failed} of {checks} failed."))
        }
        _ => ("INCOMPLETE", Mood::Bad, "Not everything in the plan was done.".to_owned()),
    };
    Verdict { word, mood, reason, exit_code }
}

/// What the run found: the headline, then whatever else is worth a sentence.
pub(super) fn findings(groups: &[Group], comparisons: &[Comparison]) -> (String, Vec<String>) {
    let cache = comparisons.iter().filter(|found| found.is_speed_up()).map(|found| {
        // The first flush after the warm stage is the one that its speed-up is held against.
        let cell = groups[found.later].first().cell.as_deref();
        let mut in_cell =
            groups[found.later..].iter().filter(|it| it.first().cell.as_deref() == cell);
        let flush = in_cell.find_map(|group| group.first().flush.as_ref());
        let flush = match flush.map(|flush| flush.state) {
            Some(FlushState::Proven) => "; the flush is proven",
            Some(FlushState::Unproven) => "; the flush is unproven",
            Some(FlushState::Failed) => "; the flush failed",
            None => "",
        };
        let cell = cell.map_or_else(String::new, |cell| format!(" with {}", text(cell)));
        format!("{}{cell}{flush}.", found.claim("Warm TTFT", "cold"))
    });
    let ladders = groups.iter().filter_map(|group| {
        let several = groups.iter().filter(|group| group.ladder.is_some()).count() > 1;
        let conclusion = group.ladder.as_ref()?.conclusion();
        Some(if several { format!("{}: {conclusion}", group.name()) } else { conclusion })
    });
    let mut found: Vec<String> = cache.chain(ladders).collect();
    if found.is_empty() {
        return (totals(groups), Vec::new());
    }
    let headline = found.remove(0);
    (headline, found)
}

fn totals(groups: &[Group]) -> String {
    let (mut ok, mut planned) = (0, 0);
    for stage in groups.iter().flat_map(|group| &group.stages) {
        ok += stage.counts.ok;
        planned += stage.counts.planned;
    }
    let ttft = groups.iter().find_map(|group| group.first().metrics.get("ttft"));
    let ttft = ttft.map(|ttft| {
        format!("; TTFT {} in the median, {} at p99", show(ttft.p50, "ms"), show(ttft.p99, "ms"))
    });
    format!(
        "{} of {} answered{}.",
        grouped(ok),
        plural(planned, "request"),
        ttft.unwrap_or_default()
    )
}

/// The few figures that sum a run up.
pub(super) fn tiles(summary: &Summary, groups: &[Group], comparisons: &[Comparison]) -> Vec<Fact> {
    let stages = || groups.iter().flat_map(|group| &group.stages);
    let mut tiles = Vec::new();
    if let Some(found) = comparisons.iter().find(|found| found.is_speed_up()) {
        let detail = found.estimate.map_or_else(String::new, |estimate| {
            format!("95 % CI {}–{}", significant(estimate.low, 3), significant(estimate.high, 3))
        });
        let value = found.figure();
        tiles.push(Fact { name: "Cache speed-up".into(), value, detail });
    }
    for ladder in groups.iter().filter_map(|group| group.ladder.as_ref()).take(1) {
        let name = match ladder.load {
            Load::Rate => "Best sustainable rate",
            Load::Concurrency => "Best concurrency",
        };
        let value = ladder.best.map_or_else(|| "none".into(), |best| plain(best, 4));
        let detail = match ladder.saturated {
            _ if ladder.search.is_some() => {
                let found = ladder.search.map_or(0.0, |found| found.confidence);
                format!("confidence {}", show(found, "share"))
            }
            Some(level) => format!("saturated at {}", plain(level, 4)),
            None => "not saturated yet".to_owned(),
        };
        let unit = if ladder.load == Load::Rate && ladder.best.is_some() { " req/s" } else { "" };
        tiles.push(Fact { name: name.into(), value: format!("{value}{unit}"), detail });
    }
    let judged: Vec<_> = summary.stages.iter().flat_map(|stage| &stage.thresholds).collect();
    if !judged.is_empty() {
        let held = judged.iter().filter(|result| result.pass).count();
        let value = format!("{held} / {}", judged.len());
        tiles.push(Fact { name: "Thresholds held".into(), value, detail: String::new() });
    }
    let (mut ok, mut errors, mut planned) = (0, 0, 0);
    for stage in stages() {
        ok += stage.counts.ok;
        errors += stage.counts.errors;
        planned += stage.counts.planned;
    }
    let answered =
        if planned > 0 { show(ok as f64 / planned as f64, "share") } else { "–".into() };
    let detail = match (ok == planned, errors) {
        (true, _) => format!("all {}", grouped(planned)),
        (false, 0) => format!("{} of {}", grouped(ok), grouped(planned)),
        (false, _) => format!("{} of {} failed", grouped(errors), grouped(planned)),
    };
    tiles.push(Fact { name: "Requests answered".into(), value: answered, detail });
    let tokens: f64 = stages()
        .filter_map(|stage| stage.metrics.get("output_tokens"))
        .map(|tokens| tokens.mean * tokens.count as f64)
        .sum();
    if tokens > 0.0 {
        let value = plain(tokens.round(), 3);
        tiles.push(Fact { name: "Tokens generated".into(), value, detail: String::new() });
    }
    let seconds: f64 = stages().map(|stage| stage.duration_s).sum();
    let value = if seconds < 1.0 { show(seconds * 1e3, "ms") } else { say(seconds, "s") };
    tiles.push(Fact { name: "Time in stages".into(), value, detail: String::new() });
    tiles
}

/// Words about a stage's state.
pub(super) fn chips(group: &Group) -> Vec<Chip> {
    let mut chips = Vec::new();
    let mut chip = |text: &str, mood| chips.push(Chip { text: text.to_owned(), mood });
    if let Some(stage) = group.stages.iter().find(|stage| stage.state != StageState::Completed) {
        chip(state_word(stage.state), Mood::Bad);
    }
    let stage = group.first();
    if let Some(flush) = &stage.flush {
        match flush.state {
            FlushState::Proven => chip("flush proven", Mood::Good),
            FlushState::Unproven => chip("flush unproven", Mood::Doubtful),
            FlushState::Failed => chip("flush failed", Mood::Bad),
        }
    }
    if stage.counts.ok > 0 && group.ladder.is_none() {
        match (stage.cache.expected, stage.cache.verdict) {
            (Some(wanted), found) if wanted == found => {
                chip(&format!("proven {found}"), Mood::Good);
            }
            (Some(wanted), CacheState::Unknown) => {
                chip(&format!("meant to be {wanted}: unknown"), Mood::Doubtful);
            }
            (Some(wanted), found) => chip(&format!("{found}, meant to be {wanted}"), Mood::Bad),
            (None, CacheState::Unknown) => {}
            (None, found) => chip(&found.to_string(), Mood::Plain),
        }
    }
    let failed = group.stages.iter().flat_map(|stage| &stage.thresholds);
    let failed = failed.filter(|result| verdict::fails(result)).count() as u64;
    if failed > 0 {
        chip(&format!("{} failed", plural(failed, "threshold")), Mood::Bad);
    }
    chips
}

/// A stage's state in a word.
pub(super) fn state_word(state: StageState) -> &'static str {
    match state {
        StageState::Completed => "completed",
        StageState::Failed => "failed",
        StageState::Interrupted => "interrupted",
        StageState::Skipped => "skipped",
    }
}

/// What happened in a stage, in sentences.
pub(super) fn stage(group: &Group, number: usize, comparisons: &[Comparison]) -> Vec<String> {
    let mut story = Vec::new();
    if let Some(ladder) = &group.ladder {
        story.push(ladder.conclusion());
        story.extend(ladder.advice());
    }
    let first = group.first();
    if group.ladder.is_none() && first.counts.planned > 0 {
        story.push(requests(&group.stages));
        story.extend(first_token(group));
        story.extend(cache(first));
    }
    for found in comparisons.iter().filter(|found| found.later == number) {
        story.push(found.sentence());
    }
    if let Some(flush) = &first.flush {
        story.push(sentence(&text(&flush.summary)));
    }
    for stage in group.stages.iter().filter(|stage| stage.state != StageState::Completed) {
        let why = stage.reason.as_deref().unwrap_or("no reason was recorded");
        let label = text(&stage.label());
        story.push(sentence(&format!("{label} {}: {}", state_word(stage.state), text(why))));
    }
    if first.kind == "pause" && story.is_empty() {
        story.push(format!("Waited for {}.", show(first.duration_s * 1e3, "ms")));
    }
    story
}

/// How the requests of a stage ended, or of all rungs of a ladder that never began.
fn requests(stages: &[&StageSummary]) -> String {
    let sum =
        |take: fn(&Counts) -> u64| -> u64 { stages.iter().map(|stage| take(&stage.counts)).sum() };
    let (planned, ok) = (sum(|counts| counts.planned), sum(|counts| counts.ok));
    let seconds = stages.iter().map(|stage| stage.duration_s).sum::<f64>();
    let (all, seconds) = (plural(planned, "request"), show(seconds * 1e3, "ms"));
    if ok == planned {
        return format!("{all} in {seconds}, all answered.");
    }
    let never_started = sum(|counts| counts.never_started);
    if never_started == planned {
        return format!("{all}, none of them started.");
    }
    let rest = [
        (ok, "answered"),
        (sum(|counts| counts.errors), "failed"),
        (sum(|counts| counts.cancelled), "cancelled"),
        (sum(|counts| counts.dropped_late), "dropped because they were late"),
        (sum(|counts| counts.lost_in_flight), "lost in flight"),
        (never_started, "never started"),
    ];
    let rest = rest.into_iter().filter(|(count, _)| *count > 0);
    let rest: Vec<String> =
        rest.map(|(count, word)| format!("{} {word}", grouped(count))).collect();
    format!("{all} in {seconds}: {}.", rest.join(", "))
}

fn first_token(group: &Group) -> Option<String> {
    let ttft = ttft(group)?;
    let interval = ttft.p50_interval.map_or_else(String::new, |[low, high]| {
        format!(" (95 % CI {} to {})", show(low, "ms"), show(high, "ms"))
    });
    let (median, p95) = (show(ttft.p50, "ms"), show(ttft.p95, "ms"));
    Some(format!("The first token came after {median} in the median{interval}; p95 {p95}."))
}

fn cache(stage: &StageSummary) -> Option<String> {
    if stage.counts.ok == 0 {
        return None;
    }
    let share = match (stage.cache.cached_tokens, stage.cache.prompt_tokens) {
        (Some(cached), Some(prompt)) if prompt > 0 => format!(
            "{} of {} prompt tokens came from the cache ({})",
            grouped(cached),
            grouped(prompt),
            show(cached as f64 / prompt as f64, "share")
        ),
        _ => {
            if let (Some(hits), Some(judged)) =
                (stage.cache.hit_requests, stage.cache.judged_requests)
            {
                return Some(format!(
                    "{} of {} came from the cache.",
                    grouped(hits),
                    plural(judged, "request")
                ));
            }
            let expected = stage.cache.expected?;
            return Some(format!(
                "The server does not say what it cached, so that the stage was {expected} is not proven."
            ));
        }
    };
    Some(match (stage.cache.expected, stage.cache.verdict) {
        (Some(wanted), found) if wanted == found => format!("Proven {found}: {share}."),
        (Some(wanted), found) => format!("Meant to be {wanted}, but {found}: {share}."),
        (None, found) => {
            let hits = stage.cache.hit_requests.zip(stage.cache.judged_requests);
            let hits = hits.map_or_else(String::new, |(hits, judged)| {
                format!("; {} of {} hit it", grouped(hits), plural(judged, "request"))
            });
            format!("Cache {found}: {share}{hits}.")
        }
    })
}

/// `words` with a capital at their beginning and a full stop at their end.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if words.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// How samples, intervals and dots were chosen.
pub(super) fn method(groups: &[Group]) -> Vec<String> {
    let mut method: Vec<String> = vec![
        "Percentiles in tables are exact, over all answered requests, interpolated linearly between \
         the closest ranks (numpy's default)."
            .into(),
        format!(
            "95 % CI of a median: the order statistics that hold it by the binomial distribution, \
             whatever the shape of the samples; of a ratio: from those of its two sides, on \
             logarithms (Zou and Donner). Both take requests for independent. Fewer than \
             {MIN_SAMPLES} samples give no interval."
        ),
        format!(
            "Distribution curves are drawn from a uniform random sample of at most {} values per stage \
             and metric; their last point is the exact maximum.",
            grouped(SAMPLES as u64)
        ),
        format!(
            "Dots on the timeline are single requests: every one where they are few, else a uniform \
             random sample of at most {DOTS} per stage (fewer where a run has many stages) plus the \
             {SLOWEST} slowest of each stage, so no outlier is hidden."
        ),
        "Rates and requests in flight on the timeline are exact sums and means over intervals of equal \
         width."
            .into(),
    ];
    let ladders = groups.iter().filter_map(|group| group.ladder.as_ref());
    let mut rules: Vec<String> = ladders.map(|ladder| ladder.rule().to_owned()).collect();
    rules.dedup();
    method.extend(rules);
    method
}
