//! Facts about the steady part of a stage.

use super::*;
use crate::metrics::tally::fixture::{ms, record};

/// Ten requests a second for `seconds`, each of which takes `e2e(second)` milliseconds.
fn steady(
    line: SteadyLine,
    seconds: u64,
    e2e: impl Fn(u64) -> u64,
) -> Result<SteadySummary, String> {
    let mut tally = SteadyTally::new(line);
    for index in 0..seconds * 10 {
        let due = ms(1_000 + index * 100);
        let end = due + ms(e2e(index / 10)) + ms(index % 7);
        tally.take(&Record {
            index,
            due_ns: Some(due),
            sent_ns: Some(due),
            first_token_ns: Some(due + ms(50)),
            last_token_ns: Some(end),
            end_ns: Some(end),
            outcome: if index % 50 == 49 { OutcomeKind::Http } else { OutcomeKind::Ok },
            ..record()
        });
    }
    tally.finish(ms(1_000), true)
}

#[test]
fn windows_of_the_plan_choose_by_due_time() {
    let line = SteadyLine {
        warmup_ms: Some(10_000.0),
        cooldown_ms: Some(5_000.0),
        length_ms: Some(60_000.0),
        ..SteadyLine::default()
    };
    let found = steady(line, 60, |second| if second < 10 { 900 } else { 200 }).expect("one");
    assert_eq!((found.by, found.whole), (SteadyBy::Windows, false));
    assert!((found.from_s - 10.0).abs() < 1e-9 && (found.to_s - 55.0).abs() < 1e-9);
    assert_eq!((found.requests, found.ok), (450, 441));
    assert_eq!(found.success_rate, Some(441.0 / 450.0));
    assert!((found.metrics["e2e"].max - 206.0).abs() < 1e-9, "no slow beginning in it");
    assert!((found.requests_per_second - 9.8).abs() < 0.3, "{}", found.requests_per_second);
    let tokens = found.output_tokens_per_second.expect("tokens");
    assert!((tokens - 7.0 * found.requests_per_second).abs() < 1e-6, "seven a request");
}

#[test]
fn the_plateau_is_found_where_the_plan_says_nothing() {
    let line = SteadyLine::default();
    let found =
        steady(line, 60, |second| 200 + 100 * 15_u64.saturating_sub(second)).expect("a plateau");
    assert_eq!((found.by, found.whole), (SteadyBy::Plateau, false));
    assert!((9.0..20.0).contains(&found.from_s), "{found:?}");
    assert!(steady(line, 60, |_| 200).expect("a plateau").whole);
    let rising = steady(line, 60, |second| 200 + 100 * second);
    assert_eq!(rising.expect_err("none"), "its latency still rose when it ended");
    let short = steady(line, 3, |_| 200).expect_err("none");
    assert!(short.contains("too few answers to tell (30 answers"), "{short}");
}

#[test]
fn what_climbs_or_bursts_at_the_beginning_is_left_out() {
    let climbs = SteadyLine { climb_ms: Some(20_000.0), ..SteadyLine::default() };
    let found = steady(climbs, 60, |_| 200).expect("a plateau");
    assert!((found.from_s - 20.0).abs() < 1e-9, "{found:?}");
    let nothing = SteadyLine { warmup_ms: Some(90_000.0), ..SteadyLine::default() };
    let why = steady(nothing, 60, |_| 200).expect_err("none");
    assert_eq!(why, "`warmup` and `cooldown` leave nothing of it");
    let climbs = SteadyLine { climb_ms: Some(90_000.0), ..SteadyLine::default() };
    assert!(steady(climbs, 60, |_| 200).expect_err("none").contains("climbed until it ended"));
}

#[test]
fn gaps_between_tokens_are_those_of_the_steady_part() {
    let windows = SteadyLine { warmup_ms: Some(10_000.0), ..SteadyLine::default() };
    let mut tally = SteadyTally::new(windows);
    let tokens = 400;
    for index in 0..2_000_u64 {
        // 30 ms between tokens in the warm-up, then 10 to 19 ms.
        let due = ms(index * 20);
        let gap = if index < 500 { ms(30) } else { ms(10 + index % 10) };
        let token_ns: Vec<u64> = (0..tokens).map(|token| due + ms(50) + token * gap).collect();
        let (due_ns, last_token_ns) = (Some(due), token_ns.last().copied());
        tally.take(&Record { index, due_ns, last_token_ns, token_ns, ..record() });
        let gaps: usize = tally.gaps.kept.iter().map(|(_, (_, gaps))| gaps.len()).sum();
        assert!(gaps <= MOST_GAPS, "{gaps}");
    }
    let found = tally.finish(0, true).expect("the rest");
    let itl = &found.metrics["itl"];
    assert!(itl.min >= 10.0 && itl.max <= 19.0 && itl.count > 10_000, "{itl:?}");
    assert!((itl.p50 - 14.0).abs() <= 1.0, "{itl:?}");
}

#[test]
fn an_opening_burst_is_left_out() {
    let line = SteadyLine { users: Some(8), ..SteadyLine::default() };
    let mut tally = SteadyTally::new(line);
    for index in 0..400_u64 {
        let round = index / 8;
        // All at once at first, 400 ms each; then one after another, 100 ms each.
        let due = if round == 0 { ms(index / 4) } else { ms(300 + index * 13) };
        let end = due + if round == 0 { ms(400) } else { ms(100) };
        let (sent_ns, due_ns, last_token_ns) = (Some(due), Some(due), Some(end));
        tally.take(&Record { index, due_ns, sent_ns, last_token_ns, ..record() });
    }
    let found = tally.finish(0, true).expect("a plateau");
    assert!((found.from_s - 0.401).abs() < 1e-9, "{found:?}");
}

#[test]
fn memory_is_bounded_and_figures_hold_all_the_same() {
    let mut tally = SteadyTally::new(SteadyLine::default());
    let all = 100_000_u64;
    // In no order, as they come from many connections.
    for number in 0..all {
        let index = number * 7_919 % all;
        let due = ms(index);
        let last_token_ns = Some(due + ms(100 + index % 101));
        let (due_ns, sent_ns) = (Some(due), Some(due));
        tally.take(&Record { index, due_ns, sent_ns, last_token_ns, ..record() });
    }
    assert!(tally.answers.kept.len() <= MOST, "{}", tally.answers.kept.len());
    let found = tally.finish(0, true).expect("a plateau");
    assert!(found.whole && found.ok.abs_diff(all) <= 8, "{}", found.ok);
    assert!((found.metrics["e2e"].p50 - 150.0).abs() < 2.0, "{}", found.metrics["e2e"].p50);
    assert!((found.requests_per_second - 1_000.0).abs() < 5.0, "{found:?}");
}

#[test]
fn requests_due_at_once_give_the_same_part_in_whatever_order_they_end() {
    // Bursts of seven, whose answers fall: batches of five hold parts of two bursts.
    let found = |order: fn(u64) -> u64| {
        let mut tally = SteadyTally::new(SteadyLine::default());
        for number in 0..420_u64 {
            let index = number / 7 * 7 + order(number % 7);
            let due = ms(index / 7 * 50);
            let falls = 900_u64.saturating_sub(8 * index).max(300);
            let last_token_ns = Some(due + ms(falls + 40 * (index * 5 % 7)));
            let (due_ns, sent_ns) = (Some(due), Some(due));
            tally.take(&Record { index, due_ns, sent_ns, last_token_ns, ..record() });
        }
        tally.finish(0, true).expect("a plateau")
    };
    let orders: [fn(u64) -> u64; 3] = [|at| at, |at| 6 - at, |at| at * 3 % 7];
    let [one, other, third] = orders.map(found);
    assert!(!one.whole, "the fall is cut off: {one:?}");
    assert_eq!(one, other);
    assert_eq!(one, third);
}
