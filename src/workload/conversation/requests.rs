//! Turns as requests.
//!
//! In: a turn that is due. Out: its [`Request`]: the messages, opened by the session's nonce, and
//! beside them what the plan's `body:` says with its templates rendered, over what was recorded.
//! Invariant: a pure function of (plan, seed, nonce, turn, number), like that of any other workload.

use std::collections::BTreeSet;

use serde_json::Value;

use super::DueTurn;
use crate::plan::workload::Unique;
use crate::plan::{Api, HeaderTemplate, Prompt};
use crate::request::Request;
use crate::workload::WorkloadError;
use crate::workload::dataset::{Dataset, note_unsaid, request_saying};
use crate::workload::prompt::{
    PromptSettings, RUN_KEY, ask, body, bound, forget_read, headers, nonce, open_with,
    read_of_rows, spell,
};
use crate::workload::store::Store;
use crate::workload::template::{Functions, Scope, Templates};
use crate::workload::tokenizer::Tokenizer;

/// Makes the requests of a stage's turns.
pub struct TurnRequests {
    prompt: Prompt,
    templates: Templates,
    tokenizer: Tokenizer,
    unique: Unique,
    /// Names the stage among all of the plan.
    key: String,
    stage: String,
    seed: u64,
    run_nonce: String,
    params: Value,
    headers: Vec<HeaderTemplate>,
    api: Api,
    /// Fields of rows that the templates read.
    read: BTreeSet<String>,
    /// Where what is left out of rows is counted.
    dataset: Option<Dataset>,
}

impl TurnRequests {
    /// Their rows are counted where something of them is not sent: those of the store's dataset.
    #[must_use]
    pub fn counted_by(mut self, store: &Store) -> Self {
        let source = self.prompt.dataset.as_deref();
        let rows = source.and_then(|source| store.dataset(&source.config));
        self.dataset = rows.map(|rows| rows.dataset().clone());
        self
    }

    /// Those of the stage that `key` names.
    pub fn new(
        prompt: &Prompt,
        settings: &PromptSettings<'_>,
        key: String,
        tokenizer: &Tokenizer,
    ) -> Self {
        let templates = Templates::new(&prompt.files, tokenizer);
        Self {
            read: read_of_rows(prompt, settings.headers, &templates),
            templates,
            tokenizer: tokenizer.clone(),
            unique: prompt.unique_in(true),
            key,
            stage: settings.stage.to_owned(),
            seed: settings.seed,
            run_nonce: settings.run_nonce.to_owned(),
            params: settings.params.clone(),
            headers: settings.headers.to_vec(),
            api: settings.api.clone(),
            prompt: prompt.clone(),
            dataset: None,
        }
    }

    /// The request of a turn, as number `index` of the stage.
    pub fn request(&self, turn: DueTurn, index: u64) -> Result<Request, WorkloadError> {
        let fields = &turn.row.fields;
        let functions = Functions::new(self.seed, &self.key, index, &self.tokenizer);
        let scope = Scope {
            row: fields,
            params: &self.params,
            i: index,
            stage: &self.stage,
            context: "",
            session: Some(&turn.session),
            turn: Some(turn.id.turn as u64),
        };
        let variables = scope.variables(&functions);
        let render = |text: &str| self.templates.render_value(text, &variables, &[fields]);
        let number = Some(turn.row.number + 1);
        let body = body::rendered(&self.prompt.body, &render)
            .map_err(|problem| problem.at(&self.prompt, number))?;
        let as_text = |text: &str| self.templates.render_text(text, &variables, &[fields]);
        let headers = headers::rendered(&self.headers, &as_text, number)?;
        let ask = ask(&self.prompt, body);
        let limit = self.prompt.output();
        let mut request = request_saying(turn.messages, &turn.row, index, &ask, limit);
        request.session = Some(turn.session);
        request.headers = headers;
        let answer = turn.answer.as_ref();
        if bound(&mut request, &self.prompt, (&turn.row, answer), &self.tokenizer)
            && let Some(dataset) = &self.dataset
        {
            dataset.lengths_are_estimates();
        }
        spell(&mut request, &self.prompt, Some(&turn.row))?;
        note_unsaid(&mut request, &turn.row, &self.prompt, &self.api);
        forget_read(&mut request.left_out, &turn.row, &self.read);
        if let Some(dataset) = &self.dataset {
            dataset.count_left_out(turn.row.number, &request.left_out);
        }
        let opening = match self.unique {
            Unique::Request => Some(nonce(&self.run_nonce, &self.key, turn.id.session)),
            Unique::Run => Some(nonce(&self.run_nonce, RUN_KEY, 0)),
            Unique::Never => None,
        };
        if let Some(opening) = opening {
            open_with(&mut request, &opening)?;
        }
        Ok(request)
    }
}
