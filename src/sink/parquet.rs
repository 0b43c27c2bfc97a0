//! `parquet:FILE`: one row per request, for `DuckDB`, pandas, Spark and the like.
//!
//! In: `end` lines. Out: their [`row`](super::row)s. Invariants: after every write the file is
//! complete, with a footer behind its last row group, so the run so far can be read while it goes on;
//! an absent value is null. The last row group is written again until it is full, so that a slow run
//! does not end in thousands of small ones.

mod table;
mod thrift;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use self::table::{Cells, MAGIC, RowGroup};
use super::row::{self, Column};
use super::{Sink, SinkError, target};
use crate::metrics::summary::Summary;
use crate::record::{Line, Record, RunLine};

/// Rows of a full row group; some megabytes.
const GROUP_ROWS: usize = 16_384;
/// The last row group is not written again sooner than this.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Parquet {
    name: String,
    file: File,
    columns: Vec<Column>,
    run: Option<RunLine>,
    /// Full row groups, and where the file goes on behind them.
    groups: Vec<RowGroup>,
    sealed: usize,
    /// The row group that is not full yet.
    cells: Vec<Cells>,
    rows: usize,
    written: Instant,
    stale: bool,
    /// The file is this run's.
    is_begun: bool,
}

impl Parquet {
    pub(super) fn open(name: String, target: &str, base: &Path) -> Result<Self, SinkError> {
        let path = target::check(&name, target, base)?;
        let file = target::claim(&name, &path)?;
        let columns = row::columns();
        Ok(Self {
            cells: empty(&columns),
            name,
            file,
            columns,
            run: None,
            groups: Vec::new(),
            sealed: MAGIC.len(),
            rows: 0,
            written: Instant::now(),
            stale: false,
            is_begun: false,
        })
    }

    /// Takes the place of what stood in the file, when there is a run.
    fn begin(&mut self) -> Result<(), SinkError> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        let begun = target::empty(&self.file).and_then(|()| self.file.write_all(MAGIC));
        begun.map_err(|error| self.failed(error))
    }

    fn record(&mut self, record: &Record) -> Result<(), SinkError> {
        let run = self.run.as_ref();
        for (cells, column) in self.cells.iter_mut().zip(&self.columns) {
            cells.push(&column.value(run, record));
        }
        self.rows += 1;
        self.stale = true;
        if self.rows == GROUP_ROWS { self.write() } else { Ok(()) }
    }

    /// Writes the last row group and the footer over what stood behind the full ones.
    fn write(&mut self) -> Result<(), SinkError> {
        self.begin()?;
        let mut bytes = Vec::new();
        let mut groups = self.groups.clone();
        if self.rows > 0 {
            let group = table::row_group(&self.cells, self.rows, self.sealed, &mut bytes);
            groups.push(group.map_err(|error| self.failed(error))?);
        }
        let group_bytes = bytes.len();
        table::footer(&self.columns, &groups, &self.facts(), &mut bytes)?;
        if let Err(error) = self.put(&bytes) {
            // What is left of the disk has room for the full groups: they stay readable.
            let mut bytes = Vec::new();
            table::footer(&self.columns, &self.groups, &self.facts(), &mut bytes)?;
            let _told_already = self.put(&bytes);
            return Err(self.failed(error));
        }
        if self.rows == GROUP_ROWS {
            self.groups = groups;
            self.sealed += group_bytes;
            self.cells = empty(&self.columns);
            self.rows = 0;
        }
        self.written = Instant::now();
        self.stale = false;
        Ok(())
    }

    /// Puts `bytes` behind the full groups, as the end of the file.
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.sealed as u64))?;
        self.file.write_all(bytes)?;
        self.file.set_len((self.sealed + bytes.len()) as u64)
    }

    /// What the file says of itself.
    fn facts(&self) -> Vec<(String, String)> {
        let Some(run) = &self.run else { return Vec::new() };
        let facts = [
            ("run_id", run.run_id.clone()),
            ("plan", run.plan.clone()),
            ("started_at", run.started_at.clone()),
            ("seed", run.seed.to_string()),
            ("simulated", run.simulated.to_string()),
            ("insecure", run.insecure.to_string()),
        ];
        facts.into_iter().map(|(key, value)| (format!("runner.{key}"), value)).collect()
    }

    fn failed(&self, error: impl std::fmt::Display) -> SinkError {
        SinkError::new(&self.name, error)
    }
}

fn empty(columns: &[Column]) -> Vec<Cells> {
    columns.iter().map(|_| Cells::default()).collect()
}

impl Sink for Parquet {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        match line {
            Line::Run(run) => {
                self.run = Some(run.clone());
                self.write()?;
            }
            Line::End(record) => self.record(record)?,
            _ => {}
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), SinkError> {
        if self.stale && self.written.elapsed() > PAUSE { self.write() } else { Ok(()) }
    }

    fn pending(&self) -> u64 {
        self.rows as u64
    }

    fn finish(mut self: Box<Self>, _summary: &Summary) -> Result<(), SinkError> {
        self.write()?;
        self.file.sync_all().map_err(|error| self.failed(error))
    }
}
