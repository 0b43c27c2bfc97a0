//! `runner report RUN`: the report of any run, rebuilt from its records.
//!
//! In: a run directory (finished, interrupted or killed). Out: text or JSON, and the run's own exit
//! code. Invariant: nothing is written into the run unless asked for.

use crate::cli::ReportArgs;
use crate::executor::{rebuild::rebuild, run_dir};

/// Prints the report of a run; the exit code is the run's verdict.
pub fn run(args: &ReportArgs) -> anyhow::Result<u8> {
    let rebuilt = match rebuild(&args.run) {
        Ok(rebuilt) => rebuilt,
        Err(error) => {
            eprintln!("error: can't report on {}: {error}", args.run.display());
            return Ok(super::USAGE);
        }
    };
    if args.write {
        if run_dir::is_locked(&args.run) {
            eprintln!("error: {} is still being written by a run", args.run.display());
            return Ok(super::USAGE);
        }
        run_dir::write_summaries(&args.run, &rebuilt.summary)?;
    }
    super::print_summary(&rebuilt.summary, args.format)?;
    Ok(super::exit_code(&rebuilt.summary))
}
