//! Full disks, stuck sinks, many senders.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use runner::executor::rebuild::rebuild;
use runner::executor::recorder::{Event, Recorder};
use runner::executor::run_dir::RunDir;
use runner::metrics::record_log;
use runner::metrics::summary::{RunEnd, RunState, StageSummary, Summary};
use runner::plan::{Durability, SinkKind};
use runner::record::{CacheState, Line, Record, StageState};
use runner::sink::{OpenSink, Sink, SinkError};

use super::fixture::*;

#[test]
fn a_failing_sink_is_counted_and_a_required_one_changes_the_exit_code() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: this system has no /dev/full");
        return;
    }
    let results = tempfile::tempdir().expect("a folder");
    for (required, exit_code) in [(false, 10), (true, 5)] {
        let sinks = open_sinks(results.path(), &[(SinkKind::Jsonl, "/dev/full", required)]);
        let (run, done) = record_run(results.path(), lines(), sinks);
        assert_eq!(done.summary.verdict.exit_code, exit_code);
        let failure = &done.sink_failures[0];
        assert_eq!(failure.sink, "jsonl:/dev/full");
        // Those that were in its buffer when it failed, too.
        let records = lines().iter().filter(|line| matches!(line, Line::End(_))).count();
        assert_eq!(failure.lost_records, records as u64, "{failure:?}");
        assert!(failure.message.contains("space"), "{failure:?}");
        assert_eq!(done.summary.stages[0].counts.ok, 8);
        assert!(text_report(&run).contains("sink jsonl:/dev/full: No space left"));
        assert_eq!(rebuild(&run).expect("rebuilt").summary, done.summary);
    }
}

/// A sink that never returns from its first line.
struct Stuck(mpsc::Receiver<()>);

impl Sink for Stuck {
    fn line(&mut self, _: u64, _: &Line) -> Result<(), SinkError> {
        let _until_the_test_ends = self.0.recv();
        Ok(())
    }
    fn stage(&mut self, _: &StageSummary) -> Result<(), SinkError> {
        Ok(())
    }
    fn finish(self: Box<Self>, _: &Summary) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_stuck_sink_neither_stops_the_log_nor_the_end() {
    let results = tempfile::tempdir().expect("a folder");
    let (_release, held) = mpsc::channel();
    let name = "jsonl:stuck".to_owned();
    let stuck = OpenSink { name, required: false, sink: Box::new(Stuck(held)) };
    let began = Instant::now();
    // More lines than any queue holds.
    let planned = 20_000;
    let mut many = vec![stage_start("cold", planned, CacheState::Cold, vec![])];
    for index in 0..planned {
        let record = Record { token_ns: vec![], ..answer("cold", index, 1000, 0) };
        many.push(Line::End(Box::new(record)));
    }
    many.push(stage_end("cold", StageState::Completed, 700));
    let (_, done) = record_run(results.path(), many, vec![stuck]);
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(done.summary.stages[0].counts.ok, planned);
    let failure = &done.sink_failures[0];
    assert!(failure.message.contains("stalled") && failure.lost_records > 0, "{failure:?}");
    assert!(done.summary.run.valid);
}

#[test]
fn the_log_keeps_up_with_many_senders() {
    let results = tempfile::tempdir().expect("a folder");
    let run = RunDir::create(results.path(), "many").expect("a run directory");
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let observer = move |event: Event<'_>| {
        if matches!(event, Event::Line(Line::End(_))) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (sender, recorder) =
        Recorder::start(run.path(), run_line(&run), Durability::Machine, vec![], observer)
            .expect("a recorder");
    send(&sender, vec![stage_start("cold", 4000, CacheState::Cold, vec![])]);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let sender = sender.clone();
            scope.spawn(move || {
                let indexes = worker * 1000..(worker + 1) * 1000;
                let ends = indexes.flat_map(|index| {
                    [start("cold", index), Line::End(Box::new(answer("cold", index, 1000, 24)))]
                });
                send(&sender, ends.collect());
            });
        }
    });
    send(&sender, vec![stage_end("cold", StageState::Completed, 1)]);
    let done = recorder.finish(RunEnd::new(RunState::Finished)).expect("done");
    assert!(done.summary.run.valid, "{:?}", done.summary.run.notes);
    assert_eq!(done.summary.stages[0].counts.ok, 4000);
    assert_eq!(seen.load(Ordering::Relaxed), 4000);
    assert_eq!(rebuild(run.path()).expect("rebuilt").losses.lines, 8003);
}

/// A small filesystem of its own, unmounted at the end.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let options = format!("size={size}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self { folder })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _best_effort =
            std::process::Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[test]
fn a_full_disk_ends_the_log_at_a_whole_line_and_the_run_still_closes() {
    let Some(disk) = SmallDisk::mount("1400k") else {
        eprintln!("skipped: a tmpfs can't be mounted here");
        return;
    };
    let run = RunDir::create(disk.folder.path(), "full").expect("a run directory");
    let (sender, recorder) =
        Recorder::start(run.path(), run_line(&run), Durability::Machine, vec![], |_| {})
            .expect("a recorder");
    let failed = recorder.log_failed();
    let mut many = vec![stage_start("cold", 1000, CacheState::Cold, vec![])];
    for index in 0..1000 {
        many.push(Line::End(Box::new(answer("cold", index, 1000, 24))));
    }
    many.push(stage_end("cold", StageState::Completed, 1));
    send(&sender, many);
    let done = recorder.finish(RunEnd::new(RunState::Aborted)).expect("done");
    assert!(failed.is_cancelled());
    assert!(!done.summary.run.valid);
    assert_eq!(done.summary.verdict.exit_code, 5);
    let note = &done.summary.run.notes[0];
    assert!(note.contains("No space left") && note.contains("lines lost"), "{note}");
    // The live numbers still count everything, and manifest and summary fit into the reserve.
    assert_eq!(done.summary.stages[0].counts.ok, 1000);
    let path = run.path().to_owned();
    let last = manifest(&run, Some(done.end.clone()), Some(5));
    run.finish(&last, &done.summary).expect("closed on a full disk");
    let log = std::fs::read(path.join(record_log::segment_name(1))).expect("a log");
    assert!(log.ends_with(b"\n"));
    let rebuilt = rebuild(&path).expect("rebuilt");
    assert_eq!((rebuilt.losses.torn_lines, rebuilt.losses.bad_lines), (0, 0));
    assert!(!rebuilt.summary.run.valid);
    let missing: u64 = done.lines - rebuilt.losses.lines;
    assert!(note.contains(&format!("{missing} lines lost")), "{note}");
}

/// Where the process that is to be killed records; set by its parent.
const VICTIM: &str = "RUNNER_TEST_VICTIM";

#[test]
#[ignore = "the process that a_killed_process_leaves_whole_lines kills"]
fn records_until_killed() {
    let Some(results) = std::env::var_os(VICTIM) else { return };
    let run = RunDir::create_as(Path::new(&results), "victim", "run").expect("a run directory");
    let (sender, _recorder) =
        Recorder::start(run.path(), run_line(&run), Durability::Machine, vec![], |_| {})
            .expect("a recorder");
    send(&sender, vec![stage_start("cold", 1 << 40, CacheState::Cold, vec![])]);
    for index in 0.. {
        let record = Line::End(Box::new(answer("cold", index, 1000, 24)));
        send(&sender, vec![start("cold", index), record]);
    }
}

#[test]
fn a_killed_process_leaves_whole_lines() {
    let mut lines = 0;
    for attempt in 0..5 {
        let results = tempfile::tempdir().expect("a folder");
        let mut victim = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "evidence::adversity::records_until_killed"])
            .env(VICTIM, results.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("started");
        let run = results.path().join("victim/run");
        let log = run.join(record_log::segment_name(1));
        let patience = Instant::now();
        while log.metadata().map_or(0, |log| log.len()) < 100_000 {
            assert!(patience.elapsed() < Duration::from_secs(60), "nothing is recorded");
            std::thread::sleep(Duration::from_millis(1 + attempt));
        }
        victim.kill().expect("killed");
        victim.wait().expect("gone");
        let rebuilt = rebuild(&run).expect("rebuilt");
        assert_eq!(rebuilt.losses.data_loss(), None);
        assert!(rebuilt.losses.torn_lines <= 1);
        let counts = rebuilt.summary.stages[0].counts;
        assert_eq!(counts.accounted(), counts.planned);
        assert!(counts.lost_in_flight <= 1, "{counts:?}");
        assert_eq!(rebuilt.summary.run.state, RunState::Aborted);
        lines += rebuilt.losses.lines;
    }
    assert!(lines > 500, "{lines}");
}
