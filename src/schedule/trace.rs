//! The times of a log, again.
//!
//! In: one stamp per row of a log. Out: which row is due when. Invariant: rows keep the order of
//! their stamps (and, within a stamp, of the log); a row's place depends on its own stamp and the
//! seed only.
//!
//! Many logs stamp whole seconds. Sending a second's requests all at its start would be a burst
//! that never was, so they are spread over it: uniformly, as a Poisson process would have it.

use std::sync::Arc;

use super::arrivals::{Schedule, ScheduleError};
use super::draw::Draw;
use crate::plan::{Spread, Until};

const SECOND_NS: i64 = 1_000_000_000;

/// A log's rows in the order in which they are due.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The log's row (from 0) behind each arrival index.
    pub rows: Vec<usize>,
    /// Nanoseconds from the first stamp until each is due, already divided by the speed.
    pub offsets_ns: Arc<[u64]>,
    /// Whether requests were spread over their second.
    pub spread: bool,
}

impl Trace {
    /// The trace of `stamps_ns` (nanoseconds of any clock, in any order). `limit` counts requests
    /// and time as the log has them, before `speed`. Sample after this, by row, so that a request
    /// keeps its time in every sample. `draw` is the stage's stream for [`Purpose::Spread`](super::draw::Purpose::Spread).
    pub fn new(
        stamps_ns: &[i64],
        spread: Spread,
        speed: f64,
        limit: Option<Until>,
        draw: &mut Draw,
    ) -> Result<Self, ScheduleError> {
        if !(speed.is_finite() && speed > 0.0) {
            return Err(ScheduleError::Speed(speed));
        }
        let spread = match spread {
            Spread::Auto => stamps_ns.iter().all(|stamp| stamp % SECOND_NS == 0),
            Spread::Always => true,
            Spread::Never => false,
        };
        let first = stamps_ns.iter().copied().min().unwrap_or(0);
        let mut rows: Vec<usize> = (0..stamps_ns.len()).collect();
        rows.sort_by_key(|row| stamps_ns[*row]);
        let mut offsets: Vec<u64> = rows.iter().map(|row| since(first, stamps_ns[*row])).collect();
        if spread {
            spread_seconds(&rows, &mut offsets, draw);
        }
        if let Some(limit) = limit {
            let end = limit.duration().map_or(u128::MAX, |end| end.as_nanos());
            let in_time = offsets.partition_point(|offset| u128::from(*offset) < end);
            let count = limit.requests().map_or(in_time, |requests| {
                in_time.min(usize::try_from(requests).unwrap_or(usize::MAX))
            });
            rows.truncate(count);
            offsets.truncate(count);
        }
        for offset in &mut offsets {
            *offset = faster(*offset, speed);
        }
        Ok(Self { rows, offsets_ns: offsets.into(), spread })
    }

    /// Only the rows that `keep` wants, at their times.
    #[must_use]
    pub fn sampled(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = || self.rows.iter().zip(self.offsets_ns.iter()).filter(|(row, _)| keep(**row));
        Self {
            rows: kept().map(|(row, _)| *row).collect(),
            offsets_ns: kept().map(|(_, offset)| *offset).collect(),
            spread: self.spread,
        }
    }

    /// Its due times as a schedule; arrival *i* is row `rows[i]`.
    pub fn schedule(&self) -> Schedule {
        let requests = Until::Requests(self.rows.len() as u64);
        Schedule::of_offsets(Arc::clone(&self.offsets_ns), requests)
    }
}

/// Gives every row a uniform place within its second; ascending in the log's order.
fn spread_seconds(rows: &[usize], offsets: &mut [u64], draw: &mut Draw) {
    let mut start = 0;
    while start < offsets.len() {
        let second = offsets[start] / SECOND_NS.unsigned_abs();
        let length = offsets[start..]
            .iter()
            .take_while(|offset| **offset / SECOND_NS.unsigned_abs() == second)
            .count();
        let mut places: Vec<u64> = rows[start..start + length]
            .iter()
            .map(|row| {
                draw.seek(*row as u64);
                draw.below(SECOND_NS.unsigned_abs())
            })
            .collect();
        places.sort_unstable();
        for (offset, place) in offsets[start..start + length].iter_mut().zip(places) {
            *offset = second * SECOND_NS.unsigned_abs() + place;
        }
        start += length;
    }
}

fn since(first: i64, stamp: i64) -> u64 {
    u64::try_from(i128::from(stamp) - i128::from(first)).unwrap_or(0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; saturates at the end of time"
)]
fn faster(offset_ns: u64, speed: f64) -> u64 {
    (offset_ns as f64 / speed).round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::draw::Purpose;

    fn places() -> Draw {
        Draw::new(3, "replay", Purpose::Spread)
    }

    fn trace(stamps: &[i64], spread: Spread, speed: f64, limit: Option<Until>) -> Trace {
        Trace::new(stamps, spread, speed, limit, &mut places()).expect("valid speed")
    }

    #[test]
    fn finer_stamps_are_kept_as_they_are() {
        let stamps = [5_250_000_000, 5_000_000_000, 7_000_000_000];
        let trace = trace(&stamps, Spread::Auto, 2.0, None);
        assert!(!trace.spread);
        assert_eq!(trace.rows, [1, 0, 2]);
        assert_eq!(*trace.offsets_ns, [0, 125_000_000, 1_000_000_000]);
    }

    #[test]
    fn whole_seconds_are_spread_evenly_and_in_order() {
        let stamps: Vec<i64> = (0..10_000).map(|row| 1_700_000_000 + row / 100).collect();
        let stamps: Vec<i64> = stamps.iter().map(|stamp| stamp * SECOND_NS).collect();
        let trace = trace(&stamps, Spread::Auto, 1.0, None);
        assert!(trace.spread && trace.offsets_ns.is_sorted());
        assert!(trace.rows.is_sorted());
        let mut tenths = [0_u32; 10];
        for (row, offset) in trace.rows.iter().zip(trace.offsets_ns.iter()) {
            assert_eq!(offset / 1_000_000_000, *row as u64 / 100, "it stays in its second");
            tenths[usize::try_from(offset % 1_000_000_000 / 100_000_000).expect("small")] += 1;
        }
        assert!(tenths.iter().all(|count| count.abs_diff(1_000) < 120), "{tenths:?}");
    }

    #[test]
    fn spreading_can_be_turned_off_and_forced() {
        let stamps = [0, 0, SECOND_NS];
        assert_eq!(*trace(&stamps, Spread::Never, 1.0, None).offsets_ns, [0, 0, 1_000_000_000]);
        let forced = trace(&[0, 500, SECOND_NS], Spread::Always, 1.0, None);
        assert!(forced.spread && forced.offsets_ns[1] > 500);
    }

    #[test]
    fn a_sampled_row_keeps_its_time() {
        let stamps: Vec<i64> = (0..1_000).map(|row| row / 50 * SECOND_NS).collect();
        let whole = trace(&stamps, Spread::Auto, 1.0, None);
        let sample = whole.sampled(|row| row % 3 == 0);
        assert_eq!(sample.rows.len(), 334);
        for (row, offset) in sample.rows.iter().zip(sample.offsets_ns.iter()) {
            assert_eq!(whole.offsets_ns[*row], *offset);
        }
        assert_eq!(sample.schedule().planned(), 334);
    }

    #[test]
    fn limits_count_in_the_logs_own_time() {
        let stamps: Vec<i64> = (0..100).map(|row| row * 100_000_000 + 1).collect();
        let limit = |until| trace(&stamps, Spread::Never, 10.0, Some(until)).rows.len();
        assert_eq!(limit(Until::Duration(Duration::from_secs(2))), 20);
        assert_eq!(limit(Until::Requests(7)), 7);
        assert_eq!(trace(&[], Spread::Auto, 1.0, None).schedule().planned(), 0);
    }

    #[test]
    fn a_speed_that_means_nothing_is_refused() {
        for speed in [0.0, -1.0, f64::NAN] {
            assert!(Trace::new(&[0], Spread::Auto, speed, None, &mut places()).is_err());
        }
    }
}
