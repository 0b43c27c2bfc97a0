//! A plan's `prompt:` as a workload: templates, documents, dataset rows and the nonce.
//!
//! In: a [`Prompt`], the seed, the run's nonce and a [`Tokenizer`]. Out: the [`Request`] of any
//! index. Invariant: the same plan, seed and nonce give the same request for the same index; two
//! different indices of a cold stage share no prefix beyond the chat template's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::filler::filler;
use super::store::Store;
use super::template::{Functions, TemplateProblem, Templates, variables};
use super::tokenizer::Tokenizer;
use super::{Workload, WorkloadError};
use crate::plan::{Context, ContextSource, Prompt, Repeat};
use crate::request::{Message, Request, hex};

/// Context length that is assumed when neither plan nor server names one (the first seed's
/// default for `--max_ctx_tokens`).
const DEFAULT_MAX_CTX_TOKENS: u64 = 131_072;

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
}

/// The requests of a cold or warm stage.
pub struct PromptWorkload {
    prompt: Prompt,
    templates: Templates,
    rows: Arc<[Value]>,
    document: Document,
    tokenizer: Tokenizer,
    distinct: u64,
    nonce_key: String,
    run_nonce: String,
    stage: String,
    seed: u64,
    params: Value,
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
    Filler(u64),
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
                .add(template_name(position), message.content.clone())
                .map_err(|problem| problem.at(&message.location.to_string(), None))?;
        }
        let rows = match &prompt.dataset {
            Some(path) => store.rows(path).ok_or_else(|| unread(path))?,
            None => Arc::default(),
        };
        let document = match &prompt.context {
            None => Document::None,
            Some(context) => Document::new(context, settings.context_tokens, store)?,
        };
        Ok(Self {
            prompt,
            templates,
            rows,
            document,
            tokenizer,
            distinct: repeat.distinct.max(1),
            nonce_key: repeat.nonce_key.clone(),
            run_nonce: settings.run_nonce.to_owned(),
            stage: settings.stage.to_owned(),
            seed: settings.seed,
            params: settings.params.clone(),
        })
    }

    /// The text that opens the prompt and that no cache can have seen in another run.
    fn nonce(&self, distinct: u64) -> String {
        nonce(&self.run_nonce, &self.nonce_key, distinct)
    }

    /// Renders the strings of extra body fields; other values pass as they are.
    fn render_body(
        &self,
        render: &dyn Fn(&str) -> Result<String, TemplateProblem>,
    ) -> Result<Map<String, Value>, TemplateProblem> {
        fn walk(
            value: &Value,
            render: &dyn Fn(&str) -> Result<String, TemplateProblem>,
        ) -> Result<Value, TemplateProblem> {
            Ok(match value {
                Value::String(text) if text.contains("{{") || text.contains("{%") => {
                    Value::String(render(text)?)
                }
                Value::Array(items) => Value::Array(
                    items.iter().map(|item| walk(item, render)).collect::<Result<_, _>>()?,
                ),
                Value::Object(fields) => Value::Object(
                    fields
                        .iter()
                        .map(|(key, item)| Ok((key.clone(), walk(item, render)?)))
                        .collect::<Result<_, TemplateProblem>>()?,
                ),
                other => other.clone(),
            })
        }
        let fields = self.prompt.body.iter();
        fields.map(|(key, value)| Ok((key.clone(), walk(value, render)?))).collect()
    }
}

impl Workload for PromptWorkload {
    fn request(&self, index: u64) -> Result<Request, WorkloadError> {
        // A stage may go round its prompts several times; what it says depends on the round-free
        // number alone, so that round two meets what round one left in the cache.
        let distinct = index % self.distinct;
        let document = match &self.document {
            Document::None => String::new(),
            Document::Shared { whole, tokens, cut } => {
                cut.get_or_init(|| self.tokenizer.truncate(whole, *tokens)).clone()
            }
            Document::Filler(tokens) => filler(self.seed, distinct, *tokens, &self.tokenizer),
        };
        let (row, number) = match self.rows.len() {
            0 => (Value::Object(Map::new()), None),
            rows => {
                let at = usize::try_from(distinct).unwrap_or(0) % rows;
                (self.rows[at].clone(), Some(at as u64 + 1))
            }
        };
        let functions = Functions::new(self.seed, &self.nonce_key, distinct, &self.tokenizer);
        let variables =
            variables((&row, &self.params), (distinct, &self.stage, &document), &functions);

        let mut messages = Vec::with_capacity(self.prompt.messages.len());
        let mut is_placed = matches!(self.document, Document::None);
        for (position, template) in self.prompt.messages.iter().enumerate() {
            let name = template_name(position);
            let mut content = self
                .templates
                .render(&name, &variables, &[&row])
                .map_err(|problem| problem.at(&template.location.to_string(), number))?;
            is_placed |= self.templates.places_context(&name);
            if !is_placed && template.role == "user" {
                content = format!("{document}\n\n{content}");
                is_placed = true;
            }
            if position == 0 {
                content = format!("{}\n{content}", self.nonce(distinct));
            }
            messages.push(Message { role: template.role.clone(), content });
        }
        let render = |text: &str| self.templates.render_text(text, &variables, &[&row]);
        let body =
            self.render_body(&render).map_err(|problem| problem.at("prompt.body", number))?;
        Ok(Request {
            index,
            messages,
            max_tokens: self.prompt.max_tokens,
            temperature: self.prompt.temperature,
            stream: self.prompt.stream,
            body,
        })
    }
}

impl Document {
    fn new(
        context: &Context,
        server_limit: Option<u64>,
        store: &Store,
    ) -> Result<Self, WorkloadError> {
        let limit =
            context.max_ctx_tokens.map(|tokens| tokens.saturating_sub(Context::SAFETY_MARGIN));
        if limit == Some(0) {
            return Err(WorkloadError(format!(
                "prompt.context.max_ctx_tokens leaves no room: {} tokens are kept free for question, answer and template",
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
            ContextSource::Filler => return Ok(Self::Filler(tokens)),
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

/// The first row of a JSONL dataset.
pub(super) fn first_row(path: &Path) -> Result<Value, WorkloadError> {
    let unreadable = |error| WorkloadError(format!("{}: {error}", path.display()));
    let file = fs::File::open(path).map_err(unreadable)?;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(unreadable)?;
        if !line.trim().is_empty() {
            return serde_json::from_str(&line).map_err(|error| {
                WorkloadError(format!("{}:{}: {error}", path.display(), number + 1))
            });
        }
    }
    Err(WorkloadError(format!("{}: the dataset has no rows", path.display())))
}
