//! YAML → tree.
//!
//! In: YAML text. Out: a tree in file order with merge keys and aliases followed, or the syntax
//! error. Invariant: the only file that names the YAML crate; alias bombs, deep nesting, custom
//! tags and duplicate keys are refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Spanned};

use super::depth::MOST as MAX_DEPTH;
use super::{Entry, MAX_NODES, Node, Sources, Span, Value};
use crate::plan::diagnostic::{Code, Diagnostic};

/// Most `*alias` uses.
const MAX_ALIASES: usize = 1_000;

/// Parses one text of `sources`.
pub(super) fn parse(sources: &Sources, source: u16) -> Result<Node, Vec<Diagnostic>> {
    let text = sources.text(source);
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        // Forwarded to us, so that both places can be shown and none hides the next.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 2 * MAX_NODES as usize,
            max_replay_stack_depth: 16,
        },
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES as usize,
            max_aliases: MAX_ALIASES,
            max_documents: 1,
            enforce_alias_anchor_ratio: false,
        },
    };
    match serde_saphyr::from_str_with_options::<Written>(text, options) {
        Ok(written) => {
            let mut reader = Reader { sources, source, problems: Vec::new() };
            let node = reader.node(&written);
            if reader.problems.is_empty() { Ok(node) } else { Err(reader.problems) }
        }
        Err(error) => Err(vec![syntax(sources, source, &error)]),
    }
}

/// A YAML value with its place.
struct Written(Spanned<Kind>);

/// What a YAML value is.
enum Kind {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Written>),
    Map(Vec<(Spanned<String>, Written)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Int(i128::from(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Int(i128::from(value)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Kind::List(nodes))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Kind::Map(entries))
    }
}

/// Turns the parser's values into nodes.
struct Reader<'s> {
    sources: &'s Sources,
    source: u16,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn node(&mut self, Written(written): &Written) -> Node {
        let span = span(self.source, written.defined);
        let value = match &written.value {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => Value::Int(*value),
            // Too large for the parser's whole numbers, and no less exact for that.
            Kind::Float(value) => match self.sources.slice(span).parse() {
                Ok(whole) => Value::Int(whole),
                Err(_) => Value::Float(*value),
            },
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::List(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            Kind::Map(entries) => self.map(entries),
        };
        let is_number = matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_));
        let raw = is_number.then(|| self.sources.slice(span).to_owned());
        Node { raw, ..Node::new(value, span) }
    }

    fn map(&mut self, written: &[(Spanned<String>, Written)]) -> Value {
        let mut entries: Vec<Entry> = Vec::with_capacity(written.len());
        for (key, value) in written {
            let key_span = span(self.source, key.defined);
            if let Some(first) = entries.iter().find(|entry| entry.key == key.value) {
                self.problems.push(
                    Diagnostic::error(
                        Code::DuplicateKey,
                        format!("key `{}` is written twice", key.value),
                    )
                    .label(self.sources.location(key_span), "again here")
                    .label(self.sources.location(first.key_span), "first here")
                    .help("keep one of the two"),
                );
                continue;
            }
            let node = self.node(value);
            entries.push(Entry { key: key.value.clone(), key_span, node });
        }
        Value::Map(entries)
    }
}

/// The bytes of a place of the parser.
fn span(source: u16, location: Location) -> Span {
    let span = location.span();
    let start = span.byte_offset().unwrap_or(0);
    let len = span.byte_len().unwrap_or(0);
    let narrow = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    Span::new(source, narrow(start), narrow(start.saturating_add(len)))
}

/// The parser's error as a diagnostic in the plan's words.
fn syntax(sources: &Sources, source: u16, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let text = sources.text(source);
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let place = place(text, source, location);
    let (code, message, help) = explain(error);
    let mut diagnostic = Diagnostic::error(code, message).at(sources.location(place));
    if code == Code::Syntax
        && let Some(open) = unclosed(text, place.start as usize)
    {
        let open = Span::new(source, open, open + 1);
        diagnostic = diagnostic.label(sources.location(open), "never closed?");
    }
    let quoted = (code == Code::Syntax).then(|| unquoted(text, place.start as usize)).flatten();
    match (quoted, help) {
        (Some(template), _) => diagnostic.help(format!("quote it: \"{template}\"")),
        (None, Some(help)) => diagnostic.help(help),
        (None, None) => diagnostic,
    }
}

/// Where an error points: by bytes if the parser knows them, else by line and column.
fn place(text: &str, source: u16, location: Location) -> Span {
    if location.span().byte_offset().is_some_and(|offset| offset > 0) {
        return span(source, location);
    }
    let line = usize::try_from(location.line()).unwrap_or(1).max(1);
    let column = usize::try_from(location.column()).unwrap_or(1).max(1);
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let within = text[start..].lines().next().unwrap_or("");
    let bytes: usize = within.chars().take(column - 1).map(char::len_utf8).sum();
    Span::new(source, start + bytes, start + bytes)
}

/// Code, message and help for an error of the parser.
fn explain(error: &Error) -> (Code, String, Option<&'static str>) {
    match error {
        Error::AliasError { error, .. } => explain(error),
        Error::MultipleDocuments { .. }
        | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => (
            Code::Syntax,
            "a plan is one YAML document".into(),
            Some("put each plan into its own file"),
        ),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            let message = format!("the plan is nested deeper than {MAX_DEPTH} levels");
            (Code::Limit, message, Some("flatten it; no plan needs that many"))
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => (
            Code::Limit,
            format!("the plan is too large: at most {MAX_NODES} values and {MAX_ALIASES} aliases"),
            Some("keep data in a dataset file and name it in `prompt.dataset`"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            let help = "write out what it stands for, without the alias";
            (Code::Limit, "this alias stands inside its own anchor".into(), Some(help))
        }
        Error::UnknownAnchor { .. } => (
            Code::Syntax,
            "no anchor of this name stands before it".into(),
            Some("define it first with `&name`, or quote a text that begins with `*`"),
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            let help = "write `<<: *name`, where `&name` stands before a map";
            (Code::Syntax, "`<<` takes a map or a list of maps".into(), Some(help))
        }
        Error::NonFiniteFloat { .. } => {
            (Code::Value, "a number in a plan must be finite".into(), None)
        }
        Error::NullIntoString { .. } | Error::Unexpected { expected: "string scalar", .. } => {
            (Code::Syntax, "a key must be text".into(), Some("put it in quotes"))
        }
        other => {
            let text = other.render_with_options(serde_saphyr::render_options! {
                snippets: serde_saphyr::SnippetMode::Off,
            });
            let text = strip_place(&text);
            if text.contains("tabs") {
                let help = "indent with spaces";
                (Code::Syntax, "YAML is not indented with tabs".into(), Some(help))
            } else if text.contains("tag") {
                let help = "remove the tag; a plan is plain maps, lists, text and numbers";
                (Code::Tag, format!("tags are not part of the plan language: {text}"), Some(help))
            } else {
                (Code::Syntax, format!("this is not YAML: {text}"), None)
            }
        }
    }
}

/// The message without the place, which the snippet shows.
fn strip_place(text: &str) -> &str {
    let line = text.lines().next().unwrap_or("").trim();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match line.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, message)) => message,
        None => line.split(" at line ").next().unwrap_or(line),
    }
}

/// The innermost bracket still open at the end of an earlier line, where YAML goes on reading the
/// list or map and finds fault with something innocent.
fn unclosed(text: &str, offset: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut quote = None;
    let line_start = text.get(..offset)?.rfind('\n')?;
    let mut previous = '\n';
    for (at, letter) in text[..line_start].char_indices() {
        match (quote, letter) {
            (Some(mark), _) if letter == mark => quote = None,
            (None, '"' | '\'') if " [{,:\n".contains(previous) => quote = Some(letter),
            (None, '#') if previous.is_whitespace() => quote = Some('\n'),
            (None, '[' | '{') if !open.is_empty() || " [{,\n".contains(previous) => open.push(at),
            (None, ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
        previous = letter;
    }
    open.pop()
}

/// A `${…}` or `{{ … }}` that stands bare inside `[ ]` or `{ }` around the error's line, where
/// YAML takes its braces for a map.
fn unquoted(text: &str, offset: usize) -> Option<&str> {
    let offset = offset.min(text.len());
    let start =
        text.as_bytes()[..offset].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = text.get(start..)?.lines().next()?;
    let from = line.find("${").or_else(|| line.find("{{"))?;
    let before = &line[..from];
    if before.matches('"').count() % 2 == 1 || before.matches('\'').count() % 2 == 1 {
        return None;
    }
    let close = if line[from..].starts_with("{{") { "}}" } else { "}" };
    let end = line[from..].find(close)?;
    Some(&line[from..from + end + close.len()])
}
