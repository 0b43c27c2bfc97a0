//! Rows that their endpoint's API can't say, and schedules without an end in sight, found before
//! anything is sent.
//!
//! In: a plan whose datasets were looked into. Out: diagnostics that name file, line, part and API; and
//! in the plan, what of its rows is not sent. Invariant: small datasets are read whole, of large ones the
//! rows that will be asked first; the rest of their rows are made ahead of their requests, where the
//! first that can't be said ends its stage.

use crate::client::dialect::{self, Refused};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::workload::{OnMalformed, OutputLimit, RowOrder, RowSource};
use crate::plan::{Action, Api, Plan, Prompt, Shape, Stage};
use crate::request::{Message, Request};
use crate::workload::dataset::{Dataset, RowPrompt, note_unsaid, request_saying};
use crate::workload::synthetic::Ask;

/// Refused rows that are named for each dataset.
const NAMED: usize = 3;

/// Characters of a large dataset's rows that are encoded before the run.
const MOST_CHARS: usize = 16 << 20;

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
        let refused = by_plan(stage, prompt);
        if let Some(refused) = refused.filter(|it| !found.contains(it)) {
            found.push(refused);
            continue;
        }
        let Some(source) = prompt.dataset.as_deref() else { continue };
        let Some(seen) = source.seen.as_ref().filter(|_| prompt.messages.is_empty()) else {
            continue;
        };
        let is_small = seen.is_small;
        let most = match source.order {
            _ if is_small => u64::MAX,
            RowOrder::File => stage.action.planned(),
            RowOrder::Shuffled => 0,
        };
        let (refused, left_out) = encode(stage, prompt, source, (most, is_conversation));
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
        if let Some(seen) = seen.filter(|_| is_small) {
            seen.left_out = left_out;
        }
    }
    found
}

/// Why the endpoint's API can't say the plan's own fields of the body.
fn by_plan(stage: &Stage, prompt: &Prompt) -> Option<Diagnostic> {
    let api = &stage.endpoint.api;
    if let Some(refused) = no_ignore_eos(stage, prompt) {
        return Some(refused);
    }
    let messages = vec![Message::text("user", "-")];
    let request = Request { messages, body: prompt.body.clone(), ..Request::default() };
    let no_form = dialect::of(api).encode(&request, "MODEL").err()?;
    let place = match no_form.part.strip_prefix("prompt.body") {
        Some(path) => prompt.place_in_body(path),
        // A body without a place for any prompt; that ids alone have one is seen by the rows.
        None if no_form.part == "prompt" && !takes_ids(api) => None,
        None => return None,
    };
    let place = place.cloned().unwrap_or_else(|| stage.location.clone());
    let refused = Refused::new(&request, api.name(), no_form).to_string();
    Some(Diagnostic::error(Code::Conflict, refused).at(place))
}

fn takes_ids(api: &Api) -> bool {
    matches!(api, Api::Json(api) if api.takes("input_ids"))
}

/// That answers are to be as long as the recorded ones, of an API in which nothing asks for that.
fn no_ignore_eos(stage: &Stage, prompt: &Prompt) -> Option<Diagnostic> {
    const KEY: &str = "ignore_eos";
    let api = &stage.endpoint.api;
    let is_said = prompt.body.contains_key(KEY) || prompt.without.iter().any(|path| path == KEY);
    if prompt.output() != OutputLimit::Recorded || api.has_ignore_eos() || is_said {
        return None;
    }
    let location = prompt.dataset.as_ref().map(|source| source.location.clone());
    let message =
        format!("`output: recorded` asks for `{KEY}`, which the API {} does not have", api.name());
    Some(
        Diagnostic::error(Code::Conflict, message)
            .at(location.unwrap_or_else(|| stage.location.clone()))
            .help("say `body: { ignore_eos: null }` to bound answers by the recorded lengths alone, or `output: row`"),
    )
}

/// Which of the first `most` rows can't be said, and what of them is not sent, in words. Rows that can't
/// be read were reported before.
fn encode(
    stage: &Stage,
    prompt: &Prompt,
    source: &RowSource,
    (most, is_conversation): (u64, bool),
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
    let (mut refused, mut chars) = (Vec::new(), 0);
    let is_small = most == u64::MAX;
    for row in dataset.rows().map_while(Result::ok) {
        if row.number >= most || (chars > MOST_CHARS && !is_small) {
            break;
        }
        let messages = match &row.prompt {
            // In a conversation all of its messages are sent, sooner or later.
            RowPrompt::Messages(messages) if is_conversation => messages.clone(),
            _ => row.ask().unwrap_or_default(),
        };
        let mut request = request_saying(messages, &row, 0, &ask, source.output);
        chars += request.chars();
        request.leave_out(&prompt.without);
        note_unsaid(&mut request, &row, &stage.endpoint.api);
        dataset.count_left_out(row.number, &request.left_out);
        if let Err(no_form) = dialect.encode(&request, "MODEL") {
            refused.push(Refused::new(&request, stage.endpoint.api.name(), no_form));
        }
    }
    (refused, dataset.left_out().parts_in_words())
}
