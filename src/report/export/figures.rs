//! Statistics over the figures of single requests, as the peers reckon them.
//!
//! In: records, and the tool whose definitions give the figures. Out: its statistics. Invariant:
//! statistics of nothing are `None`, never NaN. The standard deviation is that of the population, as
//! numpy's default is and so the peers'.

use serde_json::{Map, Value, json};

use crate::metrics::definitions::Tool;
use crate::metrics::distribution;
use crate::record::{ErrorInfo, Record};

/// A tool's figure over some records.
pub(super) fn stats<'r>(
    tool: &Tool,
    name: &str,
    records: impl IntoIterator<Item = &'r Record>,
) -> Option<Stats> {
    Stats::of(records.into_iter().flat_map(|record| tool.samples(name, record)))
}

/// A tool's figure of one record.
pub(super) fn sample(tool: &Tool, name: &str, record: &Record) -> Option<f64> {
    tool.samples(name, record).first().copied()
}

/// Prompt tokens by the best source known.
pub(super) fn input(record: &Record) -> Option<u64> {
    record.input_tokens.best().map(|(count, _)| count)
}

/// Generated tokens by the best source known.
pub(super) fn output(record: &Record) -> Option<u64> {
    record.output_tokens.best().map(|(count, _)| count)
}

/// Statistics of counts.
pub(super) fn counted<'r>(
    records: impl IntoIterator<Item = &'r Record>,
    take: fn(&Record) -> Option<u64>,
) -> Option<Stats> {
    Stats::of(records.into_iter().filter_map(take).map(|count| count as f64))
}

/// Seconds from when a request was due to when it was sent.
pub(super) fn lateness(record: &Record) -> Option<f64> {
    Some(record.sent_ns?.saturating_sub(record.due_ns?) as f64 / 1e9)
}

/// An error as scripts write it that know a status and a text: `HTTP 503: busy`, `EXC: reset`. Our
/// own texts begin with the status where there is one.
pub(super) fn error_text(error: &ErrorInfo) -> String {
    if error.message.starts_with("HTTP ") {
        error.message.clone()
    } else {
        format!("EXC: {}", error.message)
    }
}

/// A number, without a point where it is whole.
#[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
pub(super) fn number(value: f64) -> Value {
    const MOST: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < MOST { json!(value as i64) } else { json!(value) }
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

    /// The number at rank n·p/100, counted from 0 and cut: how scripts without numpy reckon.
    pub(super) fn at_rank(&self, percent: usize) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        let rank = (self.sorted.len() * percent / 100).min(last);
        self.sorted.get(rank).copied().unwrap_or(self.mean)
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
