//! `runner plan PLAN`: the plan as it will run, with nothing sent.

mod estimate;
mod request;

use std::fmt::Write as _;

use serde_json::json;

use estimate::Estimate;

use crate::cli::{PlanArgs, PlanFormat};
use crate::executor::prompts::unbounded;
use crate::graph::{Graph, describe};
use crate::metrics::quantity::{grouped, plural};
use crate::output::{self, note};
use crate::plan::workload::{
    PrefixLength, PrefixText, RowOrder, RowSource, SyntheticConfig, Unique,
};
use crate::plan::{Action, Ending, Endpoint, Limit, Plan, Prompt, Shape, Stage, Target, params};
use crate::workload::WorkloadError;
use crate::workload::store::StoreError;
use crate::workload::synthetic::length;
use crate::workload::tokenizer::Tokenizer;

/// Prints the resolved plan.
pub fn run(args: &PlanArgs) -> anyhow::Result<u8> {
    let is_document = args.format != PlanFormat::Text;
    let ready = match super::load(&args.plan, &super::load_options(&args.inputs), is_document) {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let (plan, graph) = (&ready.loaded.plan, &ready.graph);
    if let Some(stage) = &args.request {
        match request::show(plan, stage, args.index) {
            Ok(shown) => output::print(&format!("{}\n", ready.loaded.redactor.redact(&shown))),
            Err(error) => {
                note!("error: {}", ready.loaded.redactor.redact(&format!("{error:#}")));
                // A template that fails in a later row is the plan's fault, as in `validate`.
                let is_plans = error.is::<WorkloadError>() || error.is::<StoreError>();
                return Ok(if is_plans { super::PLAN_INVALID } else { super::USAGE });
            }
        }
        return Ok(super::PASS);
    }
    let estimates = match estimate::all(plan) {
        Ok(estimates) => estimates,
        Err(why) => {
            note!("error: {}", ready.loaded.redactor.redact(&why));
            return Ok(super::PLAN_INVALID);
        }
    };
    output::print(&match args.format {
        PlanFormat::Text => text(plan, graph, &estimates),
        PlanFormat::Mermaid => graph.to_mermaid(plan),
        PlanFormat::Dot => graph.to_dot(plan),
        PlanFormat::Json => output::json(&document(plan, &estimates))?,
    });
    Ok(super::PASS)
}

/// More cells than this are only counted in the text form.
const MOST_CELLS: usize = 20;

/// Whether a nonce opens the prompts of a stage; synthetic ones say it with their texts.
fn opening(stage: &Stage) -> Option<&'static str> {
    let is_synthetic = stage.action.prompt()?.synthetic.is_some();
    Some(match stage.action.unique()? {
        Unique::Request => "a nonce of its own opens each prompt",
        Unique::Run if is_synthetic => "texts are new in each run",
        Unique::Run => "one nonce of the run opens every prompt",
        Unique::Never => "prompts are sent as they are written, without a nonce",
    })
}

/// Tokens to generate for one request, at most or on average; `None` when the server decides.
fn generated(prompt: &Prompt) -> Option<u64> {
    let drawn = prompt.synthetic.as_ref().and_then(|config| config.output_tokens.as_ref());
    drawn.map(|length| whole(length::mean(length))).or(prompt.max_tokens)
}

/// Tokens of a synthetic prompt, on average, and those of them that it shares with others.
fn synthetic_tokens(config: &SyntheticConfig) -> (u64, u64) {
    let drawn = length::mean(&config.input_tokens);
    let system = config.system_tokens as f64;
    let (all, shared) = match config.prefix.as_ref().map(|it| (&it.text, it.length)) {
        Some((_, PrefixLength::Tokens(tokens))) => (drawn, system + tokens as f64),
        Some((_, PrefixLength::Share(share))) => (drawn, (drawn * share).max(system)),
        Some((PrefixText::File(path), PrefixLength::Whole)) => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let file = Tokenizer::Estimate.count(&text) as f64;
            (system + file + drawn, system + file)
        }
        Some((PrefixText::Generated, PrefixLength::Whole)) | None => (drawn, system),
    };
    (whole(all), whole(shared.min(all)))
}

/// A count that was an average.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(tokens: f64) -> u64 {
    tokens.round() as u64
}

fn text(plan: &Plan, graph: &Graph, estimates: &[Estimate]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", plan.name);
    if let Some(description) = &plan.description {
        let _ = writeln!(out, "  {description}");
    }
    let _ = writeln!(
        out,
        "  {} · sha256 {} · seed {}",
        plan.path.display(),
        &plan.hash[..12],
        plan.seed
    );

    if !plan.params.is_empty() {
        let _ = write!(out, "\nparams\n{}", indented(&params::render_text(&plan.params)));
    }

    match plan.cells.len() {
        0 => out.push_str("\nstages\n"),
        1 => out.push_str("\nstages of one cell\n"),
        cells => {
            let _ = writeln!(out, "\nstages of {cells} cells, one cell after another");
        }
    }
    let shown_most = plan.cells.get(MOST_CELLS - 1).map_or(0, |cell| cell.number);
    let width = plan.stages.iter().map(|stage| stage.id.chars().count()).max().unwrap_or(0);
    let mut total = Estimate::none();
    let mut shown: Option<&str> = None;
    for (node, (stage, estimate)) in plan.stages.iter().zip(estimates).enumerate() {
        total = total.plus(*estimate);
        if let Some(cell) = &stage.cell {
            if cell.number > shown_most && plan.cells.len() > MOST_CELLS {
                continue;
            }
            if shown != Some(cell.id.as_str()) {
                shown = Some(&cell.id);
                let _ = writeln!(out, "\ncell {}", cell.id);
            }
        }
        let needs: Vec<&str> =
            graph.needs(node).iter().map(|&need| plan.stages[need].id.as_str()).collect();
        let after =
            if needs.is_empty() { String::new() } else { format!("after {}", needs.join(", ")) };
        let _ = writeln!(out, "  {:<width$}  {:<32}  {after}", stage.id, describe(stage));
        let _ = writeln!(out, "  {:<width$}    on {}", "", endpoint(&stage.endpoint));
        if let Some(source) = stage.action.prompt().and_then(|prompt| prompt.dataset.as_ref()) {
            let _ = writeln!(out, "  {:<width$}    {}", "", dataset(source));
        }
        if let Some(config) = stage.action.prompt().and_then(|prompt| prompt.synthetic.as_ref()) {
            let (all, shared) = synthetic_tokens(config);
            let share = 100.0 * shared as f64 / all.max(1) as f64;
            let _ = writeln!(
                out,
                "  {:<width$}    synthetic prompts of about {} tokens, {share:.0} % of them shared with others",
                "",
                grouped(all)
            );
        }
        if let Some(opening) = opening(stage) {
            let _ = writeln!(out, "  {:<width$}    {opening}", "");
        }
        if let Some(unbounded) = stage.action.prompt().and_then(|it| unbounded(stage, it)) {
            let _ = writeln!(out, "  {:<width$}    {unbounded}", "");
        }
        if estimate.is_something() {
            let _ = writeln!(out, "  {:<width$}    {}", "", estimate.in_words());
        }
        for threshold in &stage.thresholds {
            let implied = if threshold.implicit { "  (implied by the kind)" } else { "" };
            let rungs = threshold.rungs.as_ref().map(|it| format!("  where {}", it.text));
            let rungs = rungs.unwrap_or_default();
            let _ =
                writeln!(out, "  {:<width$}    must hold: {}{rungs}{implied}", "", threshold.check);
        }
        for live in &stage.live {
            let what = match live.ending {
                Ending::Abort => "aborts",
                Ending::Stop => "stops",
            };
            let over = live.over.map_or_else(String::new, |over| format!(" over {over:?}"));
            let _ = writeln!(out, "  {:<width$}    {what} when: {}{over}", "", live.when.check);
        }
    }
    if plan.cells.len() > MOST_CELLS {
        let _ = writeln!(out, "\n… and {} more cells", plan.cells.len() - MOST_CELLS);
    }
    let _ = writeln!(out, "\nestimate\n  {}", total.sum_in_words());
    if total.beside > 0 {
        let _ = writeln!(
            out,
            "  {} of the requests are measured; the other {} warm up, or flush and prove it",
            grouped(total.requests.saturating_sub(total.beside)),
            grouped(total.beside)
        );
    }
    if total.each.is_some() {
        let _ =
            writeln!(out, "  and what stages without a number of requests get done in their time");
    }
    out.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// The plan in a line: what is to be sent, and where.
pub(super) fn in_a_line(plan: &Plan) -> String {
    let mut endpoints: Vec<String> = Vec::new();
    for stage in &plan.stages {
        let shown = endpoint(&stage.endpoint);
        if !endpoints.contains(&shown) {
            endpoints.push(shown);
        }
    }
    let total = estimate::all(plan)
        .map(|all| all.into_iter().fold(Estimate::none(), Estimate::plus))
        .ok()
        .map(|total| match total.each {
            None => format!(", about {}", plural(total.requests, "request")),
            Some(_) => ", as many requests as there is time for".to_owned(),
        });
    format!(
        "{}: {}{} to {}; results under {}",
        plan.name,
        plural(plan.stages.len() as u64, "stage"),
        total.unwrap_or_default(),
        endpoints.join(" and "),
        plan.results.join(&plan.name).display()
    )
}

/// The plan as `--format json` has it, with its estimates.
pub(super) fn resolved(plan: &Plan) -> Result<serde_json::Value, String> {
    Ok(document(plan, &estimate::all(plan)?))
}

fn document(plan: &Plan, estimates: &[Estimate]) -> serde_json::Value {
    let stages: Vec<_> = plan
        .stages
        .iter()
        .zip(estimates)
        .map(|(stage, estimate)| {
            json!({
                "id": stage.id,
                "cell": stage.cell_id(),
                "kind": stage.action.kind(),
                "needs": stage.needs.iter().map(|need| &need.id).collect::<Vec<_>>(),
                "always": stage.always,
                "parallel": stage.parallel,
                "record": stage.record,
                "tags": stage.tags,
                "endpoint": endpoint(&stage.endpoint),
                "model": stage.endpoint.model,
                "unique": stage.action.unique().map(Unique::word),
                "concurrency": concurrency(stage),
                "dataset": stage.action.prompt().and_then(|prompt| prompt.dataset.as_ref())
                    .map(|source| json!({
                        "files": source.config.files,
                        "format": source.seen.as_ref().map(|seen| seen.format.word()),
                        "why": source.seen.as_ref().map(|seen| &seen.why),
                        "rows": source.seen.as_ref().and_then(|seen| seen.rows),
                        "malformed": source.seen.as_ref().map(|seen| seen.malformed),
                    })),
                "requests": estimate.requests,
                "estimated_input_tokens": estimate.input_tokens,
                "estimated_output_tokens": estimate.output_tokens,
                "estimated_input_tokens_each": estimate.each,
                "estimated_duration_s": estimate.lasts.map(|lasts| lasts.as_secs_f64()),
                "perhaps_foreign_traffic": (estimate.traffic.0 > 0).then(|| json!({
                    "requests": estimate.traffic.0,
                    "input_tokens": estimate.traffic.1,
                })),
                "thresholds": stage.thresholds.iter().map(|threshold| json!({
                    "check": threshold.check,
                    "level": threshold.level,
                    "implicit": threshold.implicit,
                    "is_relative": matches!(threshold.right, Limit::Times { .. }),
                    "where": threshold.rungs.as_ref().map(|it| &it.text),
                    "allow_no_data": threshold.allow_no_data,
                    "from": threshold.from,
                    "min_samples": threshold.min_samples,
                    "needs_baseline": matches!(threshold.right, Limit::Baseline { .. }),
                    "location": threshold.location.to_string(),
                })).collect::<Vec<_>>(),
                "live": stage.live.iter().map(|live| json!({
                    "check": live.when.check,
                    "ending": match live.ending {
                        Ending::Abort => "abort",
                        Ending::Stop => "stop_when",
                    },
                    "over_s": live.over.map(|over| over.as_secs_f64()),
                    "min_samples": live.when.min_samples,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "name": plan.name,
        "description": plan.description,
        "path": plan.path,
        "hash": plan.hash,
        "seed": plan.seed,
        "params": plan.params,
        "cells": plan.cells.iter().map(|cell| json!({
            "id": cell.id,
            "params": cell.params.iter().map(|it| (it.name.clone(), it.value.clone()))
                .collect::<serde_json::Map<_, _>>(),
        })).collect::<Vec<_>>(),
        "stages": stages,
        "sinks": plan.sinks.iter().map(|sink| &sink.target).collect::<Vec<_>>(),
        "results": plan.results,
        "tags": plan.tags,
    })
}

fn concurrency(stage: &Stage) -> Option<u64> {
    match &stage.action {
        Action::Cold(repeat) | Action::Warm(repeat) => Some(repeat.concurrency),
        Action::Load(load) => match &load.shape {
            Shape::Closed(closed) => Some(closed.users),
            Shape::Open(_) => None,
        },
        Action::Conversation(conversation) => conversation.config.concurrency,
        Action::Replay(_)
        | Action::Flush(_)
        | Action::Pause(_)
        | Action::QpsLadder(_)
        | Action::ConcurrencyRamp(_)
        | Action::Search(_) => None,
    }
}

fn endpoint(endpoint: &Endpoint) -> String {
    match &endpoint.target {
        Target::Url(url) => format!("{} ({url})", endpoint.name),
        Target::Simulator(config) => {
            format!("{} (embedded simulator, {})", endpoint.name, config.model)
        }
    }
}

/// A dataset in a line: files, format and why, rows.
fn dataset(source: &RowSource) -> String {
    let files = source.config.files.join(", ");
    let Some(seen) = &source.seen else { return format!("dataset {files}") };
    let mut parts = vec![format!("{} ({})", seen.format.word(), seen.why)];
    if let Some(rows) = seen.rows {
        parts.push(format!("{} rows", grouped(rows)));
    }
    if seen.malformed > 0 {
        parts.push(format!("{} malformed left out", grouped(seen.malformed)));
    }
    if source.order == RowOrder::Shuffled {
        parts.push("shuffled".into());
    }
    format!("dataset {files}: {}", parts.join(", "))
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}
