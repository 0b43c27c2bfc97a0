//! Ladders and ramps whose limits are known.

use super::KeepingUp::{FellBehind, KeptUp, Unclear};
use super::*;

fn rung(level: f64, achieved: f64, success: f64, p99: f64) -> Rung {
    Rung {
        level,
        achieved,
        keeping_up: Some(if achieved < 0.95 * level { FellBehind } else { KeptUp }),
        success_rate: Some(success),
        p50_ms: Some(p99 / 2.0),
        p99_ms: Some(p99),
        output_tokens_per_second: Some(achieved * 100.0),
        ..Rung::default()
    }
}

/// The third seed's sample table: 1, 5, 10 and 20 requests per second.
fn seed_ladder() -> [Rung; 4] {
    [
        rung(1.0, 1.0, 1.0, 3_000.0),
        rung(5.0, 4.98, 1.0, 3_600.0),
        rung(10.0, 9.95, 0.985, 5_200.0),
        rung(20.0, 17.0, 0.852, 12_000.0),
    ]
}

#[test]
fn a_ladder_names_saturation_capacity_and_headroom() {
    let found = saturation(Axis::Rate, &seed_ladder(), &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (Some(10.0), Some(5.0)));
    assert_eq!(found.signs, [Sign::Errors]);
    assert_eq!((found.errors_rise_at, found.p99_rises_at), (Some(10.0), Some(20.0)));
    assert_eq!((found.best_requests_per_second, found.best_at), (Some(17.0), Some(20.0)));
    assert_eq!(found.recommended, Some((3.5, 4.0)));
    let lenient = Limits { min_success: 0.95, ..Limits::default() };
    let found = saturation(Axis::Rate, &seed_ladder(), &lenient);
    assert_eq!((found.saturated_at, found.sustainable), (Some(20.0), Some(10.0)));
    assert_eq!(found.signs, [Sign::Errors, Sign::Throughput]);
    assert_eq!(found.recommended, Some((7.0, 8.0)));
}

#[test]
fn a_ladder_that_never_saturates_says_at_least() {
    let found = saturation(Axis::Rate, &seed_ladder()[..2], &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (None, Some(5.0)));
    assert_eq!(found.recommended, None);
}

#[test]
fn a_generator_at_its_limit_is_no_evidence() {
    let mut ladder = seed_ladder();
    ladder[2].generator_limited = true;
    ladder[3].generator_limited = true;
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (None, Some(5.0)));
    assert_eq!(found.generator_limited, [10.0, 20.0]);
}

#[test]
fn a_ramps_knee_is_the_lowest_level_near_the_best_throughput() {
    // Capacity 10/s reached at 8 users; after that latency doubles with the users.
    let ramp = [
        rung(16.0, 10.0, 1.0, 1_600.0),
        rung(1.0, 2.0, 1.0, 500.0),
        rung(4.0, 7.0, 1.0, 570.0),
        rung(8.0, 9.8, 1.0, 820.0),
        rung(32.0, 9.9, 0.9, 3_300.0),
    ];
    let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (Some(8.0), Some(8.0)));
    assert_eq!(found.signs, [Sign::Flat]);
    assert_eq!((found.best_at, found.best_requests_per_second), (Some(16.0), Some(10.0)));
    assert_eq!((found.errors_rise_at, found.p99_rises_at), (Some(32.0), Some(16.0)));
}

#[test]
fn a_ramp_still_growing_at_its_end_is_not_saturated() {
    let ramp = [rung(1.0, 2.0, 1.0, 500.0), rung(2.0, 3.9, 1.0, 510.0)];
    let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (None, Some(2.0)));
}

#[test]
fn a_little_throughput_for_much_latency_is_past_the_knee() {
    let at = |level: f64, achieved: f64, ttft: f64| Rung {
        ttft_p50_ms: Some(ttft),
        ..rung(level, achieved, 1.0, 1_000.0)
    };
    // 93 % of the best at 16; 64 users add 3 % over 32 and wait 17 times as long.
    let ramp =
        [at(8.0, 60.0, 50.0), at(16.0, 93.0, 55.0), at(32.0, 97.0, 60.0), at(64.0, 100.0, 1_020.0)];
    let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (Some(16.0), Some(16.0)));
    assert_eq!(found.signs, [Sign::Flat]);
    // A third more throughput for a little more latency is worth it.
    let ramp = [at(8.0, 60.0, 50.0), at(16.0, 80.0, 75.0)];
    let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (None, Some(16.0)));
}

#[test]
fn a_level_that_never_came_about_is_no_evidence() {
    let mut ramp = [rung(8.0, 39.0, 1.0, 130.0), rung(64.0, 78.0, 1.0, 130.0)];
    ramp[1].not_reached = true;
    let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (None, Some(8.0)));
    assert_eq!((found.recommended, found.not_reached), (None, vec![64.0]));
}

#[test]
fn a_level_above_that_holds_up_again_is_told() {
    let mut ladder = seed_ladder();
    (ladder[1].achieved, ladder[1].keeping_up) = (3.0, Some(FellBehind));
    ladder[2] = rung(10.0, 9.95, 1.0, 5_200.0);
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (Some(5.0), Some(1.0)));
    assert_eq!(found.held_above, [10.0]);
    assert!(saturation(Axis::Rate, &seed_ladder(), &Limits::default()).held_above.is_empty());
}

#[test]
fn thresholds_of_the_plan_count() {
    let mut ladder = seed_ladder();
    ladder[1].thresholds_held = Some(false);
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (Some(5.0), Some(1.0)));
    assert_eq!(found.signs, [Sign::Threshold]);
}

#[test]
fn nothing_at_all_gives_no_numbers() {
    for axis in [Axis::Rate, Axis::Concurrency] {
        let none = saturation(axis, &[], &Limits::default());
        assert_eq!((none.sustainable, none.best_at, none.recommended), (None, None, None));
        let dead = Rung { level: 1.0, ..Rung::default() };
        let dead = saturation(axis, &[dead], &Limits::default());
        assert_eq!((dead.saturated_at, dead.sustainable), (None, None));
    }
}

#[test]
fn a_level_that_can_not_be_told_is_no_evidence() {
    let mut ladder = seed_ladder();
    ladder[1] = Rung { keeping_up: Some(Unclear), needed_s: Some(40.0), ..ladder[1] };
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (Some(10.0), Some(1.0)));
    assert_eq!((found.unclear, found.needed_s), (vec![5.0], Some(40.0)));
    let found = saturation(Axis::Rate, &ladder[..2], &Limits::default());
    assert_eq!((found.saturated_at, found.recommended), (None, None));
    // What fails for another reason fails.
    ladder[1].success_rate = Some(0.5);
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.saturated_at, found.unclear), (Some(5.0), Vec::new()));
}

#[test]
fn a_level_that_was_kept_up_with_is_no_capacity_above_what_was_answered_behind() {
    let behind = |level: f64, achieved: f64| Rung {
        interval: Some((0.98 * achieved, 1.02 * achieved)),
        ..rung(level, achieved, 1.0, 30.0)
    };
    // 5 % above its limit a backlog grows by less than what is called growing.
    let ladder = [rung(8.0, 8.0, 1.0, 30.0), rung(10.4, 10.4, 1.0, 30.0), behind(14.0, 10.0)];
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.sustainable, found.saturated_at), (Some(8.0), Some(14.0)));
    assert_eq!((found.best_requests_per_second, found.unclear), (Some(10.0), vec![10.4]));
    assert!(found.best_interval.is_some_and(|(low, high)| low < 10.0 && 10.0 < high));
    // Where the endpoint answers less when it has too much to do, it has held what it held.
    let ladder = [rung(8.0, 8.0, 1.0, 30.0), rung(10.4, 10.4, 1.0, 30.0), behind(14.0, 6.0)];
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.sustainable, found.best_requests_per_second), (Some(10.4), Some(10.4)));
    assert_eq!((found.best_interval, found.unclear), (None, Vec::new()));
}

#[test]
fn latency_alone_does_not_saturate() {
    let ladder = [rung(1.0, 1.0, 1.0, 30.0), rung(10.0, 10.0, 1.0, 3_000.0)];
    let found = saturation(Axis::Rate, &ladder, &Limits::default());
    assert_eq!((found.saturated_at, found.sustainable), (None, Some(10.0)));
    assert_eq!(found.p99_rises_at, Some(10.0));
}

#[test]
fn the_beginning_of_a_level_tells_of_it_only_if_it_failed() {
    let limits = Limits::default();
    let kept_up = Rung { stopped: true, ..rung(8.0, 8.0, 1.0, 9.0) };
    assert!(!kept_up.tells(&limits));
    let behind = Rung { keeping_up: Some(FellBehind), ..kept_up };
    assert!(behind.tells(&limits));
    let found = saturation(Axis::Rate, &[rung(4.0, 4.0, 1.0, 9.0), behind], &limits);
    assert_eq!((found.sustainable, found.saturated_at), (Some(4.0), Some(8.0)));
    assert_eq!(found.best_requests_per_second, None, "of a beginning there is no best");
}
