//! The run's claims where a page puts them: verdict, headline, the story of each stage.
//!
//! In: the claims of a summary, and its stages. Out: sentences and chips. Invariant: what is concluded
//! of numbers is a claim's sentence, and none is made here.

use super::{Chip, Group, Mood, Verdict, text};
use crate::metrics::claims::{Claim, ClaimKind, Ending};
use crate::metrics::estimate::MIN_SAMPLES;
use crate::metrics::quantity::{grouped, plural, show};
use crate::metrics::summary::Summary;
use crate::metrics::verdict;
use crate::record::{CacheState, FlushState, StageState};
use crate::report::samples::{DOTS, SAMPLES, SLOWEST};

/// Whether the run passed, and why.
pub(super) fn verdict(summary: &Summary) -> Verdict {
    let ending = Ending::of(summary);
    let mood = match ending {
        Ending::Pass => Mood::Good,
        Ending::Done => Mood::Plain,
        Ending::Running | Ending::Interrupted => Mood::Doubtful,
        Ending::Fail | Ending::Incomplete | Ending::Invalid => Mood::Bad,
    };
    let ended = summary.claims.iter().find(|claim| claim.kind == ClaimKind::Ended);
    let reason = ended.map_or_else(String::new, |claim| {
        let (_, why) = claim.text.split_once(": ").unwrap_or(("", &claim.text));
        text(&sentence(why))
    });
    Verdict { word: ending.word(), mood, reason, exit_code: summary.verdict.exit_code }
}

/// What the run found: the headline, then whatever else is worth a sentence.
pub(super) fn findings(claims: &[Claim]) -> (String, Vec<String>) {
    let mut found = claims
        .iter()
        .enumerate()
        // How it ended stands beside the verdict, unless the report opens with it.
        .filter(|(place, claim)| *place == 0 || claim.kind != ClaimKind::Ended)
        .filter(|(_, claim)| !claim.kind.is_detail())
        .map(|(_, claim)| text(&claim.text));
    let headline = found.next().unwrap_or_else(|| "Nothing was measured.".to_owned());
    (headline, found.collect())
}

/// Words about a stage's state.
pub(super) fn chips(group: &Group) -> Vec<Chip> {
    let mut chips = Vec::new();
    let mut chip = |text: &str, mood| chips.push(Chip { text: text.to_owned(), mood });
    if let Some(stage) = group.stages.iter().find(|stage| stage.state != StageState::Completed) {
        chip(stage.state.word(), Mood::Bad);
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
        let by_counters = stage.cache.by_counters;
        match (stage.cache.expected, stage.cache.verdict) {
            (Some(wanted), found) if wanted == found && by_counters => {
                chip(&format!("{found} by the server's counters"), Mood::Good);
            }
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

/// What happened in a stage, in sentences: its claims, and why it ended as it did.
pub(super) fn stage(group: &Group, claims: &[Claim]) -> Vec<String> {
    let first = group.first();
    let own = claims.iter().filter(|claim| claim.is_about(first));
    let (mut story, found): (Vec<_>, Vec<_>) = own.partition(|claim| claim.kind.is_detail());
    story.extend(found);
    let mut story: Vec<String> = story.iter().map(|claim| text(&claim.text)).collect();
    if let Some(flush) = &first.flush {
        story.push(sentence(&text(&flush.summary)));
    }
    for stage in group.stages.iter().filter(|stage| stage.state != StageState::Completed) {
        let why = stage.reason.as_deref().unwrap_or("no reason was recorded");
        let label = text(&stage.label());
        story.push(sentence(&format!("{label} {}: {}", stage.state.word(), text(why))));
    }
    if first.kind == "pause" && story.is_empty() {
        story.push(format!("Waited for {}.", show(first.duration_s * 1e3, "ms")));
    }
    story
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
