//! A plan's `prompt:` as a workload: templates, documents, dataset rows and the nonce.
//!
//! In: a [`Prompt`], the seed, the run's nonce and a [`Tokenizer`]. Out: the [`Request`] of any
//! index. Invariant: the same plan, seed and nonce give the same request for the same index; two
//! different indices of a cold stage share no prefix beyond the chat template's own.

pub(super) mod body;
pub(super) mod headers;
mod instead;
mod overrides;

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::dataset::{self, OrderedRows, Row};
use super::filler::filler;
use super::store::Store;
use super::synthetic::text::{Texts, key_of};
use super::template::{Functions, Scope, TemplateProblem, Templates};
use super::tokenizer::Tokenizer;
use super::{Workload, WorkloadError};
use crate::plan::workload::Unique;
use crate::plan::{
    Action, Api, Context, ContextSource, HeaderTemplate, Plan, Prompt, Repeat, Stage,
};
use crate::request::{Message, Request, hex};
use instead::Instead;
use overrides::unsaid;
pub(super) use overrides::{ask, bound, forget_read, read_of_rows, spell};

/// Context length that is assumed when neither plan nor server names one (the default of the TTFT
/// cache benchmark's `--max_ctx_tokens`).
const DEFAULT_MAX_CTX_TOKENS: u64 = 131_072;

/// What the one nonce of a run is made of: no stage can be called so.
pub const RUN_KEY: &str = "/run";

/// The document that ships inside the binary.
const BUNDLED_DOCUMENT: &str = include_str!("../../datasets/document.txt");

/// What a prompt needs to know beside the plan.
#[derive(Debug, Clone)]
pub struct PromptSettings<'a> {
    /// The stage's id, for templates.
    pub stage: &'a str,
    /// The plan's seed.
    pub seed: u64,
    /// What makes this run's prompts unlike those of other runs.
    pub run_nonce: &'a str,
    /// Values of the plan's params, for templates.
    pub params: &'a Value,
    /// The server's context length in tokens, when it tells.
    pub context_tokens: Option<u64>,
    /// Headers that are rendered for each request.
    pub headers: &'a [HeaderTemplate],
    /// Whether it is a stage of load, which claims nothing of the cache.
    pub is_load: bool,
    /// The API of the endpoint.
    pub api: &'a Api,
}

impl<'a> PromptSettings<'a> {
    /// Those of a stage of `plan`, of whose server nothing is known.
    pub fn of(plan: &Plan, stage: &'a Stage, run_nonce: &'a str, params: &'a Value) -> Self {
        Self {
            stage: &stage.id,
            seed: plan.seed,
            run_nonce,
            params,
            context_tokens: None,
            headers: &stage.endpoint.header_templates,
            is_load: !matches!(stage.action, Action::Cold(_) | Action::Warm(_)),
            api: &stage.endpoint.api,
        }
    }
}

/// The requests of a stage.
pub struct PromptWorkload {
    prompt: Prompt,
    templates: Templates,
    /// What is known of each message beforehand.
    parts: Vec<Part>,
    rows: Option<OrderedRows>,
    /// What is said where the plan has no messages.
    instead: Instead,
    unique: Unique,
    document: Document,
    tokenizer: Tokenizer,
    distinct: u64,
    nonce_key: String,
    run_nonce: String,
    stage: String,
    seed: u64,
    params: Value,
    headers: Vec<HeaderTemplate>,
    /// Fields of rows that the templates read.
    read: BTreeSet<String>,
    api: Api,
}

/// A message's template, as far as it is the same for every request.
struct Part {
    name: String,
    /// Its text, where nothing is to be filled in.
    fixed: Option<String>,
    places_context: bool,
}

/// The document in front of the question.
enum Document {
    None,
    /// A text that every request shares (the nonce keeps the requests apart), cut to so many tokens
    /// when the first asks for it.
    Shared {
        whole: Arc<str>,
        tokens: u64,
        cut: OnceLock<String>,
    },
    /// Filler of so many tokens, different for each index.
    Filler {
        seed: u64,
        tokens: u64,
    },
}

impl PromptWorkload {
    /// Takes dataset and document from the store and compiles the templates. Counts nothing.
    pub fn new(
        repeat: &Repeat,
        settings: &PromptSettings<'_>,
        store: &Store,
        tokenizer: Tokenizer,
    ) -> Result<Self, WorkloadError> {
        let prompt = repeat.prompt.clone();
        let mut templates = Templates::new(&prompt.files, &tokenizer);
        for (position, message) in prompt.messages.iter().enumerate() {
            templates
                .add(template_name(position), &message.content)
                .map_err(|problem| problem.at(&message.place(problem.line), None))?;
        }
        let parts = (0..prompt.messages.len()).map(|position| {
            let name = template_name(position);
            let (fixed, places_context) = (templates.fixed(&name), templates.places_context(&name));
            Part { name, fixed, places_context }
        });
        let parts = parts.collect();
        let read = read_of_rows(&prompt, settings.headers, &templates);
        let source = prompt.dataset.as_deref();
        let rows =
            source.map(|source| OrderedRows::open(source, store, settings.seed)).transpose()?;
        let unique = prompt.unique_in(settings.is_load);
        let instead =
            Instead::new(&prompt, unique, settings, (&repeat.nonce_key, store), &tokenizer)?;
        let document = match &prompt.context {
            None => Document::None,
            Some(context) => {
                // No two stages or levels share a document, or the second would find it cached; only
                // cells that are told apart by their nonces ask the same, to be compared.
                let apart = match &repeat.like {
                    _ if settings.is_load => repeat.nonce_key.as_str(),
                    Some(like) => like,
                    None => settings.stage,
                };
                Document::new(context, (settings, apart), store)?
            }
        };
        Ok(Self {
            prompt,
            templates,
            parts,
            rows,
            instead,
            unique,
            document,
            tokenizer,
            distinct: repeat.distinct.max(1),
            nonce_key: repeat.nonce_key.clone(),
            run_nonce: settings.run_nonce.to_owned(),
            stage: settings.stage.to_owned(),
            seed: settings.seed,
            params: settings.params.clone(),
            headers: settings.headers.to_vec(),
            read,
            api: settings.api.clone(),
        })
    }

    /// The text that opens the prompt and that no cache can have seen in another run.
    fn nonce(&self, distinct: u64) -> Option<String> {
        match self.unique {
            Unique::Request => Some(nonce(&self.run_nonce, &self.nonce_key, distinct)),
            Unique::Run => Some(nonce(&self.run_nonce, RUN_KEY, 0)),
            Unique::Never => None,
        }
    }

    /// Its rows, where it has some.
    pub fn rows(&self) -> Option<&OrderedRows> {
        self.rows.as_ref()
    }

    /// Request `index`, which asks row `number` of the dataset, for stages that choose rows
    /// themselves; the turns of its session before it are `turn`. Requests of one `session` have one
    /// nonce, where there are some.
    pub fn request_of_row(
        &self,
        number: u64,
        (session, turn): (u64, u64),
        index: u64,
    ) -> Result<Request, WorkloadError> {
        let row = self.rows.as_ref().map(|rows| rows.numbered(number)).transpose()?;
        self.request_with(row.as_deref(), (index, session), Some(turn))
    }

    /// The request of a row that is given, where rows are asked in the order of the file.
    pub fn request_of(&self, row: &Row, turn: Option<u64>) -> Result<Request, WorkloadError> {
        self.request_with(Some(row), (row.number, row.number), turn)
    }

    /// A row as it was recorded, opened by the nonce where there is one.
    fn recorded(
        &self,
        (row, texts): (&Row, &Texts),
        (index, distinct): (u64, u64),
        body: Map<String, Value>,
    ) -> Result<Request, WorkloadError> {
        let ask = ask(&self.prompt, body);
        let mut request = dataset::request(row, index, texts, &ask, self.prompt.output())?;
        if let Some(nonce) = self.nonce(distinct) {
            open_with(&mut request, &nonce)?;
        }
        Ok(request)
    }
}

impl Workload for PromptWorkload {
    fn request(&self, index: u64) -> Result<Request, WorkloadError> {
        // A stage may go round its prompts several times; what it says depends on the round-free
        // number alone, so that round two meets what round one left in the cache.
        let distinct = index % self.distinct;
        let row = self.rows.as_ref().map(|rows| rows.row(distinct)).transpose()?;
        self.request_with(row.as_deref(), (index, distinct), None)
    }
}

impl PromptWorkload {
    fn request_with(
        &self,
        row: Option<&Row>,
        (index, distinct): (u64, u64),
        turn: Option<u64>,
    ) -> Result<Request, WorkloadError> {
        let empty = Value::Object(Map::new());
        let fields = row.map_or(&empty, |row| &row.fields);
        let number = row.map(|row| row.number + 1);
        let document = match &self.document {
            Document::None => String::new(),
            Document::Shared { whole, tokens, cut } => {
                cut.get_or_init(|| self.tokenizer.truncate(whole, *tokens)).clone()
            }
            Document::Filler { seed, tokens } => filler(*seed, distinct, *tokens, &self.tokenizer),
        };
        // Most prompts need none of it.
        let variables = LazyCell::new(|| {
            let functions = Functions::new(self.seed, &self.nonce_key, distinct, &self.tokenizer);
            let scope = Scope {
                row: fields,
                params: &self.params,
                i: distinct,
                stage: &self.stage,
                context: &document,
                session: row.and_then(|row| row.session.as_deref()),
                turn,
            };
            scope.variables(&functions)
        });
        let render = |text: &str| self.templates.render_value(text, &variables, &[fields]);
        let body = body::rendered(&self.prompt.body, &render)
            .map_err(|problem| problem.at(&self.prompt, number))?;
        let as_text = |text: &str| self.templates.render_text(text, &variables, &[fields]);
        let headers = headers::rendered(&self.headers, &as_text, number)?;
        let request = match (&self.instead, row) {
            (Instead::Rows(texts), Some(row)) => {
                self.recorded((row, texts), (index, distinct), body)?
            }
            (Instead::Synthetic(prompts), _) => {
                // A text that is new in each run needs no nonce to tell it from yesterday's.
                let nonce = self.nonce(distinct).filter(|_| self.unique == Unique::Request);
                let request = prompts.opened(distinct, nonce.as_deref())?;
                Request { index, body, ..request }
            }
            (Instead::Nothing | Instead::Rows(_), _) => {
                let render = |name: &str| self.templates.render(name, &variables, &[fields]);
                let mut request = Request {
                    index,
                    messages: self.messages(&document, number, &render)?,
                    max_tokens: self.prompt.max_tokens,
                    temperature: self.prompt.temperature,
                    stream: self.prompt.streams(),
                    session: row.and_then(|row| row.session.clone()),
                    left_out: row.map_or_else(Vec::new, |row| unsaid(row, &self.prompt, &body)),
                    body,
                    row: row.map(|row| row.place.clone()),
                    ..Request::default()
                };
                if let Some(nonce) = self.nonce(distinct) {
                    open_with(&mut request, &nonce)?;
                }
                request
            }
        };
        let mut request = Request { headers, ..request };
        if let Some(row) = row {
            let answer = row.answer();
            if bound(&mut request, &self.prompt, (row, answer), &self.tokenizer)
                && let Some(rows) = &self.rows
            {
                rows.dataset().lengths_are_estimates();
            }
        }
        spell(&mut request, &self.prompt, row)?;
        if let (Some(rows), Some(row)) = (&self.rows, row) {
            if matches!(self.instead, Instead::Rows(_)) {
                dataset::note_unsaid(&mut request, row, &self.prompt, &self.api);
                forget_read(&mut request.left_out, row, &self.read);
            } else {
                dataset::note_replaced(&mut request, row, &self.prompt, &self.api);
                request.left_out.retain(|left| !self.reads(left));
            }
            rows.dataset().count_left_out(row.number, &request.left_out);
        }
        Ok(request)
    }

    /// Whether a template says the part of a row that is called so among those left out.
    fn reads(&self, left: &str) -> bool {
        let name = left.split(' ').next().unwrap_or_default();
        self.read.contains(name) || self.read.contains("row")
    }

    /// The plan's messages, each template rendered by its name.
    fn messages(
        &self,
        document: &str,
        row: Option<u64>,
        render: &dyn Fn(&str) -> Result<String, TemplateProblem>,
    ) -> Result<Vec<Message>, WorkloadError> {
        let mut messages = Vec::with_capacity(self.prompt.messages.len());
        let mut is_placed = matches!(self.document, Document::None);
        for (template, part) in self.prompt.messages.iter().zip(&self.parts) {
            let mut content = match &part.fixed {
                Some(text) => text.clone(),
                None => render(&part.name)
                    .map_err(|problem| problem.at(&template.place(problem.line), row))?,
            };
            is_placed |= part.places_context;
            if !is_placed && template.role == "user" {
                content = format!("{document}\n\n{content}");
                is_placed = true;
            }
            messages.push(Message::text(&template.role, content));
        }
        Ok(messages)
    }
}

/// Puts a nonce in front of everything that a request says: before the first text of its first
/// message. Token ids have no text that it could stand in.
pub(super) fn open_with(request: &mut Request, nonce: &str) -> Result<(), WorkloadError> {
    if request.messages.iter_mut().any(|message| message.open_with(nonce)) {
        return Ok(());
    }
    let place = request.row.as_ref().map_or_else(String::new, |row| format!("{row}: "));
    Err(WorkloadError(format!(
        "{place}the prompt has no text that a nonce could open; only a stage of load, which asks it as \
         it is (`unique: never`), can send it"
    )))
}

impl Document {
    fn new(
        context: &Context,
        (settings, apart): (&PromptSettings<'_>, &str),
        store: &Store,
    ) -> Result<Self, WorkloadError> {
        let server_limit = settings.context_tokens;
        // The server's own limit holds whatever the plan says.
        let fits = |tokens: u64| server_limit.map_or(tokens, |server| server.min(tokens));
        let limit = context.max_ctx_tokens.map(fits);
        let limit = limit.map(|tokens| tokens.saturating_sub(Context::SAFETY_MARGIN));
        if limit == Some(0) {
            return Err(WorkloadError(format!(
                "prompt.context.max_ctx_tokens, or the server's own context, leaves no room: {} tokens are kept free for question, answer and template",
                Context::SAFETY_MARGIN
            )));
        }
        let whole = || {
            let known = server_limit.unwrap_or(DEFAULT_MAX_CTX_TOKENS);
            limit.unwrap_or_else(|| known.saturating_sub(Context::SAFETY_MARGIN).max(1))
        };
        let tokens = match (context.tokens, limit) {
            (Some(tokens), Some(limit)) => tokens.min(limit),
            (Some(tokens), None) => tokens,
            (None, _) => whole(),
        };
        let whole = match &context.from {
            ContextSource::Filler => {
                let seed = key_of(&[&settings.seed.to_le_bytes(), apart.as_bytes()]);
                return Ok(Self::Filler { seed, tokens });
            }
            ContextSource::Bundled => BUNDLED_DOCUMENT.into(),
            ContextSource::File(path) => store.document(path).ok_or_else(|| unread(path))?,
        };
        Ok(Self::Shared { whole, tokens, cut: OnceLock::new() })
    }
}

/// The opening line of a prompt: 48 random-looking bits of (run, stage, prompt).
pub fn nonce(run_nonce: &str, key: &str, distinct: u64) -> String {
    let mut hash = Sha256::new();
    for part in [run_nonce, key] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(distinct.to_le_bytes());
    format!("[{}]", hex(&hash.finalize()[..6]))
}

/// The name that the template of a message goes by.
pub(super) fn template_name(position: usize) -> String {
    format!("message-{position}")
}

/// A file that the store was not asked to read; it reads all that a plan names.
fn unread(path: &Path) -> WorkloadError {
    WorkloadError(format!("{} was not read before the run", path.display()))
}
