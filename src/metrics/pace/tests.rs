//! Backlogs that grow, and those that don't. Queues of which theory knows all are in `tests/theory`.

use super::KeepingUp::{FellBehind, KeptUp, Unclear};
use super::*;

/// Requests that come every 100 ms over 60 s, each of which takes so many milliseconds.
fn took(latency_ms: impl Fn(u64) -> u64) -> Schedule {
    let requests: Vec<Request> = (0..600)
        .map(|number| {
            let due_ns = number * 100_000_000;
            let end_ns = due_ns + latency_ms(number) * 1_000_000;
            Request { due_ns, sent_ns: due_ns, end_ns, is_ok: true }
        })
        .collect();
    Slices { from_ns: 0, slice_s: 5.0 }.judge(&requests, 1.0)
}

#[test]
fn what_grows_decides_and_no_extreme_does() {
    assert_eq!(took(|_| 50).keeping_up, KeptUp);
    assert_eq!(took(|number| if number == 333 { 50_000 } else { 50 }).keeping_up, KeptUp);
    // A tenth more comes than is answered.
    let behind = took(|number| 50 + number * 10);
    assert_eq!(behind.keeping_up, FellBehind);
    let growth = behind.growth.expect("requests enough");
    assert!((growth.share - 0.09).abs() < 0.01, "{growth:?}");
    // Long answers fill a server for their own length and then no more.
    assert_eq!(took(|_| 5_900).keeping_up, KeptUp);
    let long = took(|_| 10_000);
    assert_eq!(long.keeping_up, Unclear);
    assert!(long.needed_s.is_some_and(|it| (400.0..1_800.0).contains(&it)), "{long:?}");
    // Of one in which a server hardly filled nobody can say what would do.
    let longer = took(|_| 55_000);
    assert_eq!((longer.keeping_up, longer.needed_s), (Unclear, None));
}

#[test]
fn answers_that_get_slower_and_do_not_pile_up_are_kept_up_with() {
    // From 50 to 350 ms, as the texts of a conversation grow.
    assert_eq!(took(|number| 50 + number / 2).keeping_up, KeptUp);
}

#[test]
fn lengths_are_named_in_two_digits_and_do() {
    for (value, rounded) in [(34.2, 35.0), (30.0, 30.0), (0.123, 0.13), (1_201.0, 1_300.0)] {
        assert!((round_up(value) - rounded).abs() < 1e-9, "{value}");
    }
}
