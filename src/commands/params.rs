//! `runner params PLAN`: every param with its value and where it came from.

use crate::cli::{DiagnosticFormat, ParamsArgs};
use crate::output;
use crate::plan::params::{render_json, render_text};

/// Prints the params of a plan.
pub fn run(args: &ParamsArgs) -> anyhow::Result<u8> {
    let is_json = args.format == DiagnosticFormat::Json;
    let ready = match super::load(&args.plan, &super::load_options(&args.inputs), is_json) {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let params = &ready.loaded.plan.params;
    output::print(&match args.format {
        DiagnosticFormat::Text => render_text(params),
        DiagnosticFormat::Json => render_json(params),
    });
    Ok(super::PASS)
}
