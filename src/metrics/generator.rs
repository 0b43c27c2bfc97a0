//! Whether a stage's numbers are about this machine and not about the endpoint.
//!
//! In: a stage's summary. Out: a sentence where they are, or where that is near. Invariant: both ways in
//! which a generator falls short count, whatever decides when the next request is sent: requests that
//! leave late, and answers that are seen late.

use super::quantity::show;
use super::summary::{ClientSummary, StageSummary};

/// Requests sent later than this after they were due (99th percentile, in milliseconds) mean that
/// the generator, not the server, set the pace. A human-scale bound: a tenth of a second is far
/// above the lag of a healthy closed loop (well under a millisecond) and below what a TTFT hides.
pub const SCHEDULE_LAG_LIMIT_MS: f64 = 100.0;

/// A generator that is too slow lags all along: where the median lag is less than this part of the
/// limit, it was held up for a while.
const PAUSE_SHARE: f64 = 10.0;

/// What arrived is seen later than this (95th percentile, in milliseconds) only where the client's
/// threads have to wait for a core. An idle machine shows 1.3 ms (a timer's own step is 1 ms), two busy
/// cores that compile beside it 1.4 ms at a normal priority and up to 18 ms with one busy loop a core;
/// from 80 ms on, TTFT is more about this machine than about any server.
const SEEN_LATE_LIMIT_MS: f64 = 50.0;

/// Above this, and above a tenth of the stage's median TTFT, it is worth a note.
const SEEN_LATE_NOTE_MS: f64 = 10.0;

/// Half a second of moments; fewer say little of a stage.
const FEWEST_MOMENTS: u64 = 50;

/// How late what arrived was seen, in milliseconds (95th percentile), where that is too late.
pub(super) fn is_starved(client: &ClientSummary) -> bool {
    seen_late(client).is_some_and(|late| late > SEEN_LATE_LIMIT_MS)
}

fn seen_late(client: &ClientSummary) -> Option<f64> {
    let asked = client.connections_opened + client.connections_reused;
    client.wake_lag_p95_ms.filter(|_| asked > 0 && client.wake_moments >= FEWEST_MOMENTS)
}

/// Why the answers' times are about this machine, if so.
pub(super) fn starved(stage: &StageSummary) -> Option<String> {
    // A probe that says nothing bounds its search; the other probes still stand.
    let late = seen_late(&stage.client)
        .filter(|late| *late > SEEN_LATE_LIMIT_MS && stage.reported && stage.probe.is_none())?;
    Some(format!(
        "stage {}: generator starved: this machine showed the client what had arrived up to {} too \
         late (p95; limit {}), so times of answers are too long by as much: stop what else takes its \
         cores, give it more of them, or ask for less at once",
        stage.label(),
        show(late, "ms"),
        show(SEEN_LATE_LIMIT_MS, "ms"),
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

/// Why a stage's numbers are about this machine, whichever way that showed.
pub(super) fn spoiled(stage: &StageSummary) -> Option<String> {
    starved(stage).or_else(|| saturated(stage))
}

/// What a reader must know of the generator though the numbers stand.
pub(super) fn note(stage: &StageSummary) -> Option<String> {
    lag_note(stage).or_else(|| {
        let ttft = stage.metrics.get("ttft").or_else(|| stage.metrics.get("e2e"))?.p50;
        let late = seen_late(&stage.client)
            .filter(|late| *late > SEEN_LATE_NOTE_MS && *late > ttft / 10.0)
            .filter(|late| *late <= SEEN_LATE_LIMIT_MS)?;
        Some(format!(
            "stage {}: this machine was busy: it showed the client what had arrived up to {} too \
             late (p95), so times of answers are too long by up to as much",
            stage.label(),
            show(late, "ms"),
        ))
    })
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
        let load = LoadLine { max_lag_ms: Some(100.0), ..LoadLine::default() };
        let mut tally =
            StageTally::new(StageStart { load: Some(Box::new(load)), ..stage_start(1) });
        tally.ended(&record());
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
