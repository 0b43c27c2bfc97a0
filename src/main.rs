//! The `runner` binary: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use runner::cli::{Cli, Command};
use runner::commands;

fn main() -> ExitCode {
    let cli = Cli::parse();
    commands::set_up_terminal(cli.color);
    commands::set_up_logging(cli.verbose);
    let result = match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Validate(args) => commands::validate::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Test(args) => commands::test::run(&args),
        Command::List(args) => commands::list::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Params(args) => commands::params::run(&args),
        Command::Simulate(args) => commands::simulate::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Dataset(args) => commands::dataset::run(&args),
        Command::History(args) => commands::history::run(&args),
        Command::Calibrate(args) => commands::calibrate::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(commands::BUG)
        }
    }
}
