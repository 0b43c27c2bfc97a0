//! Arrivals against theory, with fixed seeds.

use std::time::Duration;

use statrs::distribution::{ContinuousCDF, Exp, Gamma};
use statrs::statistics::Statistics;

use super::*;
use crate::plan::RatePiece;
use crate::schedule::draw::tests::kolmogorov;

const PROCESSES: [ArrivalProcess; 5] = [
    ArrivalProcess::Constant,
    ArrivalProcess::Poisson,
    ArrivalProcess::Gamma { burstiness: 0.25 },
    ArrivalProcess::Gamma { burstiness: 4.0 },
    ArrivalProcess::Burst { size: 10 },
];

fn schedule(process: ArrivalProcess, rate: &Rate, until: Until) -> Schedule {
    Schedule::new(process, rate, until, 42, "load").expect("valid")
}

fn seconds(schedule: &Schedule) -> Vec<f64> {
    schedule.iter().map(|arrival| arrival.offset_ns as f64 / 1e9).collect()
}

fn gaps(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn ramp() -> Rate {
    let piece = |from, to, seconds| RatePiece { from, to, over: Duration::from_secs(seconds) };
    Rate::Pieces(vec![piece(10.0, 400.0, 40), piece(400.0, 400.0, 10), piece(400.0, 20.0, 50)])
}

#[test]
fn constant_arrivals_are_exactly_spaced_and_do_not_drift() {
    let times =
        schedule(ArrivalProcess::Constant, &Rate::Constant(3.0), Until::Requests(1_000_000));
    for arrival in &times {
        let exact = arrival.index * 1_000_000_000 / 3;
        assert!(arrival.offset_ns.abs_diff(exact) <= 1, "{arrival:?}");
    }
}

#[test]
fn poisson_gaps_are_exponential_with_the_asked_mean_and_variance() {
    let times =
        seconds(&schedule(ArrivalProcess::Poisson, &Rate::Constant(50.0), Until::Requests(50_001)));
    let gaps = gaps(&times);
    // Mean 1/50 with a standard error of 1/(50·√n); variance 1/50².
    assert!((gaps.iter().mean() * 50.0 - 1.0).abs() < 3.0 / 50_000_f64.sqrt());
    assert!((gaps.iter().variance() * 2500.0 - 1.0).abs() < 3.0 * (8.0 / 50_000_f64).sqrt());
    let theory = Exp::new(50.0).expect("rate");
    let distance = kolmogorov(gaps, |x| theory.cdf(x));
    assert!(distance < 1.63, "{distance}");
}

#[test]
fn poisson_gaps_do_not_depend_on_each_other() {
    let times =
        seconds(&schedule(ArrivalProcess::Poisson, &Rate::Constant(1.0), Until::Requests(50_001)));
    let gaps = gaps(&times);
    // Each of the five correlations is below 4 standard errors with 99.994 % probability.
    for lag in 1..=5 {
        let products: Vec<f64> =
            gaps.iter().zip(&gaps[lag..]).map(|(a, b)| (a - 1.0) * (b - 1.0)).collect();
        let errors = products.iter().mean().abs() * 50_000_f64.sqrt();
        assert!(errors < 4.0, "lag {lag}: {errors}");
    }
}

#[test]
fn poisson_counts_vary_as_much_as_their_mean() {
    let times =
        seconds(&schedule(ArrivalProcess::Poisson, &Rate::Constant(20.0), Until::Requests(40_000)));
    let mut counts = vec![0.0; 2_000];
    for time in times {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        if let Some(count) = counts.get_mut(time as usize) {
            *count += 1.0;
        }
    }
    let dispersion = counts[..1_900].iter().variance() / counts[..1_900].iter().mean();
    assert!((dispersion - 1.0).abs() < 3.0 * (2.0 / 1_900_f64).sqrt(), "{dispersion}");
}

#[test]
fn gamma_gaps_have_the_asked_burstiness() {
    for burstiness in [0.25, 1.0, 4.0] {
        let process = ArrivalProcess::Gamma { burstiness };
        let times = seconds(&schedule(process, &Rate::Constant(8.0), Until::Requests(50_001)));
        let gaps = gaps(&times);
        let (mean, spread) = (gaps.iter().mean(), gaps.iter().std_dev());
        assert!((mean * 8.0 - 1.0).abs() < 3.0 / (burstiness * 50_000.0).sqrt(), "{burstiness}");
        let variation = spread / mean;
        assert!((variation * burstiness.sqrt() - 1.0).abs() < 0.05, "{burstiness}: {variation}");
        let theory = Gamma::new(burstiness, burstiness * 8.0).expect("shape and rate");
        let distance = kolmogorov(gaps, |x| theory.cdf(x));
        assert!(distance < 1.63, "{burstiness}: {distance}");
    }
}

#[test]
fn bursts_come_together_and_keep_the_mean_rate() {
    let times =
        schedule(ArrivalProcess::Burst { size: 5 }, &Rate::Constant(10.0), Until::Requests(12));
    let offsets: Vec<u64> = times.iter().map(|arrival| arrival.offset_ns / 1_000_000).collect();
    assert_eq!(offsets, [0, 0, 0, 0, 0, 500, 500, 500, 500, 500, 1000, 1000]);
}

#[test]
fn a_ramps_arrivals_are_uniform_in_the_integral_of_its_rate() {
    let profile = Profile::new(&ramp()).expect("valid");
    let total = profile.arrivals_by(100.0);
    for process in [ArrivalProcess::Constant, ArrivalProcess::Poisson] {
        let until = Until::Duration(Duration::from_secs(100));
        let times = seconds(&schedule(process, &ramp(), until));
        let off = (times.len() as f64 - total).abs();
        assert!(off < 3.0 * total.sqrt(), "{process:?}: {} of {total}", times.len());
        let distance = kolmogorov(times, |time| profile.arrivals_by(time) / total);
        assert!(distance < 1.63, "{process:?}: {distance}");
    }
}

#[test]
fn a_poisson_ramp_is_poisson_in_rescaled_time() {
    let profile = Profile::new(&ramp()).expect("valid");
    let times = seconds(&schedule(ArrivalProcess::Poisson, &ramp(), Until::Requests(20_000)));
    let rescaled: Vec<f64> = times.iter().map(|time| profile.arrivals_by(*time)).collect();
    let distance = kolmogorov(gaps(&rescaled), |x| 1.0 - (-x).exp());
    assert!(distance < 1.63, "{distance}");
}

#[test]
fn stripes_together_are_the_undivided_schedule() {
    for process in PROCESSES {
        let whole = schedule(process, &ramp(), Until::Requests(5_000));
        let all: Vec<Arrival> = whole.iter().collect();
        assert_eq!(all.len(), 5_000);
        for workers in [1, 2, 3, 7] {
            let mut union: Vec<Arrival> = (0..workers)
                .flat_map(|worker| {
                    whole.iter().striped(Stripe::new(worker, workers).expect("worker < workers"))
                })
                .collect();
            union.sort_unstable();
            assert_eq!(union, all, "{process:?} over {workers}");
        }
    }
    assert_eq!(Stripe::new(3, 3), None);
}

#[test]
fn resuming_gives_the_same_tail() {
    for process in PROCESSES {
        let whole = schedule(process, &ramp(), Until::Requests(3_000));
        let all: Vec<Arrival> = whole.iter().collect();
        for index in [0, 1, 999, 2_999, 3_000, 9_999] {
            let tail: Vec<Arrival> = whole.starting_at(index).collect();
            let from = usize::try_from(index).expect("small").min(all.len());
            assert_eq!(tail, all[from..], "{process:?} from {index}");
        }
    }
}

#[test]
fn times_never_decrease() {
    for process in PROCESSES {
        let times = seconds(&schedule(process, &ramp(), Until::Requests(20_000)));
        assert!(times.is_sorted(), "{process:?}");
    }
}

#[test]
fn other_keys_and_seeds_give_other_times() {
    let times = |seed, key| {
        Schedule::new(ArrivalProcess::Poisson, &Rate::Constant(1.0), Until::Requests(5), seed, key)
            .expect("valid")
            .iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(times(1, "a"), times(1, "a"));
    assert_ne!(times(1, "a"), times(2, "a"));
    assert_ne!(times(1, "a"), times(1, "b"));
}

#[test]
fn a_schedule_ends_by_count_by_time_or_by_whichever_comes_first() {
    let planned =
        |until| schedule(ArrivalProcess::Constant, &Rate::Constant(10.0), until).planned();
    let second = Duration::from_secs(1);
    assert_eq!(planned(Until::Requests(25)), 25);
    assert_eq!(planned(Until::Duration(second)), 10, "the arrival at its very end is not in it");
    assert_eq!(planned(Until::First { requests: 7, duration: second }), 7);
    assert_eq!(planned(Until::First { requests: 70, duration: second }), 10);
}

#[test]
fn a_rate_that_sinks_to_zero_ends_the_schedule() {
    let piece = RatePiece { from: 10.0, to: 0.0, over: Duration::from_secs(2) };
    let times =
        schedule(ArrivalProcess::Constant, &Rate::Pieces(vec![piece]), Until::Requests(1_000));
    assert_eq!(times.planned(), 10, "arrivals 0 to 9: by the end of the ramp");
    assert_eq!(
        schedule(ArrivalProcess::Poisson, &Rate::Constant(0.0), Until::Requests(9)).planned(),
        0
    );
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let new = |process, rate| {
        Schedule::new(process, &Rate::Constant(rate), Until::Requests(1), 0, "").err()
    };
    assert_eq!(new(ArrivalProcess::Constant, -1.0), Some(ScheduleError::Rate));
    assert_eq!(new(ArrivalProcess::Burst { size: 0 }, 1.0), Some(ScheduleError::EmptyBurst));
    let gamma = ArrivalProcess::Gamma { burstiness: 0.0 };
    assert_eq!(new(gamma, 1.0), Some(ScheduleError::Burstiness(0.0)));
}

#[test]
fn very_many_are_counted_without_being_drawn() {
    let many = 1_000_000_000_000;
    for process in [ArrivalProcess::Constant, ArrivalProcess::Poisson] {
        assert_eq!(
            schedule(process, &Rate::Constant(1000.0), Until::Requests(many)).planned(),
            many
        );
    }
}
