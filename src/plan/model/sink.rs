//! Extra outputs of a run.
//!
//! In: what lowering made of `sinks:` and `--sink`. Out: a format and a target. Invariant: every
//! format has one word, in plans, on the command line and in messages.

use serde::Deserialize;

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

/// The formats of sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// One line per record.
    Jsonl,
    /// One row of CSV per request.
    Csv,
    /// One row of CSV per stage, cell and rung.
    Stages,
    /// The summary as JSON.
    Summary,
    /// Tables of requests, stages, figures and checks in a database that keeps earlier runs.
    Sqlite,
    /// One row per request in columns, for `DuckDB`, pandas and the like.
    Parquet,
    /// The checks as `JUnit` XML.
    Junit,
    /// The report as one page.
    Html,
    /// The report for a pull request or a CI step.
    Markdown,
    /// Every chart on one sheet, as SVG.
    Svg,
    /// Every chart on one sheet, as PNG.
    Png,
    /// Live metrics: served at `HOST:PORT`, or pushed to the URL of a gateway.
    Prometheus,
    /// `OpenTelemetry` metrics, pushed to the URL of a collector.
    Otlp,
}

impl SinkKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Jsonl,
        Self::Csv,
        Self::Stages,
        Self::Summary,
        Self::Sqlite,
        Self::Parquet,
        Self::Junit,
        Self::Html,
        Self::Markdown,
        Self::Svg,
        Self::Png,
        Self::Prometheus,
        Self::Otlp,
    ];

    /// The plan's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Stages => "stages",
            Self::Summary => "summary",
            Self::Sqlite => "sqlite",
            Self::Parquet => "parquet",
            Self::Junit => "junit",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Prometheus => "prometheus",
            Self::Otlp => "otlp",
        }
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
