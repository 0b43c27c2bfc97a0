//! Rates of loads by every law of arrivals.

use super::*;
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
    is(timed.kept_up, 1.0);
    is(load(ArrivalLine::Poisson, None, &six).achieved_rate, 4.0);
}

#[test]
fn answers_that_trail_take_the_time_that_they_trail() {
    // Eight in a second, whose answers come over two.
    let slow: Vec<(u64, u64)> = (0..9).map(|at| (1_000 + at * 125, 1_050 + at * 250)).collect();
    let found = load(ArrivalLine::Constant, None, &slow);
    is(found.achieved_rate, 9.0 / 2.125);
    is(found.kept_up, 1.125 / 2.125);
    // All at one instant: as long as they were asked for, and as the answers took.
    let burst: Vec<(u64, u64)> = (0..8).map(|at| (1_000, 1_100 + at * 100)).collect();
    is(load(ArrivalLine::Burst { size: 8 }, None, &burst).achieved_rate, 8.0 / 1.7);
}
