//! Arrivals as the server saw them, held against the law that was asked for, and the capacity that a
//! ladder, a ramp and a search find.
//!
//! A test rejects by the inequality of Dvoretzky, Kiefer, Wolfowitz and Massart: the distance of the
//! empirical distribution of n samples from their law exceeds sqrt(ln(2/p) / 2n) with a probability of
//! at most p, whatever the law. p is a millionth, so that what fails is wrong; and each law is held
//! against the arrivals of the others, so that what passes could have failed.

use runner::simulator::Simulator;
use serde_json::Value;
use statrs::distribution::{ContinuousCDF, Gamma};

use super::{figure, plan, said, simulator, try_again};
use crate::sandbox::{Sandbox, records, stage};

const REQUESTS: u64 = 240;
const RATE: f64 = 100.0;
/// The ramp climbs from nothing to this over so many seconds.
const RAMP: (f64, f64) = (200.0, 2.4);

const STAGES: [&str; 4] = [
    "id: constant, kind: load, rate: 100, requests: 240, max_lag: 5s",
    "id: poisson, kind: load, rate: 100, requests: 240, arrival: poisson, max_lag: 5s",
    "id: gamma, kind: load, rate: 100, requests: 240, arrival: gamma, burstiness: 9, max_lag: 5s",
    "id: ramp, kind: load, rate: 200, ramp: 2400ms, requests: 240, arrival: poisson, max_lag: 5s",
];

/// When a stage's requests reached the server, in seconds from the stage's start.
fn arrivals(server: &Simulator, sandbox: &Sandbox, id: &str) -> Vec<f64> {
    let run = sandbox.run_dir();
    let log = std::fs::read_to_string(run.join("records-000001.jsonl")).expect("a log");
    let start = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .find(|line| line["type"] == "stage_start" && line["stage"] == id)
        .expect("it began");
    let began = start["at_ns"].as_u64().expect("a stamp") as f64;
    let due: std::collections::BTreeMap<String, f64> = records(&run)
        .iter()
        .filter(|record| record["stage"] == id)
        .map(|record| {
            let id = record["request_id"].as_str().expect("an id").to_owned();
            (id, record["due_ns"].as_u64().expect("due") as f64)
        })
        .collect();
    let seen: Vec<(f64, f64)> = server
        .truth()
        .iter()
        .filter_map(|truth| Some((*due.get(truth.request_id.as_ref()?)?, truth.read_ns as f64)))
        .collect();
    assert_eq!(seen.len() as u64, REQUESTS, "{id}");
    // The two clocks differ by a constant: nothing arrives before it is due.
    let apart = seen.iter().map(|(due, read)| read - due).fold(f64::INFINITY, f64::min);
    let mut times: Vec<f64> = seen.iter().map(|(_, read)| (read - apart - began) / 1e9).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The largest distance of samples from the law `cdf`, and the bound that it exceeds once in a
/// million times if that is their law.
fn distance(mut samples: Vec<f64>, cdf: impl Fn(f64) -> f64) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    let n = samples.len() as f64;
    let steps = samples.iter().enumerate().map(|(place, sample)| {
        let law = cdf(*sample);
        (law - place as f64 / n).max((place + 1) as f64 / n - law)
    });
    (steps.fold(0.0, f64::max), ((2.0 / 1e-6_f64).ln() / 2.0 / n).sqrt())
}

/// Gaps between arrivals, each in units of the mean gap that the rate asks for at its time:
/// `integral` is that of the rate.
fn gaps(times: &[f64], integral: impl Fn(f64) -> f64) -> Vec<f64> {
    times.windows(2).map(|pair| integral(pair[1]) - integral(pair[0])).collect()
}

/// Distance over bound for gamma-distributed gaps of this shape at the steady rate: below 1 is that
/// law, above it is not.
fn by_gamma(times: &[f64], shape: f64) -> f64 {
    let law = Gamma::new(shape, shape).expect("a law");
    let (found, bound) = distance(gaps(times, |at| at * RATE), |gap| law.cdf(gap));
    found / bound
}

/// The same for exponential gaps under the ramp.
fn by_ramp(times: &[f64]) -> f64 {
    let (top, over) = RAMP;
    let integral = |at: f64| top / over * at * at / 2.0;
    let law = |gap: f64| 1.0 - (-gap).exp();
    let (found, bound) = distance(gaps(times, integral), law);
    // Gaps alone hardly see the rate climb; the times do.
    let end = integral(times[times.len() - 1]);
    let (drift, drift_bound) =
        distance(times.iter().map(|at| integral(*at) / end).collect(), |share| share);
    (found / bound).max(drift / drift_bound)
}

/// The share of arrivals that came within a third of a gap after their due time on an even schedule.
fn on_the_beat(times: &[f64]) -> f64 {
    let is_near = |(index, at): (usize, &f64)| {
        let late = at - index as f64 / RATE;
        (-1e-3..0.33 / RATE).contains(&late)
    };
    times.iter().enumerate().filter(|it| is_near(*it)).count() as f64 / times.len() as f64
}

fn attempt() -> Result<(), String> {
    let server = simulator(1_024, 2_000.0);
    let sandbox = plan(&server, 2, &STAGES);
    let output = sandbox.run(&["run", "plan.yaml"]);
    let [constant, poisson, gamma, ramp] =
        ["constant", "poisson", "gamma", "ramp"].map(|id| arrivals(&server, &sandbox, id));
    // What was not asked for is rejected, however noisy the machine.
    let wrong = [
        by_gamma(&constant, 1.0),
        by_gamma(&gamma, 1.0),
        by_gamma(&poisson, 9.0),
        by_gamma(&constant, 9.0),
        by_ramp(&poisson),
        by_gamma(&ramp, 1.0).max(by_ramp(&constant)),
    ];
    assert!(wrong.iter().all(|ratio| *ratio > 1.0), "a wrong law passes: {wrong:?}");
    assert!(on_the_beat(&poisson) < 0.5, "{}", on_the_beat(&poisson));
    let right = [by_gamma(&poisson, 1.0), by_gamma(&gamma, 9.0), by_ramp(&ramp)];
    let beat = on_the_beat(&constant);
    if right.iter().all(|ratio| *ratio < 1.0) && beat > 0.9 {
        return Ok(());
    }
    Err(format!("{right:?}, {beat} on the beat: {}", said(&output)))
}

#[test]
fn arrivals_follow_the_law_that_was_asked_for_as_the_server_saw_them() {
    try_again(attempt);
}

#[test]
fn a_ladder_and_a_ramp_find_the_capacity_within_five_percent() {
    try_again(|| {
        // 4 at a time, 101 ms each: 39.6 per second.
        let capacity = 4.0 / 0.101;
        let server = simulator(4, 200.0);
        let sandbox = plan(
            &server,
            21,
            &[
                "id: ladder, kind: qps_ladder, rates: \"20,60\", step: 3s, max_lag: 5s",
                "id: ramp, kind: concurrency_ramp, concurrency: \"1,4,8\", step: 3s",
            ],
        );
        let output = sandbox.run(&["run", "plan.yaml"]);
        let summary = sandbox.summary();
        for id in ["ladder", "ramp"] {
            let found = &summary["saturation"][id];
            let best = figure(found, "/best_requests_per_second");
            if (best / capacity - 1.0).abs() > 0.05 || found["saturated_at"].is_null() {
                return Err(format!("{best} of {capacity}: {found:#} {}", said(&output)));
            }
        }
        Ok(())
    });
}

#[test]
fn an_impossible_rate_is_called_the_generators_own_limit() {
    let server = simulator(4_096, 10_000.0);
    let sandbox =
        plan(&server, 2, &["id: flood, kind: load, rate: 200k, requests: 600, max_lag: 2ms"]);
    let output = sandbox.run(&["run", "plan.yaml"]);
    let summary = sandbox.summary();
    let flood = stage(&summary, "flood");
    assert_eq!(flood["load"]["generator_limited"], true, "{flood:#}");
    assert_eq!((&summary["run"]["valid"], output.status.code()), (&false.into(), Some(5)));
    let said = said(&output);
    assert!(said.contains("generator saturated: requests left up to"), "{said}");
    assert!(said.contains("ask for a lower rate, give this machine more cores"), "{said}");
    assert_eq!(flood["counts"]["planned"], 600);
}
