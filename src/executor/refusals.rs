//! Rows that their stage can't ask, and schedules without an end in sight, found before anything is sent.
//!
//! In: a plan whose datasets were looked into. Out: diagnostics that name file, line, part and API; and
//! in the plan, what of its rows is not sent. Invariant: every row that a stage will ask is made into its
//! request here, by what makes it in the run, however large the dataset: only lengths become text of a
//! word, and documents are cut to one.

mod rows;

use std::collections::HashMap;

use crate::client::dialect::{self, Refused};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::workload::{OutputLimit, RowOrder};
use crate::plan::{Action, Api, JsonAnswer, ModelChoice, Plan, Prompt, Shape, Stage};
use crate::request::{Message, Request};

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

/// Makes the request of every row that a stage will ask.
pub fn refusals(plan: &mut Plan) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    for position in 0..plan.stages.len() {
        let stage = &plan.stages[position];
        found.extend(too_long(stage));
        let Some(prompt) = stage.action.prompt() else { continue };
        if let Some(refused) = by_plan(stage, prompt) {
            if !found.contains(&refused) {
                found.push(refused);
            }
            continue;
        }
        let Some(source) = prompt.dataset.as_deref().filter(|source| source.seen.is_some()) else {
            continue;
        };
        let key = identity(plan, stage, prompt);
        if !known.contains_key(&key) {
            let most = rows_asked(stage, prompt).unwrap_or(u64::MAX);
            let (refused, left_out) = rows::refused(plan, stage, (prompt, source), most);
            known.insert(key.clone(), left_out);
            for refused in refused {
                if !found.contains(&refused) {
                    found.push(refused);
                }
            }
        }
        let left_out = known.get(&key).cloned().flatten();
        let prompt = plan.stages[position].action.prompt_mut();
        if let Some(seen) = prompt.and_then(|prompt| prompt.dataset.as_mut()?.seen.as_mut()) {
            seen.left_out = left_out;
        }
    }
    found
}

/// What the requests of a stage's rows depend on: thousands of cells share a few.
fn identity(plan: &Plan, stage: &Stage, prompt: &Prompt) -> String {
    let unique = prompt.unique_in(!matches!(stage.action, Action::Cold(_) | Action::Warm(_)));
    let headers = &stage.endpoint.header_templates;
    let (sample, talk) = match &stage.action {
        Action::Replay(replay) => (Some(replay.sample), None),
        Action::Conversation(talk) => (None, Some((talk.sessions, &talk.config.system))),
        _ => (None, None),
    };
    let asked = (rows_asked(stage, prompt), unique, sample, talk);
    let written = format!("{prompt:?} {:?} {headers:?} {asked:?}", stage.endpoint.api);
    let params = if written.contains("params") {
        plan.template_params(stage).to_string()
    } else {
        String::new()
    };
    let id = if written.contains("stage") { stage.id.as_str() } else { "" };
    format!("{written} {params} {id}")
}

/// How many of its rows a stage asks, from the first on, where that is known.
pub(super) fn rows_asked(stage: &Stage, prompt: &Prompt) -> Option<u64> {
    if prompt.dataset.as_deref()?.order == RowOrder::Shuffled {
        return None;
    }
    match &stage.action {
        Action::Cold(repeat) | Action::Warm(repeat) => Some(repeat.requests.min(repeat.distinct)),
        Action::Load(load) => {
            let requests = load.until.requests().filter(|_| load.measure.settle.is_zero())?;
            Some(requests.saturating_mul(load.rounds).max(load.traffic.warmup_requests))
        }
        _ => None,
    }
}

/// Why the endpoint's API can't say the plan's own fields of the body.
fn by_plan(stage: &Stage, prompt: &Prompt) -> Option<Diagnostic> {
    let api = &stage.endpoint.api;
    if let Some(refused) = no_ignore_eos(stage, prompt).or_else(|| no_place(stage, prompt)) {
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

/// What the plan says in a key of its own and the endpoint's requests have no place for.
fn no_place(stage: &Stage, prompt: &Prompt) -> Option<Diagnostic> {
    let api = &stage.endpoint.api;
    let refuse = |key: &str, what: &str, help: String| {
        let message = format!("`prompt.{key}` would be sent to nobody: {what}");
        Some(Diagnostic::error(Code::Conflict, message).at(stage.location.clone()).help(help))
    };
    if prompt.model != ModelChoice::Endpoint && !dialect::of(api).needs_model() {
        let what = format!("requests of `{}` to the API {} name no model", stage.id, api.name());
        return refuse("model", &what, "remove it, or ask an API that names models".to_owned());
    }
    let Api::Json(api) = api else { return None };
    let body = api.body.as_ref()?;
    let drawn = prompt.synthetic.as_ref().and_then(|config| config.output_tokens.as_ref());
    let output = matches!(prompt.output(), OutputLimit::Row | OutputLimit::Recorded);
    let stream = prompt.stream.filter(|said| body.get("stream") != Some(&(*said).into()));
    let keys = [
        ("max_tokens", "max_tokens", prompt.max_tokens.is_some()),
        ("synthetic.output_tokens", "max_tokens", drawn.is_some()),
        ("dataset.output", "max_tokens", output),
        ("temperature", "temperature", prompt.temperature.is_some()),
        ("stream", "stream", stream.is_some() && api.answer != JsonAnswer::Whole),
    ];
    let mut unsaid = keys.iter().filter(|(_, name, is_said)| *is_said && !api.takes(name));
    let (key, name, _) = unsaid.next()?;
    let what =
        format!("the `json.body` of endpoint `{}` has no `{{{{ {name} }}}}`", stage.endpoint.name);
    refuse(
        key,
        &what,
        format!("put `{{{{ {name} }}}}` where it stands in the body, or remove the key"),
    )
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
