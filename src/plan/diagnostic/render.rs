//! Diagnostics → text and JSON.
//!
//! In: diagnostics, the texts they point into, the secrets to hide. Out: rustc-like text, or an
//! array. Invariant: the only file that names the snippet crate; it fails on no input.

use std::collections::HashSet;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Severity};
use crate::plan::source::Sources;
use crate::plan::{Location, Redactor};

/// So many are shown to people, errors first; more are only counted.
const MOST_SHOWN: usize = 200;

/// Letters from which on a line of help is a list that is told once.
const LONG_HELP: usize = 120;

/// Diagnostics as text for people: title, place, the lines themselves, help; then a count. Colours
/// only when `color`.
pub fn render(
    diagnostics: &[Diagnostic],
    sources: &Sources,
    redactor: &Redactor,
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(120);
    let mut out = String::new();
    let mut told: HashSet<&str> = HashSet::new();
    for diagnostic in diagnostics.iter().take(MOST_SHOWN) {
        // A long list of what is allowed is told once.
        let helps = diagnostic.help.iter().map(String::as_str);
        let help: Vec<&str> =
            helps.filter(|help| help.len() < LONG_HELP || told.insert(*help)).collect();
        out.push_str(&one(diagnostic, &help, sources, redactor, &renderer));
        out.push_str("\n\n");
    }
    if diagnostics.len() > MOST_SHOWN {
        let _ = writeln!(out, "… and {} more\n", diagnostics.len() - MOST_SHOWN);
    }
    if let Some(count) = count(diagnostics) {
        out.push_str(&count);
        out.push('\n');
    }
    out
}

/// `3 errors, 1 warning`.
fn count(diagnostics: &[Diagnostic]) -> Option<String> {
    let of = |severity| diagnostics.iter().filter(|it| it.severity == severity).count();
    let plural = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{count} {word}s")),
    };
    let parts: Vec<_> =
        [plural(of(Severity::Error), "error"), plural(of(Severity::Warning), "warning")]
            .into_iter()
            .flatten()
            .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn one(
    diagnostic: &Diagnostic,
    helps: &[&str],
    sources: &Sources,
    redactor: &Redactor,
    renderer: &Renderer,
) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code.number()));
    // One snippet per file, the main label's first.
    let mut files: Vec<&str> = Vec::new();
    for label in &diagnostic.labels {
        if !files.contains(&label.location.file.as_str()) {
            files.push(&label.location.file);
        }
    }
    for file in files {
        let text = redactor.mask(sources.named(file).unwrap_or(""));
        let mut snippet = Snippet::source(text.clone().into_owned()).path(file).fold(true);
        for (index, label) in diagnostic.labels.iter().enumerate() {
            if label.location.file != file {
                continue;
            }
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(one_line(&text, &label.location));
            snippet = snippet.annotation(if label.text.is_empty() {
                annotation
            } else {
                annotation.label(label.text.as_str())
            });
        }
        group = group.element(snippet);
    }
    for help in helps {
        group = group.element(Level::HELP.message(*help));
    }
    renderer.render(&[group])
}

/// The label's bytes, cut at the end of its first line: a block's first line says enough.
fn one_line(text: &str, location: &Location) -> std::ops::Range<usize> {
    let start = location.start.min(text.len());
    let end = location.end.clamp(start, text.len());
    let line = text.get(start..end).unwrap_or("");
    let cut = line.find('\n').unwrap_or(line.len());
    start..start + line[..cut].trim_end().len()
}

/// Diagnostics as a JSON array, one object each: `code`, `severity`, `message`, `file`, `line`,
/// `column`, `end_line`, `end_column` (1-based, the end exclusive; null outside a file), `help`,
/// and `labels` with the further places.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources) -> Value {
    diagnostics.iter().map(|diagnostic| object(diagnostic, sources)).collect()
}

/// [`json()`] as text, ended by a newline.
pub fn render_json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    // Writing into a String can't fail.
    let _ = writeln!(out, "{:#}", json(diagnostics, sources));
    out
}

fn object(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let mut object = json!({
        "code": diagnostic.code.number(),
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "file": null, "line": null, "column": null, "end_line": null, "end_column": null,
        "help": diagnostic.help,
    });
    if let Some(main) = diagnostic.labels.first() {
        for (key, value) in place(&main.location, sources) {
            object[key] = value;
        }
    }
    object["labels"] = diagnostic
        .labels
        .iter()
        .map(|label| {
            let mut object = json!({ "text": label.text });
            for (key, value) in place(&label.location, sources) {
                object[key] = value;
            }
            object
        })
        .collect();
    object
}

pub(super) fn place(location: &Location, sources: &Sources) -> [(&'static str, Value); 5] {
    let text = sources.named(&location.file).unwrap_or("");
    let covered = text.get(location.start..location.end).unwrap_or("");
    let newlines = covered.matches('\n').count();
    let last = covered.rsplit('\n').next().unwrap_or("").chars().count();
    let end_column = if newlines == 0 { location.column + last } else { last + 1 };
    [
        ("file", json!(location.file)),
        ("line", json!(location.line)),
        ("column", json!(location.column)),
        ("end_line", json!(location.line + newlines)),
        ("end_column", json!(end_column)),
    ]
}
