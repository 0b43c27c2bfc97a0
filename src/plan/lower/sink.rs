//! `sinks:` → [`SinkConfig`].

use super::Lowering;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{SinkFile, SinkWord};
use crate::plan::{Location, SinkConfig, SinkKind, suggest};

const KINDS: [(&str, SinkKind); 7] = [
    ("jsonl", SinkKind::Jsonl),
    ("csv", SinkKind::Csv),
    ("summary", SinkKind::Summary),
    ("html", SinkKind::Html),
    ("markdown", SinkKind::Markdown),
    ("svg", SinkKind::Svg),
    ("png", SinkKind::Png),
];

impl Lowering<'_> {
    /// Every sink that is on.
    pub(super) fn sinks(&mut self, written: &[Spanned<SinkFile>]) -> Vec<SinkConfig> {
        let mut sinks: Vec<SinkConfig> = Vec::new();
        for text in &self.options.sinks {
            let sink = self.short(text, None);
            sinks.extend(sink.filter(|sink| !sink.target.is_empty()));
        }
        for sink in written {
            let lowered = match &sink.value {
                SinkFile::Text(text) => {
                    let at = self.location(text.at.span);
                    self.short(&text.value, Some(&at))
                }
                SinkFile::Map(keys) => Some(SinkConfig {
                    kind: match keys.kind {
                        SinkWord::Jsonl => SinkKind::Jsonl,
                        SinkWord::Csv => SinkKind::Csv,
                        SinkWord::Summary => SinkKind::Summary,
                        SinkWord::Html => SinkKind::Html,
                        SinkWord::Markdown => SinkKind::Markdown,
                        SinkWord::Svg => SinkKind::Svg,
                        SinkWord::Png => SinkKind::Png,
                    },
                    target: keys.target.value.trim().to_owned(),
                    required: keys.required,
                }),
            };
            // An empty target comes from a variable that is not set: the sink is off.
            let Some(lowered) = lowered.filter(|sink| !sink.target.is_empty()) else { continue };
            if lowered.target != "-" && sinks.iter().any(|other| other.target == lowered.target) {
                let message = format!("two sinks write to `{}`", lowered.target);
                self.error(Code::Sink, sink.at.span, message, "give each its own target");
            }
            sinks.push(lowered);
        }
        sinks
    }

    /// `kind:target`, as the plan (then `at` says where) or `--sink` writes it.
    fn short(&mut self, text: &str, at: Option<&Location>) -> Option<SinkConfig> {
        let kinds = || KINDS.iter().map(|(name, _)| *name);
        let place = |diagnostic: Diagnostic, words: String| match at {
            Some(at) => diagnostic.label(at.clone(), words),
            None => diagnostic.help(format!("it comes from `--sink {text}`")),
        };
        let (word, target) = text.split_once(':').unwrap_or((text, ""));
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == word.trim()) else {
            let problem =
                Diagnostic::error(Code::Sink, format!("no sink is called `{}`", word.trim()));
            let problem = place(problem, suggest::did_you_mean(word.trim(), kinds()));
            self.push(
                problem.help(format!("write `kind:target`; kinds: {}", suggest::list(kinds()))),
            );
            return None;
        };
        if !text.contains(':') {
            let problem = Diagnostic::error(Code::Sink, format!("the sink `{word}` has no target"));
            let help = format!("write `{word}:PATH`, or `{word}:-` for standard output");
            self.push(place(problem, String::new()).help(help));
            return None;
        }
        Some(SinkConfig { kind: *kind, target: target.trim().to_owned(), required: false })
    }
}
