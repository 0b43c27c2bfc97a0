//! Two runs of one thing are not called different, and an interval holds the truth, however long the
//! queue; and independent samples lose no power by that.

use runner::metrics::compare::evidence::{Collector, Evidence};
use runner::metrics::compare::{Options, Verdict, compare};
use runner::metrics::summary::{RunEnd, RunState};
use runner::record::{ErrorInfo, Line, OutcomeKind};
use serde_json::json;

use super::figures;
use super::laws::{Dice, Law, Queue};
use super::log::{self, Asked};
use super::queues::{SERVICE_NS, Series, compared, ns, queues};

/// A run of one stage with these requests: (arrival, time taken), in mean service times.
pub fn run(id: &str, requests: &[(f64, f64)]) -> Evidence {
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
    /// Comparisons that saw a difference.
    wrong: u32,
    /// Medians with an interval, and intervals that hold the true median.
    shown: u32,
    held: u32,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.wrong += other.wrong;
        self.shown += other.shown;
        self.held += other.held;
    }
}

/// Pairs of runs of one queue, `count` requests each, of which `median` is the true one.
fn null_pairs(queue: &Queue, median: f64, count: usize, pairs: u32, seed: u64) -> Found {
    let truth = median * SERVICE_NS / 1e6;
    let mut found = Found::default();
    for pair in 0..pairs {
        let mut dice = Dice::new(seed + u64::from(pair));
        let drawn = [queue.draw(count, &mut dice), queue.draw(count, &mut dice)];
        let (base, new) = (run("base", &drawn[0]), run("new", &drawn[1]));
        let verdict = compare(&base, &new, &Options::default()).verdict;
        // The long experiment draws no whole runs; it says the same of them.
        let series = drawn.map(|requests| Series::new(&requests));
        let (_, differs) = compared(&series[0], &series[1]);
        assert_eq!(
            differs,
            matches!(verdict, Verdict::Better | Verdict::Worse),
            "{queue:?} {pair}"
        );
        for (side, series) in [&base, &new].into_iter().zip(&series) {
            let interval = side.summary.stages[0].metrics["ttft"].p50_interval;
            assert_eq!(interval, series.interval(), "{queue:?} {pair}");
        }
        found.runs += 1;
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

/// Answers that do not queue at all: every request has a server of its own.
pub fn independent(count: usize, slower: f64, dice: &mut Dice) -> Vec<(f64, f64)> {
    let took = |dice: &mut Dice| 0.05 * slower * dice.draw(Law::Lognormal(0.3));
    (0..count).map(|number| (number as f64 / 5.0, took(dice))).collect()
}

#[test]
fn runs_of_one_queue_are_not_called_different_and_intervals_hold() {
    let mut all = Found::default();
    for (number, queue) in queues(&[0.5, 0.9]).iter().enumerate() {
        let median = queue.truth(50.0, 40_000);
        for count in [200, 1_000] {
            let seed = 1_000 * number as u64 + count as u64;
            let found = null_pairs(queue, median, count, 8, seed);
            all.add(&found);
        }
    }
    // 5 % of 192 comparisons are 10; more than 18 come by chance once in a hundred.
    assert!(all.wrong <= 18, "{} of {} comparisons", all.wrong, all.runs);
    let held = f64::from(all.held) / f64::from(all.shown);
    assert!(all.shown > 5 && held >= 0.85, "{} of {} intervals hold", all.held, all.shown);
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

fn share(part: u32, of: u32) -> f64 {
    f64::from(part) / f64::from(of.max(1)) * 100.0
}

/// A row of the table of power: how many of `PAIRS` pairs are called worse.
fn power(slower: f64, least: f64) -> String {
    const PAIRS: u32 = 200;
    let seen = (0..u64::from(PAIRS)).filter(|seed| {
        let mut dice = Dice::new(*seed);
        let base = run("base", &independent(200, 1.0, &mut dice));
        let new = run("new", &independent(200, slower, &mut dice));
        compare(&base, &new, &Options::default()).verdict == Verdict::Worse
    });
    let seen = share(u32::try_from(seen.count()).expect("small"), PAIRS);
    format!("| {:.0} % | 200 | {seen:.1} % | {least} % |", (slower - 1.0) * 100.0)
}

/// How much slower, and what share of the pairs must be called worse.
const POWER: [(f64, f64); 3] = [(1.05, 16.0), (1.1, 73.0), (1.2, 99.0)];

#[test]
fn the_documents_power_is_measured_and_not_below_what_is_promised() {
    let (slower, least) = POWER[1];
    figures::hold("power", 2, &power(slower, least));
    let rows = figures::read("power");
    assert_eq!(rows.len(), POWER.len());
    for row in rows {
        assert!(figures::number(&row[2]) >= figures::number(&row[3]), "{row:?}");
    }
}

#[test]
#[ignore = "seconds: writes its table into docs/statistics.md"]
fn figures_of_power() {
    figures::write("power", &POWER.map(|(slower, least)| power(slower, least)));
}

/// A run of `count` requests to a server of one place at all it can, that turns away whoever finds `most` there.
fn turned_away(id: &str, count: usize, most: usize, dice: &mut Dice) -> Evidence {
    let (mut now, mut ends) = (0.0, std::collections::VecDeque::<f64>::new());
    let mut asked = Vec::new();
    let mut refused = std::collections::BTreeSet::new();
    for number in 0..count + 1_000 {
        now += dice.draw(Law::Exponential);
        while ends.front().is_some_and(|end| *end <= now) {
            ends.pop_front();
        }
        let is_full = ends.len() >= most;
        let free = ends.back().copied().unwrap_or(now).max(now);
        let end = if is_full { now } else { free + dice.draw(Law::Exponential) };
        if !is_full {
            ends.push_back(end);
        }
        let Some(index) = number.checked_sub(1_000) else { continue };
        if is_full {
            refused.insert(index as u64);
        }
        asked.push(Asked { due: ns(now), sent: ns(now), end: ns(end) });
    }
    let mut collector = Collector::new(&["ttft", "e2e"]);
    log::lines(id, &asked, json!({}), |line| match line {
        Line::End(record) if refused.contains(&record.index) => {
            let mut failed = record.clone();
            failed.outcome = OutcomeKind::Http;
            let (class, message) = ("http.429".into(), "busy".into());
            failed.error = Some(ErrorInfo { class, message, raw: None });
            (failed.first_token_ns, failed.last_token_ns) = (None, None);
            failed.token_ns.clear();
            collector.line(&Line::End(failed));
        }
        line => collector.line(line),
    });
    collector.finish(id.to_owned(), None, &RunEnd::new(RunState::Finished))
}

#[test]
fn failures_of_a_full_queue_follow_one_another_and_are_not_called_different() {
    let (mut wrong, mut least) = (0, u64::MAX);
    for pair in 0..40 {
        let mut dice = Dice::new(70_000 + pair);
        let [base, new] = ["base", "new"].map(|id| turned_away(id, 1_000, 20, &mut dice));
        let found = compare(&base, &new, &Options::default());
        let errors = found.stages[0].differences.iter().find(|it| it.metric == "error_rate");
        let errors = errors.expect("some were turned away");
        wrong += u32::from(matches!(errors.verdict, Some(Verdict::Better | Verdict::Worse)));
        least = least.min(base.summary.stages[0].counts.errors);
    }
    assert!(least > 0, "a pair without failures says nothing");
    assert!(wrong <= 4, "{wrong} of 40 pairs of one queue are called different");
}
