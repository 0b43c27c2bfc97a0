//! Extra outputs of a run.
//!
//! In: what lowering made of `sinks:` and `--sink`. Out: a format and a target. Invariant: every
//! format has one word, in plans, on the command line and in messages.

use crate::plan::model::words::words;

/// An extra output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its format.
    pub kind: SinkKind,
    /// Where it goes: a file, `-` for standard output, `HOST:PORT` or a URL.
    pub target: String,
    /// Whether its failure changes the exit code.
    pub required: bool,
}

words! {
    /// The formats of sinks.
    pub enum SinkKind {
        /// One line per record.
        Jsonl = "jsonl",
        /// One row of CSV per request.
        Csv = "csv",
        /// One row of CSV per stage, cell and rung.
        Stages = "stages",
        /// The summary as JSON.
        Summary = "summary",
        /// Tables of requests, stages, figures and checks in a database that keeps earlier runs.
        Sqlite = "sqlite",
        /// One row per request in columns, for `DuckDB`, pandas and the like.
        Parquet = "parquet",
        /// The checks as `JUnit` XML.
        Junit = "junit",
        /// The report as one page.
        Html = "html",
        /// The report for a pull request or a CI step.
        Markdown = "markdown",
        /// Every chart on one sheet, as SVG.
        Svg = "svg",
        /// Every chart on one sheet, as PNG.
        Png = "png",
        /// Live metrics: served at `HOST:PORT`, or pushed to the URL of a gateway.
        Prometheus = "prometheus",
        /// `OpenTelemetry` metrics, pushed to the URL of a collector.
        Otlp = "otlp",
    }
}

impl SinkConfig {
    /// Whether it goes to standard output.
    pub fn is_stdout(&self) -> bool {
        self.target == "-"
    }

    /// Whether its target is an HTTP URL.
    pub fn is_url(&self) -> bool {
        self.target.starts_with("http://") || self.target.starts_with("https://")
    }
}
