//! Any row of a dataset by its number.
//!
//! In: a [`Dataset`]. Out: row `i`, or row `i` modulo the number of rows. Invariant: memory stays
//! bounded: at most [`MOST_MARKS`] places are remembered (every second one is forgotten when there
//! are more), and a few recent rows. Rows asked in order are read once, streaming; a row further
//! back is read again from the nearest place before it. In a packed file the only such place is its
//! beginning, so going back there means unpacking again; in a table it is the row's group.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Dataset;
use super::row::{DatasetError, Row};
use super::rows::{At, Rows};

/// Places remembered at most (about 48 bytes each).
const MOST_MARKS: usize = 1 << 18;

/// A file of which more than this must be read for any row is not read in random order.
pub(super) const MOST_REREAD_BYTES: u64 = 32 << 20;

/// Rows kept for askers slightly out of order.
const RECENT: usize = 64;

/// Rows by number. Reads lazily: nothing is read before it is asked for.
pub struct IndexedDataset {
    dataset: Dataset,
    state: Mutex<State>,
}

struct State {
    /// Row numbers and their places, ascending: every `stride`-th row as far as was read, and the
    /// first row of every packed file.
    marks: Vec<(u64, At)>,
    stride: u64,
    /// Number of rows, once the end was seen.
    total: Option<u64>,
    /// Reads on from row `next`.
    cursor: Option<Rows>,
    next: u64,
    recent: VecDeque<(u64, Arc<Row>)>,
}

impl IndexedDataset {
    /// Rows of `dataset` by number.
    pub fn new(dataset: Dataset) -> Self {
        let state = State {
            marks: Vec::new(),
            stride: 1,
            total: None,
            cursor: None,
            next: 0,
            recent: VecDeque::new(),
        };
        Self { dataset, state: Mutex::new(state) }
    }

    /// Whether rows that are asked for up to so many rows out of order are found without reading
    /// again. A large packed file has to be unpacked anew for each of the others.
    pub fn bears_disorder(&self, rows: u64) -> bool {
        let mut files = self.dataset.files().iter();
        rows < RECENT as u64 || files.all(|file| file.reread_bytes <= MOST_REREAD_BYTES)
    }

    /// The dataset.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Row `index`, or `None` past the last.
    pub fn row(&self, index: u64) -> Result<Option<Arc<Row>>, DatasetError> {
        self.lock().row(&self.dataset, index)
    }

    /// Row `index` modulo the number of rows: after the last comes the first again.
    pub fn cycled(&self, index: u64) -> Result<Arc<Row>, DatasetError> {
        let mut state = self.lock();
        if let Some(row) = state.row(&self.dataset, index)? {
            return Ok(row);
        }
        let total = state.total.unwrap_or(0);
        let row = match index.checked_rem(total) {
            Some(index) => state.row(&self.dataset, index)?,
            None => None,
        };
        row.ok_or_else(|| self.dataset.no_rows())
    }

    /// The number of rows; reads to the end once.
    pub fn total(&self) -> Result<u64, DatasetError> {
        let mut state = self.lock();
        state.row(&self.dataset, u64::MAX)?;
        Ok(state.total.unwrap_or(0))
    }

    /// A row that another thread failed on leaves the state as it was before.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn row(&mut self, dataset: &Dataset, index: u64) -> Result<Option<Arc<Row>>, DatasetError> {
        if self.total.is_some_and(|total| index >= total) {
            return Ok(None);
        }
        if let Some((_, row)) = self.recent.iter().find(|(number, _)| *number == index) {
            return Ok(Some(row.clone()));
        }
        let mut rows = self.seek(dataset, index)?;
        while let Some(next) = rows.next_at() {
            let (at, row) = next?;
            let number = self.next;
            self.next += 1;
            self.remember(dataset, number, at);
            if number + RECENT as u64 > index {
                self.keep(number, Arc::new(row));
            }
            if number == index {
                self.cursor = Some(rows);
                return Ok(self.recent.back().map(|(_, row)| row.clone()));
            }
        }
        self.total = Some(self.next);
        Ok(None)
    }

    /// A reader that stands at or before row `index`; `self.next` is where.
    fn seek(&mut self, dataset: &Dataset, index: u64) -> Result<Rows, DatasetError> {
        let mark = self.marks.partition_point(|(number, _)| *number <= index);
        let mark = mark.checked_sub(1).and_then(|mark| self.marks.get(mark)).copied();
        if let Some(rows) = self.cursor.take()
            && self.next <= index
            && mark.is_none_or(|(number, _)| number <= self.next)
        {
            return Ok(rows);
        }
        self.recent.clear();
        let Some((number, at)) = mark else {
            self.next = 0;
            return Ok(dataset.rows());
        };
        self.next = number;
        Rows::from(dataset.clone(), at, number)
    }

    fn remember(&mut self, dataset: &Dataset, number: u64, at: At) {
        let last = self.marks.last().copied();
        if last.is_some_and(|(marked, _)| number <= marked) {
            return;
        }
        let reachable = at.reachable(dataset);
        let is_due = reachable == at && number.is_multiple_of(self.stride);
        let is_new_file = last.is_none_or(|(_, before)| before.file() != at.file());
        if !is_due && !is_new_file {
            return;
        }
        self.marks.push((number, reachable));
        if self.marks.len() >= MOST_MARKS {
            self.stride = self.stride.saturating_mul(2);
            let stride = self.stride;
            self.marks.retain(|(number, _)| number.is_multiple_of(stride));
        }
    }

    fn keep(&mut self, number: u64, row: Arc<Row>) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((number, row));
    }
}
