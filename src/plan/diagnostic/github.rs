//! Diagnostics → annotations of GitHub Actions.
//!
//! In: diagnostics, or any finding with a place. Out: `::error file=…,line=…,col=…::…` lines.
//! Invariant: one finding is one line, whatever is in its words: what would end the line or the
//! command is escaped the way GitHub's runner reads it back.

use super::{Diagnostic, Severity};

/// One annotation; without a `place` (file, line, column) it belongs to the run as a whole.
pub fn annotation(
    severity: Severity,
    place: Option<(&str, usize, usize)>,
    title: &str,
    message: &str,
) -> String {
    let mut properties = Vec::new();
    if let Some((file, line, column)) = place {
        properties.push(format!("file={}", property(file)));
        properties.push(format!("line={line},col={column}"));
    }
    properties.push(format!("title={}", property(title)));
    format!("::{} {}::{}\n", severity.name(), properties.join(","), data(message))
}

/// Every diagnostic as an annotation; `shown` says how a file is called in it.
pub fn render_github(diagnostics: &[Diagnostic], shown: &dyn Fn(&str) -> String) -> String {
    diagnostics.iter().map(|diagnostic| one(diagnostic, shown)).collect()
}

fn one(diagnostic: &Diagnostic, shown: &dyn Fn(&str) -> String) -> String {
    let mut message = diagnostic.message.clone();
    let label = diagnostic.labels.first().map_or("", |label| label.text.as_str());
    for words in std::iter::once(label).chain(diagnostic.help.iter().map(String::as_str)) {
        if !words.is_empty() {
            message.push('\n');
            message.push_str(words);
        }
    }
    let place = diagnostic.location().map(|at| (shown(&at.file), at.line, at.column));
    let place = place.as_ref().map(|(file, line, column)| (file.as_str(), *line, *column));
    annotation(diagnostic.severity, place, diagnostic.code.number(), &message)
}

/// What stands behind the `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property, where `:` and `,` end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_words_ends_the_command() {
        let line = annotation(
            Severity::Warning,
            Some(("a,b:c.yaml", 3, 5)),
            "E0,1",
            "50% of\r\nit ::error::x",
        );
        assert_eq!(
            line,
            "::warning file=a%2Cb%3Ac.yaml,line=3,col=5,title=E0%2C1::50%25 of%0D%0Ait ::error::x\n"
        );
    }
}
