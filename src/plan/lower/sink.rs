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
        if let Err((message, help)) = suits(&sink) {
            self.push(place.label(Diagnostic::error(Code::Sink, message), "").help(help));
            return;
        }
        // One host may well take both kinds of metrics.
        let is_same = |other: &SinkConfig| {
            other.target == sink.target && (other.kind == sink.kind || !sink.is_url())
        };
        if sinks.iter().any(is_same) {
            let (message, help) = if sink.is_stdout() {
                let help = "one stream holds one document: give all but one a file";
                ("two sinks write to standard output".to_owned(), help)
            } else {
                (format!("two sinks write to `{}`", sink.target), "give each its own target")
            };
            self.push(place.label(Diagnostic::error(Code::Sink, message), "").help(help));
        }
        sinks.push(sink);
    }

    /// `kind:target`, as the plan or `--sink` writes it.
    fn short(&mut self, text: &str, place: &Place) -> Option<SinkConfig> {
        let kinds = || SinkKind::ALL.iter().map(|kind| kind.word());
        let (word, target) = text.split_once(':').unwrap_or((text, ""));
        let Some(kind) = SinkKind::ALL.into_iter().find(|kind| kind.word() == word.trim()) else {
            let problem =
                Diagnostic::error(Code::Sink, format!("no sink is called `{}`", word.trim()));
            let problem = place.label(problem, &suggest::did_you_mean(word.trim(), kinds()));
            self.push(
                problem.help(format!("write `kind:target`; kinds: {}", suggest::list(kinds()))),
            );
            return None;
        };
        if !text.contains(':') {
            let problem = Diagnostic::error(Code::Sink, format!("the sink `{word}` has no target"));
            let help = match kind {
                SinkKind::Prometheus => "write `prometheus:HOST:PORT` or `prometheus:URL`".into(),
                SinkKind::Otlp => "write `otlp:URL`".into(),
                SinkKind::Sqlite | SinkKind::Parquet => format!("write `{word}:PATH`"),
                _ => format!("write `{word}:PATH`, or `{word}:-` for standard output"),
            };
            self.push(place.label(problem, "").help(help));
            return None;
        }
        Some(SinkConfig { kind, target: target.trim().to_owned(), required: false })
    }
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

/// Whether a kind can have such a target; else what is wrong and what to do.
fn suits(sink: &SinkConfig) -> Result<(), (String, String)> {
    let (word, target) = (sink.kind.word(), &sink.target);
    let url = || match url::Url::parse(target) {
        Ok(url) if url.host_str().is_some() => Ok(()),
        Ok(_) => Err(format!("`{target}` names no host")),
        Err(error) => Err(format!("`{target}` is no URL: {error}")),
    };
    match sink.kind {
        SinkKind::Sqlite | SinkKind::Parquet if sink.is_stdout() => Err((
            format!("`{word}` can't go to standard output"),
            format!("its file is written to and fro; write `{word}:PATH`"),
        )),
        SinkKind::Prometheus if !sink.is_url() => {
            let port = target.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if matches!(port, Some(Ok(_))) {
                return Ok(());
            }
            Err((
                format!("`{target}` is neither an address nor a URL"),
                "write `prometheus:127.0.0.1:9464` to serve /metrics there, or the URL of a gateway"
                    .to_owned(),
            ))
        }
        SinkKind::Otlp if !sink.is_url() => Err((
            format!("`{target}` is no HTTP URL"),
            "write the URL of a collector: `otlp:http://127.0.0.1:4318`".to_owned(),
        )),
        SinkKind::Prometheus | SinkKind::Otlp => {
            let help = "write `http://HOST:PORT`".to_owned();
            url().map_err(|message| (message, help))
        }
        _ => Ok(()),
    }
}
