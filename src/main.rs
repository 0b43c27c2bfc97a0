//! The `runner` binary: arguments in, exit code out.

use std::process::ExitCode;

use runner::cli::{Cli, Command};
use runner::output::Stream;
use runner::{commands, output};

fn main() -> ExitCode {
    output::set_up();
    // A panic has been told by then, and 101 is no exit code of ours.
    let code = std::panic::catch_unwind(run).unwrap_or(commands::BUG);
    ExitCode::from(output::finish(code))
}

fn run() -> u8 {
    let cli = match Cli::of_process() {
        Ok(cli) => cli,
        Err(answer) => return told(&answer),
    };
    commands::set_up_terminal(cli.color);
    output::set_verbose(cli.verbose > 0);
    commands::set_up_logging(cli.verbose);
    let Some(command) = cli.command else {
        return commands::welcome();
    };
    let result = match command {
        Command::Quick(args) => commands::quick::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
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
        Command::Recover(args) => commands::recover::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::man::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::say(format_args!("error: {error:#}"));
            commands::BUG
        }
    }
}

/// Prints what the arguments come to by themselves: help, the version, or what is wrong with them.
fn told(answer: &clap::Error) -> u8 {
    let text = answer.render();
    let stream = if answer.use_stderr() { Stream::Err } else { Stream::Out };
    let text = if stream.is_coloured() { text.ansi().to_string() } else { text.to_string() };
    match stream {
        Stream::Err => output::note_text(&text),
        Stream::Out => output::print(&text),
    }
    u8::try_from(answer.exit_code()).unwrap_or(commands::USAGE)
}
