//! One param's value by its type, and the rules of its declaration.
//!
//! In: a text or a node. Out: a typed value, or a sentence that says what is wrong with it.

use std::cmp::Ordering;

use serde_json::json;

use super::Resolver;
use crate::plan::bind::{NodeRef, Spanned};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{ParamFile, ParamType};
use crate::plan::source::{Node, Span, Value};
use crate::plan::units;

/// A value of a param.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Typed {
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<String>),
    /// Text, URL and path: the text. Duration, size and series: the text and its magnitude.
    Text(String, Option<f64>),
}

impl Typed {
    /// Reads a text, as it comes from outside.
    pub(crate) fn parse(kind: ParamType, text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        Ok(match kind {
            ParamType::String | ParamType::Path => Self::Text(text.to_owned(), None),
            ParamType::Int => Self::Int(units::count(trimmed)?),
            ParamType::Float => Self::Float(units::number(trimmed)?),
            ParamType::Bool => match trimmed {
                "true" => Self::Bool(true),
                "false" => Self::Bool(false),
                _ => return Err(format!("`{trimmed}` is neither `true` nor `false`")),
            },
            ParamType::Duration => {
                let seconds = units::duration(trimmed)?.as_secs_f64();
                Self::Text(trimmed.to_owned(), Some(seconds))
            }
            ParamType::Size => Self::Text(trimmed.to_owned(), Some(units::size(trimmed)? as f64)),
            ParamType::Url => {
                let url = url::Url::parse(trimmed)
                    .map_err(|error| format!("`{trimmed}` is not a URL: {error}"))?;
                if !matches!(url.scheme(), "http" | "https") {
                    return Err(format!("`{trimmed}` is not an http or https URL"));
                }
                Self::Text(trimmed.to_owned(), None)
            }
            ParamType::List => Self::List(
                trimmed
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            ParamType::Series => {
                units::series(trimmed)?;
                Self::Text(trimmed.to_owned(), None)
            }
        })
    }

    /// Reads a value written in the plan.
    pub(crate) fn of_node(kind: ParamType, node: &Node) -> Result<Self, String> {
        let texts = |items: &[Node]| {
            items
                .iter()
                .map(|item| item.text().ok_or_else(|| format!("{} in a list", item.describe())))
                .collect::<Result<Vec<_>, _>>()
        };
        if node.text().is_some_and(|text| text.contains("${")) {
            return Err("`${…}` can't be used inside `params`: write the value itself".into());
        }
        match (&node.value, kind) {
            (Value::List(items), ParamType::List) => texts(items).map(Self::List),
            (Value::List(items), ParamType::Series) => Self::parse(kind, &texts(items)?.join(",")),
            _ => match node.text() {
                Some(text) => Self::parse(kind, &text),
                None => Err(format!("can't be {}", node.describe())),
            },
        }
    }

    /// The type that a param of this value has when nobody declares it.
    pub(crate) fn kind(&self) -> ParamType {
        match self {
            Self::Int(_) => ParamType::Int,
            Self::Float(_) => ParamType::Float,
            Self::Bool(_) => ParamType::Bool,
            Self::List(_) => ParamType::List,
            Self::Text(..) => ParamType::String,
        }
    }

    /// The value for the tree.
    pub(crate) fn node(&self, span: Span) -> Value {
        match self {
            Self::Int(value) => Value::Int(i128::from(*value)),
            Self::Float(value) => Value::Float(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Text(text, _) => Value::Text(text.clone()),
            Self::List(items) => Value::List(
                items.iter().map(|item| Node::new(Value::Text(item.clone()), span)).collect(),
            ),
        }
    }

    /// The value for templates and artefacts.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Int(value) => json!(value),
            Self::Float(value) => json!(value),
            Self::Bool(value) => json!(value),
            Self::Text(text, _) => json!(text),
            Self::List(items) => json!(items),
        }
    }

    /// Every text in it.
    pub(super) fn texts(&self) -> Vec<String> {
        match self {
            Self::List(items) => items.clone(),
            Self::Text(text, _) => vec![text.clone()],
            Self::Int(value) => vec![value.to_string()],
            Self::Float(value) => vec![value.to_string()],
            Self::Bool(value) => vec![value.to_string()],
        }
    }

    fn magnitude(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(_, magnitude) => *magnitude,
            Self::Bool(_) | Self::List(_) => None,
        }
    }

    fn shown(&self) -> String {
        self.texts().join(",")
    }
}

/// What a declaration allows.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    min: Option<Typed>,
    max: Option<Typed>,
    choices: Vec<Typed>,
    pattern: Option<(String, regex_lite::Regex)>,
}

impl Rules {
    /// Reads a declaration; `None` when it contradicts itself, which is reported.
    pub(super) fn read(resolver: &mut Resolver<'_>, root: &Node, file: &ParamFile) -> Option<Self> {
        let kind = file.kind.value;
        let mut problems = Vec::new();
        let mut typed = |key: &str, written: &Spanned<NodeRef>| {
            let node = written.value.of(root)?;
            match Typed::of_node(kind, node) {
                Ok(typed) => Some(typed),
                Err(reason) => {
                    problems.push((written.at.span, format!("`{key}`: {reason}"), String::new()));
                    None
                }
            }
        };
        let mut limit = |key: &str, written: &Option<Spanned<NodeRef>>| {
            written.as_ref().filter(|_| kind.is_ordered()).and_then(|written| typed(key, written))
        };
        let mut rules = Self {
            min: limit("min", &file.min),
            max: limit("max", &file.max),
            choices: file.choices.as_ref().map_or_else(Vec::new, |choices| {
                choices.value.iter().filter_map(|written| typed("choices", written)).collect()
            }),
            pattern: None,
        };
        for (key, written) in [("min", &file.min), ("max", &file.max)] {
            if let Some(written) = written
                && !kind.is_ordered()
            {
                problems.push((
                    written.at.span,
                    format!("`{key}` means nothing for a param of type {}", kind.name()),
                    "it goes with int, float, duration and size".into(),
                ));
            }
        }
        if let Some(choices) = &file.choices
            && choices.value.is_empty()
        {
            let help = "list the values that are allowed, or remove it".to_owned();
            problems.push((choices.at.span, "`choices` leaves no value".into(), help));
        }
        if let (Some(min), Some(max), Some(written)) = (&rules.min, &rules.max, &file.max)
            && min.magnitude() > max.magnitude()
        {
            let message = format!("`max` {} is less than `min` {}", max.shown(), min.shown());
            problems.push((written.at.span, message, "swap them".into()));
        }
        if let Some(pattern) = &file.pattern {
            match regex_lite::Regex::new(&format!("^(?:{})$", pattern.value)) {
                Ok(regex) => rules.pattern = Some((pattern.value.clone(), regex)),
                Err(error) => problems.push((
                    pattern.at.span,
                    format!("`pattern` is not a regular expression: {error}"),
                    String::new(),
                )),
            }
        }
        let is_sound = problems.is_empty();
        for (span, message, help) in problems {
            let diagnostic = Diagnostic::error(Code::ParamDeclaration, message)
                .at(resolver.sources.location(span));
            resolver.found.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
        }
        is_sound.then_some(rules)
    }

    /// Lets a value pass that keeps the rules.
    pub(crate) fn check(&self, typed: Typed) -> Result<Typed, String> {
        let shown = typed.shown();
        let beyond = |limit: &Option<Typed>, wrong: Ordering| {
            let limit = limit.as_ref()?;
            let order = typed.magnitude()?.partial_cmp(&limit.magnitude()?)?;
            (order == wrong).then(|| limit.shown())
        };
        if let Some(limit) = beyond(&self.min, Ordering::Less) {
            return Err(format!("{shown} is less than the minimum {limit}"));
        }
        if let Some(limit) = beyond(&self.max, Ordering::Greater) {
            return Err(format!("{shown} is more than the maximum {limit}"));
        }
        let items = typed.texts();
        if let Some((pattern, regex)) = &self.pattern
            && let Some(bad) = items.iter().find(|item| !regex.is_match(item))
        {
            return Err(format!("`{bad}` does not match the pattern `{pattern}`"));
        }
        if !self.choices.is_empty() {
            let allowed: Vec<String> = self.choices.iter().flat_map(Typed::texts).collect();
            if let Some(bad) = items.iter().find(|item| !allowed.contains(item)) {
                return Err(format!("`{bad}` is not among the choices"));
            }
        }
        Ok(typed)
    }

    /// What the param takes, in words.
    pub(crate) fn describe(&self, kind: ParamType) -> String {
        let what = match kind {
            ParamType::String => "any text",
            ParamType::Int => "a whole number such as `12` or `10k`",
            ParamType::Float => "a number such as `0.5`",
            ParamType::Bool => "`true` or `false`",
            ParamType::Duration => "a duration such as `250ms` or `1m30s`",
            ParamType::Size => "a size such as `4KiB`",
            ParamType::Url => "an http or https URL",
            ParamType::Path => {
                "the path of a file: from outside, relative to the current directory; in the plan, to its file"
            }
            ParamType::List => "a list such as `a,b,c`",
            ParamType::Series => "a series such as `1,2,4-32*2`",
        };
        let mut words = vec![what.to_owned()];
        if let Some(min) = &self.min {
            words.push(format!("at least {}", min.shown()));
        }
        if let Some(max) = &self.max {
            words.push(format!("at most {}", max.shown()));
        }
        if !self.choices.is_empty() {
            let choices: Vec<String> = self.choices.iter().map(Typed::shown).collect();
            words.push(format!("one of {}", choices.join(", ")));
        }
        if let Some((pattern, _)) = &self.pattern {
            words.push(format!("matching `{pattern}`"));
        }
        words.join(", ")
    }
}
