//! The course of a load: rounds, steady part, stretches, ramps, pauses.

use super::{count, figure, plan, said, simulator, try_again};
use crate::sandbox::{code, records, stage};

#[test]
fn rounds_have_figures_of_their_own_and_requests_go_on_counting() {
    let server = simulator(64, 1_000.0);
    let sandbox = plan(
        &server,
        5,
        &[
            "id: users, kind: load, concurrency: 4, requests: 24, rounds: 3, warmup_requests: 2",
            "id: clock, kind: load, rate: 60, duration: 500ms, rounds: 2, settle: 100ms, max_lag: 5s",
        ],
    );
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let summary = sandbox.summary();
    let users = stage(&summary, "users");
    assert_eq!((count(&users["counts"], "planned"), count(&users["counts"], "ok")), (72, 72));
    let rounds = users["rounds"]["each"].as_array().expect("rounds");
    assert_eq!(rounds.len(), 3);
    for (number, round) in rounds.iter().enumerate() {
        assert_eq!((count(round, "round"), count(&round["counts"], "ok")), (number as u64, 24));
        assert!(figure(round, "/metrics/ttft/p50") > 0.0 && figure(round, "/achieved_rate") > 0.0);
        if number > 0 {
            let before = &rounds[number - 1];
            assert!(figure(round, "/start_s") >= figure(before, "/end_s"), "they never overlap");
        }
    }
    let over = &users["rounds"]["over"]["ttft.p50"];
    assert_eq!(count(over, "rounds"), 3);
    assert!(figure(over, "/interval/0") <= figure(over, "/mean"), "{over:#}");

    // No two requests of a stage share a number, an id or a prompt.
    let run = sandbox.run_dir();
    for (id, planned) in [("users", 72), ("clock", 48)] {
        let records: Vec<_> =
            records(&run).into_iter().filter(|record| record["stage"] == id).collect();
        assert_eq!(records.len(), planned, "{id}");
        for key in ["index", "request_id"] {
            let all: std::collections::BTreeSet<String> =
                records.iter().map(|record| record[key].to_string()).collect();
            assert_eq!(all.len(), planned, "{id} {key}");
        }
    }
    let clock = stage(&summary, "clock");
    assert_eq!(count(&clock["counts"], "planned"), 48, "24 of 30 count in each round");
    let rounds = clock["rounds"]["each"].as_array().expect("rounds");
    assert!(rounds.iter().all(|round| count(&round["counts"], "planned") == 24), "{clock:#}");
    // The pause between the rounds is no part of the rate, which lies between theirs.
    let rates: Vec<f64> = rounds.iter().map(|round| figure(round, "/achieved_rate")).collect();
    let (low, high) = (rates[0].min(rates[1]) - 1e-9, rates[0].max(rates[1]) + 1e-9);
    let achieved = figure(clock, "/load/achieved_rate");
    assert!((low..=high).contains(&achieved), "{achieved} {rates:?}");
    // An interval is printed where it leaves out what can't be.
    let all = ["ttft.p50", "ttft.p99", "requests_per_second", "output_tokens_per_second"];
    let over = |key: &str| {
        let stages = [users, clock];
        stages.map(|stage| {
            let is_late = stage["times_from"] == "due" && key.starts_with("ttft");
            let key = if is_late { key.replace("ttft", "ttft_due") } else { key.to_owned() };
            stage["rounds"]["over"][key]["interval"][0].as_f64()
        })
    };
    let lows: Vec<f64> = all.iter().flat_map(|key| over(key)).flatten().collect();
    let printed = |words: &str| said(&output).matches(words).count();
    let told = lows.iter().filter(|low| **low > 0.0).count();
    assert_eq!(printed("95 % CI of the mean"), told, "{lows:?}: {}", said(&output));
    let untold = lows.len() - told;
    assert_eq!(printed("too far apart for an interval"), untold, "{lows:?}: {}", said(&output));

    // The log alone says the same.
    let run = run.display().to_string();
    let report = sandbox.run(&["report", "--format", "json", &run]);
    let rebuilt: serde_json::Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!(rebuilt["stages"], summary["stages"]);
}

#[test]
fn a_stage_that_stops_itself_forgoes_the_rounds_that_are_left() {
    let server = simulator(64, 1_000.0);
    let sandbox = plan(
        &server,
        3,
        &["id: users, kind: load, concurrency: 2, requests: 40, rounds: 3, \
           stop_when: [ttft.count >= 50]"],
    );
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let summary = sandbox.summary();
    let users = stage(&summary, "users");
    let counts = &users["counts"];
    assert_eq!(count(counts, "planned"), 120);
    assert_eq!(count(counts, "ok") + count(counts, "never_started"), 120, "{counts:#}");
    assert!(count(counts, "never_started") >= 40, "{counts:#}");
    assert_eq!(users["rounds"]["each"].as_array().expect("rounds").len(), 1, "{users:#}");
}

#[test]
fn the_steady_part_stands_beside_the_whole() {
    let server = simulator(64, 1_000.0);
    let sandbox = plan(
        &server,
        5,
        &[
            "id: windows, kind: load, rate: 100, duration: 2s, warmup: 500ms, cooldown: 300ms, \
           max_lag: 5s",
            "id: found, kind: load, rate: 100, duration: 2s, max_lag: 5s",
            "id: climbs, kind: load, rate: 150, ramp: 1s, duration: 2s, max_lag: 5s",
        ],
    );
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let summary = sandbox.summary();
    let windows = stage(&summary, "windows");
    assert_eq!(count(&windows["counts"], "planned"), 200, "the whole is reported as ever");
    let steady = &windows["steady"];
    assert_eq!(
        (&steady["by"], &steady["whole"]),
        (&"windows".into(), &false.into()),
        "{windows:#}"
    );
    assert!((figure(steady, "/from_s") - 0.5).abs() < 1e-6, "{steady:#}");
    assert!((figure(steady, "/to_s") - 1.7).abs() < 1e-6, "{steady:#}");
    // One every 10 ms from the start on, so those due in [0.5 s, 1.7 s) are 50 to 169.
    assert!(count(steady, "requests").abs_diff(120) <= 1, "{steady:#}");
    assert!(figure(steady, "/metrics/ttft/p50") > 0.0);
    assert!(said(&output).contains("windows: 500 ms to 1.7 s: "), "{}", said(&output));
    // Where the plan names no windows it is found, or the reason is told: this machine is not ours.
    let found = stage(&summary, "found");
    assert!(found["steady"]["by"] == "plateau" || found["unsteady"].is_string(), "{found:#}");
    let climbs = stage(&summary, "climbs");
    if climbs["steady"].is_object() {
        assert!(figure(climbs, "/steady/from_s") >= 1.0 - 1e-6, "not while it climbs: {climbs:#}");
    }
}

#[test]
fn a_server_that_falls_behind_has_no_steady_part() {
    try_again(|| {
        // 40 per second at most, and 80 asked for: the queue grows to the end.
        let server = simulator(4, 200.0);
        let sandbox =
            plan(&server, 21, &["id: over, kind: load, rate: 80, duration: 3s, max_lag: 5s"]);
        let output = sandbox.run(&["run", "plan.yaml"]);
        let summary = sandbox.summary();
        let over = stage(&summary, "over");
        if over["unsteady"] == "its latency still rose when it ended"
            && said(&output).contains("no steady part: its latency still rose")
        {
            return Ok(());
        }
        Err(format!("{over:#}"))
    });
}

#[test]
fn stretches_sum_up_to_the_stage() {
    let server = simulator(64, 1_000.0);
    let stage_text =
        "id: load, kind: load, rate: 100, duration: 1500ms, window: 500ms, max_lag: 5s";
    let sandbox = plan(&server, 5, &[stage_text]);
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let summary = sandbox.summary();
    let load = stage(&summary, "load");
    let windows = load["windows"].as_array().expect("windows");
    assert!(windows.len() >= 3, "{load:#}");
    let sum = |name: &str| windows.iter().map(|window| count(window, name)).sum::<u64>();
    assert_eq!((sum("requests"), sum("ok"), sum("output_tokens")), (150, 150, 750));
    // The whole ones have the length they were asked for; what the last answers took is cut short.
    for window in windows.iter().filter(|window| window["partial"] != true) {
        assert!((figure(window, "/end_s") - figure(window, "/start_s") - 0.5).abs() < 1e-9);
        let (tokens, minute) =
            (figure(window, "/output_tokens"), figure(window, "/output_tokens_per_minute"));
        assert!((tokens * 120.0 - minute).abs() < 1e-6, "{window:#}");
    }
    assert!(windows[..windows.len() - 1].iter().all(|window| window["partial"] != true));
}

#[test]
fn a_ramp_in_steps_holds_each_of_them() {
    let server = simulator(256, 10_000.0);
    let load = "id: stairs, kind: load, rate: 400, ramp: 1s, ramp_steps: 4, duration: 1200ms, \
                spin: 0s, max_lag: 20s";
    let sandbox = plan(&server, 2, &[load]);
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let records = records(&sandbox.run_dir());
    let dues: Vec<u64> = records.iter().filter_map(|it| it["due_ns"].as_u64()).collect();
    let first = dues.iter().min().expect("some");
    // A fifth of the rate first, and a fifth more each quarter of a second.
    for (step, expected) in [20_usize, 40, 60, 80].into_iter().enumerate() {
        let quarter = |due: &&u64| (*due - first) / 250_000_000 == step as u64;
        let there = dues.iter().filter(quarter).count();
        assert!(there.abs_diff(expected) <= 3, "step {step}: {there} of {expected}");
    }
    assert!(dues.len().abs_diff(280) <= 2, "{}", dues.len());
}

#[test]
fn a_ramp_of_users_climbs_and_pauses_are_kept() {
    let server = simulator(64, 1_000.0);
    let sandbox = plan(
        &server,
        2,
        &["id: climbs, kind: load, concurrency: 8, start_users: 2, ramp: 1200ms, think: 60ms, \
           duration: 2s"],
    );
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let mut reads: Vec<u64> = server.truth().iter().map(|truth| truth.read_ns).collect();
    reads.sort_unstable();
    let first = reads[0];
    let between = |from: u64, to: u64| {
        let span = first + from * 1_000_000..first + to * 1_000_000;
        reads.iter().filter(|at| span.contains(at)).count() as f64
    };
    // A user asks at most once in 60 ms: two of them 33 times a second, eight 133 times.
    let (early, late) = (between(0, 400) / 0.4, between(1_400, 1_900) / 0.5);
    assert!(early <= 4.0 * 1_000.0 / 60.0, "{early} per second at the beginning");
    assert!(late <= 8.0 * 1_000.0 / 60.0 * 1.05, "{late} per second in the end");
    assert!(late > early, "{early} and {late} per second");
}
