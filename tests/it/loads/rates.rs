//! What a load achieved is over the time in which its requests came.

use serde_json::Value;

use crate::sandbox::{Sandbox, code, stderr};

#[test]
fn neither_the_time_to_settle_nor_that_after_the_last_request_counts() {
    let sandbox = Sandbox::new();
    sandbox.plan(
        "version: 1\nname: rates\nendpoint: { simulator: { prefill_rate: 1M, decode_rate: 100k } }\n\
         prompt: { text: Hello., max_tokens: 2 }\nseed: 3\nstages:\n  \
         - { id: settled, kind: qps_ladder, rates: [100], step: 2s, settle: 1s, arrival: poisson }\n  \
         - { id: counted, kind: load, rate: 100, duration: 20s, requests: 50, arrival: poisson }\n",
    );
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert!([0, 5].contains(&code(&output)), "{}", stderr(&output));
    let run = sandbox.runs("results").remove(0);
    let text = std::fs::read_to_string(run.join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    let stages = summary["stages"].as_array().expect("stages");
    let rates: Vec<f64> =
        stages.iter().filter_map(|stage| stage["load"]["achieved_rate"].as_f64()).collect();
    // As drawn: within four standard errors of so many Poisson arrivals, and far from the half.
    assert!(rates.len() == 2 && rates.iter().all(|it| (62.0..160.0).contains(it)), "{rates:?}");
}
