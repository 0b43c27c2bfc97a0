//! The run in plain words: what the cache bought, and whether the run passed.
//!
//! In: a summary. Out: sentences. Invariant: a comparison is only made between figures that exist,
//! and says so when the cache was not in the state that it would need.

use super::escape::printable;
use super::look::Look;
use crate::metrics::estimate::Estimate;
use crate::metrics::quantity::{plural, show, significant};
use crate::metrics::saturation::Axis;
use crate::metrics::search::Verdict;
use crate::metrics::summary::{RunState, StageSummary, Summary};
use crate::metrics::verdict;
use crate::record::{CacheState, FlushState};

/// A ratio of TTFTs closer to 1 than this is not worth a claim where samples are too few for an
/// interval.
const TELLING_RATIO: f64 = 1.1;

/// What the cache did to the time to first token, stage against stage within each cell.
pub(super) fn story(stages: &[&StageSummary]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (number, &stage) in stages.iter().enumerate() {
        let before: Vec<&StageSummary> =
            stages[..number].iter().copied().filter(|it| it.cell == stage.cell).collect();
        let expecting = |wanted| {
            let meant = |it: &&StageSummary| {
                it.cache.expected == Some(wanted) && it.has_prompts_like(stage)
            };
            before.iter().rev().copied().find(meant)
        };
        match stage.cache.expected {
            Some(CacheState::Warm) => {
                let cold = expecting(CacheState::Cold);
                sentences.extend(cold.and_then(|cold| warm_against_cold(stage, cold)));
            }
            Some(CacheState::Cold) => {
                let since_warm = before.iter().rev();
                let mut since_warm =
                    since_warm.take_while(|it| it.cache.expected != Some(CacheState::Warm));
                let flush = since_warm.find(|it| it.flush.is_some());
                let was_warm = before.iter().any(|it| it.cache.expected == Some(CacheState::Warm));
                let after = flush
                    .filter(|_| was_warm)
                    .and_then(|flush| after_flush(stage, flush, expecting(CacheState::Warm)));
                sentences.extend(after);
            }
            _ => {}
        }
    }
    sentences
}

/// What each ladder and ramp found: rung by rung, then in words.
pub(super) fn saturation(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, found) in &summary.saturation {
        lines.push(format!("  {}", printable(id)));
        for stage in summary.stages.iter().filter(|stage| stage.reported && key(stage) == *id) {
            if let (Some(rung), Some(load)) = (stage.rung, stage.load) {
                let achieved = load
                    .achieved_rate
                    .map_or_else(|| "no answers".to_owned(), |rate| format!("{rate:.2}/s"));
                let asked = match load.target_rate {
                    Some(_) => format!("{rung}/s asked"),
                    None => format!("{rung} at a time"),
                };
                // A queue that still grows when a rung ends shows before any limit is broken.
                let still = stage.unsteady.as_deref().filter(|why| why.contains("still rose"));
                let still = still.map(|why| format!("; {why}")).unwrap_or_default();
                lines.push(format!("    {asked}: {achieved} achieved{still}"));
            }
        }
        lines.extend(found.advice.iter().map(|line| format!("    {line}")));
    }
    lines
}

/// What each search found, and the probes behind it in the order in which they were made.
pub(super) fn searches(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, found) in &summary.searches {
        lines.push(format!("  {}", printable(id)));
        let probes = summary.stages.iter().filter(|stage| stage.reported && key(stage) == *id);
        for (stage, probe) in probes.filter_map(|stage| Some((stage, stage.probe.as_ref()?))) {
            let level = stage.rung.map_or_else(String::new, |rung| match found.axis {
                Axis::Rate => format!("{rung}/s"),
                Axis::Concurrency => format!("{rung} at a time"),
            });
            let verdict = match probe.verdict {
                Verdict::Pass => "holds",
                Verdict::Fail => "does not hold",
                Verdict::Inconclusive => "can't be told",
            };
            let why = probe.reasons.first().map(|why| format!(": {}", printable(why)));
            lines.push(format!("    {level:>10}  {verdict}{}", why.unwrap_or_default()));
        }
        lines.extend(found.advice.iter().map(|line| format!("    {}", printable(line))));
    }
    lines
}

fn key(stage: &StageSummary) -> String {
    stage.cell.as_ref().map_or_else(|| stage.id.clone(), |cell| format!("{}[{cell}]", stage.id))
}

/// One line that says how the run ended.
pub(super) fn headline(summary: &Summary, look: Look) -> String {
    let checks: Vec<_> = summary.stages.iter().flat_map(|stage| &stage.thresholds).collect();
    let failed = checks.iter().filter(|result| verdict::fails(result)).count() as u64;
    let all = plural(checks.len() as u64, "check");
    let code = summary.verdict.exit_code;
    match (summary.run.state, summary.run.valid) {
        (RunState::Running, _) => look.doubtful("RUNNING: these are the numbers so far."),
        (RunState::Interrupted, _) => {
            look.doubtful("INTERRUPTED: these are partial results; everything recorded is kept.")
        }
        (_, false) => look.bad("INVALID: these numbers must not be trusted; the notes say why."),
        _ if code == verdict::PASS && checks.is_empty() => {
            look.good("DONE: the run is complete; the plan states no thresholds to judge it by.")
        }
        _ if code == verdict::PASS => {
            let warned = checks.iter().filter(|result| !result.pass).count() as u64;
            let warned = match warned {
                0 => String::new(),
                _ => format!("; {}", plural(warned, "warning")),
            };
            look.good(&format!("PASS: {all}, none failed{warned}."))
        }
        _ if code == verdict::THRESHOLDS_FAILED => {
            look.bad(&format!("FAIL: {failed} of {all} failed."))
        }
        _ => look
            .bad(&format!("INCOMPLETE: not everything in the plan was done (exit code {code}).")),
    }
}

fn warm_against_cold(warm: &StageSummary, cold: &StageSummary) -> Option<String> {
    let (fast, slow) = (ttft(warm)?, ttft(cold)?);
    let interval = warm.metrics.get("ttft").zip(cold.metrics.get("ttft"));
    let interval = interval.and_then(|(fast, slow)| Estimate::ratio_of_medians(slow, fast));
    let (warm_name, cold_name) = (label(warm), label(cold));
    let figures = format!(
        "TTFT p50 {} in {warm_name}, {} in {cold_name}",
        show(fast, "ms"),
        show(slow, "ms")
    );
    let ratio = slow / fast;
    let is_clear = interval.map_or(ratio >= TELLING_RATIO, |ratio| ratio.low > 1.0);
    let claim = if is_clear {
        let saved = show(slow - fast, "ms");
        let interval = interval.map_or_else(String::new, |Estimate { low, high, .. }| {
            format!(" (95 % CI {} to {})", significant(low, 3), significant(high, 3))
        });
        format!(
            "The cache makes the first token come {} × sooner{interval} and saves {saved}",
            significant(ratio, 3)
        )
    } else {
        "The cache buys no measurable time to first token".to_owned()
    };
    let doubt = doubt(warm, CacheState::Warm).or_else(|| doubt(cold, CacheState::Cold));
    Some(format!("{claim}: {figures}.{}", doubt.unwrap_or_default()))
}

/// What a flush did, by the cold stage behind it and, for its times, a warm one of like prompts.
fn after_flush(
    cold: &StageSummary,
    flush: &StageSummary,
    warm: Option<&StageSummary>,
) -> Option<String> {
    let now = ttft(cold)?;
    let warm = warm.and_then(|warm| Some((warm, ttft(warm)?)));
    let state = flush.flush.as_ref()?.state;
    let cold_name = label(cold);
    let figures = warm.map_or_else(String::new, |(_, ttft)| {
        format!(" (TTFT p50 {}, {} before it)", show(now, "ms"), show(ttft, "ms"))
    });
    let slow_again = warm.map(|(_, ttft)| now / ttft >= TELLING_RATIO);
    let doubt = warm
        .and_then(|(warm, _)| doubt(warm, CacheState::Warm))
        .filter(|_| cold.cache.verdict == CacheState::Cold);
    let told = match (cold.cache.verdict, state) {
        (CacheState::Cold, _) => {
            format!("After the flush the cache was empty: {cold_name} was cold again{figures}.")
        }
        (CacheState::Warm | CacheState::Mixed, _) => format!(
            "The flush did not empty the cache: {cold_name} was {}{figures}.",
            cold.cache.verdict
        ),
        (CacheState::Unknown, FlushState::Failed) => {
            format!("The flush failed, so {cold_name} proves nothing{figures}.")
        }
        (CacheState::Unknown, _) if slow_again? => format!(
            "The server does not say what it cached; after the flush {cold_name} took longer again, \
             as it would from an empty cache{figures}."
        ),
        (CacheState::Unknown, _) => format!(
            "The server does not say what it cached, and after the flush {cold_name} was no slower, \
             so the flush may have done nothing{figures}."
        ),
    };
    Some(format!("{told}{}", doubt.unwrap_or_default()))
}

/// Why a stage is no good witness, if so.
fn doubt(stage: &StageSummary, wanted: CacheState) -> Option<String> {
    let name = label(stage);
    match stage.cache.verdict {
        verdict if verdict == wanted => None,
        CacheState::Unknown if stage.cache.cached_tokens.is_some() => Some(
            " The prompts are too short to tell what was cached, so only the times speak.".into(),
        ),
        CacheState::Unknown => {
            Some(" The server does not say what it cached, so only the times speak.".to_owned())
        }
        verdict => Some(format!(" But {name} was {verdict}, not {wanted}: take this with care.")),
    }
}

fn ttft(stage: &StageSummary) -> Option<f64> {
    stage.metrics.get("ttft").map(|ttft| ttft.p50).filter(|p50| *p50 > 0.0)
}

fn label(stage: &StageSummary) -> String {
    printable(&stage.label()).into_owned()
}
