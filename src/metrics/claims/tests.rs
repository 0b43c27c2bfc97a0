//! Conditions that no run on the simulator meets by itself.

mod figures;
mod load;

use super::*;
use crate::metrics::aggregator::Aggregator;
use crate::metrics::due::Paced;
use crate::metrics::quantity::{grouped, show, significant};
use crate::metrics::saturation::{Axis, Saturation, Sign};
use crate::metrics::search::{Reason, SearchFound};
use crate::metrics::summary::{RunEnd, RunState};
use crate::metrics::tally::fixture::{record, stage_end, stage_start, start_line};
use crate::metrics::unreachable::Unreachable;
use crate::plan::metric::Origin;
use crate::record::{
    CacheState, FlushLine, FlushState, Line, LoadLine, OutcomeKind, RECORD_VERSION, Record,
    RunLine, StageEnd, StageStart, StageState, StartLine,
};

const MS: u64 = 1_000_000;

fn run_line() -> Line {
    Line::Run(RunLine {
        record_version: RECORD_VERSION,
        run_id: "a-run".into(),
        plan: "a-plan".into(),
        plan_hash: String::new(),
        started_at: String::new(),
        seed: 7,
        simulated: true,
        insecure: false,
        runner_version: String::new(),
    })
}

/// Stages as (id, kind, expected and met cache state, TTFT in ms), of eight requests each.
fn cache_run(stages: &[(&str, CacheState, CacheState, u64)], flush: Option<FlushState>) -> Summary {
    let mut aggregator = Aggregator::new();
    aggregator.line(&run_line());
    for (id, expects, met, ttft) in stages {
        if let (Some(state), "after") = (flush, *id) {
            flushed(&mut aggregator, state);
        }
        let start = StageStart {
            stage: (*id).to_owned(),
            expects: Some(*expects),
            like: (*id != "cold").then(|| "cold".to_owned()),
            ..stage_start(8)
        };
        aggregator.line(&Line::StageStart(start));
        for index in 0..8 {
            let (sent, first) = (110 * MS, 110 * MS + ttft * MS + index * MS / 100);
            aggregator.line(&Line::End(Box::new(Record {
                stage: (*id).to_owned(),
                index,
                sent_ns: Some(sent),
                first_token_ns: Some(first),
                cache: *met,
                ..record()
            })));
        }
        let end = StageEnd { stage: (*id).to_owned(), ..stage_end(StageState::Completed) };
        aggregator.line(&Line::StageEnd(end));
    }
    aggregator.finish(&RunEnd::new(RunState::Finished))
}

fn flushed(aggregator: &mut Aggregator, state: FlushState) {
    let start =
        StageStart { stage: "flush".into(), kind: "flush".into(), expects: None, ..stage_start(0) };
    aggregator.line(&Line::StageStart(start));
    aggregator.line(&Line::Flush(FlushLine {
        stage: "flush".into(),
        cell: None,
        state,
        before: CacheState::Warm,
        prompt_tokens: Some(100),
        cached_tokens: Some(96),
        ttft_cold_ms: None,
        ttft_warm_ms: None,
        attempts: Vec::new(),
        summary: "as the canary says".into(),
        at_ns: 200 * MS,
    }));
    let end = StageEnd { stage: "flush".into(), ..stage_end(StageState::Completed) };
    aggregator.line(&Line::StageEnd(end));
}

fn kinds(summary: &Summary) -> Vec<ClaimKind> {
    let findings = summary.claims.iter().filter(|claim| !claim.kind.is_detail());
    findings.map(|claim| claim.kind).filter(|kind| *kind != ClaimKind::Ended).collect()
}

const COLD: CacheState = CacheState::Cold;
const WARM: CacheState = CacheState::Warm;

#[test]
fn a_cause_takes_a_sign_of_the_server() {
    let met = |cold, warm| {
        kinds(&cache_run(&[("cold", COLD, cold, 200), ("warm", WARM, warm, 10)], None))
    };
    assert_eq!(met(COLD, WARM), [ClaimKind::CacheSpeedUp]);
    for (cold, warm) in [
        (COLD, CacheState::Unknown),
        (COLD, COLD),
        (WARM, WARM),
        (CacheState::Unknown, CacheState::Unknown),
    ] {
        assert_eq!(met(cold, warm), [ClaimKind::WarmAgainstCold], "{cold} {warm}");
    }
    let mut invalid = cache_run(&[("cold", COLD, COLD, 200), ("warm", WARM, WARM, 10)], None);
    invalid.run.valid = false;
    let said = &invalid.with_claims().claims;
    assert!(said.iter().any(|claim| claim.kind == ClaimKind::WarmAgainstCold), "{said:?}");
    assert!(said.iter().all(|claim| claim.kind != ClaimKind::CacheSpeedUp), "{said:?}");
    // A cache that was hit and bought nothing is said to have bought nothing.
    let slow = cache_run(&[("cold", COLD, COLD, 10), ("warm", WARM, WARM, 10)], None);
    assert_eq!(kinds(&slow), [ClaimKind::CacheNoEffect]);
}

#[test]
fn another_endpoint_is_never_compared_with() {
    let mut summary = cache_run(&[("cold", COLD, COLD, 200), ("warm", WARM, WARM, 10)], None);
    summary.stages[0].endpoint = "another".into();
    let found = kinds(&summary.with_claims());
    assert!(!found.contains(&ClaimKind::CacheSpeedUp), "{found:?}");
    assert!(!found.contains(&ClaimKind::WarmAgainstCold), "{found:?}");
}

#[test]
fn stages_that_repeat_nothing_are_held_against_none() {
    let mut summary = cache_run(&[("cold", COLD, COLD, 200), ("warm", WARM, WARM, 10)], None);
    summary.stages[1].like = None;
    let found = kinds(&summary.with_claims());
    assert!(!found.contains(&ClaimKind::WarmAgainstCold), "{found:?}");
    assert!(!found.contains(&ClaimKind::CacheSpeedUp), "{found:?}");
}

#[test]
fn the_times_of_survivors_are_no_effect_of_the_cache() {
    let summary = |ok: u64, planned: u64| {
        let mut summary = cache_run(&[("cold", COLD, COLD, 200), ("warm", WARM, WARM, 10)], None);
        let counts = &mut summary.stages[1].counts;
        (counts.ok, counts.errors, counts.planned) = (ok, planned - ok, planned);
        summary.with_claims().claims
    };
    let few = summary(8, 16);
    assert_eq!(few[0].kind, ClaimKind::WarmAgainstCold);
    assert!(few[0].text.contains("requests in warm answered"), "{}", few[0].text);
    let nearly_all = summary(19, 20);
    assert_eq!(nearly_all[0].kind, ClaimKind::CacheSpeedUp);
    assert!(nearly_all[0].text.contains("requests answered)"), "{}", nearly_all[0].text);
}

#[test]
fn only_a_proven_flush_emptied_the_cache() {
    let stages = [("cold", COLD, COLD, 200), ("warm", WARM, WARM, 10), ("after", COLD, COLD, 200)];
    for (state, kind) in [
        (FlushState::Proven, ClaimKind::FlushEmptied),
        (FlushState::Unproven, ClaimKind::AfterFlush),
        (FlushState::Failed, ClaimKind::AfterFlush),
    ] {
        let summary = cache_run(&stages, Some(state));
        assert_eq!(kinds(&summary), [ClaimKind::CacheSpeedUp, kind], "{state:?}");
    }
}

/// A ladder at 4/s and 8/s; the second fails all requests but one.
fn ladder(state: RunState, invalid: bool) -> Summary {
    let mut aggregator = Aggregator::new();
    aggregator.line(&run_line());
    for rate in [4_u32, 8] {
        let rung = Some(f64::from(rate));
        let load = LoadLine { target_rate: rung, ..LoadLine::default() };
        let start = StageStart {
            kind: "qps_ladder".into(),
            rung,
            expects: None,
            load: Some(Box::new(load)),
            ..stage_start(u64::from(16 * rate))
        };
        aggregator.line(&Line::StageStart(start));
        for index in 0..u64::from(16 * rate) {
            let due = 110 * MS + index * 1_000 * MS / u64::from(rate);
            let begun = start_line(index);
            let begun = StartLine { rung, due_ns: due, sent_ns: due, ..begun };
            aggregator.line(&Line::Start(begun));
            let fails = rate == 8 && index > 0;
            aggregator.line(&Line::End(Box::new(Record {
                rung,
                index,
                due_ns: Some(due),
                sent_ns: Some(due),
                first_token_ns: Some(due + 10 * MS),
                last_token_ns: Some(due + 20 * MS),
                end_ns: Some(due + 20 * MS),
                outcome: if fails { OutcomeKind::Http } else { OutcomeKind::Ok },
                ..record()
            })));
        }
        aggregator.line(&Line::StageEnd(StageEnd { rung, ..stage_end(StageState::Completed) }));
    }
    let mut end = RunEnd::new(state);
    end.invalid.extend(invalid.then(|| "the generator stood still".to_owned()));
    aggregator.finish(&end)
}

#[test]
fn capacity_is_claimed_of_complete_and_valid_runs_only() {
    let whole = kinds(&ladder(RunState::Finished, false));
    assert_eq!(whole[0], ClaimKind::Sustained, "{whole:?}");
    assert!(whole.contains(&ClaimKind::Production), "{whole:?}");
    for (state, invalid, word) in [
        (RunState::Finished, true, "INVALID: "),
        (RunState::Interrupted, false, "INTERRUPTED: "),
        (RunState::Running, false, "RUNNING: "),
        (RunState::Aborted, true, "INVALID: the run never came to its end, "),
        (RunState::Interrupted, true, "INTERRUPTED: "),
    ] {
        let summary = ladder(state, invalid);
        let found = kinds(&summary);
        let capacity = [ClaimKind::Sustained, ClaimKind::Production, ClaimKind::BestThroughput];
        assert!(capacity.iter().all(|kind| !found.contains(kind)), "{found:?}");
        let text = &summary.claims[0].text;
        assert!(text.starts_with(word), "{text}");
        assert_eq!(text.contains("INVALID"), invalid, "{text}");
    }
}

#[test]
fn every_claim_names_its_condition_and_its_figures() {
    let all = ladder(RunState::Finished, false);
    for claim in &all.claims {
        assert!(!claim.condition.is_empty() && !claim.text.is_empty(), "{claim:?}");
        assert!(claim.kind == ClaimKind::NotJudged || !claim.figures.is_empty(), "{claim:?}");
        assert_eq!(
            claim.kind == ClaimKind::Ended || claim.kind == ClaimKind::Totals,
            claim.stage.is_none()
        );
    }
}

/// Numbers in a claim's text that are none of its figures, as any of them would be written.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
fn loose(claim: &Claim) -> Vec<String> {
    let mut text = claim.text.clone();
    let names = [&claim.stage, &claim.cell, &claim.against].into_iter().flatten();
    for word in claim.quotes.iter().chain(names) {
        text = text.replace(word.as_str(), "…");
    }
    for fixed in ["95 % CI", "E2E", "p50", "p95", "p99"] {
        text = text.replace(fixed, "…");
    }
    let written = |value: f64, unit: &str| {
        let in_ms = if unit == "s" { show(value * 1e3, "ms") } else { String::new() };
        let whole = if value >= 0.0 { grouped(value as u64) } else { String::new() };
        let all = [show(value, unit), in_ms, words::number(value), significant(value, 3), whole];
        all.map(|shown| shown.split(' ').next().unwrap_or_default().to_owned())
    };
    let figures = claim.figures.values().flat_map(|figure| {
        let ends = [figure.low, figure.high, figure.at_most, figure.n.map(|n| n as f64)];
        [Some(figure.value)].into_iter().chain(ends).flatten().map(|value| (value, &figure.unit))
    });
    let mut figures: Vec<String> = figures.flat_map(|(value, unit)| written(value, unit)).collect();
    figures.extend(claim.rung.iter().flat_map(|rung| written(*rung, "")));
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == ',';
    let numbers = text.split(|letter: char| !is_part(letter));
    let numbers = numbers.map(|number| number.trim_matches(['.', ',']).to_owned());
    numbers.filter(|number| !number.is_empty() && !figures.contains(number)).collect()
}

/// A ladder of which this was found.
fn found(change: impl Fn(&mut Summary)) -> Summary {
    let mut summary = ladder(RunState::Finished, false);
    change(&mut summary);
    summary.with_claims()
}

/// Levels that met so many of a thousand prompt tokens in the cache.
fn met(levels: &mut [StageSummary], cached: [u64; 2]) {
    for (level, cached) in levels.iter_mut().zip(cached) {
        (level.cache.verdict, level.cache.prompt_tokens) = (CacheState::Mixed, Some(1_000));
        level.cache.cached_tokens = Some(cached);
    }
}

#[test]
fn levels_that_met_different_caches_have_no_capacity() {
    for (cached, is_known) in [([0, 980], false), ([980, 40], false), ([400, 480], true)] {
        let summary = found(|summary| met(&mut summary.stages, cached));
        let said = kinds(&summary);
        let capacity = [ClaimKind::Sustained, ClaimKind::Production];
        assert!(capacity.iter().all(|kind| said.contains(kind) == is_known), "{said:?}");
        assert_eq!(said[0] == ClaimKind::NotJudged, !is_known, "{said:?}");
    }
}

#[test]
fn what_fails_at_every_level_has_no_best_throughput() {
    let summary = found(|summary| {
        summary.stages.iter_mut().for_each(|level| level.success_rate = Some(0.5));
        for found in summary.saturation.values_mut() {
            (found.sustainable, found.saturated_at, found.signs) =
                (None, Some(4.0), vec![Sign::Errors]);
            found.errors_rise_at = Some(4.0);
        }
    });
    let said = kinds(&summary);
    assert_eq!(said[0], ClaimKind::LowestFails, "{said:?}");
    for kind in [ClaimKind::BestThroughput, ClaimKind::ErrorsRise] {
        assert!(!said.contains(&kind), "{said:?}");
    }
    assert!(kinds(&ladder(RunState::Finished, false)).contains(&ClaimKind::BestThroughput));
}

#[test]
fn a_run_that_cannot_be_trusted_keeps_no_figures_of_capacity() {
    for (state, invalid) in [(RunState::Finished, true), (RunState::Interrupted, false)] {
        let summary = ladder(state, invalid);
        let found = &summary.saturation["cold"];
        assert!(found.withheld.is_some(), "{found:?}");
        assert_eq!((found.sustainable, found.saturated_at, found.recommended), (None, None, None));
        assert_eq!((found.best_requests_per_second, found.best_at), (None, None));
    }
    assert_eq!(ladder(RunState::Finished, false).saturation["cold"].withheld, None);
}

#[test]
fn times_of_stages_are_not_called_the_time_of_the_run() {
    let said = |stages: &[(&str, CacheState, CacheState, u64)]| {
        let summary = cache_run(stages, None);
        let totals = summary.claims.into_iter().find(|it| it.kind == ClaimKind::Totals);
        totals.expect("totals").text
    };
    let cold = ("cold", CacheState::Cold, CacheState::Cold, 100);
    let warm = ("warm", CacheState::Warm, CacheState::Warm, 50);
    assert_eq!(said(&[cold]), "8 of 8 requests answered in 2 s.");
    assert_eq!(said(&[cold, warm]), "16 of 16 requests answered in stages of 4 s together.");
}
