//! What the cache did to the time to first token, and whether a flush emptied it.
//!
//! A warm stage is held against the stage that its `like:` names, on the same endpoint, in the same
//! cell. That the cache is the cause is claimed only by the server's own account and with an interval.

use super::{Claim, ClaimFigure, ClaimKind, words};
use crate::metrics::estimate::{Estimate, MIN_SAMPLES};
use crate::metrics::quantity::{grouped, plural, show, significant};
use crate::metrics::summary::{Distribution, StageSummary, Summary};
use crate::metrics::token_account::IMPOSSIBLE_COUNTS;
use crate::record::{CacheState, FlushState};

/// A ratio of TTFTs closer to 1 than this is not worth a word: below it the cache buys nothing that
/// matters.
const TELLING_RATIO: f64 = 1.1;

/// Stages of which one had more than this many times as many requests under way at once queue
/// differently, which a ratio of their times would give to the cache.
const LIKE_LOAD: f64 = 1.5;

/// Share of a stage's requests that must have been answered: the times of the others are not known, and
/// so many of them could change a median.
const FEWEST_ANSWERED: f64 = 0.9;

/// Why the cache is not shown to be the cause.
struct Doubt {
    why: String,
    /// The numbers that it names.
    figures: Vec<(&'static str, ClaimFigure)>,
}

impl<T: Into<String>> From<T> for Doubt {
    fn from(why: T) -> Self {
        Self { why: why.into(), figures: Vec::new() }
    }
}

/// What is to be said of every warm stage, and of every cold one behind a flush.
pub(super) fn claims(summary: &Summary) -> Vec<Claim> {
    let stages: Vec<&StageSummary> = summary.stages.iter().filter(|stage| stage.reported).collect();
    let mut claims = Vec::new();
    for (number, &stage) in stages.iter().enumerate() {
        let before: Vec<&StageSummary> = stages[..number]
            .iter()
            .copied()
            .filter(|it| it.cell == stage.cell && it.endpoint == stage.endpoint)
            .collect();
        match stage.cache.expected {
            Some(CacheState::Warm) => {
                let cold = alike(stage, &before, CacheState::Cold);
                let doubt = cold.and_then(|cold| {
                    let invalid = "the run is INVALID: its notes say why";
                    (!summary.run.valid).then(|| invalid.into()).or_else(|| doubt(stage, cold))
                });
                claims.extend(cold.and_then(|cold| warm_against_cold(stage, cold, doubt)));
            }
            Some(CacheState::Cold) => {
                // One that was to be warm and was cold leaves nothing to flush.
                let is_warm = |it: &&StageSummary| {
                    it.cache.expected == Some(CacheState::Warm)
                        && it.cache.verdict != CacheState::Cold
                };
                let since_warm = before.iter().rev().take_while(|it| !is_warm(it));
                let flush = since_warm.copied().find(|it| it.flush.is_some());
                let flush = flush.filter(|_| before.iter().any(is_warm));
                let warm = alike(stage, &before, CacheState::Warm);
                claims.extend(flush.and_then(|flush| after_flush(stage, flush, warm)));
            }
            _ => {}
        }
    }
    claims
}

/// The stage that `stage` is to be held against: the one named by its `like:`, else the last that
/// repeats the same one. A stage without `like:` asks prompts of its own, which are held against none.
fn alike<'a>(
    stage: &StageSummary,
    before: &[&'a StageSummary],
    wanted: CacheState,
) -> Option<&'a StageSummary> {
    let meant =
        |it: &&&StageSummary| it.cache.expected == Some(wanted) && it.has_prompts_like(stage);
    let mut last_first = before.iter().rev().filter(meant);
    let like = stage.like.as_ref()?;
    let named = before.iter().rev().filter(meant).find(|it| it.id == *like);
    named.or_else(|| last_first.find(|it| it.like.as_ref() == Some(like))).copied()
}

/// `doubt` says why the cache is not shown to be the cause, if so.
fn warm_against_cold(
    warm: &StageSummary,
    cold: &StageSummary,
    doubt: Option<Doubt>,
) -> Option<Claim> {
    let (doubt, doubtful) = doubt.map(|doubt| (doubt.why, doubt.figures)).unzip();
    let (fast, slow) = (ttft(warm)?, ttft(cold)?);
    let ratio = slow.p50 / fast.p50;
    let estimate = Estimate::ratio_of_medians(slow, fast);
    let (warm_name, cold_name) = (warm.label(), cold.label());
    let figures = format!(
        "TTFT p50 {} in {warm_name}, {} in {cold_name}, {} and {}{}",
        show(fast.p50, "ms"),
        show(slow.p50, "ms"),
        grouped(fast.count),
        plural(slow.count, "answer"),
        answered(warm, cold)
    );
    let interval = words::interval(estimate);
    let times = significant(ratio, 3);
    let (kind, text) = match (doubt, estimate) {
        (None, Some(estimate)) if estimate.low > 1.0 => {
            let saved = show(slow.p50 - fast.p50, "ms");
            let text = format!(
                "The cache makes the first token come {times} × sooner{interval} and saves {saved}: \
                 {figures}."
            );
            (ClaimKind::CacheSpeedUp, text)
        }
        (None, Some(estimate)) if estimate.high < TELLING_RATIO => {
            let text = format!(
                "The cache buys no measurable time to first token: {times} ×{interval}; {figures}."
            );
            (ClaimKind::CacheNoEffect, text)
        }
        (None, Some(_)) => {
            let text = format!(
                "Whether the cache makes the first token come sooner can't be told: {times} \
                 ×{interval}; {figures}."
            );
            (ClaimKind::WarmAgainstCold, text)
        }
        (doubt, _) => {
            let (low, high) =
                estimate.map_or((ratio / TELLING_RATIO, ratio), |it| (it.low, it.high));
            let what = if low >= 1.0 {
                format!("The first token came {times} × sooner in {warm_name} than in {cold_name}")
            } else if high < TELLING_RATIO {
                format!(
                    "The first token came no sooner in {warm_name} than in {cold_name}: {times} ×"
                )
            } else {
                format!(
                    "The first token came not clearly sooner in {warm_name} than in {cold_name}: \
                     {times} ×"
                )
            };
            let fewest = fast.count.min(slow.count);
            let needed = if fewest < MIN_SAMPLES as u64 {
                format!("at least {MIN_SAMPLES} each are needed")
            } else {
                "since those of requests that queue resemble each other and count for less"
                    .to_owned()
            };
            let why = doubt.unwrap_or_else(|| format!("too few answers for an interval, {needed}"));
            let text = format!(
                "{what}{interval}: {figures}. That the cache is the cause is not shown: {why}."
            );
            (ClaimKind::WarmAgainstCold, text)
        }
    };
    let fewest = fast.count.min(slow.count);
    let claim = Claim::new(kind, text).about(warm).against(cold);
    let answered = [(warm, "answered"), (cold, "answered_against")].into_iter();
    let answered =
        answered.filter(|_| has_failures(warm) || has_failures(cold)).map(|(stage, name)| {
            let counts = &stage.counts;
            (name, ClaimFigure::of(counts.ok as f64, "answers", counts.planned))
        });
    let doubtful = doubtful.into_iter().flatten().chain(answered);
    Some(
        doubtful
            .fold(claim, |claim, (name, figure)| claim.with(name, figure))
            .with("ttft_p50", ClaimFigure::median(fast))
            .with("ttft_p50_against", ClaimFigure::median(slow))
            .with("ratio", ClaimFigure::of(ratio, "ratio", fewest).between(estimate))
            .with("saved", ClaimFigure::of(slow.p50 - fast.p50, "ms", fewest))
            .with("samples_needed", ClaimFigure::count(MIN_SAMPLES as u64, "answers")),
    )
}

/// Whether requests of a stage were not answered.
fn has_failures(stage: &StageSummary) -> bool {
    stage.counts.ok < stage.counts.planned
}

/// How many requests of each stage were answered, where some were not.
fn answered(warm: &StageSummary, cold: &StageSummary) -> String {
    if !has_failures(warm) && !has_failures(cold) {
        return String::new();
    }
    let of = |stage: &StageSummary| {
        format!("{} of {}", grouped(stage.counts.ok), grouped(stage.counts.planned))
    };
    format!(" ({} and {} requests answered)", of(warm), of(cold))
}

/// Why the server's account does not show the cache to be the cause, if so.
fn doubt(warm: &StageSummary, cold: &StageSummary) -> Option<Doubt> {
    for stage in [warm, cold] {
        let (ok, planned) = (stage.counts.ok, stage.counts.planned);
        if (ok as f64) < FEWEST_ANSWERED * planned as f64 {
            let (ok, of) = (grouped(ok), plural(planned, "request"));
            let why = format!(
                "{ok} of {of} in {} answered, and those that failed might have taken longer",
                stage.label()
            );
            return Some(why.into());
        }
    }
    let [many, few] = [cold, warm].map(|it| it.client.peak_in_flight as f64);
    if few > 0.0 && !(LIKE_LOAD.recip()..=LIKE_LOAD).contains(&(many / few)) {
        let why = format!(
            "they ran under different load, with up to {} requests under way at once in {} and {} in {}",
            words::number(many),
            cold.label(),
            words::number(few),
            warm.label(),
        );
        let figures = vec![
            ("in_flight", ClaimFigure::new(few, "requests")),
            ("in_flight_against", ClaimFigure::new(many, "requests")),
        ];
        return Some(Doubt { why, figures });
    }
    for (stage, name) in [(warm, "in_one_piece"), (cold, "in_one_piece_against")] {
        // Then the median is of whole answers.
        if stage.client.in_one_piece * 2 > stage.counts.ok {
            let (merged, ok) = (stage.client.in_one_piece, stage.counts.ok);
            let why = format!(
                "{} of {} in {} came in one piece, so their first token is the whole answer",
                grouped(merged),
                plural(ok, "answer"),
                stage.label(),
            );
            let figure = ClaimFigure::of(merged as f64, "answers", ok);
            return Some(Doubt { why, figures: vec![(name, figure)] });
        }
    }
    for (stage, wanted) in [(warm, CacheState::Warm), (cold, CacheState::Cold)] {
        let name = stage.label();
        let none_cached =
            stage.cache.cached_tokens == Some(0) || stage.cache.hit_requests == Some(0);
        match (stage.cache.verdict, wanted) {
            (verdict, wanted) if verdict == wanted => {}
            // Partly from the cache is from the cache.
            (CacheState::Mixed, CacheState::Warm) if !none_cached => {}
            (_, CacheState::Warm) if none_cached => {
                let none = match stage.cache.cached_tokens {
                    Some(0) | None => "nothing",
                    Some(_) => "no more than the start of any prompt",
                };
                let why = format!("by the server's account {none} of {name} came from the cache");
                return Some(why.into());
            }
            (CacheState::Unknown, _) if stage.cache.cached_tokens.is_some() => {
                return Some("the prompts are too short to tell what was cached".into());
            }
            (CacheState::Unknown, _) if stage.has_impossible_prompts() => {
                return Some(IMPOSSIBLE_COUNTS.into());
            }
            (CacheState::Unknown, _) => {
                return Some("the server does not say what it cached".into());
            }
            (verdict, wanted) => return Some(format!("{name} was {verdict}, not {wanted}").into()),
        }
    }
    None
}

/// What a flush did, by the cold stage behind it and, for its times, a warm one of like prompts.
fn after_flush(
    cold: &StageSummary,
    flush: &StageSummary,
    warm: Option<&StageSummary>,
) -> Option<Claim> {
    let now = ttft(cold)?;
    let warm = warm.and_then(|warm| Some((warm, ttft(warm)?)));
    let name = cold.label();
    let figures = warm.map_or_else(String::new, |(_, before)| {
        format!(" (TTFT p50 {}, {} before it)", show(now.p50, "ms"), show(before.p50, "ms"))
    });
    let slow_again = warm.map(|(_, before)| now.p50 / before.p50 >= TELLING_RATIO);
    let state = flush.flush.as_ref()?.state;
    let (kind, text) = match (cold.cache.verdict, state) {
        // Prompts that were never asked are cold whatever the flush did.
        (CacheState::Cold, _) if cold.like.is_none() => return None,
        (CacheState::Cold, FlushState::Proven) => (
            ClaimKind::FlushEmptied,
            format!("After the flush the cache was empty: {name} was cold again{figures}."),
        ),
        (CacheState::Cold, state) => {
            let how = if state == FlushState::Failed { "failed" } else { "is not proven" };
            let text = format!(
                "{name} was cold again{figures}, but the flush before it {how}: nothing is said of \
                 what else the cache still held."
            );
            (ClaimKind::AfterFlush, text)
        }
        (CacheState::Warm | CacheState::Mixed, _) => (
            ClaimKind::FlushDidNothing,
            format!(
                "The flush did not empty the cache: {name} was {}{figures}.",
                cold.cache.verdict
            ),
        ),
        (CacheState::Unknown, FlushState::Failed) => {
            (ClaimKind::AfterFlush, format!("The flush failed, so {name} proves nothing{figures}."))
        }
        (CacheState::Unknown, _) => {
            let slower = if slow_again? { "took longer again" } else { "was no slower" };
            let silence = if cold.has_impossible_prompts() {
                IMPOSSIBLE_COUNTS
            } else {
                "the server does not say what it cached"
            };
            let text = format!(
                "After the flush {name} {slower}{figures}; {silence}, so that proves nothing of the \
                 cache."
            );
            (ClaimKind::AfterFlush, text)
        }
    };
    let mut claim = Claim::new(kind, text).about(cold);
    claim = claim.with("ttft_p50", ClaimFigure::median(now));
    Some(match warm {
        Some((warm, before)) => {
            claim.against(warm).with("ttft_p50_against", ClaimFigure::median(before))
        }
        None => claim,
    })
}

fn ttft(stage: &StageSummary) -> Option<&Distribution> {
    stage.metrics.get("ttft").filter(|ttft| ttft.p50 > 0.0)
}
