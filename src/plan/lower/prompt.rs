//! `prompt:` → [`Prompt`].

use serde_json::{Map, Value as Json};

use super::{Lowering, optional};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{
    ContextKeys, DatasetFile, LengthFile, MessageKeys, ModelFile, PromptFile, PromptKeys,
};
use crate::plan::source::{Entry, Node, Span, Value};
use crate::plan::{
    Context, ContextSource, FileAccess, LIMIT_NAMES, Location, MessageTemplate, ModelChoice,
    OPTIONS, Prompt,
};

/// Where the values of a body stand, by their paths.
type Places = Vec<(String, Location)>;

impl Lowering<'_> {
    /// A prompt; `None` when it can't be used, which has been reported.
    pub(super) fn prompt(&mut self, written: &Spanned<PromptFile>) -> Option<Prompt> {
        self.prompt_beside(written, false)
    }

    /// How the rows of a log are asked: a prompt that leaves what is asked to them.
    pub(super) fn manner(&mut self, written: &Spanned<PromptFile>) -> Option<Prompt> {
        let asked = match &written.value {
            PromptFile::Text(text) => vec![("prompt", text.at.span)],
            PromptFile::Map(keys) => [
                ("prompt.text", keys.text.as_ref().map(|it| it.at.span)),
                ("prompt.messages", keys.messages.as_ref().map(|it| it.at.span)),
                ("prompt.context", keys.context.as_ref().map(|it| it.at.span)),
                ("prompt.dataset", keys.dataset.as_ref().map(|it| it.at.span)),
                ("prompt.synthetic", keys.synthetic.as_ref().map(|it| it.at.span)),
            ]
            .into_iter()
            .filter_map(|(key, span)| Some((key, span?)))
            .collect(),
        };
        for (key, span) in &asked {
            let message = format!("`log` and `{key}` can't stand together");
            let help =
                "the log says what is asked; `prompt` may say how: `max_tokens` and the like";
            self.error(Code::Conflict, *span, message, help);
        }
        if asked.is_empty() { self.prompt_beside(written, true) } else { None }
    }

    /// A prompt that need not say what is asked where a log says it.
    pub(super) fn prompt_beside(
        &mut self,
        written: &Spanned<PromptFile>,
        has_log: bool,
    ) -> Option<Prompt> {
        match &written.value {
            PromptFile::Text(text) => {
                let messages = vec![self.user(text)];
                Some(Prompt { messages, ..self.bare(written.at.span.source) })
            }
            PromptFile::Map(keys) => {
                let messages = self.messages(written, keys, has_log);
                let context = keys.context.as_ref().map(|context| self.context(context));
                let has_templates = keys.text.is_some() || keys.messages.is_some();
                let dataset =
                    keys.dataset.as_ref().map(|written| self.dataset(written, has_templates));
                let synthetic = keys.synthetic.as_ref().map(|written| self.synthetic(written));
                let max_tokens = self.positive("max_tokens", keys.max_tokens);
                let max_tokens_field = keys.max_tokens_field.as_ref();
                let max_tokens_field = max_tokens_field.map(|name| self.max_tokens_field(name));
                let model = self.model(keys, has_log);
                let (body, body_places, without) = self.body(keys);
                Some(Prompt {
                    messages: messages?,
                    context: optional(context)?,
                    dataset: optional(dataset)?.map(Box::new),
                    synthetic: optional(synthetic)?.map(Box::new),
                    unique: keys.unique.map(|word| word.value),
                    max_tokens,
                    max_tokens_field,
                    model,
                    without,
                    temperature: keys.temperature.map(|temperature| temperature.value.0),
                    stream: keys.stream,
                    body,
                    body_places,
                    files: self.file_access(written.at.span.source),
                })
            }
        }
    }

    /// A prompt of which nothing is said yet.
    pub(super) fn bare(&self, file: u16) -> Prompt {
        Prompt {
            messages: Vec::new(),
            context: None,
            dataset: None,
            synthetic: None,
            unique: None,
            max_tokens: None,
            max_tokens_field: None,
            model: ModelChoice::Endpoint,
            without: Vec::new(),
            temperature: None,
            stream: None,
            body: Map::new(),
            body_places: Vec::new(),
            files: self.file_access(file),
        }
    }

    /// What the templates of this file may read: as data files.
    fn file_access(&self, source: u16) -> FileAccess {
        let root = (!self.options.allow_outside_root).then(|| self.root.clone());
        FileAccess { folder: self.sources.folder(source), root }
    }

    /// Which model rows that name one are asked of.
    fn model(&mut self, keys: &PromptKeys, has_log: bool) -> ModelChoice {
        let Some(written) = &keys.model else { return ModelChoice::Endpoint };
        let choice = match &written.value {
            ModelFile::Text(word) if word.value == "endpoint" => return ModelChoice::Endpoint,
            ModelFile::Text(word) if word.value == "row" => ModelChoice::Row,
            ModelFile::Text(word) => {
                let message = format!("`prompt.model` can't be `{}`", word.value);
                let help = "allowed here: endpoint, row, or a map such as `{ gpt-4o: base }`; one \
                            model for all is `endpoint.model`";
                self.error(Code::Value, word.at.span, message, help);
                return ModelChoice::Endpoint;
            }
            ModelFile::Map(names) => {
                let names = names.0.iter();
                ModelChoice::Map {
                    names: names.map(|(row, own)| (row.value.clone(), own.value.clone())).collect(),
                    location: self.location(written.at.span),
                }
            }
        };
        if keys.dataset.is_none() && !has_log {
            let message =
                "`model` says what becomes of models that rows name, and there are no rows";
            let help = "add `dataset:`, or name the model in `endpoint.model`";
            self.error(Code::Conflict, written.at.span, message, help);
        }
        choice
    }

    /// The name of a field of the body that takes a number of tokens.
    fn max_tokens_field(&mut self, written: &Spanned<String>) -> (String, Location) {
        let name = written.value.trim();
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if name.is_empty() || !name.chars().all(is_name) {
            let message = format!("`max_tokens_field` can't be `{}`", written.value);
            let help = "the name of one field, such as `max_completion_tokens`";
            self.error(Code::Value, written.at.span, message, help);
        }
        (name.to_owned(), self.location(written.at.span))
    }

    /// The further fields of the body, where its values stand, and which fields are not to be sent
    /// at all: those that are null, at any depth, by their paths. Fields that the plan has keys for would be sent twice.
    fn body(&mut self, keys: &PromptKeys) -> (Map<String, Json>, Places, Vec<String>) {
        const OURS: [(&str, &str); 6] = [
            ("messages", "`prompt.messages`"),
            ("model", "`endpoint.model`"),
            ("stream", "`prompt.stream`"),
            ("max_tokens", "`prompt.max_tokens`"),
            ("temperature", "`prompt.temperature`"),
            ("prompt", "`prompt.text`"),
        ];
        // Without these there would be no request, or an answer of another kind.
        const NEEDED: [&str; 3] = ["messages", "stream", "prompt"];
        let Some(body) = &keys.body else { return (Map::new(), Vec::new(), Vec::new()) };
        let written = self.tree.find(body.at.id);
        for (field, key) in OURS {
            let own = written.and_then(|it| it.entries().iter().find(|entry| entry.key == field));
            let is_left_out = |entry: &&Entry| {
                matches!(entry.node.value, Value::Null) && !NEEDED.contains(&field)
            };
            if let Some(entry) = own.filter(|entry| !is_left_out(entry)) {
                let message = format!("`body.{field}` has a key of its own");
                self.error(Code::Conflict, entry.key_span, message, &format!("set {key} instead"));
            }
        }
        self.said_twice(keys, written);
        let (mut places, mut nulls) = (Vec::new(), Vec::new());
        for entry in written.into_iter().flat_map(Node::entries) {
            self.places_of(format!(".{}", entry.key), &entry.node, &mut places);
        }
        let fields = without_nulls(&body.value, "", &mut nulls);
        (fields, places, nulls)
    }

    /// Refuses a field of the body for which a key beside it says something else: one of the two would
    /// be sent in place of the other, or both. The same number said twice is one.
    fn said_twice(&mut self, keys: &PromptKeys, written: Option<&Node>) {
        let recorded = match keys.dataset.as_ref().map(|it| &it.value) {
            Some(DatasetFile::Map(keys)) => keys.output.map(|_| ("dataset.output", None)),
            _ => None,
        };
        let drawn = keys.synthetic.as_ref().and_then(|it| it.value.output_tokens.as_ref());
        let drawn = drawn.map(|length| match &length.value {
            LengthFile::Text(always) => ("synthetic.output_tokens", Some(always.value.0 as f64)),
            LengthFile::Map(_) => ("synthetic.output_tokens", None),
        });
        let limit = keys.max_tokens.map(|most| ("max_tokens", Some(most.value.0 as f64)));
        let limits: Vec<_> = [limit, drawn, recorded].into_iter().flatten().collect();
        let heat = keys.temperature.map(|heat| [("temperature", Some(heat.value.0))]);
        let renamed = keys.max_tokens_field.as_ref().map(|name| name.value.trim());
        let fields = written.into_iter().flat_map(Node::entries);
        let objects = fields.clone().filter(|it| OPTIONS.contains(&it.key.as_str()));
        let nested = objects.flat_map(|object| {
            object.node.entries().iter().map(|it| (format!("{}.{}", object.key, it.key), it))
        });
        let found: Vec<_> = fields
            .filter(|it| it.key != "max_tokens" && it.key != "temperature")
            .map(|it| (it.key.clone(), it))
            .chain(nested)
            .filter(|(_, it)| !matches!(it.node.value, Value::Null))
            .filter_map(|(path, it)| {
                let name = it.key.as_str();
                let beside = if LIMIT_NAMES.contains(&name) || renamed == Some(name) {
                    limits.as_slice()
                } else {
                    heat.as_ref().filter(|_| name == "temperature")?
                };
                let own = number(&it.node.value);
                let (key, _) = beside.iter().find(|(_, said)| said.is_none() || *said != own)?;
                Some((path, *key, it.key_span))
            })
            .collect();
        for (path, key, span) in found {
            let message = format!("`body.{path}` and `{key}` set the same");
            let help = "keep one of the two, or give both the same number; `max_tokens_field` names \
                        the field that `max_tokens` is sent under";
            self.error(Code::Conflict, span, message, help);
        }
    }

    /// Where the values at or below a place of the body stand.
    fn places_of(&self, path: String, node: &Node, found: &mut Vec<(String, Location)>) {
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.places_of(format!("{path}[{index}]"), item, found);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.places_of(format!("{path}.{}", entry.key), &entry.node, found);
                }
            }
            _ => found.push((path, self.location(node.at.span))),
        }
    }

    fn user(&mut self, text: &Spanned<String>) -> MessageTemplate {
        if text.value.trim().is_empty() {
            self.error(Code::Value, text.at.span, "the prompt is empty", "");
        }
        self.template("user".into(), text)
    }

    fn template(&self, role: String, content: &Spanned<String>) -> MessageTemplate {
        let location = self.location(content.at.span);
        let lines = self.sources.lines_of(&location, &content.value).into_iter();
        let line = |span: Option<Span>| span.map_or(location.line, |it| self.location(it).line);
        let lines = lines.map(line).collect();
        MessageTemplate { role, content: content.value.clone(), lines, location }
    }

    fn messages(
        &mut self,
        written: &Spanned<PromptFile>,
        keys: &PromptKeys,
        has_log: bool,
    ) -> Option<Vec<MessageTemplate>> {
        if keys.synthetic.is_some() {
            let beside = [
                ("text", keys.text.as_ref().map(|it| it.at.span)),
                ("messages", keys.messages.as_ref().map(|it| it.at.span)),
                ("dataset", keys.dataset.as_ref().map(|it| it.at.span)),
            ];
            for (key, span) in beside.into_iter().filter_map(|(key, span)| Some((key, span?))) {
                let message = format!("`{key}` and `synthetic` can't stand together");
                self.error(Code::Conflict, span, message, "a prompt says one or the other");
            }
        }
        match (&keys.text, &keys.messages) {
            (Some(text), None) => Some(vec![self.user(text)]),
            (None, Some(messages)) => {
                if messages.value.is_empty() && !self.has_bad(messages.at) {
                    let help = "add `- { role: user, content: … }`";
                    self.error(Code::Value, messages.at.span, "`messages` is empty", help);
                }
                let lowered: Vec<_> =
                    messages.value.iter().map(|message| self.message(message)).collect();
                lowered.into_iter().collect()
            }
            (Some(text), Some(_)) => {
                let message = "`text` and `messages` can't stand together";
                let help = "keep `messages`, or make `text` the only message";
                self.error(Code::Conflict, text.at.span, message, help);
                None
            }
            // Rows and synthetic prompts are asked as they are.
            (None, None) if has_log || keys.dataset.is_some() || keys.synthetic.is_some() => {
                if let Some(context) = &keys.context {
                    let message = "`context` stands before messages, and there are none here";
                    let help = "add `text:` or `messages:`, or remove it";
                    self.error(Code::Conflict, context.at.span, message, help);
                }
                Some(Vec::new())
            }
            (None, None) => {
                if !self.has_bad(written.at)
                    && !self.may_be_given(written.at, &["text", "messages", "dataset", "synthetic"])
                {
                    let help = "add `text:`, `messages:`, `dataset:` or `synthetic:`";
                    self.error(Code::Incomplete, written.at.span, "the prompt says nothing", help);
                }
                None
            }
        }
    }

    fn message(&mut self, written: &Spanned<MessageKeys>) -> Option<MessageTemplate> {
        let MessageKeys { role, content } = &written.value;
        for (key, missing) in [("role", role.is_none()), ("content", content.is_none())] {
            if missing && !self.has_bad(written.at) && !self.may_be_given(written.at, &[key]) {
                let message = format!("a message needs `{key}`");
                self.error(Code::MissingKey, written.at.span, message, "");
            }
        }
        let content = content.as_ref()?;
        Some(self.template(role.clone()?, content))
    }

    fn context(&mut self, written: &Spanned<ContextKeys>) -> Option<Context> {
        let keys = &written.value;
        let from = match &keys.from {
            None => Some(ContextSource::Filler),
            Some(text) if text.value == "filler" => Some(ContextSource::Filler),
            Some(text) if text.value == "bundled" => Some(ContextSource::Bundled),
            Some(path) => self.data_file("context.from", path).map(ContextSource::File),
        };
        let tokens = self.positive("tokens", keys.tokens);
        for count in [keys.tokens, keys.max_ctx_tokens].into_iter().flatten() {
            self.tokens(count);
        }
        let max_ctx_tokens = keys.max_ctx_tokens.map(|most| {
            if most.value.0 <= Context::SAFETY_MARGIN {
                let message = format!(
                    "`max_ctx_tokens` must be more than the {} tokens kept free",
                    Context::SAFETY_MARGIN
                );
                self.error(Code::Value, most.at.span, message, "give the model's context length");
            }
            most.value.0
        });
        if from == Some(ContextSource::Filler)
            && tokens.is_none()
            && max_ctx_tokens.is_none()
            && !self.has_bad(written.at)
        {
            let help = "add `tokens:` or `max_ctx_tokens:`";
            self.error(Code::Incomplete, written.at.span, "filler has no length of its own", help);
        }
        Some(Context { from: from?, tokens, max_ctx_tokens })
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(whole) => Some(*whole as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// The fields of an object but for those that are null, whose paths are noted. A null in a list is a
/// value.
fn without_nulls(
    fields: &Map<String, Json>,
    path: &str,
    nulls: &mut Vec<String>,
) -> Map<String, Json> {
    let mut kept = Map::new();
    for (name, value) in fields {
        match value {
            Json::Null => nulls.push(format!("{path}{name}")),
            Json::Object(inner) => {
                let inner = without_nulls(inner, &format!("{path}{name}/"), nulls);
                kept.insert(name.clone(), inner.into());
            }
            other => drop(kept.insert(name.clone(), other.clone())),
        }
    }
    kept
}
