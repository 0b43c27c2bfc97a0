//! Standard output and standard error that are full, closed or not read: the run goes on, its exit code
//! stands, and what is missing is said where it can be.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::{Sandbox, code, records, stderr, text};

const PLAN: &str = "\
version: 1
name: streams
endpoint: { simulator: { prefill_rate: 1M, decode_rate: 10k } }
seed: 7
prompt: { text: Say hello., max_tokens: 2 }
stages:
  - { id: one, kind: load, requests: 4, concurrency: 2 }
  - { id: two, kind: load, requests: 4, concurrency: 2 }
";

fn full() -> Option<File> {
    let full = OpenOptions::new().write(true).open("/dev/full");
    if full.is_err() {
        eprintln!("skipped: this system has no /dev/full");
    }
    full.ok()
}

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn run(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.runner();
    command.args(["run", "plan.yaml"]).args(args);
    command
}

/// All that was planned is recorded, in a run that is whole.
fn is_whole(sandbox: &Sandbox) {
    assert_eq!(records(&sandbox.run_dir()).len(), 8);
    assert_eq!(sandbox.summary()["run"]["valid"], true);
    assert!(sandbox.run_dir().join("report.html").exists());
}

#[test]
fn a_standard_error_that_takes_nothing_changes_no_run() {
    let Some(full) = full() else { return };
    for broken in [Stdio::from(full), closed()] {
        let sandbox = Sandbox::new();
        sandbox.plan(PLAN);
        let output = run(&sandbox, &["-v"]).stderr(broken).output().expect("runner starts");
        assert_eq!(code(&output), 0);
        is_whole(&sandbox);
        let report = text(&output.stdout);
        assert!(report.contains("for standard error could not be written"), "{report}");
    }
}

#[test]
fn both_streams_of_a_reader_that_goes_away_change_no_run() {
    let sandbox = Sandbox::new();
    sandbox.plan(PLAN);
    let ended = run(&sandbox, &["-v"]).stdout(closed()).stderr(closed()).status();
    assert_eq!(ended.expect("runner starts").code(), Some(0));
    is_whole(&sandbox);
}

#[test]
fn a_standard_error_that_nobody_reads_stalls_no_run() {
    use std::fmt::Write as _;
    // More lines than a pipe holds.
    let mut plan = String::from(PLAN);
    for number in 0..600 {
        let long = "x".repeat(60);
        writeln!(plan, "  - {{ id: s{number}{long}, kind: pause, duration: 0s }}")
            .expect("a String");
    }
    let sandbox = Sandbox::new();
    sandbox.plan(&plan);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let output = run(&sandbox, &["-v"]).stderr(writer).output().expect("runner starts");
    // It ended while not a byte had been read.
    assert_eq!(code(&output), 0);
    is_whole(&sandbox);
    let report = text(&output.stdout);
    assert!(report.contains("its reader does not keep up"), "{report}");
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("what fitted is text");
    assert!(said.len() >= 4096 && said.contains("stage one"), "{}", said.len());
}

#[test]
fn a_standard_output_that_nobody_reads_delays_the_end_and_no_more() {
    use std::fmt::Write as _;
    // More stages than a pipe holds of.
    let mut plan = String::from(PLAN);
    for number in 0..80 {
        writeln!(plan, "  - {{ id: s{number}, kind: load, requests: 1, concurrency: 1 }}")
            .expect("a String");
    }
    let sandbox = Sandbox::new();
    sandbox.plan(&plan);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = run(&sandbox, &["--output-format", "json"]);
    let output = command.stdout(writer).output().expect("runner starts");
    drop(reader);
    let said = stderr(&output);
    assert_eq!(code(&output), 6, "{said}");
    assert!(said.contains("its reader took nothing for 15 s"), "{said}");
    assert_eq!(records(&sandbox.run_dir()).len(), 88);
}

#[test]
fn a_full_standard_output_has_an_exit_code_of_its_own_and_the_run_is_kept() {
    for args in [
        &["run", "plan.yaml"][..],
        &["run", "plan.yaml", "--output-format", "json"],
        &["run", "plan.yaml", "--sink", "jsonl:-"],
        &["validate", "plan.yaml"],
        &["schema", "plan"],
        &["list"],
        &["--help"],
        &["--version"],
    ] {
        let Some(full) = full() else { return };
        let sandbox = Sandbox::new();
        sandbox.plan(PLAN);
        let output = sandbox.runner().args(args).stdout(full).output().expect("runner starts");
        let said = stderr(&output);
        assert_eq!(code(&output), 6, "{args:?}: {said}");
        assert!(
            said.contains("error: standard output could not be written: No space left"),
            "{said}"
        );
        if args[0] == "run" {
            is_whole(&sandbox);
        }
    }
}

#[test]
fn a_verdict_stands_whatever_becomes_of_the_report() {
    let Some(full) = full() else { return };
    let sandbox = Sandbox::new();
    sandbox.plan(&PLAN.replace("id: two,", "id: two, thresholds: [ \"ttft.p50 < 0.001ms\" ],"));
    let output = run(&sandbox, &[]).stdout(full).output().expect("runner starts");
    assert_eq!(code(&output), 10, "{}", stderr(&output));
    assert!(stderr(&output).contains("standard output could not be written"));
}

#[test]
fn a_reader_of_standard_output_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    sandbox.plan(PLAN);
    for args in [&["run", "plan.yaml"][..], &["validate", "plan.yaml"], &["list"], &["--help"]] {
        let output = sandbox.runner().args(args).stdout(closed()).output().expect("runner starts");
        assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("standard output"), "{}", stderr(&output));
    }
}

#[test]
fn a_file_that_may_not_grow_is_an_error_of_the_write_and_no_death() {
    if !Path::new("/bin/sh").exists() {
        eprintln!("skipped: no shell to set a limit");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.plan(&PLAN.replace("requests: 4", "requests: 3000"));
    // 1.3 or 2.6 MB, as the shell counts: less than the log of these requests, more than preflight asks.
    let script = format!("ulimit -f 2500; exec {} run plan.yaml", env!("CARGO_BIN_EXE_runner"));
    let mut shell = Command::new("/bin/sh");
    shell.current_dir(sandbox.dir.path()).env_clear().args(["-c", &script]);
    let output = shell.output().expect("a shell");
    // Told, and ended by itself: a signal would have no code.
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let said = text(&output.stdout) + &stderr(&output);
    assert!(said.contains("File too large"), "{said}");
}
