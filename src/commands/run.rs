//! `runner run PLAN`: the main job.

use std::io::IsTerminal;

use crate::cli::{ProgressArg, RunArgs};
use crate::executor::progress::ProgressMode;
use crate::executor::{self, RunError, RunOptions};

/// Runs a plan; the exit code is the run's verdict.
pub fn run(args: &RunArgs) -> anyhow::Result<u8> {
    let mut inputs = super::load_options(&args.inputs);
    inputs.sinks.clone_from(&args.sinks);
    let super::Ready { mut loaded, graph } = match super::load(&args.plan, &inputs) {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    if let Some(results) = &args.results {
        loaded.plan.results.clone_from(results);
    }
    let options = RunOptions {
        arguments: std::env::args().map(|arg| loaded.redactor.redact(&arg).into_owned()).collect(),
        progress: match args.progress {
            ProgressArg::Auto if std::io::stderr().is_terminal() => ProgressMode::Bar,
            ProgressArg::Auto | ProgressArg::Plain => ProgressMode::Plain,
            ProgressArg::Bar => ProgressMode::Bar,
            ProgressArg::None => ProgressMode::None,
        },
        fail_fast: args.fail_fast,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let finished = match runtime.block_on(executor::run(&loaded.plan, &graph, options)) {
        Ok(finished) => finished,
        Err(RunError::Interrupted(code)) => return Ok(u8::try_from(code)?),
        Err(error) => {
            eprintln!("error: {}", loaded.redactor.redact(&error.to_string()));
            eprintln!("nothing was sent");
            return Ok(super::PREFLIGHT);
        }
    };
    // A connection that a server never closes must not hold up the exit.
    runtime.shutdown_background();
    super::print_summary(&finished.summary, args.output_format)?;
    if let Some(problem) = &finished.unfinished {
        eprintln!("error: the run's results are not complete on disk: {problem}");
        return Ok(super::INCOMPLETE);
    }
    eprintln!("results: {}", finished.directory.display());
    Ok(super::exit_code(&finished.summary))
}
