//! Figures of single requests and statistics over them, as the peers reckon both.
//!
//! In: records. Out: seconds and tokens. Invariant: statistics of nothing are `None`, never NaN. The
//! standard deviation is that of the population, as numpy's default is and so the peers'.

use serde_json::{Map, Value, json};

use crate::metrics::distribution;
use crate::record::{OutcomeKind, Record};

/// A complete answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'e> {
    pub record: &'e Record,
    sent_ns: u64,
    /// End of the response.
    pub end_ns: u64,
}

impl<'e> Sample<'e> {
    /// Of a record that holds one.
    pub(super) fn of(record: &'e Record) -> Option<Self> {
        if record.outcome != OutcomeKind::Ok {
            return None;
        }
        Some(Self { record, sent_ns: record.sent_ns?, end_ns: record.end_ns? })
    }

    /// First token, from sent.
    pub(super) fn ttft(&self) -> Option<f64> {
        seconds(self.sent_ns, self.record.first_token_ns?)
    }

    /// Last token, from sent; the end of the response where there were no events of tokens.
    pub(super) fn e2e(&self) -> f64 {
        let end = self.record.last_token_ns.unwrap_or(self.end_ns);
        seconds(self.sent_ns, end).unwrap_or(0.0)
    }

    /// End of the response, from sent.
    pub(super) fn response(&self) -> f64 {
        seconds(self.sent_ns, self.end_ns).unwrap_or(0.0)
    }

    /// Time per output token after the first: (e2e - ttft) / (tokens - 1).
    pub(super) fn tpot(&self) -> Option<f64> {
        let gaps = self.output()?.checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some((self.e2e() - self.ttft()?) / gaps as f64)
    }

    /// Gaps between token-bearing events.
    pub(super) fn gaps(&self) -> Vec<f64> {
        self.record.token_ns.windows(2).filter_map(|pair| seconds(pair[0], pair[1])).collect()
    }

    /// Prompt tokens.
    pub(super) fn input(&self) -> Option<u64> {
        self.record.input_tokens.best().map(|(count, _)| count)
    }

    /// Generated tokens.
    pub(super) fn output(&self) -> Option<u64> {
        self.record.output_tokens.best().map(|(count, _)| count)
    }
}

/// Takes a figure.
pub(super) type Take<T> = fn(&Sample<'_>) -> T;

/// The figures as values, for tables of them.
pub(super) const TTFT: fn(&Sample<'_>) -> Option<f64> = |sample| sample.ttft();
pub(super) const TPOT: fn(&Sample<'_>) -> Option<f64> = |sample| sample.tpot();
pub(super) const RESPONSE: fn(&Sample<'_>) -> f64 = |sample| sample.response();
pub(super) const GAPS: fn(&Sample<'_>) -> Vec<f64> = |sample| sample.gaps();
pub(super) const INPUT: fn(&Sample<'_>) -> Option<u64> = |sample| sample.input();
pub(super) const OUTPUT: fn(&Sample<'_>) -> Option<u64> = |sample| sample.output();

fn seconds(from: u64, to: u64) -> Option<f64> {
    to.checked_sub(from).map(|ns| ns as f64 / 1e9)
}

/// Sums of tokens over answers.
pub(super) fn sum(samples: &[Sample<'_>], take: fn(&Sample<'_>) -> Option<u64>) -> u64 {
    samples.iter().filter_map(take).sum()
}

/// Statistics of some numbers.
#[derive(Debug, Clone)]
pub(super) struct Stats {
    sorted: Vec<f64>,
    pub mean: f64,
    pub std: f64,
    pub sum: f64,
}

impl Stats {
    /// `None` without numbers.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().filter(|it| it.is_finite()).collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let sum: f64 = sorted.iter().sum();
        let mean = sum / count;
        let variance = sorted.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / count;
        Some(Self { sorted, mean, std: variance.sqrt(), sum })
    }

    /// How many numbers.
    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Percentile, interpolated linearly as numpy does.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        distribution::percentile(&self.sorted, percent).unwrap_or(self.mean)
    }

    /// The smallest.
    pub(super) fn min(&self) -> f64 {
        self.percentile(0.0)
    }

    /// The largest.
    pub(super) fn max(&self) -> f64 {
        self.percentile(100.0)
    }

    /// The number that is there most often, the smallest of several.
    pub(super) fn mode(&self) -> f64 {
        let runs = self.sorted.chunk_by(|left, right| left.total_cmp(right).is_eq());
        let longest = runs.rev().max_by_key(|run| run.len());
        longest.and_then(|run| run.first()).copied().unwrap_or(self.mean)
    }

    /// `{"p50": …}` for each of `percents`.
    pub(super) fn percentiles(&self, percents: &[(&str, f64)]) -> Map<String, Value> {
        let of =
            |(name, percent): &(&str, f64)| ((*name).to_owned(), json!(self.percentile(*percent)));
        percents.iter().map(of).collect()
    }
}

/// The fields of an object.
pub(super) fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_numpys() {
        let stats = Stats::of([4.0, 1.0, 2.0, 2.0]).expect("numbers");
        assert_eq!((stats.count(), stats.mean, stats.mode()), (4, 2.25, 2.0));
        assert!((stats.std - 1.089_724_735_885_168_3).abs() < 1e-12);
        assert!((stats.percentile(99.0) - 3.94).abs() < 1e-12);
        assert!(Stats::of([f64::NAN]).is_none());
    }
}
