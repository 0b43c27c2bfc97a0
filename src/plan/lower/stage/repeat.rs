//! `cold` and `warm` stages: what they send, and which stage they repeat.

use super::{Draft, Lowering, Shared};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{Count, PromptFile};
use crate::plan::workload::Unique;
use crate::plan::{Action, Repeat, Stage, suggest};

/// Requests of a stage that neither says how many nor has a dataset.
const REQUESTS: u64 = 10;

/// The keys of a cold or warm stage.
pub(super) struct Keys<'k> {
    pub(super) like: Option<&'k Spanned<String>>,
    pub(super) requests: Option<Spanned<Count>>,
    pub(super) concurrency: Option<Spanned<Count>>,
    pub(super) prompt: Option<&'k Spanned<PromptFile>>,
}

/// The stage to repeat.
enum Model<'s> {
    /// None: the stage stands for itself.
    Own,
    /// That one, by its id.
    Like(&'s str, &'s Repeat),
    /// One that can't be used, which has been reported.
    Refused,
}

impl Lowering<'_> {
    pub(super) fn repeat(
        &mut self,
        draft: &Draft,
        keys: &Keys<'_>,
        shared: &Shared,
        ids: &[String],
        earlier: &[Option<Stage>],
    ) -> Option<Repeat> {
        let requests = self.positive("requests", keys.requests);
        let concurrency = self.users("concurrency", keys.concurrency);
        let own = keys.prompt.map(|prompt| self.prompt(prompt));
        let model = match keys.like {
            Some(like) => self.like(draft, like, ids, earlier),
            None if draft.kind == "warm" && keys.prompt.is_none() => nearest_cold(earlier),
            None => Model::Own,
        };
        let prompt = match (own, &model) {
            (Some(own), _) => own?,
            (None, Model::Like(_, repeat)) => repeat.prompt.clone(),
            (None, Model::Refused) => return None,
            (None, Model::Own) => {
                let help = "add `prompt:` to the plan or to the stage";
                self.asks(draft, None, shared, help)?
            }
        };
        if let (Some(unique), "cold") =
            (prompt.unique.filter(|it| *it != Unique::Request), draft.kind)
        {
            let message = format!("the prompts of `{}` may be in a cache", draft.id);
            let word = if unique == Unique::Run { "run" } else { "never" };
            let help = format!(
                "a cold stage tells each prompt apart: give it a prompt without `unique: {word}`"
            );
            self.error(Code::Conflict, draft.span, message, &help);
        }
        let like = match &model {
            Model::Like(_, repeat) => Some(*repeat),
            Model::Own | Model::Refused => None,
        };
        let repeats = match &model {
            Model::Like(id, repeat) => repeat.like.clone().or_else(|| Some((*id).to_owned())),
            Model::Own | Model::Refused => None,
        };
        let rows = prompt.dataset.as_ref();
        // 0 is as many as there are rows.
        let most = if rows.is_some() { 0 } else { REQUESTS };
        let requests = requests.or(like.map(|it| it.requests)).unwrap_or(most);
        // A cold stage never asks the same twice; a warm one on its own goes round its rows, so
        // that the second round meets what the first left in the cache.
        let own_distinct = match rows {
            _ if draft.kind == "cold" => requests,
            Some(_) => 0,
            None => 1,
        };
        let distinct = like.map_or(own_distinct, |it| it.distinct);
        let is_counted = requests > 0 && distinct > 0;
        Some(Repeat {
            requests,
            distinct,
            rows_of: match like {
                _ if is_counted => None,
                Some(like) => like.rows_of.clone(),
                None => rows.cloned(),
            },
            concurrency: concurrency.or(like.map(|it| it.concurrency)).unwrap_or(1),
            prompt,
            like: repeats,
            nonce_key: like.map_or_else(|| self.nonce_key(draft), |it| it.nonce_key.clone()),
        })
    }

    /// What the nonces of a stage are made of: no two cells share a prompt.
    fn nonce_key(&self, draft: &Draft) -> String {
        match &self.cell {
            Some(cell) => format!("{}[{}]", draft.id, cell.id),
            None => draft.id.clone(),
        }
    }

    /// The stage that `like` names.
    fn like<'s>(
        &mut self,
        draft: &Draft,
        like: &Spanned<String>,
        ids: &'s [String],
        earlier: &'s [Option<Stage>],
    ) -> Model<'s> {
        let before = &ids[..earlier.len()];
        let place = self.location(like.at.span);
        if let Some(index) = before.iter().position(|id| *id == like.value) {
            return match earlier[index].as_ref().map(|stage| &stage.action) {
                Some(Action::Cold(repeat) | Action::Warm(repeat)) => {
                    Model::Like(&before[index], repeat)
                }
                None => Model::Refused,
                Some(other) => {
                    let message = format!("`{}` is a {} stage", like.value, other.kind());
                    self.push(
                        Diagnostic::error(Code::Like, message)
                            .label(place, "sends no prompts to repeat")
                            .help("`like` names an earlier cold or warm stage"),
                    );
                    Model::Refused
                }
            };
        }
        let diagnostic = if like.value == draft.id {
            Diagnostic::error(Code::Like, format!("`{}` can't be like itself", draft.id)).at(place)
        } else if ids.contains(&like.value) {
            let message = format!("`{}` comes after this stage", like.value);
            Diagnostic::error(Code::Like, message).at(place)
        } else if self.may_be_refused(&like.value) {
            return Model::Refused;
        } else {
            let near = suggest::did_you_mean(&like.value, before.iter().map(String::as_str));
            Diagnostic::error(Code::Like, format!("no stage is called `{}`", like.value))
                .label(place, near)
        };
        self.push(diagnostic.help(match suggest::list(before.iter().map(String::as_str)) {
            none if none.is_empty() => "no stage comes before this one".to_owned(),
            known => format!("earlier stages: {known}"),
        }));
        Model::Refused
    }
}

/// What a warm stage repeats when it does not say.
fn nearest_cold(earlier: &[Option<Stage>]) -> Model<'_> {
    for stage in earlier.iter().rev() {
        match stage.as_ref().map(|stage| (&stage.id, &stage.action)) {
            Some((id, Action::Cold(repeat))) => return Model::Like(id, repeat),
            // It may have been the one.
            None => return Model::Refused,
            Some(_) => {}
        }
    }
    Model::Own
}
