//! One row per stage, cell and rung: the run directory's `summary.csv`, and the sinks `stages` and
//! `sqlite`.
//!
//! In: a summary. Out: counts, rates, cache verdict and, for each distribution of the catalogue, mean
//! and percentiles in the catalogue's unit. Absent figures are empty cells.

use super::csv::cell;
use super::row::{Kind, Value, column_name, word};
use crate::metrics::summary::{Distribution, StageSummary, Summary};
use crate::metrics::token_account::{TokenBasis, TokenSide};
use crate::metrics::verdict;
use crate::plan::metric::METRICS;

/// One column: its name, its type and what stands in it.
pub(super) type Column =
    (&'static str, Kind, for<'s> fn(&'s Summary, &'s StageSummary) -> Value<'s>);
/// One figure of a distribution.
type Figure = (&'static str, fn(&Distribution) -> f64);

/// What a row holds beside its distributions.
pub(super) const COLUMNS: &[Column] = &[
    ("run_id", Kind::Text, |summary, _| Value::text(Some(&summary.run.id))),
    ("plan", Kind::Text, |summary, _| Value::text(Some(&summary.run.plan))),
    ("simulated", Kind::Flag, |summary, _| Value::Flag(summary.run.simulated)),
    ("insecure", Kind::Flag, |summary, _| Value::Flag(summary.run.insecure)),
    ("valid", Kind::Flag, |summary, _| Value::Flag(summary.run.valid)),
    ("stage", Kind::Text, |_, stage| Value::text(Some(&stage.id))),
    ("kind", Kind::Text, |_, stage| Value::text(Some(&stage.kind))),
    ("cell", Kind::Text, |_, stage| Value::text(stage.cell.as_deref())),
    ("rung", Kind::Real, |_, stage| Value::real(stage.rung)),
    ("endpoint", Kind::Text, |_, stage| Value::text(Some(&stage.endpoint))),
    ("model", Kind::Text, |_, stage| Value::text(stage.model.as_deref())),
    ("state", Kind::Text, |_, stage| Value::Text(word(&stage.state).into())),
    ("planned", Kind::Whole, |_, stage| Value::Whole(stage.counts.planned)),
    ("ok", Kind::Whole, |_, stage| Value::Whole(stage.counts.ok)),
    ("errors", Kind::Whole, |_, stage| Value::Whole(stage.counts.errors)),
    ("cancelled", Kind::Whole, |_, stage| Value::Whole(stage.counts.cancelled)),
    ("dropped_late", Kind::Whole, |_, stage| Value::Whole(stage.counts.dropped_late)),
    ("lost_in_flight", Kind::Whole, |_, stage| Value::Whole(stage.counts.lost_in_flight)),
    ("never_started", Kind::Whole, |_, stage| Value::Whole(stage.counts.never_started)),
    ("success_rate", Kind::Real, |_, stage| Value::real(stage.success_rate)),
    ("duration_s", Kind::Real, |_, stage| Value::Real(stage.duration_s)),
    ("requests_per_second", Kind::Real, |_, stage| {
        Value::real(stage.throughput.requests_per_second)
    }),
    ("output_tokens_per_second", Kind::Real, |_, stage| {
        Value::real(stage.throughput.output_tokens_per_second)
    }),
    ("output_events_per_second", Kind::Real, |_, stage| {
        Value::real(stage.throughput.output_events_per_second)
    }),
    ("input_tokens_per_second", Kind::Real, |_, stage| {
        Value::real(stage.throughput.input_tokens_per_second)
    }),
    ("output_tokens_source", Kind::Text, |_, stage| {
        Value::text(source(stage.tokens.as_ref().map(|tokens| &tokens.output)))
    }),
    ("input_tokens_source", Kind::Text, |_, stage| {
        Value::text(source(stage.tokens.as_ref().map(|tokens| &tokens.input)))
    }),
    ("cache_verdict", Kind::Text, |_, stage| Value::Text(stage.cache.verdict.to_string().into())),
    ("cache_expected", Kind::Text, |_, stage| {
        stage.cache.expected.map_or(Value::Absent, |state| Value::Text(state.to_string().into()))
    }),
    ("cached_tokens_sum", Kind::Whole, |_, stage| Value::whole(stage.cache.cached_tokens)),
    ("prompt_tokens_sum", Kind::Whole, |_, stage| Value::whole(stage.cache.prompt_tokens)),
    ("thresholds", Kind::Whole, |_, stage| Value::Whole(stage.thresholds.len() as u64)),
    ("thresholds_failed", Kind::Whole, |_, stage| Value::Whole(failed(stage))),
];

const FIGURES: &[Figure] = &[
    ("mean", |figures| figures.mean),
    ("p50", |figures| figures.p50),
    ("p90", |figures| figures.p90),
    ("p95", |figures| figures.p95),
    ("p99", |figures| figures.p99),
];

/// The bytes of `summary.csv`.
pub fn document(summary: &Summary) -> Result<Vec<u8>, ::csv::Error> {
    let mut rows = ::csv::Writer::from_writer(Vec::new());
    rows.write_record(header())?;
    for stage in &summary.stages {
        rows.write_record(row(summary, stage))?;
    }
    rows.into_inner().map_err(|error| error.into_error().into())
}

fn header() -> impl Iterator<Item = String> {
    let metrics = METRICS.iter().filter(|metric| metric.distribution).flat_map(|metric| {
        let name = column_name(metric);
        FIGURES.iter().map(move |(figure, _)| format!("{name}_{figure}"))
    });
    COLUMNS.iter().map(|(name, _, _)| (*name).to_owned()).chain(metrics)
}

fn row(summary: &Summary, stage: &StageSummary) -> impl Iterator<Item = String> {
    let metrics = METRICS.iter().filter(|metric| metric.distribution).flat_map(move |metric| {
        let found = stage.metrics.get(metric.name);
        FIGURES.iter().map(move |(_, figure)| cell(&Value::real(found.map(figure))))
    });
    COLUMNS.iter().map(move |(_, _, take)| cell(&take(summary, stage))).chain(metrics)
}

/// Whose counts the figures of tokens are.
fn source(side: Option<&TokenSide>) -> Option<&'static str> {
    side?.source.map(TokenBasis::word)
}

fn failed(stage: &StageSummary) -> u64 {
    stage.thresholds.iter().filter(|result| verdict::fails(result)).count() as u64
}
