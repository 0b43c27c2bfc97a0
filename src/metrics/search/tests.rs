//! The search against simulated servers, with and without noise.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;

const SETTINGS: Settings = Settings {
    low: 1.0,
    high: Some(1_000.0),
    tolerance: 0.05,
    confirmations: 2,
    max_probes: 100,
    max_requests: None,
    whole: false,
};

/// A server that passes below its capacity; verdicts near it are a matter of luck.
struct Server {
    capacity: f64,
    /// Relative width of the zone in which luck decides (0: none).
    noise: f64,
    /// Requests of one probe at a level.
    cost: fn(f64) -> u64,
    luck: ChaCha8Rng,
}

/// About standard normal: twelve uniform numbers less their mean.
fn normal(luck: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| luck.random::<f64>()).sum::<f64>() - 6.0
}

impl Server {
    fn new(capacity: f64, noise: f64, seed: u64) -> Self {
        let luck = ChaCha8Rng::seed_from_u64(seed);
        Self { capacity, noise, cost: |_| 200, luck }
    }

    fn probe(&mut self, level: f64) -> Probe {
        let limit = self.capacity * (1.0 + self.noise * normal(&mut self.luck));
        let answered = self.capacity * (1.0 + self.noise * normal(&mut self.luck));
        Probe {
            level,
            verdict: if level <= limit { Verdict::Pass } else { Verdict::Fail },
            requests: (self.cost)(level),
            limit: Some(answered.min(level)),
        }
    }
}

fn run(settings: Settings, mut probe: impl FnMut(f64) -> Probe) -> Outcome {
    let mut search = Search::new(settings, Vec::new());
    loop {
        match search.next() {
            Step::Probe(level) => search.observe(probe(level)),
            Step::Done(outcome) => return outcome,
        }
    }
}

/// Requests of a ladder from 1 up to the first failure, whose rungs are `tolerance` apart.
fn ladder_requests(server: &Server, tolerance: f64) -> u64 {
    let levels = std::iter::successors(Some(1.0), |level| Some(level * (1.0 + tolerance)));
    levels.take_while(|level| level / (1.0 + tolerance) <= server.capacity).map(server.cost).sum()
}

#[test]
fn without_noise_the_bracket_holds_the_capacity() {
    for capacity in [1.0, 1.7, 13.37, 64.0, 333.0, 999.0] {
        let mut server = Server::new(capacity, 0.0, 0);
        let found = run(SETTINGS, |level| server.probe(level));
        let (best, failed) = (found.best.expect("a pass"), found.failed_at.expect("a fail"));
        assert_eq!(found.reason, Reason::Converged, "{capacity}: {found:?}");
        assert!(best <= capacity && capacity < failed && failed <= best * 1.0501, "{found:?}");
        assert!(found.confidence > 0.7, "{found:?}");
    }
}

#[test]
fn a_noisy_capacity_is_found_within_5_percent_for_under_half_of_a_ladders_requests() {
    // Probes of a fixed number of requests, and probes of a fixed duration (cost ∝ rate).
    let costs: [fn(f64) -> u64; 2] = [
        |_| 200,
        |level| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let requests = (level * 30.0) as u64;
            requests
        },
    ];
    for cost in costs {
        let (mut wide, mut used, mut ladder) = (0, 0, 0);
        for seed in 0..300 {
            let capacity = 5.0 * 1.013_f64.powf(seed as f64);
            let mut server = Server::new(capacity, 0.01, seed);
            server.cost = cost;
            let found = run(SETTINGS, |level| server.probe(level));
            let best = found.best.expect("a pass");
            if (best / capacity - 1.0).abs() > 0.05 {
                wide += 1;
            }
            used += found.requests;
            ladder += ladder_requests(&server, SETTINGS.tolerance);
        }
        assert!(wide <= 3, "{wide} of 300 were off by more than 5 %");
        assert!(used * 2 < ladder, "{used} of {ladder} requests");
    }
}

#[test]
fn a_latency_limit_below_capacity_is_found_by_halving() {
    // The server answers everything, so `limit` says nothing.
    let found = run(SETTINGS, |level| Probe {
        level,
        verdict: if level <= 47.3 { Verdict::Pass } else { Verdict::Fail },
        requests: 100,
        limit: Some(level),
    });
    let best = found.best.expect("a pass");
    assert!(best <= 47.3 && best > 47.3 / 1.051, "{found:?}");
    assert!(found.probes <= 14, "{found:?}");
}

#[test]
fn one_unlucky_probe_does_not_decide() {
    let mut server = Server::new(50.0, 0.0, 0);
    let mut unlucky = true;
    let found = run(SETTINGS, |level| {
        let mut probe = server.probe(level);
        if (level - 8.0).abs() < 1e-9 && std::mem::take(&mut unlucky) {
            probe.verdict = Verdict::Fail;
            probe.limit = None;
        }
        probe
    });
    assert!((found.best.expect("a pass") / 50.0 - 1.0).abs() < 0.05, "{found:?}");
}

#[test]
fn a_search_resumes_from_any_point_of_its_history() {
    let mut server = Server::new(77.0, 0.02, 5);
    let mut search = Search::new(SETTINGS, Vec::new());
    let mut steps = vec![search.next()];
    while let Some(Step::Probe(level)) = steps.last() {
        search.observe(server.probe(*level));
        steps.push(search.next());
    }
    for (made, step) in steps.iter().enumerate() {
        let resumed = Search::new(SETTINGS, search.history()[..made].to_vec());
        assert_eq!(resumed.next(), *step);
    }
}

#[test]
fn concurrency_is_searched_in_whole_numbers() {
    let settings = Settings { whole: true, high: None, ..SETTINGS };
    for capacity in [1.0, 2.0, 3.0, 9.0, 17.0, 100.0] {
        let mut server = Server::new(capacity, 0.0, 0);
        let found = run(settings, |level| {
            assert!(level.fract().abs() < 1e-12 && level >= 1.0);
            Probe { limit: None, ..server.probe(level) }
        });
        let best = found.best.expect("a pass");
        assert!(best <= capacity && best * 1.05 + 1.0 > capacity, "{capacity}: {found:?}");
    }
}

#[test]
fn ends_without_a_bracket_are_named() {
    let mut strong = Server::new(1e9, 0.0, 0);
    let all = run(SETTINGS, |level| strong.probe(level));
    assert_eq!((all.reason, all.best, all.failed_at), (Reason::AllPass, Some(1_000.0), None));
    let mut dead = Server::new(0.0, 0.0, 0);
    let none = run(SETTINGS, |level| dead.probe(level));
    assert_eq!((none.reason, none.best, none.failed_at), (Reason::AllFail, None, Some(1.0)));
}

#[test]
fn a_level_that_can_not_be_judged_bounds_the_answer() {
    let found = run(SETTINGS, |level| Probe {
        level,
        verdict: if level <= 20.0 { Verdict::Pass } else { Verdict::Inconclusive },
        requests: 10,
        limit: None,
    });
    assert_eq!(found.reason, Reason::Inconclusive);
    assert!((found.best.expect("a pass") / 20.0 - 1.0).abs() < 0.05, "{found:?}");
}

#[test]
fn it_ends_when_its_requests_or_probes_are_spent() {
    let mut server = Server::new(700.0, 0.3, 1); // Luck alone decides: it may never converge.
    let limited = Settings { max_requests: Some(1_000), ..SETTINGS };
    let found = run(limited, |level| server.probe(level));
    assert_eq!((found.reason, found.requests), (Reason::Spent, 1_000));
    let limited = Settings { max_probes: 3, ..SETTINGS };
    let found = run(limited, |level| server.probe(level));
    assert_eq!((found.reason, found.probes), (Reason::Spent, 3));
    let none = Search::new(Settings { max_probes: 0, ..SETTINGS }, Vec::new());
    let Step::Done(outcome) = none.next() else { panic!("nothing may be probed") };
    assert!(outcome.best.is_none() && outcome.confidence.abs() < 1e-12);
}

#[test]
fn levels_are_readable() {
    let search = Search::new(SETTINGS, Vec::new());
    for (level, rounded) in [(11.313_708, 11.31), (0.012_345_6, 0.012_35), (98_765.4, 98_770.0)] {
        assert_eq!(search.round(level).to_string(), rounded.to_string());
    }
}

#[test]
fn confidence_grows_with_agreement() {
    // P(p > ½) after k of k: 1 - ½^(k+1).
    for (yes, no, share) in [(0, 0, 0.5), (1, 0, 0.75), (3, 0, 0.9375), (2, 1, 0.6875), (1, 1, 0.5)]
    {
        assert!((majority(yes, no) - share).abs() < 1e-12, "{yes}:{no}");
    }
}
