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
        let grew = (1.0 - self.capacity / level).max(0.0) + self.noise * normal(&mut self.luck);
        let error = self.noise.max(0.002);
        let fell_behind = grew > 0.01_f64.max(2.262 * error);
        Probe {
            keeping_up: Some(if fell_behind { KeepingUp::FellBehind } else { KeepingUp::KeptUp }),
            backlog: Some(Growth { came_per_second: level, share: grew, error }),
            fell_behind,
            requests: (self.cost)(level),
            ..passes(level, true)
        }
    }
}

/// What thresholds alone say of a level.
fn passes(level: f64, holds: bool) -> Probe {
    Probe {
        level,
        verdict: if holds { Verdict::Pass } else { Verdict::Fail },
        requests: 100,
        keeping_up: Some(KeepingUp::KeptUp),
        backlog: None,
        fell_behind: false,
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
    for capacity in [1.0, 1.7, 13.37, 64.0, 333.0, 900.0] {
        let mut server = Server::new(capacity, 0.0, 0);
        let found = run(SETTINGS, |level| server.probe(level));
        let best = found.best.expect("a pass");
        let (low, high) = found.interval.expect("an interval");
        assert_eq!(found.reason, Reason::Converged, "{capacity}: {found:?}");
        assert!(best <= capacity * 1.003 && capacity <= best * 1.05, "{capacity}: {found:?}");
        assert!(low <= capacity && capacity <= high && high <= low * 1.05, "{found:?}");
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
        for seed in 0..60 {
            let capacity = 5.0 * 1.065_f64.powf(seed as f64);
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
        assert!(wide <= 2, "{wide} of 60 were off by more than 5 %");
        assert!(used * 2 < ladder, "{used} of {ladder} requests");
    }
}

#[test]
fn a_latency_limit_below_capacity_is_found_by_halving() {
    let found = run(SETTINGS, |level| passes(level, level <= 47.3));
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
        let server = Server::new(capacity, 0.0, 0);
        let found = run(settings, |level| {
            assert!(level.fract().abs() < 1e-12 && level >= 1.0);
            Probe { keeping_up: None, ..passes(level, level <= server.capacity) }
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
    let none = run(SETTINGS, |level| Probe { verdict: Verdict::Fail, ..dead.probe(level) });
    assert_eq!((none.reason, none.best, none.failed_at), (Reason::AllFail, None, Some(1.0)));
}

#[test]
fn a_level_that_can_not_be_judged_bounds_the_answer() {
    let found = run(SETTINGS, |level| {
        let verdict = if level <= 20.0 { Verdict::Pass } else { Verdict::Inconclusive };
        Probe { verdict, ..passes(level, true) }
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
    assert!(outcome.best.is_none() && outcome.interval.is_none());
}

#[test]
fn levels_are_readable() {
    let search = Search::new(SETTINGS, Vec::new());
    for (level, rounded) in [(11.313_708, 11.31), (0.012_345_6, 0.012_35), (98_765.4, 98_770.0)] {
        assert_eq!(search.round(level).to_string(), rounded.to_string());
    }
}

#[test]
fn a_level_that_may_not_have_been_kept_up_with_is_no_answer() {
    let found = run(SETTINGS, |level| Probe {
        keeping_up: Some(KeepingUp::Unclear),
        ..passes(level, level <= 47.3)
    });
    assert_eq!(found.reason, Reason::Unclear, "{found:?}");
    assert_eq!((found.best, found.unclear_at, found.interval), (None, Some(1.0), None));
    assert!(found.failed_at.is_some_and(|level| level > 47.3), "{found:?}");
}

#[test]
fn what_is_found_is_what_a_probe_showed() {
    let mut luck = ChaCha8Rng::seed_from_u64(11);
    let verdicts = [Verdict::Pass, Verdict::Pass, Verdict::Fail, Verdict::Inconclusive];
    let keeping = [KeepingUp::KeptUp, KeepingUp::Unclear, KeepingUp::Unclear];
    let mut reasons = std::collections::BTreeSet::new();
    for _ in 0..2_000 {
        let (limit, told) = (luck.random_range(1.0..2_000.0), luck.random_range(0.0..300.0));
        let noise = luck.random_range(0.0..0.5);
        let settings = Settings { max_probes: luck.random_range(0..30), ..SETTINGS };
        let mut search = Search::new(settings, Vec::new());
        let found = loop {
            match search.next() {
                Step::Done(found) => break found,
                Step::Probe(level) => {
                    let mut verdict = if level <= limit { Verdict::Pass } else { Verdict::Fail };
                    let mut keeping_up = KeepingUp::KeptUp;
                    if level > told || luck.random_bool(noise) {
                        verdict = verdicts[luck.random_range(0..verdicts.len())];
                        keeping_up = keeping[luck.random_range(0..keeping.len())];
                    }
                    search.observe(Probe {
                        verdict,
                        keeping_up: Some(keeping_up),
                        ..passes(level, true)
                    });
                }
            }
        };
        let probes = search.history();
        let shows = |level: f64, it: Verdict| {
            probes.iter().any(|p| same(p.level, level) && p.verdict == it)
        };
        let kept_up = |level: f64| {
            let kept = |p: &&Probe| p.keeping_up == Some(KeepingUp::KeptUp) && p.level >= level;
            probes.iter().filter(kept).any(|probe| probe.verdict != Verdict::Inconclusive)
        };
        let is_above = |level: f64| found.best.is_none_or(|best| best < level);
        assert!(found.best.is_none_or(|it| shows(it, Verdict::Pass) && kept_up(it)), "{found:?}");
        assert!(
            found.failed_at.is_none_or(|it| shows(it, Verdict::Fail) && is_above(it)),
            "{found:?}"
        );
        assert!(
            found
                .unclear_at
                .is_none_or(|it| !kept_up(it) || !shows(it, Verdict::Pass) || is_above(it)),
            "{found:?}"
        );
        // Every end says why it is one.
        let (best, failed, unclear) = (found.best, found.failed_at, found.unclear_at);
        let is_said = match found.reason {
            Reason::Converged | Reason::Wide => best.is_some() && failed.is_some(),
            Reason::AllPass => best.is_some(),
            Reason::AllFail => best.is_none() && failed.is_some(),
            Reason::Inconclusive | Reason::Unclear => unclear.is_some(),
            Reason::Spent => true,
        };
        assert!(is_said, "{found:?}");
        reasons.insert(format!("{:?}", found.reason));
    }
    assert!(reasons.len() >= 6, "the whole kind was tried: {reasons:?}");
}

#[test]
fn probes_that_contradict_each_other_widen_the_interval() {
    let mut at_first = true;
    let found = run(SETTINGS, |level| {
        let lucky = level > 47.3 && level < 52.0 && std::mem::take(&mut at_first);
        passes(level, level <= 47.3 || lucky)
    });
    let (low, high) = found.interval.expect("an interval");
    assert!(low <= 47.3 && high >= 47.3, "{found:?}");
}

#[test]
fn probes_too_short_for_the_tolerance_say_how_wide_the_limit_is() {
    let mut server = Server::new(50.0, 0.2, 3);
    let found = run(SETTINGS, |level| server.probe(level));
    let (low, high) = found.interval.expect("an interval");
    assert_eq!(found.reason, Reason::Wide, "{found:?}");
    assert!(high > low * 1.05 && found.probes < 40, "{found:?}");
}
