//! `runner list`: the built-in scenarios with what they are for and their params.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use crate::cli::{DiagnosticFormat, ListArgs};
use crate::output;
use crate::plan::params::shown;
use crate::plan::{LoadOptions, Plan};

/// Prints the built-in scenarios.
pub fn run(args: &ListArgs) -> anyhow::Result<u8> {
    let mut plans = Vec::new();
    for scenario in super::builtin::scenarios() {
        let place = super::builtin::Place::of(Path::new(&format!("@{}", scenario.name)))
            .map_err(anyhow::Error::msg)?;
        // Without environment: what a param is by default.
        let loaded = crate::plan::load(&place.path, &LoadOptions::default());
        plans.push((scenario.name, loaded.ok().map(|loaded| loaded.plan)));
    }
    output::print(&match args.format {
        DiagnosticFormat::Json => {
            let all: Vec<_> =
                plans.iter().map(|(name, plan)| object(name, plan.as_ref())).collect();
            output::json(&all)?
        }
        DiagnosticFormat::Text => {
            plans.iter().map(|(name, plan)| text(name, plan.as_ref())).collect()
        }
    });
    Ok(super::PASS)
}

fn object(name: &str, plan: Option<&Plan>) -> serde_json::Value {
    json!({
        "name": format!("@{name}"),
        "description": plan.and_then(|plan| plan.description.as_ref()),
        "stages": plan.map(stages),
        "cells": plan.map(|plan| plan.cells.len()),
        "params": plan.map(|plan| &plan.params),
    })
}

fn text(name: &str, plan: Option<&Plan>) -> String {
    let mut out = format!("@{name}\n");
    let Some(plan) = plan else {
        out.push_str("  needs params: `runner params` tells which\n\n");
        return out;
    };
    // Writing into a String can't fail.
    let _ = writeln!(out, "  {}", plan.description.as_deref().unwrap_or_default());
    let cells = match plan.cells.len() {
        0 => String::new(),
        1 => ", in 1 cell".to_owned(),
        cells => format!(", in each of {cells} cells"),
    };
    let _ = writeln!(out, "  stages: {}{cells}", stages(plan).join(" → "));
    let width = plan.params.iter().map(|param| param.name.chars().count()).max().unwrap_or(0);
    for param in &plan.params {
        let value = shown(&param.value);
        let words = param.description.as_deref().unwrap_or_default();
        let line = format!("    {:<width$}  {} = {value}  {words}", param.name, param.kind);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
    out
}

/// The ids of the stages; cells repeat them.
fn stages(plan: &Plan) -> Vec<&str> {
    let first = plan.cells.first().map(|cell| cell.id.as_str());
    let stages = plan.stages.iter().filter(|stage| stage.cell_id() == first);
    stages.map(|stage| stage.id.as_str()).collect()
}
