//! What the plan says over a row: the length of its answer, names of fields, the model.
//!
//! In: a request with its texts, the plan's prompt, and the row. Out: the request as it is sent.
//! Invariant: a row that can't be asked as the plan says is an error that names its place.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::body;
use crate::plan::workload::OutputLimit;
use crate::plan::{HeaderTemplate, LIMIT_NAMES, ModelChoice, Prompt};
use crate::request::{LimitName, Message, Request, field_in, said_by_plan};
use crate::workload::WorkloadError;
use crate::workload::dataset::{self, Row};
use crate::workload::synthetic::Ask;
use crate::workload::template::Templates;
use crate::workload::tokenizer::Tokenizer;

/// What the plan says beside a row.
pub(in crate::workload) fn ask(prompt: &Prompt, body: Map<String, Value>) -> Ask {
    Ask {
        max_tokens: prompt.max_tokens,
        temperature: prompt.temperature,
        stream: prompt.streams(),
        body,
    }
}

/// The fields of rows that a plan's templates read; `row` where they may read any.
pub(in crate::workload) fn read_of_rows(
    prompt: &Prompt,
    headers: &[HeaderTemplate],
    templates: &Templates,
) -> BTreeSet<String> {
    let messages = prompt.messages.iter().map(|message| message.content.as_str());
    let body = body::templates(&prompt.body).into_iter().map(|(_, text)| text);
    let headers = headers.iter().map(|header| header.value.as_str());
    messages.chain(body).chain(headers).flat_map(|text| templates.reads_of_row(text)).collect()
}

/// Takes what templates say of a row, its fields `read`, out of what of it is left out.
pub(in crate::workload) fn forget_read(
    left_out: &mut Vec<String>,
    row: &Row,
    read: &BTreeSet<String>,
) {
    let is_all = read.contains("row");
    left_out.retain(|name| !row.left_out.contains(name) || !(is_all || read.contains(name)));
}

/// What of a row's request is not sent where the plan has texts of its own.
pub(super) fn unsaid(row: &Row, prompt: &Prompt, body: &Map<String, Value>) -> Vec<String> {
    dataset::unsaid(row, &ask(prompt, body.clone()), prompt.output())
}

/// Sets the length of the answer by what is known of the recorded one, as the dataset's `output` says.
/// `answer` is its text where the row has one. Says whether the length is an estimate of a text.
pub(in crate::workload) fn bound(
    request: &mut Request,
    prompt: &Prompt,
    (row, answer): (&Row, Option<&Message>),
    tokenizer: &Tokenizer,
) -> bool {
    let mut is_estimate = false;
    let mut measure = |text: String| {
        let counted = tokenizer.counted(&text);
        is_estimate = counted.is_none();
        counted.unwrap_or_else(|| tokenizer.count_chars(text.chars().count()))
    };
    let mut counted = || row.output_tokens.or_else(|| Some(measure(text(answer?)?)));
    request.max_tokens = match prompt.output() {
        OutputLimit::Plan => request.max_tokens,
        OutputLimit::Numbers => row.token_limit().or(prompt.max_tokens),
        OutputLimit::Row => row.max_tokens.or_else(counted).or(request.max_tokens),
        OutputLimit::Recorded => {
            let recorded = counted();
            if recorded.is_some() && !request.body.contains_key("ignore_eos") {
                request.recorded.insert("ignore_eos".into(), true.into());
            }
            recorded.or(row.max_tokens).or(request.max_tokens)
        }
    };
    // No server generates nothing.
    request.max_tokens = request.max_tokens.map(|tokens| tokens.max(1));
    let is_other = row.max_tokens.is_some_and(|own| request.max_tokens != Some(own.max(1)));
    if is_other && field_in(&request.body, |name, _| LIMIT_NAMES.contains(&name)).is_none() {
        let name = row.limit_name();
        request.left_out.push(match prompt.output() {
            OutputLimit::Plan if prompt.max_tokens.is_some() => {
                said_by_plan(name, "prompt.max_tokens")
            }
            OutputLimit::Plan if !prompt.messages.is_empty() => {
                format!("{name} (by default no limit of a row is sent with texts of the plan)")
            }
            _ => said_by_plan(name, "prompt.dataset.output"),
        });
    }
    is_estimate
}

/// What a recorded answer says, where that is all there is of it: nobody knows how long a call of a
/// tool was.
fn text(answer: &Message) -> Option<String> {
    answer.only_text().filter(|text| !text.is_empty())
}

/// Says under which names the API's own fields are sent, as the plan or else the row has it, and takes
/// out what the plan leaves out.
pub(in crate::workload) fn spell(
    request: &mut Request,
    prompt: &Prompt,
    row: Option<&Row>,
) -> Result<(), WorkloadError> {
    if let Some((row, named)) = row.and_then(|row| Some((row, row.model.as_deref()?))) {
        request.model = model_for(named, row, &prompt.model)?;
    }
    request.limit_name = match (&prompt.max_tokens_field, row.and_then(|it| it.max_tokens_field)) {
        (Some((name, _)), _) => LimitName::Plan(name.clone()),
        (None, Some(name)) => LimitName::Row(name),
        (None, None) => LimitName::Api,
    };
    request.leave_out(&prompt.without);
    for path in prompt.without.iter().filter(|path| row.is_some_and(|row| says(row, path))) {
        // Whatever else was to become of it. An object of the plan goes over the row's as a whole.
        request.left_out.retain(|left| left.split(' ').next() != Some(path));
        request.left_out.push(said_by_plan(path, &format!("prompt.body.{path}")));
    }
    Ok(())
}

/// Whether a row says this field of a body.
fn says(row: &Row, name: &str) -> bool {
    row.body.contains_key(name) || row.max_tokens.is_some() && row.limit_name() == name
}

/// The model that a row which names one is asked of; that of the endpoint when `None`.
fn model_for(
    named: &str,
    row: &Row,
    choice: &ModelChoice,
) -> Result<Option<String>, WorkloadError> {
    Ok(match choice {
        ModelChoice::Endpoint => None,
        ModelChoice::Row => Some(named.to_owned()),
        ModelChoice::Map { names, .. } => {
            let Some((_, own)) = names.iter().find(|(known, _)| known == named) else {
                let place = &row.place;
                return Err(WorkloadError(format!(
                    "{place}: the row names the model `{named}`, which `prompt.model` lacks: add it there, \
                     or ask as rows say (`model: row`)"
                )));
            };
            Some(own.clone())
        }
    })
}
