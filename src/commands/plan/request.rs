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
use crate::plan::suggest;
use crate::plan::{Action, Plan, Repeat, Stage, Target, TokenizerConfig};
use crate::record::RunClock;
use crate::workload::Workload as _;
use crate::workload::prompt::{PromptSettings, PromptWorkload};
use crate::workload::store::Store;
use crate::workload::tokenizer::Tokenizer;

/// Stands for the id of a run that has not begun.
const RUN_ID: &str = "RUN-ID";
/// Stands for the first model that the server will list.
const MODEL: &str = "MODEL";

/// The request number `index` of the first stage called `id`, as text.
pub(super) fn show(plan: &Plan, id: &str, index: u64) -> anyhow::Result<String> {
    let stage = find(plan, id)?;
    let repeat = repeat(stage)?;
    let store = Store::open(plan)?;
    let tokenizer = match &stage.endpoint.tokenizer {
        TokenizerConfig::File(path) => store.tokenizer(path),
        _ => None,
    };
    let params = plan.params_of(stage);
    let run_nonce = executor::run_nonce(plan, RUN_ID);
    let settings = PromptSettings {
        stage: &stage.id,
        seed: plan.seed,
        run_nonce: &run_nonce,
        params: &params,
        context_tokens: None,
        is_load: !matches!(stage.action, Action::Cold(_) | Action::Warm(_)),
    };
    let tokenizer = tokenizer.unwrap_or(Tokenizer::Estimate);
    let workload = PromptWorkload::new(&repeat, &settings, &store, tokenizer)?;
    let request = workload.request(index)?;
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
    let request_id = format!("{run_nonce}-{}-{index}", stage.key());
    let shown = client.show(&client.prepare(&request, model, &request_id));
    if run_nonce == RUN_ID {
        eprintln!(
            "note: {RUN_ID} stands for the run's id, of which the first line's nonce is made"
        );
    }
    if model == MODEL {
        eprintln!("note: {MODEL} stands for the first model that the server lists");
    }
    Ok(shown)
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
fn repeat(stage: &Stage) -> anyhow::Result<Repeat> {
    if let Action::Cold(repeat) | Action::Warm(repeat) = &stage.action {
        return Ok(repeat.clone());
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
        nonce_key: stage.key(),
        rows_of: None,
    })
}
