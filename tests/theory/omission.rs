//! Coordinated omission: a client that holds requests back must not hide that the server stood still.
//!
//! The server answers in 10 ms and stands still for the last of every ten seconds. Of requests that come
//! at an even pace a tenth meet that, and wait for what is left of it: an even spread up to a second. So
//! nine in a hundred wait 0.1 s or more, and the 99th percentile is 0.9 s, whoever asks.

use runner::metrics::claims::ClaimKind;
use runner::metrics::compare::{Options, Verdict, compare};
use runner::metrics::summary::StageSummary;
use runner::plan::metric::Origin;
use runner::report::samples::RunSamples;
use runner::report::view;
use serde_json::{Value, json};

use super::laws::{Dice, Law};
use super::log::{self, Asked};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// When the server has answered what it got at `at`.
fn answered(at: u64) -> u64 {
    let within = at % (10 * SECOND);
    let stands_still = if within >= 9 * SECOND { 10 * SECOND - within } else { 0 };
    at + stands_still + 10 * MS
}

/// A request every 10 ms for `seconds`, of which at most `places` are out at a time.
fn capped(seconds: u64, places: usize) -> Vec<Asked> {
    let mut free_at = vec![0_u64; places];
    let asked = (0..seconds * 100).map(|number| {
        let due = number * 10 * MS;
        let place = free_at.iter_mut().min().expect("a place");
        let sent = due.max(*place);
        *place = answered(sent);
        Asked { due, sent, end: *place }
    });
    asked.collect()
}

/// Users who ask one after the other for `seconds`, and take `took` for each answer of a server that is
/// not standing still.
fn users(users: u64, seconds: u64, answered: &mut dyn FnMut(u64) -> u64) -> Vec<Asked> {
    let mut asked = Vec::new();
    for user in 0..users {
        let mut at = user * MS;
        while at < seconds * SECOND {
            let end = answered(at);
            asked.push(Asked { due: at, sent: at, end });
            at = end;
        }
    }
    asked.sort_by_key(|asked| asked.end);
    asked
}

fn threshold(from: Option<&str>) -> Value {
    let mut check = json!({
        "check": "ttft.p99 < 100ms", "op": "<", "right": { "value": 100.0 }, "level": "fail",
        "left": { "metric": "ttft", "aggregate": { "percentile": 99.0 } },
        "min_samples": 1, "implicit": false,
        "location": { "file": "p.yaml", "line": 1, "column": 1, "start": 0, "end": 1 }
    });
    if let (Some(from), Value::Object(keys)) = (from, &mut check) {
        keys.insert("from".into(), from.into());
    }
    check
}

/// A load of 100 a second with at most `places` out, and these checks.
fn open_start(places: usize, checks: &[Value]) -> Value {
    json!({ "load": { "target_rate": 100.0 }, "concurrency": places, "thresholds": checks })
}

fn stage(asked: &[Asked], start: Value) -> (StageSummary, Vec<(ClaimKind, String)>) {
    let evidence = log::run("run", asked, start);
    let claims = evidence.summary.claims.iter().map(|claim| (claim.kind, claim.text.clone()));
    (evidence.summary.stages[0].clone(), claims.collect())
}

fn says(claims: &[(ClaimKind, String)], kind: ClaimKind) -> Option<&str> {
    claims.iter().find(|(it, _)| *it == kind).map(|(_, text)| text.as_str())
}

#[test]
fn requests_that_wait_for_a_place_count_from_when_they_were_due() {
    let checks = [None, Some("due"), Some("sent")].map(threshold);
    let (stage, claims) = stage(&capped(60, 4), open_start(4, &checks));
    assert_eq!(stage.times_from, Origin::Due);
    let (sent, due) = (stage.metrics["ttft"].p99, stage.metrics["ttft_due"].p99);
    assert!(sent < 20.0, "four of six thousand met it: {sent}");
    assert!((due - 900.0).abs() < 90.0, "{due}");
    assert_eq!(stage.shown("ttft").map(|shown| shown.p99), Some(due), "in the table, too");
    let pass: Vec<bool> = stage.thresholds.iter().map(|result| result.pass).collect();
    assert_eq!(pass, [false, false, true]);
    assert!(stage.thresholds[0].reason.ends_with("from when they were due"));
    let claim = says(&claims, ClaimKind::TimesFromDue).expect("a warning");
    assert!(
        claim.contains("`max_in_flight`") && claim.contains("from sent it would read"),
        "{claim}"
    );
}

/// The charts of such a run: how its times to first token are distributed, and each request's.
fn charts(asked: &[Asked], start: Value) -> (StageSummary, Vec<[f64; 2]>, Vec<[f64; 2]>) {
    let mut seen = RunSamples::default();
    log::lines("run", asked, start.clone(), |line| seen.line(line));
    let summary = log::run("run", asked, start).summary;
    let view = view::compose(&summary, &seen, &view::Background::default());
    let chart = |id: &str| view.comparisons.iter().find(|it| it.id == id).expect(id).chart.clone();
    let points = |id: &str| chart(id).series[0].points.clone();
    (summary.stages[0].clone(), points("cdf-ttft"), points("ttft"))
}

#[test]
fn charts_count_from_where_the_table_does() {
    for (places, expected) in [(4, Origin::Due), (200, Origin::Sent)] {
        let (stage, curve, dots) = charts(&capped(20, places), open_start(places, &[]));
        assert_eq!(stage.times_from, expected);
        let shown = stage.shown("ttft").expect("a row of the table");
        let longest = |points: &[[f64; 2]], axis: usize| {
            points.iter().map(|point| point[axis]).fold(0.0, f64::max)
        };
        // All 2,000 samples are kept, so the curve's 99th percentile is the table's.
        let p99 = curve.iter().find(|point| (point[1] - 0.99).abs() < 1e-9).expect("its p99")[0];
        assert!((p99 / shown.p99 - 1.0).abs() < 1e-6, "{p99} is not {}", shown.p99);
        assert!((longest(&curve, 0) - shown.max).abs() < 1e-6);
        assert!((longest(&dots, 0) - shown.max).abs() < 1e-6, "the slowest have their dots");
    }
}

#[test]
fn where_nothing_is_held_back_times_count_from_sent() {
    // Places enough for all that comes within a second.
    let (stage, claims) = stage(&capped(60, 200), open_start(200, &[threshold(None)]));
    assert_eq!(stage.times_from, Origin::Sent);
    assert!((stage.metrics["ttft"].p99 - 900.0).abs() < 90.0, "{:?}", stage.metrics["ttft"]);
    assert!(!stage.thresholds[0].pass);
    assert_eq!(says(&claims, ClaimKind::TimesFromDue), None);
}

#[test]
fn a_check_of_the_longest_meets_what_no_percentile_shows() {
    // Two of a thousand wait for a second.
    let held = |number: u64| if (500..502).contains(&number) { SECOND } else { 0 };
    let asked: Vec<Asked> = (0..1_000)
        .map(|number| {
            let (due, sent) = (number * 100 * MS, number * 100 * MS + held(number));
            Asked { due, sent, end: sent + 10 * MS }
        })
        .collect();
    let mut check = threshold(None);
    check["left"]["aggregate"] = json!("max");
    let (stage, _) = stage(&asked, open_start(1, &[check]));
    assert_eq!(stage.times_from, Origin::Sent, "no percentile says something else");
    assert!(!stage.thresholds[0].pass, "{:?}", stage.thresholds[0]);
}

#[test]
fn a_comparison_counts_from_due_where_either_run_does() {
    let base = log::run("base", &capped(60, 200), open_start(200, &[]));
    let new = log::run("new", &capped(60, 4), open_start(4, &[]));
    let found = compare(&base, &new, &Options::default());
    // What is asked waits as long, wherever it waits.
    assert!(found.verdict != Verdict::Better, "{:?}", found.stages);
    let metrics: Vec<&str> =
        found.stages[0].differences.iter().map(|found| found.metric.as_str()).collect();
    assert!(metrics.contains(&"ttft_due") && !metrics.contains(&"ttft"), "{metrics:?}");
}

#[test]
fn users_who_wait_are_told_what_they_did_not_see() {
    let asked = users(4, 60, &mut answered);
    let start = json!({ "load": {}, "concurrency": 4 });
    let (stage, claims) = stage(&asked, start.clone());
    assert!(stage.metrics["ttft"].p99 < 20.0, "{:?}", stage.metrics["ttft"]);
    let paced = stage.load.and_then(|load| load.paced).expect("what was not seen");
    assert!((paced.p99_ms - 900.0).abs() < 90.0, "{paced:?}");
    let claim = says(&claims, ClaimKind::UnseenByUsers).expect("a warning");
    assert!(claim.contains("Ask at a `rate`"), "{claim}");
}

#[test]
fn answers_that_differ_in_length_are_no_stall() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut took = |at: u64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
            let ns = (dice.draw(Law::Exponential) * 200.0 * MS as f64) as u64;
            at + ns + MS
        };
        let asked = users(8, 60, &mut took);
        let (stage, claims) = stage(&asked, json!({ "load": {}, "concurrency": 8 }));
        assert_eq!(stage.load.and_then(|load| load.paced), None, "seed {seed}");
        assert_eq!(says(&claims, ClaimKind::UnseenByUsers), None);
    }
}
