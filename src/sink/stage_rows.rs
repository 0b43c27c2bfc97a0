//! The run directory's `summary.csv`: one row per stage, cell and rung.
//!
//! In: a summary. Out: CSV bytes with counts, rates, cache verdict and, for each distribution of the
//! catalogue, mean and percentiles in the catalogue's unit. Absent figures are empty cells.

use super::csv::{column_name, number, text, word};
use super::text_cell::neutral;
use crate::metrics::summary::{Distribution, StageSummary, Summary};
use crate::metrics::verdict;
use crate::plan::metric::METRICS;

/// One column: its name and what stands in it.
type Column = (&'static str, fn(&Summary, &StageSummary) -> String);
/// One figure of a distribution.
type Figure = (&'static str, fn(&Distribution) -> f64);

const COLUMNS: &[Column] = &[
    ("run_id", |summary, _| neutral(&summary.run.id).into_owned()),
    ("plan", |summary, _| neutral(&summary.run.plan).into_owned()),
    ("simulated", |summary, _| summary.run.simulated.to_string()),
    ("valid", |summary, _| summary.run.valid.to_string()),
    ("stage", |_, stage| neutral(&stage.id).into_owned()),
    ("kind", |_, stage| neutral(&stage.kind).into_owned()),
    ("cell", |_, stage| text(stage.cell.as_deref())),
    ("rung", |_, stage| number(stage.rung)),
    ("endpoint", |_, stage| neutral(&stage.endpoint).into_owned()),
    ("model", |_, stage| text(stage.model.as_deref())),
    ("state", |_, stage| word(&stage.state)),
    ("planned", |_, stage| stage.counts.planned.to_string()),
    ("ok", |_, stage| stage.counts.ok.to_string()),
    ("errors", |_, stage| stage.counts.errors.to_string()),
    ("cancelled", |_, stage| stage.counts.cancelled.to_string()),
    ("dropped_late", |_, stage| stage.counts.dropped_late.to_string()),
    ("lost_in_flight", |_, stage| stage.counts.lost_in_flight.to_string()),
    ("never_started", |_, stage| stage.counts.never_started.to_string()),
    ("success_rate", |_, stage| number(stage.success_rate)),
    ("duration_s", |_, stage| stage.duration_s.to_string()),
    ("requests_per_second", |_, stage| number(stage.throughput.requests_per_second)),
    ("output_tokens_per_second", |_, stage| number(stage.throughput.output_tokens_per_second)),
    ("input_tokens_per_second", |_, stage| number(stage.throughput.input_tokens_per_second)),
    ("cache_verdict", |_, stage| stage.cache.verdict.to_string()),
    ("cache_expected", |_, stage| number(stage.cache.expected)),
    ("cached_tokens_sum", |_, stage| number(stage.cache.cached_tokens)),
    ("prompt_tokens_sum", |_, stage| number(stage.cache.prompt_tokens)),
    ("thresholds", |_, stage| stage.thresholds.len().to_string()),
    ("thresholds_failed", |_, stage| failed(stage).to_string()),
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
    COLUMNS.iter().map(|(name, _)| (*name).to_owned()).chain(metrics)
}

fn row(summary: &Summary, stage: &StageSummary) -> impl Iterator<Item = String> {
    let metrics = METRICS.iter().filter(|metric| metric.distribution).flat_map(move |metric| {
        let found = stage.metrics.get(metric.name);
        FIGURES.iter().map(move |(_, figure)| number(found.map(figure)))
    });
    COLUMNS.iter().map(move |(_, cell)| cell(summary, stage)).chain(metrics)
}

fn failed(stage: &StageSummary) -> usize {
    stage.thresholds.iter().filter(|result| verdict::fails(result)).count()
}
