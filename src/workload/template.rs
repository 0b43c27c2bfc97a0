//! The templates of a prompt: what `{{ }}` can do, and its limits.
//!
//! In: template texts, where they stand, and the values of one request. Out: texts. Invariants: a
//! template sees no environment, no clock and no file outside the plan's root; the same seed, key
//! and index give the same text; it ends in bounded time and space; an error names the template,
//! the row and the line, and prints no value.

mod bounds;
mod functions;

use std::borrow::Cow;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};

use super::WorkloadError;
use super::tokenizer::Tokenizer;
use crate::plan::FileAccess;

pub(super) use functions::Functions;

/// Steps a template may take before it counts as endless.
const FUEL: u64 = 1_000_000;

/// Most bytes that one template may come to.
const MOST_BYTES: usize = 32 << 20;

/// Most bytes of its own text that a template may say again and again in loops and macros.
const MOST_REPEATED: usize = 256 << 20;

/// The compiled templates of one prompt.
pub(super) struct Templates {
    environment: Environment<'static>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateProblem {
    /// In one line, without any value.
    pub message: String,
    /// Line within the template, from 1.
    pub line: Option<usize>,
    /// What to do, where something general can be said.
    pub help: Option<&'static str>,
}

impl TemplateProblem {
    /// As an error of the template at `place`; `row` counts from 1.
    pub(super) fn at(&self, place: &str, row: Option<u64>) -> WorkloadError {
        let row = row.map_or_else(String::new, |row| format!(" with row {row}"));
        WorkloadError(format!("{place}: the template fails{row}: {}", self.message))
    }
}

impl Templates {
    /// Nothing compiled yet.
    pub(super) fn new(files: &FileAccess, tokenizer: &Tokenizer) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(syntax());
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        // It would print every variable.
        environment.remove_global("debug");
        bounds::add(&mut environment);
        functions::add(&mut environment, files, tokenizer);
        Self { environment }
    }

    /// Compiles a template under a name.
    pub(super) fn add(&mut self, name: String, text: &str) -> Result<(), TemplateProblem> {
        let bounded = bounds::bounded(text, syntax());
        if let Cow::Owned(fueled) = self.fueled(bounded.longest_repeated) {
            self.environment = fueled;
        }
        self.environment
            .add_template_owned(name, bounded.text)
            .map_err(|error| problem(&error, &[]))
    }

    /// Whether a template of this name was added.
    pub(super) fn has(&self, name: &str) -> bool {
        self.environment.get_template(name).is_ok()
    }

    /// Renders a template that was added. `values` are those that an error must not print.
    pub(super) fn render(
        &self,
        name: &str,
        variables: &minijinja::Value,
        values: &[&serde_json::Value],
    ) -> Result<String, TemplateProblem> {
        let template = self.environment.get_template(name).map_err(|it| problem(&it, values))?;
        rendered(&template, variables, values)
    }

    /// Renders a text that was not added.
    pub(super) fn render_text(
        &self,
        text: &str,
        variables: &minijinja::Value,
        values: &[&serde_json::Value],
    ) -> Result<String, TemplateProblem> {
        let bounded = bounds::bounded(text, syntax());
        let environment = self.fueled(bounded.longest_repeated);
        let template =
            environment.template_from_str(&bounded.text).map_err(|it| problem(&it, values))?;
        rendered(&template, variables, values)
    }

    /// The engine for a template whose loops and macros repeat so long a text: with as many steps as keep
    /// that within bounds.
    fn fueled(&self, longest_repeated: usize) -> Cow<'_, Environment<'static>> {
        let fuel = MOST_REPEATED / longest_repeated.max(1);
        let fuel = u64::try_from(fuel).unwrap_or(FUEL);
        if fuel >= self.environment.fuel().unwrap_or(FUEL) {
            return Cow::Borrowed(&self.environment);
        }
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel));
        Cow::Owned(environment)
    }

    /// Renders a text that is a value of JSON: one that is `{{ … }}` and nothing else becomes what it
    /// stands for, with its type, and any other a text.
    pub(super) fn render_value(
        &self,
        text: &str,
        variables: &minijinja::Value,
        values: &[&serde_json::Value],
    ) -> Result<serde_json::Value, TemplateProblem> {
        let bounded = bounds::bounded(text, syntax()).text;
        let compiled = |it| self.environment.compile_expression(it).ok();
        let expression = inside(text).and_then(|_| inside(&bounded)).and_then(compiled);
        bounds::begin();
        match expression.map(|expression| expression.eval(variables)) {
            Some(Ok(value)) if !value.is_undefined() => {
                to_json(&value).map_err(|error| problem(&error, values))
            }
            // As a text it fails, too, and that says where.
            _ => self.render_text(text, variables, values).map(serde_json::Value::String),
        }
    }

    /// What a template says in every request, when it has nothing to fill in.
    pub(super) fn fixed(&self, name: &str) -> Option<String> {
        let template = self.environment.get_template(name).ok()?;
        let fills_in = ["{{", "{%", "{#"].iter().any(|mark| template.source().contains(mark));
        if fills_in { None } else { limited(&template, &context! {}).ok() }
    }

    /// The fields of its row that a text reads; `row` alone where it may read any.
    pub(super) fn reads_of_row(&self, text: &str) -> Vec<String> {
        let template = self.environment.template_from_str(text);
        let names = template.map(|it| it.undeclared_variables(true)).unwrap_or_default();
        let of_row =
            names.into_iter().filter_map(|name| match name.split('.').collect::<Vec<_>>()[..] {
                ["row"] => Some("row".to_owned()),
                ["row", field, ..] => Some(field.to_owned()),
                _ => None,
            });
        of_row.collect()
    }

    /// Whether a text reads this variable.
    pub(super) fn reads(&self, text: &str, variable: &str) -> bool {
        let template = self.environment.template_from_str(text);
        template.is_ok_and(|it| it.undeclared_variables(false).contains(variable))
    }

    /// Whether a template places the document itself.
    pub(super) fn places_context(&self, name: &str) -> bool {
        self.environment
            .get_template(name)
            .is_ok_and(|template| template.undeclared_variables(false).contains("context"))
    }
}

/// What the templates of one request know beside functions.
pub(super) struct Scope<'s> {
    /// The fields of its row; none without a dataset.
    pub row: &'s serde_json::Value,
    /// The plan's params.
    pub params: &'s serde_json::Value,
    /// Its number.
    pub i: u64,
    /// Its stage.
    pub stage: &'s str,
    /// The document in front of the question.
    pub context: &'s str,
    /// The conversation that it is a turn of, where it is one.
    pub session: Option<&'s str>,
    /// Turns of the conversation before it, where they are counted.
    pub turn: Option<u64>,
}

impl Scope<'_> {
    /// The variables of the request.
    pub(super) fn variables(&self, functions: &Functions) -> minijinja::Value {
        use minijinja::Value;
        use minijinja::value::Serde;
        let own = context! {
            row => Serde(self.row),
            i => self.i,
            stage => self.stage,
            params => Serde(self.params),
            context => self.context,
            session => self.session.map_or(Value::UNDEFINED, Value::from),
            turn => self.turn.map_or(Value::UNDEFINED, Value::from),
        };
        context! { ..own, ..functions.values() }
    }
}

/// A text is sent as it is written, its last line end, too.
fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default()
}

/// What stands between the braces of a text that is `{{ … }}`; whether that is one expression is for
/// the compiler to say.
fn inside(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("{{")?.strip_suffix("}}")?;
    // Marks that cut white space around the braces, where there is none.
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    Some(inside.strip_suffix(['-', '+']).unwrap_or(inside))
}

/// A value as JSON, of bounded size.
fn to_json(value: &minijinja::Value) -> Result<serde_json::Value, Error> {
    let no_value = || Error::new(ErrorKind::InvalidOperation, "this value can't stand in JSON");
    // A function would stand there as its own name.
    if value.kind() == ValueKind::Plain {
        return Err(no_value());
    }
    let unfit = |error: serde_json::Error| {
        if error.is_io() { ErrorKind::WriteFailure.into() } else { no_value() }
    };
    serde_json::to_writer(Limited(Vec::new()), value).map_err(unfit)?;
    serde_json::to_value(value).map_err(unfit)
}

fn rendered(
    template: &minijinja::Template<'_, '_>,
    variables: &minijinja::Value,
    values: &[&serde_json::Value],
) -> Result<String, TemplateProblem> {
    limited(template, variables).map_err(|error| {
        let problem = problem(&error, values);
        match missing(template, variables) {
            Some(name) if error.kind() == ErrorKind::UndefinedError => {
                TemplateProblem { message: format!("`{name}` is undefined"), ..problem }
            }
            _ => problem,
        }
    })
}

/// The first name, such as `row.qestion`, that a template reads and nobody has set.
fn missing(template: &minijinja::Template<'_, '_>, variables: &minijinja::Value) -> Option<String> {
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort();
    names.into_iter().find(|name| {
        let mut value = variables.clone();
        for part in name.split('.') {
            match value.get_attr(part) {
                Ok(found) if !found.is_undefined() => value = found,
                // Functions of the language itself, and methods, are nobody's variables.
                _ => return !BUILT_IN.contains(&part) && !name.starts_with("rng."),
            }
        }
        false
    })
}

/// Names that templates know without being told.
const BUILT_IN: [&str; 6] = ["read", "truncate", "range", "dict", "namespace", "loop"];

fn limited(
    template: &minijinja::Template<'_, '_>,
    variables: &minijinja::Value,
) -> Result<String, Error> {
    let mut text = Limited(Vec::new());
    bounds::begin();
    template.render_captured_to(variables, &mut text)?;
    Ok(String::from_utf8_lossy(&text.0).into_owned())
}

/// A text that may not grow without end.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const NAMES: &str = "templates know row, i, stage, params, context, session, turn, rng, and \
                     filler(tokens), random_text(tokens), read(file), truncate(text, tokens), uuid()";
const FILTERS: &str = "filters are Jinja's, such as upper, lower, trim, replace, join, default, \
                       length and tojson, and truncate(tokens)";
const CLOSING: &str = "close each `{{` with `}}`, and each `{% for %}` or `{% if %}` with `{% endfor %}` or \
                       `{% endif %}`";

/// An error in our words. The alternate form of the library's would print its variables.
fn problem(error: &Error, values: &[&serde_json::Value]) -> TemplateProblem {
    let detail = without(error.detail().unwrap_or_default(), values);
    // The library names what it does not know as `NAME is unknown`, a filter as `filter NAME …`.
    let unknown = |what: &str| {
        let name = detail.trim_start_matches("filter ").trim_start_matches("test ");
        format!("there is no {what} `{}`", name.trim_end_matches(" is unknown"))
    };
    let (message, help) = match error.kind() {
        ErrorKind::OutOfFuel => {
            let message =
                format!("the template takes more than {FUEL} steps and counts as endless");
            (message, Some("let its loops turn less often"))
        }
        ErrorKind::WriteFailure => {
            let message = format!("the template comes to more than {} MiB", MOST_BYTES >> 20);
            (message, Some("no model reads a prompt that long"))
        }
        ErrorKind::SyntaxError => {
            let detail = detail
                .replace("end of variable block", "`}}`")
                .replace("unexpected end of input", "the template ends too soon");
            (format!("syntax error: {detail}"), Some(CLOSING))
        }
        ErrorKind::UndefinedError => ("a value is undefined".into(), Some(NAMES)),
        ErrorKind::UnknownFunction => (unknown("function"), Some(NAMES)),
        ErrorKind::UnknownFilter => (unknown("filter"), Some(FILTERS)),
        ErrorKind::UnknownTest => (unknown("test"), None),
        ErrorKind::TemplateNotFound => (
            "a template can't include another".into(),
            Some("`{{ read(file) }}` inserts a file's text"),
        ),
        ErrorKind::MissingArgument => ("a function is given too few arguments".into(), Some(NAMES)),
        // It would show the numbers.
        _ if detail.starts_with("unable to calculate") => {
            ("a calculation has no result".into(), None)
        }
        _ if detail.starts_with("cannot convert") => (whole_number(&detail), None),
        ErrorKind::InvalidOperation | ErrorKind::UnknownMethod if !detail.is_empty() => {
            (detail, None)
        }
        kind if detail.is_empty() => (kind.to_string(), None),
        kind => (format!("{kind}: {detail}"), None),
    };
    TemplateProblem { message, line: error.line(), help }
}

/// `cannot convert string to u64` as a person would say it.
fn whole_number(detail: &str) -> String {
    match detail.trim_start_matches("cannot convert ").split_once(" to ") {
        Some(("number", "u64")) => "a whole number from 0 up is needed, not this number".into(),
        Some(("number", "i64")) => "a whole number is needed, not this number".into(),
        Some((found, "u64" | "i64")) => format!("a whole number is needed, not a {found}"),
        Some((found, wanted)) => format!("a {wanted} is needed, not a {found}"),
        None => detail.to_owned(),
    }
}

/// A message with every value of the row taken out.
fn without(detail: &str, values: &[&serde_json::Value]) -> String {
    fn texts<'v>(value: &'v serde_json::Value, found: &mut Vec<&'v str>) {
        match value {
            serde_json::Value::String(text) if text.len() > 2 => found.push(text),
            serde_json::Value::Array(items) => items.iter().for_each(|it| texts(it, found)),
            serde_json::Value::Object(fields) => fields.values().for_each(|it| texts(it, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for value in values {
        texts(value, &mut found);
    }
    found.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    found.iter().fold(detail.to_owned(), |detail, text| detail.replace(text, "…"))
}

#[cfg(test)]
mod tests;
