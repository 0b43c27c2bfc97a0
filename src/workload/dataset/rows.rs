//! Rows, one after the other, from all files of a dataset.
//!
//! In: a [`Dataset`]. Out: an iterator of rows, and what it left out. Invariant: one row (and the
//! piece it came from) is in memory at a time, and reading on from a row's [`At`] gives the same
//! rows.

use std::collections::VecDeque;
use std::path::Path;

use super::Dataset;
use super::content::Content;
use super::format;
use super::row::{DatasetError, Expected, Malformed, Place, Row};
use super::unit::{Mark, Unit, Units};
use crate::plan::workload::{OnMalformed, RecordedFailures};

/// A place in a dataset that reading can go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    file: usize,
    mark: Mark,
    /// Rows of the piece at `mark` that come before.
    within: usize,
}

/// What was read and what was left out so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows given.
    pub rows: u64,
    /// Malformed rows left out (policy `skip`).
    pub malformed: u64,
    /// Pieces that are no rows and no errors: other lines of a log.
    pub other: u64,
    /// Rows left out because the trace marks them as failed.
    pub recorded_failures: u64,
}

/// Malformed rows that are kept for messages.
const KEPT_PROBLEMS: usize = 5;

/// The rows of a dataset, in order.
pub struct Rows {
    dataset: Dataset,
    file: usize,
    units: Option<Units>,
    /// Rows of the piece that was read last, with their places.
    pending: VecDeque<(At, Row)>,
    /// Rows of the first piece that were given before reading was taken up again.
    passed_over: usize,
    counts: Counts,
    problems: Vec<Malformed>,
    is_over: bool,
}

impl Rows {
    pub(super) fn new(dataset: Dataset) -> Self {
        Self {
            dataset,
            file: 0,
            units: None,
            pending: VecDeque::new(),
            passed_over: 0,
            counts: Counts::default(),
            problems: Vec::new(),
            is_over: false,
        }
    }

    /// Goes on from `at`, where row `number` stands.
    pub(super) fn from(dataset: Dataset, at: At, number: u64) -> Result<Self, DatasetError> {
        let mut rows = Self::new(dataset);
        rows.file = at.file;
        rows.passed_over = at.within;
        rows.counts.rows = number;
        rows.open(at.mark)?;
        Ok(rows)
    }

    /// What was read and left out so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The first few malformed rows that were left out.
    pub fn problems(&self) -> &[Malformed] {
        &self.problems
    }

    /// The next row and its place.
    pub(super) fn next_at(&mut self) -> Option<Result<(At, Row), DatasetError>> {
        if self.is_over
            || self.dataset.config().limit.is_some_and(|limit| self.counts.rows >= limit)
        {
            return None;
        }
        let mut next = self.advance();
        if let Ok(Some((_, row))) = &mut next {
            row.number = self.counts.rows;
            self.counts.rows += 1;
        } else {
            self.is_over = true;
        }
        next.transpose()
    }

    fn advance(&mut self) -> Result<Option<(At, Row)>, DatasetError> {
        loop {
            while let Some((at, row)) = self.pending.pop_front() {
                if self.wants(at, &row) {
                    return Ok(Some((at, row)));
                }
            }
            if self.units.is_none() {
                if self.file >= self.dataset.files().len() {
                    return Ok(None);
                }
                self.open(Mark::START)?;
            }
            let Some(units) = &mut self.units else { continue };
            let path = &self.dataset.files()[self.file].path;
            match units.next().map_err(|source| io_error(path, source))? {
                Some(unit) => self.take(&unit)?,
                None => self.close(),
            }
        }
    }

    fn open(&mut self, mark: Mark) -> Result<(), DatasetError> {
        let file = &self.dataset.files()[self.file];
        let units = Units::open(file, self.dataset.shape().container, mark)
            .map_err(|source| io_error(&file.path, source))?;
        self.units = Some(units);
        Ok(())
    }

    fn close(&mut self) {
        self.units = None;
        self.file += 1;
    }

    /// Reads the rows of one piece.
    fn take(&mut self, unit: &Unit) -> Result<(), DatasetError> {
        let path = &self.dataset.files()[self.file].path;
        let place = Place { file: path.clone(), line: unit.mark.line };
        let mut rows = Vec::new();
        let config = self.dataset.config();
        let read = match &unit.piece {
            Ok(piece) => format::read(piece, self.dataset.shape().format, config, &mut rows),
            Err(expected) => Err(expected.clone()),
        };
        match read {
            Ok(true) => {}
            Ok(false) => self.counts.other += 1,
            Err(Expected { expected, found }) => {
                let malformed = Malformed { place: place.clone(), expected, found };
                if config.malformed == OnMalformed::Error {
                    return Err(malformed.into());
                }
                self.counts.malformed += 1;
                self.dataset.leave_out().malformed(self.file, unit.mark, &malformed);
                if self.problems.len() < KEPT_PROBLEMS {
                    self.problems.push(malformed);
                }
                // A session is taken whole or not at all.
                rows.clear();
            }
        }
        let passed_over = std::mem::take(&mut self.passed_over);
        for (within, mut row) in rows.into_iter().enumerate().skip(passed_over) {
            row.place = place.clone();
            self.pending.push_back((At { file: self.file, mark: unit.mark, within }, row));
        }
        if unit.is_last {
            self.close();
        }
        Ok(())
    }

    /// Whether the policy keeps a row; counts it otherwise.
    fn wants(&mut self, at: At, row: &Row) -> bool {
        let policy = self.dataset.config().recorded_failures;
        if row.failed && policy == RecordedFailures::Skip {
            self.counts.recorded_failures += 1;
            self.dataset.leave_out().failure(at.file, at.mark, at.within);
            return false;
        }
        true
    }
}

impl Iterator for Rows {
    type Item = Result<Row, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_at().map(|next| next.map(|(_, row)| row))
    }
}

impl At {
    /// The nearest place from which this row can be read again: itself, or the beginning of its
    /// file where that has to be unpacked.
    pub(super) fn reachable(self, dataset: &Dataset) -> Self {
        let file = &dataset.files()[self.file];
        if file.can_seek() || file.content == Content::Parquet {
            return self;
        }
        Self { mark: Mark::START, within: 0, ..self }
    }

    /// The file it lies in.
    pub(super) fn file(self) -> usize {
        self.file
    }
}

fn io_error(path: &Path, source: std::io::Error) -> DatasetError {
    DatasetError::Io { path: path.to_owned(), source }
}
