//! What went on at each moment of a run, in constant memory.
//!
//! In: when requests were sent and ended, when tokens came, all in nanoseconds of the run's clock.
//! Out: [`Interval`]s of equal width. Invariant: sums are exact; only the width depends on how long
//! the run took (it doubles whenever the run outgrows [`BINS`] intervals).

/// Most intervals that a timeline has.
pub const BINS: usize = 480;
/// The narrowest interval: 2²⁰ ns, about a millisecond.
const NARROWEST: u32 = 20;

/// One interval of a run, in figures for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its middle, in seconds from the start of the run.
    pub at_s: f64,
    /// Requests sent per second.
    pub arrivals: f64,
    /// Complete answers per second.
    pub completions: f64,
    /// Failed requests, in all.
    pub errors: u64,
    /// Mean number of requests under way.
    pub in_flight: f64,
    /// Token-bearing events per second.
    pub tokens: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    sent: u64,
    ok: u64,
    errors: u64,
    ended: u64,
    tokens: u64,
    /// Sum of `sent` stamps minus sum of `end` stamps, each relative to the start of the run.
    stamps: i128,
}

/// Sums per interval.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// An interval lasts 2^shift nanoseconds.
    shift: u32,
    bins: Vec<Bin>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { shift: NARROWEST, bins: Vec::new() }
    }
}

impl Timeline {
    /// A request was sent at `sent_ns` and was over at `end_ns`.
    pub fn request(&mut self, sent_ns: u64, end_ns: u64, ok: bool, error: bool) {
        let end_ns = end_ns.max(sent_ns);
        // The later stamp first: it may widen the intervals.
        let end = self.bin(end_ns);
        end.ended += 1;
        end.ok += u64::from(ok);
        end.errors += u64::from(error);
        end.stamps -= i128::from(end_ns);
        let start = self.bin(sent_ns);
        start.sent += 1;
        start.stamps += i128::from(sent_ns);
    }

    /// A token-bearing event came at `ns`.
    pub fn token(&mut self, ns: u64) {
        self.bin(ns).tokens += 1;
    }

    /// How long an interval lasts, in seconds.
    pub fn width_s(&self) -> f64 {
        (1_u64 << self.shift) as f64 / 1e9
    }

    /// The same with at most `most` intervals.
    #[must_use]
    pub fn coarser(&self, most: usize) -> Self {
        let mut coarser = self.clone();
        while coarser.bins.len() > most.max(1) {
            coarser.halve();
        }
        coarser
    }

    /// Every interval up to the last one in which anything happened.
    pub fn intervals(&self) -> Vec<Interval> {
        let width = 1_u64 << self.shift;
        let per_second = |count: u64| count as f64 / self.width_s();
        let mut under_way = 0_i128;
        let mut intervals = Vec::with_capacity(self.bins.len());
        for (number, bin) in (0_u64..).zip(&self.bins) {
            let end = i128::from(number + 1) * i128::from(width);
            // Time spent in this interval: by those under way at its start, plus from each start to
            // its end, minus from each end to its end.
            let change = i128::from(bin.sent) - i128::from(bin.ended);
            let spent = under_way * i128::from(width) + change * end - bin.stamps;
            under_way += change;
            intervals.push(Interval {
                at_s: (number as f64 + 0.5) * self.width_s(),
                arrivals: per_second(bin.sent),
                completions: per_second(bin.ok),
                errors: bin.errors,
                in_flight: (spent as f64 / width as f64).max(0.0),
                tokens: per_second(bin.tokens),
            });
        }
        intervals
    }

    fn bin(&mut self, ns: u64) -> &mut Bin {
        while ns >> self.shift >= BINS as u64 {
            self.halve();
        }
        let place = usize::try_from(ns >> self.shift).unwrap_or(BINS - 1);
        if place >= self.bins.len() {
            self.bins.resize(place + 1, Bin::default());
        }
        &mut self.bins[place]
    }

    /// Joins neighbours, so that each interval lasts twice as long.
    fn halve(&mut self) {
        self.shift += 1;
        let joined = self.bins.chunks(2).map(|pair| {
            pair.iter().fold(Bin::default(), |sum, bin| Bin {
                sent: sum.sent + bin.sent,
                ok: sum.ok + bin.ok,
                errors: sum.errors + bin.errors,
                ended: sum.ended + bin.ended,
                tokens: sum.tokens + bin.tokens,
                stamps: sum.stamps + bin.stamps,
            })
        });
        self.bins = joined.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn sums_survive_any_number_of_doublings() {
        let mut timeline = Timeline::default();
        for number in 0..1_000_u64 {
            timeline.request(
                number * SECOND,
                number * SECOND + SECOND / 2,
                number % 10 > 0,
                number % 10 == 0,
            );
            timeline.token(number * SECOND);
        }
        let intervals = timeline.intervals();
        assert!(intervals.len() <= BINS && intervals.len() > BINS / 2);
        let width = timeline.width_s();
        let sum = |take: fn(&Interval) -> f64| intervals.iter().map(take).sum::<f64>() * width;
        assert!((sum(|at| at.arrivals) - 1_000.0).abs() < 1e-6);
        assert!((sum(|at| at.completions) - 900.0).abs() < 1e-6);
        assert!((sum(|at| at.tokens) - 1_000.0).abs() < 1e-6);
        assert_eq!(intervals.iter().map(|at| at.errors).sum::<u64>(), 100);
        // 1,000 requests of half a second each.
        assert!((sum(|at| at.in_flight) - 500.0).abs() < 1e-6);
    }

    #[test]
    fn a_request_over_many_intervals_is_under_way_in_each() {
        let mut timeline = Timeline::default();
        timeline.request(0, 100 << NARROWEST, true, false);
        let intervals = timeline.intervals();
        assert_eq!(intervals.len(), 101);
        assert!(intervals[..100].iter().all(|at| (at.in_flight - 1.0).abs() < 1e-9));
        assert!(intervals[100].in_flight.abs() < 1e-9);
    }

    #[test]
    fn absurd_stamps_cost_no_memory() {
        let mut timeline = Timeline::default();
        timeline.request(5, u64::MAX, false, true);
        timeline.request(9, 3, true, false);
        assert!(timeline.intervals().len() <= BINS);
    }
}
