//! Two runs of one thing are not called different, and an interval holds the truth, however long the
//! queue; and independent samples lose no power by that.

use runner::metrics::compare::evidence::Evidence;
use runner::metrics::compare::{Options, Verdict, compare};
use runner::metrics::effective::{Dependence, in_flight, median_interval};
use serde_json::json;

use super::laws::{Dice, Law, Queue};
use super::log::{self, Asked};

/// A mean service time, in nanoseconds.
const SERVICE_NS: f64 = 1e8;

/// Mean service times in nanoseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "short and positive")]
fn ns(times: f64) -> u64 {
    (times * SERVICE_NS) as u64
}

/// A run of one stage with these requests: (arrival, time taken), in mean service times.
fn run(id: &str, requests: &[(f64, f64)]) -> Evidence {
    let asked = requests.iter().map(|(arrival, took)| {
        let due = ns(*arrival);
        Asked { due, sent: due, end: due + ns(*took) }
    });
    log::run(id, &asked.collect::<Vec<_>>(), json!({}))
}

/// What runs of one queue came to.
#[derive(Default)]
struct Found {
    runs: u32,
    /// Comparisons with any verdict but "not enough data", and those that saw a difference.
    judged: u32,
    wrong: u32,
    /// Medians with an interval, and intervals that hold the true median.
    shown: u32,
    held: u32,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.judged += other.judged;
        self.wrong += other.wrong;
        self.shown += other.shown;
        self.held += other.held;
    }
}

/// Pairs of runs of one queue, `count` requests each.
fn null_pairs(queue: &Queue, count: usize, pairs: u32, seed: u64) -> Found {
    let truth = queue.truth(50.0) * SERVICE_NS / 1e6;
    let mut found = Found::default();
    for pair in 0..pairs {
        let mut dice = Dice::new(seed + u64::from(pair));
        let base = run("base", &queue.draw(count, &mut dice));
        let new = run("new", &queue.draw(count, &mut dice));
        let verdict = compare(&base, &new, &Options::default()).verdict;
        found.runs += 1;
        found.judged += u32::from(verdict != Verdict::NotEnoughData);
        found.wrong += u32::from(matches!(verdict, Verdict::Better | Verdict::Worse));
        for side in [&base, &new] {
            let ttft = &side.summary.stages[0].metrics["ttft"];
            if let Some([low, high]) = ttft.p50_interval {
                found.shown += 1;
                found.held += u32::from(low <= truth && truth <= high);
            }
        }
    }
    found
}

const fn queue(
    name: &'static str,
    arrivals: Law,
    service: Law,
    servers: usize,
    load: f64,
) -> Queue {
    Queue { name, arrivals, service, servers, load }
}

fn queues(loads: &[f64]) -> Vec<Queue> {
    let of = |load: &f64| {
        [
            queue("M/M/1", Law::Exponential, Law::Exponential, 1, *load),
            queue("M/D/1", Law::Exponential, Law::Constant, 1, *load),
            queue("D/M/1", Law::Constant, Law::Exponential, 1, *load),
            queue("M/G/8", Law::Exponential, Law::Lognormal(1.0), 8, *load),
            queue("D/G/8", Law::Constant, Law::Lognormal(1.0), 8, *load),
            queue("G/G/1", Law::Hyper(2.0), Law::Lognormal(1.0), 1, *load),
        ]
    };
    loads.iter().flat_map(of).collect()
}

/// Answers that do not queue at all: every request has a server of its own.
fn independent(count: usize, slower: f64, dice: &mut Dice) -> Vec<(f64, f64)> {
    let took = |dice: &mut Dice| 0.05 * slower * dice.draw(Law::Lognormal(0.3));
    (0..count).map(|number| (number as f64 / 5.0, took(dice))).collect()
}

#[test]
fn runs_of_one_queue_are_not_called_different_and_intervals_hold() {
    let mut all = Found::default();
    for (number, queue) in queues(&[0.5, 0.9]).iter().enumerate() {
        for count in [200, 1_000] {
            let found = null_pairs(queue, count, 8, 1_000 * number as u64 + count as u64);
            all.add(&found);
        }
    }
    // 5 % of 192 comparisons are 10; more than 18 come by chance once in a hundred.
    assert!(all.wrong <= 18, "{} of {} comparisons", all.wrong, all.runs);
    let held = f64::from(all.held) / f64::from(all.shown);
    assert!(all.shown > 60 && held >= 0.9, "{} of {} intervals hold", all.held, all.shown);
}

#[test]
fn independent_samples_keep_their_power() {
    let (mut seen, mut judged) = (0, 0);
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let base = run("base", &independent(200, 1.0, &mut dice));
        let new = run("new", &independent(200, 1.2, &mut dice));
        let verdict = compare(&base, &new, &Options::default()).verdict;
        seen += u32::from(verdict == Verdict::Worse);
        judged += u32::from(verdict != Verdict::NotEnoughData);
    }
    // A fifth slower is seen in 99 of 100 such pairs by a test that knows them to be independent.
    assert!(seen >= 36 && judged >= 37, "{seen} seen, {judged} judged of 40");
}

/// How many runs a row of a long experiment has.
fn long() -> u32 {
    std::env::var("RUNNER_THEORY").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

fn share(part: u32, of: u32) -> f64 {
    f64::from(part) / f64::from(of.max(1)) * 100.0
}

#[test]
#[ignore = "minutes: how many intervals hold, for docs/statistics.md"]
fn coverage() {
    println!("| queue | of capacity | requests | runs with an interval | of which hold |");
    println!("|---|---|---|---|---|");
    let (mut shown_in_all, mut held_in_all) = (0, 0);
    for queue in queues(&[0.5, 0.8, 0.9, 0.95]) {
        let truth = queue.truth(50.0);
        for count in [200_u32, 1_000, 4_000] {
            let (mut shown, mut held) = (0, 0);
            for seed in 0..long() {
                let mut dice = Dice::new(u64::from(seed) * 7_919 + u64::from(count) + 1_000_000);
                let requests = queue.draw(count as usize, &mut dice);
                let times: Vec<(u64, u64)> =
                    requests.iter().map(|(at, took)| (ns(*at), ns(*at) + ns(*took))).collect();
                let took: Vec<f64> = requests.iter().map(|(_, took)| *took).collect();
                let dependence = Dependence::of(&took, Some(&in_flight(&times)));
                if let Some([low, high]) = median_interval(&took, &dependence) {
                    shown += 1;
                    held += u32::from(low <= truth && truth <= high);
                }
            }
            let holds = format!("{:.1} %", share(held, shown));
            let holds = if shown * 100 < long() { "–" } else { &holds };
            let shown_in = share(shown, long());
            println!("| {} | {} | {count} | {shown_in:.0} % | {holds} |", queue.name, queue.load);
            (shown_in_all, held_in_all) = (shown_in_all + shown, held_in_all + held);
        }
    }
    let held = share(held_in_all, shown_in_all);
    println!("{held:.1} % of {shown_in_all} intervals hold");
    assert!((92.0..=98.0).contains(&held), "{held}");
}

#[test]
#[ignore = "a minute: power, for docs/statistics.md"]
fn power() {
    println!("| slower by | requests | called worse | least |");
    println!("|---|---|---|---|");
    for (slower, least) in [(1.05, 16.0), (1.1, 73.0), (1.2, 99.0)] {
        let seen = (0..u64::from(long())).filter(|seed| {
            let mut dice = Dice::new(*seed);
            let base = run("base", &independent(200, 1.0, &mut dice));
            let new = run("new", &independent(200, slower, &mut dice));
            compare(&base, &new, &Options::default()).verdict == Verdict::Worse
        });
        let seen = share(u32::try_from(seen.count()).expect("small"), long());
        println!("| {:.0} % | 200 | {seen:.0} % | {least} % |", (slower - 1.0) * 100.0);
    }
}

#[test]
#[ignore = "hours: false verdicts, for docs/statistics.md"]
fn figures() {
    println!("| queue | of capacity | requests | judged | called different | intervals | hold |");
    println!("|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for (number, queue) in queues(&[0.5, 0.8, 0.9, 0.95]).iter().enumerate() {
        for count in [200, 1_000, 4_000] {
            let found = null_pairs(queue, count, long(), 100_000 * number as u64 + count as u64);
            println!(
                "| {} | {} | {count} | {:.0} % | {:.1} % | {:.0} % | {:.1} % |",
                queue.name,
                queue.load,
                share(found.judged, found.runs),
                share(found.wrong, found.runs),
                share(found.shown, 2 * found.runs),
                share(found.held, found.shown),
            );
            worst = worst.max(share(found.wrong, found.runs));
        }
    }
    assert!(worst <= 8.0, "{worst} % of the pairs of some row are called different");
}
