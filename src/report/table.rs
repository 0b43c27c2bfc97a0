//! The table of stages.
//!
//! In: the reported stages. Out: lines of text. Invariants: one unit per column, stated in its
//! head, so that figures can be compared by looking down; where the terminal is too narrow, the
//! least telling columns go first and nothing is cut.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::escape::printable;
use super::look::Look;
use crate::metrics::cache_verdict::agrees;
use crate::metrics::certified::{self, MARK, is_certified};
use crate::metrics::quantity::{grouped, show};
use crate::metrics::summary::{Counts, Distribution, StageSummary, Throughput};
use crate::metrics::token_account::TokenBasis;
use crate::plan::metric::Origin;
use crate::record::{CacheState, FlushState};

/// What stands where there is nothing to say.
const NOTHING: &str = "–";

/// One column; those with the highest `goes` are left out first.
struct Column {
    head: String,
    unit: String,
    right: bool,
    goes: u8,
    cells: Vec<String>,
    /// The percentile in it, of a tail.
    percent: Option<f64>,
}

/// A figure of one stage: its name, when it goes, and for each row its value and whether samples
/// certify it.
type Figures = Vec<NamedFigures>;
type NamedFigures = (String, u8, Vec<Option<(f64, bool)>>);

/// Percentiles that were asked for, and where to get them.
pub struct Percentiles<'a> {
    /// 0 to 100 each.
    pub percents: &'a [f64],
    /// The exact percentile of a stage's metric.
    pub exact: &'a dyn Fn(&StageSummary, &str, f64) -> Option<f64>,
}

/// The table, at most as wide as the terminal if that can be had.
pub(super) fn render(
    stages: &[&StageSummary],
    look: Look,
    percentiles: Option<&Percentiles>,
) -> Vec<String> {
    let mut columns = columns(stages, percentiles);
    loop {
        let lines = draw(&columns, stages.len());
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let last = columns.iter().map(|column| column.goes).max().filter(|goes| *goes > 0);
        match (look.width, last) {
            (Some(width), Some(goes)) if widest > width => {
                columns.retain(|column| column.goes < goes);
            }
            _ => return with_head(lines, &columns, look),
        }
    }
}

fn columns(stages: &[&StageSummary], percentiles: Option<&Percentiles>) -> Vec<Column> {
    let text = |head: &str, goes, cell: fn(&StageSummary) -> String| Column {
        head: head.to_owned(),
        unit: String::new(),
        right: false,
        goes,
        cells: stages.iter().map(|stage| cell(stage)).collect(),
        percent: None,
    };
    let mut columns = vec![
        text("stage", 0, |stage| printable(&stage.label()).into_owned()),
        text("kind", 7, |stage| printable(&stage.kind).into_owned()),
        text("requests", 0, |stage| requests(&stage.counts)),
    ];
    if stages.iter().any(|stage| stage.times_from == Origin::Due) {
        columns.push(text("times", 0, times_from));
    }
    for (head, metric, usual) in [
        ("TTFT", "ttft", &[("p50", 0, P50), ("p95", 3, P95), ("p99", 5, P99)][..]),
        ("TTFO", "ttfo", &[("p50", 1, P50), ("p95", 4, P95)]),
        ("TPOT", "tpot", &[("p50", 2, P50)]),
        ("E2E", "e2e", &[("p50", 1, P50), ("p95", 4, P95)]),
    ] {
        if metric == "ttfo" && !stages.iter().any(|stage| reasons(stage)) {
            continue;
        }
        let figures = match percentiles {
            None => kept(stages, metric, usual),
            Some(asked) => chosen(stages, metric, asked),
        };
        columns.extend(times(head, &figures));
    }
    columns.push(throughput(stages));
    columns.push(text("tokens", 3, |stage| output_source(stage).to_owned()));
    columns.push(text("cache", 0, cache));
    columns.push(took(stages));
    let is_empty = |column: &Column| column.cells.iter().all(|cell| cell.trim_end() == NOTHING);
    columns.retain(|column| !is_empty(column));
    columns
}

/// A figure taken of a distribution.
type Figure = fn(&Distribution) -> f64;
const P50: (f64, Figure) = (50.0, |it| it.p50);
const P95: (f64, Figure) = (95.0, |it| it.p95);
const P99: (f64, Figure) = (99.0, |it| it.p99);

/// Whether its first output came later than its first token: it reasoned before it answered.
fn reasons(stage: &StageSummary) -> bool {
    let both = stage.metrics.get("ttfo").zip(stage.metrics.get("ttft"));
    both.is_some_and(|(ttfo, ttft)| ttfo.count != ttft.count || ttfo.mean > ttft.mean)
}

/// Figures that summaries keep.
fn kept(stages: &[&StageSummary], metric: &str, figures: &[(&str, u8, (f64, Figure))]) -> Figures {
    let of = |(percent, figure): (f64, Figure)| -> Vec<Option<(f64, bool)>> {
        let found = stages.iter().map(|stage| stage.shown(metric));
        found.map(|found| found.map(|it| (figure(it), is_certified(it, percent)))).collect()
    };
    figures.iter().map(|(name, goes, figure)| ((*name).to_owned(), *goes, of(*figure))).collect()
}

/// The percentiles that were asked for; the later ones go first.
fn chosen(stages: &[&StageSummary], metric: &str, asked: &Percentiles) -> Figures {
    let goes = |number: usize| u8::try_from(number.min(6)).unwrap_or(0);
    let of = |percent: f64| {
        stages.iter().map(move |stage| {
            let found = stage.shown(metric)?;
            let metric = stage.times_from.of(metric);
            Some(((asked.exact)(stage, metric, percent)?, is_certified(found, percent)))
        })
    };
    let percents = asked.percents.iter().enumerate();
    percents
        .map(|(number, percent)| (format!("p{percent}"), goes(number), of(*percent).collect()))
        .collect()
}

/// Columns of one metric in one unit; only the first head carries the metric's name.
fn times(head: &str, figures: &Figures) -> Vec<Column> {
    let all = || figures.iter().flat_map(|(_, _, values)| values.iter().flatten().map(|it| it.0));
    let shortest = all().filter(|ms| *ms > 0.0).fold(f64::INFINITY, f64::min);
    let (unit, factor) = time_unit(shortest, all().fold(0.0, f64::max));
    let decimals = decimals(all().map(|ms| ms * factor));
    let column = |(position, (name, goes, values)): (usize, &NamedFigures)| {
        let is_marked = values.iter().flatten().any(|(_, is_certified)| !is_certified);
        // Where one figure has a mark, the others keep its place free.
        let cell = |value: &Option<(f64, bool)>| {
            let mark = match value {
                Some((_, false)) => MARK,
                _ if is_marked => " ",
                _ => "",
            };
            number(value.map(|(ms, _)| ms * factor), decimals) + mark
        };
        let percent = name.strip_prefix('p').and_then(|percent| percent.parse().ok());
        Column {
            head: if position == 0 { format!("{head} {name}") } else { name.clone() },
            unit: format!("{unit}{}", if is_marked { " " } else { "" }),
            right: true,
            goes: *goes,
            cells: values.iter().map(cell).collect(),
            percent: percent.filter(|_| is_marked),
        }
    };
    figures.iter().enumerate().map(column).collect()
}

/// The unit for times from `shortest` to `longest` milliseconds, and what to multiply with: seconds
/// only where the shortest keeps its digits.
fn time_unit(shortest: f64, longest: f64) -> (&'static str, f64) {
    if longest >= 10_000.0 && shortest >= 100.0 {
        ("s", 1e-3)
    } else if longest > 0.0 && longest < 0.5 {
        ("µs", 1e3)
    } else {
        ("ms", 1.0)
    }
}

/// Generated tokens per second; where nobody counted tokens, events, under that name.
fn throughput(stages: &[&StageSummary]) -> Column {
    let rates = || stages.iter().map(|stage| stage.throughput);
    let tokens = || rates().filter_map(|rate| rate.output_tokens_per_second);
    let events = || rates().filter_map(|rate| rate.output_events_per_second);
    let decimals = decimals(tokens().chain(events()));
    let has_both = tokens().next().is_some() && events().next().is_some();
    let cell = |rate: Throughput| match rate.output_events_per_second {
        Some(events) if has_both => format!("{events:.decimals$} events/s"),
        events => number(rate.output_tokens_per_second.or(events), decimals),
    };
    Column {
        head: "output".to_owned(),
        unit: if events().next().is_some() && !has_both { "events/s" } else { "tok/s" }.to_owned(),
        right: true,
        goes: 4,
        cells: rates().map(cell).collect(),
        percent: None,
    }
}

/// Whose counts a stage's figures of generated tokens are.
fn output_source(stage: &StageSummary) -> &'static str {
    let source = stage.tokens.as_ref().and_then(|tokens| tokens.output.source);
    source.map_or(NOTHING, TokenBasis::word)
}

/// Since when its latencies count.
fn times_from(stage: &StageSummary) -> String {
    match stage.times_from {
        _ if stage.counts.ok == 0 => NOTHING.to_owned(),
        Origin::Sent => "from sent".to_owned(),
        Origin::Due => "from due".to_owned(),
    }
}

fn took(stages: &[&StageSummary]) -> Column {
    Column {
        head: "took".to_owned(),
        unit: "s".to_owned(),
        right: true,
        goes: 6,
        cells: stages.iter().map(|stage| format!("{:.1}", stage.duration_s)).collect(),
        percent: None,
    }
}

/// `8 ok`, or `5 ok, 2 failed, 1 cancelled`.
fn requests(counts: &Counts) -> String {
    if counts.planned == 0 {
        return NOTHING.to_owned();
    }
    let rest = [
        (counts.errors, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.dropped_late, "dropped late"),
        (counts.lost_in_flight, "lost"),
        (counts.never_started, "never sent"),
    ];
    let mut parts = vec![format!("{} ok", grouped(counts.ok))];
    parts.extend(
        rest.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", grouped(*n))),
    );
    parts.join(", ")
}

/// `warm 98.4 %`, with the expectation when it was not met: `mixed 40 % (wanted cold)`.
fn cache(stage: &StageSummary) -> String {
    if let Some(flush) = &stage.flush {
        return format!("flush {}", flush_word(flush.state));
    }
    if stage.counts.ok == 0 {
        return NOTHING.to_owned();
    }
    let verdict = stage.cache.verdict;
    let share = match (stage.cache.cached_tokens, stage.cache.prompt_tokens) {
        (Some(cached), Some(prompt)) if prompt > 0 && verdict != CacheState::Unknown => {
            let share = cached as f64 / prompt as f64;
            match verdict {
                _ if agrees(verdict, share) => format!(" {}", show(share, "share")),
                // Of short prompts, the start that all share is a large part.
                CacheState::Cold => " (shared start only)".to_owned(),
                _ => String::new(),
            }
        }
        _ if verdict == CacheState::Unknown => String::new(),
        // By a server that says only whether it had the answer, and not how much of the prompt.
        _ => hit_share(stage)
            .map_or_else(String::new, |share| format!(" {} of requests", show(share, "share"))),
    };
    let missed = stage.cache.expected.filter(|expected| *expected != verdict);
    let wanted = missed.map(|expected| format!(" (wanted {expected})")).unwrap_or_default();
    let whose = if stage.cache.by_counters { " by counters" } else { "" };
    format!("{verdict}{share}{whose}{wanted}")
}

/// Requests served from the cache as a share of those that say whether they were.
fn hit_share(stage: &StageSummary) -> Option<f64> {
    let (hits, judged) = (stage.cache.hit_requests?, stage.cache.judged_requests?);
    (judged > 0).then(|| hits as f64 / judged as f64)
}

/// How a flush ended, as the table and the evidence say it.
pub(super) fn flush_word(state: FlushState) -> &'static str {
    match state {
        FlushState::Proven => "proven",
        FlushState::Unproven => "unproven",
        FlushState::Failed => "FAILED",
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.decimals$}"))
}

/// How many decimals give the smallest figure of a column three digits; the others get as many, so
/// that the points stand below one another.
fn decimals(figures: impl Iterator<Item = f64>) -> usize {
    match figures.filter(|figure| *figure > 0.0).fold(f64::INFINITY, f64::min) {
        smallest if smallest < 1.0 => 3,
        smallest if smallest < 10.0 => 2,
        smallest if smallest < 100.0 => 1,
        _ => 0,
    }
}

fn draw(columns: &[Column], rows: usize) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let aligned = |column: &Column, text: &str| {
        let alignment = if column.right { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(alignment)
    };
    table.set_header(
        columns
            .iter()
            .map(|column| aligned(column, &format!("{}\n{}", column.head, column.unit)))
            .collect::<Vec<Cell>>(),
    );
    for row in 0..rows {
        table.add_row(columns.iter().map(|c| aligned(c, &c.cells[row])).collect::<Vec<Cell>>());
    }
    table.lines().map(|line| format!(" {}", line.trim_end())).collect()
}

/// Sets the two lines of names and units off from the figures.
fn with_head(mut lines: Vec<String>, columns: &[Column], look: Look) -> Vec<String> {
    let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let figures = lines.split_off(lines.len().min(2));
    let rule = format!("  {}", "─".repeat(widest.saturating_sub(2)));
    lines.push(rule);
    let mut marked: Vec<f64> = columns.iter().filter_map(|column| column.percent).collect();
    marked.sort_by(f64::total_cmp);
    marked.dedup();
    let legend =
        (!marked.is_empty()).then(|| look.dim(&format!("  {}", certified::legend(&marked))));
    lines.iter().map(|line| look.dim(line)).chain(figures).chain(legend).collect()
}
