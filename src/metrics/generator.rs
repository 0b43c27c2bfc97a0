//! Whether a stage's numbers are about this machine and not about the endpoint.
//!
//! In: a stage's summary. Out: a sentence where they are, or where that is near. Invariant: all ways in
//! which a generator falls short count, whatever decides when the next request is sent: requests that
//! leave late, answers that are seen late, and requests for which it has no connection.

use std::collections::BTreeMap;

use super::quantity::{plural, show};
use super::summary::{ClientSummary, StageSummary};
use crate::record::LOCAL_CLASSES;

/// Requests sent later than this after they were due (99th percentile, in milliseconds) mean that
/// the generator, not the server, set the pace. A human-scale bound: a tenth of a second is far
/// above the lag of a healthy closed loop (well under a millisecond) and below what a TTFT hides.
pub const SCHEDULE_LAG_LIMIT_MS: f64 = 100.0;

/// A generator that is too slow lags all along: where the median lag is less than this part of the
/// limit, it was held up for a while.
const PAUSE_SHARE: f64 = 10.0;

/// What arrived is seen too late (95th percentile) where that is more than so much of the limit on lag
/// and more than so much of the stage's median TTFT (E2E where answers come whole), by so many moments: the
/// lower bound takes two seconds, in which a single stall is none of the 95th percentile. An idle machine shows
/// 1.3 ms (a timer's own step is 1 ms), one that builds beside it 1 to 6 ms, and up to six busy loops on two
/// cores 5 to 130 ms. Of 60 such stages, held against a server that nothing delayed, with TTFTs of 7 and
/// 152 ms: all 32 whose TTFT p50 or p95 was more than a quarter too long lie above, 16 of 17 in which both
/// were right to a tenth lie below.
const TOO_LATE: [(f64, f64, u64); 2] = [(0.1, 0.3, 200), (0.5, 0.2, FEWEST_MOMENTS)];

/// Above this part of the limit, and above a tenth of the stage's median TTFT, it is worth a note.
const NOTEWORTHY: (f64, f64, u64) = (0.05, 0.1, FEWEST_MOMENTS);

/// Half a second of moments; fewer say little of a stage.
const FEWEST_MOMENTS: u64 = 50;

/// How late what arrived was seen, in milliseconds (95th percentile), where that is too late for times of
/// which the median is `median_ms`.
pub(super) fn too_late(
    client: &ClientSummary,
    max_lag_ms: Option<f64>,
    median_ms: Option<f64>,
) -> Option<f64> {
    let over = |bounds: &(f64, f64, u64)| later_than(client, *bounds, max_lag_ms, median_ms);
    TOO_LATE.iter().find_map(over)
}

fn later_than(
    client: &ClientSummary,
    (of_limit, of_median, moments): (f64, f64, u64),
    max_lag_ms: Option<f64>,
    median_ms: Option<f64>,
) -> Option<f64> {
    let limit = of_limit * max_lag_ms.unwrap_or(SCHEDULE_LAG_LIMIT_MS);
    let least = limit.max(of_median * median_ms.unwrap_or(0.0));
    let asked = client.connections_opened + client.connections_reused > 0;
    client.wake_lag_p95_ms.filter(|late| asked && client.wake_moments >= moments && *late > least)
}

/// The limit on the lag of a stage's requests, and the median that lateness is held against.
fn measure(stage: &StageSummary) -> (Option<f64>, Option<f64>) {
    let times = stage.metrics.get("ttft").or_else(|| stage.metrics.get("e2e"));
    (stage.load.and_then(|load| load.max_lag_ms), times.map(|times| times.p50))
}

/// Why the answers' times are about this machine, if so.
pub(super) fn starved(stage: &StageSummary) -> Option<String> {
    // A probe that says nothing bounds its search; the other probes still stand.
    if !stage.reported || stage.probe.is_some() {
        return None;
    }
    let (limit, median) = measure(stage);
    let late = show(too_late(&stage.client, limit, median)?, "ms");
    let median = median
        .map_or_else(String::new, |median| format!(", of a median of {}", show(median, "ms")));
    Some(format!(
        "stage {}: generator starved: this machine showed the client what had arrived up to {late} too \
         late (p95), so times of answers are too long by up to as much{median}: stop what else takes its \
         cores, give it more of them, or ask for less at once",
        stage.label(),
    ))
}

/// Why a stage's numbers are about the generator and not about the endpoint, if so.
pub(super) fn saturated(stage: &StageSummary) -> Option<String> {
    // A probe that says nothing bounds its search; the other probes still stand.
    let load = stage.load.filter(|load| load.generator_limited && stage.probe.is_none())?;
    let lag = stage.metrics.get("schedule_lag")?;
    // Without one the generator was starved, which is said elsewhere.
    let limit = load.max_lag_ms.filter(|limit| lag.p99 > *limit)?;
    let advice = if lag.p50 < limit / PAUSE_SHARE {
        "most left in time, so this machine stood still or was busy for a while: look for what \
         stopped it, or took its cores, and run it again"
    } else if load.target_rate.is_some() {
        "ask for a lower rate, give this machine more cores, or spread the load over several"
    } else {
        "have fewer users, give this machine more cores, or spread the load over several"
    };
    Some(format!(
        "stage {}: generator saturated: requests left up to {} after they were due (p99; limit \
         {}); {advice}",
        stage.label(),
        show(lag.p99, "ms"),
        show(limit, "ms"),
    ))
}

/// Whether this machine had no connection left for some request.
pub(super) fn is_exhausted(errors: &BTreeMap<String, u64>) -> bool {
    LOCAL_CLASSES.iter().any(|class| errors.contains_key(*class))
}

/// Why failed requests of a stage are about this machine, if some are.
pub(super) fn exhausted(stage: &StageSummary) -> Option<String> {
    if !stage.reported || stage.probe.is_some() {
        return None;
    }
    let found = LOCAL_CLASSES.iter().find_map(|class| stage.errors.get_key_value(*class));
    let (class, requests) = found?;
    let why = stage.error_samples.get(class).map_or(class.as_str(), String::as_str);
    Some(format!(
        "stage {}: generator exhausted: {} could not be sent for want of something of this machine's, which \
         says nothing of the endpoint: {why}",
        stage.label(),
        plural(*requests, "request"),
    ))
}

/// Why a stage's numbers are about this machine, whichever way that showed.
pub fn spoiled(stage: &StageSummary) -> Option<String> {
    starved(stage).or_else(|| saturated(stage)).or_else(|| exhausted(stage))
}

/// What a reader must know of the generator though the numbers stand.
pub(super) fn note(stage: &StageSummary) -> Option<String> {
    lag_note(stage).or_else(|| {
        let (limit, median) = measure(stage);
        if too_late(&stage.client, limit, median).is_some() {
            return None;
        }
        let late = later_than(&stage.client, NOTEWORTHY, limit, Some(median?))?;
        Some(format!(
            "stage {}: this machine was busy: it showed the client what had arrived up to {} too \
             late (p95), so times of answers are too long by up to as much",
            stage.label(),
            show(late, "ms"),
        ))
    })
}

/// What arrived by itself may have been seen together where the client looked later than this (95th
/// percentile, in milliseconds).
const TOGETHER_MS: f64 = 3.0;

/// Whether events that were seen together may have come one by one.
pub(super) fn may_have_merged(client: &ClientSummary) -> bool {
    client.wake_lag_p95_ms.is_some_and(|late| late > TOGETHER_MS)
}

fn lag_note(stage: &StageSummary) -> Option<String> {
    if stage.load.is_some() {
        // Either said already, or the plan itself makes requests wait.
        return None;
    }
    let lag = stage.metrics.get("schedule_lag").filter(|lag| lag.p99 > SCHEDULE_LAG_LIMIT_MS)?;
    Some(format!(
        "stage {}: requests left up to {} after they were due (p99; limit {}): this machine was \
         the bottleneck",
        stage.label(),
        show(lag.p99, "ms"),
        show(SCHEDULE_LAG_LIMIT_MS, "ms"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::StageTally;
    use crate::metrics::tally::fixture::{ms, record, stage_end, stage_start};
    use crate::record::{LoadLine, Record, StageEnd, StageStart, StageState, WakeLag};

    /// A closed loop whose client saw things so late, at so many moments; its TTFT is 200 ms.
    fn closed(late_ms: u64, count: u64) -> StageSummary {
        of_ttft(200, late_ms, count)
    }

    fn of_ttft(ttft_ms: u64, late_ms: u64, count: u64) -> StageSummary {
        let load = LoadLine { max_lag_ms: Some(100.0), ..LoadLine::default() };
        let mut tally =
            StageTally::new(StageStart { load: Some(Box::new(load)), ..stage_start(1) });
        let first_token_ns = record().sent_ns.map(|sent| sent + ms(ttft_ms));
        tally.ended(&Record { first_token_ns, ..record() });
        let lag = WakeLag {
            count,
            p50_ns: ms(1),
            p95_ns: ms(late_ms),
            p99_ns: ms(2 * late_ms),
            max_ns: ms(3 * late_ms),
        };
        let wake_lag = Some(lag);
        let end = StageEnd { wake_lag, ..stage_end(StageState::Completed) };
        tally.close(Some(&end)).0.summary
    }

    #[test]
    fn a_starved_closed_loop_says_nothing_of_the_endpoint() {
        let hogged = closed(480, 426);
        assert!(hogged.load.is_some_and(|load| load.generator_limited));
        assert_eq!(saturated(&hogged), None, "its requests left in time");
        let why = starved(&hogged).expect("a reason");
        assert!(
            why.starts_with("stage cold: generator starved: ") && why.contains("480 ms"),
            "{why}"
        );
        // Beside a build, the same machine is well.
        for well in [closed(1, 410), closed(20, 416), closed(480, 8)] {
            assert!(!well.load.is_some_and(|load| load.generator_limited));
            assert_eq!(starved(&well), None);
        }
        // Between the two, a reader is told; of a stage that is over in a moment, nothing is known.
        assert!(note(&closed(30, 416)).is_some_and(|it| it.contains("30 ms too late")));
        assert_eq!(note(&closed(1, 416)), None);
        assert_eq!(note(&closed(480, 8)), None);
    }

    #[test]
    fn lateness_is_held_against_the_times_that_it_distorts() {
        // (TTFT, lateness, moments): a p95 of 24 ms where 13 ms are true; one of 40 where 11 are.
        for (ttft, late, moments) in
            [(7, 12, 304), (6, 18, 400), (8, 39, 402), (15, 33, 482), (200, 60, 50)]
        {
            let why = starved(&of_ttft(ttft, late, moments)).expect("a reason");
            assert!(why.contains("of a median of "), "{why}");
        }
        // A machine that is busy, a stall of a short stage, and times that so little does not change.
        for (ttft, late, moments) in
            [(6, 4, 405), (6, 9, 406), (6, 40, 100), (516, 50, 238), (600, 80, 400), (152, 40, 331)]
        {
            assert_eq!(starved(&of_ttft(ttft, late, moments)), None, "{ttft} {late}");
        }
        assert!(note(&of_ttft(6, 9, 406)).is_some_and(|it| it.contains("this machine was busy")));
    }

    #[test]
    fn a_closed_loop_that_turns_around_late_is_a_saturated_generator() {
        let load = LoadLine { max_lag_ms: Some(100.0), ..LoadLine::default() };
        let start = StageStart { load: Some(Box::new(load)), ..stage_start(1) };
        let mut tally = StageTally::new(start);
        let due_ns = record().sent_ns.map(|sent| sent.saturating_sub(101_000_000));
        tally.ended(&Record { due_ns, ..record() });
        let summary = tally.close(Some(&stage_end(StageState::Completed))).0.summary;
        assert!(saturated(&summary).is_some_and(|why| why.contains("generator saturated")));
    }
}
