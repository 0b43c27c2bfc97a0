//! Random numbers that depend on nothing but their key.
//!
//! In: the plan's seed, a key (stage, cell, rung), a purpose, an index. Out: variates of the usual
//! distributions. Invariant: the same key gives the same bits on every machine and in every
//! version. That is why `ln` and `exp` are spelled out here: the platform's own differ in the last
//! bit between C libraries and processors, while `+ - * /` and the square root are exact by IEEE 754.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// What a stream is for. Streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Gaps between arrivals.
    Arrivals,
    /// Places of requests within their second.
    Spread,
    /// Pauses between requests.
    Think,
    /// Which prompts repeat earlier ones.
    Repeats,
}

/// 32-bit words that belong to one index: as much as the generator makes in one go.
const WORDS_PER_INDEX: u128 = 64;

/// A stream of `ChaCha8`.
#[derive(Debug, Clone)]
pub struct Draw {
    words: ChaCha8Rng,
}

impl Draw {
    /// The stream of `seed`, `key` and `purpose`, at its start.
    pub fn new(seed: u64, key: &str, purpose: Purpose) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(key.as_bytes());
        let mut words = ChaCha8Rng::from_seed(hash.finalize().into());
        words.set_stream(match purpose {
            Purpose::Arrivals => 1,
            Purpose::Spread => 2,
            Purpose::Think => 3,
            Purpose::Repeats => 4,
        });
        Self { words }
    }

    /// Moves to the numbers that belong to `index`, wherever the stream stands.
    pub fn seek(&mut self, index: u64) {
        self.words.set_word_pos(u128::from(index) * WORDS_PER_INDEX);
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.words.next_u64()
    }

    /// Uniform between 0 and 1, both excluded.
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Uniform over `0..bound`; 0 when `bound` is 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let high = (u128::from(self.bits()) * u128::from(bound)) >> 64;
        u64::try_from(high).unwrap_or(0)
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -ln(self.unit())
    }

    /// Standard normal (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }

    /// Gamma with this shape (above 0) and mean 1 (Marsaglia and Tsang 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        let raised = if shape < 1.0 { shape + 1.0 } else { shape };
        let d = raised - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        let value = loop {
            let normal = self.normal();
            let root = 1.0 + c * normal;
            if root <= 0.0 {
                continue;
            }
            let cube = root * root * root;
            let log = ln(self.unit());
            if log < 0.5 * normal * normal + d - d * cube + d * ln(cube) {
                break d * cube;
            }
        };
        // A shape below 1 is drawn as shape + 1 and thinned by a power of a uniform.
        let boost = if shape < 1.0 { exp(ln(self.unit()) / shape) } else { 1.0 };
        value * boost / shape
    }
}

/// ln 2 in two parts: the first has so few bits that multiples of it are exact.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 1/1, 1/2, … 1/14: multiplying is several times quicker than dividing.
const INVERSES: [f64; 14] = {
    let mut inverses = [1.0; 14];
    let (mut at, mut n) = (0, 1.0);
    while at < inverses.len() {
        inverses[at] = 1.0 / n;
        at += 1;
        n += 1.0;
    }
    inverses
};

/// Natural logarithm of a positive normal number, to about 1 unit in the last place.
pub fn ln(number: f64) -> f64 {
    let bits = number.to_bits();
    let mut exponent = f64::from(u32::try_from(bits >> 52).unwrap_or(0)) - 1023.0;
    // number = mantissa · 2^exponent with the mantissa between √½ and √2.
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    // Its logarithm is 2 (s + s³/3 + s⁵/5 + …) with |s| < 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let w = z * z;
    // The series' sum by Estrin's scheme: half as deep as Horner's, so about twice as quick.
    let low = (1.0 / 3.0 + z * (1.0 / 5.0)) + w * (1.0 / 7.0 + z * (1.0 / 9.0));
    let high =
        (1.0 / 11.0 + z * (1.0 / 13.0)) + w * ((1.0 / 15.0 + z * (1.0 / 17.0)) + w * (1.0 / 19.0));
    let sum = z * (low + w * w * high);
    exponent * LN2_HIGH + (2.0 * s + (2.0 * s * sum + exponent * LN2_LOW))
}

/// `e^x` for x up to 0, to a few units in the last place; 0 below the smallest normal number.
pub fn exp(x: f64) -> f64 {
    if x < -708.0 {
        return 0.0;
    }
    let twos = (x / std::f64::consts::LN_2).round();
    let rest = (x - twos * LN2_HIGH) - twos * LN2_LOW;
    // Taylor's series of e^rest, |rest| < 0.35: rest^n / n! for n up to 14.
    let sum = INVERSES.iter().rev().fold(1.0, |sum, inverse| 1.0 + sum * rest * inverse);
    #[expect(clippy::cast_possible_truncation, reason = "between -1022 and 0")]
    let shift = twos as i64;
    sum * f64::from_bits(u64::try_from(1023 + shift).unwrap_or(0) << 52)
}

#[cfg(test)]
pub(super) mod tests {
    use statrs::distribution::{ContinuousCDF, Gamma, Normal};

    use super::*;

    /// Largest distance between the samples' distribution and the theory's, times √n. Below 1.63
    /// with 99 % probability when they agree (the seeds are fixed, so tests never flicker).
    pub fn kolmogorov(mut samples: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
        samples.sort_by(f64::total_cmp);
        let n = samples.len() as f64;
        let worst = samples.iter().enumerate().fold(0.0_f64, |worst, (rank, sample)| {
            let theory = cdf(*sample);
            worst.max((theory - rank as f64 / n).abs()).max(((rank + 1) as f64 / n - theory).abs())
        });
        worst * n.sqrt()
    }

    #[test]
    fn our_logarithm_and_exponential_agree_with_the_platforms() {
        let mut draw = Draw::new(1, "", Purpose::Think);
        for _ in 0..100_000 {
            let x = draw.unit() * 3.0;
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0), "{x}");
            let y = -700.0 * draw.unit();
            assert!((exp(y) / y.exp() - 1.0).abs() < 1e-13, "{y}");
        }
        assert!(exp(-800.0).abs() < f64::MIN_POSITIVE);
        assert!((ln(f64::MIN_POSITIVE) - f64::MIN_POSITIVE.ln()).abs() < 1e-12);
    }

    #[test]
    fn an_index_has_the_same_numbers_from_anywhere() {
        let mut forward = Draw::new(7, "load", Purpose::Think);
        let mut other = forward.clone();
        forward.seek(3);
        let first = [forward.bits(), forward.bits()];
        other.seek(1000);
        other.unit();
        other.seek(3);
        assert_eq!(first, [other.bits(), other.bits()]);
    }

    #[test]
    fn streams_differ_by_seed_key_and_purpose() {
        let mut seen: Vec<u64> = [
            (1, "a", Purpose::Think),
            (2, "a", Purpose::Think),
            (1, "b", Purpose::Think),
            (1, "a", Purpose::Spread),
        ]
        .into_iter()
        .map(|(seed, key, purpose)| Draw::new(seed, key, purpose).bits())
        .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn bits_stay_the_same_between_versions() {
        let mut draw = Draw::new(7, "load", Purpose::Arrivals);
        let bits = [draw.bits(), draw.bits()];
        assert_eq!(bits, [0x08a0_2d1b_8f06_9ad8, 0xec98_3ba5_1ddc_64de], "{bits:#x?}");
        draw.seek(1);
        let values = [draw.exponential(), draw.normal(), draw.gamma(0.5)].map(f64::to_bits);
        let known = [0x3ff0_bcd2_912f_7dd9, 0xbff4_1074_33d9_9dee, 0x3f34_3e98_34cf_3283];
        assert_eq!(values, known, "{values:#x?}");
    }

    #[test]
    fn variates_follow_their_distributions() {
        let mut draw = Draw::new(11, "", Purpose::Arrivals);
        let mut take = |f: &dyn Fn(&mut Draw) -> f64| -> Vec<f64> {
            (0..20_000).map(|_| f(&mut draw)).collect()
        };
        assert!(kolmogorov(take(&|d| d.unit()), |x| x) < 1.63);
        assert!(kolmogorov(take(&|d| d.exponential()), |x| 1.0 - (-x).exp()) < 1.63);
        let normal = Normal::new(0.0, 1.0).expect("parameters");
        assert!(kolmogorov(take(&|d| d.normal()), |x| normal.cdf(x)) < 1.63);
        for shape in [0.25, 0.5, 1.0, 2.5, 16.0] {
            let gamma = Gamma::new(shape, shape).expect("parameters");
            let distance = kolmogorov(take(&|d| d.gamma(shape)), |x| gamma.cdf(x));
            assert!(distance < 1.63, "shape {shape}: {distance}");
        }
    }

    #[test]
    fn below_covers_its_range_evenly() {
        let mut draw = Draw::new(5, "", Purpose::Repeats);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[usize::try_from(draw.below(7)).expect("small")] += 1;
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
        assert_eq!(draw.below(0), 0);
    }
}
