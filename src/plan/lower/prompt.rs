//! `prompt:` → [`Prompt`].

use super::Lowering;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{ContextKeys, MessageKeys, PromptFile, PromptKeys, UniqueWord};
use crate::plan::source::Span;
use crate::plan::workload::{RowSource, Unique};
use crate::plan::{Context, ContextSource, FileAccess, MessageTemplate, Prompt};

impl Lowering<'_> {
    /// A prompt; `None` when it can't be used, which has been reported.
    pub(super) fn prompt(&mut self, written: &Spanned<PromptFile>) -> Option<Prompt> {
        match &written.value {
            PromptFile::Text(text) => Some(Prompt {
                messages: vec![self.user(text)],
                context: None,
                dataset: None,
                synthetic: None,
                unique: None,
                max_tokens: None,
                temperature: None,
                stream: true,
                body: serde_json::Map::new(),
                files: self.file_access(written.at.span.source),
            }),
            PromptFile::Map(keys) => {
                let messages = self.messages(written, keys);
                let context = keys.context.as_ref().map(|context| self.context(context));
                let has_templates = keys.text.is_some() || keys.messages.is_some();
                let dataset =
                    keys.dataset.as_ref().map(|written| self.dataset(written, has_templates));
                let synthetic = keys.synthetic.as_ref().map(|written| self.synthetic(written));
                let max_tokens = self.positive("max_tokens", keys.max_tokens);
                let body = self.body(keys);
                Some(Prompt {
                    messages: messages?,
                    context: match context {
                        Some(context) => Some(context?),
                        None => None,
                    },
                    dataset: match dataset {
                        Some(source) => Some(Box::new(source?)),
                        None => None,
                    },
                    synthetic: match synthetic {
                        Some(config) => Some(Box::new(config?)),
                        None => None,
                    },
                    unique: keys.unique.map(|word| match word.value {
                        UniqueWord::Request => Unique::Request,
                        UniqueWord::Run => Unique::Run,
                        UniqueWord::Never => Unique::Never,
                    }),
                    max_tokens,
                    temperature: keys.temperature.map(|temperature| temperature.value.0),
                    stream: keys.stream.unwrap_or(true),
                    body,
                    files: self.file_access(written.at.span.source),
                })
            }
        }
    }

    /// A prompt that asks the rows of `source` as they are.
    pub(super) fn rows_as_they_are(&self, file: u16, source: RowSource) -> Prompt {
        Prompt {
            messages: Vec::new(),
            context: None,
            dataset: Some(Box::new(source)),
            synthetic: None,
            unique: None,
            max_tokens: None,
            temperature: None,
            stream: true,
            body: serde_json::Map::new(),
            files: self.file_access(file),
        }
    }

    /// What the templates of this file may read: as data files.
    fn file_access(&self, source: u16) -> FileAccess {
        let root = (!self.options.allow_outside_root).then(|| self.root.clone());
        FileAccess { folder: self.sources.folder(source), root }
    }

    /// Fields of the body that the plan has keys for would be sent twice.
    fn body(&mut self, keys: &PromptKeys) -> serde_json::Map<String, serde_json::Value> {
        const OURS: [(&str, &str); 6] = [
            ("messages", "`prompt.messages`"),
            ("model", "`endpoint.model`"),
            ("stream", "`prompt.stream`"),
            ("max_tokens", "`prompt.max_tokens`"),
            ("temperature", "`prompt.temperature`"),
            ("prompt", "`prompt.text`"),
        ];
        let body = keys.body.clone().unwrap_or_default();
        for (field, key) in OURS {
            if body.contains_key(field) {
                let span = self.key_span("body", field);
                let message = format!("`body.{field}` has a key of its own");
                self.error(Code::Conflict, span, message, &format!("set {key} instead"));
            }
        }
        body
    }

    /// Where `field` stands under some prompt's `parent`.
    fn key_span(&self, parent: &str, field: &str) -> Span {
        let plan = self.tree.get("prompt");
        let stages = self.tree.get("stages").map_or(&[][..], |stages| match &stages.value {
            crate::plan::source::Value::List(items) => items,
            _ => &[],
        });
        plan.into_iter()
            .chain(stages.iter().filter_map(|stage| stage.get("prompt")))
            .filter_map(|prompt| prompt.get(parent))
            .flat_map(crate::plan::source::Node::entries)
            .find(|entry| entry.key == field)
            .map_or(self.tree.at.span, |entry| entry.key_span)
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
            (None, None) if keys.dataset.is_some() || keys.synthetic.is_some() => {
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
