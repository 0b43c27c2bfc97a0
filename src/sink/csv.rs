//! `csv:FILE`: one row per request.
//!
//! In: `end` lines. Out: their [`row`](super::row)s, written out at the end of each stage
//! and once a second. Invariants: an absent
//! value is an empty cell; text from servers never becomes a formula.

use std::path::Path;

use super::row::{self, Column, Value};
use super::target::{self, Output};
use super::text_cell::neutral;
use super::{Sink, SinkError};
use crate::metrics::summary::{StageSummary, Summary};
use crate::record::{Line, Record, RunLine};

pub(super) struct Csv {
    name: String,
    rows: ::csv::Writer<Output>,
    columns: Vec<Column>,
    run: Option<RunLine>,
    /// The header is written.
    is_begun: bool,
    /// Rows since the last flush.
    pending: u64,
}

impl Csv {
    pub(super) fn open(name: String, target: &str, base: &Path) -> Result<Self, SinkError> {
        let rows = ::csv::Writer::from_writer(target::open(&name, target, base)?);
        let columns = row::columns();
        Ok(Self { name, rows, columns, run: None, is_begun: false, pending: 0 })
    }

    /// Writes the header, when there is a run: what stands in the file stays until then.
    fn begin(&mut self) -> Result<(), SinkError> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        let header = self.columns.iter().map(|column| column.name.as_ref());
        self.rows.write_record(header).map_err(|error| SinkError::new(&self.name, error))
    }

    fn record(&mut self, record: &Record) -> Result<(), SinkError> {
        self.begin()?;
        self.pending += 1;
        let run = self.run.as_ref();
        let row = self.columns.iter().map(|column| cell(&column.value(run, record)));
        self.rows.write_record(row).map_err(|error| SinkError::new(&self.name, error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.begin()?;
        self.rows.flush().map_err(|error| SinkError::new(&self.name, error))?;
        self.pending = 0;
        Ok(())
    }
}

impl Sink for Csv {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        match line {
            Line::Run(run) => self.run = Some(run.clone()),
            Line::End(record) => self.record(record)?,
            _ => {}
        }
        Ok(())
    }

    fn stage(&mut self, _stage: &StageSummary) -> Result<(), SinkError> {
        self.flush()
    }

    fn tick(&mut self) -> Result<(), SinkError> {
        self.flush()
    }

    fn pending(&self) -> u64 {
        self.pending
    }

    fn finish(mut self: Box<Self>, _summary: &Summary) -> Result<(), SinkError> {
        self.flush()
    }
}

/// A value as a cell of CSV.
pub(super) fn cell(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => neutral(text).into_owned(),
        Value::Whole(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Absent => String::new(),
    }
}
