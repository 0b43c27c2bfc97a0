//! What a run says of the prompts that it sent.
//!
//! In: the plan, and the model of each stage's endpoint. Out: notes: which prompts a nonce opened,
//! which few prompts go round, and which rows named other models than were asked. Invariant: a note
//! says what was planned, and no more than was read of a dataset.

use std::collections::BTreeMap;

use super::refusals::rows_asked;
use crate::metrics::quantity::plural;
use crate::plan::workload::{RowSource, Unique};
use crate::plan::{
    ANTHROPIC_MAX_TOKENS, Action, Api, ContextSource, LIMIT_NAMES, ModelChoice, Plan, Prompt, Stage,
};
use crate::request::field_in;
use crate::workload::dataset::{Dataset, roles_of_plan};

/// Rows of a dataset that are looked at.
const MOST_ROWS: usize = 100_000;

/// Names that a note lists.
const MOST_NAMES: usize = 8;

/// The notes of a run.
pub(super) fn notes<'m>(plan: &Plan, model_of: impl Fn(usize) -> &'m str) -> Vec<String> {
    let mut notes: Vec<String> = openings(plan).into_iter().collect();
    for (position, stage) in plan.stages.iter().enumerate() {
        let Some(prompt) = stage.action.prompt() else { continue };
        let seen = prompt.dataset.as_deref().map(|source| {
            let asked = rows_asked(stage, prompt).and_then(|rows| usize::try_from(rows).ok());
            Seen::of(source, asked.unwrap_or(usize::MAX))
        });
        let models = seen.as_ref().filter(|_| prompt.model == ModelChoice::Endpoint);
        let found = [
            round(stage, prompt, seen.as_ref()),
            unbounded(stage, prompt),
            roles_of_plan(prompt, &stage.endpoint.api),
            models.and_then(|seen| seen.others(stage, model_of(position))),
        ];
        for note in found.into_iter().flatten() {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// That an API which wants a bound of every answer is told one that nobody chose.
pub fn unbounded(stage: &Stage, prompt: &Prompt) -> Option<String> {
    let drawn = prompt.synthetic.as_ref().and_then(|config| config.output_tokens.as_ref());
    let is_said = prompt.max_tokens.is_some()
        || drawn.is_some()
        || field_in(&prompt.body, |name, _| LIMIT_NAMES.contains(&name)).is_some();
    (stage.endpoint.api == Api::AnthropicMessages && !is_said).then(|| {
        format!(
            "stage `{}` has no `prompt.max_tokens`, and its API takes no request without a limit: \
             where a row has none either, max_tokens {ANTHROPIC_MAX_TOKENS} is sent",
            stage.id
        )
    })
}

/// Which prompts are opened by a nonce, and which are sent as they are written.
fn openings(plan: &Plan) -> Option<String> {
    let mut ids: [Vec<String>; 5] = Default::default();
    for stage in &plan.stages {
        let Some(unique) = stage.action.unique() else { continue };
        let makes_texts = stage.action.prompt().is_some_and(|prompt| prompt.synthetic.is_some());
        let is_again = matches!(&stage.action, Action::Cold(repeat) | Action::Warm(repeat) if repeat.like.is_some());
        let place = match unique {
            Unique::Request if is_again => 1,
            Unique::Request => 0,
            Unique::Run if makes_texts => 2,
            Unique::Run => 3,
            Unique::Never => 4,
        };
        let id = format!("`{}`", stage.id);
        if !ids[place].contains(&id) {
            ids[place].push(id);
        }
    }
    let words = [
        "each has a nonce of its own in",
        "those of the stage that `like:` names, nonces too, in",
        "made anew in each run, without a nonce, in",
        "opened by one nonce of the run in",
        "sent as they are written, without a nonce, in",
    ];
    let parts = words.iter().zip(&ids).filter(|(_, ids)| !ids.is_empty());
    let parts: Vec<String> = parts.map(|(words, ids)| format!("{words} {}", list(ids))).collect();
    (!parts.is_empty()).then(|| format!("prompts: {}", parts.join("; ")))
}

/// Few prompts that a stage of load asks again and again.
fn round(stage: &Stage, prompt: &Prompt, seen: Option<&Seen>) -> Option<String> {
    let planned = stage.action.planned();
    if matches!(stage.action, Action::Cold(_) | Action::Warm(_) | Action::Conversation(_))
        || stage.action.unique() == Some(Unique::Request)
        || prompt.synthetic.is_some()
    {
        return None;
    }
    let (id, requests) = (&stage.id, plural(planned, "request"));
    match seen {
        Some(seen) if prompt.messages.is_empty() && !seen.more && seen.rows > 0 => {
            let each = planned as f64 / seen.rows as f64;
            (each > 1.0).then(|| {
                let rows = plural(seen.rows, "row");
                format!(
                    "`{id}`: {requests} planned for {rows}, {each:.1} for each: a cache can hold a \
                     row from the second time on"
                )
            })
        }
        None if planned > 1 && is_fixed(prompt) => Some(format!(
            "`{id}`: {requests} planned with one and the same prompt: a cache can hold it from the \
             second on"
        )),
        _ => None,
    }
}

/// Whether all requests say the same.
fn is_fixed(prompt: &Prompt) -> bool {
    let fills_in = |text: &str| ["{{", "{%"].iter().any(|mark| text.contains(mark));
    let is_same = |source: &ContextSource| *source != ContextSource::Filler;
    prompt.messages.iter().all(|message| !fills_in(&message.content))
        && prompt.context.as_ref().is_none_or(|context| is_same(&context.from))
}

/// What was seen of a dataset.
struct Seen {
    rows: u64,
    /// Whether there are more.
    more: bool,
    /// Rows by the model that they name.
    models: BTreeMap<String, u64>,
}

impl Seen {
    /// Of the first `asked` rows of a dataset.
    fn of(source: &RowSource, asked: usize) -> Self {
        let mut seen = Self { rows: 0, more: false, models: BTreeMap::new() };
        let Ok(dataset) = Dataset::open(&source.config) else { return seen };
        for (number, row) in dataset.rows().map_while(Result::ok).take(asked).enumerate() {
            if number == MOST_ROWS {
                seen.more = true;
                break;
            }
            seen.rows += 1;
            if let Some(model) = row.model {
                *seen.models.entry(model).or_default() += 1;
            }
        }
        seen
    }

    /// Rows that name another model than was asked.
    fn others(&self, stage: &Stage, asked: &str) -> Option<String> {
        let others = self.models.iter().filter(|(name, _)| *name != asked);
        let count: u64 = others.clone().map(|(_, rows)| rows).sum();
        if count == 0 {
            return None;
        }
        let names: Vec<String> = others.map(|(name, rows)| format!("{name} ({rows})")).collect();
        let of = if self.more { "of the first 100,000 rows " } else { "" };
        let name = if count == 1 { "names" } else { "name" };
        Some(format!(
            "`{}`: {of}{} of its dataset {name} another model, {}: `{asked}` was asked for all the \
             same; `prompt.model: row` asks as rows say",
            stage.id,
            plural(count, "row"),
            list(&names)
        ))
    }
}

/// The first of some names, and how many more there are.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
