//! A summary made from the log is the summary that the run made.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use runner::executor::rebuild::rebuild;
use runner::executor::recorder::{Event, Recorder};
use runner::executor::run_dir::RunDir;
use runner::metrics::record_log;
use runner::metrics::summary::{RunEnd, RunState, Summary};
use runner::plan::Durability;
use runner::record::{CacheState, Line, OutcomeKind, Record, StageState};

use super::fixture::*;

#[test]
fn a_rebuilt_summary_equals_the_live_one() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, done) = record_run(results.path(), lines(), vec![]);
    let rebuilt = rebuild(&run).expect("rebuilt");
    assert_eq!(rebuilt.summary, done.summary);
    let written: Summary =
        serde_json::from_value(read_json(&run.join("summary.json"))).expect("a summary");
    assert_eq!(written, done.summary);
    assert_eq!(rebuilt.losses.lines, done.lines);
    assert!(done.summary.run.valid, "{:?}", done.summary.run.notes);
    // One of eight requests failed, which the plan's error_rate forbids.
    assert_eq!(done.summary.verdict.exit_code, 10);
}

#[test]
fn a_run_killed_at_any_byte_accounts_for_every_request() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, _) = record_run(results.path(), lines(), vec![]);
    let log = std::fs::read(run.join(record_log::segment_name(1))).expect("a log");
    let killed = results.path().join("killed");
    std::fs::create_dir(&killed).expect("made");
    let first_line = log.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    for cut in (first_line..log.len()).step_by(977) {
        std::fs::write(killed.join(record_log::segment_name(1)), &log[..cut]).expect("written");
        let rebuilt = rebuild(&killed).expect("rebuilt");
        assert!(rebuilt.summary.run.valid, "cut at {cut}: {:?}", rebuilt.summary.run.notes);
        assert_eq!(rebuilt.summary.run.state, RunState::Aborted);
        assert_eq!(rebuilt.summary.verdict.exit_code, 5);
        for stage in &rebuilt.summary.stages {
            assert_eq!(stage.counts.accounted(), stage.counts.planned, "cut at {cut}");
            assert!(stage.counts.lost_in_flight <= 1);
        }
        let torn = log[cut - 1] != b'\n';
        assert_eq!(rebuilt.losses.torn_lines, u64::from(torn));
    }
    let text = text_report(&killed);
    assert!(text.contains("its process died") && text.contains("INCOMPLETE"), "{text}");
}

#[test]
fn a_damaged_log_is_reported_as_invalid() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, _) = record_run(results.path(), lines(), vec![]);
    let path = run.join(record_log::segment_name(1));
    let log = std::fs::read_to_string(&path).expect("a log");
    let seventh = "\"type\":\"end\",\"seq\":7";
    let as_seventh = |seq: &str| log.replacen(seventh, &format!("\"type\":\"end\",{seq}"), 1);
    let (before, bytes) = log.split_once("\"bytes_in\":").expect("an end");
    let after = bytes.trim_start_matches(|it: char| it.is_ascii_digit());
    // Sums of counts that can't be would be no numbers.
    let most = u64::MAX;
    for damaged in [
        as_seventh("\"s?q\":7"),
        as_seventh(&format!("\"seq\":{most}")),
        format!("{before}\"bytes_in\":{most}{after}"),
    ] {
        assert_ne!(log, damaged);
        std::fs::write(&path, damaged).expect("written");
        let rebuilt = rebuild(&run).expect("rebuilt");
        assert!(!rebuilt.summary.run.valid);
        assert_eq!(rebuilt.summary.verdict.exit_code, 5);
        let told = text_report(&run);
        assert!(
            told.contains("INVALID: data loss in the record log: 1 unreadable lines"),
            "{told}"
        );
    }
}

#[test]
fn an_interrupted_run_is_reported_with_its_partial_numbers() {
    let results = tempfile::tempdir().expect("a folder");
    let run = RunDir::create(results.path(), "cache-eviction").expect("a run directory");
    let (sender, recorder) =
        Recorder::start(run.path(), run_line(&run), Durability::Machine, vec![], |_| {})
            .expect("a recorder");
    let mut some = vec![stage_start("cold", 8, CacheState::Cold, vec![])];
    some.push(start("cold", 0));
    some.push(Line::End(Box::new(answer("cold", 0, 262_000, 24))));
    for index in 1..8 {
        let outcome = if index == 1 { OutcomeKind::Cancelled } else { OutcomeKind::NeverStarted };
        let record = Record { outcome, cached_tokens: None, ..answer("cold", index, 1000, 0) };
        some.push(Line::End(Box::new(record)));
    }
    some.push(stage_end("cold", StageState::Interrupted, 700));
    send(&sender, some);
    let end = RunEnd { signal_exit_code: Some(130), ..RunEnd::new(RunState::Interrupted) };
    let done = recorder.finish(end).expect("done");
    assert_eq!(done.summary.verdict.exit_code, 130);
    let path = run.path().to_owned();
    let last = manifest(&run, Some(done.end.clone()), Some(130));
    run.finish(&last, &done.summary).expect("closed");
    let text = text_report(&path);
    let (heads, row) = table_of(&text);
    assert_eq!(heads[2..6], ["ok", "err", "cancelled", "never"], "{text}");
    assert_eq!(row[2..6], ["1", "0", "1", "6"], "{text}");
    assert!(text.contains("\nINTERRUPTED: "), "{text}");
    assert_eq!(rebuild(&path).expect("rebuilt").summary, done.summary);
}

#[test]
fn a_run_that_died_says_which_stages_it_never_came_to() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, _) = record_run(results.path(), lines(), vec![]);
    let known: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("manifest.json")).expect("there"))
            .expect("JSON");
    let note = |arguments: serde_json::Value| {
        let mut manifest = known.clone();
        let fields = manifest.as_object_mut().expect("an object");
        fields.remove("end");
        fields.insert("arguments".into(), arguments);
        fields["plan"]["resolved"] =
            serde_json::json!({"stages": [{"id": "cold"}, {"id": "load"}, {"id": "last"}]});
        std::fs::write(run.join("manifest.json"), manifest.to_string()).expect("written");
        rebuild(&run).expect("rebuilt").summary.run.notes.join("\n")
    };
    let told = note(serde_json::json!(["run", "plan.yaml"]));
    assert!(told.contains("died") && told.contains("never came to load, last"), "{told}");
    // What the command line left out was not to come.
    let told = note(serde_json::json!(["run", "plan.yaml", "--select=cold"]));
    assert!(told.contains("died") && !told.contains("never came to load"), "{told}");
}

#[test]
fn a_running_run_can_be_reported_but_not_rewritten() {
    let results = tempfile::tempdir().expect("a folder");
    let run = RunDir::create(results.path(), "cache-eviction").expect("a run directory");
    run.write_manifest(&manifest(&run, None, None)).expect("a manifest");
    let (seen, stages) = mpsc::channel();
    let observer = move |event: Event<'_>| {
        if let Event::Stage(stage) = event {
            let _receiver_gone = seen.send(stage.clone());
        }
    };
    let (sender, recorder) =
        Recorder::start(run.path(), run_line(&run), Durability::Machine, vec![], observer)
            .expect("a recorder");
    let first_stage = lines().into_iter().take(18).collect();
    send(&sender, first_stage);
    let cold = stages.recv_timeout(Duration::from_secs(10)).expect("the first stage is over");
    assert_eq!((cold.id.as_str(), cold.counts.ok), ("cold", 8));
    let rebuilt = rebuild(run.path()).expect("rebuilt");
    assert_eq!(rebuilt.summary.run.state, RunState::Running);
    assert_eq!(rebuilt.summary.stages[0], cold);
    let before = std::fs::read_dir(run.path()).expect("there").count();
    let refused = runner(&["report", "--write"], run.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("still being written"));
    assert_eq!(std::fs::read_dir(run.path()).expect("there").count(), before);
    // A sender that is still there does not keep the recorder from finishing.
    recorder.finish(RunEnd::new(RunState::Aborted)).expect("done");
    drop(sender);
}

/// The binary with these arguments and a run directory.
fn runner(arguments: &[&str], run: &Path) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runner"));
    command.args(arguments).arg(run).output().expect("started")
}

#[test]
fn the_report_command_prints_what_the_run_wrote_and_restores_it() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, done) = record_run(results.path(), lines(), vec![]);
    let written = std::fs::read(run.join("summary.json")).expect("there");
    let json = runner(&["report", "--format", "json"], &run);
    assert_eq!(json.stdout, written);
    assert_eq!(json.status.code(), Some(done.summary.verdict.exit_code));
    let text = runner(&["report"], &run);
    assert_eq!(String::from_utf8_lossy(&text.stdout), text_report(&run));
    std::fs::remove_file(run.join("summary.json")).expect("removed");
    runner(&["report", "--write"], &run);
    assert_eq!(std::fs::read(run.join("summary.json")).expect("there"), written);
    let nothing = runner(&["report"], results.path());
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("not a run directory"));
}
