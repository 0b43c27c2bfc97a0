//! TOML → tree.
//!
//! In: TOML text. Out: a tree in file order, or every syntax error the parser recovers from.
//! Invariant: the only file that names the TOML crate.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::depth::{MOST, too_deep};
use super::{Entry, MAX_NODES, Node, Sources, Span, Value, too_large};
use crate::plan::diagnostic::{Code, Diagnostic};

/// Parses one text of `sources`.
pub(super) fn parse(sources: &Sources, source: u16) -> Result<Node, Vec<Diagnostic>> {
    let text = sources.text(source);
    if let Some(at) = too_deep(text) {
        let message = format!("the plan is nested deeper than {MOST} levels");
        let location = sources.location(Span::new(source, at, at + 1));
        let help = "flatten it; no plan needs that many";
        return Err(vec![Diagnostic::error(Code::Limit, message).at(location).help(help)]);
    }
    let (root, mut errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What follows an error on the same line is mostly its echo.
        let mut problems: Vec<Diagnostic> = Vec::new();
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        for error in &errors {
            let problem = syntax(sources, source, error);
            let line = |it: &Diagnostic| it.location().map(|at| at.line);
            if problems.last().is_none_or(|last| line(last) != line(&problem)) {
                problems.push(problem);
            }
        }
        return Err(problems);
    }
    let reader = Reader { text, source };
    let span = Span::new(source, 0, 0);
    let mut root = match root.get_ref() {
        table if table.is_empty() => Node::new(Value::Null, span),
        table => Node::new(reader.map(table), span),
    };
    if root.number(0) > MAX_NODES {
        return Err(vec![too_large(&format!("{MAX_NODES} values"))]);
    }
    Ok(root)
}

/// One of the parser's errors as a diagnostic.
fn syntax(sources: &Sources, source: u16, error: &toml::de::Error) -> Diagnostic {
    let range = error.span().unwrap_or(0..0);
    let mut message = error.message().trim().to_owned();
    let duplicate = message.contains("duplicate key");
    if duplicate {
        message = format!(
            "key `{}` is written twice",
            &sources.slice(Span::new(source, range.start, range.end))
        );
    }
    // It is a text that is missing its quotes, of whichever kind.
    let plain = message.replace(", expected literal string", "");
    let code = match () {
        () if duplicate => Code::DuplicateKey,
        () => Code::Syntax,
    };
    let diagnostic = Diagnostic::error(
        code,
        match code {
            Code::Syntax => format!("this is not TOML: {plain}"),
            _ => message,
        },
    )
    .at(sources.location(Span::new(source, range.start, range.end)));
    let is_bare = error.message().contains("must be quoted");
    let line = line_around(sources.text(source), range.start);
    if code == Code::DuplicateKey {
        diagnostic.help("keep one of the two")
    } else if let Some(reference) = unquoted_reference(line) {
        diagnostic.help(format!("quote it: \"{reference}\""))
    } else if is_bare {
        let word = &sources.slice(Span::new(source, range.start, range.end));
        diagnostic.help(format!("quote it: \"{word}\""))
    } else {
        diagnostic
    }
}

/// The line that holds byte `offset`.
fn line_around(text: &str, offset: usize) -> &str {
    let bytes = text.as_bytes();
    let offset = offset.min(bytes.len());
    let start = bytes[..offset].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let end = bytes[offset..]
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(bytes.len(), |at| offset + at);
    text.get(start..end).unwrap_or("")
}

/// The first `${…}` of a line that stands outside quotes.
fn unquoted_reference(line: &str) -> Option<&str> {
    let mut quote = None;
    for (at, letter) in line.char_indices() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if line[at..].starts_with("${") => {
                let end = line[at..].find('}')?;
                return Some(&line[at..=at + end]);
            }
            _ => {}
        }
    }
    None
}

/// Turns the parser's values into nodes.
struct Reader<'t> {
    text: &'t str,
    source: u16,
}

impl Reader<'_> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.source, range.start, range.end)
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = self.span(value.span());
        let raw = || self.text.get(value.span()).map(str::to_owned);
        match value.get_ref() {
            DeValue::String(text) => Node::new(Value::Text(text.to_string()), span),
            DeValue::Boolean(value) => Node { raw: raw(), ..Node::new(Value::Bool(*value), span) },
            DeValue::Integer(digits) => {
                let value = match i128::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(value) => Value::Int(value),
                    // Longer than any number a plan takes: left as text, refused by its reader.
                    Err(_) => Value::Text(digits.to_string()),
                };
                Node { raw: raw(), ..Node::new(value, span) }
            }
            DeValue::Float(digits) => {
                let value = match digits.as_str().parse::<f64>() {
                    Ok(value) => Value::Float(value),
                    Err(_) => Value::Text(digits.as_str().to_owned()),
                };
                Node { raw: raw(), ..Node::new(value, span) }
            }
            DeValue::Datetime(stamp) => Node::new(Value::Text(stamp.to_string()), span),
            DeValue::Array(items) => {
                let nodes: Vec<_> = items.iter().map(|item| self.node(item)).collect();
                Node::new(Value::List(nodes), span)
            }
            DeValue::Table(table) => Node::new(self.map(table), span),
        }
    }

    /// The crate keeps tables sorted by key; the file's order is the plan's.
    fn map(&self, table: &DeTable<'_>) -> Value {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_span: self.span(key.span()),
                node: self.node(value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        Value::Map(entries)
    }
}
