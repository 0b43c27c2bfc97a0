//! Files that sinks write are nobody else's: a run that does not begin leaves them as they were, two runs
//! never share one, and what an earlier version wrote is gone on with.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, children, code, stderr};

const SINKS: &str = "[csv:out/a.csv, jsonl:out/a.jsonl, parquet:out/a.parquet, html:out/a.html, \
                     junit:out/a.xml, summary:out/a.json, markdown:out/a.md]";

fn plan(endpoint: &str, sinks: &str, stage: &str) -> String {
    format!(
        "version: 1\nname: files\nendpoint: {endpoint}\nprompt: {{ text: Hello., max_tokens: 4 }}\n\
         sinks: {sinks}\nstages:\n  - {{ id: one, kind: load, {stage} }}\n"
    )
}

const QUICK: &str = "{ simulator: { prefill_rate: 1M, decode_rate: 100k } }";
/// An answer takes twenty minutes.
const SLOW: &str = "{ simulator: { prefill_rate: 1M, decode_rate: 0.01 } }";

#[test]
fn a_run_that_does_not_begin_leaves_every_file_as_it_was() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.dir.path().join("out")).expect("made");
    let files = ["a.csv", "a.jsonl", "a.parquet", "a.html", "a.xml", "a.json", "a.md"];
    let at = |file: &str| sandbox.dir.path().join("out").join(file);
    for file in files {
        fs::write(at(file), format!("what a night measured: {file}")).expect("written");
    }
    sandbox.plan(&plan("http://127.0.0.1:1/v1", SINKS, "requests: 2, concurrency: 1"));
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    for file in files {
        let kept = fs::read_to_string(at(file)).expect("readable");
        match file {
            // CI would take the earlier run's checks for this one's.
            "a.xml" | "a.md" => assert!(kept.contains("nothing listens"), "{file}: {kept}"),
            _ => assert_eq!(kept, format!("what a night measured: {file}")),
        }
    }
    // A run that does begin takes their place, and what it writes is its owner's alone.
    sandbox.plan(&plan(QUICK, SINKS, "requests: 2, concurrency: 1"));
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for file in files {
        let bytes = fs::read(at(file)).expect("readable");
        assert!(!String::from_utf8_lossy(&bytes).contains("what a night measured"), "{file}");
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &fs::metadata(at(file)).expect("there").permissions(),
            );
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_that_nobody_reads_is_refused_and_one_that_is_read_is_written() {
    let sandbox = Sandbox::new();
    let pipe = sandbox.dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    for kind in ["csv", "jsonl", "parquet", "html", "junit", "summary"] {
        let sinks = format!("[{kind}:pipe]");
        sandbox.plan(&plan(QUICK, &sinks, "requests: 1, concurrency: 1"));
        let output = sandbox.run(&["run", "plan.yaml"]);
        assert_eq!(code(&output), 4, "{kind}: {}", stderr(&output));
        assert!(stderr(&output).contains("nobody reads"), "{kind}: {}", stderr(&output));
    }
    sandbox.plan(&plan(QUICK, "[jsonl:pipe]", "requests: 1, concurrency: 1"));
    let reader = thread::spawn(move || fs::read_to_string(pipe).expect("readable"));
    let output = (0..100).find_map(|_| {
        let output = sandbox.run(&["run", "plan.yaml"]);
        // The reader may take a moment to come.
        (code(&output) != 4).then_some(output)
    });
    assert_eq!(code(&output.expect("it is read")), 0);
    assert!(reader.join().expect("it reads").contains("\"one\""));
}

#[test]
fn a_file_that_one_run_writes_is_refused_to_another() {
    let sandbox = Sandbox::new();
    let kinds = ["csv", "jsonl", "parquet", "html", "junit", "summary"];
    for sink in kinds.map(|kind| format!("{kind}:rows")) {
        sandbox.plan(&plan(SLOW, &format!("[{sink}]"), "requests: 1, concurrency: 1"));
        let mut command = sandbox.runner();
        command.args(["run", "plan.yaml", "--results", "first"]).stdout(Stdio::null());
        let mut first = command.stderr(Stdio::null()).spawn().expect("runner starts");
        let began = Instant::now();
        let is_sending = || {
            let runs = sandbox.runs("first");
            let mut logs = runs
                .iter()
                .filter_map(|run| fs::read_to_string(run.join("records-000001.jsonl")).ok());
            logs.any(|log| log.contains("\"type\":\"start\""))
        };
        while !is_sending() {
            assert!(began.elapsed() < Duration::from_secs(60), "it never began");
            thread::sleep(Duration::from_millis(20));
        }
        let second = sandbox.run(&["run", "plan.yaml", "--results", "second"]);
        assert_eq!(code(&second), 4, "{}", stderr(&second));
        assert!(stderr(&second).contains("another run"), "{}", stderr(&second));
        first.kill().expect("it runs");
        first.wait().expect("it ends");
        fs::remove_dir_all(sandbox.dir.path().join("first")).expect("removed");
        // Nobody writes it any more.
        sandbox.plan(&plan(QUICK, &format!("[{sink}]"), "requests: 1, concurrency: 1"));
        let third = sandbox.run(&["run", "plan.yaml"]);
        assert_eq!(code(&third), 0, "{}", stderr(&third));
        let is_lock = |path: &PathBuf| path.extension().is_some_and(|it| it == "lock");
        let locks = children(sandbox.dir.path()).into_iter().filter(is_lock);
        assert_eq!(locks.count(), 0, "{sink}");
        fs::remove_dir_all(sandbox.dir.path().join("results")).expect("removed");
    }
    // Nor do two sinks of one run share a file.
    sandbox.plan(&plan(QUICK, "[html:./rows, summary:rows]", "requests: 1, concurrency: 1"));
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert!(stderr(&output).contains("another sink of this one"), "{}", stderr(&output));
}

#[cfg(feature = "sqlite")]
#[test]
fn a_database_of_an_earlier_version_gains_the_columns_that_it_lacks() {
    let sandbox = Sandbox::new();
    let path = sandbox.dir.path().join("runs.db");
    let older = rusqlite::Connection::open(&path).expect("opened");
    // In another order than today's, and with a column that is no more.
    let make = "CREATE TABLE stages (gone TEXT, ok INTEGER, run_id TEXT);\
                INSERT INTO stages VALUES ('x', 7, 'older');";
    older.execute_batch(make).expect("made");
    drop(older);
    sandbox.plan(&plan(QUICK, "[sqlite:runs.db]", "requests: 3, concurrency: 1"));
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let now = rusqlite::Connection::open(&path).expect("opened");
    let mut rows = now
        .prepare("SELECT run_id = 'older', ok, planned FROM stages ORDER BY 1")
        .expect("columns");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let rows: Vec<(bool, i64, Option<i64>)> =
        rows.expect("rows").collect::<Result<_, _>>().expect("values");
    assert_eq!(rows, [(false, 3, Some(3)), (true, 7, None)]);
}
