//! `stages:` → [`Stage`]s.
//!
//! In: written stages. Out: stages with ids, needs, prompts and endpoints. Invariant: `needs` and
//! `like` name stages that exist; whether `needs` runs in a circle is the graph's to say.

mod conversation;
mod load;
mod repeat;
mod replay;

use std::time::Duration;

use super::Lowering;
use super::endpoint::Layered;
use super::threshold::{Judged, Ranks};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{Common, FlushKeys, PlanFile, PromptFile, StageFile};
use crate::plan::source::{At, Span, Value};
use crate::plan::{Action, Ending, Flush, FlushMethod, Manner, Need, Prompt, Stage, suggest};

/// A flush tries this often unless the plan says otherwise.
const FLUSH_RETRIES: u32 = 3;

/// What every stage may fall back on.
pub(super) struct Shared {
    /// The plan's prompt; where a stage has a log, it may say no more than how to ask.
    prompt: Option<Prompt>,
    /// Whether the plan has a prompt that says what is asked, good or bad.
    has_prompt: bool,
    base: Option<Layered>,
}

/// A stage on its way.
pub(super) struct Draft {
    id: String,
    /// Where its `id`, or its first key, stands.
    span: Span,
    /// The stage as a whole.
    whole: At,
    kind: &'static str,
    common: Common,
    body: StageFile,
}

impl Lowering<'_> {
    /// Every stage; `None` when one of them, or what they share, can't be used.
    pub(super) fn stages(&mut self, file: PlanFile, seed: u64) -> Option<Vec<Stage>> {
        let profiles = file.endpoints.unwrap_or_default();
        self.profiles(&profiles);
        let first_key = self.tree.entries().first().map_or(self.tree.at.span, |it| it.key_span);
        let written = file.endpoint.as_ref();
        let base = if written.is_some() || self.options.endpoint.is_some() {
            self.layered(written, None, &profiles)
        } else {
            None
        };
        let endpoint = base.as_ref().and_then(|base| self.endpoint(base, seed));
        let drafts = self.drafts(file.stages);
        let has_log = drafts
            .iter()
            .any(|draft| matches!(&draft.body, StageFile::Replay(keys) if keys.log.is_some()));
        let prompt = file.prompt.as_ref().and_then(|prompt| self.prompt_beside(prompt, has_log));
        let shared = Shared {
            has_prompt: self.may_be_given(self.tree.at, &["prompt"])
                && !(has_log && prompt.as_ref().is_some_and(|it| !it.says_what_is_asked())),
            prompt,
            base,
        };
        if written.is_none()
            && self.options.endpoint.is_none()
            && drafts.iter().any(|draft| draft.common.endpoint.is_none())
        {
            self.no_endpoint(&profiles, first_key);
        }
        let ids: Vec<String> = drafts.iter().map(|draft| draft.id.clone()).collect();
        let ranks = Ranks::new(&drafts);
        let mut stages: Vec<Option<Stage>> = Vec::new();
        for (index, mut draft) in drafts.into_iter().enumerate() {
            let common = std::mem::take(&mut draft.common);
            let own = match &common.endpoint {
                None => endpoint.clone(),
                Some(written) => self
                    .layered(Some(written), shared.base.as_ref(), &profiles)
                    .and_then(|layered| self.endpoint(&layered, seed)),
            };
            let needs = self.needs(&draft, &common, &ids, index);
            let action = self.action(&draft, &shared, &ids, &stages);
            let judged = Judged { id: &draft.id, kind: draft.kind, span: draft.span };
            let thresholds = self.thresholds(&judged, &common.thresholds, &ranks);
            let mut live = self.live(&judged, Ending::Abort, &common.abort, &ranks);
            live.extend(self.live(&judged, Ending::Stop, &common.stop_when, &ranks));
            let stage = action.zip(own).map(|(action, endpoint)| Stage {
                location: self.location(draft.span),
                id: draft.id,
                cell: self.cell.clone(),
                needs,
                always: common.always,
                parallel: common.parallel,
                record: common.record.unwrap_or(true),
                tags: common.tags,
                endpoint,
                action,
                thresholds,
                live,
            });
            stages.push(stage);
        }
        self.plan_thresholds(&file.thresholds, &ranks, &mut stages);
        self.searches(&stages);
        self.rungs(&stages);
        stages.into_iter().collect()
    }

    /// Ids and kinds of all stages, before any of them is looked into.
    fn drafts(&mut self, written: Option<Spanned<Vec<Spanned<StageFile>>>>) -> Vec<Draft> {
        let Some(written) = written else {
            if !self.may_be_given(self.tree.at, &["stages"]) {
                let span = self.tree.entries().first().map_or(self.tree.at.span, |it| it.key_span);
                let help = "add `stages:` with items such as `- kind: cold` and `- kind: warm`";
                self.error(Code::Incomplete, span, "the plan has no stages", help);
            }
            return Vec::new();
        };
        if written.value.is_empty() && !self.has_bad(written.at) {
            let help = "add items such as `- kind: cold` and `- kind: warm`";
            self.error(Code::Incomplete, written.at.span, "`stages` is empty", help);
        }
        let mut drafts: Vec<Draft> = Vec::new();
        for stage in written.value {
            let mut body = stage.value;
            let (kind, common) = match &mut body {
                StageFile::Cold(keys) => ("cold", keys.common()),
                StageFile::Warm(keys) => ("warm", keys.common()),
                StageFile::Flush(keys) => ("flush", keys.common()),
                StageFile::Pause(keys) => ("pause", keys.common()),
                StageFile::Load(keys) => ("load", keys.common()),
                StageFile::QpsLadder(keys) => ("qps_ladder", keys.common()),
                StageFile::ConcurrencyRamp(keys) => ("concurrency_ramp", keys.common()),
                StageFile::Search(keys) => ("search", keys.common()),
                StageFile::Conversation(keys) => ("conversation", keys.common()),
                StageFile::Replay(keys) => ("replay", keys.common()),
            };
            let span = common.id.as_ref().map_or(stage.at.span, |id| id.at.span);
            let id = common.id.as_ref().map_or_else(String::new, |id| id.value.clone());
            drafts.push(Draft { id, span, whole: stage.at, kind, common, body });
        }
        self.own_ids(&drafts);
        self.give_ids(&mut drafts);
        drafts
    }

    /// Checks the ids that people gave.
    fn own_ids(&mut self, drafts: &[Draft]) {
        for (index, draft) in drafts.iter().enumerate() {
            if draft.common.id.is_none() {
                continue;
            }
            let fine = draft
                .id
                .starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && draft.id.len() <= 64
                && draft.id.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-');
            if !fine {
                let message = format!("`{}` can't be the id of a stage", draft.id);
                let help = "up to 64 letters, digits, `_` and `-`, beginning with a letter";
                self.error(Code::StageId, draft.span, message, help);
            }
            let earlier = drafts[..index]
                .iter()
                .find(|other| other.common.id.is_some() && other.id == draft.id);
            if let Some(earlier) = earlier {
                self.push(
                    Diagnostic::error(
                        Code::StageId,
                        format!("two stages are called `{}`", draft.id),
                    )
                    .label(self.location(draft.span), "again here")
                    .label(self.location(earlier.span), "first here")
                    .help("ids are unique; rename one of them"),
                );
            }
        }
    }

    /// Gives the others their kind's name, with -2, -3 when it is taken.
    fn give_ids(&self, drafts: &mut [Draft]) {
        // Ids of stages that binding refused are taken too.
        let mut taken = self.written_ids();
        for draft in drafts.iter_mut().filter(|draft| draft.common.id.is_none()) {
            let mut id = draft.kind.to_owned();
            let mut number = 1;
            while taken.contains(&id) {
                number += 1;
                id = format!("{}-{number}", draft.kind);
            }
            taken.push(id.clone());
            draft.id = id;
        }
    }

    /// Every `id` in the text.
    fn written_ids(&self) -> Vec<String> {
        match self.tree.get("stages").map(|stages| &stages.value) {
            Some(Value::List(items)) => {
                items.iter().filter_map(|stage| stage.get("id")?.text()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a stage that names another may mean one that binding refused.
    pub(super) fn may_be_refused(&self, id: &str) -> bool {
        if self.written_ids().iter().any(|written| written == id) {
            return true;
        }
        match self.tree.get("stages").map(|stages| &stages.value) {
            Some(Value::List(items)) => items
                .iter()
                .any(|stage| stage.get("id").is_none() && self.bad.contains(&stage.at.id)),
            _ => false,
        }
    }

    fn needs(&mut self, draft: &Draft, common: &Common, ids: &[String], index: usize) -> Vec<Need> {
        let Some(written) = &common.needs else {
            let previous = index.checked_sub(1).map(|previous| ids[previous].clone());
            let location = self.location(draft.span);
            return previous.map(|id| Need { id, location }).into_iter().collect();
        };
        let mut needs: Vec<Need> = Vec::new();
        for need in written {
            let others = || ids.iter().map(String::as_str).filter(|id| *id != draft.id);
            if need.value == draft.id {
                let message = format!("`{}` needs itself", draft.id);
                self.error(Code::Needs, need.at.span, message, "remove it");
            } else if ids.contains(&need.value) {
                if !needs.iter().any(|other| other.id == need.value) {
                    needs.push(Need {
                        id: need.value.clone(),
                        location: self.location(need.at.span),
                    });
                }
            } else if !self.may_be_refused(&need.value) {
                let near = suggest::did_you_mean(&need.value, others());
                let message = format!("no stage is called `{}`", need.value);
                self.push(
                    Diagnostic::error(Code::Needs, message)
                        .label(self.location(need.at.span), near)
                        .help(match suggest::list(others()) {
                            none if none.is_empty() => "there is no other stage".to_owned(),
                            known => format!("stages: {known}"),
                        }),
                );
            }
        }
        needs
    }

    fn action(
        &mut self,
        draft: &Draft,
        shared: &Shared,
        ids: &[String],
        earlier: &[Option<Stage>],
    ) -> Option<Action> {
        match &draft.body {
            StageFile::Cold(keys) => {
                let keys = repeat::Keys {
                    like: keys.like.as_ref(),
                    requests: keys.requests,
                    concurrency: keys.concurrency,
                    prompt: keys.prompt.as_ref(),
                };
                self.repeat(draft, &keys, shared, ids, earlier).map(Action::Cold)
            }
            StageFile::Warm(keys) => {
                let keys = repeat::Keys {
                    like: keys.like.as_ref(),
                    requests: keys.requests,
                    concurrency: keys.concurrency,
                    prompt: keys.prompt.as_ref(),
                };
                self.repeat(draft, &keys, shared, ids, earlier).map(Action::Warm)
            }
            StageFile::Load(keys) => {
                self.load(draft, keys, shared).map(|load| Action::Load(Box::new(load)))
            }
            StageFile::QpsLadder(keys) => {
                self.ladder(draft, keys, shared).map(|it| Action::QpsLadder(Box::new(it)))
            }
            StageFile::ConcurrencyRamp(keys) => {
                self.ramp(draft, keys, shared).map(|it| Action::ConcurrencyRamp(Box::new(it)))
            }
            StageFile::Search(keys) => {
                self.search(draft, keys, shared).map(|it| Action::Search(Box::new(it)))
            }
            StageFile::Conversation(keys) => {
                self.conversation(draft, keys, shared).map(|it| Action::Conversation(Box::new(it)))
            }
            StageFile::Replay(keys) => {
                self.replay(draft, keys, shared).map(|it| Action::Replay(Box::new(it)))
            }
            StageFile::Flush(keys) => Some(Action::Flush(self.flush(keys))),
            StageFile::Pause(keys) => {
                const MOST: Duration = Duration::from_secs(7 * 86_400);
                let pause = keys.duration.value.0;
                if pause > MOST {
                    let span = keys.duration.at.span;
                    self.error(Code::Value, span, "a pause is at most 7d", "");
                }
                Some(Action::Pause(pause))
            }
        }
    }

    /// What a stage asks: its own prompt, else the plan's; `help` says how to give it one.
    fn asks(
        &mut self,
        draft: &Draft,
        own: Option<&Spanned<PromptFile>>,
        shared: &Shared,
        help: &str,
    ) -> Option<Prompt> {
        if let Some(own) = own {
            return self.prompt(own);
        }
        if !shared.has_prompt {
            let message = format!("the stage `{}` has nothing to ask", draft.id);
            self.error(Code::Incomplete, draft.span, message, help);
        }
        shared.prompt.clone()
    }

    fn flush(&mut self, keys: &FlushKeys) -> Flush {
        let with = keys.with.unwrap_or_default();
        if let (FlushMethod::Http, Some(tokens)) = (with, keys.tokens) {
            let message = "`tokens` means nothing to a flush `with: http`";
            self.error(
                Code::Conflict,
                tokens.at.span,
                message,
                "remove it, or flush `with: traffic`",
            );
        }
        let retries = self.positive("retries", keys.retries);
        Flush {
            with,
            tokens: self.positive("tokens", keys.tokens),
            retries: retries
                .map_or(FLUSH_RETRIES, |retries| u32::try_from(retries).unwrap_or(u32::MAX)),
            manner: Manner::default(),
        }
    }
}

impl Draft {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }
    /// The ids it waits for, when it says so itself.
    pub(super) fn own_needs(&self) -> Option<Vec<&str>> {
        let needs = self.common.needs.as_ref()?;
        Some(needs.iter().map(|need| need.value.as_str()).collect())
    }
}
