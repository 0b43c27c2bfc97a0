//! The rows of a stage, each made into its request before the run.
//!
//! In: a stage and its dataset. Out: which rows can't be asked, and what of the others is not sent.
//! Invariant: what makes a request here makes it in the run, too; the memory it takes does not grow with
//! the rows that are refused.

use std::collections::HashSet;
use std::sync::Arc;

use crate::client::dialect::{self, Refused};
use crate::metrics::quantity::{grouped, plural};
use crate::output::note;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::workload::{OnMalformed, RowOrder, RowSource, Uniqueness};
use crate::plan::{Action, Context, ContextSource, Conversation, Plan, Prompt, Repeat, Stage};
use crate::request::{Message, Request};
use crate::workload::WorkloadError;
use crate::workload::conversation::{DueTurn, Rehearsal, TurnId, TurnRequests};
use crate::workload::dataset::{self, Dataset, Row, RowPrompt, keeps_row, shortened};
use crate::workload::prompt::{PromptSettings, PromptWorkload};
use crate::workload::store::Store;
use crate::workload::synthetic::text::Texts;
use crate::workload::tokenizer::Tokenizer;

/// Refused rows that are named for each dataset.
const NAMED: usize = 3;

/// Sessions of a conversation that are played through; a run counts all of its own.
const REHEARSED: u64 = 256;

/// Datasets of so many bytes take a while to be looked through, which is said.
const LARGE_BYTES: u64 = 1 << 30;

/// What makes requests of rows.
enum Asker {
    Prompts(Box<PromptWorkload>),
    Turns { requests: Box<TurnRequests>, system: Option<String>, texts: Texts },
}

impl Asker {
    /// The request of a row; in a conversation, one that says all that its turns say in the end.
    fn request(&self, row: Row, turn: Option<u64>) -> Result<Request, WorkloadError> {
        let (requests, system, texts) = match self {
            Self::Prompts(prompts) => return prompts.request_of(&row, turn),
            Self::Turns { requests, system, texts } => (requests, system, texts),
        };
        let mut messages = match &row.prompt {
            RowPrompt::Messages(messages) => messages.clone(),
            _ => dataset::messages(&row, texts)?,
        };
        if let Some(system) = system
            && messages.first().is_none_or(|first| first.role != "system")
        {
            messages.insert(0, Message::text("system", system));
        }
        let turn = DueTurn {
            id: TurnId { session: 0, turn: 0 },
            session: row.session.clone().unwrap_or_else(|| row.number.to_string()),
            due_ns: 0,
            messages,
            answer: row.answer().cloned(),
            is_last: true,
            turns: 1,
            row: Arc::new(row),
        };
        requests.request(turn, 0)
    }
}

/// What makes requests of `rows` as `stage` asks them.
fn asker(
    plan: &Plan,
    stage: &Stage,
    (prompt, rows): (&Prompt, RowSource),
) -> Result<Asker, WorkloadError> {
    let word = |_| Context { from: ContextSource::Bundled, tokens: Some(1), max_ctx_tokens: None };
    let prompt = Prompt {
        context: prompt.context.as_ref().map(word),
        dataset: Some(Box::new(rows)),
        ..prompt.clone()
    };
    let params = plan.template_params(stage);
    let settings = PromptSettings::of(plan, stage, "run", &params);
    let tokenizer = Tokenizer::Estimate;
    if let Action::Conversation(conversation) = &stage.action {
        let requests = TurnRequests::new(&prompt, &settings, stage.key(), &tokenizer);
        return Ok(Asker::Turns {
            texts: Texts::new(plan.seed, "run", Uniqueness::Never, tokenizer),
            system: conversation.config.system.clone(),
            requests: Box::new(requests),
        });
    }
    let repeat = Repeat {
        requests: u64::MAX,
        distinct: u64::MAX,
        rows_of: None,
        concurrency: 1,
        prompt,
        like: None,
        nonce_key: stage.key(),
    };
    let prompts = PromptWorkload::new(&repeat, &settings, &Store::default(), tokenizer)?;
    Ok(Asker::Prompts(Box::new(prompts)))
}

/// Which rows a stage asks, of a dataset that is read from the first on.
struct Asked<'s> {
    stage: &'s Stage,
    seed: u64,
    /// Sessions that have joined, where a stage has only so many.
    sessions: HashSet<String>,
    joined: u64,
}

impl Asked<'_> {
    fn takes(&mut self, row: &Row) -> bool {
        match &self.stage.action {
            Action::Replay(replay) => keeps_row(&replay.sample, row, self.seed),
            Action::Conversation(conversation) => {
                let Some(most) = conversation.sessions else { return true };
                if row.session.as_ref().is_some_and(|session| self.sessions.contains(session)) {
                    return true;
                }
                let joins = self.joined < most;
                self.joined += u64::from(joins);
                self.sessions.extend(row.session.clone().filter(|_| joins));
                joins
            }
            _ => true,
        }
    }
}

/// Which of a stage's rows, `most` at most, can't be asked, and what of them is not sent, in words.
pub(super) fn refused(
    plan: &Plan,
    stage: &Stage,
    (prompt, source): (&Prompt, &RowSource),
    most: u64,
) -> (Vec<Diagnostic>, Option<String>) {
    let wrong = |what: String| Diagnostic::error(Code::Dataset, what).at(source.location.clone());
    let mut rows = source.clone();
    // Those that can't be read were reported before, and all are asked as they come.
    rows.config.malformed = OnMalformed::Skip;
    rows.order = RowOrder::File;
    let Ok(dataset) = Dataset::open(&rows.config) else { return (Vec::new(), None) };
    let asker = match asker(plan, stage, (prompt, rows)) {
        Ok(asker) => asker,
        Err(error) => return (vec![wrong(error.to_string())], None),
    };
    let bytes: u64 = dataset.files().iter().map(|file| file.bytes).sum();
    if bytes >= LARGE_BYTES && most == u64::MAX {
        let files = source.config.files.join(", ");
        let size = grouped(bytes / 1_000_000);
        note!("{files}: {size} MB; every row is looked at before anything is sent");
    }
    let api = &stage.endpoint.api;
    let dialect = dialect::of(api);
    let turn = matches!(stage.action, Action::Replay(_)).then_some(0);
    let mut taken = Asked { stage, seed: plan.seed, sessions: HashSet::new(), joined: 0 };
    let (mut named, mut more) = (Vec::new(), 0_u64);
    for row in dataset.rows().map_while(Result::ok).take_while(|row| row.number < most) {
        if !taken.takes(&row) {
            continue;
        }
        let (number, place) = (row.number, row.place.clone());
        let refused = match asker.request(shortened(row), turn) {
            Ok(request) => {
                dataset.count_left_out(number, &request.left_out);
                let no_form = dialect.encode(&request, "MODEL").err();
                no_form.map(|it| Refused::new(&request, api.name(), it).to_string())
            }
            Err(error) => Some(error.to_string()),
        };
        let Some(refused) = refused else { continue };
        if named.len() < NAMED {
            let place = place.to_string();
            let is_told = refused.contains(&place);
            named.push(if is_told { refused } else { format!("{place}: {refused}") });
        } else {
            more += 1;
        }
    }
    if let Some(last) = named.last_mut().filter(|_| more > 0) {
        *last = format!("{last} (and {})", plural(more, "more row"));
    }
    let unsent = dataset.left_out().parts_in_words();
    let said = unsent.into_iter().chain(other_histories(plan, stage));
    let said = said.reduce(|all, more| format!("{all}; {more}"));
    (named.into_iter().map(wrong).collect(), said)
}

/// What a conversation's turns are asked with in place of the history that the plan says, where each
/// answer has text: in words, for the first sessions.
fn other_histories(plan: &Plan, stage: &Stage) -> Option<String> {
    let Action::Conversation(conversation) = &stage.action else { return None };
    let sessions = Some(conversation.sessions.map_or(REHEARSED, |most| most.min(REHEARSED)));
    let first = Conversation { sessions, ..conversation.as_ref().clone() };
    let params = plan.template_params(stage);
    let settings = PromptSettings::of(plan, stage, "run", &params);
    let (store, answer) = (Store::default(), "word".to_owned());
    let rehearsal = Rehearsal::new(&first, &settings, &store, &Tokenizer::Estimate, answer);
    let mut rehearsal = rehearsal.ok()?;
    let is_fine = rehearsal.by_ref().all(|turn| turn.is_ok());
    rehearsal.swaps().in_words().filter(|_| is_fine)
}
