//! What the sinks `stages` and `junit` share: a document made of the summary alone.
//!
//! In: the stages as they end, then the run's summary. Out: one file, replaced as a whole after each
//! stage and at the end; on standard output only the last one.

use std::path::Path;

use super::so_far::so_far;
use super::target::Whole;
use super::{Sink, SinkError};
use crate::metrics::summary::{StageSummary, Summary};
use crate::record::{Line, RunLine};

/// How a summary becomes a file.
pub(super) type Render = fn(&Summary) -> Result<Vec<u8>, String>;

pub(super) struct Document {
    name: String,
    file: Whole,
    render: Render,
    run: Option<RunLine>,
    stages: Vec<StageSummary>,
    /// A stage has ended since the file was written.
    stale: bool,
}

impl Document {
    pub(super) fn open(
        name: String,
        target: &str,
        base: &Path,
        render: Render,
    ) -> Result<Self, SinkError> {
        let file = Whole::open(&name, target, base, |_| false)?;
        Ok(Self { name, file, render, run: None, stages: Vec::new(), stale: false })
    }

    fn write(&self, summary: &Summary) -> Result<(), SinkError> {
        let bytes = (self.render)(summary).map_err(|why| SinkError::new(&self.name, why))?;
        self.file.write(&bytes).map_err(|error| SinkError::new(&self.name, error))
    }
}

impl Sink for Document {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        if let Line::Run(run) = line {
            self.run = Some(run.clone());
        }
        Ok(())
    }

    fn stage(&mut self, stage: &StageSummary) -> Result<(), SinkError> {
        if self.file.is_file() {
            self.stages.push(stage.clone());
            self.stale = true;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), SinkError> {
        if std::mem::take(&mut self.stale)
            && let Some(run) = &self.run
        {
            self.write(&so_far(run, &self.stages))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError> {
        self.write(summary)
    }
}
