//! Ladders, ramps and searches find the capacity of servers of which it is known: so many requests in
//! service at a time, each of so long. Arrivals and answers are drawn here, event by event, and come to
//! the library as the lines of a record log.

use std::collections::{BTreeMap, BinaryHeap};

use runner::metrics::aggregator::Aggregator;
use runner::metrics::search::{Search, SearchFound, Settings, Step, probe};
use runner::metrics::summary::{RunEnd, RunState, StageSummary, Summary};
use runner::record::{Line, Record};
use serde_json::{Value, json};

use super::figures;
use super::laws::{Dice, Law};
use super::log::{self, line};

/// A server, and how it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub arrivals: Law,
    pub service: Law,
    pub servers: usize,
    /// Requests that a step holds at its server's capacity.
    pub step: f64,
}

impl Setting {
    /// All laws of arrivals and answers, by servers that take few and many at a time.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (name, arrivals) in [("constant", Law::Constant), ("Poisson", Law::Exponential)] {
            for service in [
                Law::Constant,
                Law::Jitter(0.1),
                Law::Jitter(0.5),
                Law::Lognormal(0.5),
                Law::Lognormal(0.8),
            ] {
                for (servers, step) in [(1, 500.0), (8, 1_000.0)] {
                    all.push(Self { name, arrivals, service, servers, step });
                }
            }
        }
        all
    }
}

/// One server, with its luck.
pub struct Server {
    setting: Setting,
    /// Seconds that a request is in service, in the mean.
    service_s: f64,
    dice: Dice,
}

/// What was asked and answered, in seconds: due, ended.
type Times = Vec<(f64, f64)>;

/// Seconds, in order of size.
fn ns(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "short, positive")]
    let ns = (seconds * 1e9) as u64;
    ns
}

impl Server {
    pub fn new(setting: Setting, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // Its capacity is 16 to 64 a second.
        let capacity = 16.0 * 4.0_f64.powf(dice.share());
        Self { setting, service_s: setting.servers as f64 / capacity, dice }
    }

    pub fn capacity(&self) -> f64 {
        self.setting.servers as f64 / self.service_s
    }

    /// From now on a step lasts so many seconds.
    pub fn lasts(&mut self, step_s: f64) {
        self.setting.step = step_s * self.capacity();
    }

    /// How long a step lasts.
    fn step_s(&self) -> f64 {
        self.setting.step / self.capacity()
    }

    /// Requests at a rate for a step, served in order.
    fn open(&mut self, rate: f64) -> Times {
        let mut free = Free::new(self.setting.servers);
        let (mut due, mut asked) = (0.0, Times::new());
        if let Law::Exponential = self.setting.arrivals {
            due = self.dice.draw(Law::Exponential) / rate;
        }
        while due < self.step_s() {
            let took = self.service_s * self.dice.draw(self.setting.service);
            asked.push((due, free.serve(due, took)));
            due += self.dice.draw(self.setting.arrivals) / rate;
        }
        asked
    }

    /// So many requests of users who ask as soon as they have an answer.
    fn closed(&mut self, users: usize, requests: usize) -> Times {
        let mut free = Free::new(self.setting.servers);
        let mut asking = Free::new(users);
        let mut asked = Times::new();
        for _ in 0..requests {
            let sent = asking.first();
            let took = self.service_s * self.dice.draw(self.setting.service);
            let ended = free.serve(sent, took);
            asking.put(ended);
            asked.push((sent, ended));
        }
        asked
    }
}

/// When each of some servers (or users) is free again, in nanoseconds so that they have an order.
struct Free(BinaryHeap<std::cmp::Reverse<u64>>);

impl Free {
    fn new(count: usize) -> Self {
        Self(std::iter::repeat_n(std::cmp::Reverse(0), count).collect())
    }

    fn first(&mut self) -> f64 {
        self.0.pop().expect("somebody is there").0 as f64 / 1e9
    }

    fn put(&mut self, at: f64) {
        self.0.push(std::cmp::Reverse(ns(at)));
    }

    /// When a request that comes then has been served.
    fn serve(&mut self, at: f64, took: f64) -> f64 {
        let ended = self.first().max(at) + took;
        self.put(ended);
        ended
    }
}

/// A run whose stages are written one by one.
pub struct Run {
    aggregator: Aggregator,
    record: Record,
    now_ns: u64,
}

impl Run {
    pub fn new() -> Self {
        let mut aggregator = Aggregator::new();
        aggregator.line(&line(json!({
            "type": "run", "record_version": 1, "run_id": "r", "plan": "p", "plan_hash": "0",
            "started_at": "2026-01-01T00:00:00Z", "seed": 1, "simulated": false,
            "runner_version": "0"
        })));
        Self { aggregator, record: log::record(), now_ns: 1_000_000_000 }
    }

    /// A level: `start` says what its stage has beside the usual.
    fn level(&mut self, rung: f64, mut start: Value, asked: &Times) -> StageSummary {
        let usual = json!({
            "type": "stage_start", "stage": "s", "rung": rung, "endpoint": "e", "model": "m",
            "planned": asked.len(), "reported": true, "at_ns": self.now_ns
        });
        let usual = usual.as_object().expect("an object").clone();
        start.as_object_mut().expect("an object").extend(usual);
        self.aggregator.line(&line(start));
        let mut by_end: Vec<(usize, u64, u64)> = asked
            .iter()
            .enumerate()
            .map(|(index, (due, ended))| (index, self.now_ns + ns(*due), self.now_ns + ns(*ended)))
            .collect();
        by_end.sort_by_key(|(_, _, ended)| *ended);
        // Before any ends, or the most under way at once would not be known.
        for (index, due, _) in &by_end {
            self.aggregator.line(&line(json!({
                "type": "start", "stage": "s", "rung": rung, "index": index, "due_ns": due,
                "sent_ns": due
            })));
        }
        for (index, due, ended) in by_end {
            self.now_ns = self.now_ns.max(ended);
            let asked = log::Asked { due, sent: due, end: ended };
            let record = Record { rung: Some(rung), ..log::ended(&self.record, index, &asked) };
            self.aggregator.line(&Line::End(Box::new(record)));
        }
        let end = line(json!({
            "type": "stage_end", "stage": "s", "rung": rung, "state": "completed",
            "planned": asked.len(), "at_ns": self.now_ns + 1
        }));
        self.now_ns += 10_000_000;
        self.aggregator.line(&end).expect("a stage that ended").clone()
    }

    /// A step at a rate.
    pub fn at_rate(
        &mut self,
        kind: &str,
        rate: f64,
        server: &mut Server,
        search: Option<Value>,
    ) -> StageSummary {
        let arrival = match server.setting.arrivals {
            Law::Exponential => "poisson",
            _ => "constant",
        };
        let mut load = json!({
            "target_rate": rate, "arrival": { "process": arrival },
            "duration_ms": server.step_s() * 1e3
        });
        if let Some(search) = search {
            load["search"] = search;
        }
        self.level(rate, json!({ "kind": kind, "load": load }), &server.open(rate))
    }

    fn finish(mut self) -> Summary {
        self.aggregator.finish(&RunEnd::new(RunState::Finished))
    }
}

/// What the runs of a kind came to.
#[derive(Default)]
struct Found {
    runs: f64,
    /// Runs that found a limit.
    told: f64,
    /// Those that found one figure and not only an interval.
    figures: f64,
    /// The capacity found, over the true one less 1, summed.
    off: f64,
    /// Those whose interval holds the truth.
    held: f64,
    /// The relative width of the intervals, summed.
    width: f64,
    /// Advice above the true capacity.
    too_high: f64,
}

impl Found {
    fn add(&mut self, estimate: Option<f64>, interval: Option<(f64, f64)>, truth: f64) {
        self.runs += 1.0;
        let Some((low, high)) = interval else { return };
        self.told += 1.0;
        if let Some(estimate) = estimate {
            self.figures += 1.0;
            self.off += estimate / truth - 1.0;
        }
        self.held += f64::from(u8::from(low <= truth * 1.001 && truth * 0.999 <= high));
        self.width += (high - low) / truth;
    }

    fn advise(&mut self, advice: Option<(f64, f64)>, truth: f64) {
        self.too_high += f64::from(u8::from(advice.is_some_and(|(_, high)| high > truth)));
    }

    fn bias(&self) -> f64 {
        self.off / self.figures.max(1.0)
    }

    fn coverage(&self) -> f64 {
        self.held / self.told.max(1.0)
    }

    fn row(&self) -> String {
        let percent = |share: f64| share * 100.0;
        let off = if self.figures > 0.0 {
            format!("{:+.1} %", percent(self.bias()))
        } else {
            "–".to_owned()
        };
        format!(
            "{:.0} of {:.0} | {off} | {:.0} % | {:.1} % | {:.0} |",
            self.told,
            self.runs,
            percent(self.coverage()),
            percent(self.width / self.told.max(1.0)),
            self.too_high,
        )
    }

    fn join(&mut self, other: &Self) {
        self.runs += other.runs;
        self.told += other.told;
        self.figures += other.figures;
        self.off += other.off;
        self.held += other.held;
        self.width += other.width;
        self.too_high += other.too_high;
    }
}

/// A ladder of rungs a third apart, from below a third of the capacity to well above it: the levels
/// between which the limit lies, and the most that was answered.
fn ladder(setting: Setting, seed: u64) -> (Found, Found) {
    let mut server = Server::new(setting, seed);
    let truth = server.capacity();
    let mut run = Run::new();
    let ratio = 4.0_f64 / 3.0;
    // Where the levels lie goes evenly through all places from seed to seed (by the golden ratio), so that
    // few seeds tell as much of it as many drawn at random.
    let mut rate = truth * 0.25 * ratio.powf((seed as f64 * 0.618_034).fract());
    while rate < 2.2 * truth {
        run.at_rate("qps_ladder", rate, &mut server, None);
        rate *= ratio;
    }
    let found = &run.finish().saturation["s"];
    let (mut limit, mut best) = (Found::default(), Found::default());
    let levels = found.sustainable.zip(found.saturated_at);
    limit.add(None, levels, truth);
    limit.advise(found.recommended, truth);
    let capacity = found.best_requests_per_second.filter(|_| found.saturated_at.is_some());
    best.add(capacity, found.best_interval.filter(|_| capacity.is_some()), truth);
    (limit, best)
}

/// A ramp of users to four times as many as are served at once.
fn ramp(setting: Setting, seed: u64) -> Found {
    let mut server = Server::new(setting, seed);
    let truth = server.capacity();
    let mut run = Run::new();
    for users in [1, 2, 4, 8].map(|times| times * setting.servers) {
        let requests = (20 * users).max(100);
        let start = json!({ "kind": "concurrency_ramp", "load": {}, "concurrency": users });
        run.level(users as f64, start, &server.closed(users, requests));
    }
    let found = &run.finish().saturation["s"];
    let mut best = Found::default();
    best.add(found.best_requests_per_second, found.best_interval, truth);
    best
}

fn search(setting: Setting, seed: u64) -> Found {
    let mut server = Server::new(setting, seed);
    let truth = server.capacity();
    let found = searched(&mut server);
    let mut all = Found::default();
    all.add(found.best, found.interval.filter(|_| found.best.is_some()), truth);
    all.advise(found.recommended, truth);
    all
}

/// What a search finds from well below the capacity on.
pub fn searched(server: &mut Server) -> SearchFound {
    let truth = server.capacity();
    let mut run = Run::new();
    let mut line = json!({
        "probe": 0, "whole": false, "from": truth * (0.1 + 0.2 * server.dice.share()),
        "to": 20.0 * truth, "tolerance": 0.05, "confirmations": 2, "max_probes": 40,
        "location": "plan.yaml:1:1"
    });
    let settings: runner::record::SearchLine =
        serde_json::from_value(line.clone()).expect("a line");
    let mut search = Search::new(Settings::from(&settings), Vec::new());
    while let Step::Probe(rate) = search.next() {
        line["probe"] = search.history().len().into();
        let summary = run.at_rate("search", rate, server, Some(line.clone()));
        search.observe(probe(&summary, 0).expect("a probe"));
    }
    run.finish().searches.remove("s").expect("what was found")
}

fn sum<T>(seeds: std::ops::Range<u64>, mut of: impl FnMut(u64) -> T, add: impl Fn(&mut T, &T)) -> T
where
    T: Default,
{
    seeds.fold(T::default(), |mut all, seed| {
        add(&mut all, &of(seed));
        all
    })
}

#[test]
fn ladders_and_ramps_find_the_capacity_of_servers_that_have_one() {
    let (mut limits, mut ladders, mut ramps) =
        (Found::default(), Found::default(), Found::default());
    for (number, setting) in (0..).zip(Setting::all()) {
        // Other luck, and other levels, for every setting.
        for seed in [number, number + 100] {
            let (limit, best) = ladder(setting, seed);
            limits.join(&limit);
            ladders.join(&best);
            ramps.join(&ramp(setting, seed));
        }
    }
    assert!(limits.coverage() >= 0.95 && limits.too_high < 1.0, "{}", limits.row());
    for found in [&limits, &ladders, &ramps] {
        assert!(found.told > 0.95 * found.runs, "{}", found.row());
    }
    for found in [&ladders, &ramps] {
        assert!(found.bias().abs() <= 0.02 && found.coverage() >= 0.9, "{}", found.row());
    }
}

#[test]
fn searches_find_the_capacity_and_say_how_surely() {
    let mut all = Found::default();
    for (number, setting) in (0..).zip(Setting::all()) {
        all.join(&search(setting, number));
    }
    // Of 20 intervals that hold with 95 %, fewer than 17 hold once in sixty times.
    assert!(all.told >= 19.0 && all.held >= 17.0, "{}", all.row());
    assert!(all.bias().abs() <= 0.03 && all.too_high < 1.0, "{}", all.row());
}

#[test]
#[ignore = "minutes: writes its table into docs/statistics.md"]
fn figures_of_capacity() {
    let seeds = u64::from(figures::runs(60));
    let mut rows = Vec::new();
    let mut all: BTreeMap<&str, Found> = BTreeMap::new();
    for setting in Setting::all() {
        let Setting { name, service, servers, .. } = setting;
        let mut row = |what: &'static str, found: &Found| {
            let row = format!("| {what} | {name} | {service} | {servers} | {}", found.row());
            println!("{row}");
            rows.push(row);
            all.entry(what).or_default().join(found);
        };
        let (limit, best) = sum(
            0..seeds,
            |seed| ladder(setting, seed),
            |all, it| {
                all.0.join(&it.0);
                all.1.join(&it.1);
            },
        );
        row("ladder, levels", &limit);
        row("ladder, most answered", &best);
        row("ramp, most answered", &sum(0..seeds, |seed| ramp(setting, seed), Found::join));
        row("search", &sum(0..seeds, |seed| search(setting, seed), Found::join));
    }
    let all = all.iter().map(|(what, found)| format!("| {what} | all | | | {}", found.row()));
    let rows: Vec<String> = all.chain(rows).collect();
    figures::write("capacity", &rows);
}

/// What the document says of all settings is what is promised.
#[test]
fn the_documents_capacities_are_within_what_is_promised() {
    let rows = figures::read("capacity");
    let kinds = ["ladder, levels", "ladder, most answered", "ramp, most answered", "search"];
    assert_eq!(rows.len(), kinds.len() * (Setting::all().len() + 1));
    for row in rows {
        let figure = |place: usize| figures::number(&row[place]);
        // Levels are an interval and no more.
        let is_levels = row[0] == kinds[0] && row[5] == "–";
        assert!(is_levels || figure(5).abs() <= 2.0, "off by: {row:?}");
        assert!(figure(8) < 1.0, "advice above capacity: {row:?}");
        assert!(figure(6) >= 90.0, "intervals: {row:?}");
    }
}
