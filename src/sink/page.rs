//! What the sinks `html`, `markdown`, `svg` and `png` share: they show the same [`ReportView`].
//!
//! In: every line of the run, then its summary. Out: one file, replaced as a whole. Invariant: at any
//! moment the file is a complete document; while the run goes on a live one says RUNNING.

use std::path::Path;
use std::time::{Duration, Instant};

use super::so_far::so_far;
use super::target::Whole;
use super::{Sink, SinkError};
use crate::metrics::summary::{StageSummary, Summary};
use crate::record::Line;
use crate::report::samples::RunSamples;
use crate::report::view::{self, Background, ReportView};

/// A live document is not written again sooner than this.
const PAUSE: Duration = Duration::from_secs(2);

/// How a view becomes a file.
#[derive(Clone, Copy)]
pub(super) struct Format {
    /// The document, or why there is none.
    pub(super) render: fn(&ReportView) -> Result<Vec<u8>, String>,
    /// Whether it is written after each stage too.
    pub(super) live: bool,
    /// Whether it goes to the end of this file instead of replacing it.
    pub(super) appends_to: fn(&Path) -> bool,
}

impl Format {
    /// Written once, at the end, in place of what was there.
    pub(super) fn new(render: fn(&ReportView) -> Result<Vec<u8>, String>) -> Self {
        Self { render, live: false, appends_to: |_| false }
    }
}

pub(super) struct Page {
    name: String,
    file: Whole,
    format: Format,
    background: Background,
    samples: RunSamples,
    stages: Vec<StageSummary>,
    written: Option<Instant>,
}

impl Page {
    pub(super) fn open(
        name: String,
        target: &str,
        base: &Path,
        background: &Background,
        format: Format,
    ) -> Result<Self, SinkError> {
        let file = Whole::open(&name, target, base, format.appends_to)?;
        Ok(Self {
            name,
            file,
            format,
            background: background.clone(),
            samples: RunSamples::default(),
            stages: Vec::new(),
            written: None,
        })
    }

    fn write(&self, summary: &Summary) -> Result<(), SinkError> {
        let view = view::compose(summary, &self.samples, &self.background);
        let bytes = (self.format.render)(&view).map_err(|why| SinkError::new(&self.name, why))?;
        self.file.write(&bytes).map_err(|error| SinkError::new(&self.name, error))
    }
}

impl Sink for Page {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        self.samples.line(line);
        Ok(())
    }

    fn stage(&mut self, stage: &StageSummary) -> Result<(), SinkError> {
        if !self.format.live || !self.file.is_file() {
            return Ok(());
        }
        self.stages.push(stage.clone());
        if self.written.is_none_or(|at| at.elapsed() > PAUSE)
            && let Some(run) = &self.samples.run
        {
            self.write(&so_far(run, &self.stages))?;
            self.written = Some(Instant::now());
        }
        Ok(())
    }

    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError> {
        self.write(summary)
    }
}
