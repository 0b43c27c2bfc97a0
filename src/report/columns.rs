//! What the tables of a report show of stages, and of the levels of a ladder.
//!
//! In: reported stages. Out: [`Column`]s. Invariant: every figure is the summary's own; how many requests
//! failed, were cut or were not sent stands in every table of stages that has any.

use super::escape::printable;
use super::table::{Column, NOTHING};
use super::view::ladder::{Found, Ladder, Load, Rung};
use crate::metrics::cache_verdict::agrees;
use crate::metrics::certified::{MARK, is_certified};
use crate::metrics::quantity::{grouped, show};
use crate::metrics::summary::{Counts, Distribution, StageSummary, Summary, Throughput};
use crate::metrics::token_account::TokenBasis;
use crate::plan::metric::Origin;
use crate::record::{CacheState, FlushState};
use crate::report::ticks::plain;

/// Percentiles that were asked for, and where to get them.
pub struct Percentiles<'a> {
    /// 0 to 100 each.
    pub percents: &'a [f64],
    /// The exact percentile of a stage's metric.
    pub exact: &'a dyn Fn(&StageSummary, &str, f64) -> Option<f64>,
}

/// Values of one figure, one for each stage, and whether samples certify them.
struct Figures {
    name: String,
    goes: u8,
    values: Vec<Option<(f64, bool)>>,
    percent: f64,
}

/// The columns of stages that have one level of load, or none.
pub(super) fn of_stages(
    stages: &[&StageSummary],
    percentiles: Option<&Percentiles>,
) -> Vec<Column> {
    let cells = |cell: fn(&StageSummary) -> String| stages.iter().map(|it| cell(it)).collect();
    let mut columns = vec![
        Column::words("stage", 0, cells(|stage| printable(&stage.label()).into_owned())),
        Column::words("kind", 10, cells(|stage| printable(&stage.kind).into_owned())),
    ];
    columns.extend(counts(stages, 0));
    columns.push(per_second("req/s", "", 2, stages));
    figures(&mut columns, stages, percentiles);
    columns
}

/// The columns of one ladder, ramp or search, a row for each level.
pub(super) fn of_levels(
    stages: &[&StageSummary],
    summary: &Summary,
    percentiles: Option<&Percentiles>,
) -> Vec<Column> {
    let key = stages.first().map(|stage| stage.key()).unwrap_or_default();
    let saturation = summary.saturation.get(&key).map(Found::Saturation);
    let found = saturation.or_else(|| summary.searches.get(&key).map(Found::Search));
    let ladder = Ladder::new(stages, found);
    let load = ladder.as_ref().map_or(Load::Rate, |ladder| ladder.load);
    let unit = if load == Load::Rate { "req/s" } else { "at a time" };
    let level = |it: Rung| plain(it.level, 4) + &it.number();
    let levels = stages.iter().map(|stage| level(rung(stage)));
    let word = |stage: &&StageSummary| {
        let verdict = ladder.as_ref().map(|ladder| ladder.verdict(&rung(stage)).0);
        verdict.unwrap_or("not sent").to_owned()
    };
    let success = stages.iter().map(|stage| stage.success_rate.map(|share| show(share, "share")));
    let success = success.map(|share| share.unwrap_or_else(|| NOTHING.to_owned()));
    let mut columns = vec![
        Column::numbers("asked", unit, 0, levels.collect()),
        per_second("achieved", "req/s", 0, stages),
        Column::numbers("success", "", 0, success.collect()),
        Column::words("verdict", 0, stages.iter().map(word).collect()),
    ];
    columns.extend(counts(stages, 6));
    figures(&mut columns, stages, percentiles);
    columns
}

fn rung(stage: &StageSummary) -> Rung<'_> {
    Rung { level: stage.rung.unwrap_or_default(), stage }
}

/// A count of requests.
type Count = fn(&Counts) -> u64;

/// How many requests were answered; how many were not, in so many columns as there were ways. Zeros go
/// first where there is little room.
fn counts(stages: &[&StageSummary], goes: u8) -> Vec<Column> {
    let column = |head: &str, unit: &str, goes, of: Count| {
        let of_stage = |stage: &&StageSummary| match stage.counts.planned {
            0 => NOTHING.to_owned(),
            _ => grouped(of(&stage.counts)),
        };
        Column::numbers(head, unit, goes, stages.iter().map(of_stage).collect())
    };
    let any = |of: Count| stages.iter().any(|stage| of(&stage.counts) > 0);
    let mut columns = vec![column("ok", "", goes, |it| it.ok)];
    let errors_go = if any(|it| it.errors) { goes / 3 } else { 3 };
    columns.push(column("err", "", errors_go, |it| it.errors));
    let rest: [(&str, &str, Count); 4] = [
        ("cancelled", "", |it| it.cancelled),
        ("dropped", "late", |it| it.dropped_late),
        ("lost", "", |it| it.lost_in_flight),
        ("never", "sent", |it| it.never_started),
    ];
    for (head, unit, of) in rest.into_iter().filter(|(.., of)| any(*of)) {
        columns.push(column(head, unit, goes / 3, of));
    }
    columns
}

fn per_second(head: &str, unit: &str, goes: u8, stages: &[&StageSummary]) -> Column {
    let rates = || stages.iter().map(|stage| stage.throughput.requests_per_second);
    let decimals = decimals(rates().flatten());
    Column::numbers(head, unit, goes, rates().map(|rate| number(rate, decimals)).collect())
}

/// The columns that all tables have: times, tokens, cache.
fn figures(columns: &mut Vec<Column>, stages: &[&StageSummary], asked: Option<&Percentiles>) {
    let cells = |cell: fn(&StageSummary) -> String| stages.iter().map(|it| cell(it)).collect();
    if stages.iter().any(|stage| stage.times_from == Origin::Due) {
        columns.push(Column::words("from", 1, cells(times_from)));
    }
    for (head, metric, usual) in [
        ("TTFT", "ttft", &[("p50", 0, P50), ("p95", 2, P95), ("p99", 4, P99)][..]),
        ("TTFO", "ttfo", &[("p50", 3, P50), ("p95", 7, P95)]),
        ("TPOT", "tpot", &[("p50", 5, P50)]),
        ("E2E", "e2e", &[("p50", 6, P50), ("p95", 8, P95)]),
    ] {
        if metric == "ttfo" && !stages.iter().any(|stage| reasons(stage)) {
            continue;
        }
        // Of an answer that came whole there is no first token.
        let is_first = metric == "e2e" && !stages.iter().any(|it| it.shown("ttft").is_some());
        let mut figures = match asked {
            None => kept(stages, metric, usual),
            Some(asked) => chosen(stages, metric, asked, usual[0].1),
        };
        figures.iter_mut().filter(|_| is_first).for_each(|it| it.goes = it.goes.saturating_sub(6));
        columns.extend(times(head, &figures));
    }
    columns.push(throughput(stages));
    if let Some(asked) = asked {
        let figures = chosen(stages, "tokens_per_second", asked, 4);
        columns.extend(quantities("each answer", "tok/s", 1.0, &figures));
    }
    columns.push(Column::words("tokens", 9, cells(|stage| output_source(stage).to_owned())));
    let is_asked = |it: &&StageSummary| it.cache.expected.is_some() || it.flush.is_some();
    let cache_goes = if stages.iter().any(is_asked) { 1 } else { 7 };
    columns.push(Column::words("cache", cache_goes, cells(cache)));
    let took = cells(|stage| format!("{:.1}", stage.duration_s));
    columns.push(Column::numbers("took", "s", 9, took));
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
fn kept(
    stages: &[&StageSummary],
    metric: &str,
    figures: &[(&str, u8, (f64, Figure))],
) -> Vec<Figures> {
    let of = |(name, goes, (percent, figure)): &(&str, u8, (f64, Figure))| {
        let found = stages.iter().map(|stage| stage.shown(metric));
        let values = found.map(|it| it.map(|it| (figure(it), is_certified(it, *percent))));
        let (name, values) = ((*name).to_owned(), values.collect());
        Figures { name, goes: *goes, values, percent: *percent }
    };
    figures.iter().map(of).collect()
}

/// The percentiles that were asked for; the later ones go first, all of them from `goes` on.
fn chosen(stages: &[&StageSummary], metric: &str, asked: &Percentiles, goes: u8) -> Vec<Figures> {
    let of = |stage: &&StageSummary, percent: f64| {
        let found = stage.shown(metric)?;
        let metric = stage.times_from.of(metric);
        Some(((asked.exact)(stage, metric, percent)?, is_certified(found, percent)))
    };
    let figures = |(number, percent): (usize, &f64)| Figures {
        name: format!("p{percent}"),
        goes: goes + u8::try_from(number.min(3)).unwrap_or(0),
        values: stages.iter().map(|stage| of(stage, *percent)).collect(),
        percent: *percent,
    };
    asked.percents.iter().enumerate().map(figures).collect()
}

/// Columns of one metric of time in one unit.
fn times(head: &str, figures: &[Figures]) -> Vec<Column> {
    let all = || figures.iter().flat_map(|it| it.values.iter().flatten().map(|it| it.0));
    let shortest = all().filter(|ms| *ms > 0.0).fold(f64::INFINITY, f64::min);
    let (unit, factor) = time_unit(shortest, all().fold(0.0, f64::max));
    quantities(head, unit, factor, figures)
}

/// Columns of one metric; only the first head carries its name.
fn quantities(head: &str, unit: &str, factor: f64, figures: &[Figures]) -> Vec<Column> {
    let all = figures.iter().flat_map(|it| it.values.iter().flatten());
    let decimals = decimals(all.map(|(value, _)| value * factor));
    let column = |(position, Figures { name, goes, values, percent }): (usize, &Figures)| {
        let is_marked = values.iter().flatten().any(|(_, is_certified)| !is_certified);
        // Where one figure has a mark, the others keep its place free.
        let cell = |value: &Option<(f64, bool)>| {
            let mark = match value {
                Some((_, false)) => MARK,
                _ if is_marked => " ",
                _ => "",
            };
            number(value.map(|(value, _)| value * factor), decimals) + mark
        };
        let head = if position == 0 { format!("{head} {name}") } else { name.clone() };
        let unit = format!("{unit}{}", if is_marked { " " } else { "" });
        let cells = values.iter().map(cell).collect();
        Column {
            percent: is_marked.then_some(*percent),
            ..Column::numbers(&head, &unit, *goes, cells)
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
    let unit = if events().next().is_some() && !has_both { "events/s" } else { "tok/s" };
    Column::numbers("output", unit, 3, rates().map(cell).collect())
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
        Origin::Sent => "sent".to_owned(),
        Origin::Due => "due".to_owned(),
    }
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
