//! The pacer over real time. Nothing here depends on being woken up on time.

use super::*;
use crate::plan::{ArrivalProcess, Rate, Until};
use crate::schedule::Schedule;

fn every(gap: Duration, count: u64) -> impl Iterator<Item = Arrival> + Send + 'static {
    let gap = u64::try_from(gap.as_nanos()).expect("short");
    (0..count).map(move |index| Arrival { index, offset_ns: index * gap })
}

fn drain(mut receiver: Receiver<Due>) -> Vec<Due> {
    std::iter::from_fn(move || receiver.blocking_recv()).collect()
}

fn drop_after(ms: u64) -> Pacing {
    Pacing { late: Late::Drop { after: Duration::from_millis(ms) }, ..Pacing::default() }
}

#[test]
fn every_arrival_comes_out_once_in_order_and_never_early() {
    let schedule = Schedule::new(
        ArrivalProcess::Poisson,
        &Rate::Constant(5_000.0),
        Until::Requests(2_000),
        1,
        "pacer",
    )
    .expect("valid");
    let start = Instant::now();
    let (pacer, receiver) =
        Pacer::start(schedule.iter(), start, &Pacing::default()).expect("a thread");
    let dues = drain(receiver);
    for (due, arrival) in dues.iter().zip(&schedule) {
        assert_eq!(due.index, arrival.index);
        assert_eq!(due.due, start + Duration::from_nanos(arrival.offset_ns));
        assert_eq!(due.verdict, Verdict::Release);
    }
    let report = pacer.finish();
    assert_eq!((dues.len(), report.released, report.dropped_late), (2_000, 2_000, 0));
    assert!(report.complete);
    assert_eq!(report.lag.len(), 2_000);
    // It can't have been done before the last one was due.
    let last = dues.last().expect("some").due;
    assert!(Instant::now() >= last);
}

#[test]
fn lateness_does_not_add_up() {
    // Absolute deadlines: after 500 sleeps the last release is no later than any other can be.
    let (pacer, receiver) =
        Pacer::start(every(Duration::from_millis(1), 500), Instant::now(), &Pacing::default())
            .expect("a thread");
    let dues = drain(receiver);
    assert_eq!(dues.len(), 500);
    let median = pacer.finish().lag.quantile_ms(0.5).expect("samples");
    assert!(median < 50.0, "median lag {median} ms; a drift of 100 µs a sleep would show as 25 ms");
}

#[test]
fn after_a_pause_late_requests_are_all_sent_or_all_counted() {
    // A start in the past is what the pacer sees after the process was stopped for 5 s.
    let start = Instant::now().checked_sub(Duration::from_secs(5)).expect("up for 5 s");
    let arrivals = || every(Duration::from_millis(10), 520);
    let (pacer, receiver) = Pacer::start(arrivals(), start, &Pacing::default()).expect("a thread");
    assert_eq!(drain(receiver).len(), 520);
    assert_eq!((pacer.finish().released), 520);

    let (pacer, receiver) = Pacer::start(arrivals(), start, &drop_after(1_000)).expect("a thread");
    let dues = drain(receiver);
    let report = pacer.finish();
    assert_eq!(report.released + report.dropped_late, 520);
    assert!(report.dropped_late >= 400, "those of the first 4 s: {}", report.dropped_late);
    assert!(report.complete && report.worst_lag >= Duration::from_secs(5));
    for due in dues {
        let late = due.lag > Duration::from_secs(1);
        assert_eq!(due.verdict == Verdict::DroppedLate, late, "{due:?}");
    }
}

#[test]
fn a_slow_stage_loses_nothing() {
    let count = QUEUE as u64 * 3;
    let (pacer, mut receiver) =
        Pacer::start(every(Duration::ZERO, count), Instant::now(), &Pacing::default())
            .expect("a thread");
    std::thread::sleep(Duration::from_millis(50)); // The channel is full by now.
    let mut next = 0;
    while let Some(due) = receiver.blocking_recv() {
        assert_eq!(due.index, next);
        next += 1;
    }
    assert_eq!(next, count);
    assert!(pacer.finish().complete);
}

#[test]
fn stopping_ends_it_at_once() {
    let begun = Instant::now();
    for full in [false, true] {
        // Either far from its next deadline or stuck at a full channel.
        let gap = if full { Duration::ZERO } else { Duration::from_secs(3_600) };
        let (pacer, receiver) =
            Pacer::start(every(gap, 1_000_000), begun, &Pacing::default()).expect("a thread");
        std::thread::sleep(Duration::from_millis(20));
        pacer.stop();
        let report = pacer.finish();
        assert!(!report.complete);
        assert_eq!(drain(receiver).len() as u64, report.released);
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_receiver_that_is_gone_ends_it() {
    let (pacer, receiver) =
        Pacer::start(every(Duration::from_millis(1), 100_000), Instant::now(), &Pacing::default())
            .expect("a thread");
    drop(receiver);
    assert!(!pacer.finish().complete);
}

#[test]
fn the_plan_decides_about_spinning() {
    let asked = Duration::from_micros(7);
    assert_eq!(spin(Some(asked)), asked);
    assert_eq!(spin(Some(Duration::ZERO)), Duration::ZERO);
    assert!([Duration::ZERO, DEFAULT_SPIN].contains(&spin(None)));
}

/// Set for the process that [`a_stopped_process_counts_everything`] stops.
const CHILD: &str = "RUNNER_TEST_PACER_CHILD";

#[test]
fn child_to_be_stopped() {
    let Ok(late) = std::env::var(CHILD) else {
        return; // Only with the test below.
    };
    let pacing = if late == "drop" { drop_after(200) } else { Pacing::default() };
    let (pacer, receiver) =
        Pacer::start(every(Duration::from_millis(5), 600), Instant::now(), &pacing)
            .expect("a thread");
    println!("pacing");
    let dues = drain(receiver);
    let report = pacer.finish();
    let worst = report.worst_lag.as_millis();
    println!("counted {} {} {} {worst}", dues.len(), report.released, report.dropped_late);
}

#[cfg(unix)]
#[test]
fn a_stopped_process_counts_everything() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    for late in ["send", "drop"] {
        let mut child = Command::new(std::env::current_exe().expect("a test binary"))
            .args(["--exact", "schedule::pacer::tests::child_to_be_stopped", "--nocapture"])
            .env(CHILD, late)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut line_with = |word: &str| {
            lines.by_ref().map_while(Result::ok).find_map(|line| {
                line.find(word).map(|at| line[at + word.len()..].trim().to_owned())
            })
        };
        line_with("pacing").expect("it started");
        let signal = |name: &str| {
            Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill")
        };
        assert!(signal("-STOP").success());
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(signal("-CONT").success());
        let counted = line_with("counted").expect("it finished");
        let counted: Vec<u64> = counted.split(' ').map(|n| n.parse().expect("a number")).collect();
        assert!(child.wait().expect("ended").success());
        let [came_out, released, dropped, worst_ms] = counted[..] else {
            panic!("{counted:?}");
        };
        assert_eq!((came_out, released + dropped), (600, 600), "{late}");
        assert!(worst_ms >= 1_000, "{late}: it was stopped for 1.5 s, worst lag {worst_ms} ms");
        assert_eq!(dropped > 0, late == "drop", "{late}: {dropped}");
    }
}
