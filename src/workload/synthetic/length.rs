//! Distributions of lengths.
//!
//! In: a [`Length`] and a seeded stream. Out: a number of tokens. Invariant: the same stream gives
//! the same length on every machine (logarithms and powers are libm's, not the platform's, which
//! differ in the last bit); nothing falls outside `min` and `max`.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::plan::workload::Length;

/// Draws one length.
pub fn draw(length: &Length, rng: &mut ChaCha8Rng) -> u64 {
    match length {
        Length::Constant(tokens) => *tokens,
        Length::Uniform { min, max } => rng.random_range(*min..=(*max).max(*min)),
        Length::Normal { mean, std, min, max } => clamp(mean + std * normal(rng), *min, *max),
        Length::Lognormal { mean, std, min, max } => {
            let (mu, sigma) = logarithmic(*mean, *std);
            clamp(libm::exp(mu + sigma * normal(rng)), *min, *max)
        }
        Length::Zipf { exponent, min, max } => {
            let ranks = max.saturating_sub(*min).saturating_add(1);
            min.saturating_add(zipf(ranks, *exponent, rng) - 1)
        }
        Length::Empirical(observed) => empirical(observed, rng),
    }
}

/// The mean of a distribution, for estimates before a run; clamping is left out of account where
/// it has no simple form.
pub fn mean(length: &Length) -> f64 {
    match length {
        Length::Constant(tokens) => *tokens as f64,
        Length::Uniform { min, max } => f64::midpoint(*min as f64, *max as f64),
        Length::Normal { mean, min, max, .. } | Length::Lognormal { mean, min, max, .. } => {
            mean.clamp(*min as f64, (*max).max(*min) as f64)
        }
        Length::Zipf { exponent, min, max } => {
            // Enough ranks for a sum; beyond them the tail is nearly flat or nearly nothing.
            let ranks = max.saturating_sub(*min).saturating_add(1).min(100_000);
            let weight = |rank: u64| libm::pow(rank as f64, -exponent);
            let total: f64 = (1..=ranks).map(weight).sum();
            let sum: f64 = (1..=ranks).map(|rank| weight(rank) * (rank - 1) as f64).sum();
            *min as f64 + sum / total
        }
        Length::Empirical(observed) => {
            let total: f64 = observed.iter().map(|(_, weight)| weight).sum();
            let sum: f64 = observed.iter().map(|(tokens, weight)| *tokens as f64 * weight).sum();
            if total > 0.0 { sum / total } else { 0.0 }
        }
    }
}

fn clamp(value: f64, min: u64, max: u64) -> u64 {
    // Float to integer casts saturate, and NaN becomes 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let value = value.round() as u64;
    value.clamp(min, max.max(min))
}

/// A standard normal draw (Box and Muller).
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius: f64 = rng.random();
    let angle: f64 = rng.random();
    (-2.0 * libm::log(1.0 - radius)).sqrt() * libm::cos(std::f64::consts::TAU * angle)
}

/// Mean and deviation of the logarithms of lengths with this mean and deviation.
fn logarithmic(mean: f64, std: f64) -> (f64, f64) {
    let mean = mean.max(f64::MIN_POSITIVE);
    let relative = std / mean;
    let variance = libm::log1p(relative * relative);
    (libm::log(mean) - variance / 2.0, variance.sqrt())
}

/// A rank from 1 to `ranks` with weight `rank^-exponent`, by rejection from the integral of the
/// weight (Hörmann and Derflinger), so that it costs the same for any number of ranks.
pub(super) fn zipf(ranks: u64, exponent: f64, rng: &mut ChaCha8Rng) -> u64 {
    if ranks <= 1 {
        return 1;
    }
    let weight = |x: f64| libm::pow(x, -exponent);
    let integral = |x: f64| {
        let log = libm::log(x);
        let power = (1.0 - exponent) * log;
        log * if power.abs() > 1e-8 { libm::expm1(power) / power } else { 1.0 + power / 2.0 }
    };
    let inverse = |y: f64| {
        let power = (y * (1.0 - exponent)).max(-1.0);
        let scale = if power.abs() > 1e-8 { libm::log1p(power) / power } else { 1.0 - power / 2.0 };
        libm::exp(y * scale)
    };
    let (low, high) = (integral(1.5) - 1.0, integral(ranks as f64 + 0.5));
    let squeeze = 2.0 - inverse(integral(2.5) - weight(2.0));
    loop {
        let drawn: f64 = rng.random();
        let area = high + drawn * (low - high);
        let x = inverse(area);
        let rank = clamp(x, 1, ranks);
        if rank as f64 - x <= squeeze || area >= integral(rank as f64 + 0.5) - weight(rank as f64) {
            return rank;
        }
    }
}

fn empirical(observed: &[(u64, f64)], rng: &mut ChaCha8Rng) -> u64 {
    let total: f64 = observed.iter().map(|(_, weight)| weight).sum();
    let drawn: f64 = rng.random();
    let mut left = drawn * total;
    for (tokens, weight) in observed {
        left -= weight;
        if left < 0.0 {
            return *tokens;
        }
    }
    observed.last().map_or(0, |(tokens, _)| *tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::seed::keyed_rng;

    fn sample(length: &Length) -> Vec<f64> {
        (0..20_000).map(|index| draw(length, &mut keyed_rng(3, "length", index)) as f64).collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, (squares / values.len() as f64).sqrt())
    }

    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!((found / expected - 1.0).abs() < tolerance, "{found} is not about {expected}");
    }

    #[test]
    fn distributions_have_the_moments_they_name() {
        let (mean, std) = moments(&sample(&Length::Uniform { min: 100, max: 300 }));
        assert_near(mean, 200.0, 0.02);
        assert_near(std, 58.0, 0.03);
        let normal = Length::Normal { mean: 500.0, std: 50.0, min: 1, max: 10_000 };
        let (mean, std) = moments(&sample(&normal));
        assert_near(mean, 500.0, 0.01);
        assert_near(std, 50.0, 0.03);
        let skewed = Length::Lognormal { mean: 800.0, std: 400.0, min: 1, max: 1_000_000 };
        let (mean, std) = moments(&sample(&skewed));
        assert_near(mean, 800.0, 0.02);
        assert_near(std, 400.0, 0.05);
        assert_eq!(moments(&sample(&Length::Constant(7))), (7.0, 0.0));
        let observed = Length::Empirical(vec![(10, 3.0), (50, 1.0)]);
        assert_near(moments(&sample(&observed)).0, 20.0, 0.03);
    }

    #[test]
    fn zipf_ranks_have_their_weights() {
        let length = Length::Zipf { exponent: 1.2, min: 10, max: 1_009 };
        let values = sample(&length);
        let share = |rank: f64| {
            let hits = values.iter().filter(|value| (**value - 9.0 - rank).abs() < 0.5).count();
            hits as f64 / values.len() as f64
        };
        let total: f64 = (1..=1_000).map(|rank| f64::from(rank).powf(-1.2)).sum();
        assert_near(share(1.0), 1.0 / total, 0.05);
        assert_near(share(2.0), 2_f64.powf(-1.2) / total, 0.08);
        assert_near(moments(&values).0, mean(&length), 0.08);
        let flat = Length::Zipf { exponent: 1.0, min: 1, max: 3 };
        let (mean_of_three, _) = moments(&sample(&flat));
        assert_near(mean_of_three, (1.0 + 1.0 + 1.0) / (1.0 + 0.5 + 1.0 / 3.0), 0.02);
    }

    #[test]
    fn nothing_falls_outside_the_limits() {
        for length in [
            Length::Normal { mean: 0.0, std: 1e6, min: 5, max: 9 },
            Length::Lognormal { mean: 1e9, std: 1e12, min: 5, max: 9 },
            Length::Lognormal { mean: 0.0, std: 0.0, min: 5, max: 9 },
            Length::Zipf { exponent: 0.01, min: 5, max: 9 },
            Length::Zipf { exponent: 9.0, min: 5, max: 9 },
            Length::Uniform { min: 5, max: 9 },
        ] {
            let values = sample(&length);
            assert!(values.iter().all(|value| (5.0..=9.0).contains(value)), "{length:?}");
            assert!((5.0..=9.0).contains(&mean(&length)), "{length:?}");
        }
    }
}
