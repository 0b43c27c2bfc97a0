//! One request as typed columns: what the sinks `csv`, `sqlite` and `parquet` share.
//!
//! In: `end` lines. Out: the run it belongs to, the raw stamps (nanoseconds from run start) and every
//! per-request metric of the catalogue, in the catalogue's units. Invariant: what is not known is
//! [`Value::Absent`], never zero.

use std::borrow::Cow;

use crate::metrics::catalogue::{self, Source};
use crate::plan::metric::{METRICS, Metric};
use crate::record::{Record, RunLine};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Real,
    Flag,
}

/// What stands in a column of one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'r> {
    Text(Cow<'r, str>),
    Whole(u64),
    Real(f64),
    Flag(bool),
    Absent,
}

impl<'r> Value<'r> {
    /// Text, if there is some.
    pub(super) fn text(text: Option<&'r str>) -> Self {
        text.map_or(Self::Absent, |text| Self::Text(text.into()))
    }

    /// A whole number, if there is one.
    pub(super) fn whole(number: Option<u64>) -> Self {
        number.map_or(Self::Absent, Self::Whole)
    }

    /// A number, if there is one.
    pub(super) fn real(number: Option<f64>) -> Self {
        number.map_or(Self::Absent, Self::Real)
    }
}

/// A column of the row of a request.
pub(super) struct Column {
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    take: Take,
}

/// Where its value comes from.
enum Take {
    Run(fn(&RunLine) -> Value<'_>),
    Record(fn(&Record) -> Value<'_>),
    Metric(fn(&Record) -> Option<f64>),
}

impl Column {
    /// What stands in this column for one request; absent before the run line was seen.
    pub(super) fn value<'r>(&self, run: Option<&'r RunLine>, record: &'r Record) -> Value<'r> {
        match self.take {
            Take::Run(take) => run.map_or(Value::Absent, take),
            Take::Record(take) => take(record),
            Take::Metric(take) => Value::real(take(record)),
        }
    }
}

/// A column's name, type and source.
type Fixed = (&'static str, Kind, fn(&Record) -> Value<'_>);

const FIXED: &[Fixed] = &[
    ("stage", Kind::Text, |record| Value::text(Some(&record.stage))),
    ("cell", Kind::Text, |record| Value::text(record.cell.as_deref())),
    ("rung", Kind::Real, |record| Value::real(record.rung)),
    ("index", Kind::Whole, |record| Value::Whole(record.index)),
    ("request_id", Kind::Text, |record| Value::text(Some(&record.request_id))),
    ("prompt_hash", Kind::Text, |record| Value::text(record.prompt_hash.as_deref())),
    ("session", Kind::Text, |record| Value::text(record.session.as_deref())),
    ("outcome", Kind::Text, |record| Value::Text(word(&record.outcome).into())),
    ("error_class", Kind::Text, |record| {
        Value::text(record.error.as_ref().map(|error| error.class.as_str()))
    }),
    ("error_message", Kind::Text, |record| {
        Value::text(record.error.as_ref().map(|error| error.message.as_str()))
    }),
    ("http_status", Kind::Whole, |record| Value::whole(record.http_status.map(u64::from))),
    ("due_ns", Kind::Whole, |record| Value::whole(record.due_ns)),
    ("sent_ns", Kind::Whole, |record| Value::whole(record.sent_ns)),
    ("connected_ns", Kind::Whole, |record| Value::whole(record.connected_ns)),
    ("headers_ns", Kind::Whole, |record| Value::whole(record.headers_ns)),
    ("first_event_ns", Kind::Whole, |record| Value::whole(record.first_event_ns)),
    ("first_token_ns", Kind::Whole, |record| Value::whole(record.first_token_ns)),
    ("first_content_ns", Kind::Whole, |record| Value::whole(record.first_content_ns)),
    ("last_token_ns", Kind::Whole, |record| Value::whole(record.last_token_ns)),
    ("end_ns", Kind::Whole, |record| Value::whole(record.end_ns)),
    ("cache", Kind::Text, |record| Value::Text(record.cache.to_string().into())),
    ("input_tokens_source", Kind::Text, |record| {
        Value::text(record.input_tokens.best().map(|(_, source)| source))
    }),
    ("output_tokens_source", Kind::Text, |record| {
        Value::text(record.output_tokens.best().map(|(_, source)| source))
    }),
    ("output_events", Kind::Whole, |record| Value::whole(record.output_tokens.events)),
    ("reasoning_tokens", Kind::Whole, |record| Value::whole(record.reasoning_tokens)),
    ("finish_reason", Kind::Text, |record| Value::text(record.finish_reason.as_deref())),
    ("other_model", Kind::Text, |record| Value::text(record.other_model.as_deref())),
    ("response_id", Kind::Text, |record| Value::text(record.response_id.as_deref())),
    ("connection_reused", Kind::Flag, |record| Value::Flag(record.connection.reused)),
    ("bytes_in", Kind::Whole, |record| Value::Whole(record.bytes_in)),
    ("flags", Kind::Text, |record| Value::Text(record.flags.join(" ").into())),
];

/// The columns of a request, in order.
pub(super) fn columns() -> Vec<Column> {
    let run = [
        Column {
            name: "run_id".into(),
            kind: Kind::Text,
            take: Take::Run(|run| Value::text(Some(&run.run_id))),
        },
        Column {
            name: "simulated".into(),
            kind: Kind::Flag,
            take: Take::Run(|run| Value::Flag(run.simulated)),
        },
        Column {
            name: "insecure".into(),
            kind: Kind::Flag,
            take: Take::Run(|run| Value::Flag(run.insecure)),
        },
    ];
    let fixed = FIXED.iter().map(|(name, kind, take)| Column {
        name: (*name).into(),
        kind: *kind,
        take: Take::Record(*take),
    });
    let metrics = METRICS.iter().filter_map(|metric| match catalogue::source(metric.name)? {
        Source::Request(take) => Some(Column {
            name: column_name(metric).into(),
            kind: Kind::Real,
            take: Take::Metric(take),
        }),
        Source::Pooled(_) | Source::Stage(_) | Source::Verdict => None,
    });
    run.into_iter().chain(fixed).chain(metrics).collect()
}

/// `ttft_ms`, `output_tokens`, `tokens_per_second`: the unit where the name does not say it.
pub(super) fn column_name(metric: &Metric) -> String {
    if metric.unit == "ms" { format!("{}_ms", metric.name) } else { metric.name.to_owned() }
}

/// An enum's word, as JSON spells it.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
