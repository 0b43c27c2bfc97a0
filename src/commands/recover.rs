//! `runner recover RUN`: puts a run in order whose process died.
//!
//! In: its directory. Out: what was done, and its report; manifest, summary and page are in the directory.

use crate::cli::{RecoverArgs, ReportArgs, ReportFormat};
use crate::executor::recover;
use crate::output::note;

/// Repairs the log and the manifest, and rebuilds the rest as `report --write` does; the exit code is the
/// run's verdict.
pub fn run(args: &RecoverArgs) -> anyhow::Result<u8> {
    let run = match super::past::run(&args.run) {
        Ok(run) => run,
        Err(why) => {
            note!("error: {why}");
            return Ok(super::USAGE);
        }
    };
    match recover::recover(&run) {
        Ok(done) if done.is_empty() => note!("nothing to repair"),
        Ok(done) => done.iter().for_each(|line| note!("repaired: {line}")),
        Err(error) => {
            note!("error: can't recover {}: {error}", run.display());
            return Ok(super::USAGE);
        }
    }
    super::report::run(&ReportArgs {
        run,
        format: ReportFormat::Text,
        output: None,
        percentiles: Vec::new(),
        definitions: None,
        sinks: Vec::new(),
        write: true,
        exports: Vec::new(),
    })
}
