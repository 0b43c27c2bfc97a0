//! The times of a log, again.
//!
//! In: the stamps of those rows of a log that are replayed. Out: in which order they are due, and when.
//! Invariant: rows keep the order of their stamps (and, within a stamp, of the log), and a row has the
//! same time in every sample of its log.
//!
//! Many logs stamp whole seconds. Sending a second's requests all at its start would be a burst
//! that never was, so they are spread over it: uniformly, as a Poisson process would have it. Of `n`
//! requests in a second the `k`-th gets the `k`-th smallest of `n` places that depend on the seed and
//! the second alone, whichever of them are replayed.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::arrivals::{Schedule, ScheduleError};
use super::draw::Draw;
use crate::plan::Until;

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// Places that a second may have before it takes numbers of the next.
const PLACES: u32 = 24;

/// When a row of a log was asked.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Nanoseconds of any clock.
    pub ns: u64,
    /// Rows of its second before it in the whole log.
    pub rank: u32,
}

/// A log's own clock, and how it runs here.
#[derive(Debug)]
pub struct LogClock<'l, S> {
    /// The earliest stamp of the whole log, which is due at once.
    pub first_ns: u64,
    /// How much of its time passes until it may begin anew.
    pub span_ns: u64,
    /// The rows of each second of the whole log, if they are to be spread over it.
    pub seconds: Option<&'l HashMap<u64, u32, S>>,
    /// 2 is twice as fast.
    pub speed: f64,
}

/// A log's rows in the order in which they are due.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Which of the stamps is behind each arrival; each is behind its own where it is `None`, since
    /// they were in order.
    pub order: Option<Arc<[u32]>>,
    /// Nanoseconds from the stage's start until each is due, already divided by the speed.
    offsets_ns: Arc<[u64]>,
    /// Nanoseconds until the log may begin anew, already divided by the speed.
    period_ns: u64,
}

impl Trace {
    /// The times of `stamps`. `draw` is the stage's stream for
    /// [`Purpose::Spread`](super::draw::Purpose::Spread).
    pub fn new<S: BuildHasher>(
        stamps: impl Iterator<Item = Stamp>,
        clock: &LogClock<'_, S>,
        draw: &mut Draw,
    ) -> Result<Self, ScheduleError> {
        let LogClock { first_ns, span_ns, seconds, speed } = *clock;
        if !(speed.is_finite() && speed > 0.0) {
            return Err(ScheduleError::Speed(speed));
        }
        let mut places =
            seconds.map(|counts| Places { counts, draw, second: 0, of_second: vec![] });
        let mut offsets: Vec<u64> = stamps
            .map(|stamp| {
                let place = places.as_mut().map_or(0, |places| places.of(stamp));
                stamp.ns.saturating_sub(first_ns).saturating_add(place)
            })
            .collect();
        let order = if offsets.is_sorted() {
            None
        } else {
            let mut order: Vec<u32> = (0_u32..).take(offsets.len()).collect();
            order.sort_by_key(|row| offsets[*row as usize]);
            offsets.sort_unstable();
            Some(order.into())
        };
        for offset in &mut offsets {
            *offset = faster(*offset, speed);
        }
        Ok(Self { order, offsets_ns: offsets.into(), period_ns: faster(span_ns, speed).max(1) })
    }

    /// Its due times as a schedule, over and over if asked; arrival *i* is stamp *i* in the order of
    /// the trace, modulo their number.
    pub fn schedule(&self, until: Option<Until>, cycle: bool) -> Schedule {
        let period_ns = (cycle && !self.offsets_ns.is_empty()).then_some(self.period_ns);
        let until = until.unwrap_or(Until::Requests(u64::MAX));
        Schedule::of_offsets(Arc::clone(&self.offsets_ns), period_ns, until)
    }
}

/// The places of the requests of one second after the other.
struct Places<'l, S> {
    counts: &'l HashMap<u64, u32, S>,
    draw: &'l mut Draw,
    second: u64,
    /// Nanoseconds from its start, ascending.
    of_second: Vec<u64>,
}

impl<S: BuildHasher> Places<'_, S> {
    /// Nanoseconds from the start of the stamp's second to its place in it.
    fn of(&mut self, stamp: Stamp) -> u64 {
        let second = stamp.ns / SECOND_NS;
        if second != self.second || self.of_second.is_empty() {
            self.second = second;
            let count = self.counts.get(&second).copied().unwrap_or(1);
            self.of_second.clear();
            for number in 0..u64::from(count) {
                self.draw.seek((second << PLACES).wrapping_add(number));
                self.of_second.push(self.draw.below(SECOND_NS));
            }
            self.of_second.sort_unstable();
        }
        self.of_second.get(stamp.rank as usize).copied().unwrap_or(0)
    }
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

    /// A log of these stamps, in nanoseconds, and those of its rows that `keep` wants.
    fn trace(stamps: &[u64], spread: bool, speed: f64, keep: impl Fn(usize) -> bool) -> Trace {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        let kept: Vec<Stamp> = stamps
            .iter()
            .enumerate()
            .filter_map(|(row, &ns)| {
                let count = counts.entry(ns / SECOND_NS).or_default();
                *count += 1;
                keep(row).then_some(Stamp { ns, rank: *count - 1 })
            })
            .collect();
        let clock = LogClock {
            first_ns: stamps.iter().copied().min().unwrap_or(0),
            span_ns: 10 * SECOND_NS,
            seconds: spread.then_some(&counts),
            speed,
        };
        let mut draw = Draw::new(3, "replay", Purpose::Spread);
        Trace::new(kept.iter().copied(), &clock, &mut draw).expect("valid speed")
    }

    #[test]
    fn finer_stamps_are_kept_as_they_are() {
        let trace = trace(&[5_250_000_000, 5_000_000_000, 7_000_000_000], false, 2.0, |_| true);
        assert_eq!(trace.order.as_deref(), Some(&[1, 0, 2][..]));
        assert_eq!(*trace.offsets_ns, [0, 125_000_000, 1_000_000_000]);
    }

    #[test]
    fn whole_seconds_are_spread_evenly_and_in_order() {
        let stamps: Vec<u64> =
            (0..10_000).map(|row| (1_700_000_000 + row / 100) * SECOND_NS).collect();
        let trace = trace(&stamps, true, 1.0, |_| true);
        assert!(trace.order.is_none(), "the log's order");
        let mut tenths = [0_u32; 10];
        for (row, offset) in (0..).zip(trace.offsets_ns.iter()) {
            assert_eq!(offset / SECOND_NS, row / 100, "it stays in its second");
            tenths[usize::try_from(offset % SECOND_NS / 100_000_000).expect("small")] += 1;
        }
        assert!(tenths.iter().all(|count| count.abs_diff(1_000) < 120), "{tenths:?}");
    }

    #[test]
    fn a_sampled_row_keeps_its_time() {
        let stamps: Vec<u64> = (0..1_000).map(|row| (7 + row / 50) * SECOND_NS).collect();
        let whole = trace(&stamps, true, 1.0, |_| true);
        let sample = trace(&stamps, true, 1.0, |row| row % 3 == 1);
        assert_eq!(sample.offsets_ns.len(), 333);
        for (kept, offset) in sample.offsets_ns.iter().enumerate() {
            assert_eq!(whole.offsets_ns[3 * kept + 1], *offset);
        }
    }

    #[test]
    fn a_log_begins_anew_after_its_span_and_ends_where_it_should() {
        let stamps = [0, 4 * SECOND_NS, 6 * SECOND_NS];
        let trace = trace(&stamps, false, 2.0, |_| true);
        let seconds = |until, cycle| -> Vec<f64> {
            let schedule = trace.schedule(until, cycle);
            schedule.iter().map(|it| it.offset_ns as f64 / 1e9).collect()
        };
        assert_eq!(seconds(None, false), [0.0, 2.0, 3.0]);
        assert_eq!(seconds(Some(Until::Requests(5)), true), [0.0, 2.0, 3.0, 5.0, 7.0]);
        let nine = Some(Until::Duration(Duration::from_secs(9)));
        assert_eq!(seconds(nine, true), [0.0, 2.0, 3.0, 5.0, 7.0, 8.0]);
        assert_eq!(seconds(Some(Until::Requests(2)), false), [0.0, 2.0]);
    }

    #[test]
    fn a_speed_that_means_nothing_is_refused() {
        for speed in [0.0, -1.0, f64::NAN] {
            let clock: LogClock<'_, std::hash::RandomState> =
                LogClock { first_ns: 0, span_ns: 1, seconds: None, speed };
            let mut draw = Draw::new(3, "replay", Purpose::Spread);
            assert!(Trace::new(std::iter::empty(), &clock, &mut draw).is_err());
        }
    }
}
