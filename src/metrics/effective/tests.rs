//! Series of which the memory is known.

use super::*;

/// Numbers that look random, between 0 and 1.
fn noise(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    })
}

/// A first-order autoregression, whose memory is (1 + φ) / (1 − φ).
fn autoregression(phi: f64, n: usize, seed: u64) -> Vec<f64> {
    let mut value = 0.0;
    let normal = noise(seed).zip(noise(seed + 77)).map(|(one, other)| {
        (-2.0 * (one + 1e-12).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
    });
    let steps = normal.map(|step| {
        value = phi * value + step;
        value
    });
    steps.skip(500).take(n).collect()
}

#[test]
fn the_memory_of_an_autoregression_is_known() {
    for (phi, n) in [(0.5, 20_000), (0.9, 20_000), (0.98, 100_000)] {
        let mean = (0..10).map(|seed| memory(&autoregression(phi, n, seed))).sum::<f64>() / 10.0;
        let truth = (1.0 + phi) / (1.0 - phi);
        assert!((mean / truth - 1.0).abs() < 0.15, "{phi}: {mean} is not {truth}");
    }
}

/// What samples are worth for their median.
fn worth(samples: &[f64], in_flight: Option<&[f64]>) -> Option<Weight> {
    Dependence::of(samples, in_flight).weigh(50.0, &ranks(samples))
}

#[test]
fn independent_samples_count_each() {
    let whole = (0..200).filter(|seed| {
        let samples: Vec<f64> = noise(*seed).take(400).collect();
        worth(&samples, None) == Some(Weight::independent(400))
    });
    // Two tests are wrong of one in two hundred each.
    assert!(whole.count() >= 195);
    assert_eq!(worth(&[3.0; 100], None), Some(Weight::independent(100)));
    assert_eq!(worth(&[], None), Some(Weight::independent(0)));
}

#[test]
fn a_series_that_hangs_together_must_be_long() {
    let slow = autoregression(0.95, 2_000, 3);
    let found = Dependence::of(&slow, None);
    assert_eq!((worth(&slow, None), found.effective()), (None, None));
    let needed = found.needed(50.0).expect("a third of what it takes was seen");
    assert!((8_000..24_000).contains(&needed), "{needed}, where 100 memories are 3,900: {found:?}");
    // Of much less nobody can say what would do.
    assert_eq!(Dependence::of(&slow[..200], None).needed(50.0), None);
    let long = autoregression(0.95, 20_000, 3);
    let effect = worth(&long, None).expect("long enough").design_effect;
    assert!((25.0..55.0).contains(&effect), "{effect}, where the ranks of such a series have 37");
    let long = Dependence::of(&long, None);
    assert!(long.needed(99.0).is_none_or(|it| Some(it) > long.needed(50.0)));
    // A rise over a dozen samples is seen, too.
    let rise: Vec<f64> = (0..12).map(f64::from).collect();
    assert_eq!(worth(&rise, None), None);
}

#[test]
fn what_follows_the_number_in_flight_has_its_memory() {
    let states = autoregression(0.95, 2_000, 5);
    let mut own = noise(9);
    let follows: Vec<f64> =
        states.iter().map(|state| state + 30.0 * own.next().unwrap_or(0.0)).collect();
    let alone: Vec<f64> = noise(11).take(2_000).collect();
    assert_eq!(worth(&follows, Some(&states)), None);
    let effect = worth(&alone, Some(&states)).expect("enough").design_effect;
    assert!(effect < 1.2, "{effect}");
    // Even so a run must have seen the number in flight come and go, for an interval more often.
    assert_eq!(worth(&alone[..200], Some(&states[..200])), None);
    assert_eq!(Dependence::of(&alone, Some(&states)).effective(), None);
}

#[test]
fn the_number_in_flight_is_that_of_the_others() {
    let requests = [(0, 10), (2, 5), (5, 20), (30, 31)];
    assert_eq!(in_flight(&requests, &requests), [0.0, 1.0, 1.0, 0.0]);
    assert!(in_flight(&[], &[]).is_empty());
}

#[test]
fn an_interval_of_dependent_samples_is_wider() {
    let n = 20_000;
    let (alone, tied) = (autoregression(0.0, n, 2), autoregression(0.9, n, 2));
    let width = |samples: &[f64]| {
        let found = median_interval(samples, &Dependence::of(samples, None)).expect("long");
        (found[1] - found[0]) / variance(samples).sqrt()
    };
    let ratio = width(&tied) / width(&alone);
    assert!(
        (2.8..5.0).contains(&ratio),
        "{ratio}, where the signs of such a series have a memory of 13"
    );
    let few: Vec<f64> = noise(1).take(5).collect();
    assert_eq!(median_interval(&few, &Dependence::of(&few, None)), None);
    // A run that saw little congestion lies too low more often than one that saw much lies too high.
    let [low, high] = median_interval(&tied, &Dependence::of(&tied, None)).expect("long");
    let share = |limit: f64| tied.iter().filter(|it| **it < limit).count() as f64 / n as f64;
    assert!(share(high) - 0.5 > 1.2 * (0.5 - share(low)), "{low} {high}");
}
