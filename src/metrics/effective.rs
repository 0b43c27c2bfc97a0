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
//! 1. **Memory**: how many samples in a row count for one, τ = 1 + 2 Σ ρₖ over the autocorrelations by
//!    Geyer's initial monotone positive sequence (Geyer 1992, §3.3), corrected for the mean that is
//!    estimated from the same samples. It is 1 unless a correlation is plain (that of neighbours, or Box
//!    and Pierce's sum over twenty lags, each at 0.5 %).
//! 2. **State**: the same of the number of requests in flight. Where latencies plainly follow it
//!    (Spearman's correlation, 0.5 %), its memory counts, too: it is seen sooner than in latencies of
//!    widely differing answers. Where they don't, the run must still have seen some of it come and go.
//! 3. **Scores**: what a figure rests on decides what its samples are worth. The variance of a percentile
//!    is that of the share above it, so the memory that counts is that of "above or not", in a rank test
//!    that of the ranks; in either at least what they share with the number in flight.
//!
//! The limits were chosen by simulation (queues at 0.5 to 0.95 of capacity, 200 to 4,000 requests), so that
//! 93 to 97 of 100 intervals hold and fewer than one in twenty pairs of runs of one thing are called
//! different. `docs/statistics.md` has the figures, `tests/theory` the experiments.

use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

use super::estimate::median_ranks;

/// Memories that a series must hold to be compared with another (as many less the one that independent
/// samples have, so that hardly any dependence needs hardly any more)…
const JUDGED: f64 = 100.0;
/// …for an interval of its median to be shown, or a percentile to be certified…
const SHOWN: f64 = 330.0;
/// …and beyond any other percentile.
const BEYOND: f64 = 30.0;
/// Memories of the number in flight that a series must hold even where latencies don't follow it, to be
/// compared…
const STATE_JUDGED: f64 = 30.0;
/// …and for an interval to be shown: so many times the memory, since a short one is seen soon, or…
const STATE_SOON: f64 = 30.0;
/// …at most so many.
const STATE_SHOWN: f64 = 110.0;
/// Standard errors below and above a median that hold the true one with 95 %. A run that happened to see
/// little congestion finds both its median and its memory too small, so that of the runs that are taken for
/// long enough more lie too low than too high.
const BELOW: f64 = 1.75;
/// See [`BELOW`].
const ABOVE: f64 = 2.4;
/// A number in flight of a longer memory is that of requests which may wait for each other, plainly or not.
const TIED: f64 = 2.0;
/// Degrees of freedom of a variance that rests on so many memories each.
const MEMORIES: f64 = 4.0;
/// A series is told how long would do only where it holds a part of what it seems to take, …
const TOLD_UP_TO: f64 = 3.0;
/// …and so many of the times that its requests take: of a shorter one the memory is not seen at all.
const TIMES: f64 = 200.0;
/// So many times as long as it seems to take will mostly do for both sides of a comparison: a memory is
/// estimated too short of a series that is too short, and of a longer one with an error.
const ROOM: f64 = 4.0;
/// Fewest samples whose memory can be estimated; of fewer only neighbours are looked at.
const MIN_SERIES: usize = 30;
/// Longest series whose autocorrelations are summed; of a longer one those of its parts' means.
const MOST: usize = 4_096;
/// A standard normal exceeds it with 0.5 %. Samples are taken for dependent only where that is plain, so
/// that independent ones keep their power.
const PLAIN: f64 = 2.576;
/// A standard normal exceeds it with 5 %. An interval is shown of few samples only where not even that is so:
/// it costs one in twenty small stages theirs.
const SUSPECTED: f64 = 1.645;
/// A standard normal is so far from zero with 0.5 %.
const PLAIN_TWO_SIDED: f64 = 2.807;
/// Student's t of more degrees of freedom is the normal law to four digits.
pub const MANY: f64 = 1e4;
/// A standard normal is so far from zero with 5 %.
const TWO_SIDED: f64 = 1.96;

/// For each request, given as (sent, ended) in nanoseconds, how many others `of` them all were in flight
/// when it was sent.
pub fn in_flight(requests: &[(u64, u64)], of: &[(u64, u64)]) -> Vec<f64> {
    let (mut sent, mut ended): (Vec<u64>, Vec<u64>) = of.iter().copied().unzip();
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
#[derive(Debug, Clone, PartialEq)]
pub struct Dependence {
    samples: usize,
    /// Samples in a row that count for one, 1 or more; 1 unless they hang together by more than chance.
    memory: f64,
    /// The same where they seem to hang together, though not plainly.
    suspected: f64,
    /// The number in flight, sample by sample, where it is known.
    states: Vec<f64>,
    /// Its memory.
    state: f64,
}

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
        let enough = samples >= MIN_SERIES;
        let states = in_flight.filter(|states| enough && states.len() == samples);
        let states = states.unwrap_or_default().to_vec();
        let state = memory(&states);
        let likeness = likeness(&ranks);
        let own = match likeness {
            Likeness::None => 1.0,
            // A series of few samples that hangs together at all is too short.
            _ if !enough => samples as f64,
            _ => memory(&ranks),
        };
        let follows = shared(&ranks, &states) * samples as f64 > PLAIN_TWO_SIDED.powi(2);
        let suspected = if follows { own.max(state) } else { own };
        let is_plain = follows || likeness == Likeness::Plain;
        let memory = if is_plain { suspected } else { 1.0 };
        Self { samples, memory, suspected, states, state }
    }

    /// What the samples are worth in a comparison at a percentile (0 to 100), by their scores (ranks, or
    /// whether they are above the percentile) in the order of time. `None` where they are too few to tell.
    pub fn weigh(&self, percent: f64, scores: &[f64]) -> Option<Weight> {
        let is_enough = self.samples as f64 >= self.least(percent);
        is_enough.then(|| self.weight(scores, self.memory))
    }

    /// Samples that will mostly do for a comparison at a percentile (0 to 100): of ten series as long as
    /// told, both of a pair are long enough nine times. `None` where too little was seen to tell.
    pub fn needed(&self, percent: f64) -> Option<u64> {
        let (samples, least) = (self.samples as f64, self.least(percent));
        // By Little's law the mean number in flight is how many come in the time that one takes.
        let is_told = least <= TOLD_UP_TO * samples && samples >= TIMES * mean(&self.states);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of samples; it saturates"
        )]
        let needed = (ROOM * least).max(samples).ceil() as u64;
        is_told.then_some(needed)
    }

    fn least(&self, percent: f64) -> f64 {
        let beyond = percent.min(100.0 - percent) / 100.0;
        let own = (self.memory - 1.0) * JUDGED.max(BEYOND / beyond.max(1e-6));
        own.max((self.state - 1.0) * STATE_JUDGED)
    }

    fn is_shown(&self) -> bool {
        let own = if self.suspected > 1.0 { self.suspected * SHOWN } else { 0.0 };
        let of_state = (self.state - 1.0) * STATE_SHOWN.min(STATE_SOON * self.state);
        self.samples as f64 >= own.max(of_state)
    }

    /// Whether requests may hang together, plainly or not.
    fn is_tied(&self) -> bool {
        self.suspected > 1.0 || self.state > TIED
    }

    fn weight(&self, scores: &[f64], memories: f64) -> Weight {
        let n = self.samples.max(1) as f64;
        let own = if memories > 1.0 { memory(scores) } else { 1.0 };
        // What follows the number in flight has its memory, however much else there is.
        let followed = (shared(scores, &self.states) - 1.0 / n).max(0.0);
        let design_effect = own.max(1.0 + followed * (self.state - 1.0));
        let each = if memories > 1.0 { MEMORIES * memories } else { 1.0 };
        Weight { design_effect, freedom: (n / each - 1.0).max(1.0) }
    }

    /// Independent samples that tell as much as these; `None` where the series is too short to tell.
    pub fn effective(&self) -> Option<f64> {
        self.is_shown().then(|| self.samples as f64 / self.suspected)
    }
}

/// The 95 % interval of the median of samples in the order of time: between two of them. `None` where
/// no interval can be told.
pub fn median_interval(in_time: &[f64], dependence: &Dependence) -> Option<[f64; 2]> {
    if !dependence.is_shown() {
        return None;
    }
    let mut sorted = in_time.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = super::distribution::percentile(&sorted, 50.0)?;
    let above: Vec<f64> =
        in_time.iter().map(|sample| f64::from(u8::from(*sample > median))).collect();
    let memories = if dependence.is_tied() { dependence.suspected.max(TIED) } else { 1.0 };
    let weight = dependence.weight(&above, memories);
    let n = sorted.len() as f64;
    let (low, high) = if dependence.is_tied() {
        let error = student(weight.freedom) / TWO_SIDED * (n * weight.design_effect).sqrt() / 2.0;
        (n / 2.0 - BELOW * error, n / 2.0 + ABOVE * error)
    } else {
        let (low, high) = median_ranks(sorted.len() as u64)?;
        let middle = (n - 1.0) / 2.0;
        let half = (high - low) as f64 / 2.0 * weight.design_effect.sqrt();
        (middle - half, middle + half)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the places of a slice"
    )]
    let at = |place: f64| sorted.get(place.clamp(0.0, n - 1.0) as usize).copied();
    Some([at(low.floor())?, at(high.ceil())?])
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

/// Whether samples resemble those before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    None,
    Suspected,
    Plain,
}

/// By the correlation of neighbours, and by that of the first twenty lags together (Box and Pierce 1970).
/// Of few samples it is plain or none.
fn likeness(values: &[f64]) -> Likeness {
    let parts = parts(values);
    let n = parts.len() as f64;
    let is_few = parts.len() < MIN_SERIES;
    let found = correlations(&parts, (parts.len() / 10).clamp(1, 20));
    let Some(first) = found.first() else { return Likeness::None };
    let sum: f64 = n * found.iter().map(|it| it * it).sum::<f64>();
    let limit = ChiSquared::new(found.len() as f64).map_or(f64::MAX, |law| law.inverse_cdf(0.995));
    // The mean takes 1 / n from each.
    let neighbours = (*first + 1.0 / n) * n.sqrt();
    if neighbours > PLAIN || (!is_few && sum > limit) {
        Likeness::Plain
    } else if neighbours > SUSPECTED && !is_few {
        Likeness::Suspected
    } else {
        Likeness::None
    }
}

/// The share of the variance of the scores that goes with the number in flight: the square of their
/// correlation (of ranks: Spearman's); 0 where either does not vary.
fn shared(scores: &[f64], states: &[f64]) -> f64 {
    if scores.len() != states.len() {
        return 0.0;
    }
    let (one, other) = (deviations(scores), deviations(&ranks(states)));
    let product: f64 = one.iter().zip(&other).map(|(one, other)| one * other).sum();
    let scale = at_lag(&one, 0) * at_lag(&other, 0);
    if scale > 0.0 { product * product / scale } else { 0.0 }
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
