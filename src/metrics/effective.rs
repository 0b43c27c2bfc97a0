//! How much samples that follow one another are worth.
//!
//! In: samples of requests in the order in which they were sent, and how many requests were in flight
//! when each was. Out: a [`Dependence`], which says how many samples make one independent batch, or
//! that the series is too short to tell. Invariants: no figure here is random; a series that is too
//! short gives no batch, so whoever needs one shows no interval and no verdict.
//!
//! Latencies hang together wherever requests queue: a request that waits long is followed by others
//! that wait long, and at nine tenths of a server's capacity hundreds of requests in a row tell
//! little more than one. Three steps take that into account:
//!
//! 1. **Memory**: how many samples in a row count for one, τ = 1 + 2 Σ ρₖ over the autocorrelations of
//!    the ranks, by Geyer's initial monotone positive sequence (Geyer 1992, §3.3), corrected for the
//!    mean that is estimated from the same samples. It is 1 where no correlation is beyond chance
//!    (that of neighbours, or Box and Pierce's sum over twenty lags, each at 2.5 %).
//! 2. **State**: the same of the number of requests in flight. Where latencies follow it (Spearman's
//!    correlation beyond 5 %), its memory counts, too: it is seen sooner than in latencies of widely
//!    differing answers. Where they don't, the run must still have seen some of it come and go.
//! 3. **Batch means** (Schmeiser 1982): batches of four memories are nearly independent, so
//!    their spread is the variance that counts, with Student's t for as many batches as there are.
//!
//! The limits were chosen by simulation (queues at 0.5 to 0.95 of capacity, 200 to 4,000 requests): of the
//! intervals that are shown nine in ten or more hold the truth, and fewer than one in twenty pairs of runs
//! of one thing are called different. `docs/statistics.md` has the figures, `tests/theory` the experiments.

use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

use super::estimate::median_ranks;

/// Batches are so many memories long.
const MEMORIES: f64 = 4.0;
/// Memories that a series must hold for its median to be told (of long memories, which are seen less
/// surely, twice as many)…
const MEDIAN_MEMORIES: f64 = 100.0;
/// …and beyond any other percentile.
const MEMORIES_BEYOND: f64 = 30.0;
/// Memories of the number in flight that a series must hold even where latencies don't follow it.
const STATE_MEMORIES: f64 = 30.0;
/// Fewest batches whose spread means anything.
const MIN_BATCHES: usize = 10;
/// What the spread of batch means misses, since batches are not quite independent…
const INFLATION: f64 = 1.1;
/// …and since a memory that was seen few times tends to be longer than it looks: so much at the fewest.
const FEW_SEEN: f64 = 25.0;
/// Fewest samples whose memory can be estimated; of fewer only neighbours are looked at.
const MIN_SERIES: usize = 30;
/// Longest series whose autocorrelations are summed; of a longer one those of its parts' means.
const MOST: usize = 4_096;
/// A standard normal exceeds it with 0.5 %. Few samples are taken for dependent only where that is
/// plain, so that one in twenty small stages does not lose its interval by chance.
const PLAIN: f64 = 2.576;
/// Student's t of more degrees of freedom is the normal law to four digits.
pub const MANY: f64 = 1e4;
/// A standard normal is so far from zero with 5 %.
const TWO_SIDED: f64 = 1.96;

/// For each request, given as (sent, ended) in nanoseconds, how many others were in flight when it
/// was sent.
pub fn in_flight(requests: &[(u64, u64)]) -> Vec<f64> {
    let (mut sent, mut ended): (Vec<u64>, Vec<u64>) = requests.iter().copied().unzip();
    sent.sort_unstable();
    ended.sort_unstable();
    let before = |sorted: &[u64], at: u64, with: bool| {
        sorted.partition_point(|it| *it < at || (with && *it == at))
    };
    let others = |(at, _): &(u64, u64)| {
        before(&sent, *at, false).saturating_sub(before(&ended, *at, true)) as f64
    };
    requests.iter().map(others).collect()
}

/// How the samples of a series hang together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dependence {
    samples: usize,
    /// Samples in a row that count for one, 1 or more.
    memory: f64,
    /// The same of the number in flight.
    state: f64,
    /// Whether they hang together by more than chance.
    is_dependent: bool,
}

/// So many samples in a row make an independent batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch(usize);

/// What a series is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    /// How many samples count for one independent one, 1 or more.
    pub design_effect: f64,
    /// Degrees of freedom of the variance behind it, 1 or more.
    pub freedom: f64,
}

impl Weight {
    /// That of `samples` independent ones.
    pub fn independent(samples: usize) -> Self {
        Self { design_effect: 1.0, freedom: samples.saturating_sub(1).max(1) as f64 }
    }
}

impl Dependence {
    /// That of samples in the order in which their requests were sent. `in_flight` goes with it,
    /// sample by sample, where it is known.
    pub fn of(in_time: &[f64], in_flight: Option<&[f64]>) -> Self {
        let samples = in_time.len();
        let ranks = ranks(in_time);
        if samples < MIN_SERIES {
            let neighbours = correlations(&ranks, 1).first().copied().unwrap_or(0.0);
            // The mean takes 1 / n from it.
            let n = samples.max(1) as f64;
            let is_dependent = neighbours + 1.0 / n > PLAIN / n.sqrt();
            let memory = if is_dependent { memory(&ranks) } else { 1.0 };
            return Self { samples, memory, state: 1.0, is_dependent };
        }
        let own = if is_correlated(&ranks) { memory(&ranks) } else { 1.0 };
        let states = in_flight.filter(|states| states.len() == samples);
        let state = states.map_or(1.0, memory);
        let follows = states.is_some_and(|states| follows(&ranks, states));
        let memory = if follows { own.max(state) } else { own };
        Self { samples, memory, state, is_dependent: memory > 1.0 }
    }

    /// Samples that make an independent batch, for figures about a percentile (0 to 100). `None`
    /// where the series is too short to tell.
    pub fn batch(&self, percent: f64) -> Option<Batch> {
        if self.samples < MIN_SERIES {
            return (!self.is_dependent).then_some(Batch(1));
        }
        if (self.samples as f64) < self.needs(percent) {
            return None;
        }
        if !self.is_dependent {
            return Some(Batch(self.samples.div_ceil(MOST)));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 20 times the samples"
        )]
        let size = (MEMORIES * self.memory).ceil() as usize;
        (self.samples / size >= MIN_BATCHES).then_some(Batch(size))
    }

    /// Samples that would do for figures about a percentile (0 to 100), by what is known so far.
    pub fn needed(&self, percent: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of samples; it saturates"
        )]
        let needed = self.needs(percent).max(MIN_SERIES as f64).ceil() as u64;
        needed
    }

    fn needs(&self, percent: f64) -> f64 {
        if self.is_dependent {
            let beyond = percent.min(100.0 - percent) / 100.0;
            self.memory.max(2.0 * self.memory - 2.0)
                * MEDIAN_MEMORIES.max(MEMORIES_BEYOND / beyond.max(1e-6))
        } else {
            self.state * STATE_MEMORIES
        }
    }

    /// Independent samples that tell as much as these; `None` where the series is too short to tell.
    pub fn effective(&self) -> Option<f64> {
        self.batch(50.0)?;
        Some(self.samples as f64 / self.memory.max(1.0))
    }
}

impl Batch {
    /// What samples in the order of time are worth for their mean: the variance of the means of
    /// batches, against that of independent samples.
    pub fn weigh(self, in_time: &[f64]) -> Weight {
        let size = self.0.max(1);
        if size == 1 {
            return Weight::independent(in_time.len());
        }
        let means: Vec<f64> = in_time.chunks_exact(size).map(mean).collect();
        let (single, batched) = (variance(in_time), variance(&means));
        let freedom = means.len().saturating_sub(1).max(1) as f64;
        if single <= 0.0 {
            return Weight { design_effect: 1.0, freedom };
        }
        let inflation = INFLATION + FEW_SEEN / means.len() as f64;
        let design_effect = (inflation * size as f64 * batched / single).max(1.0);
        Weight { design_effect, freedom }
    }

    /// Samples in a batch, 1 or more.
    pub fn size(self) -> usize {
        self.0.max(1)
    }
}

/// The 95 % interval of the median of samples in the order of time: between two of them. `None` where
/// no interval can be told.
pub fn median_interval(in_time: &[f64], dependence: &Dependence) -> Option<[f64; 2]> {
    let batch = dependence.batch(50.0)?;
    let mut sorted = in_time.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |rank: usize| sorted.get(rank).copied();
    if batch.size() == 1 {
        let (low, high) = median_ranks(sorted.len() as u64)?;
        return Some([at(usize::try_from(low).ok()?)?, at(usize::try_from(high).ok()?)?]);
    }
    let median = super::distribution::percentile(&sorted, 50.0)?;
    let above: Vec<f64> =
        in_time.iter().map(|sample| f64::from(u8::from(*sample > median))).collect();
    let weight = batch.weigh(&above);
    let n = sorted.len() as f64;
    let half = student(weight.freedom) * (0.25 * weight.design_effect / n).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the places of a slice"
    )]
    let place = |share: f64| (share * n).clamp(0.0, n - 1.0) as usize;
    Some([at(place(0.5 - half))?, at(place((0.5 + half) + 1.0 / n))?])
}

/// Student's t that is exceeded in either direction with 5 %.
pub fn student(freedom: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(law) if freedom < MANY => law.inverse_cdf(0.975),
        _ => TWO_SIDED,
    }
}

/// The rank of each value, from 0; equal values share their mean rank.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let rank = from as f64 + (group.len() as f64 - 1.0) / 2.0;
        for at in group {
            ranks[*at] = rank;
        }
        from += group.len();
    }
    ranks
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The sample variance (n − 1); 0 for fewer than two values.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if values.len() < 2 { 0.0 } else { squares / (values.len() - 1) as f64 }
}

/// The first `lags` autocorrelations, from lag 1; empty for a constant series.
fn correlations(values: &[f64], lags: usize) -> Vec<f64> {
    let away = deviations(values);
    let all = at_lag(&away, 0);
    if all <= 0.0 {
        return Vec::new();
    }
    (1..=lags.min(values.len().saturating_sub(1))).map(|lag| at_lag(&away, lag) / all).collect()
}

fn deviations(values: &[f64]) -> Vec<f64> {
    let mean = mean(values);
    values.iter().map(|value| value - mean).collect()
}

fn at_lag(away: &[f64], lag: usize) -> f64 {
    away.iter().zip(&away[lag.min(away.len())..]).map(|(one, other)| one * other).sum()
}

/// Whether any correlation between samples is beyond chance: that of neighbours, or all of the first
/// twenty together (Box and Pierce 1970).
fn is_correlated(values: &[f64]) -> bool {
    let parts = parts(values);
    let n = parts.len() as f64;
    let found = correlations(&parts, 20.min(parts.len() / 10));
    let Some(first) = found.first() else { return false };
    let sum: f64 = n * found.iter().map(|it| it * it).sum::<f64>();
    let limit = ChiSquared::new(found.len() as f64).map_or(f64::MAX, |law| law.inverse_cdf(0.975));
    *first > TWO_SIDED / n.sqrt() || sum > limit
}

/// Whether the ranks go with the number in flight by more than chance (Spearman).
fn follows(ranks_of_samples: &[f64], states: &[f64]) -> bool {
    let (one, other) = (deviations(ranks_of_samples), deviations(&ranks(states)));
    let shared: f64 = one.iter().zip(&other).map(|(one, other)| one * other).sum();
    let scale = (at_lag(&one, 0) * at_lag(&other, 0)).sqrt();
    scale > 0.0 && (shared / scale).abs() * (one.len() as f64).sqrt() > TWO_SIDED
}

/// The series itself, or the means of equal parts of a long one.
fn parts(values: &[f64]) -> Vec<f64> {
    match values.len().div_ceil(MOST) {
        0 | 1 => values.to_vec(),
        size => values.chunks_exact(size).map(mean).collect(),
    }
}

/// How many samples in a row count for one, 1 or more.
pub fn memory(values: &[f64]) -> f64 {
    let parts = parts(values);
    let away = deviations(&parts);
    let (n, all) = (parts.len(), at_lag(&away, 0));
    if all <= 0.0 {
        return 1.0;
    }
    let (mut sum, mut least, mut lag) = (0.0, f64::INFINITY, 0);
    while lag + 1 < n {
        let pair = (at_lag(&away, lag) + at_lag(&away, lag + 1)) / all;
        if pair <= 0.0 {
            break;
        }
        least = pair.min(least);
        sum += least;
        lag += 2;
    }
    // Each autocovariance is too small by the variance of the mean, τ / n of the whole.
    let missing = (2 * lag + 1) as f64 / n as f64;
    let found = (2.0 * sum - 1.0) / (1.0 - missing).max(0.05);
    // Means of parts vary by what their samples share, which counts, too.
    let within = match values.len().div_ceil(MOST) {
        0 | 1 => 1.0,
        size => size as f64 * variance(&parts) / variance(values).max(f64::MIN_POSITIVE),
    };
    (found * within).max(1.0)
}

#[cfg(test)]
mod tests;
