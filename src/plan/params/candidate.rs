//! Where a param's value comes from.
//!
//! In: a declaration, the command line, files and the environment. Out: the first value in order of
//! precedence, checked; or what is wrong, with where it was looked for. Invariant: what is set but
//! empty is not set.

use super::file::ParamsFile;
use super::value::{self, Typed};
use super::{Resolver, variable_of};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{ParamFile, TextOrList};
use crate::plan::source::{Node, Value};

impl<'r> Resolver<'r> {
    /// The first value in order of precedence, checked.
    pub(super) fn candidate(
        &mut self,
        root: &Node,
        name: &Spanned<String>,
        file: &ParamFile,
        rules: &value::Rules,
    ) -> Candidate {
        let kind = file.kind.value;
        if let Some(Outside { value, source }) = self.outside(name, file) {
            if value.as_ref().is_err_and(|node| matches!(node.value, Value::Broken)) {
                return Candidate::Bad;
            }
            let typed = match &value {
                Ok(text) => Typed::parse(kind, text),
                Err(node) => Typed::of_node(kind, node),
            };
            if file.secret {
                let text = value.as_ref().ok().cloned().or_else(|| value.err()?.text());
                if let Some(text) = text {
                    self.redactor.register(&text);
                }
            }
            return match typed.and_then(|typed| rules.check(typed)) {
                Ok(typed) => Candidate::Given(typed, source),
                Err(reason) => {
                    let message = format!("param `{}` from {source}: {reason}", name.value);
                    self.found.push(
                        Diagnostic::error(Code::ParamValue, message)
                            .label(self.sources.location(name.at.span), "declared here")
                            .help(format!("it takes {}", rules.describe(kind))),
                    );
                    Candidate::Bad
                }
            };
        }
        let Some(default) = &file.default else {
            // It may well stand where a file can't be read.
            if self.files.iter().any(|file| file.is_broken) {
                return Candidate::Bad;
            }
            let mut places = vec![format!("--param {}=…", name.value)];
            places.extend(self.files.iter().rev().map(|file| file.name.clone()));
            places.push(variable_of(&name.value));
            places.extend(file.env.iter().flat_map(TextOrList::texts).map(|it| it.value.clone()));
            self.found.push(
                Diagnostic::error(
                    Code::ParamMissing,
                    format!("param `{}` has no value and no default", name.value),
                )
                .label(
                    self.sources.location(name.at.span),
                    file.description.clone().unwrap_or_default(),
                )
                .help(format!("looked for, in this order: {}", places.join(", ")))
                .help(format!("it takes {}", rules.describe(kind))),
            );
            return Candidate::Bad;
        };
        let parsed = default
            .value
            .of(root)
            .map_or_else(|| Err("no value".to_owned()), |node| Typed::of_node(kind, node));
        match parsed.and_then(|typed| rules.check(typed)) {
            Ok(typed) => Candidate::Default(typed),
            Err(reason) => {
                self.found.push(
                    Diagnostic::error(
                        Code::ParamValue,
                        format!("the default of param `{}`: {reason}", name.value),
                    )
                    .at(self.sources.location(default.at.span))
                    .help(format!("it takes {}", rules.describe(kind))),
                );
                Candidate::Bad
            }
        }
    }

    /// What is given from outside, and by what.
    pub(super) fn outside(&self, name: &Spanned<String>, file: &ParamFile) -> Option<Outside<'r>> {
        let files: &'r [ParamsFile] = self.files;
        let given = self.options.params.iter().rev().find(|(given, _)| *given == name.value);
        if let Some((_, text)) = given {
            return Some(Outside { value: Ok(text.clone()), source: "--param".into() });
        }
        let listed: Vec<&str> =
            file.env.iter().flat_map(TextOrList::texts).map(|it| it.value.as_str()).collect();
        let in_file = files.iter().rev().find_map(|file| {
            let mut values = file.values.iter().rev();
            // Set but empty is not set, here as in the environment.
            values.find(|value| value.is_for(&name.value, &listed) && !value.is_empty())
        });
        if let Some(value) = in_file {
            return Some(Outside { value: Err(&value.node), source: value.place.clone() });
        }
        let set = |variable: &str| {
            // A CI system hands over what is not set as an empty text.
            let text = self.options.environment.get(variable).filter(|text| !text.is_empty())?;
            Some(Outside { value: Ok(text.clone()), source: format!("env {variable}") })
        };
        set(&variable_of(&name.value)).or_else(|| listed.iter().find_map(|variable| set(variable)))
    }
}

/// A value from outside: a text, or what a file says.
pub(super) struct Outside<'o> {
    value: Result<String, &'o Node>,
    pub(super) source: String,
}

pub(super) enum Candidate {
    Given(Typed, String),
    Default(Typed),
    Bad,
}
