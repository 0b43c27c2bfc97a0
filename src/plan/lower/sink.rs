//! `sinks:` → [`SinkConfig`].

use super::Lowering;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::SinkFile;
use crate::plan::{Location, SinkConfig, SinkKind, suggest};

impl Lowering<'_> {
    /// Every sink that is on.
    pub(super) fn sinks(&mut self, written: &[Spanned<SinkFile>]) -> Vec<SinkConfig> {
        let mut sinks: Vec<SinkConfig> = Vec::new();
        for text in &self.options.sinks {
            let place = Place::Option(text.clone());
            let sink = self.short(text, &place);
            self.take(sink, &place, &mut sinks);
        }
        for sink in written {
            let (sink, place) = match &sink.value {
                SinkFile::Text(text) => {
                    let place = Place::Plan(self.location(text.at.span));
                    (self.short(&text.value, &place), place)
                }
                SinkFile::Map(keys) => {
                    let sink = SinkConfig {
                        kind: keys.kind,
                        target: keys.target.value.trim().to_owned(),
                        required: keys.required,
                    };
                    (Some(sink), Place::Plan(self.location(keys.target.at.span)))
                }
            };
            self.take(sink, &place, &mut sinks);
        }
        sinks
    }

    /// Adds a sink that is on, if its target suits it and no other sink.
    fn take(&mut self, sink: Option<SinkConfig>, place: &Place, sinks: &mut Vec<SinkConfig>) {
        // An empty target comes from a variable that is not set: the sink is off.
        let Some(sink) = sink.filter(|sink| !sink.target.is_empty()) else { return };
        if let Err(problem) = suits(&sink) {
            self.problem(problem, place);
            return;
        }
        if let Err(problem) = clashes(&sink, sinks) {
            self.problem(problem, place);
        }
        sinks.push(sink);
    }

    /// `kind:target`, as the plan or `--sink` writes it.
    fn short(&mut self, text: &str, place: &Place) -> Option<SinkConfig> {
        parse(text).map_err(|problem| self.problem(problem, place)).ok()
    }

    fn problem(&mut self, problem: Problem, place: &Place) {
        let Problem { message, hint, help } = problem;
        self.push(place.label(Diagnostic::error(Code::Sink, message), &hint).help(help));
    }
}

/// The sinks that values of `--sink` ask for where there is no plan. What is wrong with the first
/// that can't be had, and what to do, otherwise.
pub fn of_options(texts: &[String]) -> Result<Vec<SinkConfig>, (String, String)> {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    for text in texts {
        let checked = parse(text).and_then(|sink| {
            if sink.target.is_empty() {
                let word = sink.kind.word();
                return Err(Problem::new(
                    format!("the sink `{word}` has no target"),
                    targets(&sink),
                ));
            }
            suits(&sink)?;
            clashes(&sink, &sinks)?;
            Ok(sink)
        });
        sinks.push(checked.map_err(|it| (format!("--sink {text}: {}", it.message), it.help))?);
    }
    Ok(sinks)
}

/// What is wrong with a sink.
struct Problem {
    message: String,
    /// What may have been meant, or nothing.
    hint: String,
    /// What to do.
    help: String,
}

impl Problem {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), hint: String::new(), help: help.into() }
    }
}

fn parse(text: &str) -> Result<SinkConfig, Problem> {
    let kinds = || SinkKind::ALL.iter().map(|kind| kind.word());
    let (word, target) = text.split_once(':').unwrap_or((text, ""));
    let Some(kind) = SinkKind::ALL.iter().copied().find(|kind| kind.word() == word.trim()) else {
        return Err(Problem {
            message: format!("no sink is called `{}`", word.trim()),
            hint: suggest::did_you_mean(word.trim(), kinds()),
            help: format!("write `kind:target`; kinds: {}", suggest::list(kinds())),
        });
    };
    let sink = SinkConfig { kind, target: target.trim().to_owned(), required: false };
    if text.contains(':') {
        Ok(sink)
    } else {
        Err(Problem::new(format!("the sink `{word}` has no target"), targets(&sink)))
    }
}

/// What the target of a kind looks like.
fn targets(sink: &SinkConfig) -> String {
    let word = sink.kind.word();
    match sink.kind {
        SinkKind::Prometheus => "write `prometheus:HOST:PORT` or `prometheus:URL`".into(),
        SinkKind::Otlp => "write `otlp:URL`".into(),
        SinkKind::Sqlite | SinkKind::Parquet => format!("write `{word}:PATH`"),
        _ => format!("write `{word}:PATH`, or `{word}:-` for standard output"),
    }
}

/// Whether another sink writes to the same place.
fn clashes(sink: &SinkConfig, sinks: &[SinkConfig]) -> Result<(), Problem> {
    // One host may well take both kinds of metrics.
    let is_same = |other: &SinkConfig| {
        other.target == sink.target && (other.kind == sink.kind || !sink.is_url())
    };
    if !sinks.iter().any(is_same) {
        return Ok(());
    }
    Err(if sink.is_stdout() {
        let help = "one stream holds one document: give all but one a file";
        Problem::new("two sinks write to standard output", help)
    } else {
        let message = format!("two sinks write to `{}`", sink.target);
        Problem::new(message, "give each its own target")
    })
}

/// Where a sink is written.
enum Place {
    Plan(Location),
    /// The value of `--sink`.
    Option(String),
}

impl Place {
    fn label(&self, problem: Diagnostic, words: &str) -> Diagnostic {
        match self {
            Self::Plan(at) => problem.label(at.clone(), words),
            Self::Option(text) => problem.help(format!("it comes from `--sink {text}`")),
        }
    }
}

/// Whether a kind can have such a target.
fn suits(sink: &SinkConfig) -> Result<(), Problem> {
    let (word, target) = (sink.kind.word(), &sink.target);
    let url = || match url::Url::parse(target) {
        Ok(url) if url.host_str().is_some() => Ok(()),
        Ok(_) => Err(format!("`{target}` names no host")),
        Err(error) => Err(format!("`{target}` is no URL: {error}")),
    };
    match sink.kind {
        SinkKind::Sqlite | SinkKind::Parquet if sink.is_stdout() => Err(Problem::new(
            format!("`{word}` can't go to standard output"),
            format!("its file is written to and fro; write `{word}:PATH`"),
        )),
        SinkKind::Prometheus if !sink.is_url() => {
            let port = target.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if matches!(port, Some(Ok(_))) {
                return Ok(());
            }
            Err(Problem::new(
                format!("`{target}` is neither an address nor a URL"),
                "write `prometheus:127.0.0.1:9464` to serve /metrics there, or the URL of a gateway",
            ))
        }
        SinkKind::Otlp if !sink.is_url() => Err(Problem::new(
            format!("`{target}` is no HTTP URL"),
            "write the URL of a collector: `otlp:http://127.0.0.1:4318`",
        )),
        SinkKind::Prometheus | SinkKind::Otlp => {
            url().map_err(|message| Problem::new(message, "write `http://HOST:PORT`"))
        }
        _ => Ok(()),
    }
}
