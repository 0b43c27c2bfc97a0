//! Floor 4: one file per output format.
//!
//! In: records and summaries. Out: files. A sink that fails never changes a measurement; a required
//! one that fails changes the exit code. To add one: a file here, a variant of
//! [`SinkKind`](crate::plan::SinkKind), a line in `build`.

use crate::metrics::summary::{StageSummary, Summary};
use crate::record::Line;

/// Why a sink could not go on.
#[derive(Debug, thiserror::Error)]
#[error("{sink}: {message}")]
pub struct SinkError {
    /// `kind:target`.
    pub sink: String,
    /// What happened.
    pub message: String,
}

/// Something that turns evidence into a file.
pub trait Sink: Send {
    /// One line of the record log, in order.
    fn line(&mut self, _line: &Line) -> Result<(), SinkError> {
        Ok(())
    }
    /// A stage (or rung) is over.
    fn stage(&mut self, _stage: &StageSummary) -> Result<(), SinkError> {
        Ok(())
    }
    /// The run is over; nothing follows.
    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError>;
}
