//! Datasets and traces: files → rows.
//!
//! In: a [`DatasetConfig`]. Out: [`Row`]s, streamed ([`Dataset::rows`]) or by number
//! ([`IndexedDataset`]). Invariant: memory does not grow with the files; a row that is not what
//! its format promises is named by file and line, and stops the reading or is counted, as the plan
//! says. To add a format: a file here, a variant of [`DatasetFormat`], and its lines in
//! `format.rs`; a sample in `datasets/samples/`.

mod ask;
mod azure;
mod bailian;
mod beside;
mod burstgpt;
mod cells;
mod chat_history;
mod content;
pub mod convert;
mod evalscope;
mod field;
mod format;
mod indexed;
mod json_stream;
mod left_out;
mod look;
mod messages;
mod mooncake;
mod openai_batch;
mod order;
mod packing;
mod parquet;
mod pointers;
mod replay_log;
mod row;
mod rows;
mod sample;
mod scale;
mod sharegpt;
mod source;
pub mod survey;
mod timeline;
mod unit;
mod unsaid;
mod utf16;
mod weka;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::plan::workload::{DatasetConfig, DatasetFormat};

pub use ask::{messages, request, request_saying, shortened, unsaid};
pub use content::Content;
pub use indexed::IndexedDataset;
pub use left_out::LeftOut;
pub use look::look;
pub use order::OrderedRows;
pub use packing::Packing;
pub use row::{Blocks, DatasetError, Malformed, Place, Row, RowPrompt};
pub use rows::{Counts, Rows};
pub use sample::{keeps, keeps_row, md5_place};
pub use source::SourceFile;
pub use timeline::{Arrival, Timeline, Unfit};
pub use unit::MAX_UNIT_BYTES;
pub use unsaid::{note_replaced, note_unsaid, roles_of_plan};

/// A dataset whose files were found and whose format is known. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dataset {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: Vec<SourceFile>,
    shape: format::Shape,
    config: DatasetConfig,
    left_out: Mutex<LeftOut>,
}

impl Dataset {
    /// Finds the files and, unless it is named, the format. Reads no more than the beginning of
    /// the first file.
    pub fn open(config: &DatasetConfig) -> Result<Self, DatasetError> {
        let files = source::find(&config.files, config.confine.as_deref())?;
        let shape = format::shape(&files, config)?;
        let (config, left_out) = (config.clone(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { files, shape, config, left_out }) })
    }

    /// Its format.
    pub fn format(&self) -> DatasetFormat {
        self.inner.shape.format
    }

    /// Why it is read as [`Self::format`], in half a sentence.
    pub fn why(&self) -> &str {
        &self.inner.shape.why
    }

    /// Its files, in the order in which they are read.
    pub fn files(&self) -> &[SourceFile] {
        &self.inner.files
    }

    /// How it is read.
    pub fn config(&self) -> &DatasetConfig {
        &self.inner.config
    }

    /// Its rows from the first on.
    pub fn rows(&self) -> Rows {
        Rows::new(self.clone())
    }

    /// Its rows by number.
    pub fn indexed(self) -> IndexedDataset {
        IndexedDataset::new(self)
    }

    /// What was left out of it so far, by all who read this dataset or a clone of it.
    pub fn left_out(&self) -> LeftOut {
        self.leave_out().clone()
    }

    /// Counts what of row `number` is not sent, once for each row.
    pub fn count_left_out(&self, number: u64, names: &[String]) {
        if !names.is_empty() {
            self.leave_out().parts(number, names);
        }
    }

    /// Notes that lengths of recorded answers were asked for which nobody could count.
    pub fn lengths_are_estimates(&self) {
        self.leave_out().estimates_lengths = true;
    }

    /// To be told of what is left out. A reader that failed in between leaves the counts as they are.
    fn leave_out(&self) -> MutexGuard<'_, LeftOut> {
        self.inner.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shape(&self) -> &format::Shape {
        &self.inner.shape
    }

    /// The error for a dataset in which no row was found.
    pub(crate) fn no_rows(&self) -> DatasetError {
        let path = self.files().first().map_or_else(PathBuf::new, |file| file.path.to_path_buf());
        let left_out = self.left_out().in_words().map_or_else(String::new, |it| format!("; {it}"));
        DatasetError::Empty { path, hint: format!(" (read as {}{left_out})", self.format().word()) }
    }
}
