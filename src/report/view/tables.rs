//! The tables of a report.
//!
//! In: stages with their numbers and samples. Out: [`Table`]s and facts in words, each number with
//! the value to sort by. Invariant: an absent figure is a dash, never a zero.

mod course;
mod failed;
mod rungs;
mod tail;

pub(super) use self::course::{parts, windows};
pub(super) use self::failed::{errors, failures};
pub(super) use self::rungs::rungs;

use self::tail::{at_most, legend, tail};
use super::{Cell, Check, Column, Fact, Group, Mood, Table, text};
use crate::metrics::quantity::{grouped, show};
use crate::metrics::summary::{Distribution, Judgement, StageSummary, Summary, Throughput};
use crate::metrics::token_account::TokenBasis;
use crate::plan::metric::{METRICS, Origin};
use crate::record::{CacheState, StageStart};
use crate::report::escape::to_the_second;
use crate::report::samples::RunSamples;
use crate::report::ticks::plain;

/// One figure of a distribution, by its name.
type Figure = (&'static str, fn(&Distribution) -> f64);

const FIGURES: [Figure; 7] = [
    ("mean", |figures| figures.mean),
    ("p50", |figures| figures.p50),
    ("p90", |figures| figures.p90),
    ("p95", |figures| figures.p95),
    ("p99", |figures| figures.p99),
    ("min", |figures| figures.min),
    ("max", |figures| figures.max),
];

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None, mood: Mood::Plain }
    }

    fn number(value: Option<f64>, unit: &str) -> Self {
        match value {
            Some(value) => Self { text: show(value, unit), value: Some(value), mood: Mood::Plain },
            None => Self::text("–"),
        }
    }

    fn count(count: u64) -> Self {
        Self { text: grouped(count), value: Some(count as f64), mood: Mood::Plain }
    }

    fn with(self, mood: Mood) -> Self {
        Self { mood, ..self }
    }
}

/// A table whose columns are numbers, except for those whose name begins with `'`.
fn table(columns: &[&str], rows: Vec<Vec<Cell>>) -> Table {
    let column = |name: &&str| match name.strip_prefix('\'') {
        Some(word) => Column { name: word.to_owned(), number: false },
        None => Column { name: (*name).to_owned(), number: true },
    };
    Table { columns: columns.iter().map(column).collect(), legend: legend(&rows), rows }
}

fn figure(stage: &StageSummary, metric: &str, take: fn(&Distribution) -> f64) -> Cell {
    let found = stage.shown(metric);
    Cell::number(found.map(take), found.map_or("", |found| found.unit.as_str()))
}

/// Figures of a stage that stand beside each other in the overview and in ladders.
fn key_figures(stage: &StageSummary) -> Vec<Cell> {
    let failed = stage.counts.planned - stage.counts.ok.min(stage.counts.planned);
    let answered = Cell {
        text: format!("{} / {}", grouped(stage.counts.ok), grouped(stage.counts.planned)),
        value: Some(stage.counts.ok as f64),
        mood: Mood::Plain,
    };
    let success = Cell::number(stage.success_rate, "share");
    let mood = |is_bad| if is_bad { Mood::Bad } else { Mood::Plain };
    vec![
        answered.with(mood(failed > 0)),
        success.with(mood(stage.counts.errors > 0)),
        figure(stage, "ttft", |ttft| ttft.p50),
        tail(stage, "ttft", 95.0, |ttft| ttft.p95),
        tail(stage, "ttft", 99.0, |ttft| ttft.p99),
        figure(stage, "e2e", |e2e| e2e.p50),
        tail(stage, "e2e", 95.0, |e2e| e2e.p95),
        figure(stage, "tpot", |tpot| tpot.p50),
        rate(stage.throughput.requests_per_second),
        token_rate(stage.throughput),
        Cell::text(source(stage, "output_tokens")),
        Cell::text(if stage.times_from == Origin::Due { "from due" } else { "" }),
    ]
}

/// Whose counts a stage's figures of a metric are; nothing for metrics that are not of tokens.
fn source(stage: &StageSummary, metric: &str) -> &'static str {
    let source = stage.tokens.as_ref().and_then(|tokens| tokens.source_of(metric));
    source.map_or("", TokenBasis::word)
}

/// Generated tokens per second; where nobody counted tokens, events, under that name.
fn token_rate(throughput: Throughput) -> Cell {
    match throughput.output_events_per_second {
        None => rate(throughput.output_tokens_per_second),
        events => {
            let events = rate(events);
            Cell { text: format!("{} events/s", events.text), ..events }
        }
    }
}

const KEY_COLUMNS: [&str; 12] = [
    "ok / planned",
    "success",
    "TTFT p50",
    "TTFT p95",
    "TTFT p99",
    "E2E p50",
    "E2E p95",
    "TPOT p50",
    "requests/s",
    "tokens/s",
    "'tokens by",
    TIMES,
];

/// Since when latencies count, where that is not from sent in all rows.
const TIMES: &str = "'times";

fn rate(value: Option<f64>) -> Cell {
    value.map_or_else(
        || Cell::text("–"),
        |value| Cell { text: plain(value, 3), value: Some(value), mood: Mood::Plain },
    )
}

/// Every stage that has requests, in one table; ladders have one of their own once a rung has run.
pub(super) fn overview(groups: &[Group]) -> Table {
    let stages =
        groups.iter().filter(|group| group.ladder.is_none()).flat_map(|group| &group.stages);
    let rows = stages.filter(|stage| stage.counts.planned > 0).map(|stage| {
        let cache = match (stage.cache.expected, stage.cache.verdict) {
            (Some(wanted), found) if wanted == found => Mood::Good,
            (None, _) => Mood::Plain,
            (Some(_), CacheState::Unknown) => Mood::Doubtful,
            (Some(_), _) => Mood::Bad,
        };
        let cells = [Cell::text(text(&stage.label()))].into_iter().chain(key_figures(stage));
        let whose = if stage.cache.by_counters { " by counters" } else { "" };
        let cache = Cell::text(format!("{}{whose}", stage.cache.verdict)).with(cache);
        cells.chain([cache]).collect()
    });
    let columns: Vec<&str> = ["'stage"].into_iter().chain(KEY_COLUMNS).chain(["'cache"]).collect();
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() { Table::default() } else { without_times(table(&columns, rows)) }
}

/// The same without a column that is empty where all times are from sent.
fn without_times(table: Table) -> Table {
    let kept = |at: usize| {
        format!("'{}", table.columns[at].name) != TIMES
            || table.rows.iter().any(|row| !row[at].text.is_empty())
    };
    let kept: Vec<bool> = (0..table.columns.len()).map(kept).collect();
    keep_columns(table, &kept)
}

/// The distributions of a stage.
pub(super) fn metrics(group: &Group) -> Table {
    if group.ladder.is_some() {
        return Table::default();
    }
    let row = |metric: &crate::plan::metric::Metric| {
        let found = group.first().metrics.get(metric.name)?;
        let cells = FIGURES.iter().map(|(_, take)| Cell::number(Some(take(found)), metric.unit));
        let head = [Cell::text(metric.name), Cell::count(found.count)];
        let source = Cell::text(source(group.first(), metric.name));
        Some(head.into_iter().chain(cells).chain([at_most(found), source]).collect())
    };
    let figures = FIGURES.iter().map(|(name, _)| *name);
    let words = ["'at most (99 % confidence)", "'tokens by"];
    let columns: Vec<&str> =
        ["'metric", "samples"].into_iter().chain(figures).chain(words).collect();
    let rows: Vec<_> = METRICS.iter().filter_map(row).collect();
    if rows.is_empty() { Table::default() } else { without_empty(table(&columns, rows)) }
}

/// Everything that was tried to empty the cache.
pub(super) fn attempts(group: &Group) -> Table {
    let Some(flush) = &group.first().flush else { return Table::default() };
    let canary = |state: CacheState, cached: Option<u64>, ttft: Option<f64>| {
        let cached = cached.map_or_else(|| Cell::text("–"), Cell::count);
        [Cell::text(state.to_string()), cached, Cell::number(ttft, "ms")]
    };
    let row = |what: String, answer: String, canary: [Cell; 3]| {
        [Cell::text(what), Cell::text(answer)].into_iter().chain(canary).collect::<Vec<Cell>>()
    };
    let new = canary(CacheState::Cold, None, flush.ttft_cold_ms);
    let repeated = canary(flush.before, flush.cached_tokens, flush.ttft_warm_ms);
    let mut rows = Vec::new();
    if flush.ttft_cold_ms.is_some() {
        rows.push(row("canary, new".into(), String::new(), new));
    }
    rows.push(row("canary, repeated".into(), String::new(), repeated));
    rows.extend(flush.attempts.iter().map(|attempt| {
        let took = if attempt.accepted { "accepted" } else { "refused" };
        let answer = if attempt.detail.is_empty() {
            took.to_owned()
        } else {
            format!("{took}: {}", text(&attempt.detail))
        };
        let after = canary(attempt.after, attempt.cached_tokens, attempt.ttft_ms);
        row(text(&attempt.method), answer, after)
    }));
    table(&["'what was done", "'answer", "'canary after", "cached tokens", "TTFT"], rows)
}

/// Every judged threshold, failed ones first.
pub(super) fn checks(summary: &Summary) -> Vec<Check> {
    let judged = summary
        .stages
        .iter()
        .flat_map(|stage| stage.thresholds.iter().map(move |it| (stage.label_of_checks(), it)));
    let mut checks: Vec<Check> = judged
        .map(|(stage, result)| {
            let (word, mood) = match result.judgement() {
                Judgement::Held => ("pass", Mood::Good),
                Judgement::Failed => ("fail", Mood::Bad),
                Judgement::Warned => ("warn", Mood::Doubtful),
                Judgement::NotMade => ("–", Mood::Plain),
            };
            Check {
                stage: text(&stage),
                check: text(&result.check),
                word,
                mood,
                reason: text(&result.reason),
                location: text(&result.location),
            }
        })
        .collect();
    checks.sort_by_key(|check| match check.mood {
        Mood::Bad => 0,
        Mood::Doubtful => 1,
        Mood::Good | Mood::Plain => 2,
    });
    checks
}

/// Kinds of requests that are sent on the way to a rung, under ids that no plan can write.
const ON_THE_WAY: [&str; 2] = ["settle", "warmup"];

/// The stages as they were asked for; rungs of one stage in one row, and none for requests that are
/// sent on the way to one.
pub(super) fn plan(samples: &RunSamples) -> Table {
    let mut asked: Vec<Asked> = Vec::new();
    for start in samples.stages.iter().map(|stage| &stage.start) {
        let checks = start.thresholds.iter().map(|threshold| text(&threshold.check));
        if ON_THE_WAY.contains(&start.kind.as_str()) {
            continue;
        }
        let known = asked.iter().position(|row| {
            row.start.stage == start.stage && row.start.cell == start.cell && start.rung.is_some()
        });
        let at = known.unwrap_or(asked.len());
        if known.is_none() {
            asked.push(Asked::new(start));
        }
        let Some(row) = asked.get_mut(at) else { continue };
        row.levels.extend(start.rung.map(|rung| plain(rung, 4)));
        row.requests += start.planned;
        for check in checks {
            if !row.checks.contains(&check) {
                row.checks.push(check);
            }
        }
    }
    let columns = ["'stage", "'kind", "'cell", "'endpoint", "'model", "requests", "'thresholds"];
    without_empty(table(&columns, asked.iter().map(Asked::cells).collect()))
}

/// A row of the plan.
struct Asked<'a> {
    start: &'a StageStart,
    levels: Vec<String>,
    requests: u64,
    checks: Vec<String>,
}

impl<'a> Asked<'a> {
    fn new(start: &'a StageStart) -> Self {
        Self { start, levels: Vec::new(), requests: 0, checks: Vec::new() }
    }

    fn cells(&self) -> Vec<Cell> {
        let start = self.start;
        let mut label = text(&start.stage);
        if !self.levels.is_empty() {
            label = format!("{label} @ {}", self.levels.join(", "));
        }
        if !start.reported {
            label.push_str(" (not reported)");
        }
        vec![
            Cell::text(label),
            Cell::text(text(&start.kind)),
            Cell::text(start.cell.as_deref().map(text).unwrap_or_default()),
            Cell::text(text(&start.endpoint)),
            Cell::text(start.model.as_deref().map(text).unwrap_or_default()),
            // Where time or answers decide how many there are, none was planned.
            if self.requests > 0 { Cell::count(self.requests) } else { Cell::text("–") },
            Cell::text(self.checks.join("; ")),
        ]
    }
}

/// The same without columns that say nothing in any row.
fn without_empty(table: Table) -> Table {
    let says = |at: usize| table.rows.iter().any(|row| !row[at].text.is_empty());
    let kept: Vec<bool> = (0..table.columns.len()).map(says).collect();
    keep_columns(table, &kept)
}

fn keep_columns(table: Table, kept: &[bool]) -> Table {
    let rows = table.rows.into_iter().map(|row| keep(row, kept)).collect();
    Table { columns: keep(table.columns, kept), rows, legend: table.legend }
}

/// The cells of a row whose columns are kept.
fn keep<T>(row: Vec<T>, kept: &[bool]) -> Vec<T> {
    row.into_iter().zip(kept).filter_map(|(cell, kept)| kept.then_some(cell)).collect()
}

/// What each metric means.
pub(super) fn definitions() -> Table {
    let rows = METRICS.iter().map(|metric| {
        let better = match metric.lower_is_better {
            Some(true) => "lower",
            Some(false) => "higher",
            None => "–",
        };
        [metric.name, metric.unit, better, metric.definition].map(Cell::text).to_vec()
    });
    table(&["'metric", "'unit", "'better", "'definition"], rows.collect())
}

/// What names the run.
pub(super) fn run_facts(summary: &Summary, samples: &RunSamples) -> Vec<Fact> {
    let run = &summary.run;
    let mut facts: Vec<Fact> = Vec::new();
    facts.push(Fact::new("run", text(&run.id)));
    facts.push(Fact::new("started", to_the_second(&text(&run.started_at))));
    facts.push(Fact::new("seed", run.seed.to_string()));
    if let Some(line) = &samples.run {
        facts.push(Fact::new(
            "plan hash",
            text(&line.plan_hash.chars().take(12).collect::<String>()),
        ));
        facts.push(Fact::new("runner", text(&line.runner_version)));
    }
    facts.push(Fact::new("exit code", summary.verdict.exit_code.to_string()));
    let states = summary.stages.iter().filter(|stage| stage.reason.is_some());
    for stage in states {
        let word = stage.state.word();
        facts.push(Fact::new(text(&stage.label()), word));
    }
    facts
}
