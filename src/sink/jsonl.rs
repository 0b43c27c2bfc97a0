//! `jsonl:FILE`: the records of the run as they end.
//!
//! In: lines. Out: the log's run line (so that the file says which run it is and whether that was
//! simulated) and then every `end` and `never_started` line, exactly as in the record log. Written out
//! at the end of each stage and once a second.

use std::io::Write;
use std::path::Path;

use super::target::{self, Output};
use super::{Sink, SinkError};
use crate::metrics::record_log;
use crate::metrics::summary::{StageSummary, Summary};
use crate::record::Line;

pub(super) struct Jsonl {
    name: String,
    output: Output,
    line: Vec<u8>,
    /// Records since the last flush.
    pending: u64,
}

impl Jsonl {
    pub(super) fn open(name: String, target: &str, base: &Path) -> Result<Self, SinkError> {
        let output = target::open(&name, target, base)?;
        Ok(Self { name, output, line: Vec::new(), pending: 0 })
    }

    fn failed(&self, error: impl std::fmt::Display) -> SinkError {
        SinkError::new(&self.name, error)
    }
}

impl Sink for Jsonl {
    fn line(&mut self, seq: u64, line: &Line) -> Result<(), SinkError> {
        if !matches!(line, Line::Run(_) | Line::End(_) | Line::NeverStarted(_)) {
            return Ok(());
        }
        self.pending += u64::from(matches!(line, Line::End(_)));
        self.line.clear();
        record_log::encode(line, seq, &mut self.line).map_err(|error| self.failed(error))?;
        self.output.write_all(&self.line).map_err(|error| self.failed(error))
    }

    fn stage(&mut self, _stage: &StageSummary) -> Result<(), SinkError> {
        self.tick()
    }

    fn tick(&mut self) -> Result<(), SinkError> {
        self.output.flush().map_err(|error| self.failed(error))?;
        self.pending = 0;
        Ok(())
    }

    fn pending(&self) -> u64 {
        self.pending
    }

    fn finish(mut self: Box<Self>, _summary: &Summary) -> Result<(), SinkError> {
        self.output.flush().map_err(|error| self.failed(error))
    }
}
