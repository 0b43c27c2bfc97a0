//! What is called steady is: drawn series with and without trends, steps, warm-ups and memory.

use runner::metrics::summary::StageSummary;
use serde_json::json;

use super::figures;
use super::laws::{Dice, Law, Queue};
use super::log::{self, Asked};
use super::queues::{SERVICE_NS, ns, queues};

const MS: u64 = 1_000_000;
/// Series of each kind.
const SEEDS: u64 = 40;

/// Requests ten a second, each of which takes `level(share of the stage)` milliseconds and chance's part.
fn stage(
    count: u32,
    level: impl Fn(f64) -> f64,
    chance: &mut dyn FnMut(&mut Dice) -> f64,
    seed: u64,
) -> StageSummary {
    let mut dice = Dice::new(seed);
    let asked: Vec<Asked> = (0..count)
        .map(|number| {
            let due = u64::from(number) * 100 * MS;
            let took = level(f64::from(number) / f64::from(count)) * chance(&mut dice);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
            let end = due + (took * MS as f64) as u64;
            Asked { due, sent: due, end }
        })
        .collect();
    let start = json!({ "load": { "target_rate": 10.0, "steady": {} } });
    log::run("run", &asked, start).summary.stages.remove(0)
}

fn alone(deviation: f64) -> impl FnMut(&mut Dice) -> f64 {
    move |dice| dice.draw(Law::Lognormal(deviation))
}

/// Chance that hangs together: each logarithm is eight tenths of the one before.
fn together() -> impl FnMut(&mut Dice) -> f64 {
    let mut before = 0.0;
    move |dice| {
        before = 0.8 * before + (0.15 * dice.draw(Law::Lognormal(1.0)) - 0.15);
        f64::exp(before)
    }
}

/// A stage whose requests queue, from when the queue has settled.
fn queueing(queue: &Queue, count: usize, seed: u64) -> StageSummary {
    let requests = queue.draw(count, &mut Dice::new(seed * 31 + count as u64));
    let first = requests[0].0;
    let asked = requests.iter().map(|(arrival, took)| {
        let due = ns(arrival - first);
        Asked { due, sent: due, end: due + ns(*took) }
    });
    let rate = queue.load * queue.servers as f64 / (SERVICE_NS / 1e9);
    let start = json!({ "load": { "target_rate": rate, "steady": {} } });
    log::run("run", &asked.collect::<Vec<_>>(), start).summary.stages.remove(0)
}

/// How often each was said of `SEEDS` series.
#[derive(Debug, Default)]
struct Said {
    steady: u64,
    whole: u64,
    stepped: u64,
    drifted: u64,
    too_few: u64,
}

fn said(name: &str, of: impl Fn(u64) -> StageSummary) -> Said {
    let mut said = Said::default();
    for stage in (0..SEEDS).map(of) {
        let why = stage.unsteady.as_deref().unwrap_or_default();
        said.steady += u64::from(stage.steady.is_some());
        said.whole += u64::from(stage.steady.is_some_and(|part| part.whole));
        said.stepped += u64::from(why.contains("stepped"));
        said.drifted += u64::from(why.contains("still rose") || why.contains("still fell"));
        said.too_few += u64::from(why.starts_with("too few"));
    }
    let Said { steady, whole, stepped, drifted, too_few } = said;
    let row = format!("| {name} | {steady} | {whole} | {stepped} | {drifted} | {too_few} |");
    figures::hold("steady", 1, &row);
    said
}

#[test]
fn what_has_no_trend_is_steady_and_no_trend_is_seen_in_it() {
    let flat = said("none, alone", |seed| stage(300, |_| 100.0, &mut alone(0.3), seed));
    assert!(flat.steady >= 38 && flat.whole >= 30, "{flat:?}");
    let hangs = said("none, together", |seed| stage(2_000, |_| 100.0, &mut together(), seed));
    assert!(hangs.stepped + hangs.drifted <= 4, "{hangs:?}");
    let short = said("none, 40 answers", |seed| stage(40, |_| 100.0, &mut alone(0.3), seed));
    assert_eq!(short.too_few, SEEDS);
}

#[test]
fn a_trend_has_no_steady_part() {
    let doubles = |share: f64| 100.0 * (1.0 + share);
    for deviation in [0.1, 0.3, 0.5] {
        let name = format!("doubles over 100 answers, deviation {deviation}");
        let found = said(&name, |seed| stage(100, doubles, &mut alone(deviation), seed));
        assert!(found.steady <= 1, "{found:?}");
    }
    let found = said("doubles over 1,000", |seed| stage(1_000, doubles, &mut alone(0.5), seed));
    assert!(found.steady == 0 && found.drifted >= 32, "{found:?}");
}

#[test]
fn a_step_is_named_with_its_levels_and_its_time() {
    let steps = |share: f64| if share < 62.0 / 120.0 { 80.0 } else { 120.0 };
    let found = said("a step at 62 s", |seed| stage(1_200, steps, &mut alone(0.2), seed));
    assert!(found.stepped >= 36 && found.steady == 0, "{found:?}");
    let why = stage(1_200, steps, &mut alone(0.02), 1).unsteady.expect("none");
    assert!(why.starts_with("its TTFT stepped from ") && why.ends_with(" at 62 s"), "{why}");
    assert!(why.contains(" to 120 ms"), "{why}");
}

#[test]
fn a_warm_up_is_cut_off() {
    let warms_up = |share: f64| 100.0 * (1.0 + 4.0 * (-share / 0.03).exp());
    let found = said("a warm-up", |seed| stage(600, warms_up, &mut alone(0.2), seed));
    assert!(found.steady >= 34, "{found:?}");
    let part = stage(600, warms_up, &mut alone(0.2), 3).steady.expect("a steady part");
    assert!(part.from_s > 2.0 && part.from_s < 15.0, "{part:?}");
}

/// The latencies of a queue go up and down by themselves.
#[test]
fn queues_that_have_settled_neither_step_nor_drift() {
    for load in [0.8, 0.9] {
        let (mut stepped, mut drifted, mut stages) = (0, 0, 0);
        for queue in queues(&[load]) {
            let name = format!("none, {} at {load}, 300 answers", queue.name);
            let found = said(&name, |seed| queueing(&queue, 300, seed));
            stepped += found.stepped;
            drifted += found.drifted;
            stages += SEEDS;
        }
        println!("{load}: {stepped} stepped, {drifted} drifted of {stages}");
        assert!(20 * stepped <= stages && 20 * drifted <= stages, "{load}: {stepped}, {drifted}");
    }
}

/// An interval of a steady part holds the median, or none is shown.
#[test]
fn intervals_of_steady_parts_hold() {
    let (mut shown, mut held) = (0, 0);
    for queue in queues(&[0.5]).into_iter().filter(|queue| queue.servers == 8) {
        let truth = queue.truth(50.0, 40_000) * SERVICE_NS / 1e6;
        for seed in 0..40 {
            let Some(part) = queueing(&queue, 1_000, seed).steady else { continue };
            if let Some([low, high]) = part.metrics["e2e"].p50_interval {
                shown += 1;
                held += u32::from(low <= truth && truth <= high);
            }
        }
    }
    // Of some twenty that hold with 95 %, three do not once in thirteen times.
    assert!(shown >= 15 && held + 2 >= shown, "{held} of {shown}");
}

/// Of very many answers only some are looked at: they tell no more than all do, and what is certified
/// of them holds.
#[test]
fn long_stages_tell_no_more_than_their_memory_allows() {
    let queue = queues(&[0.5])[0];
    for seed in 0..2 {
        let stage = queueing(&queue, 17_000, seed);
        let e2e = &stage.metrics["e2e"];
        // One in 3.6 tells anything new of the median of M/M/1 at a half (by simulation).
        let effective = e2e.effective.expect("a long stage");
        assert!(effective < 17_000.0 / 3.0, "{effective}");
        let [low, high] = e2e.p50_interval.expect("a long stage");
        assert!(low <= e2e.p50 && e2e.p50 <= high);
        for (percent, certified) in [(90.0, &e2e.certified.p90), (95.0, &e2e.certified.p95)] {
            let truth = queue.truth(percent, 0) * SERVICE_NS / 1e6;
            assert!(certified.is_some_and(|bound| bound >= truth), "{percent}: {certified:?}");
        }
    }
}
