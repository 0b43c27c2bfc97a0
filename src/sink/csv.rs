//! `csv:FILE`: one row per request.
//!
//! In: `end` lines. Out: rows with the raw stamps (nanoseconds from run start) and every
//! per-request metric of the catalogue, in the catalogue's units. Invariants: an absent value is an
//! empty cell; text from servers never becomes a formula.

use std::path::Path;

use super::target::{self, Output};
use super::text_cell::neutral;
use super::{Sink, SinkError};
use crate::metrics::catalogue::{self, Source};
use crate::metrics::summary::{StageSummary, Summary};
use crate::plan::metric::{METRICS, Metric};
use crate::record::{Line, Record, RunLine};

/// One column: its name and what stands in it.
type Column = (&'static str, fn(&Record) -> String);

/// A metric of the catalogue with its extractor.
type MetricColumn = (&'static Metric, fn(&Record) -> Option<f64>);

const COLUMNS: &[Column] = &[
    ("stage", |record| neutral(&record.stage).into_owned()),
    ("cell", |record| text(record.cell.as_deref())),
    ("rung", |record| number(record.rung)),
    ("index", |record| record.index.to_string()),
    ("request_id", |record| neutral(&record.request_id).into_owned()),
    ("prompt_hash", |record| text(record.prompt_hash.as_deref())),
    ("outcome", |record| word(&record.outcome)),
    ("error_class", |record| text(record.error.as_ref().map(|error| error.class.as_str()))),
    ("error_message", |record| text(record.error.as_ref().map(|error| error.message.as_str()))),
    ("http_status", |record| number(record.http_status)),
    ("due_ns", |record| number(record.due_ns)),
    ("sent_ns", |record| number(record.sent_ns)),
    ("headers_ns", |record| number(record.headers_ns)),
    ("first_token_ns", |record| number(record.first_token_ns)),
    ("last_token_ns", |record| number(record.last_token_ns)),
    ("end_ns", |record| number(record.end_ns)),
    ("cache", |record| record.cache.to_string()),
    ("input_tokens_source", |record| text(record.input_tokens.best().map(|(_, source)| source))),
    ("output_tokens_source", |record| text(record.output_tokens.best().map(|(_, source)| source))),
    ("finish_reason", |record| text(record.finish_reason.as_deref())),
    ("connection_reused", |record| record.connection.reused.to_string()),
    ("bytes_in", |record| record.bytes_in.to_string()),
    ("flags", |record| neutral(&record.flags.join(" ")).into_owned()),
];

pub(super) struct Csv {
    name: String,
    rows: ::csv::Writer<Output>,
    metrics: Vec<MetricColumn>,
    run: [String; 2],
}

impl Csv {
    pub(super) fn open(name: String, target: &str, base: &Path) -> Result<Self, SinkError> {
        let rows = ::csv::Writer::from_writer(target::open(&name, target, base)?);
        let metrics = METRICS.iter().filter_map(|metric| match catalogue::source(metric.name)? {
            Source::Request(take) => Some((metric, take)),
            Source::Pooled(_) | Source::Stage(_) | Source::Verdict => None,
        });
        let mut sink = Self { name, rows, metrics: metrics.collect(), run: Default::default() };
        sink.header()?;
        Ok(sink)
    }

    fn header(&mut self) -> Result<(), SinkError> {
        let fixed =
            ["run_id", "simulated"].into_iter().chain(COLUMNS.iter().map(|(name, _)| *name));
        let metrics = self.metrics.iter().map(|(metric, _)| column_name(metric));
        let header: Vec<String> = fixed.map(str::to_owned).chain(metrics).collect();
        self.row(&header)
    }

    fn record(&mut self, record: &Record) -> Result<(), SinkError> {
        let fixed = COLUMNS.iter().map(|(_, cell)| cell(record));
        let metrics = self.metrics.iter().map(|(_, take)| number(take(record)));
        let row: Vec<String> = self.run.iter().cloned().chain(fixed).chain(metrics).collect();
        self.row(&row)
    }

    fn row(&mut self, row: &[String]) -> Result<(), SinkError> {
        self.rows.write_record(row).map_err(|error| SinkError::new(&self.name, error))
    }

    fn begin(&mut self, run: &RunLine) {
        self.run = [neutral(&run.run_id).into_owned(), run.simulated.to_string()];
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.rows.flush().map_err(|error| SinkError::new(&self.name, error))
    }
}

impl Sink for Csv {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        match line {
            Line::Run(run) => {
                self.begin(run);
                Ok(())
            }
            Line::End(record) => self.record(record),
            _ => Ok(()),
        }
    }

    fn stage(&mut self, _stage: &StageSummary) -> Result<(), SinkError> {
        self.flush()
    }

    fn finish(mut self: Box<Self>, _summary: &Summary) -> Result<(), SinkError> {
        self.flush()
    }
}

/// `ttft_ms`, `output_tokens`, `tokens_per_second`: the unit where the name does not say it.
pub(super) fn column_name(metric: &Metric) -> String {
    if metric.unit == "ms" { format!("{}_ms", metric.name) } else { metric.name.to_owned() }
}

/// A number, or an empty cell.
pub(super) fn number(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Text, or an empty cell.
pub(super) fn text(value: Option<&str>) -> String {
    value.map(|value| neutral(value).into_owned()).unwrap_or_default()
}

/// An enum's word, as JSON spells it.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
