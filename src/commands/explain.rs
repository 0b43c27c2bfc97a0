//! `runner explain CODE`: what a diagnostic means and what to do.

use std::fmt::Write as _;

use crate::cli::ExplainArgs;
use crate::output::{self, note};
use crate::plan::diagnostic::Code;

/// Explains a code; all of them in a line each when none is given.
pub fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let Some(number) = &args.code else {
        let mut out = String::new();
        for code in Code::ALL {
            writeln!(out, "{code}  {}", code.explanation().meaning)?;
        }
        output::print(&out);
        return Ok(super::PASS);
    };
    let Some(code) = Code::find(number) else {
        note!("error: no diagnostic has the code `{number}`");
        note!("  help: codes look like E011; `runner explain` lists them all");
        return Ok(super::USAGE);
    };
    let explanation = code.explanation();
    let mut out = format!("{code}\n\n{}\n\nFor example:\n\n", explanation.meaning);
    for line in explanation.example.lines() {
        writeln!(out, "    {line}")?;
    }
    writeln!(out, "\nWhat to do: {}", explanation.remedy)?;
    output::print(&out);
    Ok(super::PASS)
}
