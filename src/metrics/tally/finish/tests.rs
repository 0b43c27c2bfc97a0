//! Rates of loads by every law of arrivals.

use super::*;
use crate::metrics::pace::KeepingUp;
use crate::metrics::tally::fixture::{ms, record, stage_end, stage_start};
use crate::record::{LoadLine, Record};

/// The load of a stage that asked for 8/s and whose requests came and ended at these milliseconds.
fn load(arrival: ArrivalLine, duration_ms: Option<f64>, requests: &[(u64, u64)]) -> LoadSummary {
    let line = LoadLine {
        target_rate: Some(8.0),
        arrival: Some(arrival),
        duration_ms,
        max_lag_ms: None,
        pauses: false,
        window_ms: None,
        rounds: None,
        steady: None,
        search: None,
    };
    let planned = requests.len() as u64;
    let start = StageStart { load: Some(Box::new(line)), expects: None, ..stage_start(planned) };
    let mut tally = StageTally::new(start);
    for (index, (due, end)) in (0..).zip(requests) {
        let (due_ns, end_ns) = (Some(ms(*due)), Some(ms(*end)));
        let times = Record { due_ns, sent_ns: due_ns, last_token_ns: end_ns, end_ns, ..record() };
        tally.ended(&Record { index, ..times });
    }
    let summary = tally.close(Some(&stage_end(StageState::Completed))).0.summary;
    summary.load.expect("a load")
}

fn is(found: Option<f64>, right: f64) {
    assert!(found.is_some_and(|found| (found - right).abs() < 1e-9), "{found:?} is not {right}");
}

#[test]
fn a_draw_of_arrivals_achieves_what_came_and_not_what_was_asked() {
    let six: Vec<(u64, u64)> = (1..=6).map(|at| (at * 250, at * 250 + 30)).collect();
    let timed = load(ArrivalLine::Poisson, Some(2_000.0), &six);
    is(timed.achieved_rate, 3.0);
    assert_eq!(timed.keeping_up, Some(KeepingUp::Unclear), "six requests tell nothing");
    is(load(ArrivalLine::Poisson, None, &six).achieved_rate, 4.0);
}

#[test]
fn where_the_backlog_grows_what_ended_meanwhile_counts() {
    // 96 in twelve seconds, of which every other is answered in that time.
    let slow: Vec<(u64, u64)> = (0..96).map(|at| (1_000 + at * 125, 1_100 + at * 250)).collect();
    let found = load(ArrivalLine::Constant, None, &slow);
    assert_eq!(found.keeping_up, Some(KeepingUp::FellBehind), "{found:?}");
    is(found.achieved_rate, 4.0);
    let backlog = found.backlog.expect("requests enough");
    is(Some(backlog.came_per_second), 8.0);
    is(Some(backlog.share), 0.5);
}

#[test]
fn answers_that_trail_by_their_latency_take_nothing_from_the_rate() {
    let even: Vec<(u64, u64)> = (0..96).map(|at| (1_000 + at * 125, 1_700 + at * 125)).collect();
    let found = load(ArrivalLine::Constant, None, &even);
    is(found.achieved_rate, 8.0);
    assert_eq!(found.keeping_up, Some(KeepingUp::KeptUp), "{found:?}");
    // One of them takes half a minute, and the last one nearly as long.
    let mut straggling = even.clone();
    (straggling[40].1, straggling[95].1) = (36_000, 40_000);
    let found = load(ArrivalLine::Constant, None, &straggling);
    is(found.achieved_rate, 8.0);
    assert_eq!(found.keeping_up, Some(KeepingUp::KeptUp), "{found:?}");
    // All at one instant: over the time that they were asked for.
    let burst: Vec<(u64, u64)> = (0..8).map(|at| (1_000, 1_100 + at * 100)).collect();
    is(load(ArrivalLine::Burst { size: 8 }, None, &burst).achieved_rate, 8.0);
}

#[test]
fn a_stage_of_few_latencies_names_a_length_that_holds_many() {
    let long: Vec<(u64, u64)> = (0..96).map(|at| (1_000 + at * 125, 4_000 + at * 125)).collect();
    let found = load(ArrivalLine::Constant, None, &long);
    assert_eq!((found.keeping_up, found.needed_s), (Some(KeepingUp::Unclear), Some(270.0)));
    // The last of them is answered 14.875 s after the first was asked.
    is(found.achieved_rate, 96.0 / 14.875);
    // One that takes a minute longer is one of 96.
    let mut straggling = long.clone();
    straggling[95].1 += 60_000;
    is(load(ArrivalLine::Constant, None, &straggling).achieved_rate, 96.0 / 15.0);
}

#[test]
fn answers_that_come_when_the_requests_are_over_are_not_at_the_schedules_rate() {
    // Eight in a second; answers take up to ten.
    let late: Vec<(u64, u64)> = (0..8).map(|at| (1_000 + at * 125, 4_000 + at * 1_000)).collect();
    let found = load(ArrivalLine::Constant, None, &late);
    assert_eq!(found.keeping_up, Some(KeepingUp::Unclear));
    // Over the time to the tenth that took longest: 1 s and 8.5125 s.
    is(found.achieved_rate, 8.0 / 9.5125);
}

/// The load of `users` who send as soon as they have an answer, each of which takes 500 ms.
fn closed(users: u64, requests: u64) -> LoadSummary {
    let start = StageStart {
        load: Some(Box::default()),
        concurrency: Some(users),
        expects: None,
        ..stage_start(requests)
    };
    let mut tally = StageTally::new(start);
    for index in 0..requests {
        let sent = ms(1_000 + index / users * 500);
        let end_ns = Some(sent + ms(500));
        let (due_ns, sent_ns) = (Some(sent), Some(sent));
        let times = Record { due_ns, sent_ns, last_token_ns: end_ns, end_ns, ..record() };
        tally.ended(&Record { index, ..times });
    }
    let summary = tally.close(Some(&stage_end(StageState::Completed))).0.summary;
    summary.load.expect("a load")
}

#[test]
fn the_drain_of_a_closed_loop_is_no_part_of_its_rate() {
    // 61 requests of 6 users: the last one has the server to itself.
    is(closed(6, 61).achieved_rate, 12.0);
    is(closed(6, 61).achieved_interval.map(|(low, _)| low), 12.0);
    // Too few to leave out the burst and the drain.
    is(closed(6, 7).achieved_rate, 7.0);
    assert_eq!(closed(6, 7).achieved_interval, None);
}
