//! How many pairs of runs of one queue are called different, and how many intervals hold the true median:
//! thousands of runs of each queue, so of their series alone. That a comparison of whole runs says the same
//! is held beside ([`super::queueing`]).

use runner::metrics::compare::rank::{Side, apart, holm, mann_whitney, tail};
use runner::metrics::distribution::percentile;
use runner::metrics::effective::{Dependence, in_flight, median_interval, ranks};

use super::figures;
use super::laws::{Dice, Law, Queue};

/// A mean service time, in nanoseconds.
pub const SERVICE_NS: f64 = 1e8;

/// Mean service times in nanoseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "short and positive")]
pub fn ns(times: f64) -> u64 {
    (times * SERVICE_NS) as u64
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

pub fn queues(loads: &[f64]) -> Vec<Queue> {
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

/// The latencies of a run, in milliseconds.
pub struct Series {
    in_time: Vec<f64>,
    sorted: Vec<f64>,
    dependence: Dependence,
}

impl Series {
    /// Of requests given as (arrival, time taken), in mean service times.
    pub fn new(requests: &[(f64, f64)]) -> Self {
        let times: Vec<(u64, u64)> =
            requests.iter().map(|(at, took)| (ns(*at), ns(*at) + ns(*took))).collect();
        let in_time: Vec<f64> = requests.iter().map(|(_, took)| ns(*took) as f64 / 1e6).collect();
        let dependence = Dependence::of(&in_time, Some(&in_flight(&times, &times)));
        let mut sorted = in_time.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { in_time, sorted, dependence }
    }

    pub fn interval(&self) -> Option<[f64; 2]> {
        median_interval(&self.in_time, &self.dependence)
    }

    /// Whether it is long enough to be compared at its median.
    pub fn is_judged(&self) -> bool {
        self.side(50.0).is_some()
    }

    /// How many requests would do.
    pub fn needed(&self) -> Option<u64> {
        self.dependence.needed(50.0)
    }

    fn side(&self, percent: f64) -> Option<Side<'_>> {
        let scores: Vec<f64> = if percent > 50.0 {
            let limit = percentile(&self.sorted, percent)?;
            self.in_time.iter().map(|took| f64::from(u8::from(*took > limit))).collect()
        } else {
            ranks(&self.in_time)
        };
        let weight = self.dependence.weigh(percent, &scores)?;
        Some(Side { sorted: &self.sorted, weight })
    }
}

/// A test: the chance that it would find so much where nothing differs, its weight, and whether the change found
/// is 5 % or more.
type Test = (f64, f64, bool);

/// The tests of two runs of a stage: in TTFT and E2E, which are equal where an answer is one token, at p50, p95
/// and p99.
fn tests(base: &Series, new: &Series) -> Vec<Test> {
    let mut tests = Vec::new();
    for (percent, weight) in [(50.0, 2.0), (95.0, 1.0), (99.0, 1.0)] {
        let p = match base.side(percent).zip(new.side(percent)) {
            Some((left, right)) if percent > 50.0 => tail(left, right, percent),
            Some((left, right)) => mann_whitney(left, right).map(|found| found.p),
            None if percent > 50.0 => None,
            None => apart(&base.in_time, &new.in_time),
        };
        let Some(p) = p else { continue };
        let at = |series: &Series| percentile(&series.sorted, percent).expect("samples");
        let change = at(new) / at(base) - 1.0;
        tests.extend([(p, weight, change.abs() >= 0.05); 2]);
    }
    tests
}

/// Whether any of all the tests of a comparison finds a difference.
fn differs(tests: &[Test]) -> bool {
    let weighted: Vec<(f64, f64)> = tests.iter().map(|(p, weight, _)| (*p, *weight)).collect();
    holm(&weighted).iter().zip(tests).any(|(p, (_, _, matters))| *p < 0.05 && *matters)
}

/// Whether two runs of a stage are compared at all, and whether they are called different.
pub fn compared(base: &Series, new: &Series) -> (bool, bool) {
    let tests = tests(base, new);
    (tests.iter().any(|(p, ..)| *p < 1.0), differs(&tests))
}

/// Stages of a comparison of many.
pub const STAGES: usize = 24;

/// Whether two runs of so many stages, each given by its requests in either run, are called different: in any of
/// them, and where each stage is tested as if it were alone.
pub fn family(stages: &[[Vec<(f64, f64)>; 2]]) -> (bool, bool) {
    let tests: Vec<Vec<Test>> =
        stages.iter().map(|[base, new]| tests(&Series::new(base), &Series::new(new))).collect();
    (differs(&tests.concat()), tests.iter().any(|tests| differs(tests)))
}

/// Requests of [`STAGES`] stages of one thing, in two runs: each answered by a server of its own, with lognormal
/// times.
pub fn same_twice(count: u32, dice: &mut Dice) -> Vec<[Vec<(f64, f64)>; 2]> {
    let mut run = |_| {
        let took = |number| (f64::from(number) * 20.0, dice.draw(Law::Lognormal(0.5)));
        (0..count).map(took).collect()
    };
    (0..STAGES).map(|_| [0, 1].map(&mut run)).collect()
}

/// Of runs of many stages no more are called different than of one, which takes Holm's correction.
#[test]
fn many_stages_are_no_more_often_called_different_than_one() {
    let (mut wrong, mut uncorrected) = (0, 0);
    let families = 80;
    for seed in 0..families {
        let found = family(&same_twice(60, &mut Dice::new(seed)));
        wrong += u64::from(found.0);
        uncorrected += u64::from(found.1);
    }
    // 5 % of 80 are 4; more than 10 come by chance once in three hundred times.
    assert!(wrong <= 10, "{wrong} of {families}");
    assert!(uncorrected >= families / 5, "{uncorrected} of {families} without it");
}

/// Runs too short to say how long they remember lie apart no more often than is promised of them, for
/// any chance that is asked for.
#[test]
fn short_runs_lie_apart_as_seldom_as_is_said() {
    let pairs = 400;
    for queue in queues(&[0.95, 0.98]) {
        for count in [60, 200] {
            let mut dice = Dice::new(count as u64);
            let mut run = || queue.draw(count, &mut dice).iter().map(|(_, took)| *took).collect();
            let found: Vec<f64> = (0..pairs)
                .filter_map(|_| {
                    let (base, new): (Vec<f64>, Vec<f64>) = (run(), run());
                    apart(&base, &new)
                })
                .collect();
            for chance in [0.05, 0.012_5, 0.003] {
                let expected = chance * f64::from(pairs);
                // Three standard errors and one more, of so few.
                let most = expected + 3.0 * expected.sqrt() + 1.0;
                let seen = found.iter().filter(|p| **p <= chance).count() as f64;
                assert!(seen <= most, "{queue:?}, {count} requests: {seen} of {pairs} at {chance}");
            }
        }
    }
}

fn share(part: u32, of: u32) -> f64 {
    f64::from(part) / f64::from(of.max(1)) * 100.0
}

/// A row of the table: that many pairs of runs of a queue, of which `median` is the true one.
fn row(queue: &Queue, median: f64, count: usize, pairs: u32) -> String {
    let truth = median * SERVICE_NS / 1e6;
    let (mut judged, mut wrong, mut shown, mut held) = (0, 0, 0, 0);
    for pair in 0..pairs {
        let mut dice = Dice::new(u64::from(pair) * 7_919 + count as u64);
        let mut run = || Series::new(&queue.draw(count, &mut dice));
        let (base, new) = (run(), run());
        let (is_judged, differs) = compared(&base, &new);
        judged += u32::from(is_judged);
        wrong += u32::from(differs);
        for [low, high] in [&base, &new].into_iter().filter_map(Series::interval) {
            shown += 1;
            held += u32::from(low <= truth && truth <= high);
        }
    }
    let holds = format!("{:.1} %", share(held, shown));
    let shown = share(shown, 2 * pairs);
    format!(
        "| {} at {} | {count} | {:.0} % | {:.1} % | {shown:.1} % | {} |",
        queue.name,
        queue.load,
        share(judged, pairs),
        share(wrong, pairs),
        if shown < 5.0 { "–" } else { &holds },
    )
}

/// A row of the table of many stages: so many comparisons of so many requests a stage.
fn family_row(count: u32, families: u32) -> String {
    let (mut wrong, mut uncorrected) = (0, 0);
    for seed in 0..u64::from(families) {
        let found = family(&same_twice(count, &mut Dice::new(100_000 + seed)));
        wrong += u32::from(found.0);
        uncorrected += u32::from(found.1);
    }
    let (wrong, uncorrected) = (share(wrong, families), share(uncorrected, families));
    format!("| {STAGES} | {count} | {wrong:.1} % | {uncorrected:.1} % |")
}

#[test]
#[ignore = "minutes, optimised: writes its table into docs/statistics.md"]
pub fn figures_of_many_stages() {
    let rows = [60, 200].map(|count| family_row(count, figures::runs(2_000)));
    figures::write("many stages", &rows);
}

#[test]
fn the_documents_verdicts_on_many_stages_are_within_what_is_promised() {
    let rows = figures::read("many stages");
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(figures::number(&row[2]) <= 5.0, "called different: {row:?}");
        assert!(figures::number(&row[3]) > 20.0, "what Holm's correction is for: {row:?}");
    }
}

const COUNTS: [usize; 3] = [200, 1_000, 4_000];
const PAIRS: u32 = 1_000;

#[test]
#[ignore = "minutes, optimised: writes its table into docs/statistics.md"]
pub fn figures_of_queues() {
    let mut rows = Vec::new();
    for queue in queues(&[0.5, 0.8, 0.9, 0.95]) {
        let median = queue.truth(50.0, 500_000);
        for count in COUNTS {
            let row = row(&queue, median, count, figures::runs(PAIRS));
            println!("{row}");
            rows.push(row);
        }
    }
    figures::write("queues", &rows);
}

/// What the document says of all queues is what is promised, and is what this code finds.
#[test]
fn the_documents_verdicts_and_intervals_are_measured_and_within_what_is_promised() {
    let rows = figures::read("queues");
    assert_eq!(rows.len(), 4 * 6 * COUNTS.len());
    for row in rows {
        assert!(figures::number(&row[3]) <= 5.0, "called different: {row:?}");
        // Half of the requests of M/D/1 at 0.5 wait for nobody and take just as long: any interval that
        // reaches up to there holds the median.
        let most = if row[0] == "M/D/1 at 0.5" { 100.0 } else { 97.0 };
        let holds = row[5] == "–" || (93.0..=most).contains(&figures::number(&row[5]));
        assert!(holds, "intervals: {row:?}");
    }
    // Of M/M/1 the median is known, so this row takes no long simulation.
    let queue = queues(&[0.5])[0];
    figures::hold("queues", 2, &row(&queue, queue.truth(50.0, 0), COUNTS[0], PAIRS));
}
