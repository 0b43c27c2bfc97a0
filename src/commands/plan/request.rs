//! `runner plan PLAN --request STAGE`: a request of a stage exactly as it will be sent.
//!
//! In: a checked plan and a stage's id. Out: its method, URL, headers and body. Invariant: nothing
//! is sent; the text is made by the very workload and client that a run uses, so it shows what the
//! plan means and not what somebody thinks it means. What only a run can know is named on standard
//! error.

use anyhow::{Context as _, anyhow};
use url::Url;

use crate::client::Client;
use crate::executor;
use crate::metrics::quantity::plural;
use crate::output::note;
use crate::plan::suggest;
use crate::plan::{Action, Conversation, Plan, Repeat, Sessions, Stage, Target, TokenizerConfig};
use crate::record::RunClock;
use crate::request::Request;
use crate::schedule::repeats::Repeats;
use crate::stage;
use crate::stage::log::Log;
use crate::workload::Workload as _;
use crate::workload::conversation::{LiveHistory, Rehearsal, Swaps, TurnRequests};
use crate::workload::prompt::{PromptSettings, PromptWorkload};
use crate::workload::store::Store;
use crate::workload::tokenizer::Tokenizer;

/// Stands for the id of a run that has not begun.
const RUN_ID: &str = "RUN-ID";
/// Stands for the first model that the server will list.
const MODEL: &str = "MODEL";

/// Stands for what the endpoint will have answered in a conversation with live history.
const ANSWER: &str = "ANSWER";

/// The request number `index` of the first stage called `id`, as text.
pub(super) fn show(plan: &Plan, id: &str, index: u64) -> anyhow::Result<String> {
    let stage = find(plan, id)?;
    let store = Store::open(plan)?;
    let tokenizer = match &stage.endpoint.tokenizer {
        TokenizerConfig::File(path) => store.tokenizer(path),
        _ => None,
    };
    let params = plan.template_params(stage);
    let run_nonce = executor::run_nonce(plan, RUN_ID);
    let settings = PromptSettings::of(plan, stage, &run_nonce, &params);
    let by_rate = tokenizer.is_none() && stage.endpoint.tokenizer != TokenizerConfig::Estimate;
    let tokenizer = tokenizer.unwrap_or(Tokenizer::Estimate);
    let (nonce_key, id_key) = stage::first_keys(stage);
    let request = match &stage.action {
        Action::Conversation(conversation) => {
            turn(conversation, (stage, index), &settings, &store, &tokenizer)?
        }
        Action::Replay(replay) => {
            let repeat = repeat(stage, nonce_key, index)?;
            let log =
                Log::of(replay, &store, plan.seed, &stage.key()).map_err(|why| anyhow!(why))?;
            let requests = log.schedule.planned();
            if index >= requests {
                return Err(no_such(stage, requests));
            }
            let workload = PromptWorkload::new(&repeat, &settings, &store, tokenizer)?;
            let request = |index: u64| {
                let turn = log.turn(index);
                let session = (turn.conversation.1, turn.number.into());
                workload.request_of_row(turn.row, session, index)
            };
            let mut asked = request(index)?;
            if replay.sessions == Sessions::Live {
                let conversation = log.turn(index).conversation;
                let is_before = |earlier: &u64| log.turn(*earlier).conversation == conversation;
                let (mut history, mut swaps) = (LiveHistory::default(), Swaps::default());
                for earlier in (0..index).filter(is_before) {
                    history.next(request(earlier)?.messages, &mut swaps);
                    history.answered(ANSWER);
                }
                asked.messages = history.next(asked.messages, &mut swaps);
            }
            asked
        }
        _ => {
            let repeat = repeat(stage, nonce_key, index)?;
            let ratio = stage.action.traffic().map_or(0.0, |traffic| traffic.repeat_ratio);
            let source = Repeats::new(ratio, plan.seed, &repeat.nonce_key).source(index);
            let request =
                PromptWorkload::new(&repeat, &settings, &store, tokenizer)?.request(source)?;
            Request { index, ..request }
        }
    };
    let (url, model) = match &stage.endpoint.target {
        Target::Url(url) => (url.clone(), None),
        // Its port is known once it listens.
        Target::Simulator(config) => {
            let url = Url::parse("http://simulator/v1").context("the simulator's name")?;
            (url, Some(config.model.as_str()))
        }
    };
    let model = stage.endpoint.model.as_deref().or(model).unwrap_or(MODEL);
    let client = Client::new(&stage.endpoint, &url, RunClock::start_now())?;
    let request_id = format!("{run_nonce}-{id_key}-{index}");
    let shown = client.show(&client.prepare(&request, model, &request_id)?);
    let answered = request.texts().any(|text| text == ANSWER);
    let sized = stage
        .action
        .prompt()
        .is_some_and(|prompt| prompt.context.is_some() || prompt.synthetic.is_some());
    for (is_so, note) in [
        (
            run_nonce == RUN_ID,
            "RUN-ID stands for the run's id, of which request ids are made, and a nonce where the plan \
             asks for one",
        ),
        (model == MODEL, "MODEL stands for the first model that the server lists"),
        (answered, "ANSWER stands for what the endpoint will have answered in the run"),
        (
            by_rate && sized,
            "lengths go by four characters a token here; a run asks the server's tokenizer, if it \
             has one",
        ),
        (has_levels(stage), "it is a request of the stage's first level"),
    ] {
        if is_so {
            note!("note: {note}");
        }
    }
    Ok(shown)
}

/// Whether a stage has levels, each with requests of its own.
fn has_levels(stage: &Stage) -> bool {
    matches!(stage.action, Action::QpsLadder(_) | Action::ConcurrencyRamp(_) | Action::Search(_))
}

/// A turn of a conversation, as if everything before it had been answered.
fn turn(
    conversation: &Conversation,
    (stage, index): (&Stage, u64),
    settings: &PromptSettings<'_>,
    store: &Store,
    tokenizer: &Tokenizer,
) -> anyhow::Result<Request> {
    let mut turns = Rehearsal::new(conversation, settings, store, tokenizer, ANSWER.to_owned())?;
    let mut number = 0;
    loop {
        let Some(turn) = turns.next().transpose()? else {
            return Err(no_such(stage, number));
        };
        if number == index {
            let requests =
                TurnRequests::new(&conversation.prompt, settings, stage.key(), tokenizer);
            return Ok(requests.request(turn, index)?);
        }
        number += 1;
    }
}

/// The stage has only so many requests.
fn no_such(stage: &Stage, requests: u64) -> anyhow::Error {
    let last = requests.saturating_sub(1);
    let requests = plural(requests, "request");
    anyhow!("`{}` has {requests}; give `--index` a number from 0 to {last}", stage.id)
}

fn find<'p>(plan: &'p Plan, id: &str) -> anyhow::Result<&'p Stage> {
    plan.stages.iter().find(|stage| stage.id == id).ok_or_else(|| {
        let ids = || plan.stages.iter().map(|stage| stage.id.as_str());
        let near = suggest::did_you_mean(id, ids());
        let near = if near.is_empty() { near } else { format!("{near} ") };
        anyhow!("no stage is called `{id}`; {near}(stages: {})", suggest::list(ids()))
    })
}

/// The stage's requests as a list, whatever sends them.
fn repeat(stage: &Stage, nonce_key: String, index: u64) -> anyhow::Result<Repeat> {
    if let Action::Cold(repeat) | Action::Warm(repeat) = &stage.action {
        return if index < repeat.requests {
            Ok(repeat.clone())
        } else {
            Err(no_such(stage, repeat.requests))
        };
    }
    let prompt = stage.action.prompt().ok_or_else(|| {
        anyhow!(
            "`{}` is a {} stage, which has no prompt of the plan",
            stage.id,
            stage.action.kind()
        )
    })?;
    Ok(Repeat {
        requests: u64::MAX,
        distinct: u64::MAX,
        concurrency: 1,
        prompt: prompt.clone(),
        like: None,
        nonce_key,
        rows_of: None,
    })
}
