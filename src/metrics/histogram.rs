//! Live quantiles in constant memory, and histograms that others can add; the only file that knows
//! hdrhistogram.
//!
//! In: milliseconds. Out: quantiles to three significant digits, or a histogram as text. Invariant:
//! figures of reports come from samples, never from here.

use base64::prelude::{BASE64_STANDARD, Engine};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

/// Samples are kept in whole microseconds.
const PER_MS: f64 = 1_000.0;
/// Longest time told apart: one hour, far beyond any request's total timeout.
const HIGHEST_US: u64 = 3_600_000_000;

/// Times of one metric so far.
#[derive(Debug, Clone)]
pub struct LiveQuantiles {
    counts: Option<Histogram<u32>>,
}

impl LiveQuantiles {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self { counts: Histogram::new_with_bounds(1, HIGHEST_US, 3).ok() }
    }

    /// Adds a time in milliseconds; anything outside of 1 µs to 1 h counts as the nearer end.
    pub fn record_ms(&mut self, ms: f64) {
        if let Some(counts) = &mut self.counts
            && ms.is_finite()
        {
            counts.saturating_record(micros(ms));
        }
    }

    /// The time in milliseconds at `quantile` (0 to 1), or `None` while there are no samples.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let counts = self.counts.as_ref().filter(|counts| !counts.is_empty())?;
        Some(counts.value_at_quantile(quantile) as f64 / PER_MS)
    }

    /// How many samples were recorded.
    pub fn len(&self) -> u64 {
        self.counts.as_ref().map_or(0, Histogram::len)
    }

    /// Whether nothing was recorded yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Times in milliseconds, with how often each was seen, in `HdrHistogram`'s own format: V2, deflated,
/// base64; whole microseconds with three significant digits.
pub fn encoded(times: impl Iterator<Item = (f64, u64)>) -> Option<String> {
    let mut counts: Histogram<u64> = Histogram::new_with_bounds(1, HIGHEST_US, 3).ok()?;
    for (ms, count) in times {
        counts.saturating_record_n(micros(ms), count);
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&counts, &mut bytes).ok()?;
    Some(BASE64_STANDARD.encode(&bytes))
}

impl Default for LiveQuantiles {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the histogram's bounds"
)]
fn micros(ms: f64) -> u64 {
    (ms * PER_MS).round().clamp(1.0, HIGHEST_US as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_hold_three_digits() {
        let mut times = LiveQuantiles::new();
        assert_eq!(times.quantile_ms(0.5), None);
        for ms in 1..=1000 {
            times.record_ms(f64::from(ms));
        }
        let median = times.quantile_ms(0.5).expect("samples");
        assert!((median - 500.0).abs() <= 0.5, "{median}");
        assert_eq!(times.len(), 1000);
    }

    #[test]
    fn an_encoded_histogram_is_read_back_with_every_count() {
        let text = encoded((1..=1000).map(|ms| (f64::from(ms), 2))).expect("encoded");
        // Deflated V2 begins with its cookie, so the text always begins alike.
        assert!(text.starts_with("HISTFAAA"), "{text}");
        let bytes: Vec<u8> = {
            let value = |letter: u8| match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                _ => 63,
            };
            let letters: Vec<u8> = text.bytes().filter(|it| *it != b'=').map(value).collect();
            letters
                .chunks(4)
                .flat_map(|four| {
                    let bits = (0..4).fold(0_u32, |bits, at| {
                        bits << 6 | u32::from(four.get(at).copied().unwrap_or(0))
                    });
                    let [_, bytes @ ..] = bits.to_be_bytes();
                    bytes.into_iter().take(four.len() - 1)
                })
                .collect()
        };
        let mut reader = hdrhistogram::serialization::Deserializer::new();
        let counts: Histogram<u64> = reader.deserialize(&mut bytes.as_slice()).expect("V2");
        assert_eq!(counts.len(), 2_000);
        let median = counts.value_at_quantile(0.5) as f64 / PER_MS;
        assert!((median - 500.0).abs() <= 0.5, "{median}");
    }

    #[test]
    fn times_out_of_bounds_are_kept_at_the_bounds() {
        let mut times = LiveQuantiles::new();
        for ms in [-5.0, 0.0, f64::NAN, f64::INFINITY, 1e12] {
            times.record_ms(ms);
        }
        assert_eq!(times.len(), 3);
        assert!(times.quantile_ms(1.0).is_some_and(|ms| ms >= 3_600_000.0 * 0.999));
    }
}
