//! The samples of one metric in bounded memory.
//!
//! In: finite samples, none below zero. Out: the statistics of all of them. Invariants: up to
//! [`EXACT`] samples every figure is exact; beyond, mean, deviation, minimum, maximum and count
//! still are, and a percentile is off by at most [`RELATIVE_ERROR`] of itself; the same samples in
//! the same order give the same figures.

use super::certified::Certified;
use super::effective::{Dependence, in_flight, median_interval};
use super::summary::Distribution;
use super::thinned::{halves, keeps};
use super::{distribution, histogram};
use crate::plan::Aggregate;

/// Samples that are kept as they are: enough that nobody counts percentiles of them by hand, and
/// 128 kB a metric at most.
pub const EXACT: usize = 16_384;

/// How far a percentile of more samples may be off, as a share of itself.
pub const RELATIVE_ERROR: f64 = 1.0 / SUB_BUCKETS as f64;

/// Twice the buckets of equal width between a power of two and the next.
const SUB_BUCKETS: u64 = 1 << SUB_BITS;
const SUB_BITS: u32 = 10;

/// Samples in integers of this many parts: nanoseconds of milliseconds.
const PARTS: f64 = 1e6;

/// Most of the samples beyond [`EXACT`] that are kept in their order: enough to certify what takes some
/// thousands of independent ones.
const IN_ORDER: usize = EXACT;

/// The samples so far.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// All of them, while they are few.
    exact: Vec<f64>,
    counts: Option<Box<Counts>>,
    /// How sure the median is, once no more will come.
    certainty: Certainty,
}

/// How sure the median of some samples is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Certainty {
    /// Its 95 % interval, where one can be told.
    interval: Option<[f64; 2]>,
    /// Independent samples that tell as much, where that can be told.
    effective: Option<f64>,
}

impl Certainty {
    /// That of samples in the order of time.
    fn of(in_time: &[f64], in_flight: Option<&[f64]>) -> Self {
        let dependence = Dependence::of(in_time, in_flight);
        Self { interval: median_interval(in_time, &dependence), effective: dependence.effective() }
    }

    /// That of some of many samples whose median is `p50`. What is between them may tell more, but
    /// how much is not known of those that resemble each other.
    fn of_some(in_time: &[f64], p50: f64) -> Self {
        let some = Self::of(in_time, None);
        let mut sorted = in_time.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let own = distribution::percentile(&sorted, 50.0).filter(|own| *own > 0.0);
        let times = own.map_or(1.0, |own| p50 / own);
        Self { interval: some.interval.map(|ends| ends.map(|end| end * times)), ..some }
    }
}

impl Samples {
    /// Adds a sample; what is no number is none.
    pub fn push(&mut self, sample: f64) {
        if !sample.is_finite() {
            return;
        }
        match &mut self.counts {
            Some(counts) => counts.add(sample),
            None if self.exact.len() < EXACT => self.exact.push(sample),
            None => {
                let mut counts = Box::<Counts>::default();
                self.exact.drain(..).chain([sample]).for_each(|sample| counts.add(sample));
                self.exact = Vec::new();
                self.counts = Some(counts);
            }
        }
    }

    /// No more will come. They are of one request each, in the order of time or in that of `order`.
    /// Latencies may follow how many requests were in flight; other figures don't.
    pub fn finish_in_time(&mut self, order: Option<&Order>, are_latencies: bool) {
        self.certainty = match (&self.counts, order) {
            (Some(counts), _) => Certainty::of_some(&counts.in_order, counts.percentile(50.0)),
            (None, Some(order)) if order.places.len() == self.exact.len() => {
                let in_time: Vec<f64> =
                    order.places.iter().filter_map(|at| self.exact.get(*at).copied()).collect();
                let in_flight = are_latencies.then_some(&*order.in_flight);
                Certainty::of(&in_time, in_flight)
            }
            (None, _) => Certainty::of(&self.exact, None),
        };
        self.finish();
    }

    /// No more will come: sorts them and gives back what room is left.
    pub fn finish(&mut self) {
        self.exact.sort_unstable_by(f64::total_cmp);
        self.exact.shrink_to_fit();
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.counts.as_ref().map_or(self.exact.len() as u64, |counts| counts.total)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The statistics of all; `None` without samples. [`Samples::finish`] comes first.
    pub fn distribution(&self, unit: &str) -> Option<Distribution> {
        let is_time = unit == "ms";
        let Some(counts) = &self.counts else {
            let found = distribution::distribution(&self.exact, unit)?;
            let times = self.exact.iter().map(|sample| (*sample, 1));
            let histogram = is_time.then(|| histogram::encoded(times)).flatten();
            let Certainty { interval, effective } = self.certainty;
            let at = |rank: u64| self.exact.get(usize::try_from(rank).ok()?).copied();
            let certified = Certified::of_effective(found.count, effective, at);
            return Some(Distribution {
                histogram,
                p50_interval: interval,
                effective,
                certified,
                ..found
            });
        };
        Some(Distribution {
            unit: unit.to_owned(),
            count: counts.total,
            mean: counts.mean,
            std: counts.std(),
            min: counts.min,
            max: counts.max,
            p50: counts.percentile(50.0),
            p90: counts.percentile(90.0),
            p95: counts.percentile(95.0),
            p99: counts.percentile(99.0),
            certified: Certified::of_effective(counts.total, self.certainty.effective, |rank| {
                Some(counts.at(rank as f64))
            }),
            p50_interval: self.certainty.interval,
            effective: self.certainty.effective,
            histogram: is_time.then(|| histogram::encoded(counts.times())).flatten(),
        })
    }

    /// A percentile (0 to 100); `None` without samples. [`Samples::finish`] comes first.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        self.aggregate(Aggregate::Percentile(percent)).filter(|_| !self.is_empty())
    }

    /// Their values, and how many there are of each; beyond [`EXACT`], those of buckets.
    pub fn times(&self) -> impl Iterator<Item = (f64, u64)> {
        let exact = self.exact.iter().map(|sample| (*sample, 1));
        exact.chain(self.counts.iter().flat_map(|counts| counts.times()))
    }

    /// One aggregate; `None` without (enough) samples. [`Samples::finish`] comes first.
    pub fn aggregate(&self, aggregate: Aggregate) -> Option<f64> {
        let Some(counts) = &self.counts else {
            return distribution::aggregate(&self.exact, aggregate);
        };
        Some(match aggregate {
            Aggregate::Mean => counts.mean,
            Aggregate::Std => counts.std()?,
            Aggregate::Min => counts.min,
            Aggregate::Max => counts.max,
            Aggregate::Count => counts.total as f64,
            Aggregate::Percentile(percent) => counts.percentile(percent),
        })
    }
}

impl Extend<f64> for Samples {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, samples: T) {
        samples.into_iter().for_each(|sample| self.push(sample));
    }
}

/// The order in which the requests of some samples were sent.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Where the sample of each stands.
    places: Vec<usize>,
    /// How many others were in flight when each was sent.
    in_flight: Vec<f64>,
}

impl Order {
    /// That of requests given as (sent, ended) in nanoseconds.
    pub fn of(times: &[(u64, u64)]) -> Self {
        Self::among(times, times)
    }

    /// That of some of all requests.
    pub fn among(times: &[(u64, u64)], all: &[(u64, u64)]) -> Self {
        let mut places: Vec<usize> = (0..times.len()).collect();
        places.sort_by_key(|at| times[*at]);
        let in_time: Vec<(u64, u64)> = places.iter().map(|at| times[*at]).collect();
        Self { in_flight: in_flight(&in_time, all), places }
    }
}

/// How many samples fell between which bounds, and their moments (Welford's recurrence).
#[derive(Debug, Clone)]
struct Counts {
    /// One of each block of `2^halvings`.
    in_order: Vec<f64>,
    halvings: u32,
    buckets: Vec<u64>,
    total: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            in_order: Vec::new(),
            halvings: 0,
            buckets: Vec::new(),
            total: 0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Counts {
    fn add(&mut self, sample: f64) {
        let bucket = bucket(sample);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        if keeps(self.total, self.halvings) {
            self.in_order.push(sample);
            if self.in_order.len() > IN_ORDER {
                // The last is that of the block at work: it is in the place of its block, as all are.
                let mut block = 0..;
                let halvings = self.halvings;
                self.in_order.retain(|_| block.next().is_some_and(|block| halves(block, halvings)));
                self.halvings += 1;
            }
        }
        self.total += 1;
        let step = sample - self.mean;
        self.mean += step / self.total as f64;
        self.squares += step * (sample - self.mean);
        self.min = self.min.min(sample);
        self.max = self.max.max(sample);
    }

    fn std(&self) -> Option<f64> {
        (self.total > 1).then(|| (self.squares / (self.total - 1) as f64).sqrt())
    }

    /// As for exact samples, with each sample in the middle of its bucket.
    fn percentile(&self, percent: f64) -> f64 {
        let rank = (self.total.saturating_sub(1)) as f64 * (percent / 100.0).clamp(0.0, 1.0);
        let below = self.at(rank.floor());
        below + (self.at(rank.ceil()) - below) * rank.fract()
    }

    /// The middle of each bucket that is not empty, and how many fell into it.
    fn times(&self) -> impl Iterator<Item = (f64, u64)> {
        let full = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        full.map(|(bucket, count)| (middle(bucket).clamp(self.min, self.max), *count))
    }

    /// The sample at a rank, from 0.
    fn at(&self, rank: f64) -> f64 {
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen as f64 > rank {
                return middle(bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

/// The bucket of a sample: one for each number of parts below [`SUB_BUCKETS`], then half as many
/// for every doubling.
fn bucket(sample: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let parts = (sample * PARTS).round() as u64;
    let doublings = (parts | (SUB_BUCKETS - 1)).ilog2() + 1 - SUB_BITS;
    let bucket = u64::from(doublings) * SUB_BUCKETS + (parts >> doublings);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let (doublings, sub) = (bucket as u64 / SUB_BUCKETS, bucket as u64 % SUB_BUCKETS);
    let width = (1_u64 << doublings.min(63)) as f64;
    (sub as f64 * width + (width - 1.0) / 2.0) / PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from a microsecond to minutes, in no order.
    fn many(count: u64) -> Vec<f64> {
        (0..count)
            .map(|number| {
                let share = (number * 7_919 % count) as f64 / count as f64;
                0.001 * 1e8_f64.powf(share)
            })
            .collect()
    }

    fn both(values: &[f64]) -> (Distribution, Distribution) {
        let mut samples = Samples::default();
        samples.extend(values.iter().copied());
        samples.finish();
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let exact = distribution::distribution(&sorted, "ms").expect("samples");
        let found = samples.distribution("ms").expect("samples");
        assert!(found.histogram.is_some());
        (Distribution { histogram: None, ..found }, exact)
    }

    #[test]
    fn few_samples_are_exact() {
        let (ours, exact) = both(&many(EXACT as u64));
        assert_eq!(ours, exact);
    }

    #[test]
    fn percentiles_of_many_samples_are_off_by_less_than_promised() {
        let (ours, exact) = both(&many(100_003));
        assert_eq!((ours.count, ours.min, ours.max), (exact.count, exact.min, exact.max));
        assert!((ours.mean / exact.mean - 1.0).abs() < 1e-9);
        assert!((ours.std.expect("many") / exact.std.expect("many") - 1.0).abs() < 1e-9);
        for (ours, exact) in [
            (ours.p50, exact.p50),
            (ours.p90, exact.p90),
            (ours.p95, exact.p95),
            (ours.p99, exact.p99),
        ] {
            assert!((ours / exact - 1.0).abs() <= 1.1 * RELATIVE_ERROR, "{ours} {exact}");
        }
    }

    #[test]
    fn equal_samples_have_equal_percentiles() {
        let (ours, exact) = both(&vec![17.0; EXACT + 5]);
        assert_eq!((ours.p50, ours.p99, ours.mean), (17.0, 17.0, 17.0));
        assert_eq!(ours.count, exact.count);
        let (zero, _) = both(&vec![0.0; EXACT + 5]);
        assert_eq!((zero.p50, zero.max), (0.0, 0.0));
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_samples() {
        let mut samples = Samples::default();
        samples.extend(many(200_000));
        assert!(samples.exact.is_empty());
        let counts = samples.counts.as_ref().expect("counted");
        assert!(counts.buckets.len() < 40 * 1024, "{}", counts.buckets.len());
        samples.extend([0.0, f64::MAX, f64::NAN]);
        assert_eq!(samples.len(), 200_002);
    }
}
