//! How prompts of our own are asked: as the plan's are, of the same endpoint.
//!
//! In: a plan whose datasets were looked into. Out: the manner of each `flush` stage, by the first
//! stage that asks something of its endpoint. Invariant: what can't be rendered is left out here and
//! reported where the templates are checked.

use serde_json::Value;

use super::{Asked, first_row, scope};
use crate::plan::{Action, Manner, Plan, Stage};
use crate::workload::prompt::headers;
use crate::workload::template::{Functions, Templates};
use crate::workload::tokenizer::Tokenizer;

/// Names of the upper bound of generated tokens that a plan may have written into `body:`.
const LIMIT_NAMES: [&str; 3] = ["max_completion_tokens", "max_output_tokens", "max_new_tokens"];

/// Fills in the manner of every flush.
pub(super) fn fill_in(plan: &mut Plan) {
    let manner_of = |flush: &Stage| {
        let asks = |stage: &&Stage| {
            stage.action.prompt().is_some() && stage.endpoint.is_same_as(&flush.endpoint)
        };
        plan.stages.iter().find(asks).map(|stage| manner(plan, stage))
    };
    let is_flush = |stage: &&Stage| matches!(stage.action, Action::Flush(_));
    let manners: Vec<Option<Manner>> = plan.stages.iter().filter(is_flush).map(manner_of).collect();
    let flushes = plan.stages.iter_mut().filter_map(|stage| match &mut stage.action {
        Action::Flush(flush) => Some(flush),
        _ => None,
    });
    for (flush, manner) in flushes.zip(manners) {
        flush.manner = manner.unwrap_or_default();
    }
}

fn manner(plan: &Plan, stage: &Stage) -> Manner {
    let Some(prompt) = stage.action.prompt() else { return Manner::default() };
    let row = prompt.dataset.as_deref().and_then(|source| first_row(source).ok());
    let in_body = || LIMIT_NAMES.iter().find(|name| prompt.body.contains_key(**name));
    let field = prompt.max_tokens_field.as_ref().map(|(name, _)| name.clone());
    Manner {
        max_tokens_field: field.or_else(|| in_body().map(|&name| name.to_owned())),
        row_max_tokens_field: row.as_ref().and_then(|row| row.max_tokens_field),
        without: prompt.without.clone(),
        headers: rendered(plan, stage, &row.unwrap_or_default()),
    }
}

/// The headers of the stage's first request.
fn rendered(plan: &Plan, stage: &Stage, row: &Asked) -> Vec<(String, String)> {
    let Some(prompt) = stage.action.prompt() else { return Vec::new() };
    let tokenizer = Tokenizer::Estimate;
    let params: Value = plan.template_params(stage);
    let functions = Functions::new(plan.seed, &stage.id, 0, &tokenizer);
    let variables = scope(stage, row, (&params, 0)).variables(&functions);
    let templates = Templates::new(&prompt.files, &tokenizer);
    let render = |text: &str| templates.render_text(text, &variables, &[&row.fields]);
    let value = |header| headers::value(header, &render).ok();
    let headers = stage.endpoint.header_templates.iter();
    headers.filter_map(|header| Some((header.name.clone(), value(header)?))).collect()
}
