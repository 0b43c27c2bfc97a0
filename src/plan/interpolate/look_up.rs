//! What a reference comes to.
//!
//! In: a reference and where it stands. Out: a value with a line that says where it is from, or a
//! diagnostic. Invariant: a secret comes in only where it may stand, and is registered before it does.

use super::reference::{Fallback, Reference};
use super::{Looked, Scope, template};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::source::{Origin, Span, Value, shorten};

impl Scope<'_> {
    pub(super) fn look_up(
        &mut self,
        reference: &Reference,
        span: Span,
        place: &template::Place,
    ) -> Looked {
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
        self.uses(name);
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
                        serde_json::Value::String(text) => shorten(text),
                        other => shorten(&other.to_string()),
                    };
                    let source = match param.shown.source.as_str() {
                        "default" => "by default".to_owned(),
                        "matrix" => "in one cell of the matrix".to_owned(),
                        other => format!("from {other}"),
                    };
                    let origin = format!("`${{{name}}}` is `{shown}`, {source}");
                    let is_outside = !param.from_plan;
                    Looked::Value(value.clone(), Origin { help: origin.into(), is_outside })
                }
            };
        }
        let near = self.param_near(name, &["plan.name"]);
        let mut diagnostic =
            Diagnostic::error(Code::Reference, format!("nothing is called `{name}`"))
                .label(self.sources.location(span), near);
        let known = self.some_params();
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
                let origin = Origin { help: "`${plan.name}`".into(), is_outside: false };
                Looked::Value(Value::Text(name.clone()), origin)
            }
            _ => {
                let (message, help) = if field == "name" {
                    ("the name can't refer to itself".to_owned(), "write it out, or take a param")
                } else {
                    (format!("a plan has no `plan.{field}`"), "there is `${plan.name}`")
                };
                self.found.push(
                    Diagnostic::error(Code::Reference, message)
                        .at(self.sources.location(span))
                        .help(help),
                );
                Looked::Broken
            }
        }
    }

    fn environment(&mut self, name: &str, fallback: &Fallback, span: Span) -> Looked {
        let set = self.options.environment.get(name).filter(|text| !text.is_empty());
        match (set, fallback) {
            (Some(text), _) => {
                let help = format!("`${{env:{name}}}` is `{}`", shorten(text)).into();
                Looked::Value(Value::Text(text.clone()), Origin { help, is_outside: true })
            }
            (None, Fallback::Default(text)) => {
                let text_shown = shorten(text);
                let help =
                    format!("`${{env:{name}}}` is not set and falls back to `{text_shown}`").into();
                Looked::Value(Value::Text(text.clone()), Origin { help, is_outside: false })
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
                    "a secret may stand only in `api_key` and under `headers`, and in no template",
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
                let help = format!("from secret {name}").into();
                Looked::Value(Value::Text(text.to_owned()), Origin { help, is_outside: true })
            }
            (None, Fallback::Default(text)) => {
                self.redactor.register(text);
                let help = format!("from secret {name}").into();
                Looked::Value(Value::Text(text.clone()), Origin { help, is_outside: false })
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
}
