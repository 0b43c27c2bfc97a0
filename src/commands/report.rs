//! `runner report RUN`: the report of any run, rebuilt from its records.
//!
//! In: a run directory (finished, interrupted or killed). Out: one document, and the run's own exit
//! code. Invariant: nothing is written into the run unless asked for.

use std::path::Path;

use serde_json::json;

use crate::cli::{ReportArgs, ReportFormat};
use crate::executor::manifest::Manifest;
use crate::executor::rebuild::{self, Read};
use crate::executor::run_dir;
use crate::metrics::aggregator::Aggregator;
use crate::metrics::definitions::{self, Tool};
use crate::metrics::summary::Summary;
use crate::output::{self, Stream, note};
use crate::plan::{SinkConfig, SinkKind, sinks_of_options};
use crate::report::look::Look;
use crate::report::samples::RunSamples;
use crate::report::view::{self, Background, Fact, ReportView};
use crate::report::{self, console, html, markdown, sheet, svg};
use crate::sink::{Sink, SinkError, atomic_file};

/// The page that a run leaves in its directory.
pub(crate) const PAGE: &str = "report.html";

/// Prints the report of a run; the exit code is the run's verdict.
pub fn run(args: &ReportArgs) -> anyhow::Result<u8> {
    let tool = match args.definitions.as_deref().map(tool).transpose() {
        Ok(tool) => tool,
        Err(message) => return Ok(usage(&message)),
    };
    if tool.is_some() && matches!(args.format, ReportFormat::Svg | ReportFormat::Png) {
        return Ok(usage(
            "--definitions: pictures show our figures only; choose --format text, json, markdown \
             or html",
        ));
    }
    let is_table = args.format == ReportFormat::Text && tool.is_none();
    if !args.percentiles.is_empty() && !is_table && args.exports.is_empty() {
        return Ok(usage(
            "--percentiles: chooses columns of our text report; use `--format text` without \
             --definitions",
        ));
    }
    let sinks = match sinks(args) {
        Ok(sinks) => sinks,
        Err(message) => return Ok(usage(&message)),
    };
    let mut told = Told::new(tool, sinks);
    let run = match super::past::run(&args.run) {
        Ok(run) => run,
        Err(why) => return Ok(usage(&why)),
    };
    let read = match rebuild::lines(&run, |seq, line| told.line(seq, line)) {
        Ok(read) => read,
        Err(error) => {
            return Ok(usage(&format!("can't report on {}: {error}", run.display())));
        }
    };
    let summary = told.summary(&read);
    if let Err(error) = told.finish_sinks(&summary) {
        return Ok(usage(&format!("sink {error}")));
    }
    if args.write {
        if run_dir::is_locked(&run) {
            return Ok(usage(&format!("{} is still being written by a run", run.display())));
        }
        run_dir::write_summaries(&run, &summary)?;
        write_page(&run, &told.view(&summary, read.manifest.as_ref()))?;
    }
    let manifest = read.manifest.as_ref();
    let chosen = &args.percentiles;
    if let Err(code) = super::export::run(&run, &args.exports, &summary, manifest, chosen) {
        return Ok(code);
    }
    let redefined = tool.zip(told.definitions.take());
    let redefined = redefined.map(|(tool, collector)| (tool, collector.finish()));
    if let Some((tool, stages)) = &redefined {
        let document = match args.format {
            ReportFormat::Json => {
                let about = json!({ "definitions": tool.word, "tool": tool.name,
                    "run": summary.run, "stages": stages });
                Some(format!("{}\n", serde_json::to_string_pretty(&about)?))
            }
            ReportFormat::Text => {
                let view = report::definitions::compose(tool, stages);
                Some(report::definitions::text(&view, &summary, look(args)))
            }
            _ => None,
        };
        if let Some(document) = document {
            return Ok(print(args, document.as_bytes(), &summary));
        }
    }
    let document = match args.format {
        ReportFormat::Text => {
            with_percentiles(&summary, look(args), &told.aggregator, &args.percentiles).into_bytes()
        }
        ReportFormat::Json if args.output.is_none() => {
            output::print(&output::json(&summary)?);
            return Ok(super::exit_code(&summary));
        }
        ReportFormat::Json => crate::sink::summary::document(&summary)?,
        ReportFormat::None => return Ok(super::exit_code(&summary)),
        page => {
            let mut view = told.view(&summary, manifest);
            view.redefined =
                redefined.map(|(tool, stages)| report::definitions::compose(tool, &stages));
            match document(page, &view) {
                Ok(document) => document,
                Err(message) => return Ok(usage(&message)),
            }
        }
    };
    Ok(print(args, &document, &summary))
}

fn usage(message: &str) -> u8 {
    note!("error: {message}");
    super::USAGE
}

fn tool(word: &str) -> Result<&'static Tool, String> {
    definitions::find(word).ok_or_else(|| {
        let known: Vec<&str> = definitions::TOOLS.iter().map(|tool| tool.word).collect();
        format!("--definitions {word}: no such tool; choose of {}", known.join(", "))
    })
}

/// Opens what `--sink` asks for; the records run through it as they did through the run's own.
fn sinks(args: &ReportArgs) -> Result<Vec<Box<dyn Sink>>, String> {
    let told = |(message, help): (String, String)| format!("{message}\n  help: {help}");
    let configs = sinks_of_options(&args.sinks).map_err(told)?;
    if configs.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(live) = configs.iter().find(|it| it.kind == SinkKind::Prometheus && !it.is_url()) {
        return Err(told((
            format!(
                "--sink prometheus:{}: nothing is left to serve of a run that is over",
                live.target
            ),
            "give the URL of a gateway, to push its figures there".to_owned(),
        )));
    }
    let is_taken = args.output.is_none() && args.format != ReportFormat::None;
    if let Some(sink) = configs.iter().find(|sink| sink.is_stdout() && is_taken) {
        return Err(told((
            format!("the sink `{}:-` and the report both want standard output", sink.kind.word()),
            "add `--format none`, or give one of them a file".to_owned(),
        )));
    }
    let manifest = run_dir::read_manifest(&args.run).map_err(|error| error.to_string())?;
    let background = manifest.as_ref().map(background).unwrap_or_default();
    let open = |config: &SinkConfig| crate::sink::build(config, Path::new("."), &background);
    configs.iter().map(open).collect::<Result<_, _>>().map_err(|error| format!("sink {error}"))
}

fn look(args: &ReportArgs) -> Look {
    if args.output.is_some() { Look::PLAIN } else { Look::of(Stream::Out) }
}

fn document(format: ReportFormat, view: &ReportView) -> Result<Vec<u8>, String> {
    let sheet = || sheet::sheet(view);
    Ok(match format {
        ReportFormat::Markdown => markdown::document(view).into_bytes(),
        ReportFormat::Svg => svg::document(&sheet(), &view.headline).into_bytes(),
        #[cfg(feature = "plots")]
        ReportFormat::Png => report::png::document(&sheet()).map_err(|error| error.to_string())?,
        #[cfg(not(feature = "plots"))]
        ReportFormat::Png => return Err("this build has no `plots` feature; use svg".into()),
        _ => html::document(view).map_err(|error| error.to_string())?.into_bytes(),
    })
}

/// Writes the document where it was asked for; the exit code is the run's, unless that fails.
fn print(args: &ReportArgs, document: &[u8], summary: &Summary) -> u8 {
    match &args.output {
        None => match std::str::from_utf8(document) {
            Ok(text) => output::print(text),
            Err(_) => output::print_bytes(document),
        },
        Some(path) => {
            if let Err(error) = atomic_file::write(path, document) {
                return usage(&format!("can't write {}: {error}", path.display()));
            }
        }
    }
    super::exit_code(summary)
}

/// All that the lines of a run tell.
struct Told {
    aggregator: Aggregator,
    samples: RunSamples,
    definitions: Option<definitions::Collector>,
    sinks: Vec<Box<dyn Sink>>,
    sink_error: Option<SinkError>,
}

impl Told {
    fn new(tool: Option<&'static Tool>, sinks: Vec<Box<dyn Sink>>) -> Self {
        Self {
            aggregator: Aggregator::new(),
            samples: RunSamples::default(),
            definitions: tool.map(definitions::Collector::new),
            sinks,
            sink_error: None,
        }
    }

    fn line(&mut self, seq: u64, line: &crate::record::Line) {
        let over = self.aggregator.line(line);
        for sink in &mut self.sinks {
            let taken =
                sink.line(seq, line).and_then(|()| over.map_or(Ok(()), |it| sink.stage(it)));
            if let Err(error) = taken {
                self.sink_error.get_or_insert(error);
            }
        }
        self.samples.line(line);
        if let Some(definitions) = &mut self.definitions {
            definitions.line(line);
        }
    }

    fn summary(&mut self, read: &Read) -> Summary {
        if let Some(why) = read.losses.data_loss() {
            self.aggregator.distrust(why);
        }
        self.aggregator.finish(&read.end)
    }

    fn finish_sinks(&mut self, summary: &Summary) -> Result<(), SinkError> {
        if let Some(error) = self.sink_error.take() {
            return Err(error);
        }
        std::mem::take(&mut self.sinks).into_iter().try_for_each(|sink| sink.finish(summary))
    }

    fn view(&self, summary: &Summary, manifest: Option<&Manifest>) -> ReportView {
        let background = manifest.map(background).unwrap_or_default();
        view::compose(summary, &self.samples, &background)
    }
}

/// The report for people, with the percentiles that were asked for in its table.
fn with_percentiles(
    summary: &Summary,
    look: Look,
    aggregator: &Aggregator,
    percents: &[f64],
) -> String {
    if percents.is_empty() {
        return console::render(summary, look);
    }
    let exact = |stage: &_, metric: &str, percent| aggregator.percentile(stage, metric, percent);
    console::render_with(summary, look, &console::Percentiles { percents, exact: &exact })
}

/// The same of a run that just ended: its samples are in its records.
pub(crate) fn of_run(
    run: &Path,
    summary: &Summary,
    look: Look,
    percents: &[f64],
) -> Result<String, String> {
    let mut aggregator = Aggregator::new();
    if !percents.is_empty() {
        let take = |_, line: &crate::record::Line| {
            aggregator.line(line);
        };
        rebuild::lines(run, take).map_err(|it| it.to_string())?;
    }
    Ok(with_percentiles(summary, look, &aggregator, percents))
}

/// Leaves the page of a run that just ended in its directory. What was measured is safe already, so
/// that this fails is only worth a warning.
pub(crate) fn leave_page(run: &Path, summary: &Summary) -> Result<(), String> {
    let mut samples = RunSamples::default();
    let read = rebuild::lines(run, |_, line| samples.line(line)).map_err(|it| it.to_string())?;
    let background = read.manifest.as_ref().map(background).unwrap_or_default();
    let view = view::compose(summary, &samples, &background);
    write_page(run, &view).map_err(|error| format!("{error:#}"))
}

fn write_page(run: &Path, view: &ReportView) -> anyhow::Result<()> {
    let page = html::document(view)?;
    atomic_file::write(&run.join(PAGE), page.as_bytes())?;
    Ok(())
}

/// What a manifest says of plan, machine and endpoints.
fn background(manifest: &Manifest) -> Background {
    let shown = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let params = manifest.params.iter().map(|(name, value)| Fact::new(name, shown(value)));
    let mut environment: Vec<Fact> = Vec::new();
    for endpoint in &manifest.endpoints {
        let server = [endpoint.server.as_deref(), endpoint.server_version.as_deref()];
        let server: Vec<&str> = server.into_iter().flatten().collect();
        let name = format!("endpoint {}", endpoint.name);
        let fact = Fact { detail: server.join(" "), ..Fact::new(name, &endpoint.url) };
        if !environment.contains(&fact) {
            environment.push(fact);
        }
    }
    let host = &manifest.host;
    environment.push(Fact {
        detail: host.hostname.clone().unwrap_or_default(),
        ..Fact::new("machine", format!("{} {}, {} cores", host.os, host.arch, host.cores))
    });
    environment.push(Fact::new("plan", &manifest.plan.path));
    environment.push(Fact::new("command", manifest.arguments.join(" ")));
    environment.extend(manifest.tags.iter().map(|(name, value)| Fact::new(name, value)));
    let description = manifest.plan.resolved.get("description").and_then(|it| it.as_str());
    Background {
        description: description.map(str::to_owned),
        params: params.collect(),
        environment,
    }
}
