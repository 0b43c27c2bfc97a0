//! What a person sees.

use runner::metrics::summary::{Counts, StageSummary, Summary};
use runner::record::{CacheState, FlushState, StageState};
use runner::report::console;
use runner::report::look::Look;

use super::fixture::*;

#[test]
fn a_report_shows_hostile_text_as_text() {
    let results = tempfile::tempdir().expect("a folder");
    let (_, done) = record_run(results.path(), lines(), vec![]);
    let text = console::render(&done.summary, Look::PLAIN);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("=busy\\u{1b}[31m"), "{text}");
}

#[test]
fn a_report_fits_the_terminal_by_leaving_out_columns() {
    let results = tempfile::tempdir().expect("a folder");
    let (_, done) = record_run(results.path(), lines(), vec![]);
    for width in [50, 60, 80, 100, 120] {
        let look = Look { width: Some(width), ..Look::PLAIN };
        let text = console::render(&done.summary, look);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        let (heads, _) = table_of(&text);
        assert!(heads.contains(&"TTFT p50") && heads.contains(&"cache"), "{text}");
        assert_eq!(heads.contains(&"req/s"), width >= 60, "{text}");
        assert_eq!(heads.contains(&"p99"), width >= 80, "{text}");
    }
}

/// The usual run's report after a change of its summary.
fn report_of(change: impl FnOnce(&mut Summary)) -> String {
    let results = tempfile::tempdir().expect("a folder");
    let (_, mut done) = record_run(results.path(), lines(), vec![]);
    change(&mut done.summary);
    console::render(&done.summary.with_claims(), Look::PLAIN)
}

#[test]
fn the_story_compares_warm_with_cold_and_says_whether_the_flush_worked() {
    let text = report_of(|_| {});
    assert!(text.contains("first token come 20.1 × sooner (95 % CI 18.5 to 21.9)"), "{text}");
    assert!(text.contains("After the flush the cache was empty: after_flush was cold"), "{text}");
    assert!(text.contains("FAIL: 1 of 5 checks failed."), "{text}");
    assert!(text.contains("--> scenarios/cache-eviction.yaml:40:9"), "{text}");
}

/// An interleaved matrix has the cold stages of all cells first; a plan may have prompts of two kinds.
#[test]
fn warm_stages_are_held_against_the_cold_stage_of_their_cell_and_their_prompts() {
    let of = |stage: &StageSummary, cell: &str, id: &str| StageSummary {
        cell: (!cell.is_empty()).then(|| cell.to_owned()),
        id: id.to_owned(),
        ..stage.clone()
    };
    let told = |text: &str, warm: &str| {
        let line = text.lines().find(|line| line.contains(&format!("ms in {warm},")));
        line.unwrap_or_else(|| panic!("nothing of {warm} in {text}")).to_owned()
    };
    let text = report_of(|summary| {
        let (cold, warm) = (summary.stages[0].clone(), summary.stages[1].clone());
        let stages = [(&cold, "side=a"), (&cold, "side=b"), (&warm, "side=a"), (&warm, "side=b")];
        summary.stages = stages.map(|(stage, cell)| of(stage, cell, &stage.id)).into();
    });
    for cell in ["side=a", "side=b"] {
        let line = told(&text, &format!("warm[{cell}]"));
        assert!(line.contains(&format!("in cold[{cell}]")), "{line}");
    }

    let text = report_of(|summary| {
        let (cold, warm) = (summary.stages[0].clone(), summary.stages[1].clone());
        let longer = |mut stage: StageSummary| {
            stage.metrics.get_mut("input_tokens").expect("counted").mean *= 4.0;
            stage
        };
        summary.stages = vec![
            of(&cold, "", "cold"),
            longer(of(&cold, "", "cold_long")),
            of(&warm, "", "warm"),
            longer(of(&warm, "", "warm_long")),
        ];
        summary.stages[3].like = Some("cold_long".to_owned());
    });
    assert!(told(&text, "warm").contains("in cold,"), "{text}");
    assert!(told(&text, "warm_long").contains("in cold_long,"), "{text}");
}

/// What took longer because it was longer says nothing about a cache.
#[test]
fn stages_of_other_prompts_are_not_held_against_each_other() {
    let text = report_of(|summary| {
        for number in [0, 3] {
            let metrics = &mut summary.stages[number].metrics;
            metrics.get_mut("input_tokens").expect("counted").mean *= 4.0;
        }
    });
    assert!(!text.contains("sooner") && !text.contains("before it"), "{text}");
    let told = "After the flush the cache was empty: after_flush was cold again.";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_flush_that_did_nothing_is_not_glossed_over() {
    let text = report_of(|summary| {
        summary.stages[3].cache.verdict = CacheState::Warm;
        if let Some(flush) = &mut summary.stages[2].flush {
            flush.state = FlushState::Failed;
        }
    });
    assert!(text.contains("The flush did not empty the cache: after_flush was warm"), "{text}");
    assert!(text.contains("flush: FAILED: "), "{text}");
    assert!(text.contains("warm (wanted cold)"), "{text}");
}

#[test]
fn a_server_that_is_silent_about_its_cache_is_judged_by_time_and_said_to_be_silent() {
    let text = report_of(|summary| {
        for stage in &mut summary.stages {
            stage.cache.verdict = CacheState::Unknown;
            stage.cache.cached_tokens = None;
        }
    });
    let told = "That the cache is the cause is not shown: the server does not say what it cached";
    assert!(text.contains(told) && !text.contains("The cache makes"), "{text}");
    assert!(text.contains("After the flush after_flush took longer again"), "{text}");
    assert!(text.contains("unknown (wanted warm)"), "{text}");
}

#[test]
fn a_run_without_any_figure_is_still_reported() {
    let text = report_of(|summary| {
        for stage in &mut summary.stages {
            stage.metrics.clear();
            stage.counts = Counts { planned: 8, never_started: 8, ..Counts::default() };
            stage.state = StageState::Skipped;
            stage.reason = Some("stage cold failed".into());
        }
        summary.verdict.exit_code = 5;
    });
    let (heads, row) = table_of(&text);
    assert_eq!((&heads[2..5], &row[2..5]), (&["ok", "err", "never"][..], &["0", "0", "8"][..]));
    assert!(text.contains("warm skipped: stage cold failed"), "{text}");
    assert!(text.contains("INCOMPLETE"), "{text}");
    assert!(!text.contains("TTFT p50") && !text.contains("NaN"), "{text}");
}

#[test]
fn colours_come_only_where_they_may() {
    let results = tempfile::tempdir().expect("a folder");
    let (_, done) = record_run(results.path(), lines(), vec![]);
    let look = Look { colour: true, ..Look::PLAIN };
    let coloured = console::render(&done.summary, look);
    assert!(coloured.contains("\u{1b}[32m✓\u{1b}[0m"), "{coloured}");
    let plain = console::render(&done.summary, Look { colour: false, ..look });
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn output_after_reasoning_has_columns_of_its_own() {
    let plain = report_of(|_| {});
    assert!(!plain.contains("TTFO"), "{plain}");
    let reasoned = report_of(|summary| {
        let metrics = &mut summary.stages[0].metrics;
        let ttfo = metrics.get_mut("ttfo").expect("measured");
        (ttfo.mean, ttfo.p50) = (ttfo.mean + 1_000.0, ttfo.p50 + 1_000.0);
    });
    assert!(reasoned.contains("TTFO p50"), "{reasoned}");
}
