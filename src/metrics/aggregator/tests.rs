//! Facts about counting lines.

use super::*;
use crate::metrics::claims::ClaimKind;
use crate::metrics::summary::RunState;
use crate::metrics::tally::fixture::{record, stage_end, stage_start, start_line};
use crate::metrics::verdict::INCOMPLETE;
use crate::plan::{Level, Limit, Location, MetricRef, Op, RungFilter};
use crate::record::{
    CacheState, ErrorInfo, LoadLine, OutcomeKind, Record, StageEnd, StageStart, StageState,
    TokenCounts,
};

fn run_line() -> Line {
    Line::Run(RunLine {
        record_version: RECORD_VERSION,
        run_id: "20261121-224015-a1b2c3".into(),
        plan: "demo".into(),
        plan_hash: "00".into(),
        started_at: "2026-11-21T22:40:15Z".into(),
        seed: 7,
        simulated: true,
        insecure: false,
        runner_version: "0.1.0".into(),
    })
}

fn end(index: u64, outcome: OutcomeKind) -> Line {
    let error = outcome.is_error().then(|| ErrorInfo {
        class: "http.503".into(),
        message: "busy".into(),
        raw: None,
    });
    Line::End(Box::new(Record { index, outcome, error, ..record() }))
}

fn summarise(lines: &[Line], state: RunState) -> Summary {
    let mut aggregator = Aggregator::new();
    for line in lines {
        aggregator.line(line);
    }
    aggregator.finish(&RunEnd::new(state))
}

#[test]
fn a_complete_run_is_counted_and_passes() {
    let lines = [
        run_line(),
        Line::StageStart(stage_start(3)),
        Line::Start(start_line(0)),
        end(0, OutcomeKind::Ok),
        Line::Start(start_line(1)),
        end(1, OutcomeKind::Http),
        Line::Start(start_line(2)),
        end(2, OutcomeKind::Cancelled),
        Line::StageEnd(stage_end(StageState::Completed)),
    ];
    let summary = summarise(&lines, RunState::Finished);
    let stage = &summary.stages[0];
    assert_eq!(stage.counts.ok + stage.counts.errors + stage.counts.cancelled, 3);
    assert_eq!(stage.success_rate, Some(0.5));
    assert_eq!(stage.errors["http.503"], 1);
    assert_eq!(stage.error_samples["http.503"], "busy");
    assert_eq!(stage.metrics["ttft"].count, 1);
    assert_eq!(stage.throughput.requests_per_second, Some(0.5));
    assert_eq!(stage.throughput.output_tokens_per_second, Some(3.5));
    assert_eq!(stage.cache.verdict, CacheState::Cold);
    assert_eq!((stage.cache.cached_tokens, stage.cache.prompt_tokens), (Some(24), Some(2100)));
    assert!(summary.run.valid, "{:?}", summary.run.notes);
    assert_eq!((summary.verdict.pass, summary.verdict.exit_code), (true, 0));
}

#[test]
fn a_request_without_a_record_makes_the_run_invalid() {
    let lines = [
        run_line(),
        Line::StageStart(stage_start(2)),
        end(0, OutcomeKind::Ok),
        Line::StageEnd(stage_end(StageState::Completed)),
    ];
    let summary = summarise(&lines, RunState::Finished);
    assert!(!summary.run.valid);
    assert!(summary.run.notes[0].contains("2 requests planned, 1 accounted for"));
    assert_eq!(summary.verdict.exit_code, 5);
}

#[test]
fn a_request_that_ended_twice_can_not_stand_in_for_a_missing_one() {
    let lines = [
        run_line(),
        Line::StageStart(stage_start(2)),
        end(0, OutcomeKind::Ok),
        end(0, OutcomeKind::Ok),
        Line::StageEnd(stage_end(StageState::Completed)),
    ];
    let summary = summarise(&lines, RunState::Finished);
    assert!(!summary.run.valid);
    assert!(summary.run.notes[0].contains("request 0 ended more than once"));
}

#[test]
fn a_log_that_breaks_off_accounts_for_every_request() {
    let lines = [
        run_line(),
        Line::StageStart(stage_start(10)),
        Line::Start(start_line(0)),
        end(0, OutcomeKind::Ok),
        Line::Start(start_line(1)),
        Line::Start(start_line(2)),
    ];
    let summary = summarise(&lines, RunState::Aborted);
    let stage = &summary.stages[0];
    assert_eq!(stage.counts.lost_in_flight, 2);
    assert_eq!(stage.counts.never_started, 7);
    assert_eq!(stage.counts.accounted(), stage.counts.planned);
    assert_eq!(stage.state, StageState::Interrupted);
    assert!(summary.run.valid);
    assert!(summary.run.notes[0].contains("in flight"));
    assert_eq!(summary.verdict.exit_code, 5);
}

#[test]
fn a_skipped_stage_never_started_anything() {
    let lines = [
        run_line(),
        Line::StageStart(stage_start(4)),
        Line::StageEnd(stage_end(StageState::Skipped)),
    ];
    let summary = summarise(&lines, RunState::Finished);
    assert_eq!(summary.stages[0].counts.never_started, 4);
    assert!(summary.run.valid);
    assert_eq!(summary.verdict.exit_code, 5);
}

#[test]
fn without_a_success_every_figure_is_null_and_none_is_nan() {
    let lines = [
        run_line(),
        Line::StageStart(stage_start(1)),
        Line::Start(start_line(0)),
        end(0, OutcomeKind::Http),
        Line::StageEnd(stage_end(StageState::Completed)),
    ];
    let summary = summarise(&lines, RunState::Finished);
    let json = serde_json::to_value(&summary).expect("strict JSON");
    let stage = &json["stages"][0];
    assert!(stage["metrics"].get("ttft").is_none());
    assert!(stage["throughput"]["output_tokens_per_second"].is_null());
    assert!(stage["cache"]["cached_tokens"].is_null());
    assert_eq!(stage["success_rate"], 0.0);
    assert!(!json.to_string().contains("NaN"));
}

#[test]
fn a_stage_without_time_or_requests_has_no_rates() {
    let mut start = stage_start(0);
    start.at_ns = stage_end(StageState::Completed).at_ns;
    let lines =
        [run_line(), Line::StageStart(start), Line::StageEnd(stage_end(StageState::Completed))];
    let summary = summarise(&lines, RunState::Finished);
    assert_eq!(summary.stages[0].throughput.requests_per_second, None);
    assert_eq!(summary.stages[0].success_rate, None);
    assert_eq!(summary.verdict.exit_code, INCOMPLETE);
}

#[test]
fn lines_of_no_stage_make_the_run_invalid() {
    let summary = summarise(&[run_line(), end(0, OutcomeKind::Ok)], RunState::Finished);
    assert!(!summary.run.valid);
    assert!(summary.run.notes[0].contains("1 line of the record log outside of any stage"));
}

#[test]
fn a_late_generator_is_noted() {
    let late = Record { due_ns: Some(0), output_tokens: TokenCounts::default(), ..record() };
    let lines = [
        run_line(),
        Line::StageStart(stage_start(1)),
        Line::End(Box::new(late)),
        Line::StageEnd(stage_end(StageState::Completed)),
    ];
    let summary = summarise(&lines, RunState::Finished);
    assert!(summary.run.notes[0].contains("110 ms after they were due"));
}

#[test]
fn a_check_that_chose_no_rung_fails_and_speaks_against_none() {
    let check = Threshold {
        check: "ttft.p99 < 1s".into(),
        left: MetricRef {
            stage: None,
            metric: "ttft".into(),
            aggregate: Some(Aggregate::Percentile(99.0)),
        },
        op: Op::Lt,
        right: Limit::Value(1_000.0),
        level: Level::Fail,
        min_samples: 1,
        rungs: Some(RungFilter { text: "rate <= 2".into(), op: Op::Le, value: 2.0 }),
        over_ms: None,
        from: None,
        allow_no_data: false,
        implicit: false,
        location: Location::default(),
    };
    let mut lines = vec![run_line()];
    for rate in [4.0, 8.0] {
        let rung = Some(rate);
        let load = LoadLine { target_rate: rung, ..LoadLine::default() };
        let kind = "qps_ladder".to_owned();
        let (thresholds, expects) = (vec![check.clone()], None);
        let start = StageStart {
            kind,
            rung,
            expects,
            load: Some(Box::new(load)),
            thresholds,
            ..stage_start(1)
        };
        lines.push(Line::StageStart(start));
        lines.push(Line::End(Box::new(Record { rung, ..record() })));
        lines.push(Line::StageEnd(StageEnd { rung, ..stage_end(StageState::Completed) }));
    }
    let mut aggregator = Aggregator::new();
    for line in &lines {
        aggregator.line(line);
    }
    // Asked twice, as it is when a sink has failed.
    let end = RunEnd::new(RunState::Finished);
    assert_eq!(aggregator.finish(&end), aggregator.finish(&end));
    let summary = aggregator.finish(&end);
    assert_eq!(summary.verdict.exit_code, 10);
    let checks: Vec<usize> = summary.stages.iter().map(|stage| stage.thresholds.len()).collect();
    assert_eq!(checks, [0, 1]);
    let found = &summary.saturation["cold"];
    assert_eq!((found.saturated_at, found.sustainable), (None, None), "{found:#?}");
    assert_eq!(found.unclear, [4.0, 8.0], "one request tells nothing");
}

#[test]
fn requests_that_were_never_made_are_counted_by_one_line() {
    use crate::record::NeverStartedLine;
    let line = |first, count| {
        let (stage, cell, rung) = ("cold".to_owned(), None, None);
        Line::NeverStarted(NeverStartedLine { stage, cell, rung, first, count })
    };
    let told = |lines: &[Line]| {
        let mut aggregator = Aggregator::new();
        let end = Line::StageEnd(stage_end(StageState::Interrupted));
        for line in [&Line::StageStart(stage_start(1_000_000_000_001))]
            .into_iter()
            .chain(lines)
            .chain([&end])
        {
            aggregator.line(line);
        }
        aggregator.finish(&RunEnd::new(RunState::Interrupted))
    };
    let answer = Line::End(Box::new(record()));
    let whole = told(&[answer.clone(), line(1, 1_000_000_000_000)]);
    let counts = &whole.stages[0].counts;
    assert_eq!((counts.ok, counts.never_started), (1, 1_000_000_000_000));
    let faults = |summary: &Summary| summary.run.notes.join("; ");
    assert!(!faults(&whole).contains("more than once"), "{}", faults(&whole));
    // One that ended is in no such line, whichever comes first, and no two lines overlap.
    for twice in [
        [answer.clone(), line(0, 1_000_000_000_001)],
        [line(0, 1_000_000_000_001), answer],
        [line(0, 5), line(4, 7)],
    ] {
        let faults = faults(&told(&twice));
        assert!(faults.contains("more than once"), "{faults}");
    }
}

#[test]
fn records_of_older_versions_are_read_and_those_of_newer_ones_are_not() {
    use crate::record::{RECORD_VERSION, unread_version};
    assert!((1..=RECORD_VERSION).all(|version| unread_version(version).is_none()));
    assert!(unread_version(RECORD_VERSION + 1).is_some() && unread_version(0).is_some());
}

/// A stage of that id with requests of these prompts, answered or not, each cold.
fn asked(id: &str, expects: CacheState, requests: &[(&str, OutcomeKind)]) -> Vec<Line> {
    let start = StageStart {
        stage: id.into(),
        expects: Some(expects),
        ..stage_start(requests.len() as u64)
    };
    let end = |(index, (prompt, outcome)): (usize, &(&str, OutcomeKind))| {
        Line::End(Box::new(Record {
            stage: id.into(),
            index: index as u64,
            prompt_hash: Some((*prompt).into()),
            outcome: *outcome,
            ..record()
        }))
    };
    let over = StageEnd { stage: id.into(), ..stage_end(StageState::Completed) };
    let records = requests.iter().enumerate().map(end);
    let lines = [Line::StageStart(start)].into_iter().chain(records);
    lines.chain([Line::StageEnd(over)]).collect()
}

#[test]
fn misses_of_prompts_that_failed_when_cold_have_that_cause() {
    use OutcomeKind::{Http, Ok};
    let cold = asked("first", CacheState::Cold, &[("a", Http), ("b", Ok), ("c", Http)]);
    let once = asked("once", CacheState::Warm, &[("a", Ok), ("b", Ok), ("a", Ok)]);
    let twice = asked("twice", CacheState::Warm, &[("c", Ok)]);
    let after = asked("after", CacheState::Warm, &[("a", Ok)]);
    let lines = [vec![run_line()], cold, once, twice, after].concat();
    let summary = summarise(&lines, RunState::Finished);
    let note = |id: &str| {
        let begin = format!("stage {id}: CONTAMINATED");
        summary.run.notes.iter().find(|note| note.starts_with(&begin)).expect("a note").clone()
    };
    assert!(note("once").contains("in 3 requests, first in request 0; 1 of them repeat"));
    assert!(note("once").contains("failed in first") && note("once").contains("too small"));
    assert!(note("twice").contains("all of them repeat") && !note("twice").contains("too small"));
    assert!(!note("after").contains("repeat") && note("after").contains("too small"));
}

#[test]
fn a_stage_of_which_all_is_settling_says_that_it_measured_nothing() {
    let mut settling = stage_start(2);
    (settling.stage, settling.kind, settling.reported) =
        ("l.settle".into(), "settle".into(), false);
    let mut load = stage_start(0);
    load.stage = "l".into();
    let of = |id: &str, index| Record { stage: id.into(), index, ..record() };
    let over = |id: &str| StageEnd { stage: id.into(), ..stage_end(StageState::Completed) };
    let run = |counted: bool| {
        let mut load = load.clone();
        load.planned = u64::from(counted);
        let mut lines =
            vec![run_line(), Line::StageStart(settling.clone()), Line::StageStart(load)];
        lines.extend((0..2).map(|index| Line::End(Box::new(of("l.settle", index)))));
        lines.extend(counted.then(|| Line::End(Box::new(of("l", 2)))));
        lines.extend([Line::StageEnd(over("l.settle")), Line::StageEnd(over("l"))]);
        summarise(&lines, RunState::Finished)
    };
    let nothing = run(false);
    let note = "incomplete: stage l: all of its 2 requests came within `settle`";
    assert!(nothing.run.notes.iter().any(|it| it.starts_with(note)), "{:#?}", nothing.run.notes);
    assert_eq!((nothing.verdict.pass, nothing.verdict.exit_code), (false, INCOMPLETE));
    let ended = |summary: &Summary| {
        let ended = summary.claims.iter().find(|claim| claim.kind == ClaimKind::Ended);
        ended.expect("how it ended").text.clone()
    };
    assert!(ended(&nothing).ends_with(": l measured nothing."), "{}", ended(&nothing));
    let measured = run(true);
    assert!(!measured.run.notes.iter().any(|note| note.contains("nothing")));
    assert_eq!(measured.verdict.exit_code, 0);
}
