//! Params: the only door through which a plan's values come from outside.
//!
//! In: the `params:` section, `--param`, the environment. Out: typed values with their sources.
//! Invariant: nothing enters undeclared, and all that is missing or bad is reported together, each
//! with where it was looked for.

mod candidate;
mod file;
mod render;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bind::{self, Named, Spanned};
use super::diagnostic::{Code, Diagnostic};
use super::file::{ParamFile, ParamType, TextOrList};
use super::source::{Entry, Node, Sources, Span, Value, shorten};
use super::{LoadOptions, Param, Redactor, suggest};
use candidate::Candidate;

pub(crate) use file::{ParamsFile, read as read_files};
pub use render::{render_json, render_text, shown};
pub(crate) use value::{Rules, Typed};

/// Prefix of the variables that set a param by its name.
const PREFIX: &str = "RUNNER_PARAM_";

/// A declared param and what it came to.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// For people and artefacts: redacted.
    pub(crate) shown: Param,
    /// For the tree; `None` when it is missing or bad, which has been reported.
    pub(crate) value: Option<Value>,
    /// Whether the value was written in the plan itself.
    pub(crate) from_plan: bool,
    /// Where its name stands.
    pub(crate) span: Span,
    /// Whether the matrix gives it its values.
    pub(crate) is_axis: bool,
    /// What an axis's values must keep to, when the param is declared.
    pub(crate) rules: Option<Arc<(ParamType, Rules)>>,
}

/// Where values come from and where findings go.
pub(crate) struct Resolver<'r> {
    pub(crate) sources: &'r Sources,
    pub(crate) options: &'r LoadOptions,
    pub(crate) redactor: &'r mut Redactor,
    pub(crate) found: &'r mut Vec<Diagnostic>,
    /// The files of `--params-file`; the last that has a name counts.
    pub(crate) files: &'r [ParamsFile],
    /// Names that the matrix gives values to.
    pub(crate) axes: &'r [String],
    /// Every variable that a param lists; filled in on the way.
    pub(crate) listed: Vec<String>,
}

impl Resolver<'_> {
    /// Resolves the `params:` section of a tree.
    pub(crate) fn resolve(&mut self, root: &Node) -> Vec<Resolved> {
        let declared = match root.get("params").filter(|node| !matches!(node.value, Value::Null)) {
            None => Named::default(),
            Some(section) => {
                let mut bound = bind::bind::<Named<Spanned<ParamFile>>>(section, self.sources);
                let found = bound.diagnostics.drain(..);
                self.found.extend(found.map(|it| declaration(it, section, self.sources)));
                bound.value.unwrap_or_default()
            }
        };
        let names: Vec<String> = declared.0.iter().map(|(name, _)| name.value.clone()).collect();
        // Also those whose declaration is bad: they are declared.
        let written: Vec<String> = root.get("params").map_or_else(Vec::new, |section| {
            section.entries().iter().map(|entry| entry.key.clone()).collect()
        });
        self.listed = declared
            .0
            .iter()
            .flat_map(|(_, file)| file.value.env.iter().flat_map(TextOrList::texts))
            .map(|variable| variable.value.clone())
            .collect();
        self.undeclared(&written);
        let mut resolved: Vec<Resolved> =
            declared.0.iter().map(|(name, file)| self.one(root, name, &file.value)).collect();
        // Known by name, so that nobody is told they do not exist.
        for entry in root.get("params").map_or(&[][..], Node::entries) {
            if !names.contains(&entry.key) {
                resolved.push(broken(&entry.key, entry.key_span));
            }
        }
        self.clashes(&resolved);
        resolved
    }

    /// `--param` and `RUNNER_PARAM_*` for params that the plan does not declare.
    fn undeclared(&mut self, declared: &[String]) {
        let names = || declared.iter().map(String::as_str);
        let known = |names: &mut dyn Iterator<Item = &str>| match suggest::list(names) {
            none if none.is_empty() => "the plan declares no params".to_owned(),
            names => format!("params of this plan: {names}"),
        };
        for (name, _) in &self.options.params {
            if !declared.contains(name) {
                let near = suggest::nearest(name, names());
                let mut diagnostic = Diagnostic::error(
                    Code::ParamUndeclared,
                    format!("--param {name}: the plan declares no param `{name}`"),
                );
                if let Some(near) = near {
                    diagnostic = diagnostic.help(format!("did you mean `--param {near}=…`?"));
                }
                self.found.push(diagnostic.help(known(&mut names())));
            }
        }
        self.undeclared_in_files(declared);
        for (variable, value) in &self.options.environment {
            let Some(suffix) = variable.strip_prefix(PREFIX) else { continue };
            if value.is_empty() || declared.iter().any(|name| variable_of(name) == *variable) {
                continue;
            }
            let mut diagnostic = Diagnostic::error(
                Code::ParamUndeclared,
                format!("{variable} is set, but the plan declares no such param"),
            );
            if let Some(near) = suggest::nearest(suffix, names()) {
                diagnostic = diagnostic.help(format!("did you mean `{}`?", variable_of(near)));
            }
            self.found.push(diagnostic.help(known(&mut names())).help("unset it otherwise"));
        }
    }

    /// The same for the values of files.
    fn undeclared_in_files(&mut self, declared: &[String]) {
        for value in self.files.iter().flat_map(|file| &file.values) {
            let names = || declared.iter().map(String::as_str);
            let is_listed = value.is_dotenv && self.listed.contains(&value.name);
            if is_listed || names().any(|name| value.is_for(name, &[])) {
                continue;
            }
            let message = format!(
                "--params-file {}: the plan declares no param `{}`",
                value.place, value.name
            );
            let mut diagnostic = Diagnostic::error(Code::ParamUndeclared, message);
            if let Some(near) = suggest::nearest(&value.name, names()) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            self.found.push(diagnostic.help(match suggest::list(names()) {
                none if none.is_empty() => "the plan declares no params".to_owned(),
                names => format!("params of this plan: {names}"),
            }));
        }
    }

    /// An axis takes its values from the matrix alone.
    fn axis(&mut self, name: &Spanned<String>, file: &ParamFile) {
        let Some(outside) = self.outside(name, file) else { return };
        let message = format!(
            "param `{}` is an axis of the matrix, but {} sets it",
            name.value, outside.source
        );
        self.found.push(
            Diagnostic::error(Code::Matrix, message)
                .label(self.sources.location(name.at.span), "declared here")
                .help(format!("to run some of its cells: `--matrix {}=VALUE`", name.value)),
        );
    }

    /// Names that one `RUNNER_PARAM_X` would set both.
    fn clashes(&mut self, resolved: &[Resolved]) {
        let mut seen: BTreeMap<String, &Resolved> = BTreeMap::new();
        for param in resolved {
            let variable = variable_of(&param.shown.name);
            if let Some(first) = seen.get(&variable) {
                self.found.push(
                    Diagnostic::error(
                        Code::ParamDeclaration,
                        format!("two params would both be set by {variable}"),
                    )
                    .label(self.sources.location(param.span), "this one")
                    .label(self.sources.location(first.span), "and this one")
                    .help("rename one of them"),
                );
            }
            seen.insert(variable, param);
        }
    }

    fn one(&mut self, root: &Node, name: &Spanned<String>, file: &ParamFile) -> Resolved {
        let span = name.at.span;
        let mut result = broken(&name.value, span);
        file.kind.value.name().clone_into(&mut result.shown.kind);
        result.shown.description.clone_from(&file.description);
        result.shown.secret = file.secret;
        if !is_name(&name.value) {
            self.found.push(
                Diagnostic::error(
                    Code::ParamDeclaration,
                    format!("`{}` can't be the name of a param", name.value),
                )
                .at(self.sources.location(span))
                .help("letters, digits and `_`, not beginning with a digit"),
            );
            return result;
        }
        let Some(rules) = value::Rules::read(self, root, file) else { return result };
        if self.axes.contains(&name.value) {
            self.axis(name, file);
            result.is_axis = true;
            result.rules = Some(Arc::new((file.kind.value, rules)));
            return result;
        }
        let candidate = self.candidate(root, name, file, &rules);
        let (typed, source, from_plan) = match candidate {
            Candidate::Given(typed, source) => (typed, source, false),
            Candidate::Default(typed) => (typed, "default".to_owned(), true),
            Candidate::Bad => return result,
        };
        if file.secret {
            typed.texts().iter().for_each(|text| self.redactor.register(text));
            if from_plan && !typed.texts().concat().is_empty() {
                self.secret_default(name, file);
            }
        }
        result.shown.value =
            if file.secret { serde_json::Value::from("***") } else { typed.json() };
        result.shown.source = source;
        result.value = Some(typed.node(span));
        result.from_plan = from_plan;
        result
    }

    /// Whoever reads the plan reads it, too.
    fn secret_default(&mut self, name: &Spanned<String>, file: &ParamFile) {
        let span = file.default.as_ref().map_or(name.at.span, |default| default.at.span);
        let message = format!("the secret param `{}` has its value in the plan", name.value);
        self.found.push(
            Diagnostic::warning(Code::Credential, message)
                .at(self.sources.location(span))
                .help("leave `default` out, and list under `env` the variable that holds it"),
        );
    }
}

/// Adds to a diagnostic about a declaration how one is written.
fn declaration(diagnostic: Diagnostic, section: &Node, sources: &Sources) -> Diagnostic {
    let written = section.entries().iter().find(|entry| {
        diagnostic.location().is_some_and(|at| *at == sources.location(entry.node.at.span))
    });
    match (diagnostic.code, written) {
        (Code::Type, Some(Entry { key, node, .. })) => {
            let kind = match node.value {
                Value::Int(_) => ParamType::Int,
                Value::Float(_) => ParamType::Float,
                Value::Bool(_) => ParamType::Bool,
                Value::List(_) => ParamType::List,
                _ => ParamType::String,
            };
            let default = node.text().map_or_else(|| "…".into(), |text| shorten(&text));
            let kind = kind.name();
            diagnostic.help(format!("declare it: `{key}: {{ type: {kind}, default: {default} }}`"))
        }
        (Code::MissingKey, _) => diagnostic
            .help("types: string, int, float, bool, duration, size, url, path, list, series"),
        _ => diagnostic,
    }
}

fn broken(name: &str, span: Span) -> Resolved {
    Resolved {
        shown: Param {
            name: name.to_owned(),
            kind: ParamType::String.name().to_owned(),
            value: serde_json::Value::Null,
            source: "none".into(),
            description: None,
            secret: false,
        },
        value: None,
        from_plan: false,
        span,
        is_axis: false,
        rules: None,
    }
}

/// An axis of the matrix that the plan does not declare as a param.
pub(crate) fn axis(name: &str, span: Span) -> Resolved {
    Resolved { is_axis: true, ..broken(name, span) }
}

/// The variable that sets a param by its name.
pub(crate) fn variable_of(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// Whether a text can be the name of a param.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
