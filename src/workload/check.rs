//! Datasets and templates, checked before anything is sent.
//!
//! In: a plan and its texts. Out: diagnostics at the template's own line in the plan, and in the
//! plan what only its datasets can say: their format and number of rows. Invariant: what passes here
//! renders for the first row of its dataset; nothing is sent and nothing printed of a row but the
//! names of its fields.

mod manner;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::dataset::{Dataset, DatasetError, Timeline, Unfit, keeps_row, look, roles_of_plan};
use super::prompt::{body, headers, template_name};
use super::template::{Functions, Scope, TemplateProblem, Templates};
use super::tokenizer::Tokenizer;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::printable::printable;
use crate::plan::workload::{DatasetConfig, RowOrder, RowSource, Seen};
use crate::plan::{Action, Api, Location, Plan, Prompt, Replay, Sessions, Sources, Stage, suggest};

/// Requests of a stage without rows that are tried where their number makes a difference, and how long at
/// most.
const TRIED: u64 = 1_000;
const TRIED_TIME: Duration = Duration::from_millis(500);

/// Looks into every dataset of a plan and notes what is there, then compiles every template and
/// renders it with the first row of its dataset.
pub fn check(plan: &mut Plan, sources: &Sources) -> Vec<Diagnostic> {
    let mut found = Found::default();
    let mut looks = Looks::default();
    for stage in &mut plan.stages {
        looks.stage(&mut stage.action, &mut found);
        if let Action::Replay(replay) = &mut stage.action {
            log(replay, plan.seed, &mut found);
        }
    }
    manner::fill_in(plan);
    let mut checked = HashSet::new();
    for stage in &plan.stages {
        let Some(prompt) = stage.action.prompt() else { continue };
        if let Some(words) = roles_of_plan(prompt, &stage.endpoint.api) {
            let at = prompt.messages.iter().find(|message| message.role != "user");
            let at = at.or(prompt.messages.first()).map(|message| message.location.clone());
            let warning = Diagnostic::warning(Code::Conflict, words)
                .at(at.unwrap_or_else(|| stage.location.clone()))
                .help(
                    "write the model's chat template into `text:`, or ask an `api:` that has roles",
                );
            found.add(warning);
        }
        if prompt.dataset.as_ref().is_some_and(|source| source.seen.is_none())
            || !checked.insert(identity(stage, prompt))
        {
            continue;
        }
        let own = stage.cell.iter().flat_map(|cell| &cell.params);
        let visible = plan.params.iter().chain(own).filter(|param| !param.secret);
        let params = visible.map(|param| (param.name.clone(), param.value.clone())).collect();
        let checking = Checking { stage, prompt, params: &params, seed: plan.seed, sources };
        for diagnostic in checking.run() {
            found.add(diagnostic);
        }
    }
    found.0
}

/// What a prompt's templates are, as far as they may fail: thousands of cells share a few, unless
/// they read what differs between them.
fn identity(stage: &Stage, prompt: &Prompt) -> u64 {
    let mut hasher = DefaultHasher::new();
    let body = Value::Object(prompt.body.clone()).to_string();
    let texts = prompt.messages.iter().map(|message| message.content.as_str());
    let headers = stage.endpoint.header_templates.iter().map(|header| header.value.as_str());
    let texts: Vec<&str> = texts.chain([body.as_str()]).chain(headers).collect();
    let reads = |name: &str| texts.iter().any(|text| text.contains(name));
    texts.hash(&mut hasher);
    for message in &prompt.messages {
        (&message.location.file, message.location.start).hash(&mut hasher);
    }
    for header in &stage.endpoint.header_templates {
        (&header.location.file, header.location.start).hash(&mut hasher);
    }
    reads("stage").then_some(&stage.id).hash(&mut hasher);
    reads("params").then(|| stage.cell_id()).hash(&mut hasher);
    if let Some(source) = &prompt.dataset {
        format!("{:?}", source.config).hash(&mut hasher);
    }
    hasher.finish()
}

/// Findings, each once: stages share prompts and datasets.
#[derive(Default)]
struct Found(Vec<Diagnostic>);

impl Found {
    fn add(&mut self, diagnostic: Diagnostic) {
        if !self.0.contains(&diagnostic) {
            self.0.push(diagnostic);
        }
    }
}

/// What was seen of the datasets so far.
#[derive(Default)]
struct Looks(Vec<(DatasetConfig, Option<Seen>)>);

impl Looks {
    /// Looks into what a stage reads, and fills in what depends on the number of rows.
    fn stage(&mut self, action: &mut Action, found: &mut Found) {
        if let Some(prompt) = action.prompt_mut()
            && let Some(source) = &mut prompt.dataset
        {
            source.seen = self.seen(source, source.order == RowOrder::Shuffled, found);
        }
        let (Action::Cold(repeat) | Action::Warm(repeat)) = action else { return };
        let Some(source) = repeat.rows_of.take() else { return };
        let Some(rows) = self.seen(&source, true, found).and_then(|seen| seen.rows) else { return };
        if repeat.requests == 0 {
            repeat.requests = rows;
        }
        if repeat.distinct == 0 {
            repeat.distinct = rows;
        }
    }

    /// What a dataset is like; `None` when it can't be read, which has been reported.
    fn seen(&mut self, source: &RowSource, counted: bool, found: &mut Found) -> Option<Seen> {
        // Before all of it is unpacked to be counted.
        if source.order == RowOrder::Shuffled
            && let Err(error) =
                Dataset::open(&source.config).and_then(|dataset| dataset.can_be_shuffled())
        {
            found.add(unusable(&error, source));
            return None;
        }
        let known = self.0.iter().position(|(config, _)| *config == source.config);
        if let Some(known) = known {
            let (_, seen) = &self.0[known];
            let is_enough = seen.as_ref().is_none_or(|seen| !counted || seen.rows.is_some());
            if is_enough {
                return seen.clone();
            }
            self.0.swap_remove(known);
        }
        let seen = match look(&source.config, counted) {
            Ok(seen) => Some(seen),
            Err(error) => {
                found.add(unusable(&error, source));
                None
            }
        };
        if let Some(Seen { malformed: malformed @ 1.., problem, .. }) = &seen {
            let rows = if *malformed == 1 { "row is" } else { "rows are" };
            let message = format!("{malformed} malformed {rows} left out of the dataset");
            let warning = Diagnostic::warning(Code::Dataset, message).at(source.location.clone());
            found.add(match problem {
                Some(problem) => warning.help(format!("the first: {problem}")),
                None => warning,
            });
        }
        self.0.push((source.config.clone(), seen.clone()));
        seen
    }
}

/// Looks into the log of a replay as far as it is small; the others are read before the run.
fn log(replay: &mut Replay, seed: u64, found: &mut Found) {
    let Some(source) = replay.traffic.prompt.dataset.as_deref() else { return };
    let Some(Seen { has_texts, is_small, .. }) = source.seen else { return };
    let wrong = |problem: String, help: &str| {
        Diagnostic::error(Code::Dataset, problem).at(source.location.clone()).help(help)
    };
    if replay.sessions == Sessions::Live && !has_texts {
        let problem = "the log has no texts, so answers can't stand in its history";
        found.add(wrong(problem.to_owned(), "remove `history: live`"));
    }
    if !is_small {
        return;
    }
    let timeline = Dataset::open(&source.config)
        .and_then(|dataset| Timeline::read(&dataset, |row| keeps_row(&replay.sample, row, seed)));
    match timeline {
        Ok(timeline) => {
            if let Some(Unfit { problem, help }) = timeline.unfit(replay) {
                found.add(wrong(problem, help));
            }
            replay.rows = Some(timeline.arrivals.len() as u64);
        }
        Err(error) => found.add(unusable(&error, source)),
    }
}

/// Why a dataset can't be used, at its place in the plan.
fn unusable(error: &DatasetError, source: &RowSource) -> Diagnostic {
    let at = source.location.clone();
    match error {
        DatasetError::Malformed(malformed) => {
            let help = if malformed.lacks_prompt() {
                "say in `text:` or `messages:` how a row's fields make one, such as `text: \"{{ row.question }}\"`, or leave such rows out: `on_malformed: skip`"
            } else {
                "mend the row, name the `format:`, or leave such rows out: `on_malformed: skip`"
            };
            Diagnostic::error(Code::Dataset, error.to_string()).at(at).help(help)
        }
        DatasetError::Empty { .. }
        | DatasetError::Broken { .. }
        | DatasetError::Shuffled { .. } => {
            Diagnostic::error(Code::Dataset, error.to_string()).at(at)
        }
        DatasetError::Unread { path, what, help } => {
            Diagnostic::error(Code::Dataset, format!("{}: this is {what}", path.display()))
                .at(at)
                .help(help)
        }
        DatasetError::Outside { .. } => Diagnostic::error(Code::Path, error.to_string())
            .at(at)
            .help("`--allow-outside-root` lifts this"),
        DatasetError::Io { .. }
        | DatasetError::NoFile { .. }
        | DatasetError::Pattern { .. }
        | DatasetError::NotRegular { .. } => {
            Diagnostic::error(Code::Path, error.to_string()).at(at)
        }
    }
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
            Ok(Some(row)) => row,
            Ok(None) => Asked::default(),
            Err(diagnostic) => return vec![diagnostic],
        };
        let tokenizer = Tokenizer::Estimate;
        let mut templates = Templates::new(&self.prompt.files, &tokenizer);
        let mut found = Vec::new();
        for (position, message) in self.prompt.messages.iter().enumerate() {
            if let Err(problem) = templates.add(template_name(position), &message.content) {
                let line = problem.line.unwrap_or(1);
                let place = self.sources.line_of(&message.location, &message.content, line);
                found.push(self.diagnostic(&problem, "the template", place, (&row.fields, 0)));
            }
        }
        self.render(&templates, (&row, 0), &mut found);
        if found.is_empty() && self.prompt.dataset.is_none() && self.reads_number(&templates) {
            let began = Instant::now();
            for i in 1..self.stage.action.planned().min(TRIED) {
                self.render(&templates, (&row, i), &mut found);
                if !found.is_empty() || began.elapsed() > TRIED_TIME {
                    break;
                }
            }
        }
        if let (Some((name, place)), Api::Json(api)) =
            (&self.prompt.max_tokens_field, &self.stage.endpoint.api)
            && api.body.is_some()
        {
            let message = format!("`max_tokens_field: {name}` says nothing to a body of `json`");
            let help = "the endpoint's `json.body` says itself where `{{ max_tokens }}` stands";
            found.push(Diagnostic::error(Code::Conflict, message).at(place.clone()).help(help));
        }
        found
    }

    /// Whether a request's number makes a difference to its texts.
    fn reads_number(&self, templates: &Templates) -> bool {
        let messages = self.prompt.messages.iter().map(|message| message.content.as_str());
        let body = body::templates(&self.prompt.body).into_iter().map(|(_, text)| text);
        let headers = self.stage.endpoint.header_templates.iter().map(|it| it.value.as_str());
        messages.chain(body).chain(headers).any(|text| templates.reads(text, "i"))
    }

    /// Renders all that request `i` says.
    fn render(&self, templates: &Templates, (row, i): (&Asked, u64), found: &mut Vec<Diagnostic>) {
        let functions = Functions::new(self.seed, &self.stage.id, i, &Tokenizer::Estimate);
        let variables = scope(self.stage, row, (self.params, i)).variables(&functions);
        let row = &row.fields;
        for (position, message) in self.prompt.messages.iter().enumerate() {
            let name = template_name(position);
            if templates.has(&name)
                && let Err(problem) = templates.render(&name, &variables, &[row])
            {
                let line = problem.line.unwrap_or(1);
                let place = self.sources.line_of(&message.location, &message.content, line);
                found.push(self.diagnostic(&problem, "the template", place, (row, i)));
            }
        }
        for (path, text) in body::templates(&self.prompt.body) {
            if let Err(problem) = templates.render_value(text, &variables, &[row]) {
                let place = self.prompt.place_in_body(&path).unwrap_or(&self.stage.location);
                let place = self.sources.line_of(place, text, problem.line.unwrap_or(1));
                found.push(self.diagnostic(&problem, &format!("`body{path}`"), place, (row, i)));
            }
        }
        for header in &self.stage.endpoint.header_templates {
            let render = |text: &str| templates.render_text(text, &variables, &[row]);
            if let Err(problem) = headers::value(header, &render) {
                let what = format!("the header `{}`", header.name);
                found.push(self.diagnostic(&problem, &what, header.location.clone(), (row, i)));
            }
        }
    }

    fn diagnostic(
        &self,
        problem: &TemplateProblem,
        what: &str,
        place: Location,
        (row, i): (&Value, u64),
    ) -> Diagnostic {
        let line = match problem.line {
            Some(line) if line > 1 => format!(", line {line} of it"),
            _ => String::new(),
        };
        let with = match i {
            0 if self.prompt.dataset.is_some() => " with the first row".to_owned(),
            0 => String::new(),
            i => format!(" in request {i} (`i`)"),
        };
        let message = format!("{what} fails{with}{line}: {}", problem.message);
        let diagnostic = Diagnostic::error(Code::TemplateFails, message);
        let unknown = unknown_field(&problem.message, "row.");
        let names: Vec<_> =
            row.as_object().into_iter().flat_map(Map::keys).map(|it| printable(it)).collect();
        let fields = || names.iter().map(AsRef::as_ref);
        match unknown {
            Some(_) if self.prompt.dataset.is_none() => {
                diagnostic.at(place).help("there is no `row` without `prompt.dataset`")
            }
            Some(field) => diagnostic
                .label(place, suggest::did_you_mean(field, fields()))
                .help(format!("fields of the row: {}", suggest::list(fields()))),
            None => match problem.help {
                Some(help) => diagnostic.at(place).help(help),
                None => diagnostic.at(place),
            },
        }
    }
}

/// What the templates of request `i` of a stage know.
fn scope<'s>(stage: &'s Stage, row: &'s Asked, (params, i): (&'s Value, u64)) -> Scope<'s> {
    let session = row.session.as_deref();
    let (session, turn) = match stage.action {
        // Sessions of conversations have names of ours where they have none of their own.
        Action::Conversation(_) => (Some(session.unwrap_or("session")), Some(0)),
        Action::Replay(_) => (session, Some(0)),
        _ => (session, None),
    };
    Scope { row: &row.fields, params, i, stage: &stage.id, context: "document", session, turn }
}

/// What templates know of a row.
struct Asked {
    fields: Value,
    session: Option<String>,
    max_tokens_field: Option<&'static str>,
}

impl Default for Asked {
    /// Without a dataset.
    fn default() -> Self {
        Self { fields: Value::Object(Map::new()), session: None, max_tokens_field: None }
    }
}

/// The first row of a dataset.
fn first_row(source: &RowSource) -> Result<Asked, Diagnostic> {
    let first = Dataset::open(&source.config)
        .and_then(|dataset| dataset.rows().next().transpose()?.ok_or_else(|| dataset.no_rows()));
    first
        .map(|row| Asked {
            fields: row.fields,
            session: row.session,
            max_tokens_field: row.max_tokens_field,
        })
        .map_err(|error| unusable(&error, source))
}

/// The field in `… row.FIELD is undefined`.
fn unknown_field<'m>(message: &'m str, object: &str) -> Option<&'m str> {
    let from = message.find(object)? + object.len();
    let rest = &message[from..];
    let len = rest.find(|it: char| !(it.is_alphanumeric() || it == '_')).unwrap_or(rest.len());
    (message.contains("undefined") && len > 0).then(|| &rest[..len])
}
