//! `${…}` on the tree's text values.
//!
//! In: a tree, resolved params, the environment. Out: the tree with values in place of references.
//! Invariant: keys are never touched, what is inserted is never looked at again, and a value that is
//! one reference keeps the type of what it refers to.

mod reference;
mod template;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic};
use super::params::Resolved;
use super::source::{Node, Sources, Span, Value};
use super::{LoadOptions, Redactor, suggest};

use reference::{Fallback, Part, Reference};

/// What references may refer to, and where findings go.
pub(crate) struct Scope<'s> {
    pub(crate) sources: &'s Sources,
    pub(crate) options: &'s LoadOptions,
    pub(crate) params: &'s [Resolved],
    /// For `${plan.name}`; unknown while the name itself is read.
    pub(crate) plan_name: Option<String>,
    pub(crate) redactor: &'s mut Redactor,
    pub(crate) found: &'s mut Vec<Diagnostic>,
    /// Params that something refers to.
    pub(crate) used: BTreeSet<String>,
}

/// What a reference came to.
enum Looked {
    /// A value, with a line that says where it is from.
    Value(Value, Arc<str>),
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
                            .at(self.sources.location(entry.key_span)),
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
        let place = template::Place::of(path);
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
                let span = self.place(node.at.span, &text, problem.at, problem.len);
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
        let mut joined = String::new();
        let mut broken = false;
        let mut origins: Vec<Arc<str>> = Vec::new();
        let alone = parts.len() == 1;
        for part in parts {
            let (reference, at, len) = match part {
                Part::Text(text) => {
                    joined.push_str(&text);
                    continue;
                }
                Part::Reference { reference, at, len } => (reference, at, len),
            };
            let span = self.place(node.at.span, &text, at, len);
            let (value, origin) = match self.look_up(&reference, span, &place) {
                Looked::Value(value, origin) => (value, origin),
                Looked::Broken => {
                    broken = true;
                    continue;
                }
            };
            if alone {
                node.raw = matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_))
                    .then(|| Node::new(value.clone(), span).text())
                    .flatten();
                node.value = value;
                node.origin = Some(origin);
                return;
            }
            if let Some(text) = Node::new(value, span).text() {
                joined.push_str(&text);
            } else {
                self.found.push(
                    Diagnostic::error(Code::Type, "a list can't stand inside a text")
                        .at(self.sources.location(span))
                        .help("make the reference the whole value"),
                );
                broken = true;
            }
            origins.push(origin);
        }
        node.value = if broken { Value::Broken } else { Value::Text(joined) };
        node.origin = (!origins.is_empty()).then(|| Arc::from(origins.join("; ")));
    }

    /// Where a part of a text stands in the file: quotes and escapes move it, so it is searched.
    fn place(&self, span: Span, text: &str, at: usize, len: usize) -> Span {
        let wanted = &text[at..at + len];
        let shown = self.sources.slice(span);
        let earlier = text[..at].matches(wanted).count();
        match shown.match_indices(wanted).nth(earlier) {
            Some((from, _)) => span.part(from, len),
            None => span,
        }
    }

    fn look_up(&mut self, reference: &Reference, span: Span, place: &template::Place) -> Looked {
        let looked = match reference {
            Reference::Param(name) => self.param(name, span, place),
            Reference::Plan(field) => self.plan(field, span),
            Reference::Environment(name, fallback) => self.environment(name, fallback, span),
            Reference::Secret(name, fallback) => self.secret(name, fallback, span, place),
        };
        // A value from outside must not become a template; the plan's own text may be one.
        if let Looked::Value(Value::Text(text), _) = &looked
            && place.runs_templates
            && template::is_template(text)
            && !self.is_from_plan(reference)
        {
            self.found.push(template::injected(reference, self.sources.location(span)));
            return Looked::Broken;
        }
        looked
    }

    fn is_from_plan(&self, reference: &Reference) -> bool {
        matches!(reference, Reference::Param(name)
            if self.params.iter().any(|param| param.shown.name == *name && param.from_plan))
    }

    fn param(&mut self, name: &str, span: Span, place: &template::Place) -> Looked {
        if !self.used.contains(name) {
            self.used.insert(name.to_owned());
        }
        if let Some(param) = self.params.iter().find(|param| param.shown.name == name) {
            if param.is_axis && (place.of_run.is_some() || param.value.is_none()) {
                let message = format!("`{name}` is an axis of the matrix");
                let words = match place.of_run {
                    Some(key) => format!("but a run has one `{key}`, whatever its cells"),
                    None => "but the matrix is laid out before its axes have values".into(),
                };
                self.found.push(
                    Diagnostic::error(Code::Matrix, message)
                        .label(self.sources.location(span), words)
                        .help("refer to a param that is no axis"),
                );
                return Looked::Broken;
            }
            if param.shown.secret && place.runs_templates {
                self.found.push(template::secret(name, self.sources.location(span)));
                return Looked::Broken;
            }
            return match &param.value {
                None => Looked::Broken,
                Some(value) => {
                    let shown = match &param.shown.value {
                        serde_json::Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    let source = match param.shown.source.as_str() {
                        "default" => "by default".to_owned(),
                        "matrix" => "in one cell of the matrix".to_owned(),
                        other => format!("from {other}"),
                    };
                    let origin = format!("`${{{name}}}` is `{shown}`, {source}");
                    Looked::Value(value.clone(), origin.into())
                }
            };
        }
        let names = || self.params.iter().map(|param| param.shown.name.as_str());
        let near = suggest::did_you_mean(name, names().chain(["plan.name"]));
        let mut diagnostic =
            Diagnostic::error(Code::Reference, format!("nothing is called `{name}`"))
                .label(self.sources.location(span), near);
        let known = suggest::list(names());
        if name.chars().any(|letter| letter.is_ascii_uppercase()) {
            let help = format!(
                "for an environment variable, declare a param with `env: {name}`, or write \
                 `${{env:{name}}}`"
            );
            diagnostic = diagnostic.help(help);
        }
        self.found.push(diagnostic.help(if known.is_empty() {
            format!("declare it: `params: {{ {name}: {{ type: string }} }}`")
        } else {
            format!("params of this plan: {known}")
        }));
        Looked::Broken
    }

    fn plan(&mut self, field: &str, span: Span) -> Looked {
        match &self.plan_name {
            Some(name) if field == "name" => {
                Looked::Value(Value::Text(name.clone()), "`${plan.name}`".into())
            }
            _ => {
                let what = if field == "name" { "the name can't refer to itself" } else { "" };
                let message = if what.is_empty() {
                    format!("a plan has no `plan.{field}`")
                } else {
                    what.to_owned()
                };
                self.found.push(
                    Diagnostic::error(Code::Reference, message)
                        .at(self.sources.location(span))
                        .help("there is `${plan.name}`"),
                );
                Looked::Broken
            }
        }
    }

    fn environment(&mut self, name: &str, fallback: &Fallback, span: Span) -> Looked {
        let set = self.options.environment.get(name).filter(|text| !text.is_empty());
        match (set, fallback) {
            (Some(text), _) => {
                let origin = format!("`${{env:{name}}}` is `{text}`");
                Looked::Value(Value::Text(text.clone()), origin.into())
            }
            (None, Fallback::Default(text)) => {
                let origin = format!("`${{env:{name}}}` is not set and falls back to `{text}`");
                Looked::Value(Value::Text(text.clone()), origin.into())
            }
            (None, Fallback::None | Fallback::Message(_)) => {
                let message = match fallback {
                    Fallback::Message(message) => format!("{name} is not set: {message}"),
                    _ => format!("the environment variable {name} is not set"),
                };
                self.found.push(
                    Diagnostic::error(Code::Environment, message)
                        .at(self.sources.location(span))
                        .help(format!("set it, or give a fallback: `${{env:{name}:-fallback}}`")),
                );
                Looked::Broken
            }
        }
    }

    fn secret(
        &mut self,
        name: &str,
        fallback: &Fallback,
        span: Span,
        place: &template::Place,
    ) -> Looked {
        if !place.takes_secrets {
            self.found.push(
                Diagnostic::error(
                    Code::Secret,
                    "a secret may stand only in `api_key` and under `headers`",
                )
                .at(self.sources.location(span))
                .help("use a param for what is not secret"),
            );
            return Looked::Broken;
        }
        let set = self.options.environment.get(name).filter(|text| !text.trim().is_empty());
        match (set, fallback) {
            (Some(text), _) => {
                let text = text.trim();
                self.redactor.register(text);
                Looked::Value(Value::Text(text.to_owned()), format!("from secret {name}").into())
            }
            (None, Fallback::Default(text)) => {
                self.redactor.register(text);
                Looked::Value(Value::Text(text.clone()), format!("from secret {name}").into())
            }
            (None, Fallback::None | Fallback::Message(_)) => {
                let message = match fallback {
                    Fallback::Message(message) => format!("secret {name} is not set: {message}"),
                    _ => format!("the secret {name} is not set"),
                };
                self.found.push(
                    Diagnostic::error(Code::Secret, message)
                        .at(self.sources.location(span))
                        .help(format!("set the environment variable {name}")),
                );
                Looked::Broken
            }
        }
    }

    /// Marks the params that a template reads, and reports those that do not exist.
    fn templates(&mut self, span: Span, text: &str) {
        for (at, name) in template::params_read(text) {
            self.used.insert(name.to_owned());
            let place = self.place(span, text, at, name.len());
            if let Some(param) = self.params.iter().find(|param| param.shown.name == name) {
                if param.shown.secret {
                    self.found.push(template::secret(name, self.sources.location(place)));
                }
                continue;
            }
            let names = || self.params.iter().map(|param| param.shown.name.as_str());
            let near = suggest::did_you_mean(name, names());
            self.found.push(
                Diagnostic::error(Code::Reference, format!("there is no param `{name}`"))
                    .label(self.sources.location(place), near)
                    .help(match suggest::list(names()) {
                        none if none.is_empty() => "the plan declares no params".to_owned(),
                        known => format!("params of this plan: {known}"),
                    }),
            );
        }
    }
}
