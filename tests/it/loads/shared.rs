//! Stages that share an endpoint, and probes that their plan cuts short.

use super::{plan, said, simulator};
use crate::sandbox::code;

#[test]
fn cells_that_take_turns_at_one_server_are_no_strangers_to_each_other() {
    let server = simulator(8, 1_000.0);
    let sandbox = plan(&server, 2, &["id: cold, kind: cold, requests: 6"]);
    let path = sandbox.dir.path().join("plan.yaml");
    let text = std::fs::read_to_string(&path).expect("a plan");
    let text = text.replace(
        "prompt: {",
        "matrix: { interleave: true, side: [a, b] }\nprompt: { context: { from: filler, tokens: 200 },",
    );
    sandbox.plan(&text);
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(!said(&output).contains("CONTAMINATED"), "{}", said(&output));
}

#[test]
fn a_probe_that_is_aborted_ends_the_search_at_its_level_and_leaves_the_run_complete() {
    let server = simulator(2, 50.0);
    let search = "id: find, kind: search, over: concurrency, from: 1, to: 16, requests: 20, \
                  settle: 100ms, confirmations: 1, thresholds: [\"error_rate <= 1%\"], \
                  abort: [{ check: \"e2e.p50 > 150ms\", min_samples: 3 }]";
    let sandbox = plan(&server, 4, &[search]);
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(!said(&output).contains("incomplete"), "{}", said(&output));
}
