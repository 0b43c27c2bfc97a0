//! The lengths that are told where nothing can be: a run, or a step, as long as that mostly tells. Each is
//! followed, by other requests of the same queue.

use runner::metrics::compare::{Options, Verdict, compare};
use runner::metrics::pace::KeepingUp;
use runner::metrics::search::Reason;

use super::capacity::{Run, Server, Setting, searched};
use super::figures;
use super::laws::{Dice, Law, Queue};
use super::queueing::{independent, run};
use super::queues::{Series, queues};

/// What came of questions that could not be answered.
#[derive(Default, Clone, Copy)]
struct Found {
    asked: u32,
    /// Those that could not be answered.
    open: u32,
    /// Those of them that were told a length…
    told: u32,
    /// …which did.
    did: u32,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.open += other.open;
        self.told += other.told;
        self.did += other.did;
    }

    fn share(&self) -> f64 {
        f64::from(self.did) / f64::from(self.told.max(1))
    }

    fn cells(&self) -> String {
        let percent = |part: u32, of: u32| match of {
            0 => "–".to_owned(),
            _ => format!("{:.0} %", f64::from(part) / f64::from(of) * 100.0),
        };
        // Of fewer a share would say little.
        let did = if self.told < 20 { "–".to_owned() } else { percent(self.did, self.told) };
        format!("{} | {} | {did} |", percent(self.open, self.asked), percent(self.told, self.open))
    }
}

/// Pairs of runs of `count` requests, which are compared at the median; where they can't be, two of as many as
/// they are told.
fn pairs(queue: &Queue, count: usize, pairs: u32) -> Found {
    let mut found = Found { asked: pairs, ..Found::default() };
    for pair in 0..pairs {
        let mut dice = Dice::new(u64::from(pair) * 6_007 + count as u64);
        let mut both = |count| [(); 2].map(|()| Series::new(&queue.draw(count, &mut dice)));
        let [base, new] = both(count);
        if base.is_judged() && new.is_judged() {
            continue;
        }
        found.open += 1;
        let Some((base, new)) = base.needed().zip(new.needed()) else { continue };
        found.told += 1;
        let longer = both(usize::try_from(base.max(new)).expect("a count"));
        found.did += u32::from(longer.iter().all(Series::is_judged));
    }
    found
}

/// Steps of `count` requests at a share of what a server can, from when it is empty; where it can't be told whether
/// it keeps up, one as long as is told.
fn steps(queue: &Queue, count: f64, steps: u32) -> Found {
    let mut found = Found { asked: steps, ..Found::default() };
    for seed in 0..steps {
        let setting = Setting {
            name: queue.name,
            arrivals: queue.arrivals,
            service: queue.service,
            servers: queue.servers,
            step: count / queue.load,
        };
        let mut server = Server::new(setting, u64::from(seed));
        let rate = queue.load * server.capacity();
        let mut run = Run::new();
        let mut step = |server: &mut Server| {
            run.at_rate("qps_ladder", rate, server, None).load.expect("a load")
        };
        let load = step(&mut server);
        if load.keeping_up != Some(KeepingUp::Unclear) {
            continue;
        }
        found.open += 1;
        let Some(needed_s) = load.needed_s else { continue };
        found.told += 1;
        server.lasts(needed_s);
        found.did += u32::from(step(&mut server).keeping_up != Some(KeepingUp::Unclear));
    }
    found
}

/// Searches with steps that hold so many requests at a server's capacity; where the limit is not known as closely as
/// asked, one with steps as long as told.
fn searches(queue: &Queue, step: f64, searches: u32) -> Found {
    let mut found = Found { asked: searches, ..Found::default() };
    for seed in 0..searches {
        let (name, arrivals, service) = (queue.name, queue.arrivals, queue.service);
        let setting = Setting { name, arrivals, service, servers: queue.servers, step };
        let mut server = Server::new(setting, u64::from(seed));
        let first = searched(&mut server);
        if first.reason == Some(Reason::Converged) {
            continue;
        }
        found.open += 1;
        let Some(needed_s) = first.needed_s else { continue };
        found.told += 1;
        server.lasts(needed_s);
        found.did += u32::from(searched(&mut server).reason == Some(Reason::Converged));
    }
    found
}

/// Pairs of runs of independent answers that are alike; where that can't be told, two of as many requests as are
/// said to show it.
fn alike(count: usize, pairs: u32) -> Found {
    let mut found = Found { asked: pairs, ..Found::default() };
    for pair in 0..pairs {
        let mut dice = Dice::new(u64::from(pair) + 40_000);
        let mut compared = |count: usize| {
            let [base, new] = [0, 1].map(|_| independent(count, 1.0, &mut dice));
            let found = compare(&run("base", &base), &run("new", &new), &Options::default());
            let differences = found.stages[0].differences.iter();
            let ttft = differences.into_iter().find(|it| it.metric == "ttft").expect("a median");
            (ttft.verdict, ttft.reason.clone())
        };
        let (Some(Verdict::NotEnoughData), reason) = compared(count) else { continue };
        found.open += 1;
        let told = reason.strip_prefix("about ").and_then(|it| it.split(' ').next());
        let Some(told) = told.and_then(|it| it.parse().ok()) else { continue };
        found.told += 1;
        found.did += u32::from(compared(told).0 == Some(Verdict::Same));
    }
    found
}

/// Servers for steps: of few and many places, of equal and widely differing answers.
fn servers(loads: &[f64]) -> Vec<Queue> {
    let mut all = queues(loads);
    all.retain(|queue| ["M/M/1", "M/D/1", "M/G/8", "D/G/8"].contains(&queue.name));
    for queue in all.iter_mut().filter(|queue| queue.name == "D/G/8") {
        // Requests that take much longer than a step of few of them lasts.
        (queue.name, queue.arrivals, queue.servers) = ("M/G/100", Law::Exponential, 100);
    }
    all
}

#[test]
fn runs_as_long_as_told_can_mostly_be_compared() {
    let mut all = Found::default();
    for queue in queues(&[0.5]) {
        for count in [500, 1_000] {
            all.add(&pairs(&queue, count, 10));
        }
    }
    assert!(all.told >= 25 && all.share() >= 0.8, "{}", all.cells());
    // Too little was seen of a server at 0.9 of what it can to tell any length.
    let few = pairs(&queues(&[0.9])[0], 200, 40);
    assert!(few.open == 40 && few.told <= 2, "{}", few.cells());
}

#[test]
fn steps_as_long_as_told_mostly_tell_whether_a_server_keeps_up() {
    let mut all = Found::default();
    for queue in servers(&[0.5, 0.8, 1.2]) {
        all.add(&steps(&queue, 100.0, 6));
    }
    assert!(all.told >= 20 && all.share() >= 0.8, "{}", all.cells());
}

#[test]
fn searches_with_steps_as_long_as_told_mostly_find_the_limit_as_closely_as_asked() {
    let all = searches(&servers(&[0.5])[1], 500.0, 12);
    // By the square-root law alone about half of them do; the table of the document has more seeds.
    assert!(all.told >= 10 && all.share() >= 0.75, "{} of {}", all.did, all.told);
}

#[test]
fn runs_as_long_as_told_mostly_show_that_they_are_alike() {
    let found = alike(60, 10);
    assert!(found.told >= 8 && found.share() >= 0.8, "{}", found.cells());
}

#[test]
#[ignore = "minutes, optimised: writes its table into docs/statistics.md"]
fn figures_of_search_lengths() {
    let all = servers(&[0.5]);
    let rows = all[..3].iter().flat_map(|queue| SEARCHES.map(|step| (*queue, step)));
    let number = figures::runs(60);
    let rows: Vec<String> = rows
        .map(|(queue, step)| {
            let found = searches(&queue, step, number);
            format!("| {} | {step:.0} | {}", queue.name, found.cells())
        })
        .collect();
    figures::write("search lengths", &rows);
}

#[test]
#[ignore = "minutes: writes its table into docs/statistics.md"]
fn figures_of_likeness_lengths() {
    let rows =
        ALIKE.map(|count| format!("| {count} | {}", alike(count, figures::runs(100)).cells()));
    figures::write("likeness lengths", &rows);
}

const SEARCHES: [f64; 3] = [100.0, 200.0, 500.0];
const ALIKE: [usize; 3] = [60, 120, 200];
const RUNS: [usize; 5] = [200, 500, 1_000, 2_000, 4_000];
const STEPS: [f64; 4] = [50.0, 100.0, 200.0, 500.0];

/// A row for each queue and count, and before them one for all.
fn table(name: &str, rows: impl IntoIterator<Item = (Queue, String, Found)>) {
    let mut all = Found::default();
    let mut lines = Vec::new();
    for (queue, count, found) in rows {
        all.add(&found);
        let line = format!("| {} at {} | {count} | {}", queue.name, queue.load, found.cells());
        println!("{line}");
        lines.push(line);
    }
    lines.insert(0, format!("| all | | {}", all.cells()));
    figures::write(name, &lines);
}

#[test]
#[ignore = "minutes, optimised: writes its table into docs/statistics.md"]
pub fn figures_of_run_lengths() {
    let all = queues(&[0.5, 0.7, 0.8, 0.9]);
    let counts = all.iter().flat_map(|queue| RUNS.map(|count| (*queue, count)));
    let number = figures::runs(200);
    let rows =
        counts.map(|(queue, count)| (queue, count.to_string(), pairs(&queue, count, number)));
    table("run lengths", rows);
}

#[test]
#[ignore = "minutes, optimised: writes its table into docs/statistics.md"]
pub fn figures_of_step_lengths() {
    let all = servers(&[0.5, 0.7, 0.8, 0.9, 1.2]);
    let counts = all.iter().flat_map(|queue| STEPS.map(|count| (*queue, count)));
    let number = figures::runs(100);
    let rows =
        counts.map(|(queue, count)| (queue, format!("{count:.0}"), steps(&queue, count, number)));
    table("step lengths", rows);
}

/// What the document says of lengths is what is promised: four of five do, of all and in each row in which
/// a third of those who could not be answered are told one.
#[test]
fn the_documents_lengths_do() {
    let tables = [
        ("run lengths", 6 * 4 * RUNS.len() + 1, 3),
        ("step lengths", 4 * 5 * STEPS.len() + 1, 3),
        ("search lengths", 3 * SEARCHES.len(), 3),
        ("likeness lengths", ALIKE.len(), 2),
    ];
    for (name, rows, told) in tables {
        let table = figures::read(name);
        assert_eq!(table.len(), rows, "{name}");
        for row in table {
            let [told, did] = [told, told + 1].map(|place| &row[place]);
            let is_usual = told != "–" && (row[0] == "all" || figures::number(told) >= 33.0);
            assert!(!is_usual || did == "–" || figures::number(did) >= 80.0, "{name}: {row:?}");
        }
    }
}
