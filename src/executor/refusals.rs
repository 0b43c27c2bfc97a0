//! Rows that their endpoint's API can't say, and schedules without an end in sight, found before
//! anything is sent.
//!
//! In: a plan whose datasets were looked into. Out: diagnostics that name file, line, part and API; and
//! in the plan, what of its rows is not sent. Invariant: small datasets are read whole; rows of large
//! ones are made ahead of their requests, where the first that can't be said ends its stage.

use crate::client::dialect::{self, Refused};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::workload::{OnMalformed, RowSource};
use crate::plan::{Action, Plan, Prompt, Shape, Stage};
use crate::workload::dataset::{Dataset, RowPrompt, request_saying};
use crate::workload::synthetic::Ask;

/// Refused rows that are named for each dataset.
const NAMED: usize = 3;

/// Due times are drawn before the first is sent, some 20 ns each.
const MOST_DRAWN: u64 = 1_000_000_000;

/// A stage whose time bounds a schedule of so many requests that drawing it would take for ever.
fn too_long(stage: &Stage) -> Option<Diagnostic> {
    let is_timed = match &stage.action {
        Action::Load(load) => {
            matches!(load.shape, Shape::Open(_)) && load.until.duration().is_some()
        }
        Action::QpsLadder(ladder) => ladder.step.duration().is_some(),
        _ => false,
    };
    let planned = stage.action.planned();
    let message = format!(
        "stage `{}` comes to about {planned} requests; a schedule has {MOST_DRAWN} at most",
        stage.id
    );
    (is_timed && planned > MOST_DRAWN).then(|| {
        Diagnostic::error(Code::Value, message)
            .at(stage.location.clone())
            .help("give it less time, a lower rate, or a number of `requests`")
    })
}

/// Encodes every row of the small datasets that are asked as they are written.
pub fn refusals(plan: &mut Plan) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for stage in &mut plan.stages {
        found.extend(too_long(stage));
        let is_conversation = matches!(stage.action, Action::Conversation(_));
        let Some(prompt) = stage.action.prompt() else { continue };
        let Some(source) = prompt.dataset.as_deref() else { continue };
        let is_small = source.seen.as_ref().is_some_and(|seen| seen.is_small);
        if !is_small || !prompt.messages.is_empty() {
            continue;
        }
        let (refused, left_out) = encode_all(stage, prompt, source, is_conversation);
        let location = source.location.clone();
        let more = refused.len().saturating_sub(NAMED);
        for (position, refused) in refused.into_iter().take(NAMED).enumerate() {
            let message = match more {
                1.. if position + 1 == NAMED => format!("{refused} (and {more} more rows)"),
                _ => refused.to_string(),
            };
            let diagnostic = Diagnostic::error(Code::Dataset, message).at(location.clone());
            if !found.contains(&diagnostic) {
                found.push(diagnostic);
            }
        }
        let prompt = stage.action.prompt_mut();
        let seen = prompt.and_then(|prompt| prompt.dataset.as_mut()?.seen.as_mut());
        if let Some(seen) = seen {
            seen.left_out = left_out;
        }
    }
    found
}

/// The rows that can't be said, and what of all of them is not sent, in words. Rows that can't be read
/// were reported before.
fn encode_all(
    stage: &Stage,
    prompt: &Prompt,
    source: &RowSource,
    is_conversation: bool,
) -> (Vec<Refused>, Option<String>) {
    let dialect = dialect::of(&stage.endpoint.api);
    let mut config = source.config.clone();
    config.malformed = OnMalformed::Skip;
    let Ok(dataset) = Dataset::open(&config) else { return (Vec::new(), None) };
    let ask = Ask {
        max_tokens: prompt.max_tokens,
        temperature: prompt.temperature,
        stream: prompt.stream,
        body: prompt.body.clone(),
    };
    let mut refused = Vec::new();
    for row in dataset.rows().map_while(Result::ok) {
        let messages = match &row.prompt {
            // In a conversation all of its messages are sent, sooner or later.
            RowPrompt::Messages(messages) if is_conversation => messages.clone(),
            _ => row.ask().unwrap_or_default(),
        };
        let mut request = request_saying(messages, &row, 0, &ask, source.output);
        request.without.clone_from(&prompt.without);
        request.recorded.retain(|name, _| !prompt.without.contains(name));
        dataset.count_left_out(row.number, &request.left_out);
        if let Err(no_form) = dialect.encode(&request, "MODEL") {
            refused.push(Refused::new(&request, stage.endpoint.api.name(), no_form));
        }
    }
    (refused, dataset.left_out().parts_in_words())
}
