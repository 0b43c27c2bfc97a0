//! Floor 4: one file per output format.
//!
//! In: records and summaries. Out: files. A sink that fails never changes a measurement; a required
//! one that fails changes the exit code. To add one: a file here, a variant of
//! [`SinkKind`], a line in `build`.

pub mod atomic_file;
mod csv;
mod document;
mod exposition;
mod html;
mod jsonl;
mod junit;
mod markdown;
mod otlp;
mod page;
mod parquet;
mod png;
mod prometheus;
mod push;
pub mod refused;
mod row;
mod so_far;
#[cfg(feature = "sqlite")]
mod sqlite;
pub mod stage_rows;
mod stages;
pub mod summary;
mod svg;
mod target;
mod text_cell;

use std::path::Path;

use url::Url;

use crate::metrics::summary::{StageSummary, Summary};
use crate::plan::{SinkConfig, SinkKind};
use crate::record::Line;
use crate::report::view::Background;

use document::Document;
use page::Page;

/// Why a sink could not go on.
#[derive(Debug, thiserror::Error)]
#[error("{sink}: {message}")]
pub struct SinkError {
    /// `kind:target`.
    pub sink: String,
    /// What happened.
    pub message: String,
}

impl SinkError {
    fn new(sink: &str, message: impl std::fmt::Display) -> Self {
        Self { sink: sink.to_owned(), message: message.to_string() }
    }
}

/// Something that turns evidence into a file.
pub trait Sink: Send {
    /// One line of the record log with its number, in order.
    fn line(&mut self, _seq: u64, _line: &Line) -> Result<(), SinkError> {
        Ok(())
    }
    /// A stage (or rung) is over.
    fn stage(&mut self, _stage: &StageSummary) -> Result<(), SinkError> {
        Ok(())
    }
    /// About once a second: a sink that shows the run so far writes it out.
    fn tick(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
    /// Records that it took as rows and has not written out: those that are lost when it fails.
    fn pending(&self) -> u64 {
        0
    }
    /// The run is over; nothing follows.
    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError>;
}

/// A sink with what the recorder must know of it.
pub struct OpenSink {
    /// `kind:target`, as reports name it.
    pub name: String,
    /// Whether its failure changes the exit code.
    pub required: bool,
    /// The sink.
    pub sink: Box<dyn Sink>,
}

/// Opens one sink before the run; relative targets start at `base`. A file that can't be written is
/// an error now and not after an hour of load. Files of earlier runs are overwritten: lines and rows
/// from the start of this run, summaries as a whole at its end.
pub fn build(
    config: &SinkConfig,
    base: &Path,
    background: &Background,
) -> Result<Box<dyn Sink>, SinkError> {
    let name = name(config);
    let page = |format: page::Format| {
        let name = name.clone();
        Page::open(name, &config.target, base, background, format).map(Box::new)
    };
    Ok(match config.kind {
        SinkKind::Jsonl => Box::new(jsonl::Jsonl::open(name, &config.target, base)?),
        SinkKind::Csv => Box::new(csv::Csv::open(name, &config.target, base)?),
        SinkKind::Summary => Box::new(summary::SummaryFile::open(name, &config.target, base)?),
        SinkKind::Stages => Box::new(Document::open(name, &config.target, base, stages::render)?),
        SinkKind::Junit => Box::new(Document::open(name, &config.target, base, junit::render)?),
        SinkKind::Sqlite => open_sqlite(name, &config.target, base)?,
        SinkKind::Parquet => Box::new(parquet::Parquet::open(name, &config.target, base)?),
        SinkKind::Prometheus if config.is_url() => {
            Box::new(prometheus::push(name, &config.target)?)
        }
        SinkKind::Prometheus => Box::new(prometheus::Served::open(&name, &config.target)?),
        SinkKind::Otlp => Box::new(otlp::push(name, &config.target)?),
        SinkKind::Html => page(html::format())?,
        SinkKind::Markdown => page(markdown::format())?,
        SinkKind::Svg => page(svg::format())?,
        SinkKind::Png => page(png::format().map_err(|why| SinkError::new(&name, why))?)?,
    })
}

/// Opens all sinks of a plan, or says which can't be.
pub fn open_all(
    configs: &[SinkConfig],
    base: &Path,
    background: &Background,
) -> Result<Vec<OpenSink>, SinkError> {
    let open = |config: &SinkConfig| {
        let sink = build(config, base, background)?;
        Ok(OpenSink { name: name(config), required: config.required, sink })
    };
    configs.iter().map(open).collect()
}

#[cfg(feature = "sqlite")]
fn open_sqlite(name: String, target: &str, base: &Path) -> Result<Box<dyn Sink>, SinkError> {
    Ok(Box::new(sqlite::Sqlite::open(name, target, base)?))
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(name: String, _target: &str, _base: &Path) -> Result<Box<dyn Sink>, SinkError> {
    Err(SinkError::new(&name, "this build has no `sqlite` feature; use parquet or csv"))
}

/// `kind:target`, without user and password of a URL.
fn name(config: &SinkConfig) -> String {
    let shown = match Url::parse(&config.target) {
        Ok(mut url) if config.is_url() => {
            // Both fail only for URLs that can't hold them.
            let _no_password = url.set_password(None);
            let _no_user = url.set_username("");
            url.to_string()
        }
        _ => config.target.clone(),
    };
    format!("{}:{shown}", config.kind.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_path_fails_before_the_run_and_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("file"), "").expect("written");
        for kind in
            [SinkKind::Jsonl, SinkKind::Junit, SinkKind::Parquet, SinkKind::Sqlite, SinkKind::Html]
        {
            let target = "file/below.out".to_owned();
            let config = SinkConfig { kind, target, required: true };
            let error = open_all(&[config], dir.path(), &Background::default())
                .err()
                .expect("a file is no folder");
            assert!(error.sink.ends_with(":file/below.out"), "{error}");
        }
    }

    #[test]
    fn a_taken_port_fails_before_the_run_and_a_password_is_in_no_name() {
        let config = |target: &str| SinkConfig {
            kind: SinkKind::Prometheus,
            target: target.to_owned(),
            required: false,
        };
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let target = taken.local_addr().expect("bound").to_string();
        let open = |config| build(&config, Path::new("."), &Background::default());
        let error = open(config(&target)).err().expect("it is taken");
        assert!(error.message.contains("in use"), "{error}");
        assert_eq!(name(&config("http://me:key@gateway:9091")), "prometheus:http://gateway:9091/");
    }

    #[test]
    fn missing_folders_are_made() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = "new/deep/records.jsonl".to_owned();
        let config = SinkConfig { kind: SinkKind::Jsonl, target, required: false };
        assert!(build(&config, dir.path(), &Background::default()).is_ok());
        assert!(dir.path().join("new/deep/records.jsonl").is_file());
    }
}
