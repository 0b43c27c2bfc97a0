//! Templates, checked before anything is sent.
//!
//! In: a plan and its texts. Out: diagnostics at the template's own line in the plan. Invariant:
//! what passes here renders for the first row of its dataset; nothing is sent and nothing printed
//! of a row but the names of its fields.

use serde_json::{Map, Value};

use super::prompt::{first_row, template_name};
use super::template::{Functions, TemplateProblem, Templates, variables};
use super::tokenizer::Tokenizer;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::{Location, Plan, Prompt, Sources, Stage, suggest};

/// Compiles every template of a plan and renders it with the first row of its dataset.
pub fn check(plan: &Plan, sources: &Sources) -> Vec<Diagnostic> {
    let visible = plan.params.iter().filter(|param| !param.secret);
    let params = visible.map(|param| (param.name.clone(), param.value.clone())).collect();
    let mut found: Vec<Diagnostic> = Vec::new();
    for stage in &plan.stages {
        let Some(prompt) = stage.action.prompt() else { continue };
        let checking = Checking { stage, prompt, params: &params, seed: plan.seed, sources };
        for diagnostic in checking.run() {
            // Stages share prompts.
            if !found.contains(&diagnostic) {
                found.push(diagnostic);
            }
        }
    }
    found
}

struct Checking<'c> {
    stage: &'c Stage,
    prompt: &'c Prompt,
    params: &'c Value,
    seed: u64,
    sources: &'c Sources,
}

impl Checking<'_> {
    fn run(&self) -> Vec<Diagnostic> {
        let row = match self.prompt.dataset.as_deref().map(first_row).transpose() {
            Ok(row) => row.unwrap_or_else(|| Value::Object(Map::new())),
            Err(error) => {
                let message = format!("the first row of the dataset can't be used: {error}");
                return vec![
                    Diagnostic::error(Code::Path, message)
                        .at(self.stage.location.clone())
                        .help("a dataset has one JSON object per line"),
                ];
            }
        };
        let tokenizer = Tokenizer::Estimate;
        let mut templates = Templates::new(&self.prompt.files, &tokenizer);
        let functions = Functions::new(self.seed, &self.stage.id, 0, &tokenizer);
        let stage = self.stage.id.as_str();
        let variables = variables((&row, self.params), (0, stage, "document"), &functions);
        let mut found = Vec::new();
        for (position, message) in self.prompt.messages.iter().enumerate() {
            let name = template_name(position);
            let rendered = templates
                .add(name.clone(), message.content.clone())
                .and_then(|()| templates.render(&name, &variables, &[&row]));
            if let Err(problem) = rendered {
                let place = self.place(&message.location, &message.content, problem.line);
                found.push(self.diagnostic(&problem, "the template", place, &row));
            }
        }
        for (path, text) in self.body() {
            if let Err(problem) = templates.render_text(text, &variables, &[&row]) {
                let place = self.stage.location.clone();
                found.push(self.diagnostic(&problem, &format!("`body{path}`"), place, &row));
            }
        }
        found
    }

    /// The texts of the body that are templates, with their paths.
    fn body(&self) -> Vec<(String, &str)> {
        fn walk<'v>(path: &str, value: &'v Value, found: &mut Vec<(String, &'v str)>) {
            match value {
                Value::String(text) => found.push((path.to_owned(), text)),
                Value::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        walk(&format!("{path}[{index}]"), item, found);
                    }
                }
                Value::Object(fields) => {
                    for (key, item) in fields {
                        walk(&format!("{path}.{key}"), item, found);
                    }
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        for (key, value) in &self.prompt.body {
            walk(&format!(".{key}"), value, &mut found);
        }
        found
    }

    fn diagnostic(
        &self,
        problem: &TemplateProblem,
        what: &str,
        place: Location,
        row: &Value,
    ) -> Diagnostic {
        let line = match problem.line {
            Some(line) if line > 1 => format!(", line {line} of it"),
            _ => String::new(),
        };
        let with = if self.prompt.dataset.is_some() { " with the first row" } else { "" };
        let message = format!("{what} fails{with}{line}: {}", problem.message);
        let diagnostic = Diagnostic::error(Code::TemplateFails, message);
        let unknown = unknown_field(&problem.message, "row.");
        let fields = || row.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
        match unknown {
            Some(_) if self.prompt.dataset.is_none() => {
                diagnostic.at(place).help("there is no `row` without `prompt.dataset`")
            }
            Some(field) => diagnostic
                .label(place, suggest::did_you_mean(field, fields()))
                .help(format!("fields of the row: {}", suggest::list(fields()))),
            None if problem.message.contains("undefined") => diagnostic.at(place).help(
                "templates know row, i, stage, params, context, rng, and filler(tokens), \
                 random_text(tokens), read(file), truncate(text, tokens), uuid()",
            ),
            None => diagnostic.at(place),
        }
    }

    /// The template's failing line within the plan, as far as it stands there word for word.
    fn place(&self, whole: &Location, template: &str, line: Option<usize>) -> Location {
        let wanted = line.and_then(|line| template.lines().nth(line.saturating_sub(1)));
        let wanted = wanted.map(str::trim).filter(|text| !text.is_empty());
        let text = self.sources.named(&whole.file).unwrap_or("");
        let found = wanted.and_then(|wanted| {
            let at = text.get(whole.start..whole.end)?.find(wanted)?;
            Some((whole.start + at, wanted.len()))
        });
        let Some((start, len)) = found else { return whole.clone() };
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Location {
            file: whole.file.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            start,
            end: start + len,
        }
    }
}

/// The field in `… row.FIELD is undefined`.
fn unknown_field<'m>(message: &'m str, object: &str) -> Option<&'m str> {
    let from = message.find(object)? + object.len();
    let rest = &message[from..];
    let len = rest.find(|it: char| !(it.is_alphanumeric() || it == '_')).unwrap_or(rest.len());
    (message.contains("undefined") && len > 0).then(|| &rest[..len])
}
