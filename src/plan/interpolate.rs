//! `${…}` on the tree's text values.
//!
//! In: a tree, resolved params, the environment. Out: the tree with values in place of references.
//! Invariant: keys are never touched, what is inserted is never looked at again, and a value that is
//! one reference keeps the type of what it refers to.

mod finder;
mod look_up;
mod reference;
mod template;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic};
use super::params::Resolved;
use super::source::{Node, Origin, Sources, Span, Value};
use super::{LoadOptions, Redactor, suggest};

use finder::Finder;
use reference::Part;

/// Most bytes that all texts with references may come to, those of every cell of a matrix together:
/// a few of them could else multiply into more than any memory holds.
pub(in crate::plan) const MOST_BYTES: usize = 64 << 20;
/// Problems after which none gets a suggestion any more.
const MOST_NEAR: usize = 500;
/// Params that a message names.
const MOST_NAMED: usize = 20;

/// So many values say where a text came from; more would say nothing.
const MOST_ORIGINS: usize = 4;

/// What references may refer to, and where findings go.
pub(crate) struct Scope<'s> {
    pub(crate) sources: &'s Sources,
    pub(crate) options: &'s LoadOptions,
    pub(crate) params: &'s [Resolved],
    /// For `${plan.name}`; unknown while the name itself is read.
    pub(crate) plan_name: Option<String>,
    pub(crate) redactor: &'s mut Redactor,
    pub(crate) found: &'s mut Vec<Diagnostic>,
    /// What is noted while a plan is filled in.
    pub(crate) notes: &'s mut Notes,
}

/// What is noted while a plan is filled in, cell by cell.
#[derive(Default)]
pub(crate) struct Notes {
    /// Params that something refers to.
    pub(crate) used: BTreeSet<String>,
    /// Bytes that texts with references have come to.
    bytes: usize,
}

impl Notes {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes + bytes <= MOST_BYTES
    }
}

/// What a reference came to.
enum Looked {
    /// A value, with a line that says where it is from.
    Value(Value, Origin),
    /// Nothing, and that has been reported.
    Broken,
}

impl Scope<'_> {
    /// Replaces every reference below `root`; its numbers must be given anew afterwards.
    pub(crate) fn fill(&mut self, root: &mut Node) {
        let mut path = Vec::new();
        let Value::Map(entries) = &mut root.value else { return };
        for entry in entries {
            // Params come first and refer to nothing; `x-` keys hold anchors, filled where used.
            if entry.key != "params" && !entry.key.starts_with("x-") {
                path.push(entry.key.clone());
                self.walk(&mut entry.node, &mut path);
                path.pop();
            }
        }
    }

    /// Replaces every reference in what stands under one key of the plan.
    pub(crate) fn fill_section(&mut self, key: &str, section: &mut Node) {
        self.walk(section, &mut vec![key.to_owned()]);
    }

    fn walk(&mut self, node: &mut Node, path: &mut Vec<String>) {
        match &mut node.value {
            Value::List(items) => {
                for item in items {
                    path.push(String::new());
                    self.walk(item, path);
                    path.pop();
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    if entry.key.contains("${") {
                        self.found.push(
                            Diagnostic::error(
                                Code::ReferenceSyntax,
                                "references work in values, never in keys",
                            )
                            .at(self.sources.location(entry.key_span))
                            .help("write the key itself"),
                        );
                    }
                    path.push(entry.key.clone());
                    self.walk(&mut entry.node, path);
                    path.pop();
                }
            }
            Value::Text(text) => {
                let text = std::mem::take(text);
                self.leaf(node, text, path);
            }
            _ => {}
        }
    }

    /// Fills one text. Public to the floor for the plan's name, which is read first.
    pub(crate) fn leaf(&mut self, node: &mut Node, text: String, path: &[String]) {
        let place = template::Place::of(path, &text);
        if !place.runs_templates && !place.is_prose() && template::is_template(&text) {
            self.found.push(template::misplaced(self.sources.location(node.at.span)));
            node.value = Value::Broken;
            return;
        }
        if place.runs_templates {
            self.templates(node.at.span, &text);
        }
        if !text.contains("${") {
            node.value = Value::Text(text);
            return;
        }
        let parts = match reference::parts(&text) {
            Ok(parts) => parts,
            Err(problem) => {
                let mut finder = Finder::new(node.at.span, &text, self.sources);
                let span = finder.find(problem.at, problem.len);
                let diagnostic = Diagnostic::error(Code::ReferenceSyntax, problem.message)
                    .at(self.sources.location(span));
                self.found.push(match problem.help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
                node.value = Value::Broken;
                return;
            }
        };
        let sources = self.sources;
        let mut finder = Finder::new(node.at.span, &text, sources);
        let mut joined = String::new();
        let mut broken = false;
        let mut origins: Vec<Arc<str>> = Vec::new();
        let mut is_outside = false;
        let alone = parts.len() == 1;
        for part in parts {
            let (reference, at, len) = match part {
                Part::Text(text) => {
                    joined.push_str(&text);
                    continue;
                }
                Part::Reference { reference, at, len } => (reference, at, len),
            };
            let span = finder.find(at, len);
            let (value, origin) = match self.look_up(&reference, span, &place) {
                Looked::Value(value, origin) => (value, origin),
                Looked::Broken => {
                    broken = true;
                    continue;
                }
            };
            if alone {
                let bytes = value.text_bytes();
                if !self.notes.has_room_for(bytes) {
                    self.too_much(span);
                    node.value = Value::Broken;
                    return;
                }
                self.notes.bytes += bytes;
                node.raw = matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_))
                    .then(|| Node::new(value.clone(), span).text())
                    .flatten();
                node.value = value;
                if let Value::List(items) = &mut node.value {
                    for item in items {
                        item.origin = Some(origin.clone());
                    }
                }
                node.origin = Some(origin);
                return;
            }
            if let Some(text) = Node::new(value, span).text() {
                is_outside |= joined.is_empty() && origin.is_outside;
                joined.push_str(&text);
            } else {
                self.found.push(
                    Diagnostic::error(Code::Type, "a list can't stand inside a text")
                        .at(self.sources.location(span))
                        .help("make the reference the whole value"),
                );
                broken = true;
            }
            if origins.len() < MOST_ORIGINS && !origins.contains(&origin.help) {
                origins.push(origin.help);
            }
            if !self.notes.has_room_for(joined.len()) {
                self.too_much(span);
                broken = true;
                break;
            }
        }
        self.notes.bytes += joined.len();
        node.value = if broken { Value::Broken } else { Value::Text(joined) };
        node.origin = (!origins.is_empty())
            .then(|| Origin { help: Arc::from(origins.join("; ")), is_outside });
    }

    /// Once is enough: what comes after is too much as well.
    fn too_much(&mut self, span: Span) {
        let message = format!(
            "with its references filled in, the plan is larger than {} MiB",
            MOST_BYTES >> 20
        );
        if !self.found.iter().any(|it| it.message == message) {
            self.found.push(
                Diagnostic::error(Code::Limit, message).at(self.sources.location(span)).help(
                    "insert a long text when it is asked, `{{ params.name }}`, or keep it in a dataset file",
                ),
            );
        }
    }

    fn uses(&mut self, name: &str) {
        if !self.notes.used.contains(name) {
            self.notes.used.insert(name.to_owned());
        }
    }

    /// "Did you mean" for an unknown name. Nothing once very many problems are known: nobody reads
    /// that far, and each costs a look at every param.
    fn param_near(&self, name: &str, others: &[&str]) -> String {
        if self.found.len() > MOST_NEAR {
            return String::new();
        }
        let params = self.params.iter().map(|param| param.shown.name.as_str());
        suggest::did_you_mean(name, params.chain(others.iter().copied()))
    }

    /// The first params of the plan, as words.
    fn some_params(&self) -> String {
        let first = self.params.iter().take(MOST_NAMED).map(|param| param.shown.name.as_str());
        let more = self.params.len().saturating_sub(MOST_NAMED);
        let more = (more > 0).then(|| format!(" and {more} more"));
        suggest::list(first) + &more.unwrap_or_default()
    }

    /// Marks the params that a template reads, and reports those that do not exist.
    fn templates(&mut self, span: Span, text: &str) {
        let mut finder = Finder::new(span, text, self.sources);
        for (at, name) in template::params_read(text) {
            self.uses(name);
            let place = finder.find(at, name.len());
            if let Some(param) = self.params.iter().find(|param| param.shown.name == name) {
                if param.shown.secret {
                    self.found.push(template::secret(name, self.sources.location(place)));
                }
                continue;
            }
            let near = self.param_near(name, &[]);
            self.found.push(
                Diagnostic::error(Code::Reference, format!("there is no param `{name}`"))
                    .label(self.sources.location(place), near)
                    .help(match self.some_params() {
                        none if none.is_empty() => "the plan declares no params".to_owned(),
                        known => format!("params of this plan: {known}"),
                    }),
            );
        }
    }
}
