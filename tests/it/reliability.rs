//! Whatever goes wrong, a run says so, loses nothing and ends: the table of faults.
//!
//! In: one row a fault: what a server does by script, and what is promised. Out: for each row a run of
//! the binary against that server, held against its class, its counts, the flags of its answers, how long
//! it took and how much memory; and `docs/reliability.md`, made of the table (`RUNNER_UPDATE=1`). Faults
//! that other tests show stand in the same document with the names of those tests; what is left out has
//! its reason there. `RUNNER_FAULT=NAME` runs one row alone and prints what it left.

mod doors;
mod elsewhere;
mod rows;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::faulty_server::{FaultyServer, Step, json, play, read_request};
use crate::sandbox::{Sandbox, code, records, stderr, text};

/// Longer than any row takes unless something hangs.
const LONG: Duration = Duration::from_secs(120);
/// Runs at a time; most of them wait for a limit.
const AT_ONCE: usize = 6;
/// What a run may take that keeps next to nothing of what it was sent, in MiB; a debug build takes 60.
const USUAL: u64 = 120;

/// A fault of a server, and what is promised.
pub struct Row {
    /// Its name, which failures give.
    pub name: &'static str,
    /// What the server does.
    pub fault: &'static str,
    /// What a run makes of it.
    pub promise: &'static str,
    /// What it does with the request of that number on its connection; ends with [`Step::Read`] where it
    /// then waits for the next one.
    pub script: fn(usize) -> Vec<Step>,
    /// How its requests end.
    pub ends: Ends,
    /// Flags that every answer has.
    pub flags: &'static [&'static str],
    /// The limit that is meant to be hit, as a plan writes it.
    pub limit: Option<(&'static str, u64)>,
    /// Requests, of which two are under way at a time.
    pub requests: u64,
    /// Most memory, in MiB.
    pub memory: u64,
}

/// How the requests of a row end, by `ok` and classes of errors.
pub enum Ends {
    /// All alike.
    All(&'static str),
    /// In each of the first ways at least once; in the others maybe, as time has it.
    Mixed(&'static [&'static str], &'static [&'static str]),
}

/// A server that does to each request what the row says that its path names.
fn serve(rows: &'static [Row]) -> FaultyServer {
    FaultyServer::serve(move |_, mut stream, stop, log| {
        let mut number = 0;
        while let Some(name) = asked(&mut stream, stop) {
            let Some(row) = rows.iter().find(|row| row.name == name) else { return };
            let steps = (row.script)(number);
            let stays_open = matches!(steps.last(), Some(Step::Read));
            for step in steps.into_iter().filter(|step| !matches!(step, Step::Read)) {
                if play(step, &mut stream, stop, log).is_err() {
                    return;
                }
            }
            if !stays_open {
                return;
            }
            number += 1;
        }
    })
}

/// The first part of the path of the next request for an answer; other questions are answered meanwhile.
fn asked(stream: &mut TcpStream, stop: &AtomicBool) -> Option<String> {
    use std::io::Write;
    loop {
        let request = read_request(stream, stop).ok()?;
        let line = request.lines().next()?.to_owned();
        let path = line.split(' ').nth(1)?;
        if path.ends_with("/chat/completions") {
            return path.split('/').nth(1).map(str::to_owned);
        }
        let is_list = path.ends_with("/models");
        let answer =
            if is_list { json(200, "{\"data\":[{\"id\":\"m\"}]}") } else { json(404, "{}") };
        stream.write_all(&answer).ok()?;
    }
}

fn plan(url: &str, row: &Row) -> String {
    let limit = |name: &str| match row.limit {
        Some((it, ms)) if it == name => format!("{ms}ms"),
        _ => format!("{}s", LONG.as_secs() / 2),
    };
    let limits = ["connect", "headers", "first_token", "idle", "total"];
    let limits: Vec<String> = limits.map(|name| format!("{name}: {}", limit(name))).into();
    format!(
        "version: 1\nname: fault\nendpoint:\n  url: \"{url}\"\n  model: m\n  metrics: off\n\
         \x20 tokenizer: estimate\n  timeouts: {{ {} }}\nprompt: {{ text: \"hello {{{{ i }}}}\", \
         max_tokens: 8, unique: never }}\nstages:\n  - {{ id: s, kind: load, requests: {}, \
         concurrency: 2 }}\n",
        limits.join(", "),
        row.requests
    )
}

/// The most memory that the process held so far, in MiB, where the system says.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().split(' ').next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// Runs the plan in `sandbox` to its end: what it said, and its peak of memory.
pub fn watched(sandbox: &Sandbox) -> Result<(std::process::Output, u64), String> {
    let mut command = sandbox.runner();
    command.args(["run", "plan.yaml", "--progress", "none", "--output-format", "json"]);
    let out = fs::File::create(sandbox.dir.path().join("out")).map_err(|it| it.to_string())?;
    let err = fs::File::create(sandbox.dir.path().join("err")).map_err(|it| it.to_string())?;
    command.stdout(out).stderr(err).stdin(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (began, mut most) = (Instant::now(), 0);
    let status = loop {
        most = most.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if began.elapsed() > LONG {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            return Err(format!("not over within {LONG:?}"));
        }
        thread::sleep(Duration::from_millis(10));
    };
    let read = |name: &str| fs::read(sandbox.dir.path().join(name)).unwrap_or_default();
    Ok((std::process::Output { status, stdout: read("out"), stderr: read("err") }, most))
}

/// What of a row's run is not as promised.
fn wrong(row: &Row, url: &str) -> Vec<String> {
    let sandbox = Sandbox::new();
    sandbox.plan(&plan(url, row));
    let (output, peak) = match watched(&sandbox) {
        Ok(found) => found,
        Err(why) => return vec![why],
    };
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| wrong.extend((!holds).then_some(what));
    check(peak <= row.memory, format!("{peak} MiB of memory, more than {}", row.memory));
    // No terminal, log or page obeys what a server says.
    let said = stderr(&output) + &text(&output.stdout);
    let is_obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || c == '\u{202e}';
    check(!said.contains(is_obeyed), format!("says {:?}", said.chars().find(|c| is_obeyed(*c))));
    let Ok(summary) = serde_json::from_slice::<Value>(&output.stdout) else {
        check(false, format!("exit {} without a summary: {said}", code(&output)));
        return wrong;
    };
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    check(summary["verdict"]["exit_code"] == code(&output), format!("exit {}", code(&output)));
    let notes = summary["run"]["notes"].to_string();
    let is_busy = notes.contains("INVALID: stage s: generator") || notes.contains("stood still");
    check(summary["run"]["valid"] == true || is_busy, format!("INVALID: {notes}"));
    // Every planned request is accounted for, once, in the summary and in the log.
    let counts = summary["stages"][0]["counts"].as_object().cloned().unwrap_or_default();
    let parts = counts.iter().filter(|(name, _)| *name != "planned");
    let sum: u64 = parts.map(|(_, count)| number(count)).sum();
    check(sum == row.requests, format!("{sum} of {} accounted for: {counts:?}", row.requests));
    check(counts["planned"] == row.requests, format!("planned {}", counts["planned"]));
    let ends = records(&sandbox.run_dir());
    let mut indices: Vec<u64> = ends.iter().map(|it| number(&it["index"])).collect();
    indices.sort_unstable();
    check(indices == (0..row.requests).collect::<Vec<_>>(), format!("records of {indices:?}"));
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for record in &ends {
        let class = record["error"]["class"].as_str().or(record["outcome"].as_str());
        *found.entry(class.unwrap_or("nothing").to_owned()).or_default() += 1;
        let message = record["error"]["message"].as_str().unwrap_or("ok");
        check((1..=600).contains(&message.len()), format!("message of {} bytes", message.len()));
        for (key, most) in [("finish_reason", 300), ("model", 300), ("other_model", 300)] {
            let length = record[key].as_str().unwrap_or_default().len();
            check(length <= most, format!("{key} of {length} bytes"));
        }
        let stamps = record["token_ns"].as_array().map_or(0, Vec::len);
        check(stamps <= 200_000, format!("{stamps} stamps"));
        for flag in row.flags {
            let has = record["flags"].as_array().is_some_and(|it| it.contains(&(*flag).into()));
            check(has, format!("no flag {flag}: {}", record["flags"]));
        }
        if let Some((name, ms)) = row.limit {
            let took = number(&record["end_ns"]).saturating_sub(number(&record["sent_ns"]));
            check(took >= ms * 1_000_000, format!("{took} ns, before the limit {name}"));
        }
    }
    let is_as_promised = match row.ends {
        Ends::All(class) => found.keys().eq([class]),
        Ends::Mixed(sure, maybe) => {
            sure.iter().all(|class| found.contains_key(*class))
                && found.keys().all(|class| sure.iter().chain(maybe).any(|it| it == class))
        }
    };
    check(is_as_promised, format!("ended as {found:?}: {}", ends[0]["error"]["message"]));
    let errors: BTreeMap<String, u64> = found.into_iter().filter(|(it, _)| it != "ok").collect();
    let told: BTreeMap<String, u64> =
        serde_json::from_value(summary["stages"][0]["errors"].clone()).unwrap_or_default();
    check(told == errors, format!("the summary tells of {told:?}, the log of {errors:?}"));
    if std::env::var_os("RUNNER_FAULT").is_some() {
        println!("{}: {peak} MiB\n{said}\n{:#?}", row.name, ends.first());
    }
    wrong
}

#[test]
fn every_fault_of_a_server_ends_as_promised() {
    let only = std::env::var("RUNNER_FAULT").ok();
    let is_asked = |row: &&Row| only.as_ref().is_none_or(|only| row.name == only);
    let rows: Vec<&Row> = rows::ROWS.iter().filter(is_asked).collect();
    let server = Arc::new(serve(rows::ROWS));
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let url = format!("http://{}/{}/v1", server.address(), row.name);
                    let wrong = wrong(row, &url);
                    let told = wrong.into_iter().map(|it| format!("{}: {it}", row.name));
                    failures.lock().unwrap().extend(told);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The document, made of the tables.
fn document() -> String {
    let mut out = String::from(
        "# What goes wrong, and what then\n\n\
         Made of the tables in `tests/it/reliability/`, by the tests that show it: what stands here is what \
         they assert. `RUNNER_FAULT=NAME cargo test --test it every_fault_of_a_server` plays one of the \
         first table alone.\n\n\
         Whatever happens, each planned request has one record with a stable class, what arrived of it is \
         kept, `planned = ok + errors + cancelled + dropped_late + lost_in_flight + never_started`, and the \
         run ends in bounded time and memory.\n\n\
         ## What a server does\n\n\
         Each is played against the binary, and held against class, counts, identity, time and memory.\n\n\
         | name | what it does | what a run makes of it | class |\n|---|---|---|---|\n",
    );
    for row in rows::ROWS {
        let ends = match row.ends {
            Ends::All(class) => class.to_owned(),
            Ends::Mixed(sure, maybe) => [sure, maybe].concat().join(", "),
        };
        let _ = writeln!(out, "| {} | {} | {} | `{ends}` |", row.name, row.fault, row.promise);
    }
    out.push_str("\n## What stands beside the requests\n\n");
    out.push_str("| name | what it does | what a run makes of it |\n|---|---|---|\n");
    for door in doors::DOORS {
        let _ = writeln!(out, "| {} | {} | {} |", door.name, door.fault, door.promise);
    }
    for (title, shown) in elsewhere::SHOWN {
        let _ = write!(out, "\n## {title}\n\n| fault | what is promised | test |\n|---|---|---|\n");
        for (fault, promise, tests) in *shown {
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            let _ = writeln!(out, "| {fault} | {promise} | {} |", tests.join(", "));
        }
    }
    out.push_str("\n## Left out\n\n| fault | why |\n|---|---|\n");
    for (fault, why) in elsewhere::LEFT_OUT {
        let _ = writeln!(out, "| {fault} | {why} |");
    }
    out
}

#[test]
fn the_committed_table_of_faults_is_that_of_the_tests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let made = document();
    if std::env::var_os("RUNNER_UPDATE").is_some() {
        fs::write(&path, &made).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/reliability.md is out of date: run with RUNNER_UPDATE=1");
    let mut names: Vec<&str> = rows::ROWS.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows::ROWS.len(), "two rows of one name");
}

#[test]
fn every_test_that_the_table_names_is_there() {
    fn sources(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|it| it == "rs") {
                all.push_str(&fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&root.join("tests"), &mut all);
    sources(&root.join("src"), &mut all);
    for (fault, _, tests) in elsewhere::SHOWN.iter().flat_map(|(_, shown)| *shown) {
        assert!(!tests.is_empty(), "{fault}");
        for test in *tests {
            assert!(all.contains(&format!("fn {test}(")), "{fault}: no test {test}");
        }
    }
}
